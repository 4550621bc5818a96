use futures::FutureExt;

use super::super::tests::{at, enter, fail, pass, pod};
use super::super::{Judged, Ledger, Said};
use super::*;
use crate::crd::{FixStatus, WatchPolicyStatus};

/// The turns of the news so far, with the objects that they are about.
fn turns(ledger: &Ledger) -> Vec<(Turn, String)> {
    let (news, _) = ledger.news().now_or_never().unwrap_or_default();
    news.into_iter().map(|news| (news.turn, news.place.key.object.name.to_string())).collect()
}

fn one(turn: Turn) -> Vec<(Turn, String)> {
    vec![(turn, "a".to_owned())]
}

/// The objects that were noted so far, in order.
fn noted(ledger: &Ledger) -> Vec<String> {
    let mut objects = ledger.objects().now_or_never().unwrap_or_default();
    objects.sort();
    objects.into_iter().map(|key| key.object.name.to_string()).collect()
}

fn fix(ledger: &Ledger, outcome: &str) {
    let fix = FixStatus { outcome: outcome.to_owned(), ..FixStatus::default() };
    ledger.note_fixes("p", &pod("a"), vec![("owner".into(), fix)], at(0));
}

#[test]
fn beginnings_ends_and_fixes_are_told_once() {
    let ledger = Ledger::new();
    ledger.listen(Wanted::All);
    let step = |judgement| {
        enter(&ledger, "a", vec![("p", judgement)], at(0));
        turns(&ledger)
    };
    assert_eq!(step(pass()), []);
    assert_eq!(step(fail()), one(Turn::Began));
    assert_eq!(step(fail()), []);
    fix(&ledger, "Refused");
    fix(&ledger, "Refused");
    assert_eq!(turns(&ledger), one(Turn::Fix));
    assert_eq!(step(pass()), one(Turn::Ended));
}

#[test]
fn news_that_nobody_wants_are_not_kept() {
    let ledger = Ledger::new();
    enter(&ledger, "a", vec![("p", fail())], at(0));
    fix(&ledger, "Planned");
    ledger.listen(Wanted::Fixes);
    enter(&ledger, "a", vec![("p", pass())], at(0));
    enter(&ledger, "a", vec![("p", fail())], at(0));
    assert_eq!(turns(&ledger), []);
    fix(&ledger, "Refused");
    assert_eq!(turns(&ledger), one(Turn::Fix));
}

#[test]
fn an_object_that_goes_or_loses_its_policy_has_no_end_to_tell() {
    let ledger = Ledger::new();
    ledger.listen(Wanted::All);
    enter(&ledger, "a", vec![("p", fail())], at(0));
    assert_eq!(turns(&ledger), one(Turn::Began));
    ledger.forget(&pod("a"), at(1));
    enter(&ledger, "a", vec![("p", fail())], at(2));
    assert_eq!(turns(&ledger), one(Turn::Began));
    ledger.withdraw("p");
    assert_eq!(turns(&ledger), []);
}

#[test]
fn what_a_list_shows_after_a_restart_is_no_news_and_of_a_new_policy_it_is() {
    for (stored, expected) in [(true, vec![]), (false, one(Turn::Began))] {
        let ledger = Ledger::new();
        ledger.listen(Wanted::All);
        let summary = stored.then(Default::default);
        ledger.seed_first_seen(&"p".into(), &WatchPolicyStatus { summary, ..WatchPolicyStatus::default() });
        let judge = |judgement, listed| {
            let (api_version, kind) = (&"v1".into(), &"Pod".into());
            let said = vec![Said { policy: "p".into(), api_version, kind, judgement }];
            ledger.enter(Judged { key: &pod("a"), uid: &"a".into(), listed, said }, at(0));
            turns(&ledger)
        };
        assert_eq!(judge(fail(), true), expected);
        assert_eq!(judge(pass(), false), one(Turn::Ended));
        assert_eq!(judge(fail(), false), one(Turn::Began));
    }
}

#[test]
fn news_have_a_bound_and_what_is_lost_is_counted() {
    let ledger = Ledger::new();
    ledger.listen(Wanted::All);
    for n in 0..MOST + 10 {
        enter(&ledger, &n.to_string(), vec![("p", fail())], at(0));
    }
    let (news, lost) = ledger.news().now_or_never().unwrap();
    assert_eq!((news.len(), lost), (MOST, 10));
}

#[test]
fn objects_are_noted_from_the_first_on_and_each_once() {
    let ledger = Ledger::new();
    enter(&ledger, "a", vec![("p", fail())], at(0));
    enter(&ledger, "good", vec![("p", pass())], at(0));
    assert_eq!(noted(&ledger), [""; 0]);
    ledger.note_objects(Some(Noted::Failing));
    assert_eq!(noted(&ledger), ["a"]);
    for n in 0..3 {
        enter(&ledger, "b", vec![("p", if n % 2 == 0 { fail() } else { pass() })], at(n));
    }
    enter(&ledger, "good", vec![("p", pass())], at(1));
    assert_eq!(noted(&ledger), ["b"]);
    ledger.withdraw("p");
    assert_eq!(noted(&ledger), ["a", "b"]);
    ledger.note_objects(None);
    enter(&ledger, "c", vec![("p", fail())], at(0));
    assert_eq!(noted(&ledger), [""; 0]);
}

#[test]
fn all_objects_are_noted_where_that_is_wanted() {
    let ledger = Ledger::new();
    ledger.note_objects(Some(Noted::All));
    enter(&ledger, "good", vec![("p", pass())], at(0));
    assert_eq!(noted(&ledger), ["good"]);
    ledger.forget(&pod("good"), at(1));
    assert_eq!(noted(&ledger), ["good"]);
}

#[test]
fn a_finding_that_there_is_no_room_for_is_missed_and_does_not_begin_again_and_again() {
    let ledger = Ledger::bounded(1);
    ledger.listen(Wanted::All);
    let mut told = Vec::new();
    for n in 0..3 {
        enter(&ledger, "a", vec![("p", fail())], at(n));
        told.extend(turns(&ledger));
    }
    assert_eq!(told, one(Turn::Began));
    assert!(!ledger.lists_all_on(&pod("a")));
    enter(&ledger, "a", vec![("p", pass())], at(3));
    assert!(ledger.lists_all_on(&pod("a")));
}
