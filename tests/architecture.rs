//! The laws of the rooms (`docs/architecture.md`), held by reading the sources.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected should stop there and then")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// Which room may use which. A room that is not named here does not exist.
const EDGES: &[(&str, &[&str])] = &[
    ("resource", &[]),
    ("backoff", &[]),
    ("crd", &[]),
    ("jsonpath", &["resource"]),
    ("policy", &["crd", "jsonpath", "resource"]),
    ("metrics", &["resource"]),
    ("queue", &["backoff", "metrics", "resource"]),
    ("store", &["crd", "jsonpath", "metrics", "policy", "resource"]),
    ("ledger", &["bell", "crd", "policy", "resource"]),
    ("observe", &["backoff", "bell", "crd", "jsonpath", "metrics", "policy", "queue", "resource", "store"]),
    ("enforce", &["crd", "jsonpath", "leader", "ledger", "metrics", "policy", "queue", "resource", "store"]),
    ("leader", &[]),
    ("report", &["backoff", "bucket", "crd", "leader", "ledger", "metrics", "observe", "policy", "resource"]),
    ("access", &["bucket"]),
    ("bell", &[]),
    ("bucket", &[]),
    ("cluster", &[]),
    ("http", &["access", "metrics", "report"]),
    ("logging", &["config"]),
    ("shutdown", &[]),
    ("config", &[]),
    ("cli", &["access", "cluster", "config", "crd", "jsonpath", "observe", "policy", "report", "resource"]),
    (
        "app",
        &[
            "access", "backoff", "cluster", "config", "enforce", "http", "leader", "ledger", "metrics",
            "observe", "policy", "queue", "report", "resource", "shutdown", "store",
        ],
    ),
];

/// What a pure room may use from outside the house: no runtime, client, log, metric, randomness.
const PURE: &[(&str, &[&str])] = &[
    (
        "jsonpath",
        &[
            "std",
            "core",
            "serde",
            "serde_json",
            "thiserror",
            "jsonpath_rust",
            "regex",
            "ahash",
            "hashbrown",
            "smallvec",
        ],
    ),
    (
        "policy",
        &[
            "std",
            "core",
            "serde",
            "serde_json",
            "thiserror",
            "regex",
            "k8s_openapi",
            "ahash",
            "hashbrown",
            "ipnet",
            "jiff",
            "semver",
            "strsim",
        ],
    ),
];

/// All that a file names by a path.
#[derive(Default)]
struct Paths {
    found: BTreeSet<Vec<String>>,
}

impl Paths {
    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => drop(self.found.insert(with(&name.ident))),
            syn::UseTree::Rename(rename) => drop(self.found.insert(with(&rename.ident))),
            syn::UseTree::Glob(_) => drop(self.found.insert(before.to_vec())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.found.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|cfg| cfg == "test")
        });
        if !is_test {
            syn::visit::visit_item_mod(self, item);
        }
    }
}

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let of_tests: Vec<_> = found.iter().flat_map(|path| test_modules(path)).collect();
    found.retain(|path| {
        !of_tests.iter().any(|module| path.starts_with(module) || path.with_extension("") == *module)
    });
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|cfg| cfg == "test")
    })
}

/// The files, without extension, of a file's `#[cfg(test)] mod name;`.
fn test_modules(path: &Path) -> Vec<PathBuf> {
    let folder = match path.file_stem().unwrap().to_str().unwrap() {
        "mod" | "lib" | "main" => path.parent().unwrap().to_owned(),
        _ => path.with_extension(""),
    };
    let module = |item: &syn::Item| {
        let syn::Item::Mod(module) = item else { return None };
        if !is_for_tests(&module.attrs) || module.content.is_some() {
            return None;
        }
        let named = module.attrs.iter().find(|attribute| attribute.path().is_ident("path"));
        Some(match named.map(|attribute| &attribute.meta) {
            Some(syn::Meta::NameValue(syn::MetaNameValue {
                value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(file), .. }),
                ..
            })) => path.parent().unwrap().join(file.value()).with_extension(""),
            _ => folder.join(module.ident.to_string()),
        })
    };
    syn::parse_file(&text(path)).unwrap().items.iter().filter_map(module).collect()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The room that a file is in: the folder, or the file's own name.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = Path::new(inside.iter().next().unwrap());
    first.file_stem().unwrap().to_string_lossy().into_owned()
}

fn paths(path: &Path) -> BTreeSet<Vec<String>> {
    let mut paths = Paths::default();
    paths.visit_file(&syn::parse_file(&text(path)).unwrap());
    paths.found
}

/// Files of the house, without its front doors.
fn rooms() -> impl Iterator<Item = (String, PathBuf)> {
    sources().into_iter().map(|path| (room(&path), path)).filter(|(room, _)| room != "lib" && room != "main")
}

#[test]
fn rooms_use_only_the_rooms_that_they_may() {
    let edges: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let mut wrong = Vec::new();
    for (room, path) in rooms() {
        let Some(allowed) = edges.get(room.as_str()) else {
            wrong.push(format!("{room}: a room without an entry in EDGES"));
            continue;
        };
        for used in paths(&path) {
            if let [first, other, ..] = used.as_slice()
                && first == "crate"
                && *other != room
                && !allowed.contains(&other.as_str())
            {
                wrong.push(format!("{}: {room} may not use {other} ({})", path.display(), used.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_edge_is_allowed_that_nobody_uses() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (room, path) in rooms() {
        for path in paths(&path) {
            if let [first, other, ..] = path.as_slice()
                && first == "crate"
            {
                used.entry(room.clone()).or_default().insert(other.clone());
            }
        }
    }
    for (room, allowed) in EDGES {
        for other in *allowed {
            assert!(
                used.get(*room).is_some_and(|used| used.contains(*other)),
                "{room} does not use {other}: take the edge out"
            );
        }
    }
}

#[test]
fn the_judging_rooms_are_pure() {
    let names: BTreeSet<String> = rooms().map(|(room, _)| room).collect();
    for (pure, allowed) in PURE {
        assert!(names.contains(*pure));
        for (_, path) in rooms().filter(|(room, _)| room == pure) {
            let text = text(&path);
            let product = text.split("#[cfg(test)]").next().unwrap();
            for used in product.lines().filter_map(|line| line.trim().strip_prefix("use ")) {
                let root = used.split([':', ';', ' ']).next().unwrap();
                let own = ["crate", "self", "super"].contains(&root);
                let local = path.parent().unwrap().join(format!("{root}.rs")).exists();
                assert!(
                    own || local || allowed.contains(&root),
                    "{}: {pure} may not use {root}",
                    path.display()
                );
            }
            for clock in [
                "async fn",
                ".await",
                "Instant::now",
                "SystemTime",
                "Timestamp::now",
                "Zoned::now",
                "println!",
            ] {
                assert!(!product.contains(clock), "{}: {pure} is pure, and says {clock}", path.display());
            }
        }
    }
}

/// Where a request that changes something may be built: the gate to judged objects, what is written about objects, the
/// elector's Lease, and reviews and the command line's request for a token, which change nothing.
#[test]
fn only_the_gate_the_reporters_and_the_elector_change_anything_in_the_cluster() {
    let verbs = [
        "Request::post",
        "Request::put",
        "Request::patch",
        "Request::delete",
        "Method::",
        ".patch(",
        ".patch_status(",
    ];
    for (room, path) in rooms() {
        let text = text(&path);
        let product = text.split("#[cfg(test)]").next().unwrap();
        let found: Vec<_> = verbs.iter().filter(|verb| product.contains(**verb)).collect();
        let asks = ["observe/wire.rs", "access/review.rs", "cli/violations/ask.rs"]
            .iter()
            .any(|file| path.ends_with(file));
        let access_review = asks && product.matches("Request::post").count() == 1;
        match room.as_str() {
            // Requests are sent in one place, which wants a permit.
            "report" => {
                let sends = product.contains("client.send(");
                assert_eq!(sends, path.ends_with("report/server.rs"), "{}", path.display());
                assert!(!sends || product.contains("permit.guard("), "without a permit nothing is written");
                let allowed =
                    ["report/patch.rs", "report/finalizer.rs", "events/object.rs", "openreports/requests.rs"];
                let builds = allowed.iter().any(|file| path.ends_with(file));
                assert!(found.is_empty() || builds, "{} builds {found:?}", path.display());
            }
            "leader" if path.ends_with("leader/store.rs") => {
                assert_eq!(found, [&"Request::post", &"Request::put"], "the Lease is made and replaced");
            }
            "enforce" if path.ends_with("enforce/gate.rs") => {
                assert_eq!(found, [&"Request::patch"], "judged objects are patched, never made or deleted");
                assert_eq!(product.matches("Request::").count(), 3, "two GETs and one PATCH");
                assert!(product.contains("permit.guard("), "without a permit nothing is written");
            }
            _ if access_review => assert_eq!(found, [&"Request::post"], "{}", path.display()),
            _ => assert!(found.is_empty(), "{} builds {found:?}", path.display()),
        }
    }
}

#[test]
fn of_all_that_is_written_only_reports_are_ever_listed() {
    for (_, path) in rooms().filter(|(room, _)| room == "report" || room == "enforce") {
        let text = text(&path);
        let product = text.split("#[cfg(test)]").next().unwrap();
        let lists = product.contains(".list(") || product.contains(".watch(");
        assert_eq!(lists, path.ends_with("openreports/requests.rs"), "{}", path.display());
    }
}

/// Group, resource, namespace and name are fields of their own, so that lines are found by them: see `log_object`.
#[test]
fn log_lines_name_an_object_or_a_resource_by_its_parts() {
    let whole = ["%key", "?key", "%place", "?place", "%resource", "?resource", "object = %", "resource = %"];
    for (_, path) in rooms() {
        let text = text(&path);
        let found: Vec<_> = whole.iter().filter(|field| text.contains(**field)).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}

#[test]
fn tasks_belong_to_somebody() {
    for (_, path) in rooms() {
        let text = text(&path);
        let product = text.split("#[cfg(test)]").next().unwrap();
        assert!(!product.contains("tokio::spawn("), "{}: spawn into a JoinSet", path.display());
        assert!(!product.contains("unbounded_channel"), "{}: give the channel a bound", path.display());
    }
}

#[test]
fn door_plates_hold_no_logic() {
    for (_, path) in rooms().filter(|(_, path)| path.ends_with("mod.rs")) {
        let file = syn::parse_file(&text(&path)).unwrap();
        for item in file.items {
            assert!(
                matches!(item, syn::Item::Mod(_) | syn::Item::Use(_)),
                "{}: a door plate is a paragraph and re-exports",
                path.display()
            );
        }
    }
}
