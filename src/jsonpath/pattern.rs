//! The patterns of `match()` and `search()`, compiled once.

use regex::{Regex, RegexBuilder};

use super::iregexp::{Reach, translate_iregexp};

/// Bytes that one compiled pattern may take: enough for any honest one of a path's 1,024 characters.
const COMPILED_LIMIT: usize = 1 << 17;
/// Bytes that one thread's cache may take while matching; slower beyond, still linear.
const CACHE_LIMIT: usize = 1 << 18;

/// What compiled patterns are charged, in bytes: a pattern's size is not told, only whether it fits.
const SIZES: [usize; 5] = [1 << 12, 1 << 14, 1 << 16, 1 << 17, 1 << 18];

/// Compiles a pattern within a limit. Gives the least of [`SIZES`] that it fits into too, or the limit.
///
/// # Errors
/// That it does not fit, or is no pattern.
pub(crate) fn build_within(builder: &mut RegexBuilder, limit: usize) -> Result<(Regex, usize), regex::Error> {
    for size in SIZES.into_iter().filter(|size| *size < limit) {
        if let Ok(regex) = builder.size_limit(size).build() {
            return Ok((regex, size));
        }
    }
    builder.size_limit(limit).build().map(|regex| (regex, limit))
}

/// An I-Regexp (RFC 9485), run in linear time. Two are equal when they are written alike.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    bytes: usize,
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
        let mut builder = RegexBuilder::new(&text);
        let built = build_within(builder.dfa_size_limit(CACHE_LIMIT), COMPILED_LIMIT);
        let (regex, bytes) = built.or(Err("the pattern grows too large; use smaller repetitions"))?;
        Ok(Self { regex, bytes, source: source.into(), reach })
    }

    /// Whether the text is matched.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Bytes that it takes at most.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
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
