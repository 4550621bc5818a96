//! Laws that hold for any document and any path.

use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::text;
use super::{
    Budget, DEFAULT_STEPS, Document, Due, Node, Path, PathError, Planner, Projection, Roots, Scope, Survey,
    Trail, Tree, TypeMeta,
};

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&text::NAMES[..])
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Short ones, which every parser reads alike.
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        "[a-c\"\\\\é]{0,3}".prop_map(Value::from),
        Just(Value::from("Always")),
    ];
    leaf.prop_recursive(5, 60, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|members| { Value::Object(members.into_iter().collect()) }),
        ]
    })
}

/// An object with random metadata below its name.
fn object() -> impl Strategy<Value = Value> {
    (prop::collection::hash_map(name().prop_map(str::to_owned), value(), 0..6), value()).prop_map(
        |(members, annotations)| {
            let mut object = Value::Object(members.into_iter().collect());
            object["metadata"] = json!({"name": "x", "uid": "u", "a": annotations});
            object["kind"] = "Pod".into();
            object["apiVersion"] = "v1".into();
            object
        },
    )
}

fn path() -> impl Strategy<Value = Path> {
    let root =
        prop::sample::select(vec!["$", "$object", "$pod", "$podSpec", "$containers", "$appContainers"]);
    (root, text::segments()).prop_filter_map("`$containers` has no members", |(root, segments)| {
        Path::parse(&format!("{root}{segments}")).ok()
    })
}

fn roots() -> impl Strategy<Value = Roots> {
    let names = prop::collection::vec(name().prop_map(Arc::from), 0..2);
    prop::option::weighted(0.9, names)
        .prop_map(|names| Roots { pod: names.map(Vec::into_boxed_slice), ..Roots::default() })
}

fn projection() -> impl Strategy<Value = Projection> {
    let read = (path(), prop::option::of(path()), roots());
    (prop::collection::vec(read, 0..5), any::<bool>()).prop_map(|(reads, labels)| {
        let mut projection = Projection::default();
        reads.iter().for_each(|(path, under, roots)| projection.read(path, roots, under.as_ref()));
        if labels {
            projection.read_labels();
        }
        projection
    })
}

fn merged(left: &Projection, right: &Projection) -> Projection {
    let mut both = left.clone();
    both.merge(right);
    both
}

/// Everything that an evaluation tells, as text.
fn told(path: &Path, scope: &Scope<'_>) -> Vec<String> {
    let mut told = Vec::new();
    let mut each = |node: Node<'_>, trail: &Trail<'_>| {
        told.push(format!("{trail}={node}"));
        ControlFlow::Continue(())
    };
    let end = path.each(scope, &mut Budget::default(), &mut each);
    told.push(format!("{end:?}"));
    let mut place = |node: Option<Node<'_>>, trail: &Trail<'_>| {
        told.push(format!("{trail}={node:?}"));
        ControlFlow::Continue(())
    };
    let end = path.places(scope, &mut Budget::default(), &mut place);
    told.push(format!("{end:?}"));
    told
}

/// The same of every element of a `forEach`.
fn told_of_elements(under: &Path, path: &Path, scope: &Scope<'_>) -> Vec<String> {
    let mut all = Vec::new();
    let mut element = |node: Node<'_>, trail: &Trail<'_>| {
        all.push(trail.to_string());
        all.extend(told(path, &scope.within(node, trail)));
        ControlFlow::Continue(())
    };
    let end = under.elements(scope, &mut Budget::default(), &mut element);
    all.push(format!("{end:?}"));
    all
}

/// What is due at a path that is walked alone, and the steps that it takes.
fn due_alone(path: &Path, scope: &Scope<'_>) -> Option<(Vec<Option<Tree>>, u32)> {
    let (mut places, mut budget) = (Vec::new(), Budget::default());
    let mut place = |node: Option<Node<'_>>, _: &Trail<'_>| {
        places.push(node.map(Tree::from));
        ControlFlow::Continue(())
    };
    let end = path.places(scope, &mut budget, &mut place).ok()?;
    assert_eq!(end == Due::Nothing, places.is_empty());
    Some((places, budget.spent_of(DEFAULT_STEPS)))
}

/// The elements of a `forEach` that is walked alone, and the steps that it takes.
fn elements_alone(path: &Path, scope: &Scope<'_>) -> Option<(Vec<Option<Tree>>, u32)> {
    let (mut elements, mut budget) = (Vec::new(), Budget::default());
    let mut element = |node: Node<'_>, _: &Trail<'_>| {
        elements.push(Some(Tree::from(node)));
        ControlFlow::Continue(())
    };
    path.elements(scope, &mut budget, &mut element).ok()?;
    Some((elements, budget.spent_of(DEFAULT_STEPS)))
}

fn decode(object: &Value, projection: &Projection) -> Tree {
    let types = TypeMeta { api_version: "v1".into(), kind: "Pod".into() };
    Document::decode(&object.to_string(), projection, &types).unwrap().root.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_path_finds_in_the_projection_what_it_finds_in_the_object(
        object in object(), path in path(), others in prop::collection::vec(path(), 0..3), roots in roots()
    ) {
        let mut projection = Projection::default();
        others.iter().chain([&path]).for_each(|path| projection.read(path, &roots, None));
        let (whole, kept) = (Tree::from(&object), decode(&object, &projection));
        prop_assert_eq!(told(&path, &Scope::new(&whole, &roots)), told(&path, &Scope::new(&kept, &roots)));
    }

    #[test]
    fn a_for_each_finds_in_the_projection_what_it_finds_in_the_object(
        object in object(), under in path(), path in path(), roots in roots()
    ) {
        let mut projection = Projection::default();
        projection.read(&path, &roots, Some(&under));
        let (whole, kept) = (Tree::from(&object), decode(&object, &projection));
        prop_assert_eq!(
            told_of_elements(&under, &path, &Scope::new(&whole, &roots)),
            told_of_elements(&under, &path, &Scope::new(&kept, &roots))
        );
    }

    #[test]
    fn a_place_is_due_exactly_where_a_head_is_found(object in object(), path in path(), roots in roots()) {
        let whole = Tree::from(&object);
        let scope = Scope::new(&whole, &roots);
        let mut visited = 0;
        let mut place = |_: Option<Node<'_>>, _: &Trail<'_>| {
            visited += 1;
            ControlFlow::Continue(())
        };
        let due = path.places(&scope, &mut Budget::default(), &mut place);
        prop_assert_eq!(due.is_ok_and(|due| due == Due::Places), visited > 0);
    }

    #[test]
    fn paths_find_together_what_each_finds_alone_and_never_for_less(
        object in object(), paths in prop::collection::vec(path(), 1..6), roots in roots()
    ) {
        let whole = Tree::from(&object);
        let (scope, mut planner) = (Scope::new(&whole, &roots), Planner::new(&roots));
        let planned: Vec<_> =
            paths.iter().map(|path| [planner.path(path), planner.elements(path)]).collect();
        let plan = planner.finish();
        let mut survey = Survey::new(&plan, &whole);
        survey.find(planned.iter().flatten().flatten().copied());
        for (path, [due, elements]) in paths.iter().zip(planned) {
            let due = (due, due_alone(path, &scope), true);
            let elements = (elements, elements_alone(path, &scope), false);
            for (together, alone, counts_nothing) in [due, elements] {
                let mut budget = Budget::default();
                let places = together.and_then(|together| survey.places(together, &mut budget));
                let Some(places) = places else { continue };
                let counts = places.iter().filter(|node| counts_nothing || node.is_some());
                let (wanted, steps) = alone.unwrap();
                prop_assert_eq!(counts.map(|node| node.map(Tree::from)).collect::<Vec<_>>(), wanted, "{}", path);
                let paid = budget.spent_of(DEFAULT_STEPS);
                prop_assert!(paid >= steps, "{}: {} steps together, {} alone", path, paid, steps);
            }
        }
    }

    #[test]
    fn what_is_not_found_together_has_no_place_there(path in path(), roots in roots()) {
        let mut planner = Planner::new(&roots);
        let is_one_value = path.root().joins_containers() && path.segments().is_empty();
        let lacks_pod = path.root().needs_pod() && roots.pod.is_none();
        prop_assert_eq!(planner.path(&path).is_none(), is_one_value || lacks_pod);
        prop_assert_eq!(planner.elements(&path).is_none(), lacks_pod);
    }

    #[test]
    fn a_merged_projection_covers_its_parts_in_either_order(left in projection(), right in projection()) {
        let both = merged(&left, &right);
        prop_assert!(both.covers(&left) && both.covers(&right));
        prop_assert_eq!(&both, &merged(&right, &left));
        prop_assert_eq!(&both, &merged(&both, &left));
        prop_assert_eq!(left.covers(&right), merged(&left, &right) == left);
    }

    #[test]
    fn merging_is_associative(a in projection(), b in projection(), c in projection()) {
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
    }

    #[test]
    fn the_normal_spelling_of_a_path_reads_as_that_path(path in path()) {
        let normal = path.to_string();
        let read = Path::parse(&normal);
        prop_assert_eq!(read.as_ref().map(Path::to_string), Ok(normal));
        prop_assert_eq!(read, Ok(path));
    }

    #[test]
    fn no_text_is_too_strange_to_be_answered(text in r"[$@.*\[\]'\x22\\a-c0-3 ?(),:{}!=&é-]{0,40}") {
        if let Err(error) = Path::parse(&text) {
            prop_assert!(error.position <= text.chars().count());
        }
    }

    #[test]
    fn following_suggestions_comes_to_an_end(text in r"[$a@]?[.*\[\]'a-c0-3 {}é/-]{0,12}") {
        // Each mends one mistake, and a mistake takes a character at least.
        let mut text = text;
        for _ in 0..16 {
            match Path::parse(&text) {
                Err(PathError { suggestion: Some(spelling), .. }) => text = spelling,
                Ok(_) | Err(_) => return Ok(()),
            }
        }
        prop_assert!(false, "still suggesting {}", text);
    }

    #[test]
    fn text_of_a_node_reads_as_that_node(value in value()) {
        let node = Tree::from(&value);
        prop_assert_eq!(node.to_string().parse::<Tree>().unwrap(), node);
    }
}
