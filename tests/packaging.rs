//! What is shipped, read as text: the Dockerfile, and what the chart holds copies of.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected should stop there and then")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The Dockerfile's instructions, without comments and with lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = read("Dockerfile");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", "");
    let split =
        |line: &str| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()));
    joined.lines().filter_map(split).collect()
}

/// The last stage, from its FROM on.
fn last_stage() -> Vec<(String, String)> {
    let all = instructions();
    let start = all.iter().rposition(|(name, _)| name == "FROM").unwrap();
    all.get(start..).unwrap().to_vec()
}

#[test]
fn every_base_of_the_image_is_pinned_to_the_release_of_rust_that_the_crate_names() {
    let all = instructions();
    let bases: Vec<_> =
        all.iter().filter(|(name, _)| name == "FROM").map(|(_, base)| base.as_str()).collect();
    assert_eq!(bases, ["${RUST_IMAGE} AS build", "scratch"]);
    let arg = all.iter().find_map(|(_, rest)| rest.strip_prefix("RUST_IMAGE=")).unwrap();
    let tag = arg.strip_prefix("docker.io/library/rust:").unwrap();
    let tag = tag.split('@').next().unwrap();
    let (rust, alpine) = tag.split_once("-alpine").unwrap();
    assert_eq!((rust.split('.').count(), alpine.split('.').count()), (3, 2), "{tag}");
    let minimum = read("Cargo.toml");
    let minimum = minimum.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    assert!(rust.starts_with(&format!("{}.", minimum.trim_matches('"'))), "{rust}, {minimum}");
}

#[test]
fn the_last_stage_is_the_binary_and_a_numeric_user_who_is_not_root() {
    let stage = last_stage();
    let names: Vec<_> = stage.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["FROM", "COPY", "USER", "EXPOSE", "ENTRYPOINT", "CMD"]);
    let told = |name: &str| stage.iter().find(|(given, _)| given == name).unwrap().1.as_str();
    assert_eq!(told("COPY"), "--from=build /src/out/watchpolicy /watchpolicy");
    assert_eq!(told("ENTRYPOINT"), r#"["/watchpolicy"]"#);
    let (user, group) = told("USER").split_once(':').unwrap();
    assert!(user.parse::<u32>().unwrap() > 0 && group.parse::<u32>().unwrap() > 0);
}

#[test]
fn the_build_is_sent_what_it_copies_and_nothing_else() {
    let ignore = read(".dockerignore");
    let rules: Vec<_> = ignore.lines().filter(|line| !line.starts_with('#')).collect();
    let (first, sent) = rules.split_first().unwrap();
    assert_eq!(*first, "*");
    let sent: Vec<_> = sent.iter().map(|rule| rule.strip_prefix('!').unwrap()).collect();
    let all = instructions();
    let copied = all.iter().filter(|(name, rest)| name == "COPY" && !rest.starts_with("--from"));
    let copied: Vec<_> = copied
        .flat_map(|(_, rest)| {
            let mut paths: Vec<_> = rest.split(' ').collect();
            paths.pop();
            paths
        })
        .collect();
    assert_eq!(copied, sent);
}

/// Runs the commands of the build stage as they stand, with a cargo that only writes down how it was called.
fn build(folder: &Path, platform: &str) -> Result<String, String> {
    let cargo = folder.join("cargo");
    let stub = "#!/bin/sh\necho \"$SOURCE_DATE_EPOCH | $RUSTFLAGS | $*\" >called\nwhile [ \"$1\" != --target ]; do shift; done\n\
                mkdir -p \"target/$2/release\"; echo \"$2\" >\"target/$2/release/watchpolicy\"\n";
    std::fs::write(&cargo, stub).unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = instructions().into_iter().find(|(name, _)| name == "RUN").unwrap().1;
    // What BuildKit mounts is no part of the commands.
    let commands: Vec<_> = run.split_whitespace().skip_while(|word| word.starts_with("--mount=")).collect();
    let commands = commands.join(" ");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &commands]).current_dir(folder).env("PATH", path).env("TARGETARCH", platform);
    let output = shell.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let called = std::fs::read_to_string(folder.join("called")).unwrap();
    // mimalloc tells when it was compiled.
    assert!(called.starts_with("0 | "), "{called}");
    assert!(called.contains("+crt-static") && called.contains("--locked --release"), "{called}");
    Ok(std::fs::read_to_string(folder.join("out/watchpolicy")).unwrap().trim().to_owned())
}

#[test]
fn the_build_makes_a_static_binary_of_each_platform_and_refuses_others() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("image");
    std::fs::create_dir_all(&folder).unwrap();
    assert_eq!(build(&folder, "amd64").unwrap(), "x86_64-unknown-linux-musl");
    assert_eq!(build(&folder, "arm64").unwrap(), "aarch64-unknown-linux-musl");
    assert!(build(&folder, "riscv64").unwrap_err().contains("riscv64: amd64 and arm64 are"));
}

#[test]
fn the_chart_holds_the_definition_that_the_types_make() {
    let same = read("charts/watchpolicy/files/watchpolicy.yaml") == read("crds/watchpolicy.yaml");
    assert!(same, "the chart has another definition than crds/watchpolicy.yaml: run `make crd`");
}

#[test]
fn the_chart_has_the_version_of_the_crate() {
    let chart = read("charts/watchpolicy/Chart.yaml");
    for field in ["version: ", "appVersion: "] {
        let version = chart.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        assert_eq!(version, env!("CARGO_PKG_VERSION"), "{field}");
    }
}

#[test]
fn whatever_names_a_version_of_the_image_names_that_of_the_crate() {
    let named = regex::Regex::new("watchpolicy:([0-9][^ ]*)").unwrap();
    for (page, least) in [("README.md", 1), ("docs/install.md", 1), ("docs/release.md", 1), ("Dockerfile", 2)]
    {
        let text = read(page);
        let found: Vec<_> = named.captures_iter(&text).map(|found| found[1].to_owned()).collect();
        assert!(found.len() >= least, "{page}");
        assert!(found.iter().all(|version| version == env!("CARGO_PKG_VERSION")), "{page}: {found:?}");
    }
}

#[test]
fn the_lock_file_of_the_fuzzer_has_the_version_of_the_crate() {
    let locked = format!("name = \"watchpolicy\"\nversion = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    assert!(read("fuzz/Cargo.lock").contains(&locked), "run `cargo update --workspace` in fuzz/");
}

/// The paths of all values; a map without a member, and a list, are values too.
fn of_values(path: &str, value: &Value, found: &mut Vec<String>) {
    match value.as_object().filter(|members| !members.is_empty() && !path.ends_with("Context")) {
        Some(members) => members.iter().for_each(|(name, value)| {
            of_values(&format!("{path}.{name}"), value, found);
        }),
        None => found.push(path.to_owned()),
    }
}

/// The paths of all values that a schema names.
fn of_schema(path: &str, schema: &Value, found: &mut Vec<String>) {
    match schema.get("properties").and_then(Value::as_object) {
        Some(members) => members.iter().for_each(|(name, schema)| {
            of_schema(&format!("{path}.{name}"), schema, found);
        }),
        None => found.push(path.to_owned()),
    }
}

#[test]
fn every_value_is_explained_where_it_stands() {
    let values = read("charts/watchpolicy/values.yaml");
    let mut bare = Vec::new();
    let mut above = "";
    // A map's own name needs none: its members have theirs. What follows an explained map is Kubernetes' own.
    let mut explained = None;
    for line in values.lines().filter(|line| !line.is_empty()) {
        let depth = line.len() - line.trim_start().len();
        let is_inside = explained.is_some_and(|outer| depth > outer);
        if !line.trim_start().starts_with('#') && !is_inside {
            let has_comment = above.trim_start().starts_with('#');
            explained = has_comment.then_some(depth);
            if !has_comment && !line.ends_with(':') {
                bare.push(line);
            }
        }
        above = line;
    }
    assert!(bare.is_empty(), "{bare:?}");
}

#[test]
fn what_changes_with_each_build_comes_after_what_is_kept() {
    let all = instructions();
    let place = |wanted: &str| {
        all.iter().position(|(name, rest)| format!("{name} {rest}").starts_with(wanted)).expect(wanted)
    };
    assert!(place("ARG WATCHPOLICY_REVISION") > place("COPY src"));
    let run = &all[place("RUN")].1;
    assert!(run.contains("target=/usr/local/cargo/registry"), "{run}");
    assert!(run.contains("target=/src/target,id=watchpolicy-target-${TARGETARCH}"), "{run}");
}

#[test]
fn every_value_has_a_default_and_a_schema_and_the_schema_names_no_other() {
    let (mut values, mut schema) = (Vec::new(), Vec::new());
    let defaults = serde_saphyr::from_str(&read("charts/watchpolicy/values.yaml")).unwrap();
    of_values("", &defaults, &mut values);
    let written = serde_json::from_str(&read("charts/watchpolicy/values.schema.json")).unwrap();
    of_schema("", &written, &mut schema);
    // What is below these is Kubernetes' own or the Prometheus operator's, what an umbrella chart adds has no default
    // here, and what has become another value is refused in words.
    let others = [
        ".nodeSelector",
        ".resources",
        ".monitoring.authorization",
        ".global",
        ".enabled",
        ".rbac.targets.defaults",
    ];
    let own = |path: &String| !others.iter().any(|p| path.starts_with(p));
    values.retain(own);
    schema.retain(own);
    values.sort();
    schema.sort();
    assert_eq!(values, schema);
}

#[test]
fn the_alerts_that_a_value_may_leave_out_are_those_of_the_chart() {
    let schema: Value = serde_json::from_str(&read("charts/watchpolicy/values.schema.json")).unwrap();
    let rules = &schema["properties"]["monitoring"]["properties"]["rules"]["properties"];
    let alerts: Value = serde_saphyr::from_str(&read("charts/watchpolicy/files/alerts.yaml")).unwrap();
    let alerts = alerts["groups"][0]["rules"].as_array().unwrap().iter().map(|rule| &rule["alert"]);
    let named = rules["disabled"]["items"]["enum"].as_array().unwrap();
    assert_eq!(named.iter().collect::<Vec<_>>(), alerts.collect::<Vec<_>>());
}

#[test]
fn the_verbs_that_a_value_may_name_are_those_that_it_grants() {
    let schema: Value = serde_json::from_str(&read("charts/watchpolicy/values.schema.json")).unwrap();
    let targets = &schema["properties"]["rbac"]["properties"]["targets"]["properties"];
    for (value, granted) in [("read", ["list", "watch"]), ("write", ["get", "patch"])] {
        let verbs = &targets[value]["items"]["properties"]["verbs"];
        let wanted: Vec<_> =
            verbs["allOf"].as_array().unwrap().iter().map(|each| &each["contains"]["const"]).collect();
        assert_eq!(wanted, granted, "{value}");
        assert!(verbs["description"].as_str().unwrap().contains(&granted.join(" and ")), "{value}");
    }
    assert_eq!(
        targets["write"]["items"]["properties"]["verbs"]["items"]["enum"],
        serde_json::json!(["get", "patch"])
    );
}
