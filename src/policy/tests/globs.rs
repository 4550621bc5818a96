//! Globs fit what their definition says.

use proptest::prelude::*;

use crate::policy::glob::Glob;

/// The textbook definition, exponential and obviously right.
fn defined(glob: &[char], text: &[char]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            defined(rest, text) || text.split_first().is_some_and(|(_, shorter)| defined(glob, shorter))
        }
        (Some((wanted, rest)), Some((found, shorter))) => {
            (*wanted == '?' || wanted == found) && defined(rest, shorter)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_glob_fits_what_its_definition_says(glob in "[ab*?]{0,7}", text in "[ab]{0,9}") {
        let as_chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(Glob::new(&glob).matches(&text), defined(&as_chars(&glob), &as_chars(&text)));
    }
}
