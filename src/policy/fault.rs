//! What is wrong with a policy: every fault at once, each with its field and what to do.

use std::fmt;

use crate::jsonpath::Path;

/// Why a policy is not run; the reason of its `Validated=False` condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultReason {
    /// The contract does not allow it.
    Invalid,
    /// A resource that no policy may target, or not without the operator's consent.
    TargetNotAllowed,
    /// A fix that would write what no fix may, or not without the operator's consent.
    FixNotAllowed,
}

/// One thing that is wrong with a policy. Shown as `spec.rules[2] (owner).path: at character 7: ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kind of fault.
    pub reason: FaultReason,
    /// The field, as `spec.rules[2].path`.
    pub field: String,
    /// The name of the rule or exception that it is of, where it has one.
    pub owner: Option<String>,
    /// What is wrong, at which character if the field has an inner syntax, and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.owner, self.field.split_once(']')) {
            (Some(owner), Some((entry, rest))) => write!(f, "{entry}] ({owner}){rest}: {}", self.message),
            _ => write!(f, "{}: {}", self.field, self.message),
        }
    }
}

/// All that is wrong with a policy, in the order of its fields; never empty. Shown one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults, in the order of the fields.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    /// The reason to name when only one can be: that of the first.
    pub fn reason(&self) -> FaultReason {
        self.0.first().map_or(FaultReason::Invalid, |fault| fault.reason)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A field of the policy being compiled, as a chain of borrowed steps: its text is only made for a fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    parent: Option<&'a Field<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
    /// An element that people know by its name.
    Entry(usize, &'a str),
}

impl<'a> Field<'a> {
    /// A field of the policy itself.
    pub(super) const fn root(name: &'a str) -> Self {
        Self { parent: None, step: Step::Name(name) }
    }

    /// A member of this field.
    pub(super) const fn name(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Name(name) }
    }

    /// An element of this field.
    pub(super) const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    /// An element of this field that has a name.
    pub(super) const fn entry(&'a self, index: usize, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Entry(index, name) }
    }

    /// The name of the entry that it is, or is in.
    pub(super) fn owner(&self) -> Option<&'a str> {
        match self.step {
            Step::Entry(_, name) if !name.is_empty() => Some(name),
            Step::Entry(..) | Step::Name(_) | Step::Index(_) => self.parent.and_then(Field::owner),
        }
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Name(name) if self.parent.is_none() => f.write_str(name),
            Step::Name(name) => write!(f, ".{name}"),
            Step::Index(index) | Step::Entry(index, _) => write!(f, "[{index}]"),
        }
    }
}

/// Collects faults while a policy is compiled. The policy's own size, which the API server bounds, bounds it.
#[derive(Debug, Default)]
pub(super) struct Findings {
    faults: Vec<Fault>,
    /// Bytes that the patterns so far take, once compiled.
    patterns: usize,
}

/// Bytes that all patterns of a policy may take together, once compiled.
const PATTERNS_LIMIT: usize = 8 << 20;

impl Findings {
    /// Notes a fault of the policy itself.
    pub(super) fn invalid(&mut self, field: &Field<'_>, message: impl Into<String>) {
        self.push(FaultReason::Invalid, field, message.into());
    }

    /// Parses a path; what is wrong with it is noted.
    pub(super) fn path(&mut self, text: &str, field: &Field<'_>) -> Option<Path> {
        self.path_within(text, 0, field)
    }

    /// Parses a path that stands at this character of a field.
    pub(super) fn path_within(&mut self, text: &str, offset: usize, field: &Field<'_>) -> Option<Path> {
        let mut error = match Path::parse(text) {
            Ok(path) => return self.patterns(path.pattern_bytes(), field).then_some(path),
            Err(error) => error,
        };
        error.position += offset;
        self.push(FaultReason::Invalid, field, error.to_string());
        None
    }

    /// Pays for compiled patterns; the first that are too much for the policy are noted.
    pub(super) fn patterns(&mut self, bytes: usize, field: &Field<'_>) -> bool {
        let within = self.patterns <= PATTERNS_LIMIT;
        self.patterns = self.patterns.saturating_add(bytes);
        let fits = self.patterns <= PATTERNS_LIMIT;
        if within && !fits {
            let message = format!(
                "with this the patterns of the policy need more than {} MiB when compiled; use smaller repetitions, \
                 or several policies",
                PATTERNS_LIMIT >> 20
            );
            self.invalid(field, message);
        }
        fits
    }

    /// Notes a fault with its reason.
    pub(super) fn push(&mut self, reason: FaultReason, field: &Field<'_>, message: String) {
        let owner = field.owner().map(str::to_owned);
        self.faults.push(Fault { reason, field: field.to_string(), owner, message });
    }

    /// What was compiled, if nothing is wrong with it.
    ///
    /// # Errors
    /// All the faults found.
    pub(super) fn finish<T>(self, compiled: T) -> Result<T, Faults> {
        if self.faults.is_empty() { Ok(compiled) } else { Err(Faults(self.faults)) }
    }
}
