use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use hashbrown::HashMap;
use proptest::prelude::*;

use super::*;
use crate::crd::{Severity, Summary, Violation, ViolationObject, ViolationResult};
use crate::policy::{Grant, NodeVerdict, RuleVerdict, Verdict};
use crate::resource::ObjectName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(super) fn pod(name: &str) -> ObjectKey {
    let object = ObjectName { namespace: Some("shop".into()), name: name.into() };
    ObjectKey { resource: GroupResource::new("", "pods"), object }
}

fn rule(name: &str, severity: Severity, outcome: Outcome) -> RuleVerdict {
    let node = NodeVerdict {
        path: "spec.replicas".into(),
        actual: "1".into(),
        expected: "at least 2".into(),
        message: "spec.replicas is 1, wanted at least 2".into(),
    };
    let nodes = if matches!(outcome, Outcome::Fail | Outcome::Error) { vec![node] } else { Vec::new() };
    RuleVerdict { rule: name.into(), severity, outcome, nodes, more: 0, excepted: Vec::new(), owned: false }
}

fn judgement(outcome: Outcome, rules: Vec<RuleVerdict>) -> Judgement {
    Judgement::Judged(Verdict { outcome, rules, grants: Vec::new(), again: None })
}

pub(super) fn pass() -> Judgement {
    judgement(Outcome::Pass, vec![rule("owner", Severity::Medium, Outcome::Pass)])
}

pub(super) fn fail() -> Judgement {
    judgement(Outcome::Fail, vec![rule("owner", Severity::Medium, Outcome::Fail)])
}

/// Enters what policies say of an object.
fn enter_as(ledger: &Ledger, key: &ObjectKey, uid: &str, judgements: Vec<(&str, Judgement)>, now: Timestamp) {
    let (api_version, kind) = (&"v1".into(), &"Pod".into());
    let said = |(policy, judgement): (&str, _)| Said { policy: policy.into(), api_version, kind, judgement };
    let said = judgements.into_iter().map(said).collect();
    ledger.enter(Judged { key, uid: &uid.into(), listed: false, said }, now);
}

/// How many objects there are verdicts on.
fn objects(ledger: &Ledger) -> usize {
    ledger.state.lock().objects.values().map(HashMap::len).sum()
}

pub(super) fn enter(ledger: &Ledger, name: &str, judgements: Vec<(&str, Judgement)>, now: Timestamp) {
    enter_as(ledger, &pod(name), name, judgements, now);
}

/// When the violations of a policy were first seen, by object and rule.
fn first_seen(ledger: &Ledger, policy: &str) -> Vec<(String, i64)> {
    let seconds = |time: Timestamp| time.as_second() - at(0).as_second();
    let worst = ledger.page(policy, &[], 20).worst;
    worst
        .iter()
        .map(|(place, finding)| {
            (format!("{} {}", place.key.object.name, place.rule), seconds(finding.first_seen))
        })
        .collect()
}

#[test]
fn counts_follow_each_verdict_and_each_object_that_goes() {
    let ledger = Ledger::new();
    let error = judgement(Outcome::Error, vec![rule("owner", Severity::Medium, Outcome::Error)]);
    let skip = judgement(Outcome::Skip, vec![rule("owner", Severity::Medium, Outcome::Skip)]);
    for (name, judgement) in [
        ("a", pass()),
        ("b", fail()),
        ("c", error),
        ("d", skip),
        ("e", Judgement::Excluded { again: None }),
        ("f", fail()),
    ] {
        enter(&ledger, name, vec![("owners", judgement)], at(0));
    }
    let summary = ledger.tally("owners").summary;
    let counts = [summary.passed, summary.failed, summary.errored, summary.skipped, summary.excluded];
    assert_eq!(counts, [1, 2, 1, 1, 1]);
    assert_eq!((summary.matched, summary.violations), (5, 2));
    enter(&ledger, "b", vec![("owners", pass())], at(1));
    ledger.forget(&pod("f"), at(2));
    let summary = ledger.tally("owners").summary;
    assert_eq!((summary.passed, summary.failed, summary.violations), (2, 0, 0));
    assert_eq!(objects(&ledger), 5);
}

/// A verdict on an object that exceptions fit.
fn granted(outcome: Outcome, grants: &[(&str, bool)]) -> Judgement {
    let rules = vec![rule("owner", Severity::Medium, outcome)];
    let grant = |(name, needed): &(&str, bool)| Grant { exception: (*name).into(), needed: *needed };
    let grants = grants.iter().map(grant).collect();
    Judgement::Judged(Verdict { outcome, rules, grants, again: None })
}

#[tokio::test]
async fn what_was_said_of_an_object_that_is_gone_is_told_no_more() {
    let ledger = Ledger::new();
    ledger.note_tracked(("p", 1), &pod("a"), false);
    ledger.note_stuck("q", &pod("b"), "it is stuck".into());
    assert_eq!(ledger.changed().await.len(), 2);
    let told = |policy: &str| ledger.page(policy, &[], 0).obstacles.to_string();
    ledger.forget(&pod("c"), at(1));
    assert!(told("p").contains("shop/a") && told("q") == "it is stuck");
    assert_eq!(ledger.changed().now_or_never(), None, "nobody said anything of it");
    for (object, policy) in [("a", "p"), ("b", "q")] {
        ledger.forget(&pod(object), at(2));
        assert_eq!((told(policy), ledger.changed().await), (String::new(), [policy.into()].into()));
    }
}

#[test]
fn each_exception_is_counted_with_the_objects_that_it_fits_and_those_that_do_not_need_it() {
    let ledger = Ledger::new();
    enter(&ledger, "a", vec![("p", granted(Outcome::Skip, &[("old", true)]))], at(0));
    enter(&ledger, "b", vec![("p", granted(Outcome::Pass, &[("old", false), ("mesh", true)]))], at(0));
    enter(&ledger, "c", vec![("p", granted(Outcome::Skip, &[("old", false)]))], at(0));
    enter(&ledger, "d", vec![("p", granted(Outcome::Fail, &[("mesh", true)]))], at(0));
    let usage = |used, needless| Usage { used, needless };
    let tally = ledger.tally("p");
    assert_eq!(tally.exceptions, [("mesh".into(), usage(2, 0)), ("old".into(), usage(3, 2))].into());
    let Summary { passed, failed, skipped, excepted, violations, .. } = tally.summary;
    assert_eq!((passed, failed, skipped, excepted, violations), (1, 1, 2, 1, 1));

    enter(&ledger, "a", vec![("p", fail())], at(1));
    enter(&ledger, "b", vec![("p", granted(Outcome::Pass, &[("mesh", false)]))], at(1));
    ledger.forget(&pod("c"), at(1));
    ledger.forget(&pod("d"), at(1));
    let tally = ledger.tally("p");
    assert_eq!(tally.exceptions, [("mesh".into(), usage(1, 1))].into());
    assert_eq!((tally.summary.failed, tally.summary.skipped, tally.summary.excepted), (1, 0, 0));
    ledger.forget(&pod("a"), at(2));
    ledger.forget(&pod("b"), at(2));
    assert_eq!(ledger.tally("p"), Tally::default());
}

#[test]
fn what_is_left_to_a_controller_is_skipped_and_counted_as_owned() {
    let ledger = Ledger::new();
    let owned = RuleVerdict { owned: true, ..rule("owner", Severity::Medium, Outcome::Skip) };
    enter(&ledger, "a", vec![("p", judgement(Outcome::Skip, vec![owned]))], at(1));
    enter(&ledger, "b", vec![("p", judgement(Outcome::Skip, Vec::new()))], at(1));
    let summary = ledger.tally("p").summary;
    assert_eq!((summary.matched, summary.skipped, summary.owned, summary.violations), (2, 2, 1, 0));
    enter(&ledger, "a", vec![("p", fail())], at(2));
    let summary = ledger.tally("p").summary;
    assert_eq!((summary.skipped, summary.owned, summary.violations), (1, 0, 1));
}

#[test]
fn a_policy_that_no_longer_takes_an_object_loses_its_verdict_and_others_keep_theirs() {
    let ledger = Ledger::new();
    enter(&ledger, "a", vec![("one", fail()), ("two", fail())], at(0));
    enter(&ledger, "a", vec![("one", Judgement::NotTaken), ("two", fail())], at(1));
    assert_eq!(ledger.tally("one"), Tally::default());
    assert_eq!(ledger.tally("two").summary.failed, 1);
    enter(&ledger, "a", vec![], at(2));
    assert_eq!(ledger.tally("two"), Tally::default());
    assert_eq!(objects(&ledger), 0);
}

#[test]
fn violations_come_worst_first_then_by_object_and_the_rest_is_counted() {
    let ledger = Ledger::new();
    let failing = |severity| judgement(Outcome::Fail, vec![rule("r", severity, Outcome::Fail)]);
    for (name, severity) in
        [("c", Severity::Low), ("b", Severity::Low), ("d", Severity::Critical), ("a", Severity::Medium)]
    {
        enter(&ledger, name, vec![("p", failing(severity))], at(0));
    }
    let page = ledger.page("p", &[], 3);
    let names: Vec<_> = page.worst.iter().map(|(place, _)| &*place.key.object.name).collect();
    assert_eq!(names, ["d", "a", "b"]);
    assert_eq!(page.more, 1);
    let severities = BTreeMap::from([(Severity::Low, 2), (Severity::Medium, 1), (Severity::Critical, 1)]);
    assert_eq!(page.tally.severities, severities);
}

#[test]
fn first_seen_stays_while_a_rule_fails_and_starts_anew_after_it_passed() {
    let ledger = Ledger::new();
    enter(&ledger, "a", vec![("p", fail())], at(1));
    enter(&ledger, "a", vec![("p", fail())], at(2));
    let worse = judgement(Outcome::Fail, vec![rule("owner", Severity::Critical, Outcome::Fail)]);
    enter(&ledger, "a", vec![("p", worse)], at(3));
    assert_eq!(
        first_seen(&ledger, "p"),
        [("a owner".to_owned(), 1)],
        "an edit of the severity is no new violation"
    );
    enter(&ledger, "a", vec![("p", pass())], at(4));
    enter(&ledger, "a", vec![("p", fail())], at(5));
    assert_eq!(first_seen(&ledger, "p"), [("a owner".to_owned(), 5)]);
}

#[test]
fn another_object_at_the_same_place_violates_anew() {
    let ledger = Ledger::new();
    enter_as(&ledger, &pod("a"), "first", vec![("p", fail())], at(1));
    enter_as(&ledger, &pod("a"), "second", vec![("p", fail())], at(2));
    assert_eq!(first_seen(&ledger, "p"), [("a owner".to_owned(), 2)]);
    assert_eq!(ledger.tally("p").summary.failed, 1);
}

fn stored(name: &str, uid: Option<&str>) -> WatchPolicyStatus {
    let object = ViolationObject {
        api_version: Some("v1".to_owned()),
        group: String::new(),
        resource: "pods".to_owned(),
        kind: None,
        namespace: Some("shop".to_owned()),
        name: name.to_owned(),
        uid: uid.map(str::to_owned),
    };
    let violation = Violation {
        object,
        rule: "owner".to_owned(),
        severity: Severity::Medium,
        result: ViolationResult::Fail,
        path: None,
        other_paths: Vec::new(),
        actual: None,
        message: String::new(),
        first_seen: Some(Time(at(-100))),
        fix: None,
    };
    WatchPolicyStatus { violations: vec![violation], ..WatchPolicyStatus::default() }
}

#[test]
fn after_a_restart_first_seen_is_taken_over_for_the_same_object_alone() {
    for (uid, expected) in [(Some("a"), -100), (None, -100), (Some("an earlier one"), 1)] {
        let ledger = Ledger::new();
        ledger.seed_first_seen(&"p".into(), &stored("a", uid));
        enter(&ledger, "a", vec![("p", fail())], at(1));
        assert_eq!(first_seen(&ledger, "p"), [("a owner".to_owned(), expected)], "{uid:?}");
    }
}

#[test]
fn a_violation_that_was_gone_after_the_restart_is_new_when_it_comes_back() {
    let ledger = Ledger::new();
    ledger.seed_first_seen(&"p".into(), &stored("a", Some("a")));
    enter(&ledger, "a", vec![("p", pass())], at(1));
    enter(&ledger, "a", vec![("p", fail())], at(2));
    ledger.seed_first_seen(&"p".into(), &stored("a", Some("a")));
    enter(&ledger, "a", vec![("p", fail())], at(3));
    assert_eq!(first_seen(&ledger, "p"), [("a owner".to_owned(), 2)]);
}

#[test]
fn an_object_whose_name_was_stored_cut_is_known_by_its_uid() {
    let ledger = Ledger::new();
    let mut status = stored("long…", Some("a"));
    status.violations[0].object.uid = Some("uid of a".to_owned());
    ledger.seed_first_seen(&"p".into(), &status);
    let long = pod(&"long".repeat(100));
    enter_as(&ledger, &long, "uid of a", vec![("p", fail())], at(99));
    enter_as(&ledger, &pod("other"), "uid of another", vec![("p", fail())], at(99));
    let known: Vec<_> = first_seen(&ledger, "p").into_iter().map(|(_, seconds)| seconds == 99).collect();
    assert_eq!(known, [false, true]);
}

#[test]
fn a_page_shares_its_findings_with_the_ledger() {
    let ledger = Ledger::new();
    enter(&ledger, "a", vec![("p", fail())], at(0));
    let finding = || Arc::clone(&ledger.page("p", &[], 20).worst[0].1);
    assert!(Arc::ptr_eq(&finding(), &finding()));
}

#[test]
fn a_withdrawn_policy_leaves_nothing_and_may_come_back() {
    let ledger = Ledger::new();
    enter(&ledger, "a", vec![("one", fail()), ("two", pass())], at(0));
    enter(&ledger, "b", vec![("one", pass())], at(0));
    ledger.withdraw("one");
    assert_eq!(ledger.page("one", &[], 20), Page::default());
    assert_eq!(objects(&ledger), 1, "nobody has a verdict on b any more");
    enter(&ledger, "a", vec![("one", pass()), ("two", pass())], at(1));
    assert_eq!(ledger.tally("one").summary.passed, 1);
    ledger.retain_policies(|policy| policy == "two");
    assert_eq!(ledger.tally("one"), Tally::default());
    assert_eq!(ledger.tally("two").summary.passed, 1);
}

#[test]
fn verdicts_of_a_resource_without_a_watch_are_stale() {
    let ledger = Ledger::new();
    enter(&ledger, "a", vec![("p", fail())], at(0));
    let node = ObjectKey {
        resource: GroupResource::new("", "nodes"),
        object: ObjectName { namespace: None, name: "n".into() },
    };
    enter_as(&ledger, &node, "n", vec![("p", pass())], at(0));
    let stale = |resource| ledger.page("p", &[GroupResource::new("", resource)], 20).tally.summary.stale;
    assert_eq!((stale("pods"), stale("services")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn only_policies_whose_verdicts_changed_are_told() {
    let ledger = Ledger::new();
    assert!(ledger.changed().now_or_never().is_none());
    enter(&ledger, "a", vec![("one", fail()), ("two", pass())], at(0));
    assert_eq!(ledger.changed().await, BTreeSet::from(["one".into(), "two".into()]));
    enter(&ledger, "a", vec![("one", fail()), ("two", fail())], at(1));
    assert_eq!(ledger.changed().await, BTreeSet::from(["two".into()]));
    assert_eq!(ledger.page("one", &[], 20).changed, Some(at(0)));
    let waiting = tokio::time::timeout(Duration::from_secs(9), ledger.changed());
    let later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ledger.withdraw("one");
    };
    assert_eq!(tokio::join!(waiting, later).0.unwrap(), BTreeSet::from(["one".into()]));
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Enter { object: u8, uid: u8, verdicts: Vec<(u8, u8)> },
    Forget(u8),
    Withdraw(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let verdicts = prop::collection::btree_map(0..3_u8, 0..6_u8, 0..4);
    prop_oneof![
        6 => (0..5_u8, 0..2_u8, verdicts).prop_map(|(object, uid, verdicts)| Step::Enter {
            object,
            uid,
            verdicts: verdicts.into_iter().collect(),
        }),
        1 => (0..5_u8).prop_map(Step::Forget),
        1 => (0..3_u8).prop_map(Step::Withdraw),
    ]
}

fn random_judgement(kind: u8) -> Judgement {
    match kind {
        0 => Judgement::NotTaken,
        1 => Judgement::Excluded { again: None },
        2 => pass(),
        3 => fail(),
        4 => judgement(Outcome::Error, vec![rule("owner", Severity::High, Outcome::Error)]),
        _ => judgement(
            Outcome::Fail,
            vec![rule("a", Severity::Low, Outcome::Fail), rule("b", Severity::High, Outcome::Fail)],
        ),
    }
}

proptest! {
    #[test]
    fn after_any_history_the_counts_are_those_of_the_last_verdicts(
        steps in prop::collection::vec(step(), 0..40),
        most in prop::option::of(0..4000_usize),
    ) {
        let ledger = most.map_or_else(Ledger::new, Ledger::bounded);
        let mut last = BTreeMap::<(u8, u8), u8>::new();
        for step in steps {
            match step {
                Step::Enter { object, uid, verdicts } => {
                    last.retain(|(_, other), _| *other != object);
                    last.extend(verdicts.iter().map(|(policy, kind)| ((*policy, object), *kind)));
                    let names: Vec<_> = verdicts.iter().map(|(policy, kind)| (policy.to_string(), *kind)).collect();
                    let mut judgements: Vec<_> = names.iter().map(|(policy, kind)| (&**policy, random_judgement(*kind))).collect();
                    // Whoever judges may do so in any order.
                    judgements.rotate_left(usize::from(uid).min(names.len()));
                    enter_as(&ledger, &pod(&object.to_string()), &uid.to_string(), judgements, at(0));
                }
                Step::Forget(object) => {
                    last.retain(|(_, other), _| *other != object);
                    ledger.forget(&pod(&object.to_string()), at(0));
                }
                Step::Withdraw(policy) => {
                    last.retain(|(other, _), _| *other != policy);
                    ledger.withdraw(&policy.to_string());
                }
            }
        }
        for policy in 0..3_u8 {
            let count = |wanted: &[u8]| {
                let fits = last.iter().filter(|((other, _), kind)| *other == policy && wanted.contains(kind));
                u64::try_from(fits.count()).unwrap()
            };
            let page = ledger.page(&policy.to_string(), &[], 100);
            let summary = page.tally.summary;
            let counts = (summary.excluded, summary.passed, summary.failed, summary.errored);
            prop_assert_eq!(counts, (count(&[1]), count(&[2]), count(&[3, 5]), count(&[4])));
            prop_assert_eq!(summary.violations, count(&[3]) + 2 * count(&[5]));
            prop_assert_eq!(u64::try_from(page.worst.len()).unwrap() + page.more, summary.violations + count(&[4]));
            let failing = last.iter().filter(|((other, _), kind)| *other == policy && [3, 5].contains(*kind));
            let failing: BTreeSet<_> = failing.map(|((_, object), _)| pod(&object.to_string())).collect();
            prop_assert_eq!(ledger.failing(&policy.to_string()), failing);
        }
        (0..3_u8).for_each(|policy| ledger.withdraw(&policy.to_string()));
        prop_assert_eq!((ledger.bytes(), objects(&ledger)), (0, 0));
    }
}

#[test]
fn a_follower_takes_over_when_the_leader_saw_a_violation_first() {
    for (uid, expected) in [(Some("a"), -100), (None, -100), (Some("an earlier one"), 1)] {
        let ledger = Ledger::new();
        enter(&ledger, "a", vec![("p", fail())], at(1));
        ledger.adopt_first_seen("p", &stored("a", uid));
        ledger.adopt_first_seen("p", &stored("another", uid));
        assert_eq!(first_seen(&ledger, "p"), [("a owner".to_owned(), expected)], "{uid:?}");
    }
}

#[test]
fn past_its_bound_the_least_severe_of_the_policy_with_the_most_is_counted_and_not_listed() {
    let failing = |severity| judgement(Outcome::Fail, vec![rule("r", severity, Outcome::Fail)]);
    let unbounded = Ledger::new();
    for object in 0..10 {
        enter(&unbounded, &object.to_string(), vec![("noisy", failing(Severity::Low))], at(0));
    }
    let tight = Ledger::bounded(2 * unbounded.bytes());
    for object in 0..15 {
        enter(&tight, &object.to_string(), vec![("noisy", failing(Severity::Low))], at(0));
    }
    for object in 0..10 {
        let verdicts = vec![("noisy", failing(Severity::Critical)), ("quiet", fail())];
        enter(&tight, &format!("late{object}"), verdicts, at(1));
    }
    assert!(tight.bytes() <= 2 * unbounded.bytes());
    let page = tight.page("noisy", &[], 1000);
    assert_eq!((page.tally.summary.violations, page.more + page.worst.len() as u64), (25, 25));
    assert!(page.more > 0 && page.worst[0].0.severity.0 == Severity::Critical, "the worst are listed");
    assert!(
        !tight.page("quiet", &[], 1000).worst.is_empty(),
        "a policy with few is not pushed out by one with many"
    );
    assert_eq!(tight.failing("noisy").len(), 25, "what is not listed is fixed all the same");
    for object in 0..15 {
        enter(&tight, &object.to_string(), vec![("noisy", pass())], at(2));
    }
    for object in 0..10 {
        tight.forget(&pod(&format!("late{object}")), at(2));
    }
    assert_eq!(tight.page("noisy", &[], 20).more, 0);
    assert_eq!(tight.tally("noisy").severities, BTreeMap::new());
}
