use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::ledger::Ledger;
use crate::report::cases::{
    at, enter, excepting, invalid, node, planning, running, status, suspended, target, verdict,
};
use TargetState::{Absent, Degraded, Forbidden, Listing, Synced};

#[test]
fn every_exception_is_listed_with_its_use_and_whether_it_has_ended() {
    let (now, end) = (at(0), at(0).to_string());
    let entry = excepting(&[("old", Some(&end)), ("unused", None), ("later", Some("2999-01-01T00:00:00Z"))]);
    let mut page = Page::default();
    page.tally.exceptions.insert("unused".into(), Usage { used: 3, needless: 1 });
    let view =
        View { entry: &entry, targets: Some(&[]), page: &page, previous: None, writes: Writes::default() };
    let shown = |now| -> Vec<_> {
        let exceptions = render(&view, now).exceptions;
        exceptions.into_iter().map(|of| (of.name, of.used, of.needless, of.expired)).collect()
    };
    let rest = [("unused".to_owned(), 3, 1, false), ("later".to_owned(), 0, 0, false)];
    assert_eq!(shown(now), [&[("old".to_owned(), 0, 0, true)], &*rest.to_vec()].concat());
    assert!(!shown(at(-1))[0].3);
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let entry = running("p");
    let listing = [target("deployments", Listing)];
    let first = status(&entry, Some(&listing));
    let synced = [target("deployments", Synced)];
    let view = View {
        entry: &entry,
        targets: Some(&synced),
        page: &Page::default(),
        previous: Some(&first),
        writes: Writes::default(),
    };
    let second = render(&view, at(60));
    let since = |kind: &str| {
        let condition = second.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        condition.last_transition_time.0
    };
    assert_eq!((since("Validated"), since("Ready")), (at(0), at(60)));
}

#[test]
fn a_target_keeps_its_time_while_its_state_is_the_stored_one() {
    let entry = running("p");
    let first = status(&entry, Some(&[target("deployments", Synced)]));
    let since = |state| {
        let targets = [TargetReport { since: at(60), ..target("deployments", state) }];
        let view = View {
            entry: &entry,
            targets: Some(&targets),
            page: &Page::default(),
            previous: Some(&first),
            writes: Writes::default(),
        };
        render(&view, at(61)).targets[0].since.clone()
    };
    assert_eq!((since(Synced), since(Degraded)), (Some(Time(at(0))), Some(Time(at(60)))));
}

#[test]
fn violations_are_listed_with_their_object_and_counted() {
    let ledger = Ledger::new();
    enter(&ledger, "p", "web", verdict(vec![node("spec.a"), node("spec.b")]), at(1));
    enter(&ledger, "p", "api", verdict(vec![]), at(2));
    let page = ledger.page("p", &[], 20);
    let (entry, targets) = (running("p"), [target("deployments", Synced)]);
    let status = render(
        &View {
            entry: &entry,
            targets: Some(&targets),
            page: &page,
            previous: None,
            writes: Writes::default(),
        },
        at(9),
    );
    let summary = status.summary.unwrap();
    assert_eq!((summary.matched, summary.passed, summary.failed, summary.violations), (2, 1, 1, 1));
    assert_eq!((status.targets[0].objects, status.violations_truncated), (2, None));
    assert_eq!(status.last_evaluated, Some(Time(at(2))));
    let [violation] = &*status.violations else { panic!("{:?}", status.violations) };
    assert_eq!(violation.object.api_version.as_deref(), Some("apps/v1"));
    assert_eq!((&*violation.object.name, violation.object.kind.as_deref()), ("web", Some("Deployment")));
    assert_eq!(
        (violation.path.as_deref(), &*violation.other_paths),
        (Some("spec.a"), &["spec.b".to_owned()][..])
    );
    assert_eq!(violation.first_seen, Some(Time(at(1))));
}

#[test]
fn what_the_leader_before_told_of_a_fix_stands_until_it_is_tried_again_or_something_else_is_wrong() {
    let (ledger, entry) = (Ledger::new(), planning("p"));
    let shown = |previous: Option<&WatchPolicyStatus>| {
        let page = ledger.page("p", &[], 20);
        let view = View { entry: &entry, targets: None, page: &page, previous, writes: Writes::default() };
        render(&view, at(9))
    };
    enter(&ledger, "p", "web", verdict(vec![node("spec.a")]), at(1));
    let mut before = shown(None);
    assert_eq!(before.violations[0].fix, None);
    let fix = FixStatus { outcome: "Planned".to_owned(), ..FixStatus::default() };
    before.violations[0].fix = Some(fix.clone());
    assert_eq!(shown(Some(&before)).violations[0].fix, Some(fix));
    let of_another_spec = WatchPolicyStatus { observed_generation: Some(1), ..before.clone() };
    assert_eq!(shown(Some(&of_another_spec)).violations[0].fix, None);
    enter(&ledger, "p", "web", verdict(vec![node("spec.b")]), at(2));
    assert_eq!(shown(Some(&before)).violations[0].fix, None);
}

#[test]
fn a_status_reads_back_as_it_was_written() {
    let ledger = Ledger::new();
    let odd_time = at(1) + std::time::Duration::from_millis(345);
    enter(&ledger, "p", "web", verdict(vec![node("spec.a")]), odd_time);
    let entry = running("p");
    let targets = [TargetReport { since: odd_time, ..target("deployments", Absent) }];
    let page = ledger.page("p", &[], 20);
    let written = render(
        &View {
            entry: &entry,
            targets: Some(&targets),
            page: &page,
            previous: None,
            writes: Writes::default(),
        },
        odd_time,
    );
    let read: WatchPolicyStatus = serde_json::from_str(&serde_json::to_string(&written).unwrap()).unwrap();
    assert_eq!(written, read);
}

#[test]
fn the_observed_generation_is_the_one_that_judges() {
    let entry = PolicyEntry { generation: 4, ..running("p") };
    let empty = Page::default();
    let observed = |targets: &[TargetReport]| {
        let view = View {
            entry: &entry,
            targets: Some(targets),
            page: &empty,
            previous: None,
            writes: Writes::default(),
        };
        render(&view, at(1)).observed_generation
    };
    let judged_by = |generation| TargetReport { generation, ..target("deployments", Listing) };
    assert_eq!(observed(&[judged_by(4), judged_by(3)]), Some(3), "an edit waits for a wider watch");
    assert_eq!(observed(&[judged_by(4)]), Some(4));
    assert_eq!(observed(&[judged_by(5)]), Some(4), "the set is older than the board");
}

/// Everything as long as it may be, and of characters that are long in JSON.
fn extreme_page(text: &str) -> Page {
    let ledger = Ledger::new();
    for object in 0..40 {
        let nodes = vec![node(text); 32];
        enter(&ledger, "p", &format!("{object:0253}"), verdict(nodes), at(0));
    }
    ledger.page("p", &[], 20)
}

#[test]
fn a_status_is_never_longer_than_64_kib() {
    let entry = running("p");
    for text in ["a".repeat(4096), "\u{1}".repeat(4096), "🦀".repeat(1024), "<&>".repeat(1365)] {
        let page = extreme_page(&text);
        for (count, state) in [(1, Synced), (256, Forbidden), (2000, Absent)] {
            let long = TargetReport {
                group: "g".repeat(253).into(),
                resource: "r".repeat(63).into(),
                message: Some(text.as_str().into()),
                ..target("", state)
            };
            let targets = vec![long; count];
            let status = render(
                &View {
                    entry: &entry,
                    targets: Some(&targets),
                    page: &page,
                    previous: None,
                    writes: Writes::default(),
                },
                at(0),
            );
            let stored = serde_json::to_string(&status).unwrap();
            let stored = ['<', '&', '>'].iter().fold(stored, |json, letter| json.replace(*letter, "\\u0000"));
            assert!(stored.len() < 64 * 1024, "{} bytes with {count} targets", stored.len());
            let listed = u64::try_from(status.violations.len()).unwrap();
            assert_eq!(listed + status.violations_truncated.unwrap(), 40, "no violation is lost silently");
        }
    }
}

#[test]
fn targets_that_need_attention_are_listed_when_not_all_fit() {
    let mut targets = vec![target("deployments", Synced); 300];
    targets.push(target("secrets", Forbidden));
    let status = status(&running("p"), Some(&targets));
    assert_eq!(status.targets[0].resource, "secrets");
    assert_eq!(status.targets_summary.as_deref(), Some("300/301"));
}

#[test]
fn the_metrics_show_running_policies_with_their_verdicts_and_others_without() {
    let ledger = Ledger::new();
    enter(&ledger, "runs", "web", verdict(vec![node("spec.a")]), at(0));
    let entries = [running("runs"), invalid("broken"), suspended("sleeps")];
    let entries: BTreeMap<_, _> =
        entries.into_iter().map(|entry| (entry.name.clone(), Arc::new(entry))).collect();
    let set = crate::policy::PolicySet { revision: 1, entries };
    let targets: Arc<[TargetReport]> = [target("deployments", Synced)].into();
    let board = crate::observe::board::Board { policies: BTreeMap::from([("runs".into(), targets)]) };
    let samples = crate::report::samples(&set, &board, &ledger);
    let shown: Vec<_> = samples.iter().map(|sample| (&*sample.policy, sample.mode, sample.ready)).collect();
    assert_eq!(shown, [("broken", "Audit", false), ("runs", "Audit", true), ("sleeps", "Audit", true)]);
    assert!(samples[0].violations.is_empty());
    assert!(samples[1].violations.contains(&("medium", 1)) && samples[1].violations.contains(&("high", 0)));
}
