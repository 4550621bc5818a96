//! Patterns: I-Regexp (RFC 9485), the dialect that means the same everywhere, run in linear time.

use regex::{Regex, RegexBuilder};

use crate::jsonpath::{Reach, build_within, translate_iregexp};

use super::order::Case;

/// Bytes that the compiled patterns of one operator may take.
const COMPILED_LIMIT: usize = 1 << 19;
/// Bytes that one thread's cache may take while matching; slower beyond, still linear.
const CACHE_LIMIT: usize = 1 << 18;

/// One or more patterns of which any will do, as one automaton.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    bytes: usize,
    sources: Box<[Box<str>]>,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PatternError {
    /// In a list, which pattern; `None` where only all of them together are at fault.
    pub(super) index: Option<usize>,
    /// What is wrong, at which character, and what to write instead.
    pub(super) message: String,
}

impl Pattern {
    /// Compiles patterns.
    ///
    /// # Errors
    /// Every pattern that is not an I-Regexp or is anchored; else one for all of them if they grow too large.
    pub(super) fn compile(patterns: &[String], reach: Reach, case: Case) -> Result<Self, Vec<PatternError>> {
        let mut errors = Vec::new();
        let mut all = String::new();
        for (index, pattern) in patterns.iter().enumerate() {
            if index > 0 {
                all.push('|');
            }
            match translate_iregexp(pattern, reach) {
                Ok(translated) => all.push_str(&translated),
                Err(message) => errors.push(PatternError { index: Some(index), message }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let all = match reach {
            Reach::Whole => format!(r"\A(?:{all})\z"),
            Reach::Part => all,
        };
        let mut builder = RegexBuilder::new(&all);
        builder.case_insensitive(case == Case::Ignored);
        let built = build_within(builder.dfa_size_limit(CACHE_LIMIT), COMPILED_LIMIT);
        let (regex, bytes) =
            built.map_err(|error| vec![PatternError { index: None, message: too_large(&error) }])?;
        Ok(Self { regex, bytes, sources: patterns.iter().map(|pattern| pattern.as_str().into()).collect() })
    }

    /// Whether one of the patterns matches. Linear in the text.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Bytes that it takes at most.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The patterns as the policy has them.
    pub(super) fn sources(&self) -> &[Box<str>] {
        &self.sources
    }
}

fn too_large(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("needs more than {limit} bytes when compiled; use smaller repetitions or fewer patterns")
        }
        other => format!("is not a pattern: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(pattern: &str) -> Result<Pattern, String> {
        Pattern::compile(&[pattern.to_owned()], Reach::Whole, Case::Told)
            .map_err(|errors| errors[0].message.clone())
    }

    #[test]
    fn a_pattern_matches_the_whole_value() {
        for (pattern, text, matches) in [
            ("[a-z-]+@corp[.]com", "a-team@corp.com", true),
            ("[a-z-]+@corp[.]com", "xa@corp.com ", false),
            ("a|b", "ab", false),
            ("a|b", "b", true),
            ("", "", true),
            ("", "a", false),
            (".*", "a\nb", false),
            ("a{2}", "aaa", false),
            ("a{2,}", "aaa", true),
            ("a{1,2}b?", "aab", true),
            ("(ab)*c", "ababc", true),
            (r"\p{Lu}\P{Lu}", "Éa", true),
            (r"[\p{Nd}x-]+", "1-x", true),
            (r"[^a-c]", "d", true),
            (r"[-a]+", "-a", true),
            (r"[&&~~a]+", "&~a", true),
            ("a$b^", "a$b^", true),
            ("#x y", "#x y", true),
            (r"[$]\^", "$^", true),
            ("日.", "日本", true),
        ] {
            assert_eq!(one(pattern).expect(pattern).matches(text), matches, "{pattern} on {text}");
        }
    }

    #[test]
    fn any_pattern_of_a_list_will_do() {
        let pattern = Pattern::compile(&["a|b".to_owned(), "c+".to_owned()], Reach::Whole, Case::Told)
            .expect("patterns");
        assert!(pattern.matches("b") && pattern.matches("cc") && !pattern.matches("bc"));
    }

    #[test]
    fn a_search_finds_a_part_and_case_may_be_ignored() {
        for (pattern, text, reach, case, matches) in [
            ("b+", "abbc", Reach::Part, Case::Told, true),
            ("b+", "ac", Reach::Part, Case::Told, false),
            ("b|x", "ax", Reach::Part, Case::Told, true),
            ("B+", "abbc", Reach::Part, Case::Told, false),
            ("B+", "abbc", Reach::Part, Case::Ignored, true),
            ("[A-C]É", "bé", Reach::Whole, Case::Ignored, true),
        ] {
            let compiled = Pattern::compile(&[pattern.to_owned()], reach, case).expect(pattern);
            assert_eq!(compiled.matches(text), matches, "{pattern} in {text}");
        }
        let errors = Pattern::compile(&["^a".to_owned()], Reach::Part, Case::Told).expect_err("an anchor");
        assert!(errors[0].message.contains("use `matches` for the whole value"), "{errors:?}");
    }

    #[test]
    fn what_is_not_an_i_regexp_is_refused_with_the_place_and_a_way_out() {
        for (pattern, message) in [
            ("^a", "at character 0: a pattern matches the whole value anyway; leave `^` out"),
            ("a$", "at character 1: a pattern matches the whole value anyway; leave `$` out"),
            ("(^a|b)$", "at character 1: a pattern matches the whole"),
            ("a|^b", "at character 2: a pattern matches the whole"),
            (r"\d+", r"at character 1: `\d` is not in I-Regexp; write `[0-9]`"),
            (r"[\w]", r"`\w` is not in I-Regexp"),
            (r"\$", r"write `[$]`"),
            ("(?i)a", "`(?` is not in I-Regexp"),
            ("a*?", "at character 2: `?` repeats nothing"),
            ("*a", "at character 0: `*` repeats nothing"),
            ("a|*", "`*` repeats nothing"),
            ("a{x}", "a repetition is written"),
            ("a{3,2}", "second number is less"),
            ("a{1001}", "up to 1000"),
            ("(a", "ends within a group"),
            ("a)", "at character 1: `)` closes nothing"),
            ("[a", "ends within a character class"),
            ("[]", "`[]` is empty"),
            ("[z-a]", "the range `z-a` is empty"),
            ("[[a]]", r"`[` within a class is written `\[`"),
            (r"\p{Greek}", "a character category"),
            (r"\p{Lx}", "a character category"),
            ("a\\", "ends with"),
        ] {
            let error = one(pattern).expect_err(pattern);
            assert!(error.contains(message), "{pattern}: {error}");
        }
    }

    #[test]
    fn every_bad_pattern_of_a_list_is_named() {
        let patterns = ["a", "^b", "c$"].map(str::to_owned);
        let errors = Pattern::compile(&patterns, Reach::Whole, Case::Told).expect_err("two are anchored");
        assert_eq!(errors.iter().map(|error| error.index).collect::<Vec<_>>(), [Some(1), Some(2)]);
    }

    #[test]
    fn patterns_that_explode_are_refused_and_deep_ones_do_not_recurse() {
        assert!(one(r"((\p{L}{100}){100}){100}").expect_err("too large").contains("bytes when compiled"));
        assert!(one(&"(".repeat(100_000)).expect_err("too deep").contains("nested deeper than 32"));
    }
}
