use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::ledger::{Ledger, Obstacles};
use crate::policy::Judgement;
use crate::report::cases::{
    at, deleted, enter, excepting, invalid, mending, node, planning, running, suspended, target, unreadable,
    verdict,
};
use crate::resource::{ObjectKey, ObjectName};
use TargetState::{Absent, Degraded, Forbidden, Listing, Resolving, Synced};

/// The status of a policy with these targets and no verdicts.
fn status(entry: &PolicyEntry, targets: Option<&[TargetReport]>) -> WatchPolicyStatus {
    render(&View { entry, targets, page: &Page::default(), previous: None, writes: Writes::default() }, at(0))
}

/// Each condition as `Type=Status/Reason`, sorted; without that of the mode, which is not theirs to follow.
fn conditions(status: &WatchPolicyStatus) -> Vec<String> {
    let shown = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        format!("{}={}/{}", condition.type_, condition.status, condition.reason)
    };
    let of_targets = status.conditions.iter().filter(|condition| condition.type_ != "Enforcing");
    let mut conditions: Vec<_> = of_targets.map(shown).collect();
    conditions.sort_unstable();
    conditions
}

fn message<'s>(status: &'s WatchPolicyStatus, kind: &str) -> &'s str {
    &status.conditions.iter().find(|condition| condition.type_ == kind).unwrap().message
}

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
fn conditions_follow_the_states_of_the_targets() {
    let valid = "Validated=True/Valid";
    let cases: [(&[TargetState], &[&str]); 6] = [
        (
            &[Synced, Synced],
            &["Authorized=True/Allowed", "Ready=True/Synced", "TargetsResolved=True/Resolved", valid],
        ),
        (
            &[Synced, Absent],
            &[
                "Authorized=True/Allowed",
                "Ready=True/SomeTargetsAbsent",
                "TargetsResolved=False/Absent",
                valid,
            ],
        ),
        (
            &[Absent],
            &[
                "Authorized=Unknown/NothingToAsk",
                "Ready=True/TargetsAbsent",
                "TargetsResolved=False/Absent",
                valid,
            ],
        ),
        (
            &[Synced, Listing],
            &[
                "Authorized=True/Allowed",
                "Ready=False/Listing",
                "Reconciling=True/Listing",
                "TargetsResolved=True/Resolved",
                valid,
            ],
        ),
        (
            &[Synced, Degraded],
            &[
                "Authorized=True/Allowed",
                "Ready=False/Degraded",
                "Reconciling=True/Degraded",
                "TargetsResolved=True/Resolved",
                valid,
            ],
        ),
        (
            &[Synced, Forbidden],
            &[
                "Authorized=False/Forbidden",
                "Ready=False/Forbidden",
                "Stalled=True/Forbidden",
                "TargetsResolved=True/Resolved",
                valid,
            ],
        ),
    ];
    for (states, expected) in cases {
        let targets: Vec<_> = states.iter().map(|state| target("deployments", *state)).collect();
        assert_eq!(conditions(&status(&running("p"), Some(&targets))), expected, "{states:?}");
    }
}

#[test]
fn a_policy_that_judges_nothing_does_not_look_like_one_that_finds_nothing() {
    let told = |state, summary| {
        let mut page = Page::default();
        page.tally.summary = summary;
        let targets = [target("deployments", state)];
        let (entry, targets) = (running("p"), Some(&targets[..]));
        let view = View { entry: &entry, targets, page: &page, previous: None, writes: Writes::default() };
        message(&render(&view, at(0)), "Ready").to_owned()
    };
    let (none, followed) = (Summary::default(), "every target is followed");
    assert!(told(Synced, none).starts_with("every target is followed; so far no object is taken"));
    assert!(!told(Absent, none).contains("is taken"), "there is nothing to take");
    let left_out = Summary { excluded: 2, ..none };
    assert_eq!(told(Synced, left_out), format!("{followed}; 2 objects seen, and `match` leaves all out"));
    let skipped = Summary { matched: 1, skipped: 1, ..none };
    assert!(told(Synced, skipped).contains("; 1 object taken, and no rule applies: see"));
    for summary in [
        Summary { matched: 1, skipped: 1, owned: 1, ..none },
        Summary { matched: 2, skipped: 1, passed: 1, ..none },
    ] {
        assert_eq!(told(Synced, summary), followed);
    }
    let errored = Summary { matched: 1, errored: 1, ..none };
    assert!(told(Synced, errored).ends_with("; 1 object could not be judged, see the violations"));
}

#[test]
fn what_should_be_known_of_a_target_that_is_followed_is_told_with_it_and_its_name_once() {
    let told = |state, words: &str| {
        let targets = [TargetReport { message: Some(words.into()), ..target("deployments", state) }];
        message(&status(&running("p"), Some(&targets)), "Ready").to_owned()
    };
    let slip = "a rule reads `spec.a`";
    assert!(told(Synced, slip).starts_with(&format!("every target is followed; deployments.apps: {slip}")));
    let absent = "the cluster serves no deployments.apps; it is watched as soon as it is installed";
    assert_eq!(told(Absent, absent), format!("no target exists in the cluster yet: {absent}"));
}

#[test]
fn who_waits_for_a_policy_that_needs_somebody_need_not_wait_for_its_other_targets() {
    for state in [Listing, Degraded, Resolving] {
        let targets = [target("deployments", state), target("jobs", Forbidden)];
        let conditions = conditions(&status(&running("p"), Some(&targets)));
        assert!(conditions.contains(&"Stalled=True/Forbidden".to_owned()), "{conditions:?}");
        assert!(!conditions.iter().any(|condition| condition.starts_with("Reconciling")), "{conditions:?}");
    }
}

#[test]
fn a_target_over_a_limit_of_the_operator_names_it_and_waits_for_somebody() {
    let message = Some("raise --max-targets".into());
    let targets = [TargetReport { limited: true, message, ..target("deployments", Degraded) }];
    let status = status(&running("p"), Some(&targets));
    let conditions = conditions(&status);
    for expected in ["Ready=False/LimitExceeded", "Stalled=True/LimitExceeded", "Authorized=True/Allowed"] {
        assert!(conditions.iter().any(|condition| condition == expected), "{conditions:?}");
    }
    assert!(!conditions.iter().any(|condition| condition.starts_with("Reconciling")), "{conditions:?}");
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!(ready.message, "deployments.apps: raise --max-targets");
}

#[test]
fn a_target_that_is_there_and_not_as_the_policy_asks_for_it_waits_for_somebody() {
    let message = Some("served in v1".into());
    let targets = [
        target("deployments", Synced),
        TargetReport { mismatched: true, message, ..target("statefulsets", Absent) },
    ];
    let status = status(&running("p"), Some(&targets));
    let conditions = conditions(&status);
    for expected in
        ["Ready=False/TargetMismatch", "Stalled=True/TargetMismatch", "TargetsResolved=False/TargetMismatch"]
    {
        assert!(conditions.iter().any(|condition| condition == expected), "{conditions:?}");
    }
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!(ready.message, "statefulsets.apps: served in v1");
}

#[test]
fn before_anything_is_known_of_the_targets_a_policy_is_reconciling() {
    let expected = [
        "Authorized=Unknown/NothingToAsk",
        "Ready=False/Resolving",
        "Reconciling=True/Resolving",
        "TargetsResolved=Unknown/Resolving",
        "Validated=True/Valid",
    ];
    assert_eq!(conditions(&status(&running("p"), None)), expected);
    assert_eq!(conditions(&status(&running("p"), Some(&[target("deployments", Resolving)]))), expected);
}

#[test]
fn a_policy_that_is_not_run_is_stalled_and_says_why() {
    let not_run = |reason: &str| {
        vec![
            "Authorized=Unknown/NotValidated".to_owned(),
            format!("Ready=False/{reason}"),
            format!("Stalled=True/{reason}"),
            "TargetsResolved=Unknown/NotValidated".to_owned(),
            format!("Validated=False/{reason}"),
        ]
    };
    let refused = status(&invalid("p"), None);
    assert_eq!(conditions(&refused), not_run("Invalid"));
    assert!(message(&refused, "Validated").starts_with("spec.rules[0] (owner).path: "), "{refused:?}");
    assert!(message(&refused, "Ready").contains("spec.rules[0] (owner).path: "), "{refused:?}");
    assert_eq!(refused.summary, None);
    let unread = status(&unreadable("p"), None);
    assert_eq!(conditions(&unread), not_run("Unreadable"));
    assert!(message(&unread, "Validated").contains("missing field `rules`"), "{unread:?}");
}

#[test]
fn a_suspended_policy_is_ready_and_has_no_verdicts() {
    let status = status(&suspended("p"), None);
    let expected = [
        "Authorized=Unknown/Suspended",
        "Ready=True/Suspended",
        "TargetsResolved=Unknown/Suspended",
        "Validated=True/Valid",
    ];
    assert_eq!(conditions(&status), expected);
    assert_eq!((status.summary, status.reason.as_deref()), (None, Some("Suspended")));
}

#[test]
fn a_missing_right_is_told_in_the_words_of_its_target() {
    let cure = "the operator may not list deployments.apps; add to its ClusterRole: {…}";
    let forbidden = TargetReport { message: Some(cure.into()), ..target("deployments", Forbidden) };
    let status = status(&running("p"), Some(&[target("statefulsets", Synced), forbidden]));
    for kind in ["Ready", "Authorized", "Stalled"] {
        assert_eq!(message(&status, kind), cure);
    }
    assert_eq!(status.targets[1].message.as_deref(), Some(cure));
    assert_eq!(status.targets_summary.as_deref(), Some("1/2"));
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
fn a_policy_that_only_reports_says_that_it_does_not_enforce() {
    let status = status(&running("p"), Some(&[target("deployments", Synced)]));
    assert!(message(&status, "Enforcing").contains("writes nothing"));
}

#[test]
fn a_policy_that_is_not_run_says_that_it_does_not_enforce_either() {
    for (entry, reason) in [
        (suspended("p"), "Suspended"),
        (invalid("p"), "NotValidated"),
        (unreadable("p"), "NotValidated"),
        (deleted("p"), "Deleting"),
    ] {
        let status = status(&entry, None);
        let enforcing: Vec<_> =
            status.conditions.iter().filter(|condition| condition.type_ == "Enforcing").collect();
        let told: Vec<_> = enforcing.iter().map(|told| (&*told.status, &*told.reason)).collect();
        assert_eq!(told, [("False", reason)]);
        assert!(enforcing[0].message.starts_with("nothing is written: "), "{enforcing:?}");
    }
}

#[test]
fn every_consent_that_is_missing_is_named() {
    let enforces = mending("p", crate::crd::Mode::Enforce);
    let tell = |allowed, stopped, obstacles: &Obstacles| {
        let writes = Writes { allowed, stopped, left: None };
        let told = enforcing(enforces.running().unwrap(), writes, obstacles);
        (told.status, told.reason.as_str(), told.message)
    };
    let pods = GroupResource::new("", "pods");
    let denied = [(pods.clone(), "the operator lacks the right".into())].into();
    let lacks = &Obstacles { denied, ..Obstacles::default() };
    let written = |obstacles: &Obstacles| tell(true, false, obstacles);
    assert_eq!(written(&Obstacles::default()), ("True", "Enforcing", "fixes are written".to_owned()));
    assert_eq!(written(lacks).1, "Forbidden");
    let object = ObjectName { namespace: Some("shop".into()), name: "web".into() };
    let untracked = Some(ObjectKey { resource: pods, object });
    let (status, _, message) = written(&Obstacles { untracked, ..Obstacles::default() });
    assert!(status == "True" && message.contains("managedFields of pods shop/web"), "{message}");
    for (allowed, stopped, reason, word) in
        [(false, false, "NotAllowed", "--allow-enforce"), (true, true, "Stopped", "watchpolicy.io/writes")]
    {
        let (status, told, message) = tell(allowed, stopped, lacks);
        assert_eq!((status, told), ("False", reason));
        assert!(message.contains(word) && message.contains("lacks the right"), "{message}");
    }
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

#[test]
fn objects_that_could_not_be_judged_are_told_where_people_look_first() {
    let ledger = Ledger::new();
    let Judgement::Judged(mut errs) = verdict(vec![node("spec.a")]) else { unreachable!() };
    errs.outcome = Outcome::Error;
    enter(&ledger, "p", "web", Judgement::Judged(errs), at(1));
    let (entry, synced) = (running("p"), [target("deployments", Synced)]);
    let page = ledger.page("p", &[], 20);
    let status = render(
        &View {
            entry: &entry,
            targets: Some(&synced),
            page: &page,
            previous: None,
            writes: Writes::default(),
        },
        at(1),
    );
    assert!(status.conditions[0].message.ends_with("1 object could not be judged, see the violations"));
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

#[test]
fn a_policy_that_takes_back_what_it_wrote_says_how_much_is_left_and_why() {
    let entry = PolicyEntry { finalizers: [crate::policy::FINALIZER.into()].into(), ..running("p") };
    let targets = [target("deployments", Synced), target("jobs", Forbidden)];
    let mut page = Page::default();
    page.obstacles.stuck = Some("the server is moody".into());
    let writes = Writes { allowed: true, stopped: true, left: Some(2) };
    let view = View { entry: &entry, targets: Some(&targets), page: &page, previous: None, writes };
    let status = render(&view, at(0));
    let enforcing = status.conditions.iter().find(|condition| condition.type_ == "Enforcing").unwrap();
    assert_eq!((enforcing.status.as_str(), enforcing.reason.as_str()), ("False", "Releasing"));
    for words in ["2 objects are left", "jobs.apps", "writes are stopped", "moody", "watchpolicy.io/release"]
    {
        assert!(enforcing.message.contains(words), "{words}: {}", enforcing.message);
    }
    assert!(conditions(&status).contains(&"Reconciling=True/Releasing".to_owned()));
}
