//! Patterns that say more than they need to.

use crate::crd::{Assert, Patterns};

use super::super::fault::Field;
use super::Advices;

/// What matches anything, which at both ends of a whole match makes it a search.
const ANYTHING: &str = ".*";

/// `matches` that searches, and `search` that says so.
pub(super) fn of_assert(assert: &Assert, at: &Field<'_>, advices: &mut Advices) {
    for (field, patterns, better) in
        [("matches", &assert.matches, "search"), ("notMatches", &assert.not_matches, "notSearch")]
    {
        let inner: Option<Vec<_>> = written(patterns).iter().map(|pattern| within(pattern)).collect();
        if let Some([first, ..]) = inner.as_deref() {
            let words = format!("looks for a part of the value; shorter: `{better}: '{first}'`");
            advices.add(&at.name(field), words);
        }
    }
    for (field, patterns) in [("search", &assert.search), ("notSearch", &assert.not_search)] {
        if written(patterns).iter().any(|pattern| pattern.starts_with(ANYTHING) || ends_open(pattern)) {
            let words = "finds a part wherever it is; leave `.*` at its ends out";
            advices.add(&at.name(field), words);
        }
    }
}

fn written(patterns: &Option<Patterns>) -> &[String] {
    patterns.as_ref().and_then(|patterns| patterns.as_slice().ok()).unwrap_or_default()
}

/// What stands between the two, where that is one pattern by itself.
fn within(pattern: &str) -> Option<&str> {
    let inner = pattern.strip_prefix(ANYTHING).filter(|_| ends_open(pattern))?.strip_suffix(ANYTHING)?;
    (!inner.is_empty() && !inner.contains('|')).then_some(inner)
}

/// Whether it ends with anything, and not with dots.
fn ends_open(pattern: &str) -> bool {
    pattern.strip_suffix(ANYTHING).is_some_and(|before| !before.ends_with('\\'))
}
