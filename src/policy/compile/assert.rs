//! Operators, and how they read values.

use serde_json::Value;

use crate::crd::{As, Assert, Measure, Patterns};
use crate::jsonpath::{Path, Reach};
use crate::policy::assertion::{Assertion, PlaceOperator};
use crate::policy::fault::{Field, Findings};
use crate::policy::operator::{Manner, Operator, Order, Test};
use crate::policy::order::Case;
use crate::policy::scale::Scale;
use crate::policy::span::Sense;

use super::operand::Reader;

/// What a check says of all its operators.
#[derive(Clone, Copy)]
pub(super) struct Refinements {
    pub(super) measure: Measure,
    pub(super) as_: Option<As>,
    pub(super) ignore_case: bool,
}

/// Compiles an assertion. `check` is the field of the check that it stands in.
pub(super) fn compile(
    assert: &Assert,
    refined: Refinements,
    check: &Field<'_>,
    findings: &mut Findings,
) -> Option<Assertion> {
    let at = check.name("assert");
    check_refinements(assert, refined, check, findings);
    let manner = Manner {
        scale: refined.as_.map_or(Scale::Json, Scale::As),
        case: if refined.ignore_case { Case::Ignored } else { Case::Told },
    };
    if assert.unique == Some(false) {
        findings.invalid(&at.name("unique"), "is true or left out");
    }
    let mut build = Build { at: &at, findings, manner, operators: Vec::new(), complete: true };
    build.equality(assert);
    build.texts(assert);
    build.sets(assert);
    build.orders(assert, sense(refined.measure));
    let Build { operators, complete, .. } = build;
    let places = compile_places(assert, &at, findings);
    let says_nothing = *assert == Assert::default();
    if says_nothing {
        findings.invalid(&at, "is empty; say what must be true, such as `exists: true`");
    }
    (complete && !says_nothing).then_some(())?;
    Some(Assertion {
        exists: assert.exists,
        type_: assert.type_,
        unique: assert.unique == Some(true),
        operators: operators.into(),
        places: places?,
        manner,
    })
}

fn sense(measure: Measure) -> Option<Sense> {
    match measure {
        Measure::Age => Some(Sense::Age),
        Measure::Until => Some(Sense::Until),
        _ => None,
    }
}

/// The names of the operators that are given, by what they care for.
struct Given {
    orders: Vec<&'static str>,
    /// These care for `as` and for `ignoreCase`.
    equality: Vec<&'static str>,
    /// These care for `as`.
    compared: Vec<&'static str>,
    /// These care for `ignoreCase`.
    texts: Vec<&'static str>,
    others: Vec<&'static str>,
}

impl Given {
    fn of(assert: &Assert) -> Self {
        // Destructured whole, so that an operator which nobody looks at does not compile.
        let Assert {
            exists: _,
            equals,
            not_equals,
            in_,
            not_in,
            matches,
            not_matches,
            search,
            not_search,
            like,
            not_like,
            contains,
            not_contains,
            in_cidr,
            not_in_cidr,
            in_ranges,
            at_least,
            at_most,
            above,
            below,
            type_,
            unique,
            equals_path,
            not_equals_path,
            in_path,
            not_in_path,
        } = assert;
        let equality =
            [given(["equals", "notEquals"], [equals, not_equals]), given(["in", "notIn"], [in_, not_in])];
        let texts = [
            given(["matches", "notMatches"], [matches, not_matches]),
            given(["search", "notSearch"], [search, not_search]),
            given(["like", "notLike"], [like, not_like]),
            given(["contains", "notContains"], [contains, not_contains]),
        ];
        let compared = [
            given(["inRanges"], [in_ranges]),
            given(["equalsPath", "notEqualsPath"], [equals_path, not_equals_path]),
            given(["inPath", "notInPath"], [in_path, not_in_path]),
        ];
        let others = [
            given(["inCidr", "notInCidr"], [in_cidr, not_in_cidr]),
            given(["type"], [type_]),
            given(["unique"], [unique]),
        ];
        Self {
            orders: given(["atLeast", "atMost", "above", "below"], [at_least, at_most, above, below]),
            equality: equality.concat(),
            compared: compared.concat(),
            texts: texts.concat(),
            others: others.concat(),
        }
    }
}

fn given<T, const N: usize>(names: [&'static str; N], fields: [&Option<T>; N]) -> Vec<&'static str> {
    names.into_iter().zip(fields).filter(|(_, field)| field.is_some()).map(|(name, _)| name).collect()
}

/// Refuses refinements that would change nothing, and operators that make no sense of what is measured.
fn check_refinements(assert: &Assert, refined: Refinements, at: &Field<'_>, findings: &mut Findings) {
    let Refinements { measure, as_, ignore_case } = refined;
    let Given { orders, equality, compared, texts, others } = Given::of(assert);
    if sense(measure).is_some() {
        for name in [&equality, &compared, &texts, &others].into_iter().flatten() {
            let message = format!(
                "`measure: {measure:?}` is a duration; compare it by atLeast, atMost, above or below"
            );
            findings.invalid(&at.name("assert").name(name), message);
        }
        if as_.is_some() {
            findings.invalid(
                &at.name("as"),
                format!("`measure: {measure:?}` is a duration anyway; leave `as` out"),
            );
        }
    } else if as_.is_some() && [&orders, &equality, &compared].iter().all(|given| given.is_empty()) {
        let message = "is for atLeast, atMost, above, below, inRanges, equals, in, equalsPath, inPath and their \
                       negatives, and there is none; leave it out";
        findings.invalid(&at.name("as"), message);
    }
    if ignore_case && equality.is_empty() && texts.is_empty() {
        let message = "is for equals, in, matches, search, like, contains and their negatives, and there is none; \
                       leave it out";
        findings.invalid(&at.name("ignoreCase"), message);
    }
}

/// The operators that look at another place.
fn compile_places(assert: &Assert, at: &Field<'_>, findings: &mut Findings) -> Option<Box<[PlaceOperator]>> {
    let written = [
        ("equalsPath", &assert.equals_path, true, false),
        ("notEqualsPath", &assert.not_equals_path, false, false),
        ("inPath", &assert.in_path, true, true),
        ("notInPath", &assert.not_in_path, false, true),
    ];
    let given = written.into_iter().filter_map(|(name, path, wanted, spread)| {
        path.as_deref().map(|path| {
            let path: Option<Path> = findings.path(path, &at.name(name));
            path.map(|path| PlaceOperator { path, wanted, spread })
        })
    });
    // Collected before it is judged, so that every bad path is named.
    let given: Vec<Option<PlaceOperator>> = given.collect();
    given.into_iter().collect()
}

/// Collects operators; `complete` while none of them was at fault.
struct Build<'b, 'f> {
    at: &'b Field<'f>,
    findings: &'b mut Findings,
    manner: Manner,
    operators: Vec<Operator>,
    complete: bool,
}

impl Build<'_, '_> {
    /// Adds an operator if it is given.
    fn add<T>(
        &mut self,
        (name, wanted): (&str, bool),
        written: Option<&T>,
        compile: impl FnOnce(&T, &mut Reader<'_, '_>) -> Option<Test>,
    ) where
        T: ?Sized,
    {
        let Some(written) = written else { return };
        let at = self.at.name(name);
        let test = compile(written, &mut Reader { at: &at, findings: self.findings, manner: self.manner });
        self.complete &= test.is_some();
        self.operators.extend(test.map(|test| Operator { test, wanted }));
    }

    fn equality(&mut self, assert: &Assert) {
        let equals = |value: &Value, reader: &mut Reader<'_, '_>| reader.operand(value).map(Test::Equals);
        let is_in = |values: &[Value], reader: &mut Reader<'_, '_>| reader.operands(values).map(Test::In);
        self.add(("equals", true), assert.equals.as_ref(), equals);
        self.add(("notEquals", false), assert.not_equals.as_ref(), equals);
        self.add(("in", true), assert.in_.as_deref(), is_in);
        self.add(("notIn", false), assert.not_in.as_deref(), is_in);
    }

    fn texts(&mut self, assert: &Assert) {
        let matches = |patterns: &Patterns, reader: &mut Reader<'_, '_>| {
            reader.pattern(patterns, Reach::Whole).map(Test::Matches)
        };
        let search = |patterns: &Patterns, reader: &mut Reader<'_, '_>| {
            reader.pattern(patterns, Reach::Part).map(Test::Search)
        };
        let like = |patterns: &Patterns, reader: &mut Reader<'_, '_>| reader.globs(patterns).map(Test::Like);
        self.add(("matches", true), assert.matches.as_ref(), matches);
        self.add(("notMatches", false), assert.not_matches.as_ref(), matches);
        self.add(("search", true), assert.search.as_ref(), search);
        self.add(("notSearch", false), assert.not_search.as_ref(), search);
        self.add(("like", true), assert.like.as_ref(), like);
        self.add(("notLike", false), assert.not_like.as_ref(), like);
    }

    fn sets(&mut self, assert: &Assert) {
        let contains = |value: &Value, reader: &mut Reader<'_, '_>| reader.members(value).map(Test::Contains);
        self.add(("contains", true), assert.contains.as_ref(), contains);
        self.add(("notContains", false), assert.not_contains.as_ref(), contains);
        self.add(("inCidr", true), assert.in_cidr.as_ref(), |blocks, reader| {
            reader.blocks(blocks).map(Test::InCidr)
        });
        self.add(("notInCidr", false), assert.not_in_cidr.as_ref(), |blocks, reader| {
            reader.blocks(blocks).map(Test::InCidr)
        });
        self.add(("inRanges", true), assert.in_ranges.as_deref(), |ranges, reader| {
            reader.ranges(ranges).map(Test::InRanges)
        });
    }

    fn orders(&mut self, assert: &Assert, sense: Option<Sense>) {
        for (name, order, value) in [
            ("atLeast", Order::AtLeast, &assert.at_least),
            ("atMost", Order::AtMost, &assert.at_most),
            ("above", Order::Above, &assert.above),
            ("below", Order::Below, &assert.below),
        ] {
            self.add((name, true), value.as_ref(), |value, reader| match sense {
                Some(sense) => reader.span(value, sense, order).map(Test::Span),
                None => reader.limit(value).map(|operand| Test::Order(order, operand)),
            });
        }
    }
}
