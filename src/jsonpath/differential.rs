//! Our evaluation beside that of two other implementations, on random documents and paths.

use std::ops::ControlFlow;

use jsonpath_rust::JsonPath as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::text::{self, NAMES};
use super::{Budget, Node, Path, Roots, Scope, Tree};

/// Members named as the paths name them, with few and equal values, so that filters find something.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select(vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(1),
        json!(1.0),
        json!(-1.5),
        json!(10),
        json!("a"),
        json!("ab"),
        json!("é"),
        json!(""),
    ]);
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(&NAMES[..]).prop_map(str::to_owned), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What we find: normalized paths, and values.
fn found(path: &str, document: &Value) -> Vec<(String, Tree)> {
    let (node, roots, mut found) = (Tree::from(document), Roots::default(), Vec::new());
    let scope = Scope::new(&node, &roots);
    let mut visit = |node: Node<'_>, trail: &super::Trail<'_>| {
        found.push((trail.normalized().to_string(), Tree::from(node)));
        ControlFlow::Continue(())
    };
    Path::parse(path).unwrap().each(&scope, &mut Budget::new(10_000_000), &mut visit).unwrap();
    found
}

/// What serde_json_path finds.
fn found_by_serde_json_path(path: &str, document: &Value) -> Vec<(String, Tree)> {
    let path = serde_json_path::JsonPath::parse(path).unwrap();
    let nodes = path.query_located(document);
    nodes.iter().map(|node| (node.location().to_string(), Tree::from(node.node()))).collect()
}

/// The values that jsonpath-rust finds.
fn found_by_jsonpath_rust(path: &str, document: &Value) -> Vec<Tree> {
    document.query(path).unwrap().into_iter().map(Tree::from).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_serde_json_path_finds_is_found(document in document(), segments in text::segments()) {
        let path = format!("${segments}");
        let compares_from_the_end = path.split_once("[?").is_some_and(|(_, filter)| filter.contains("[-"));
        prop_assume!(Path::parse(&path).is_ok() && !path.contains("<=") && !path.contains('>'));
        prop_assume!(!compares_from_the_end);
        prop_assert_eq!(found(&path, &document), found_by_serde_json_path(&path, &document), "{} in {}", path, document);
    }

    /// It lists what `..` finds in another order.
    #[test]
    fn what_jsonpath_rust_finds_is_found(document in document(), segments in text::segments()) {
        let path = format!("${segments}");
        // Also where the filter is one selector of several.
        let filters_current = path.split("@[").skip(1).any(|rest| rest.split(']').next().is_some_and(|of| of.contains('?')));
        prop_assume!(Path::parse(&path).is_ok() && !filters_current && !path.contains("count("));
        let ours: Vec<Tree> = found(&path, &document).into_iter().map(|(_, value)| value).collect();
        prop_assert_eq!(
            sorted(&ours), sorted(&found_by_jsonpath_rust(&path, &document)), "{} in {}", path, document
        );
    }
}

fn sorted(values: &[Tree]) -> Vec<String> {
    let mut texts: Vec<String> = values.iter().map(Tree::to_string).collect();
    texts.sort();
    texts
}

/// RFC 9535, 2.3.5.2.2: `<=` is true where `==` is, and nothing equals nothing.
#[test]
fn serde_json_path_does_not_find_that_nothing_is_at_most_nothing() {
    let document = json!([1]);
    for path in ["$[?@.x <= @.y]", "$[?@.x >= @.y]"] {
        assert_eq!(found(path, &document).len(), 1, "{path}");
        assert_eq!(found_by_serde_json_path(path, &document).len(), 0, "{path}: mended, compare it again");
    }
}

/// RFC 9535, 2.3.5.2.2: only numbers and strings have an order.
#[test]
fn serde_json_path_finds_an_order_where_there_is_none() {
    for (one, other) in [(json!({"x": 1}), json!({})), (json!([1]), json!([2])), (json!(true), json!(false))]
    {
        let (path, document) = ("$[?@.a > @.b]", json!([{"a": one, "b": other}]));
        assert_eq!(found(path, &document).len(), 0, "{document}");
        assert_eq!(
            found_by_serde_json_path(path, &document).len(),
            1,
            "{document}: mended, compare it again"
        );
    }
}

#[test]
fn jsonpath_rust_does_not_find_what_it_should_in_known_cases() {
    let cases = [
        ("$[?count(@.x) == 0]", json!([1])),
        ("$[?@[?@ == 1]]", json!([[1], [2]])),
        ("$[?@ == 9007199254740993]", json!([9_007_199_254_740_993_i64])),
    ];
    for (path, document) in cases {
        assert_eq!(found(path, &document).len(), 1, "{path}");
        let theirs = document.query(path).map(|found| found.len());
        assert!(theirs.is_err() || theirs.is_ok_and(|found| found != 1), "{path}: mended, compare it again");
    }
}

/// RFC 9535, 2.3.3.2: an index that is negative counts from the end, in a comparison too.
#[test]
fn serde_json_path_finds_nothing_at_a_negative_index_that_it_compares() {
    let (path, document) = ("$[?@['a'] == @[-1]]", json!([[null]]));
    assert_eq!(found(path, &document).len(), 0);
    assert_eq!(found_by_serde_json_path(path, &document).len(), 1, "mended, compare it again");
}
