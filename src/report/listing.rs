//! All violations, a page at a time: what `GET /violations` answers.
//!
//! Every replica judges, so every replica can answer, by its own ledger. Pages are no snapshot: what changes while
//! somebody reads is seen on the pages that follow, and nothing that stays is left out or told twice.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::conditions::ready;
use super::question::{Position, Question};
use super::reason::Reason;
use super::shown::shown;
use super::status::violation;
use crate::crd::Violation;
use crate::crd::status::{MAX_MESSAGE, MAX_NAME};
use crate::ledger::{Finding, Ledger, Place};
use crate::observe::board::Board;
use crate::policy::{PolicyEntry, PolicySet};

/// Findings that are taken from the ledger at once: it is locked for no longer.
const CHUNK: usize = 256;
/// Findings that one page looks through. A rare one may come after some pages that are short or empty.
const MAX_LOOKED_AT: usize = 20_000;
/// The most policies that a page says are not ready.
const MAX_NOT_READY: usize = 100;

/// A page of violations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// By policy, then worst first, by object and by rule.
    pub violations: Vec<Listed>,
    /// For the question after the next page; absent on the last one.
    #[serde(rename = "continue", default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// On the first page: policies that were asked for and whose violations may not be all, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<NotReady>,
}

/// A violation, as in a status, and its policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The policy's name.
    pub policy: String,
    /// The violation.
    #[serde(flatten)]
    pub violation: Violation,
}

/// A policy whose violations may not be all, since its condition `Ready` is not true or nothing is judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReady {
    /// The policy's name.
    pub policy: String,
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub message: String,
}

/// Answers a question by what is known now.
pub fn list(question: &Question, set: &PolicySet, board: &Board, ledger: &Ledger) -> Listing {
    let asked =
        |entry: &&Arc<PolicyEntry>| question.policy.as_deref().is_none_or(|name| *entry.name == *name);
    let entries: Vec<_> = set.entries.values().filter(asked).collect();
    let mut page = Page { question, ledger, violations: Vec::new(), looked_at: 0, last: None };
    let begin = question.after.as_ref();
    let rest = entries.iter().skip_while(|entry| begin.is_some_and(|begin| *entry.name < *begin.policy));
    let full = rest.filter(|entry| entry.running().is_some()).any(|entry| {
        let after = begin.filter(|begin| begin.policy == entry.name).map(|begin| begin.place.clone());
        page.fill(&entry.name, after)
    });
    let next = page.last.filter(|_| full).map(|last| last.write());
    let not_ready = match begin {
        None => {
            let lacking = |entry: &&Arc<PolicyEntry>| not_ready(entry, board).or_else(|| cut(entry, ledger));
            let lacking = entries.iter().filter_map(lacking);
            let unknown = question.policy.as_deref().filter(|_| entries.is_empty()).map(unknown);
            lacking.chain(unknown).take(MAX_NOT_READY).collect()
        }
        Some(_) => Vec::new(),
    };
    Listing { violations: page.violations, next, not_ready }
}

/// A page that is being filled.
struct Page<'q> {
    question: &'q Question,
    ledger: &'q Ledger,
    violations: Vec<Listed>,
    looked_at: usize,
    /// The last finding that was looked at.
    last: Option<Position>,
}

impl Page<'_> {
    /// Takes the violations of a policy after a place. Whether the page is full before they end.
    fn fill(&mut self, policy: &Arc<str>, mut after: Option<Place>) -> bool {
        loop {
            let chunk = self.ledger.findings(policy, after.as_ref(), CHUNK);
            let is_last = chunk.len() < CHUNK;
            for (place, finding) in chunk {
                if self.violations.len() >= self.question.limit || self.looked_at >= MAX_LOOKED_AT {
                    return true;
                }
                self.look_at(policy, &place, &finding);
                after = Some(place);
            }
            if is_last {
                return false;
            }
        }
    }

    fn look_at(&mut self, policy: &Arc<str>, place: &Place, finding: &Finding) {
        self.looked_at += 1;
        if self.question.fits(place) {
            let violation = violation(place, finding);
            self.violations.push(Listed { policy: policy.to_string(), violation });
        }
        self.last = Some(Position { policy: Arc::clone(policy), place: place.clone() });
    }
}

fn not_ready(entry: &PolicyEntry, board: &Board) -> Option<NotReady> {
    let ready = ready(entry, board.policies.get(&entry.name).map(AsRef::as_ref));
    (ready.status != "True" || entry.running().is_none()).then(|| NotReady {
        policy: entry.name.to_string(),
        reason: ready.reason.as_str().to_owned(),
        message: shown(&ready.message, MAX_MESSAGE),
    })
}

/// A name that is asked for and no policy's: that nothing is found must not look like all being well.
fn unknown(policy: &str) -> NotReady {
    NotReady {
        policy: shown(policy, MAX_NAME),
        reason: Reason::NotFound.as_str().to_owned(),
        message: "there is no policy of this name".to_owned(),
    }
}

/// A policy that is ready, and of whose violations some are only counted.
fn cut(entry: &PolicyEntry, ledger: &Ledger) -> Option<NotReady> {
    let unlisted = ledger.unlisted(&entry.name);
    (unlisted > 0).then(|| NotReady {
        policy: entry.name.to_string(),
        reason: Reason::LimitExceeded.as_str().to_owned(),
        message: format!("{unlisted} violations are counted and not listed: raise --max-verdict-bytes"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::cases::{at, enter, invalid, node, running, suspended, target, verdict};
    use super::*;
    use crate::crd::TargetState;

    /// Two policies that fail on so many Deployments each, and one that is not valid.
    fn world(objects: usize) -> (PolicySet, Board, Arc<Ledger>) {
        let entries = [running("a"), running("b"), suspended("c"), invalid("wrong")];
        let entries = entries.into_iter().map(|entry| (Arc::clone(&entry.name), Arc::new(entry))).collect();
        let synced: Arc<[_]> = [target("deployments", TargetState::Synced)].into();
        let policies = [("a".into(), Arc::clone(&synced)), ("b".into(), synced)].into();
        let ledger = Ledger::new();
        for object in 0..objects {
            for policy in ["a", "b"] {
                // One verdict an object replaces the other: the objects of each policy are its own.
                enter(&ledger, policy, &format!("{policy}-{object:05}"), verdict(vec![node("bad")]), at(0));
            }
        }
        (PolicySet { revision: 1, entries }, Board { policies }, ledger)
    }

    /// All pages of a question, and how many there were.
    fn all(query: &str, (set, board, ledger): &(PolicySet, Board, Arc<Ledger>)) -> (Vec<Listed>, usize) {
        let (mut listed, mut next, mut pages) = (Vec::new(), Some(String::new()), 0);
        while let Some(begin) = next {
            let question =
                Question::read(format!("{query}&continue={begin}").trim_start_matches('&')).unwrap();
            let page = list(&question, set, board, ledger);
            assert!(page.violations.len() <= question.limit);
            listed.extend(page.violations);
            next = page.next;
            pages += 1;
        }
        (listed, pages)
    }

    #[test]
    fn pages_of_any_size_together_tell_each_violation_once_and_in_order() {
        let world = world(20);
        for limit in [1, 3, 19, 20, 21, 39, 40, 41] {
            let (listed, pages) = all(&format!("limit={limit}"), &world);
            let names: Vec<_> =
                listed.iter().map(|one| (&*one.policy, &*one.violation.object.name)).collect();
            assert!(names.is_sorted(), "{names:?}");
            assert_eq!((names.len(), pages), (40, 40_usize.div_ceil(limit)), "{limit}");
        }
    }

    #[test]
    fn a_page_goes_on_where_the_one_before_ended_though_that_violation_is_gone() {
        let (set, board, ledger) = world(3);
        let first = list(&Question::read("limit=2").unwrap(), &set, &board, &ledger);
        enter(&ledger, "a", "a-00001", verdict(Vec::new()), at(1));
        let next = Question::read(&format!("continue={}", first.next.unwrap())).unwrap();
        let names: Vec<_> = list(&next, &set, &board, &ledger).violations;
        let names: Vec<_> = names.iter().map(|one| &*one.violation.object.name).collect();
        assert_eq!(names, ["a-00002", "b-00000", "b-00001", "b-00002"]);
    }

    #[test]
    fn filters_let_through_what_they_name() {
        let world = world(2);
        for (query, count) in [
            ("policy=a", 2),
            ("policy=nobody", 0),
            ("namespace=shop", 4),
            ("namespace=other", 0),
            ("rule=owner&severity=medium", 4),
            ("rule=other", 0),
            ("severity=high", 0),
        ] {
            assert_eq!(all(query, &world).0.len(), count, "{query}");
        }
    }

    #[test]
    fn a_filter_that_finds_nothing_ends_each_page_after_a_bounded_look() {
        let world = world(MAX_LOOKED_AT / 2 + 1);
        assert_eq!(all("rule=other", &world), (Vec::new(), 2));
        let (listed, _) = all("limit=1000", &world);
        let places: BTreeSet<_> = listed.iter().map(|one| &one.violation.object.name).collect();
        assert_eq!(places.len(), MAX_LOOKED_AT + 2);
    }

    #[test]
    fn policies_whose_violations_may_not_be_all_are_named_with_the_first_page() {
        let (set, mut board, ledger) = world(1);
        board.policies.insert("b".into(), [target("deployments", TargetState::Listing)].into());
        let told = |query: &str| {
            let page = list(&Question::read(query).unwrap(), &set, &board, &ledger);
            page.not_ready.into_iter().map(|one| format!("{} {}", one.policy, one.reason)).collect::<Vec<_>>()
        };
        assert_eq!(told(""), ["b Listing", "c Suspended", "wrong Invalid"]);
        assert!(told("policy=a").is_empty());
        assert_eq!(told("policy=nobody"), ["nobody NotFound"]);
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let (set, board, ledger) = world(1);
        let page = list(&Question::default(), &set, &board, &ledger);
        let json = serde_json::to_value(&page).unwrap();
        assert_eq!(json["violations"][0]["policy"], "a");
        assert_eq!(json["violations"][0]["object"]["name"], "a-00000");
        assert_eq!(serde_json::from_value::<Listing>(json).unwrap(), page);
    }

    #[test]
    fn a_page_says_where_violations_are_counted_and_not_listed() {
        let (set, board, _) = world(0);
        let ledger = Ledger::bounded(0);
        enter(&ledger, "a", "a-0", verdict(vec![node("bad")]), at(0));
        let page = list(&Question::read("").unwrap(), &set, &board, &ledger);
        let of_a = page.not_ready.iter().find(|lacking| lacking.policy == "a").unwrap();
        assert!(page.violations.is_empty() && of_a.reason == Reason::LimitExceeded.as_str(), "{page:?}");
        assert!(of_a.message.starts_with("1 violations are counted and not listed"), "{of_a:?}");
    }
}
