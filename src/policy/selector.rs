//! Label selectors as Kubernetes has them: `matchLabels` and `matchExpressions`, all of which must hold.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::fault::{Field, Findings};

/// A compiled label selector. One without requirements fits every object. Shown as the API server takes it in
/// `labelSelector`: `team in (blue),tier notin (1,2),!legacy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Box<[Requirement]>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: Box<str>,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Box<[Box<str>]>),
    /// Also true of an object without the label, as in Kubernetes.
    NotIn(Box<[Box<str>]>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Compiles a selector; what is wrong with it goes to the findings.
    pub(super) fn compile(selector: &LabelSelector, at: &Field<'_>, findings: &mut Findings) -> Self {
        let LabelSelector { match_labels, match_expressions } = selector;
        let mut requirements = Vec::new();
        for (key, value) in match_labels.iter().flatten() {
            let at = at.name("matchLabels");
            check_key(key, &at, findings);
            check_value(value, &at.name(key), findings);
            let operator = Operator::In(Box::new([value.as_str().into()]));
            requirements.push(Requirement { key: key.as_str().into(), operator });
        }
        for (index, expression) in match_expressions.iter().flatten().enumerate() {
            let list = at.name("matchExpressions");
            requirements.extend(Requirement::compile(expression, &list.index(index), findings));
        }
        Self(requirements.into())
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &[(Arc<str>, Box<str>)]) -> bool {
        self.0.iter().all(|requirement| requirement.holds(labels))
    }

    /// Whether every object is selected, so that labels need not be kept for it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, Requirement { key, operator })| {
            let comma = if index > 0 { "," } else { "" };
            match operator {
                Operator::In(values) => write!(f, "{comma}{key} in ({})", values.join(",")),
                Operator::NotIn(values) => write!(f, "{comma}{key} notin ({})", values.join(",")),
                Operator::Exists => write!(f, "{comma}{key}"),
                Operator::DoesNotExist => write!(f, "{comma}!{key}"),
            }
        })
    }
}

impl Requirement {
    fn compile(
        expression: &LabelSelectorRequirement,
        at: &Field<'_>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let LabelSelectorRequirement { key, operator, values } = expression;
        check_key(key, &at.name("key"), findings);
        let values = values.as_deref().unwrap_or_default();
        for (index, value) in values.iter().enumerate() {
            check_value(value, &at.name("values").index(index), findings);
        }
        let needs_values = matches!(operator.as_str(), "In" | "NotIn");
        if needs_values == values.is_empty() {
            let verb = if needs_values { "needs" } else { "takes no" };
            findings.invalid(&at.name("values"), format!("{operator} {verb} values"));
        }
        let values = || values.iter().map(|value| value.as_str().into()).collect();
        let operator = match operator.as_str() {
            "In" => Operator::In(values()),
            "NotIn" => Operator::NotIn(values()),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => {
                let message = format!("`{other}` is not an operator; use In, NotIn, Exists or DoesNotExist");
                findings.invalid(&at.name("operator"), message);
                return None;
            }
        };
        Some(Self { key: key.as_str().into(), operator })
    }

    fn holds(&self, labels: &[(Arc<str>, Box<str>)]) -> bool {
        let value = labels.iter().find(|(key, _)| **key == *self.key).map(|(_, value)| value);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// A label key: a name of at most 63 characters, after an optional DNS prefix and `/`.
fn check_key(key: &str, at: &Field<'_>, findings: &mut Findings) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_is_dns = prefix.is_none_or(|prefix| {
        (1..=253).contains(&prefix.len())
            && prefix.split('.').all(|part| is_name(part, |c| c == '-') && !part.contains(char::is_uppercase))
    });
    if !prefix_is_dns || !is_name(name, is_inner) {
        findings.invalid(at, format!("`{key}` is not a label key, such as `app.kubernetes.io/name`"));
    }
}

/// A label value: empty, or a name of at most 63 characters.
fn check_value(value: &str, at: &Field<'_>, findings: &mut Findings) {
    if !value.is_empty() && !is_name(value, is_inner) {
        let rule = "at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
        findings.invalid(at, format!("`{value}` cannot be a label's value: {rule}"));
    }
}

fn is_name(text: &str, inner: fn(char) -> bool) -> bool {
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || inner(c))
        && end(text.chars().next())
        && end(text.chars().next_back())
}

fn is_inner(c: char) -> bool {
    matches!(c, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(yaml: &str) -> Result<Selector, String> {
        let mut findings = Findings::default();
        let root = Field::root("labelSelector");
        let selector = serde_saphyr::from_str::<LabelSelector>(yaml).expect("a selector");
        let selector = Selector::compile(&selector, &root, &mut findings);
        findings.finish(selector).map_err(|faults| faults.to_string())
    }

    fn labels(pairs: &[(&str, &str)]) -> Vec<(Arc<str>, Box<str>)> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn selectors_select_as_in_kubernetes() {
        let blue = labels(&[("team", "blue"), ("corp.io/tier", "1")]);
        for (yaml, on_blue, on_none) in [
            ("{}", true, true),
            ("{matchLabels: {team: blue}}", true, false),
            ("{matchLabels: {team: blue, corp.io/tier: '2'}}", false, false),
            ("{matchExpressions: [{key: team, operator: In, values: [red, blue]}]}", true, false),
            ("{matchExpressions: [{key: team, operator: NotIn, values: [red]}]}", true, true),
            ("{matchExpressions: [{key: team, operator: NotIn, values: [blue]}]}", false, true),
            ("{matchExpressions: [{key: team, operator: Exists}]}", true, false),
            ("{matchExpressions: [{key: team, operator: DoesNotExist}]}", false, true),
            (
                "{matchLabels: {team: blue}, matchExpressions: [{key: tier, operator: DoesNotExist}]}",
                true,
                false,
            ),
        ] {
            let selector = compile(yaml).expect(yaml);
            assert_eq!(selector.matches(&blue), on_blue, "{yaml} on {blue:?}");
            assert_eq!(selector.matches(&[]), on_none, "{yaml} without labels");
        }
    }

    #[test]
    fn a_selector_is_shown_as_the_api_server_takes_it() {
        let yaml = "{matchLabels: {team: blue}, matchExpressions: [{key: tier, operator: NotIn, values: ['1', '2']}, \
                    {key: owner, operator: Exists}, {key: legacy, operator: DoesNotExist}]}";
        let selector = compile(yaml).expect("a selector");
        assert_eq!(selector.to_string(), "team in (blue),tier notin (1,2),owner,!legacy");
    }

    #[test]
    fn a_selector_that_the_api_server_would_refuse_is_a_fault() {
        for (yaml, fault) in [
            ("{matchExpressions: [{key: a, operator: In}]}", "matchExpressions[0].values: In needs values"),
            ("{matchExpressions: [{key: a, operator: Exists, values: [b]}]}", "Exists takes no values"),
            ("{matchExpressions: [{key: a, operator: Near}]}", "matchExpressions[0].operator: `Near` is not"),
            ("{matchLabels: {-a: b}}", "matchLabels: `-a` is not a label key"),
            ("{matchLabels: {Corp.io/a: b}}", "`Corp.io/a` is not a label key"),
            ("{matchLabels: {a: 'b c'}}", "matchLabels.a: `b c` cannot be a label's value"),
        ] {
            let faults = compile(yaml).expect_err(yaml);
            assert!(faults.contains(fault), "{yaml}: {faults}");
        }
    }
}
