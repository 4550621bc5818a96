//! What `kubectl api-resources` prints, wide or plain, with or without its header.

use std::sync::Arc;

use crate::cli::input::Trouble;

use super::known::{Kind, Resource};

/// Reads the lines; each is a name, perhaps short names, an apiVersion, whether namespaced, a kind and perhaps more.
pub(super) fn read(file: &Arc<str>, text: &str, troubles: &mut Vec<Trouble>) -> Vec<(Kind, Resource)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if matches!(words.first(), None | Some(&"NAME")) {
            continue;
        }
        match entry(&words) {
            Some(entry) => found.push(entry),
            None => troubles.push(Trouble {
                file: Some(Arc::clone(file)),
                line: Some(number),
                message:
                    "not a line of `kubectl api-resources`: wanted NAME, APIVERSION, NAMESPACED and KIND"
                        .into(),
            }),
        }
    }
    found
}

fn entry(words: &[&str]) -> Option<(Kind, Resource)> {
    let at = words.iter().position(|word| matches!(*word, "true" | "false"))?;
    let (plural, api_version) = (words.first()?, words.get(at.checked_sub(1)?)?);
    if at < 2 {
        return None;
    }
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = words.get(at + 1)?;
    let resource = Resource::new(group, plural, words.get(at) == Some(&"true"));
    Some((Kind::new(group, kind), resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> (Vec<String>, Vec<String>) {
        let mut troubles = Vec::new();
        let found = read(&"file".into(), text, &mut troubles);
        let found = found.iter().map(|(_, resource)| format!("{} {}", resource.name, resource.namespaced));
        (found.collect(), troubles.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn plain_and_wide_lines_are_read() {
        let text = "NAME SHORTNAMES APIVERSION NAMESPACED KIND\n\
                    bindings              v1        true   Binding\n\
                    nodes       no        v1        false  Node\n\
                    proxies               example.com/v1beta1  true  Proxy  create,delete,list  all\n";
        let (found, troubles) = names(text);
        assert_eq!(found, ["bindings true", "nodes false", "proxies.example.com true"]);
        assert!(troubles.is_empty(), "{troubles:?}");
    }

    #[test]
    fn a_line_of_something_else_is_named() {
        let (found, troubles) = names("pods po v1 true Pod\nerror: no such host\n");
        assert_eq!(found, ["pods true"]);
        assert!(troubles[0].starts_with("file:2: not a line of `kubectl api-resources`"), "{troubles:?}");
    }
}
