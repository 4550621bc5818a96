//! What the whole language finds, case by case, and where its bounds are.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::resource::GroupResource;

use super::{Budget, Due, EvalError, Node, Path, Roots, Scope, Step, Trail, Tree};

fn deployments() -> Roots {
    Roots::of_builtin(&GroupResource::new("apps", "deployments"))
}

fn each(path: &str, object: &str) -> Vec<String> {
    let (object, roots, mut found) = (object.parse().unwrap(), deployments(), Vec::new());
    let scope = Scope::new(&object, &roots);
    let mut visit = |node: Node<'_>, trail: &Trail<'_>| {
        found.push(format!("{trail}={node}"));
        ControlFlow::Continue(())
    };
    Path::parse(path).unwrap().each(&scope, &mut Budget::default(), &mut visit).unwrap();
    found
}

fn places(path: &str, object: &str) -> (Due, Vec<String>) {
    let (object, roots, mut found) = (object.parse().unwrap(), deployments(), Vec::new());
    let scope = Scope::new(&object, &roots);
    let mut visit = |node: Option<Node<'_>>, trail: &Trail<'_>| {
        found.push(format!("{trail}={}", node.map_or("-".to_owned(), |node| node.to_string())));
        ControlFlow::Continue(())
    };
    let due = Path::parse(path).unwrap().places(&scope, &mut Budget::default(), &mut visit).unwrap();
    (due, found)
}

/// Which elements of an array a filter takes, as their indexes.
fn taken(filter: &str, array: &str) -> Vec<i64> {
    let (array, roots): (Tree, _) = (array.parse().unwrap(), Roots::default());
    let scope = Scope::new(&array, &roots);
    let path = Path::parse(&format!("$[?{filter}]")).unwrap_or_else(|error| panic!("{filter}: {error}"));
    let mut taken = Vec::new();
    let mut visit = |_: Node<'_>, trail: &Trail<'_>| {
        taken.extend(match trail.step() {
            Step::Element(index) => Some(index),
            _ => None,
        });
        ControlFlow::Continue(())
    };
    path.each(&scope, &mut Budget::default(), &mut visit).unwrap();
    taken
}

#[test]
fn slices_go_forth_and_back_and_clamp_at_the_ends() {
    let cases: [(&str, &[&str]); 14] = [
        ("$[1:3]", &["[1]=1", "[2]=2"]),
        ("$[:2]", &["[0]=0", "[1]=1"]),
        ("$[-2:]", &["[3]=3", "[4]=4"]),
        ("$[::2]", &["[0]=0", "[2]=2", "[4]=4"]),
        ("$[::-2]", &["[4]=4", "[2]=2", "[0]=0"]),
        ("$[3:1:-1]", &["[3]=3", "[2]=2"]),
        ("$[1::-1]", &["[1]=1", "[0]=0"]),
        ("$[:-4:-1]", &["[4]=4", "[3]=3", "[2]=2"]),
        ("$[-100:1]", &["[0]=0"]),
        ("$[100:2:-1]", &["[4]=4", "[3]=3"]),
        ("$[4:100]", &["[4]=4"]),
        ("$[3:1]", &[]),
        ("$[::0]", &[]),
        ("$[2:3:9007199254740991]", &["[2]=2"]),
    ];
    for (path, wanted) in cases {
        assert_eq!(each(path, "[0,1,2,3,4]"), wanted, "{path}");
        assert_eq!(each(path, r#"{"0":1}"#), [""; 0], "{path} of an object");
    }
}

#[test]
fn a_union_finds_what_each_selector_finds_in_their_order_and_twice_if_two_do() {
    let object = r#"{"a":[10,11,12],"b":1}"#;
    let cases: [(&str, &[&str]); 5] = [
        ("$['b','x','a'][0]", &["a[0]=10"]),
        ("$.a[2,0,0]", &["a[2]=12", "a[0]=10", "a[0]=10"]),
        ("$.a[1:, ?@==10, -1]", &["a[1]=11", "a[2]=12", "a[0]=10", "a[2]=12"]),
        ("$['b', *]", &["b=1", "a=[10,11,12]", "b=1"]),
        ("$['b', 0]", &["b=1"]),
    ];
    for (path, wanted) in cases {
        assert_eq!(each(path, object), wanted, "{path}");
    }
}

#[test]
fn descendants_are_found_parents_first() {
    let object = r#"{"a":{"a":1,"b":[{"a":2}]},"c":[[3]]}"#;
    assert_eq!(each("$..a", object), [r#"a={"a":1,"b":[{"a":2}]}"#, "a.a=1", "a.b[0].a=2"]);
    assert_eq!(each("$.c..[0]", object), ["c[0]=[3]", "c[0][0]=3"]);
    assert_eq!(each("$..[?@.a==2]", object), [r#"a.b[0]={"a":2}"#]);
    assert_eq!(each("$..x", object), [""; 0]);
    assert_eq!(each("$.a..*", object).len(), 4);
}

#[test]
fn comparisons_are_those_of_rfc_9535() {
    let array = r#"[{"a":1},{"a":1.0},{"a":"1"},{"a":null},{},{"a":[1,{"x":2}]},{"a":[1,{"x":2.0}]},{"a":true},{"a":"b"},{"a":2}]"#;
    let cases: [(&str, &[i64]); 20] = [
        ("@.a == 1", &[0, 1]),
        ("@.a == '1'", &[2]),
        ("@.a == null", &[3]),
        ("@.a == @.missing", &[4]),
        ("@.a != @.missing", &[0, 1, 2, 3, 5, 6, 7, 8, 9]),
        ("@.a <= @.missing", &[4]),
        ("@.a < @.missing", &[]),
        ("@.a == $[5].a", &[5, 6]),
        ("@.a <= $[5].a", &[5, 6]),
        ("@.a < 2", &[0, 1]),
        ("@.a >= 2", &[9]),
        ("@.a > '1'", &[8]),
        ("@.a >= true", &[7]),
        ("@.a > false", &[]),
        ("@.a", &[0, 1, 2, 3, 5, 6, 7, 8, 9]),
        ("!@.a", &[4]),
        ("@.a == 1 || @.a == 2 && @.b", &[0, 1]),
        ("(@.a == 1 || @.a == 2) && !(@.a == 2)", &[0, 1]),
        ("@ == $[4]", &[4]),
        ("1 == 1.0e0", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ];
    for (filter, wanted) in cases {
        assert_eq!(taken(filter, array), wanted, "{filter}");
    }
}

#[test]
fn integers_of_64_bits_are_compared_to_the_last_digit() {
    let array =
        "[9223372036854775806,9223372036854775807,9223372036854775808,18446744073709551615,9007199254740993]";
    let cases: [(&str, &[i64]); 6] = [
        ("@ == 9223372036854775807", &[1]),
        ("@ > 9223372036854775807", &[2, 3]),
        ("@ == 18446744073709551615", &[3]),
        ("@ <= 9007199254740993", &[4]),
        ("@ == 9007199254740992.0", &[]),
        ("@ >= -9223372036854775808", &[0, 1, 2, 3, 4]),
    ];
    for (filter, wanted) in cases {
        assert_eq!(taken(filter, array), wanted, "{filter}");
    }
}

#[test]
fn strings_are_ordered_by_code_point() {
    // In UTF-16 the emoji, a surrogate pair, would come before U+FF5E.
    let array = r#"["600Mi","512Mi","1Gi","～","😀"]"#;
    assert_eq!(taken("@ > '512Mi'", array), [0, 3, 4]);
    assert_eq!(taken("@ > '～'", array), [4]);
}

#[test]
fn functions_count_measure_and_match() {
    let array = r#"["aé😀",[1,2],{"a":1},7,null,"xaby","ab"]"#;
    let cases: [(&str, &[i64]); 11] = [
        ("length(@) == 3", &[0]),
        ("length(@) == 2", &[1, 6]),
        ("length(@) == length(@.x)", &[3, 4]),
        ("count(@.*) == 2", &[1]),
        ("count(@[0, 0]) == 2", &[1]),
        ("count(@.*) == 0", &[0, 3, 4, 5, 6]),
        ("value(@.*) == 1", &[2]),
        ("value(@[?@ > 1]) == 2", &[1]),
        ("match(@, 'ab')", &[6]),
        ("search(@, 'ab')", &[5, 6]),
        ("!search(@, 'a.')", &[1, 2, 3, 4]),
    ];
    for (filter, wanted) in cases {
        assert_eq!(taken(filter, array), wanted, "{filter}");
    }
    assert_eq!(taken("match(@, '.')", "[\"\\u2028\",\"\\n\",\"\\r\",\"😀\"]"), [0, 3]);
}

#[test]
fn a_filter_takes_members_too_and_sees_the_whole_from_within() {
    let object = r#"{"limit":2,"all":{"x":{"n":1},"y":{"n":3,"in":[{"n":3}]},"z":5}}"#;
    assert_eq!(each("$.all[?@.n > $.limit].n", object), ["all.y.n=3"]);
    assert_eq!(each("$.all[?@.in[?@.n == $.all.y.n]].n", object), ["all.y.n=3"]);
    assert_eq!(each("$.all[?@ == 5]", object), ["all.z=5"]);
    assert_eq!(each("$.limit[?@]", object), [""; 0]);
}

#[test]
fn inside_for_each_a_filters_root_is_the_element() {
    let (object, roots, mut found) = (
        r#"{"want":"b","all":[{"want":"a","of":["a","b"]}]}"#.parse::<Tree>().unwrap(),
        deployments(),
        Vec::new(),
    );
    let scope = Scope::new(&object, &roots);
    let (all, of) = (Path::parse("$.all").unwrap(), Path::parse("$.of[?@ == $.want]").unwrap());
    let mut element = |node: Node<'_>, trail: &Trail<'_>| {
        let mut visit = |node: Node<'_>, trail: &Trail<'_>| {
            found.push(format!("{trail}={node}"));
            ControlFlow::Continue(())
        };
        of.each(&scope.within(node, trail), &mut Budget::default(), &mut visit).unwrap();
        ControlFlow::Continue(())
    };
    all.elements(&scope, &mut Budget::default(), &mut element).unwrap();
    assert_eq!(found, [r#"all[0].of[0]="a""#]);
}

#[test]
fn the_tail_is_due_below_whatever_can_find_many() {
    let object = r#"{"l":[{"k":1,"v":2},{"k":1},{"k":3,"v":null}],"o":{"a":{"v":1},"b":{}}}"#;
    let cases: [(&str, &[&str]); 6] = [
        ("$.l[?@.k == 1].v", &["l[0].v=2", "l[1].v=-"]),
        ("$.l[1:].v", &["l[1].v=-", "l[2].v=-"]),
        ("$.o['a','b','c'].v", &["o.a.v=1", "o.b.v=-"]),
        ("$.o..v", &["o.a.v=1"]),
        ("$.l[?@.k > 1]", &[r#"l[2]={"k":3,"v":null}"#]),
        ("$..['b'].v", &["o.b.v=-"]),
    ];
    for (path, wanted) in cases {
        assert_eq!(
            places(path, object),
            (Due::Places, wanted.iter().map(|&text| text.into()).collect()),
            "{path}"
        );
    }
    for path in ["$.l[?@.k == 9].v", "$.l[9:].v", "$.o['x','y'].v", "$..x.v"] {
        assert_eq!(places(path, object), (Due::Nothing, Vec::new()), "{path}");
    }
}

const WORKLOAD: &str = r#"{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"x"},{"name":"b"}],
    "initContainers":[{"name":"c"},{"name":"d","restartPolicy":"Always"}],"ephemeralContainers":[{"name":"e"}]}}}}"#;

fn names(path: &str) -> String {
    each(path, WORKLOAD).iter().filter_map(|found| found.split('"').nth(1)).collect()
}

#[test]
fn containers_are_one_array_to_every_selector() {
    let cases = [
        ("$containers[?@.image].name", "a"),
        ("$containers[?!@.image].name", "bcde"),
        ("$containers[1:4:2].name", "bd"),
        ("$containers[::-1].name", "edcba"),
        ("$containers[-1, 0].name", "ea"),
        ("$containers[0, ?@.name > 'd'].name", "ae"),
        ("$containers..name", "abcde"),
        ("$containers..[0].name", "a"),
        ("$containers..[?@ == 'Always']", "Always"),
        ("$appContainers[*].name", "abd"),
        ("$appContainers[2].name", "d"),
        ("$appContainers[-1].name", "d"),
        ("$appContainers[?@.name != 'a'].name", "bd"),
    ];
    for (path, wanted) in cases {
        assert_eq!(names(path), wanted, "{path}");
    }
    assert_eq!(
        each("$appContainers[-1].name", WORKLOAD),
        [r#"spec.template.spec.initContainers[1].name="d""#]
    );
    assert_eq!(
        each("$appContainers", WORKLOAD),
        [
            r#"spec.template.spec.containers=[{"image":"x","name":"a"},{"name":"b"},{"name":"d","restartPolicy":"Always"}]"#
        ]
    );
}

#[test]
fn hostile_paths_on_large_objects_end_at_the_budget_and_soon() {
    let wide = format!("[{}]", vec![r#"{"a":"aaaaaaaaaaaaaaaa","b":[1,2]}"#; 20_000].join(","));
    let long =
        format!(r#"{{"t":"{0}","u":"{0}b","l":[{1}]}}"#, "a".repeat(500_000), vec!["1"; 20_000].join(","));
    let deep = format!("{}1{}", r#"{"a":["#.repeat(60), "]}".repeat(60));
    let cases = [
        ("$[?count($[*]) > 1]", &wide),
        ("$[?@.b[?count($[*]) == 3]]", &wide),
        ("$[?$ == $]", &wide),
        ("$..[?count($[*].b[*]) > 5]", &wide),
        ("$.l[?search($.t, 'a*a*a*b')]", &long),
        ("$.l[?$.t < $.u]", &long),
        ("$.l[?length($.t) == 1]", &long),
        ("$..[?@..a]", &deep),
        ("$..[*, *, *, *, *, *, *, *][*, *, *, *][*, *, *, *][*, *, *, *][*, *, *, *][*, *, *, *]", &deep),
    ];
    for (text, object) in cases {
        let Ok(path) = Path::parse(text) else { continue };
        let (object, roots): (Tree, _) = (object.parse().unwrap(), Roots::default());
        let scope = Scope::new(&object, &roots);
        let started = Instant::now();
        let ended = path.each(&scope, &mut Budget::default(), &mut |_, _| ControlFlow::Continue(()));
        assert_eq!(ended, Err(EvalError::OverBudget), "{text}");
        assert!(started.elapsed() < Duration::from_secs(2), "{text} took {:?}", started.elapsed());
    }
}
