//! Patterns: I-Regexp (RFC 9485), the dialect that means the same everywhere, run in linear time.
//!
//! The text is checked against the RFC's grammar and rewritten for the `regex` crate, so that nothing of that
//! crate's wider syntax (anchors, flags, lazy quantifiers, `\d`) becomes part of the contract by accident.

use std::iter::Peekable;
use std::str::CharIndices;

use regex::{Regex, RegexBuilder};

use super::order::Case;

/// Bytes that the compiled patterns of one operator may take.
const COMPILED_LIMIT: usize = 1 << 19;
/// Bytes that one thread's cache may take while matching; slower beyond, still linear.
const CACHE_LIMIT: usize = 1 << 18;
/// Groups within groups.
const NESTING_LIMIT: usize = 32;
/// The largest `{n}`; the compiled size bounds it further.
const REPEAT_LIMIT: u32 = 1000;

/// One or more patterns of which any will do, as one automaton.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    sources: Box<[Box<str>]>,
}

/// Where in a value a pattern may match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The whole value.
    Whole,
    /// Any part of it.
    Part,
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
            match Translator::new(pattern, reach).translate() {
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
        let built = builder.size_limit(COMPILED_LIMIT).dfa_size_limit(CACHE_LIMIT).build();
        let regex = built.map_err(|error| vec![PatternError { index: None, message: too_large(&error) }])?;
        Ok(Self { regex, sources: patterns.iter().map(|pattern| pattern.as_str().into()).collect() })
    }

    /// Whether one of the patterns matches. Linear in the text.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
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

/// Rewrites one I-Regexp, in one pass and without recursion.
struct Translator<'p> {
    rest: Peekable<CharIndices<'p>>,
    reach: Reach,
    out: String,
    /// Open groups.
    depth: usize,
    /// Whether something stands before the cursor that a quantifier could repeat.
    repeatable: bool,
    /// Whether the cursor stands at the start of a branch, where an anchor would stand.
    branch_start: bool,
    /// Characters read.
    position: usize,
}

type Translated<T = ()> = Result<T, String>;

impl<'p> Translator<'p> {
    fn new(pattern: &'p str, reach: Reach) -> Self {
        Self {
            rest: pattern.char_indices().peekable(),
            reach,
            out: String::with_capacity(pattern.len() + 8),
            depth: 0,
            repeatable: false,
            branch_start: true,
            position: 0,
        }
    }

    fn translate(mut self) -> Translated<String> {
        while let Some(c) = self.next() {
            self.piece(c)?;
        }
        if self.depth > 0 {
            return Err("ends within a group; add `)`".to_owned());
        }
        Ok(self.out)
    }

    fn next(&mut self) -> Option<char> {
        let (_, c) = self.rest.next()?;
        self.position += 1;
        Some(c)
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|(_, c)| *c)
    }

    fn piece(&mut self, c: char) -> Translated {
        let at_start = std::mem::take(&mut self.branch_start);
        match c {
            '|' => self.branch(),
            '(' => return self.open(),
            ')' => return self.close(),
            '*' | '+' | '?' => return self.quantifier(c),
            '{' => return self.repeat(),
            '}' | ']' => {
                return Err(self.fault(&format!("`{c}` closes nothing; write `\\{c}` for the character")));
            }
            '[' => return self.class(),
            '\\' => return self.escape(),
            '.' => self.atom(r"[^\n\r]"),
            '^' if at_start => return Err(self.anchor(c)),
            '$' if matches!(self.peek(), None | Some('|' | ')')) => return Err(self.anchor(c)),
            literal => self.literal(literal),
        }
        Ok(())
    }

    fn branch(&mut self) {
        self.out.push('|');
        self.repeatable = false;
        self.branch_start = true;
    }

    fn open(&mut self) -> Translated {
        self.depth += 1;
        if self.depth > NESTING_LIMIT {
            return Err(self.fault(&format!("groups are nested deeper than {NESTING_LIMIT}")));
        }
        if self.peek() == Some('?') {
            return Err(self.fault("`(?` is not in I-Regexp; a group is written `(...)`"));
        }
        self.out.push_str("(?:");
        self.repeatable = false;
        self.branch_start = true;
        Ok(())
    }

    fn close(&mut self) -> Translated {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(self.fault(r"`)` closes nothing; write `\)` for the character"));
        };
        self.depth = depth;
        self.atom(")");
        Ok(())
    }

    fn atom(&mut self, translated: &str) {
        self.out.push_str(translated);
        self.repeatable = true;
    }

    fn literal(&mut self, c: char) {
        push_literal(&mut self.out, c);
        self.repeatable = true;
    }

    fn quantifier(&mut self, c: char) -> Translated {
        self.take_repeatable(c)?;
        self.out.push(c);
        Ok(())
    }

    fn take_repeatable(&mut self, c: char) -> Translated {
        if std::mem::take(&mut self.repeatable) {
            return Ok(());
        }
        Err(self.fault(&format!("`{c}` repeats nothing; write `\\{c}` for the character")))
    }

    fn repeat(&mut self) -> Translated {
        self.take_repeatable('{')?;
        let least = self.count()?;
        let most = match self.next() {
            Some('}') => least,
            Some(',') if self.peek() == Some('}') => {
                self.next();
                self.out.push_str(&format!("{{{least},}}"));
                return Ok(());
            }
            Some(',') => {
                let most = self.count()?;
                if self.next() != Some('}') {
                    return Err(self.fault("a repetition is written `{2}`, `{2,}` or `{2,5}`"));
                }
                most
            }
            _ => return Err(self.fault("a repetition is written `{2}`, `{2,}` or `{2,5}`")),
        };
        if most < least {
            return Err(self.fault("a repetition's second number is less than its first"));
        }
        self.out.push_str(&format!("{{{least},{most}}}"));
        Ok(())
    }

    fn count(&mut self) -> Translated<u32> {
        let mut count: Option<u32> = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            self.next();
            count = Some(count.unwrap_or(0).saturating_mul(10).saturating_add(digit));
        }
        match count {
            Some(count) if count <= REPEAT_LIMIT => Ok(count),
            Some(_) => Err(self.fault(&format!("repetitions go up to {REPEAT_LIMIT}"))),
            None => {
                Err(self
                    .fault(r"a repetition is written `{2}`, `{2,}` or `{2,5}`; write `\{` for the character"))
            }
        }
    }

    fn escape(&mut self) -> Translated {
        match self.next() {
            Some(c @ ('p' | 'P')) => {
                let category = self.category(c)?;
                self.atom(&category);
            }
            Some(c) => {
                let escaped = self.escaped(c)?;
                self.literal(escaped);
            }
            None => return Err(self.fault(r"ends with `\`; write `\\` for the character")),
        }
        Ok(())
    }

    /// The character that an escape stands for (SingleCharEsc of the RFC).
    fn escaped(&self, c: char) -> Translated<char> {
        match c {
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            '(' | ')' | '*' | '+' | '-' | '.' | '?' | '[' | '\\' | ']' | '^' | '{' | '|' | '}' => Ok(c),
            'd' => Err(self.fault(r"`\d` is not in I-Regexp; write `[0-9]`")),
            'w' => Err(self.fault(r"`\w` is not in I-Regexp; write `[A-Za-z0-9_]`")),
            's' => Err(self.fault(r"`\s` is not in I-Regexp; write `[ \t\n\r]`")),
            'A' | 'z' | 'Z' => Err(self.anchor(c)),
            other => Err(self.fault(&format!("`\\{other}` is not in I-Regexp; write `[{other}]`"))),
        }
    }

    /// A Unicode general category: `\p{Lu}`, `\P{L}`.
    fn category(&mut self, p: char) -> Translated<String> {
        let mut name = String::new();
        if self.next() == Some('{') {
            while name.len() < 3 {
                match self.next() {
                    Some('}') => break,
                    Some(c) => name.push(c),
                    None => break,
                }
            }
        }
        let mut letters = name.chars();
        let minors = match letters.next() {
            Some('L') => "lmotu",
            Some('M') => "cen",
            Some('N') => "dlo",
            Some('P') => "cdefios",
            Some('Z') => "lps",
            Some('S') => "ckmo",
            Some('C') => "cfno",
            _ => "",
        };
        let minor_is_known = letters.next().is_none_or(|minor| minors.contains(minor));
        if minors.is_empty() || !minor_is_known || letters.next().is_some() {
            return Err(self.fault(r"a character category is written as `\p{L}` or `\p{Lu}`"));
        }
        Ok(format!("\\{p}{{{name}}}"))
    }

    fn class(&mut self) -> Translated {
        self.out.push('[');
        if self.peek() == Some('^') {
            self.next();
            self.out.push('^');
        }
        let mut first = true;
        loop {
            match self.next() {
                Some(']') if !first => break,
                Some(']') => return Err(self.fault(r"`[]` is empty; write `\]` for the character")),
                Some('-') if first || self.peek() == Some(']') => push_literal(&mut self.out, '-'),
                Some(c) => self.class_item(c)?,
                None => return Err("ends within a character class; add `]`".to_owned()),
            }
            first = false;
        }
        self.atom("]");
        Ok(())
    }

    fn class_item(&mut self, c: char) -> Translated {
        if c == '\\'
            && let Some(p @ ('p' | 'P')) = self.peek()
        {
            self.next();
            let category = self.category(p)?;
            self.out.push_str(&category);
            return Ok(());
        }
        let low = self.class_char(c)?;
        push_literal(&mut self.out, low);
        let mut ahead = self.rest.clone();
        let is_range =
            ahead.next().is_some_and(|(_, c)| c == '-') && ahead.next().is_none_or(|(_, c)| c != ']');
        if !is_range {
            return Ok(());
        }
        self.next();
        let Some(c) = self.next() else { return Err("ends within a character class; add `]`".to_owned()) };
        let high = self.class_char(c)?;
        if high < low {
            return Err(self.fault(&format!("the range `{low}-{high}` is empty; turn it around")));
        }
        self.out.push('-');
        push_literal(&mut self.out, high);
        Ok(())
    }

    fn class_char(&mut self, c: char) -> Translated<char> {
        match c {
            '\\' => match self.next() {
                Some(c) => self.escaped(c),
                None => Err(self.fault(r"ends with `\`; write `\\` for the character")),
            },
            '[' | '-' => Err(self.fault(&format!("`{c}` within a class is written `\\{c}`"))),
            literal => Ok(literal),
        }
    }

    fn anchor(&self, c: char) -> String {
        let literal = if c == '$' { "[$]" } else { "\\^" };
        self.fault(&match self.reach {
            Reach::Whole => format!(
                "a pattern matches the whole value anyway; leave `{c}` out, or write `{literal}` for the character"
            ),
            Reach::Part => format!(
                "`{c}` is not in I-Regexp; use `matches` for the whole value, or write `{literal}` for the character"
            ),
        })
    }

    /// A fault at the character read last.
    fn fault(&self, message: &str) -> String {
        format!("at character {}: {message}", self.position.saturating_sub(1))
    }
}

fn push_literal(out: &mut String, c: char) {
    // An escaped code point is a literal to the regex crate in every place, whatever its syntax becomes.
    if c.is_alphanumeric() {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:X}}}", u32::from(c)));
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
