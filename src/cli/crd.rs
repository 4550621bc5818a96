//! `watchpolicy crd`: the CustomResourceDefinition, to be piped into `kubectl apply --server-side -f -`.

use anyhow::Context;

/// The CustomResourceDefinition as YAML, which is what `crds/watchpolicy.yaml` holds.
///
/// # Errors
/// Never in a tested build: only if the definition were not representable as YAML.
pub fn yaml() -> anyhow::Result<String> {
    let crd = crate::crd::crd_json().context("cannot represent the definition as JSON")?;
    serde_saphyr::to_string(&crd).context("cannot represent the definition as YAML")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_holds_what_the_command_prints() {
        let held = include_str!("../../crds/watchpolicy.yaml");
        let printed = yaml().unwrap();
        assert!(held == printed, "the types changed: run `make crd`");
    }
}
