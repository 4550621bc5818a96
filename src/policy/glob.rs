//! Globs over names: `*` stands for any characters (also `/`), `?` for one.

use std::str::Chars;

/// A glob. Matching takes no memory, and time of at most the product of both lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(Box<str>);

impl Glob {
    /// Reads a glob; every text is one.
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The glob as it was written.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// How often it may look at one character of a text, against once for reading it: behind a `*`, the characters up to
    /// the next one are tried at every place.
    pub(super) fn effort(&self) -> usize {
        1 + 2 * self.0.split('*').skip(1).map(str::len).max().unwrap_or_default()
    }

    /// Whether the whole text fits.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.fits(text, |wanted, found| wanted == found)
    }

    /// Whether the whole text fits, upper and lower case being the same.
    pub(super) fn matches_any_case(&self, text: &str) -> bool {
        self.fits(text, |wanted, found| wanted.to_lowercase().eq(found.to_lowercase()))
    }

    fn fits(&self, text: &str, same: fn(char, char) -> bool) -> bool {
        let mut glob = self.0.chars();
        let mut rest = text.chars();
        // Only the last `*` is ever widened: what an earlier one could take, the last one can take as well.
        let mut widen: Option<(Chars<'_>, Chars<'_>)> = None;
        loop {
            match (glob.next(), rest.clone().next()) {
                (Some('*'), _) => {
                    widen = Some((glob.clone(), rest.clone()));
                    continue;
                }
                (Some(wanted), Some(found)) if wanted == '?' || same(wanted, found) => {
                    rest.next();
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after_star, taken)) = widen.as_mut() else { return false };
            if taken.next().is_none() {
                return false;
            }
            rest = taken.clone();
            glob = after_star.clone();
        }
    }
}

/// What it may take to match a text with all of the globs, against reading it once.
pub(super) fn effort(globs: &[Glob]) -> usize {
    globs.iter().map(Glob::effort).sum()
}

/// Whether any of the globs fits.
pub(super) fn any(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_read_as_documented() {
        for (glob, text, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("web-*", "web-1", true),
            ("web-*", "web", false),
            ("*-web", "a-web-web", true),
            ("*.io/*", "corp.io/a/b", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXcYb", false),
            ("?", "é", true),
            ("??", "é", false),
            ("?*", "", false),
            ("[a]", "a", false),
            ("**", "x", true),
        ] {
            assert_eq!(Glob::new(glob).matches(text), fits, "{glob} on {text}");
        }
    }

    #[test]
    fn case_may_be_ignored() {
        assert!(Glob::new("Web-*É").matches_any_case("wEB-xé"));
        assert!(!Glob::new("Web-*").matches("web-x"));
    }
}
