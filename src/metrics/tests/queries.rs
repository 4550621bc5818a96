//! What the alerts, the dashboard and the reference say of the series is what the page shows.

use std::collections::BTreeMap;

use regex::Regex;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::*;
use crate::crd::{Mode, Severity, TargetState};

/// What Prometheus adds to every series.
const ADDED: [&str; 3] = ["namespace", "pod", "instance"];

/// The words of an enum of the contract, from its schema.
fn words<T: JsonSchema>() -> Vec<&'static str> {
    let schema = serde_json::to_value(schemars::schema_for!(T)).unwrap();
    let consts = schema["oneOf"].as_array().into_iter().flatten().map(|one| &one["const"]);
    let listed = schema["enum"].as_array().into_iter().flatten();
    let words: Vec<_> = consts.chain(listed).map(|word| word.as_str().unwrap().to_owned().leak()).collect();
    assert!(words.len() > 2, "{schema}");
    words.into_iter().map(|word| &*word).collect()
}

fn read<T: DeserializeOwned>(word: &str) -> T {
    serde_json::from_value(word.into()).unwrap()
}

/// A page on which each family has each value of its labels that is a word of the operator's.
fn page() -> String {
    let metrics = busy();
    ReportWrite::ALL.iter().for_each(|outcome| metrics.report_write(*outcome));
    let policy = |mode, ready| PolicySample {
        policy: "owners".into(),
        mode,
        ready,
        objects: VerdictResult::ALL.iter().map(|result| (*result, 1)).collect(),
        violations: words::<Severity>().into_iter().map(|severity| (severity, 1)).collect(),
    };
    let modes = words::<Mode>();
    metrics
        .follow_policies(move || {
            modes.iter().flat_map(|mode| [policy(mode, true), policy(mode, false)]).collect()
        })
        .unwrap();
    metrics.follow_leadership("watchpolicy", || true).unwrap();
    let informer = |state: &str| InformerSample {
        target: deployments(),
        state: read::<TargetState>(state).as_str(),
        last_event_age: Some(Duration::ZERO),
        objects: 1,
        bytes: 1,
    };
    metrics.follow_informers(move || words::<TargetState>().into_iter().map(informer).collect()).unwrap();
    let work: Arc<dyn Workload> = Arc::new(Busy);
    metrics.follow_queue("objects", Arc::downgrade(&work), 1);
    for code in ["200", "429"] {
        metrics.requests().note(code, "GET", "host", std::time::Instant::now());
    }
    metrics.page().unwrap()
}

/// Every family on a page.
fn families(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect()
}

/// The label values of each name on a page, by label.
fn values(page: &str) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let pair = Regex::new(r#"([a-z_]+)="([^"]*)""#).unwrap();
    let mut found: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once('{').unwrap_or_else(|| (line.split(' ').next().unwrap(), ""));
        let of_name = found.entry(name.to_owned()).or_default();
        for pair in pair.captures_iter(labels) {
            of_name.entry(pair[1].to_owned()).or_default().insert(pair[2].to_owned());
        }
    }
    found
}

/// A query, and the words that are shown with its answer.
struct Query {
    expression: String,
    words: String,
}

const DASHBOARD: &str = include_str!("../../../charts/watchpolicy/files/dashboard.json");
const ALERTS: &str = include_str!("../../../charts/watchpolicy/files/alerts.yaml");

/// Those of the alerts and of the dashboard.
fn queries() -> Vec<Query> {
    [queries_of(DASHBOARD), queries_of(ALERTS)].into_iter().flatten().collect()
}

fn queries_of(file: &str) -> Vec<Query> {
    fn of(value: &serde_json::Value, found: &mut Vec<Query>) {
        match value {
            serde_json::Value::Object(members) => {
                if let Some(expression) = members.get("expr").and_then(serde_json::Value::as_str) {
                    let shown = [members.get("legendFormat"), members.get("annotations")];
                    let words = shown.into_iter().flatten().map(ToString::to_string).collect();
                    found.push(Query { expression: expression.to_owned(), words });
                }
                members.values().for_each(|value| of(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| of(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    of(&serde_saphyr::from_str(file).unwrap(), &mut found);
    assert!(found.len() > 10);
    found
}

/// The names of series in an expression.
fn names(expression: &str) -> Vec<&str> {
    const PREFIXES: [&str; 6] =
        ["watchpolicy_", "workqueue_", "rest_client_", "leader_", "process_", "controller_"];
    let name = Regex::new("[a-z_]{3,}_[a-z_]+").unwrap();
    let found = name.find_iter(expression).map(|found| found.as_str());
    found.filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix))).collect()
}

#[test]
fn the_reference_of_the_metrics_has_every_family_and_no_other() {
    let reference = include_str!("../../../docs/metrics.md");
    let written: BTreeSet<_> = reference
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split(['`', '{']).next()?.to_owned()))
        .collect();
    assert_eq!(written, families(&page()));
}

#[test]
fn the_labels_in_the_reference_are_those_of_the_families() {
    let values = values(&page());
    let row = Regex::new(r"(?m)^\| `([a-z_]+)(?:\{([a-z_,]+)\})?` \| (\w+)").unwrap();
    for row in row.captures_iter(include_str!("../../../docs/metrics.md")) {
        let suffix = if &row[3] == "histogram" { "_count" } else { "" };
        let written: BTreeSet<_> =
            row.get(2).into_iter().flat_map(|labels| labels.as_str().split(',')).collect();
        let shown: BTreeSet<_> = values[&format!("{}{suffix}", &row[1])].keys().map(String::as_str).collect();
        assert_eq!(written, shown, "{}", &row[1]);
    }
}

#[test]
fn alerts_and_dashboard_select_by_labels_and_values_that_there_are() {
    let values = values(&page());
    let selector = Regex::new(r"([a-z_]+)\{([^{}]*)\}").unwrap();
    let matcher = Regex::new(r#"([a-z_]+)(?:=~|!~|!=|=)"([^"]*)""#).unwrap();
    let mut seen = 0;
    for Query { expression, .. } in queries() {
        for name in names(&expression) {
            assert!(values.contains_key(name), "{name} in {expression}");
        }
        for selector in selector.captures_iter(&expression) {
            for matcher in matcher.captures_iter(&selector[2]) {
                let known = values[&selector[1]].get(&matcher[1]);
                let known = known.unwrap_or_else(|| panic!("{} in {expression}", &matcher[1]));
                // What the chart or Grafana fills in is no word of ours.
                let filled = |value: &&str| *value == "LEASE" || value.starts_with('$');
                for value in matcher[2].split('|').filter(|value| !filled(value)) {
                    assert!(known.contains(value), "{value} in {expression}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn alerts_and_dashboard_group_by_and_show_labels_that_there_are() {
    let values = values(&page());
    let grouped = Regex::new(r"(?:by|on) \(([a-z_, ]+)\)").unwrap();
    let kept = Regex::new(r"by \(([a-z_, ]+)\)").unwrap();
    let shown = Regex::new(r"\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}").unwrap();
    let list = |list: &str| list.split(", ").map(str::to_owned).collect::<Vec<_>>();
    for Query { expression, words } in queries() {
        let labels: BTreeSet<_> =
            names(&expression).iter().flat_map(|name| values[*name].keys().cloned()).collect();
        let there = |label: &String| labels.contains(label) || ADDED.contains(&label.as_str());
        for label in grouped.captures_iter(&expression).flat_map(|found| list(&found[1])) {
            assert!(there(&label), "{label} in {expression}");
        }
        let left: BTreeSet<_> = kept.captures_iter(&expression).flat_map(|found| list(&found[1])).collect();
        for label in shown.captures_iter(&words).map(|found| found[1].to_owned()) {
            let is_left = if left.is_empty() { there(&label) } else { left.contains(&label) };
            assert!(is_left, "{label} in {words} of {expression}");
        }
    }
}

#[test]
fn whom_an_alert_wakes_finds_what_it_is_about_on_the_dashboard() {
    let shown = queries_of(DASHBOARD);
    let shown: BTreeSet<_> = shown.iter().flat_map(|query| names(&query.expression)).collect();
    for Query { expression, .. } in queries_of(ALERTS) {
        for name in names(&expression) {
            assert!(shown.contains(name), "{name}");
        }
    }
    assert!(shown.contains("watchpolicy_parked_keys") && shown.contains("watchpolicy_events_dropped_total"));
}

#[test]
fn what_the_alerts_are_about_is_shown_from_nothing_on() {
    let outcomes = Regex::new(r#"watchpolicy_remediations_total\{outcome=~"([A-Za-z|]+)"\}"#).unwrap();
    let asked: BTreeSet<_> = outcomes
        .captures_iter(ALERTS)
        .flat_map(|found| found[1].split('|').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(asked, Remediation::TROUBLES.iter().map(|outcome| outcome.as_str().to_owned()).collect());
}
