//! The commands of kubectl and helm that the pages show, as these two know them. The rest of the pages is checked by
//! `tests/docs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use crate::harness::kubectl::Kubectl;
use crate::harness::{Helm, tools};

#[allow(dead_code, reason = "the checks of the other blocks need more of it")]
#[path = "../docs/blocks.rs"]
pub(crate) mod blocks;
#[allow(dead_code, reason = "the checks of the other blocks need more of it")]
#[path = "../docs/shell.rs"]
pub(crate) mod shell;

/// Commands of kubectl that have commands of their own.
const FAMILIES: [&str; 4] = ["auth", "create", "rollout", "set"];
/// Flags that may stand before the command, and have a value.
const BEFORE: [&str; 3] = ["-n", "--namespace", "--context"];

/// Each command that is shown: the program, the words that name the command, and its flags, by where it stands.
fn shown(program: &str) -> BTreeMap<String, (Vec<String>, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    for block in blocks::all().iter().filter(|block| block.language == "console") {
        for command in shell::lines(block).into_iter().flat_map(|line| line.commands) {
            if command[0] == program {
                let flags = command.iter().filter(|word| word.len() > 1 && word.starts_with('-'));
                let flags = flags.map(|word| word.split('=').next().unwrap().to_owned()).collect();
                found.insert(format!("{block}: {}", command.join(" ")), (name(&command[1..]), flags));
            }
        }
    }
    assert!(found.len() > 3, "{found:?}");
    found
}

fn name(words: &[String]) -> Vec<String> {
    let mut words = words.iter();
    let mut verb = words.next().unwrap();
    while BEFORE.contains(&verb.as_str()) {
        verb = words.nth(1).unwrap();
    }
    let more = words.next().filter(|_| FAMILIES.contains(&verb.as_str()));
    [verb].into_iter().chain(more).cloned().collect()
}

/// The flags that a help text names.
fn flags(help: &str) -> BTreeSet<String> {
    let words = help.split(|letter: char| !letter.is_alphanumeric() && letter != '-');
    words.filter(|word| word.len() > 1 && word.starts_with('-')).map(str::to_owned).collect()
}

/// What is shown and not known, by the help that `ask` gets.
async fn unknown(program: &str, global: &str, ask: impl AsyncFn(&[&str]) -> Result<String>) -> Vec<String> {
    let mut unknown = Vec::new();
    let global = flags(global);
    for (place, (name, used)) in shown(program) {
        let words: Vec<&str> = name.iter().map(String::as_str).chain(["--help"]).collect();
        match ask(&words).await {
            // Of a command that is not there, the help is that of the program.
            Ok(help) if !help.contains(&format!("Usage:\n  {program} {}", name.join(" "))) => {
                unknown.push(format!("{place}: there is no such command"));
            }
            Ok(help) => {
                let known = flags(&help);
                let strange = used.iter().filter(|flag| !known.contains(*flag) && !global.contains(*flag));
                unknown.extend(strange.map(|flag| format!("{place}: there is no {flag}")));
            }
            Err(error) => unknown.push(format!("{place}: {error:#}")),
        }
    }
    unknown
}

#[tokio::test]
async fn every_command_of_kubectl_on_the_pages_is_one_with_flags_that_it_has() {
    let nowhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("snippets.kubeconfig");
    let kubectl = Kubectl::new(&tools::controlplane().await.unwrap(), &nowhere);
    let global = kubectl.run(&["options"]).await.unwrap();
    let unknown = unknown("kubectl", &global, async |words| kubectl.run(words).await).await;
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[tokio::test]
async fn every_command_of_helm_on_the_pages_is_one_with_flags_that_it_has() {
    let helm = Helm::offline(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("snippets.helm")).await.unwrap();
    let unknown = unknown("helm", "", async |words| helm.run(words).await).await;
    assert!(unknown.is_empty(), "{unknown:#?}");
}
