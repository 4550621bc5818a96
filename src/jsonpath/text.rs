//! Random paths of the whole language, as text.

use proptest::prelude::*;

/// Members of the random documents that they are meant for.
pub(super) const NAMES: [&str; 6] = ["a", "b", "c d", "spec", "containers", "initContainers"];

/// Up to four segments, one of them with `..` perhaps.
pub(super) fn segments() -> impl Strategy<Value = String> {
    let descendants = prop::option::weighted(0.2, bracketed(selector(filter(1))));
    let before = prop::collection::vec(segment(1), 0..3);
    let after = prop::collection::vec(segment(1), 0..2);
    (before, descendants, after).prop_map(|(before, descendants, after)| {
        let descendants = descendants.map(|inner| format!("..{inner}")).unwrap_or_default();
        format!("{}{descendants}{}", before.concat(), after.concat())
    })
}

fn segment(filters: u32) -> BoxedStrategy<String> {
    if filters == 0 {
        return prop_oneof![4 => singular_segment(), 2 => bracketed(selector(Just("*".to_owned()).boxed()))]
            .boxed();
    }
    prop_oneof![4 => singular_segment(), 3 => bracketed(selector(filter(filters - 1)))].boxed()
}

fn singular_segment() -> impl Strategy<Value = String> {
    prop_oneof![5 => quoted().prop_map(|name| format!("[{name}]")), 1 => index().prop_map(|at| format!("[{at}]"))]
}

fn quoted() -> impl Strategy<Value = String> {
    let names = NAMES.into_iter().chain(["metadata", "kind", "name"]).collect::<Vec<_>>();
    prop::sample::select(names).prop_map(|name| format!("'{name}'"))
}

fn index() -> impl Strategy<Value = String> {
    (-3i64..3).prop_map(|at| at.to_string())
}

fn bracketed(selector: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let several = prop::collection::vec(selector.clone(), 2..4).prop_map(|all| all.join(", "));
    prop_oneof![4 => selector, 1 => several].prop_map(|selectors| format!("[{selectors}]"))
}

fn selector(filter: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let bound = || prop::option::of(-4i64..5).prop_map(|at| at.map(|at| at.to_string()).unwrap_or_default());
    let slice = (bound(), bound(), prop::option::of(-2i64..3)).prop_map(|(start, end, step)| match step {
        Some(step) => format!("{start}:{end}:{step}"),
        None => format!("{start}:{end}"),
    });
    prop_oneof![3 => quoted(), 1 => index(), 2 => Just("*".to_owned()), 1 => slice, 3 => filter].boxed()
}

/// A filter, with filters nested in it so many times.
fn filter(nested: u32) -> BoxedStrategy<String> {
    let compared =
        (operand(nested), prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]), operand(nested))
            .prop_map(|(left, operator, right)| format!("{left} {operator} {right}"));
    let matched = (prop::sample::select(vec!["match", "search"]), singular(), "[a-c]{1,2}[*+]?")
        .prop_map(|(name, query, pattern)| format!("{name}({query}, '{pattern}')"));
    let atom = prop_oneof![3 => query(nested), 4 => compared, 1 => matched].boxed();
    let negated = (any::<bool>(), atom.clone())
        .prop_map(|(not, atom)| if not { format!("!({atom})") } else { atom })
        .boxed();
    let joined =
        (negated.clone(), prop::sample::select(vec!["&&", "||"]), negated.clone(), any::<bool>(), atom)
            .prop_map(|(left, operator, right, grouped, last)| match grouped {
                true => format!("({left} {operator} {right}) && {last}"),
                false => format!("{left} {operator} {right} || {last}"),
            });
    prop_oneof![4 => negated, 1 => joined].prop_map(|filter| format!("?{filter}")).boxed()
}

fn operand(nested: u32) -> BoxedStrategy<String> {
    let literal =
        prop::sample::select(vec!["0", "1", "-1.5", "1e1", "'a'", "'ab'", "true", "null", "'Always'"]);
    prop_oneof![
        4 => singular(),
        4 => literal.prop_map(str::to_owned),
        1 => singular().prop_map(|query| format!("length({query})")),
        1 => query(nested).prop_map(|query| format!("count({query})")),
        1 => query(nested).prop_map(|query| format!("value({query})")),
    ]
    .boxed()
}

fn start() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("@"), 1 => Just("$")]
}

fn singular() -> impl Strategy<Value = String> {
    (start(), prop::collection::vec(singular_segment(), 0..3))
        .prop_map(|(start, segments)| format!("{start}{}", segments.concat()))
}

fn query(nested: u32) -> BoxedStrategy<String> {
    (start(), prop::collection::vec(segment(nested), 1..3))
        .prop_map(|(start, segments)| format!("{start}{}", segments.concat()))
        .boxed()
}
