//! Where something was read, and what is wrong with it.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Where a document stands. Shown as `pods.yaml:12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Origin {
    /// The file as it was named, or found in a folder; `-` is standard input.
    pub(in crate::cli) file: Arc<str>,
    /// Counted from 1 within the file; documents without content do not count.
    pub(in crate::cli) document: usize,
    /// The line on which it begins, counted from 1.
    pub(in crate::cli) line: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Something that cannot be used. Shown as `pods.yaml:12: what is wrong`, or as what is wrong alone; in JSON with these
/// members, as `docs/cli.md` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Trouble {
    /// The file; `None` for what a cluster holds.
    #[serde(serialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) file: Option<Arc<str>>,
    /// The line, where one can be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) line: Option<u64>,
    /// What is wrong with it.
    pub(in crate::cli) message: String,
}

impl Trouble {
    /// With a file as a whole.
    pub(in crate::cli) fn of_file(file: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self { file: Some(file.into()), line: None, message: message.into() }
    }

    /// With a document.
    pub(in crate::cli) fn at(origin: &Origin, message: impl Into<String>) -> Self {
        Self { file: Some(Arc::clone(&origin.file)), line: Some(origin.line), message: message.into() }
    }

    /// With what a cluster holds.
    pub(in crate::cli) fn of_cluster(message: impl Into<String>) -> Self {
        Self { file: None, line: None, message: message.into() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            f.write_str(file)?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

#[allow(clippy::ref_option, reason = "serde asks by reference")]
fn text<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}
