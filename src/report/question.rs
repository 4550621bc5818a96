//! What is asked of all violations: filters, and the place where a page begins.

use std::cmp::Reverse;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crd::Severity;
use crate::ledger::Place;
use crate::resource::{GroupResource, ObjectKey, ObjectName};

/// Violations on a page, unless it is asked for fewer or more.
const LIMIT: usize = 500;
/// The most violations on a page.
const MAX_LIMIT: usize = 1000;

/// What is asked for; what is not said fits all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The policy's name.
    pub policy: Option<String>,
    /// The object's namespace.
    pub namespace: Option<String>,
    /// The rule's name.
    pub rule: Option<String>,
    /// The rule's severity.
    pub severity: Option<Severity>,
    /// The most violations on the page.
    pub limit: usize,
    /// The last violation of the page before.
    pub after: Option<Position>,
}

/// A violation's place in the order of all: by policy, then worst first, by object and by rule. It says nothing of the
/// replica that gave it, so that any other goes on from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The policy.
    pub policy: Arc<str>,
    /// The place among the policy's violations.
    pub place: Place,
}

/// A position as it is written: JSON in hexadecimal, for whoever asks to hand back and not to read.
#[derive(Serialize, Deserialize)]
struct Written {
    policy: String,
    severity: Severity,
    group: String,
    resource: String,
    namespace: Option<String>,
    name: String,
    rule: String,
}

impl Position {
    /// For the next question's `continue`.
    pub fn write(&self) -> String {
        let Place { severity, key: ObjectKey { resource, object }, rule } = &self.place;
        let written = Written {
            policy: self.policy.to_string(),
            severity: severity.0,
            group: resource.group.to_string(),
            resource: resource.resource.to_string(),
            namespace: object.namespace.as_deref().map(str::to_owned),
            name: object.name.to_string(),
            rule: rule.to_string(),
        };
        // A struct of strings has always a JSON.
        let json = serde_json::to_vec(&written).unwrap_or_default();
        json.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn read(text: &str) -> Option<Self> {
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let json: Vec<u8> = text.as_bytes().chunks(2).map(digits).collect::<Option<_>>()?;
        let written: Written = serde_json::from_slice(&json).ok()?;
        let object =
            ObjectName { namespace: written.namespace.map(Arc::from), name: written.name.as_str().into() };
        let place = Place {
            severity: Reverse(written.severity),
            key: ObjectKey { resource: GroupResource::new(written.group, written.resource), object },
            rule: written.rule.into(),
        };
        Some(Self { policy: written.policy.into(), place })
    }
}

impl Question {
    /// Reads the query of a URL: `policy=owners&severity=high&limit=100`.
    ///
    /// # Errors
    /// What is wrong, for whoever asked: a word that is not known would else be a filter that lets all through.
    pub fn read(query: &str) -> Result<Self, String> {
        let mut question = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            question.set(&name, value.into_owned())?;
        }
        Ok(question)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "policy" => self.policy = Some(value),
            "namespace" => self.namespace = Some(value),
            "rule" => self.rule = Some(value),
            "severity" => self.severity = Some(severity(&value)?),
            "limit" => self.limit = limit(&value)?,
            "continue" if value.is_empty() => {}
            "continue" => {
                let begin = "continue is not what a page before said; begin without it";
                self.after = Some(Position::read(&value).ok_or(begin)?);
            }
            name => {
                let known = "policy, namespace, rule, severity, limit and continue are known";
                return Err(format!("{name:?} is no parameter; {known}"));
            }
        }
        Ok(())
    }

    /// Whether a finding at this place is asked for, if its policy is.
    pub fn fits(&self, place: &Place) -> bool {
        let fits = |wanted: &Option<String>, is: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == is)
        };
        fits(&self.namespace, place.key.object.namespace.as_deref())
            && fits(&self.rule, Some(&place.rule))
            && self.severity.is_none_or(|wanted| wanted == place.severity.0)
    }
}

impl Default for Question {
    /// The first page of all.
    fn default() -> Self {
        Self { policy: None, namespace: None, rule: None, severity: None, limit: LIMIT, after: None }
    }
}

fn severity(word: &str) -> Result<Severity, String> {
    let known = || format!("severity is {word:?}; give info, low, medium, high or critical");
    serde_json::from_value(word.into()).map_err(|_unknown| known())
}

fn limit(number: &str) -> Result<usize, String> {
    let known = || format!("limit is {number:?}; a page has 1 to {MAX_LIMIT} violations");
    number.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(known)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_filter_is_read_and_none_is_needed() {
        assert_eq!(Question::read(""), Ok(Question::default()));
        let question = Question::read("policy=a.b&namespace=shop&rule=owner&severity=high&limit=7").unwrap();
        assert_eq!((question.policy.as_deref(), question.namespace.as_deref()), (Some("a.b"), Some("shop")));
        assert_eq!((question.severity, question.limit), (Some(Severity::High), 7));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        for (query, words) in [
            ("polcy=a", "\"polcy\" is no parameter"),
            ("severity=urgent", "info, low, medium, high or critical"),
            ("limit=0", "1 to 1000"),
            ("limit=1001", "1 to 1000"),
            ("limit=many", "1 to 1000"),
            ("continue=7b7", "begin without it"),
            ("continue=%C3%A9", "begin without it"),
        ] {
            let fault = Question::read(query).unwrap_err();
            assert!(fault.contains(words), "{query}: {fault}");
        }
    }

    proptest! {
        #[test]
        fn a_position_is_read_as_it_was_written(policy in ".*", name in ".*", namespace in proptest::option::of(".*")) {
            let object = ObjectName { namespace: namespace.map(Arc::from), name: name.into() };
            let key = ObjectKey { resource: GroupResource::new("apps", "deployments"), object };
            let place = Place { severity: Reverse(Severity::Low), key, rule: "owner".into() };
            let position = Position { policy: policy.into(), place };
            let read = Question::read(&format!("continue={}", position.write())).unwrap();
            prop_assert_eq!(read.after, Some(position));
        }

        #[test]
        fn no_query_makes_a_panic(query in ".*") {
            drop(Question::read(&query));
            drop(Question::read(&format!("continue={query}")));
        }
    }
}
