//! From text to JSON documents: JSON values one after the other, else YAML as kubectl reads it.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::files::Text;
use super::yaml::{self, Fault};
use super::{Origin, Trouble};

/// One document, as JSON text: numbers keep their digits.
#[derive(Debug)]
pub(in crate::cli) struct Written {
    pub(in crate::cli) origin: Origin,
    pub(in crate::cli) json: Box<str>,
}

/// Takes texts apart. A text that cannot be read is noted, and hides no other.
pub(in crate::cli) fn split(texts: &[Text], troubles: &mut Vec<Trouble>) -> Vec<Written> {
    let mut documents = Vec::new();
    for Text { file, text } in texts {
        match of_text(file, text) {
            Ok(found) => documents.extend(found),
            Err(trouble) => troubles.push(trouble),
        }
    }
    documents
}

/// The documents of one text.
///
/// # Errors
/// It is neither JSON nor YAML; the first line that is not.
pub(in crate::cli) fn of_text(file: &Arc<str>, text: &str) -> Result<Vec<Written>, Trouble> {
    let found = if text.trim_start().starts_with(['{', '[']) {
        // A YAML flow mapping begins so too; what JSON says of it is of no use then.
        json(text).or_else(|json| yaml(text).map_err(|_yaml| json))
    } else {
        yaml(text)
    };
    let found = found.map_err(|(line, message)| Trouble { file: Some(Arc::clone(file)), line, message })?;
    let written = (1..).zip(found).map(|(document, (line, json))| Written {
        origin: Origin { file: Arc::clone(file), document, line },
        json,
    });
    Ok(written.collect())
}

/// Reads one YAML document into a type of ours.
///
/// # Errors
/// What is wrong with it, and the line.
pub(in crate::cli) fn typed<T: DeserializeOwned>(file: &Arc<str>, text: &str) -> Result<T, Trouble> {
    yaml::typed(text).map_err(|(line, message)| Trouble { file: Some(Arc::clone(file)), line, message })
}

type Lined = Vec<(u64, Box<str>)>;

fn json(text: &str) -> Result<Lined, Fault> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut found = Vec::new();
    let (mut line, mut counted) = (1, 0);
    while let Some(value) = values.next() {
        let value =
            value.map_err(|error| (u64::try_from(error.line()).ok(), format!("not JSON: {error}")))?;
        let start = values.byte_offset().saturating_sub(value.get().len());
        let between = text.as_bytes().get(counted..start).unwrap_or_default();
        line += between.iter().filter(|byte| **byte == b'\n').count() as u64;
        counted = start;
        found.push((line, value.get().into()));
    }
    Ok(found)
}

fn yaml(text: &str) -> Result<Lined, Fault> {
    Ok(yaml::documents(text)?.into_iter().map(|(line, value)| (line, value.to_string().into())).collect())
}
