//! The patterns of `match()` and `search()`, compiled once.

use regex::{Regex, RegexBuilder};

use super::iregexp::{Reach, translate_iregexp};

/// Bytes that one compiled pattern may take: enough for any honest one of a path's 1,024 characters.
const COMPILED_LIMIT: usize = 1 << 17;
/// Bytes that one thread's cache may take while matching; slower beyond, still linear.
const CACHE_LIMIT: usize = 1 << 18;

/// An I-Regexp (RFC 9485), run in linear time. Two are equal when they are written alike.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    source: Box<str>,
    reach: Reach,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it, at which of its characters, and what to write instead.
    pub(super) fn compile(source: &str, reach: Reach) -> Result<Self, String> {
        let translated = translate_iregexp(source, reach)?;
        let text = match reach {
            Reach::Whole => format!(r"\A(?:{translated})\z"),
            Reach::Part => translated,
        };
        let built = RegexBuilder::new(&text).size_limit(COMPILED_LIMIT).dfa_size_limit(CACHE_LIMIT).build();
        let regex = built.or(Err("the pattern grows too large; use smaller repetitions"))?;
        Ok(Self { regex, source: source.into(), reach })
    }

    /// Whether the text is matched.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// As it is written.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Where in a string it may match.
    pub(super) fn reach(&self) -> Reach {
        self.reach
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.reach == other.reach
    }
}
