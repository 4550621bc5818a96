//! The policies that a scan judges by: those of files, or the cluster's own.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{anyhow, bail};

use crate::cli::input::policies::{self, settings};
use crate::cli::input::{Policy, Trouble};
use crate::crd::WatchPolicy;
use crate::observe::policies::collection;
use crate::observe::wire::{Wire, WireError};
use crate::policy::{CompiledPolicy, compile};

use super::pages::{self, Taker};

type Policies = Vec<Arc<CompiledPolicy>>;

/// What can be used of the files; the rest is noted.
///
/// # Errors
/// There is no policy in them.
pub(super) fn of_files(paths: &[PathBuf], troubles: &mut Vec<Trouble>) -> anyhow::Result<Policies> {
    let (_, drafts) = policies::open(paths, troubles)?;
    let mut names = BTreeSet::new();
    let mut found = Policies::new();
    for Policy { origin, program } in policies::compiled(&drafts, troubles) {
        if names.insert(Arc::clone(&program.name)) {
            found.push(program);
        } else {
            let message =
                format!("there is a policy {} already, this one is left out; rename it", program.name);
            troubles.push(Trouble::at(&origin, message));
        }
    }
    Ok(found)
}

/// What can be used of the cluster's WatchPolicies; the rest is noted.
///
/// # Errors
/// They cannot be listed, or there is none.
pub(super) async fn of_cluster(wire: &Wire, troubles: &mut Vec<Trouble>) -> anyhow::Result<Policies> {
    let mut stored = Stored::default();
    match pages::each(wire, &collection(), &mut stored).await {
        Ok(ControlFlow::Continue(())) => {}
        Ok(ControlFlow::Break(())) => bail!("the cluster has more than {MOST} policies; give some by -p"),
        Err(error) => return Err(unlisted(&error)),
    }
    let Stored { policies, troubles: found } = stored;
    if policies.is_empty() && found.is_empty() {
        bail!("the cluster has no WatchPolicy; give policies by -p");
    }
    troubles.extend(found);
    Ok(policies)
}

fn unlisted(error: &WireError) -> anyhow::Error {
    match error {
        error if error.is_forbidden() => anyhow!(
            "you may not list watchpolicies.watchpolicy.io: give policies by -p, or be allowed to (apiGroups: \
             [watchpolicy.io], resources: [watchpolicies], verbs: [list])"
        ),
        error if error.is_absent() => anyhow!(
            "the cluster serves no WatchPolicy: give policies by -p, or apply what `watchpolicy crd` prints"
        ),
        error => anyhow!("the cluster's policies cannot be listed: {error}; give some by -p"),
    }
}

/// More are no policies of people.
const MOST: usize = 20_000;

#[derive(Default)]
struct Stored {
    policies: Policies,
    troubles: Vec<Trouble>,
}

impl Taker for Stored {
    fn begin(&mut self) {
        *self = Self::default();
    }

    fn take(&mut self, raw: &str) {
        let policy = match serde_json::from_str::<WatchPolicy>(raw) {
            Ok(policy) => policy,
            Err(error) => {
                let name = name(raw).unwrap_or_else(|| "without a name".to_owned());
                let message = format!("policy {name} cannot be read by this version: {error}");
                return self.troubles.push(Trouble::of_cluster(message));
            }
        };
        match compile(&policy, &settings()) {
            Ok(program) => self.policies.push(Arc::new(program)),
            Err(faults) => self.troubles.extend(faults.iter().map(|fault| {
                let name = policy.metadata.name.as_deref().unwrap_or_default();
                Trouble::of_cluster(format!("policy {name}: {fault}"))
            })),
        }
    }

    fn turn(&mut self) -> ControlFlow<()> {
        if self.policies.len() > MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn name(raw: &str) -> Option<String> {
    let object: serde_json::Value = serde_json::from_str(raw).ok()?;
    Some(object.pointer("/metadata/name")?.as_str()?.to_owned())
}
