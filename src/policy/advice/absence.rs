//! What a check says of values that are not there.

use serde_json::Value;

use crate::crd::{Assert, Check, Quantifier, WhenAbsent};

use super::super::fault::Field;
use super::Advices;

/// Fields of pods and services that are true where they are left out: `equals: false` wants them to be written.
const TRUE_IF_ABSENT: [&str; 5] = [
    "allocateLoadBalancerNodePorts",
    "allowPrivilegeEscalation",
    "automountServiceAccountToken",
    "enableServiceLinks",
    "hostUsers",
];

/// Arrays whose elements are of one type each, and the members that every element may have.
const OF_TYPES: [(&str, &[&str]); 4] =
    [("volumes", &["name"]), ("sources", &[]), ("env", &["name", "value"]), ("envFrom", &["prefix"])];

/// `equals: false` fails where the field is left out, which mostly means false too.
pub(super) fn of_false(check: &Check, assert: &Assert, at: &Field<'_>, advices: &mut Advices) {
    let last = check.path.as_deref().and_then(|path| path.rsplit('.').next()).unwrap_or_default();
    let says_false = assert.equals == Some(Value::Bool(false));
    if says_false && leaves_absence_open(check, assert) && !TRUE_IF_ABSENT.contains(&last) {
        advices.add(
            &at.name("assert").name("equals"),
            "fails where the field is left out; if that means false too: `notEquals: true`, else say `whenAbsent: Fail`",
        );
    }
}

/// `whenAbsent` that says what holds without it. Beside `equals: false` it says that this was thought of.
pub(super) fn of_repeated(check: &Check, assert: &Assert, at: &Field<'_>, advices: &mut Advices) {
    let Some(written) = check.when_absent else { return };
    let default = if is_negative(assert) || check.quantifier == Quantifier::None {
        WhenAbsent::Pass
    } else {
        WhenAbsent::Fail
    };
    if assert.exists.is_none() && written == default && assert.equals != Some(Value::Bool(false)) {
        advices.add(&at.name("whenAbsent"), "is the default of this check; it can be left out");
    }
}

/// A tail that only elements of one type have is due in the elements of other types, too.
pub(super) fn of_siblings(check: &Check, elements: Option<&str>, at: &Field<'_>, advices: &mut Advices) {
    let (Some(path), Some(assert)) = (check.path.as_deref(), &check.assert) else { return };
    let fails_absent = assert.exists == Some(true) || !is_negative(assert);
    if check.quantifier != Quantifier::All || !fails_absent || !leaves_absence_open(check, assert) {
        return;
    }
    let Some(path) = super::from_object(path, elements) else { return };
    let Some((list, member)) = of_one_type(&path) else { return };
    advices.add(
        &at.name("path"),
        format!(
            "is due in every element, and fails where one has no `{member}`; to look at those that have it: \
             `{list}[?@.{member}]`"
        ),
    );
}

/// Whether nothing but the operators says what an absent value means.
fn leaves_absence_open(check: &Check, assert: &Assert) -> bool {
    check.when_absent.is_none()
        && check.default.is_none()
        && assert.exists != Some(false)
        && check.quantifier != Quantifier::None
}

/// Whether only negative operators are given, for which an absent value passes.
fn is_negative(assert: &Assert) -> bool {
    let Assert {
        exists: _,
        equals,
        not_equals: _,
        in_,
        not_in: _,
        matches,
        not_matches: _,
        search,
        not_search: _,
        like,
        not_like: _,
        contains,
        not_contains: _,
        in_cidr,
        not_in_cidr: _,
        in_ranges,
        at_least,
        at_most,
        above,
        below,
        type_,
        unique: _,
        equals_path,
        not_equals_path: _,
        in_path,
        not_in_path: _,
    } = assert;
    let values = [equals, contains, at_least, at_most, above, below];
    let patterns = [matches, search, like, in_cidr];
    let places = [equals_path, in_path];
    values.iter().all(|it| it.is_none())
        && patterns.iter().all(|it| it.is_none())
        && places.iter().all(|it| it.is_none())
        && (in_.is_none() && in_ranges.is_none() && type_.is_none())
}

/// The array, and the member that only elements of one type have.
fn of_one_type(path: &str) -> Option<(&str, &str)> {
    let (list, tail) = path.rsplit_once("[*].")?;
    let name = list.rsplit('.').next()?;
    let (_, common) = OF_TYPES.iter().find(|(array, _)| *array == name)?;
    let is_plain = tail.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') && !tail.contains("..");
    let member = tail.split('.').next()?;
    (is_plain && !common.contains(&member)).then_some((list, member))
}
