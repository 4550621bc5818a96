//! What may have been meant.

/// Says that a field is not known, and which one may have been meant.
pub(super) fn unknown_field(field: &str, known: &[&str]) -> String {
    match nearest(field, known.iter().copied()) {
        Some(near) => format!("there is no field `{field}`; did you mean `{near}`?"),
        None => format!("there is no field `{field}`; there are {}", known.join(", ")),
    }
}

/// Says that a word is none of those that may stand there, and which one may have been meant.
pub(super) fn unknown_word(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("`{word}` is not known here; did you mean `{near}`?"),
        None => format!("`{word}` is not known here; there are {}", known.join(", ")),
    }
}

/// The name that is most like the written one, if any is.
pub(super) fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = written.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let near = |name: &&str| {
        let is_part = written.len() >= 3 && name.to_lowercase().starts_with(&lower);
        distance(name) <= 1 + written.chars().count() / 4 || is_part
    };
    names.filter(near).min_by_key(|name| distance(name))
}
