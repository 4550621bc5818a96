mod queries;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_parse::{Scrape, Value};

use super::*;
use crate::resource::GroupResource;

fn scrape(metrics: &Metrics) -> Scrape {
    let page = metrics.page().unwrap();
    Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap()
}

/// The value of the series with these labels, `name` apart; `None` when there is no such series.
fn value(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let sample = scrape.samples.iter().find(|sample| {
        sample.metric == name && labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value))
    })?;
    match &sample.value {
        Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => Some(*value),
        Value::Histogram(_) | Value::Summary(_) => None,
    }
}

fn deployments() -> GroupResource {
    GroupResource::new("apps", "deployments")
}

/// Metrics in which every series has a value.
fn busy() -> Arc<Metrics> {
    let metrics = Metrics::new("1.2.3").unwrap();
    metrics.queue("objects").added(Priority::LiveChange);
    VerdictResult::ALL.iter().for_each(|result| metrics.policy("owners").evaluated(*result));
    let target = metrics.target(&deployments());
    EventType::ALL.iter().for_each(|kind| target.event(*kind));
    WatchFailure::ALL.iter().for_each(|failure| target.failure(*failure));
    Remediation::ALL.iter().for_each(|outcome| metrics.remediation("owners", *outcome));
    target.unchanged();
    target.listed(Duration::from_secs(1));
    metrics
}

/// A queue at work.
struct Busy;
impl Workload for Busy {
    fn sample(&self) -> WorkSample {
        let seconds = Duration::from_secs;
        let of_each = |_| PrioritySample { depth: 7, active: 2, unfinished: seconds(5), longest: seconds(3) };
        WorkSample { by: PerPriority::new(of_each), parked: 4 }
    }
}

#[test]
fn a_series_of_a_policy_or_target_goes_when_it_goes() {
    let metrics = busy();
    assert!(metrics.page().unwrap().contains(r#"policy="owners""#));
    assert!(metrics.page().unwrap().contains(r#"resource="deployments""#));
    metrics.forget_policy("owners");
    // Of a fix that was under way.
    metrics.remediation("owners", Remediation::Fixed);
    metrics.forget_target(&deployments());
    assert!(!metrics.page().unwrap().contains(r#"policy="owners""#));
    assert!(!metrics.page().unwrap().contains(r#"resource="deployments""#));
}

#[test]
fn troubles_with_fixes_begin_at_nothing_for_policies_that_fix_and_go_with_them() {
    let metrics = Metrics::new("test").unwrap();
    for policy in ["judges", "fixes"] {
        metrics.policy(policy);
    }
    metrics.expect_remediations("fixes");
    let shown = |policy| {
        let page = scrape(&metrics);
        let of = |outcome: &Remediation| {
            value(
                &page,
                "watchpolicy_remediations_total",
                &[("policy", policy), ("outcome", outcome.as_str())],
            )
        };
        Remediation::TROUBLES.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(shown("judges"), [None; 6]);
    assert_eq!(shown("fixes"), [Some(0.0); 6]);
    metrics.forget_policy("fixes");
    assert_eq!(shown("fixes"), [None; 6]);
}

#[test]
fn counters_appear_under_the_names_and_labels_of_the_contract() {
    let metrics = busy();
    metrics.report_write(ReportWrite::Written);
    let page = scrape(&metrics);
    let target = [("group", "apps"), ("resource", "deployments")];
    let with = |label, value| [target[0], target[1], (label, value)];
    for (name, labels) in [
        ("watchpolicy_build_info", &[("version", "1.2.3")][..]),
        ("workqueue_adds_total", &[("name", "objects"), ("controller", "objects"), ("priority", "0")]),
        ("watchpolicy_evaluations_total", &[("policy", "owners"), ("result", "Fail")]),
        ("watchpolicy_watch_events_total", &with("type", "MODIFIED")),
        ("watchpolicy_watch_errors_total", &with("reason", "expired")),
        ("watchpolicy_unchanged_total", &target),
        ("watchpolicy_report_writes_total", &[("outcome", "written")]),
    ] {
        assert_eq!(value(&page, name, labels), Some(1.0), "{name} {labels:?}");
    }
    assert!(value(&page, "process_resident_memory_bytes", &[]).is_some());
}

#[test]
fn gauges_of_policies_are_read_at_the_scrape() {
    let metrics = Metrics::new("test").unwrap();
    let policies = Arc::new(Mutex::new(Vec::new()));
    let source = Arc::clone(&policies);
    metrics.follow_policies(move || source.lock().clone()).unwrap();
    let sample = |name: &str, ready| PolicySample {
        policy: name.into(),
        mode: "Audit",
        ready,
        objects: vec![(VerdictResult::Pass, 7), (VerdictResult::Fail, 2)],
        violations: vec![("high", 3)],
    };
    *policies.lock() = vec![sample("a", true), sample("b", true), sample("c", false)];
    let page = scrape(&metrics);
    assert_eq!(value(&page, "watchpolicy_policies", &[("mode", "Audit"), ("ready", "true")]), Some(2.0));
    assert_eq!(value(&page, "watchpolicy_violations", &[("policy", "a"), ("severity", "high")]), Some(3.0));
    assert_eq!(value(&page, "watchpolicy_objects", &[("policy", "c"), ("result", "Pass")]), Some(7.0));
    policies.lock().remove(0);
    let page = scrape(&metrics);
    assert_eq!(value(&page, "watchpolicy_violations", &[("policy", "a")]), None);
    assert_eq!(value(&page, "watchpolicy_policies", &[("ready", "true")]), Some(1.0));
}

#[test]
fn leadership_is_read_at_the_scrape() {
    let metrics = Metrics::new("test").unwrap();
    let leads = Arc::new(Mutex::new(false));
    let source = Arc::clone(&leads);
    metrics.follow_leadership("watchpolicy", move || *source.lock()).unwrap();
    for now in [false, true, false] {
        *leads.lock() = now;
        let shown = value(&scrape(&metrics), "leader_election_master_status", &[("name", "watchpolicy")]);
        assert_eq!(shown, Some(f64::from(u8::from(now))));
    }
}

#[test]
fn informers_of_one_resource_add_up_and_show_the_oldest_age() {
    let metrics = Metrics::new("test").unwrap();
    let sample = |state, age| InformerSample {
        target: deployments(),
        state,
        last_event_age: Some(Duration::from_secs(age)),
        objects: 10,
        bytes: 4_000,
    };
    let source = move || vec![sample("Synced", 3), sample("Synced", 90), sample("Listing", 1)];
    metrics.follow_informers(source).unwrap();
    let page = scrape(&metrics);
    assert_eq!(value(&page, "watchpolicy_informers", &[("state", "Synced")]), Some(2.0));
    assert_eq!(value(&page, "watchpolicy_cached_objects", &[]), Some(30.0));
    assert_eq!(value(&page, "watchpolicy_cached_bytes", &[]), Some(12_000.0));
    assert_eq!(value(&page, "watchpolicy_informer_last_event_age_seconds", &[]), Some(90.0));
}

#[test]
fn a_queue_is_asked_at_the_scrape_and_not_kept_alive() {
    let metrics = Metrics::new("test").unwrap();
    let work: Arc<dyn Workload> = Arc::new(Busy);
    metrics.follow_queue("objects", Arc::downgrade(&work), 9);
    let values = || {
        let page = scrape(&metrics);
        let of = |name, labels: &[_]| value(&page, name, labels).unwrap();
        let live = &[("name", "objects"), ("controller", "objects"), ("priority", "0")];
        let controller = &[("controller", "objects")];
        [
            of("workqueue_depth", live),
            of("workqueue_unfinished_work_seconds", live),
            of("workqueue_longest_running_processor_seconds", live),
            of("watchpolicy_parked_keys", controller),
            of("controller_runtime_active_workers", controller),
            of("controller_runtime_max_concurrent_reconciles", controller),
        ]
    };
    assert_eq!(values(), [7.0, 5.0, 3.0, 4.0, 8.0, 9.0]);
    drop(work);
    assert_eq!(values(), [0.0, 0.0, 0.0, 0.0, 0.0, 9.0]);
}

#[test]
fn labels_are_only_those_that_cannot_name_an_object() {
    let metrics = busy();
    metrics.queue("objects").waited(Priority::Resync, Duration::from_secs(1));
    let allowed: BTreeSet<&str> = [
        "version",
        "policy",
        "result",
        "severity",
        "mode",
        "ready",
        "group",
        "resource",
        "state",
        "type",
        "reason",
        "outcome",
        "name",
        "controller",
        "priority",
        "code",
        "method",
        "verb",
        "host",
        "le",
    ]
    .into();
    for sample in scrape(&metrics).samples {
        for label in sample.labels.keys() {
            assert!(allowed.contains(label.as_str()), "{} has the label {label}", sample.metric);
        }
    }
}
