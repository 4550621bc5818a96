//! What stands in brackets: its end, its bounds, and the positions that the parser's tree does not have.

use super::foreign;
use super::lexer::{BLANKS, Text, closing_quote};
use super::parse::PathError;
use super::path;
use super::tree::Tree;

/// How deep brackets and parentheses may nest. Two filters in each other, a function and a group fit.
const MAX_NESTING: usize = 6;

/// How deep filters may nest.
const MAX_FILTERS: usize = 2;

/// Characters of a number that the parser takes as it is.
const LONGEST_NUMBER: usize = 15;

/// The functions of RFC 9535.
const FUNCTIONS: [&str; 5] = ["length", "count", "value", "match", "search"];

/// A pair of brackets, read up to its end.
pub(super) struct Brackets {
    /// The character after it.
    pub(super) end: usize,
    /// As it is written, of the same length, with plain blanks, and with small numbers in place of those that the
    /// parser would not take.
    pub(super) query: String,
    pub(super) marks: Marks,
}

/// What filters hold, in the order in which it is written.
#[derive(Default)]
pub(super) struct Marks {
    /// Where the names of functions are.
    pub(super) functions: Vec<usize>,
    /// The numbers that are literals.
    pub(super) numbers: Vec<Tree>,
}

/// Reads the brackets that open at this character.
pub(super) fn read(text: &Text, open: usize) -> Result<Brackets, PathError> {
    let mut scan = Scan { text, at: open, levels: Vec::new(), query: String::new(), marks: Marks::default() };
    while let Some(character) = text.get(scan.at) {
        scan.step(character)?;
        if scan.levels.is_empty() {
            return Ok(Brackets { end: scan.at, query: scan.query, marks: scan.marks });
        }
    }
    let outermost_alone = scan.levels.len() == 1;
    Err(PathError::new(open, "`[` without its `]`")
        .suggest_if(outermost_alone, || text.splice(text.end(), text.end(), "]")))
}

/// An open bracket or parenthesis.
struct Level {
    close: char,
    /// Whether a filter is being read right in it.
    filter: bool,
}

struct Scan<'t> {
    text: &'t Text,
    at: usize,
    levels: Vec<Level>,
    query: String,
    marks: Marks,
}

impl Scan<'_> {
    fn step(&mut self, character: char) -> Result<(), PathError> {
        match character {
            '\'' | '"' => {
                let end = closing_quote(self.text, self.at, character)? + 1;
                self.copy(end);
            }
            '[' => self.open(']')?,
            '(' => self.open(')')?,
            ']' | ')' => self.close(character)?,
            '?' => self.filter()?,
            '.' => self.dot()?,
            '$' => self.root()?,
            '-' | '0'..='9' if self.reads_literals() => self.number()?,
            _ if path::is_name_character(character) => self.word()?,
            _ if BLANKS.contains(&character) => {
                self.at += 1;
                self.query.push(' ');
            }
            _ => {
                if character == ','
                    && let Some(level) = self.levels.last_mut()
                {
                    level.filter = false;
                }
                self.copy(self.at + 1);
            }
        }
        Ok(())
    }

    fn copy(&mut self, end: usize) {
        self.query.push_str(&self.text.slice(self.at, end));
        self.at = end;
    }

    fn is_in_filter(&self) -> bool {
        self.levels.iter().any(|level| level.filter)
    }

    /// Whether a number here is a literal, not an index.
    fn reads_literals(&self) -> bool {
        self.is_in_filter() && self.levels.last().is_some_and(|level| level.filter || level.close == ')')
    }

    fn open(&mut self, close: char) -> Result<(), PathError> {
        if self.levels.len() == MAX_NESTING {
            let reason = format!("brackets and parentheses nest deeper than {MAX_NESTING}");
            return Err(PathError::new(self.at, reason));
        }
        self.levels.push(Level { close, filter: false });
        self.copy(self.at + 1);
        Ok(())
    }

    fn close(&mut self, character: char) -> Result<(), PathError> {
        match self.levels.pop() {
            Some(Level { close, .. }) if close != character => {
                Err(PathError::new(self.at, format!("`{character}` where `{close}` is wanted first")))
            }
            _ => {
                self.copy(self.at + 1);
                Ok(())
            }
        }
    }

    fn filter(&mut self) -> Result<(), PathError> {
        if let Some(level) = self.levels.last_mut() {
            level.filter = true;
        }
        if self.levels.iter().filter(|level| level.filter).count() > MAX_FILTERS {
            return Err(PathError::new(self.at, format!("filters nest deeper than {MAX_FILTERS}")));
        }
        self.copy(self.at + 1);
        Ok(())
    }

    fn dot(&mut self) -> Result<(), PathError> {
        match self.text.get(self.at + 1) {
            Some('.') if self.is_in_filter() => {
                Err(PathError::new(self.at, "`..` inside a filter; name the way down, or use wildcards"))
            }
            Some(blank) if BLANKS.contains(&blank) => {
                Err(PathError::new(self.at + 1, "white space after a dot"))
            }
            _ => {
                self.copy(self.at + 1);
                Ok(())
            }
        }
    }

    fn root(&mut self) -> Result<(), PathError> {
        let end = self.text.skip(self.at + 1, path::is_name_character);
        if end > self.at + 1 && self.is_in_filter() {
            let name = self.text.slice(self.at, end);
            let reason = format!("the root `{name}` inside a filter, where only `@` and `$` are known");
            return Err(PathError::new(self.at, reason));
        }
        self.copy(self.at + 1);
        Ok(())
    }

    /// A name, a function, `true`, `false` or `null`; the digits of an index too.
    fn word(&mut self) -> Result<(), PathError> {
        let (start, end) = (self.at, self.text.skip(self.at, path::is_name_character));
        let next = self.text.skip(end, |character| BLANKS.contains(&character));
        let after = self.text.get(next);
        if next > end && after.is_some_and(|after| path::is_name_character(after) || after == '(') {
            let foreign = self.is_in_filter().then(|| foreign::refuse(self.text, next)).flatten();
            let error = || PathError::new(end, "white space within a name; quote it in brackets");
            return Err(foreign.unwrap_or_else(error));
        }
        if after == Some('(') && self.is_in_filter() {
            self.function(start, end)?;
        }
        self.copy(end);
        Ok(())
    }

    fn function(&mut self, start: usize, end: usize) -> Result<(), PathError> {
        let name = self.text.slice(start, end);
        if self.text.get(start.wrapping_sub(1)) == Some('.') || !FUNCTIONS.contains(&name.as_str()) {
            let known = FUNCTIONS.into_iter().find(|known| known.eq_ignore_ascii_case(&name));
            let reason = format!("`{name}` is no function; there are length, count, value, match and search");
            let error = PathError::new(start, reason);
            return Err(match known {
                Some(known) if known != name => error.suggest(self.text.splice(start, end, known)),
                _ => error,
            });
        }
        self.marks.functions.push(start);
        Ok(())
    }

    /// Numbers are read here, since the parser keeps no more than 53 bits of an integer.
    fn number(&mut self) -> Result<(), PathError> {
        let digits = |at: usize| self.text.skip(at, |character| character.is_ascii_digit());
        let integer = digits(if self.text.get(self.at) == Some('-') { self.at + 1 } else { self.at });
        let fraction = if self.text.get(integer) == Some('.') { digits(integer + 1) } else { integer };
        let end = match self.text.get(fraction) {
            Some('e' | 'E') => {
                let sign = matches!(self.text.get(fraction + 1), Some('+' | '-'));
                digits(fraction + 1 + usize::from(sign))
            }
            _ => fraction,
        };
        let written = self.text.slice(self.at, end);
        let number = written.parse::<Tree>();
        if number.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
            return Err(PathError::new(self.at, format!("the number {written} is out of range")));
        }
        let exact = number.is_ok();
        // The parser refuses what is no number.
        self.marks.numbers.extend(number);
        if exact && written.len() > LONGEST_NUMBER {
            let sign = if written.starts_with('-') { "-" } else { "" };
            self.query.push_str(&format!("{sign}0.{}", "0".repeat(written.len() - 2 - sign.len())));
            self.at = end;
        } else {
            self.copy(end.max(self.at + 1));
        }
        Ok(())
    }
}
