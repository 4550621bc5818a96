use super::super::status::{View, render};
use super::*;
use crate::crd::{Summary, WatchPolicyStatus};
use crate::ledger::{Ledger, Page};
use crate::policy::{Judgement, Outcome, contradictions};
use crate::report::cases::{
    at, deleted, enter, invalid, mending, node, running, setting, status, suspended, target, unreadable,
    verdict,
};
use crate::resource::{GroupResource, ObjectKey, ObjectName, Place};
use TargetState::{Absent, Degraded, Forbidden, Listing, Resolving, Synced};

/// Each condition as `Type=Status/Reason`, sorted; without that of the mode, which is not theirs to follow.
fn conditions(status: &WatchPolicyStatus) -> Vec<String> {
    let shown =
        |condition: &Condition| format!("{}={}/{}", condition.type_, condition.status, condition.reason);
    let of_targets = status.conditions.iter().filter(|condition| condition.type_ != "Enforcing");
    let mut conditions: Vec<_> = of_targets.map(shown).collect();
    conditions.sort_unstable();
    conditions
}

fn message<'s>(status: &'s WatchPolicyStatus, kind: &str) -> &'s str {
    &status.conditions.iter().find(|condition| condition.type_ == kind).unwrap().message
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
    let enforces = mending("p", Mode::Enforce);
    let tell = |allowed, stopped, obstacles: &Obstacles| {
        let writes = Writes { allowed, stopped, ..Writes::default() };
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
    let (object, generation) = (ObjectKey { resource: pods, object }, enforces.running().unwrap().generation);
    let untracked =
        |generation| Obstacles { untracked: Some((object.clone(), generation)), ..Obstacles::default() };
    let (status, _, message) = written(&untracked(generation));
    assert!(status == "True" && message.contains("managedFields of pods shop/web"), "{message}");
    let unnamed = Place { resource: GroupResource::new("", "secrets"), namespace: Some("shop".into()) };
    let (status, _, message) = written(&Obstacles { unnamed: Some(unnamed), ..untracked(generation) });
    assert!(
        status == "True" && message.contains("pods shop/web") && message.contains("not shop/secrets"),
        "{message}"
    );
    assert_eq!(written(&untracked(generation - 1)).2, "fixes are written", "the policy was edited since");
    for (allowed, stopped, reason, word) in
        [(false, false, "NotAllowed", "--allow-enforce"), (true, true, "Stopped", "watchpolicy.io/writes")]
    {
        let (status, told, message) = tell(allowed, stopped, lacks);
        assert_eq!((status, told), ("False", reason));
        assert!(message.contains(word) && message.contains("lacks the right"), "{message}");
    }
}

#[test]
fn who_contradicts_another_policy_says_so_before_any_object_is_there() {
    let policies = [("p", "a"), ("q", "b")].map(|(name, value)| setting(name, value));
    let running = || policies.iter().map(|entry| entry.running().unwrap());
    let found = contradictions(running().map(AsRef::as_ref));
    for (policy, other) in running().zip(["the policy q", "the policy p"]) {
        let contradiction = found.get(&policy.name);
        let writes = Writes { allowed: true, contradiction, ..Writes::default() };
        let told = enforcing(policy, writes, &Obstacles::default());
        assert!(told.status == "True" && told.message.starts_with("fixes are written; "), "{}", told.message);
        assert!(told.message.contains(other), "{}", told.message);
    }
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

#[test]
fn a_policy_that_takes_back_what_it_wrote_says_how_much_is_left_and_why() {
    let entry = PolicyEntry { finalizers: [FINALIZER.into()].into(), ..running("p") };
    let targets = [target("deployments", Synced), target("jobs", Forbidden)];
    let mut page = Page::default();
    page.obstacles.held = Some("the server is moody".into());
    let writes = Writes { allowed: true, stopped: true, left: Some(2), ..Writes::default() };
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
