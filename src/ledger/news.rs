//! What changes in the ledger, for those who write about it: single changes that are told once, and the objects of which
//! something changed.
//!
//! Nothing is kept until somebody asks for it. News are bounded, and what does not fit is counted; of an object it is
//! noted once that it changed, however often it does, so no more are noted than the ledger holds or has just let go.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashSet;

use super::finding::{Finding, Place};
use crate::resource::ObjectKey;

/// The most news that wait to be told.
const MOST: usize = 1024;

/// What happened to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// The rule did not fail before.
    Began,
    /// The rule was judged, and does not fail any more.
    Ended,
    /// It is known what became of its fix.
    Fix,
}

/// A change of one finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The policy.
    pub policy: Arc<str>,
    /// The object and the rule.
    pub place: Place,
    /// The finding; one that ended, as it was last.
    pub finding: Arc<Finding>,
    /// What happened.
    pub turn: Turn,
}

/// Which news are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What becomes of fixes.
    Fixes,
    /// That, and beginnings and ends.
    All,
}

/// Which objects are noted when something of them changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// Those on which a rule fails or errs, or did before.
    Failing,
    /// All that are judged.
    All,
}

/// What waits for its readers.
#[derive(Debug, Default)]
pub(super) struct Followers {
    wanted: Option<Wanted>,
    news: VecDeque<News>,
    lost: u64,
    noted: Option<Noted>,
    objects: HashSet<ObjectKey, RandomState>,
}

impl Followers {
    pub(super) fn listen(&mut self, wanted: Wanted) {
        self.wanted = Some(wanted);
    }

    pub(super) fn note(&mut self, noted: Option<Noted>) {
        self.noted = noted;
        self.objects = HashSet::default();
    }

    pub(super) fn noted(&self) -> Option<Noted> {
        self.noted
    }

    pub(super) fn wants(&self, turn: Turn) -> bool {
        match self.wanted {
            None => false,
            Some(Wanted::Fixes) => turn == Turn::Fix,
            Some(Wanted::All) => true,
        }
    }

    pub(super) fn tell(&mut self, news: News) {
        if !self.wants(news.turn) {
            return;
        }
        if self.news.len() >= MOST {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        self.news.push_back(news);
    }

    /// Tells what began and what ended between two judgements of a policy on an object. What began is no news where the
    /// rule failed before, or where an earlier run told it.
    pub(super) fn compare(
        &mut self,
        policy: &Arc<str>,
        before: Vec<(Place, Arc<Finding>)>,
        after: Vec<(Place, Arc<Finding>)>,
        is_known: impl Fn(&str) -> bool,
    ) {
        if self.wanted != Some(Wanted::All) {
            return;
        }
        let mut news =
            |(place, finding), turn| self.tell(News { policy: Arc::clone(policy), place, finding, turn });
        for ended in before {
            if !after.iter().any(|(place, _)| place.rule == ended.0.rule) {
                news(ended, Turn::Ended);
            }
        }
        for began in after.into_iter().filter(|(place, _)| !is_known(&place.rule)) {
            news(began, Turn::Began);
        }
    }

    /// Something of an object changed; whether rules failed there before or after.
    pub(super) fn changed(&mut self, key: &ObjectKey, failing: bool) {
        let is_noted = match self.noted {
            None => false,
            Some(Noted::Failing) => failing,
            Some(Noted::All) => true,
        };
        if is_noted && !self.objects.contains(key) {
            self.objects.insert(key.clone());
        }
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty() || self.lost > 0
    }

    pub(super) fn has_objects(&self) -> bool {
        !self.objects.is_empty()
    }

    /// All that waits, and how much was lost for want of room.
    pub(super) fn take_news(&mut self) -> (VecDeque<News>, u64) {
        (std::mem::take(&mut self.news), std::mem::take(&mut self.lost))
    }

    pub(super) fn take_objects(&mut self) -> Vec<ObjectKey> {
        std::mem::take(&mut self.objects).into_iter().collect()
    }
}

#[cfg(test)]
#[path = "news_tests.rs"]
mod tests;
