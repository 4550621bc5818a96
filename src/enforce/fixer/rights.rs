//! The third consent: whether the operator may fix what policies target, asked ahead and then again and again.
//!
//! A review is advice; what the server says to a request is the truth, and stands until the next question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Fixer;
use super::outcome::cure;
use crate::resource::{GroupResource, Gvr};

/// What a fix needs.
const VERBS: [&str; 2] = ["patch", "get"];
/// How soon what is new is asked about.
const LOOK: Duration = Duration::from_secs(1);

/// Who asks the API server what the operator may do; a seam, so that [`Consents`] can be tested without one.
pub trait Rights: Send + Sync + 'static {
    /// Whether it may do `verb` on a resource, in a namespace or, without one, in all; `None` where nobody can say.
    fn may(
        &self,
        verb: &'static str,
        resource: &Gvr,
        namespace: Option<&Arc<str>>,
    ) -> impl Future<Output = Option<bool>> + Send;
}

/// A policy, and a resource that it targets.
type Aim = (Arc<str>, GroupResource);

/// Where something is watched that may be fixed.
struct Watched {
    resource: Gvr,
    /// Empty for all.
    namespaces: BTreeSet<Arc<str>>,
}

/// What came of the questions about one aim.
enum Answer {
    Granted,
    /// Something is lacking, in this namespace or in all.
    Lacking(Option<Arc<str>>),
    /// Not all could be asked.
    Unknown,
}

/// Answers of one round: policies share targets.
type Answers = BTreeMap<(Gvr, Option<Arc<str>>, &'static str), Option<bool>>;

/// Tells policies that mend which rights are missing, before a fix meets it, and that they are there again.
pub struct Consents<R> {
    rights: R,
    fixer: Arc<Fixer>,
    interval: Duration,
    /// Whether something was lacking when it was last asked. As many as policies have targets.
    lacking: BTreeMap<Aim, bool>,
}

impl<R: Rights> Consents<R> {
    /// All is asked once in each interval.
    pub fn new(rights: R, fixer: Arc<Fixer>, interval: Duration) -> Self {
        Self { rights, fixer, interval, lacking: BTreeMap::new() }
    }

    /// Asks until told to stop, while this replica leads.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut asked = Instant::now();
        loop {
            let again = asked.elapsed() >= self.interval;
            if again {
                asked = Instant::now();
            }
            let round = async {
                self.round(again).await;
                sleep(LOOK.min(self.interval)).await;
            };
            if stop.run_until_cancelled(round).await.is_none() {
                return;
            }
        }
    }

    /// Asks about what is new, or about everything again.
    async fn round(&mut self, again: bool) {
        if self.fixer.parts.leadership.permit().is_err() {
            self.lacking.clear();
            return;
        }
        let watched = self.watched();
        let ledger = &self.fixer.parts.ledger;
        self.lacking.retain(|aim, _| {
            let stays = watched.contains_key(aim);
            if !stays {
                ledger.note_denied(&aim.0, &aim.1, None);
            }
            stays
        });
        let mut answers = Answers::new();
        for (aim, watched) in watched {
            if again || !self.lacking.contains_key(&aim) {
                let answer = self.ask(&watched, &mut answers).await;
                self.tell(aim, answer);
            }
        }
    }

    /// What policies may have to fix.
    fn watched(&self) -> BTreeMap<Aim, Watched> {
        let mut watched = BTreeMap::new();
        let parts = &self.fixer.parts;
        for shelf in parts.store.shelves() {
            let resource = &shelf.resource.resource;
            if !parts.leftovers.fences.allow_kind(resource) {
                continue;
            }
            for served in shelf.serving().iter().filter(|served| served.policy.mends()) {
                let aim = (Arc::clone(&served.policy.name), resource.clone());
                let (resource, namespaces) = (shelf.resource.clone(), served.policy.namespaces(resource));
                watched.insert(aim, Watched { resource, namespaces });
            }
        }
        watched
    }

    async fn ask(&self, watched: &Watched, answers: &mut Answers) -> Answer {
        let Watched { resource, namespaces } = watched;
        let all = namespaces.is_empty().then_some(None);
        let mut answer = Answer::Granted;
        for namespace in all.into_iter().chain(namespaces.iter().map(Some)) {
            for verb in VERBS {
                let question = (resource.clone(), namespace.cloned(), verb);
                let known = answers.get(&question).copied();
                let may = match known {
                    Some(known) => known,
                    None => self.rights.may(verb, resource, namespace).await,
                };
                answers.insert(question, may);
                match may {
                    Some(true) => {}
                    Some(false) => return Answer::Lacking(namespace.cloned()),
                    None => answer = Answer::Unknown,
                }
            }
        }
        answer
    }

    fn tell(&mut self, aim: Aim, answer: Answer) {
        let (policy, resource) = &aim;
        let ledger = &self.fixer.parts.ledger;
        match answer {
            Answer::Unknown => {}
            Answer::Lacking(namespace) => {
                let cure = cure(resource, namespace.as_deref());
                ledger.note_lacking(policy, resource, cure.into());
                self.lacking.insert(aim, true);
            }
            Answer::Granted => {
                ledger.note_denied(policy, resource, None);
                if self.lacking.insert(aim.clone(), false) == Some(true) {
                    self.fixer.granted(policy, resource);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "rights_tests.rs"]
mod tests;
