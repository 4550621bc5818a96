//! All that is wrong with each policy, and what its author should look at again.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::anyhow;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::finding::Level;
use crate::cli::input::files::Text;
use crate::cli::input::lines::Lines;
use crate::cli::input::policies::Draft;
use crate::cli::input::{Origin, Trouble};
use crate::cli::kinds::builtin;
use crate::crd::{Target, WatchPolicy};
use crate::policy::{CompiledPolicy, advise, contradictions};

use super::schema;

/// One thing that is said of a policy.
#[derive(Clone, Debug)]
pub(super) struct Remark {
    /// Error for a fault, Warning for advice.
    pub(super) level: Level,
    /// The document that the policy is in.
    pub(super) origin: Origin,
    /// Where the field is said to stand: on the first line of the document, until [`locate`] knows better.
    pub(super) line: u64,
    pub(super) policy: String,
    /// Where in its document the policy is.
    pub(super) within: String,
    /// As `spec.rules[2].path`; empty for the policy as a whole.
    pub(super) field: String,
    pub(super) message: String,
}

/// The schema of a WatchPolicy, as the CRD has it. Made once: that takes longer than to look at a policy.
///
/// # Errors
/// Never in a tested build.
pub(super) fn schema() -> anyhow::Result<&'static Value> {
    static SCHEMA: LazyLock<anyhow::Result<Value>> = LazyLock::new(make_schema);
    SCHEMA.as_ref().map_err(|error| anyhow!("{error:#}"))
}

fn make_schema() -> anyhow::Result<Value> {
    let mut crd = crate::crd::crd_json()?;
    let schema = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").map(Value::take);
    let mut schema = schema.ok_or_else(|| anyhow!("the definition has no schema"))?;
    // What every object has is no part of a definition.
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for name in ["apiVersion", "kind"] {
            properties.insert(name.to_owned(), json!({"type": "string"}));
        }
        let metadata = json!({
            "type": "object", "properties": {"name": {"type": "string"}}, "x-kubernetes-preserve-unknown-fields": true,
        });
        properties.insert("metadata".to_owned(), metadata);
    }
    Ok(schema)
}

impl Remark {
    /// Whether the policy cannot be run for it.
    pub(super) fn is_fault(&self) -> bool {
        self.level == Level::Error
    }
}

/// What is said, policy by policy, in the order in which they were written. `now` is the time by which ends are told.
pub(super) fn all(drafts: &[Draft], schema: &Value, now: Timestamp) -> Vec<Remark> {
    let mut first: BTreeMap<&str, &Origin> = BTreeMap::new();
    let (mut remarks, mut programs) = (Vec::new(), Vec::new());
    for draft in drafts {
        let (found, program) = of_policy(draft, schema, now);
        remarks.extend(found);
        programs.extend(program.map(|program| (draft, program)));
        let known = *first.entry(draft.name()).or_insert(&draft.origin);
        if !draft.name().is_empty() && *known != draft.origin {
            let message = format!("there is a policy of this name at {known} already; rename one");
            remarks.push(draft.fault("metadata.name", message));
        }
    }
    remarks.extend(of_all(&programs));
    remarks
}

/// What is said of policies beside each other.
fn of_all(programs: &[(&Draft, CompiledPolicy)]) -> Vec<Remark> {
    let found = contradictions(programs.iter().map(|(_, program)| program));
    let remark = |(draft, program): &(&Draft, CompiledPolicy)| {
        let contradiction = found.get(&program.name)?;
        let index = program.rules().position(|rule| *rule == contradiction.rule)?;
        let field = format!("spec.rules[{index}].fix");
        Some(draft.remark(Level::Warning, &field, contradiction.to_string()))
    };
    programs.iter().filter_map(remark).collect()
}

/// Finds the line of each field in the files that the policies were read from.
pub(super) fn locate(remarks: &mut [Remark], texts: &[Text]) {
    for text in texts {
        let mut remarks = remarks.iter_mut().filter(|remark| remark.origin.file == text.file).peekable();
        if remarks.peek().is_none() {
            continue;
        }
        let documents = Lines::of_text(text);
        for remark in remarks {
            let document = remark.origin.document.checked_sub(1).and_then(|index| documents.get(index));
            let field = format!("{}.{}", remark.within, remark.field);
            remark.line = document.map_or(remark.origin.line, |lines| lines.of_field(&field));
        }
    }
}

fn of_policy(draft: &Draft, schema: &Value, now: Timestamp) -> (Vec<Remark>, Option<CompiledPolicy>) {
    let (mut remarks, compiles) = faults(draft, schema);
    remarks.extend(compiles.iter().flat_map(|(policy, _)| draft.advice(policy, now)));
    (remarks, compiles.map(|(_, program)| program))
}

/// Compiles a policy of which lint finds nothing wrong.
///
/// # Errors
/// All its faults in words, each after its field.
pub(in crate::cli) fn program_of(draft: &Draft) -> Result<CompiledPolicy, Vec<String>> {
    let words = |Remark { field, message, .. }: Remark| match &*field {
        "" => message,
        field => format!("{field}: {message}"),
    };
    let schema = schema().map_err(|error| vec![format!("{error:#}")])?;
    match faults(draft, schema) {
        (faults, Some((_, program))) if faults.is_empty() => Ok(program),
        (faults, _) => Err(faults.into_iter().map(words).collect()),
    }
}

/// The faults, and the policy with its program where all that can be read of it compiles.
fn faults(draft: &Draft, schema: &Value) -> (Vec<Remark>, Option<(WatchPolicy, CompiledPolicy)>) {
    let faults = schema::check(schema, &draft.value);
    let readable = Draft {
        origin: draft.origin.clone(),
        within: draft.within.clone(),
        value: schema::readable(&draft.value, &faults),
    };
    let mut remarks: Vec<Remark> =
        faults.into_iter().map(|fault| draft.fault(&fault.field, fault.message)).collect();
    let policy = match readable.read() {
        Ok(policy) => policy,
        // What the schema says is said better than what the decoder does.
        Err(Trouble { message, .. }) => {
            if remarks.is_empty() {
                remarks.push(draft.fault("", message));
            }
            return (remarks, None);
        }
    };
    let faults = match readable.compile(&policy) {
        Ok(program) => return (remarks, Some((policy, program))),
        Err(faults) => faults,
    };
    for fault in faults.iter() {
        if !remarks.iter().any(|remark| remark.field == fault.field) {
            remarks.push(draft.fault(&fault.field, fault.message.clone()));
        }
    }
    (remarks, None)
}

/// Targets that no cluster serves, or that are not narrowed by what should narrow them, by their fields.
fn odd_targets(policy: &WatchPolicy) -> impl Iterator<Item = (String, String)> {
    policy.spec.targets.iter().enumerate().flat_map(|(index, target)| {
        let odd = |(place, plural): (usize, &String)| {
            let words = builtin::oddity(&target.group, plural)?;
            Some((format!("spec.targets[{index}].resources[{place}]"), words))
        };
        let odd = target.resources.iter().enumerate().filter_map(odd);
        odd.chain(in_no_namespace(index, target)).collect::<Vec<_>>()
    })
}

/// Namespaces that are named of resources that are in none.
fn in_no_namespace(index: usize, target: &Target) -> Option<(String, String)> {
    let fields = [
        ("namespaces", !target.namespaces.is_empty()),
        ("excludeNamespaces", !target.exclude_namespaces.is_empty()),
        ("namespaceSelector", target.namespace_selector.is_some()),
    ];
    let (field, _) = fields.into_iter().find(|(_, is_given)| *is_given)?;
    // Of Namespaces it means themselves.
    let is_in_none =
        |plural: &&String| builtin::is_cluster_scoped(&target.group, plural) && *plural != "namespaces";
    let plural = target.resources.iter().find(is_in_none)?;
    let words = format!("says nothing of {plural}, which are in no namespace: all of them are taken");
    Some((format!("spec.targets[{index}].{field}"), words))
}

impl Draft {
    fn fault(&self, field: &str, message: String) -> Remark {
        self.remark(Level::Error, field, message)
    }

    /// What is said of a policy without a fault.
    fn advice(&self, policy: &WatchPolicy, now: Timestamp) -> impl Iterator<Item = Remark> {
        let odd = odd_targets(policy).map(|(field, words)| self.remark(Level::Warning, &field, words));
        let advices = advise(policy, now).into_iter();
        odd.chain(advices.map(|advice| self.remark(Level::Warning, &advice.field, advice.words)))
    }

    fn remark(&self, level: Level, field: &str, message: String) -> Remark {
        Remark {
            level,
            origin: self.origin.clone(),
            line: self.origin.line,
            policy: self.name().to_owned(),
            within: self.within.clone(),
            field: field.to_owned(),
            message,
        }
    }
}

#[cfg(test)]
#[path = "remarks_tests.rs"]
mod tests;
