//! I-Regexp (RFC 9485), the dialect of patterns that means the same everywhere.
//!
//! A text is checked against the RFC's grammar and rewritten for the `regex` crate, so that nothing of that crate's
//! wider syntax (anchors, flags, lazy quantifiers, `\d`) becomes part of the contract by accident.

use std::iter::Peekable;
use std::str::CharIndices;

/// Groups within groups.
const NESTING_LIMIT: usize = 32;
/// The largest `{n}`; the compiled size bounds it further.
const REPEAT_LIMIT: u32 = 1000;

/// Where in a text a pattern may match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The whole text.
    Whole,
    /// Any part of it.
    Part,
}

/// Rewrites an I-Regexp for the `regex` crate, to be put into a group.
///
/// # Errors
/// What is wrong, at which character, and what to write instead.
pub(crate) fn translate_iregexp(pattern: &str, reach: Reach) -> Result<String, String> {
    Translator::new(pattern, reach).translate()
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
