//! Contests: what we send to an object, and somebody else undoes again, or does not let through: rules that were mended,
//! or could not be, plans that were worked out, entries of managers that were taken out.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use tokio::time::Instant;

use super::pause::next_pause;
use super::sweep::Sweep;
use crate::metrics::Remediation;
use crate::policy::Pointer;
use crate::resource::{GroupResource, ObjectKey};

/// A break that comes later after a fix is no fight.
const WINDOW: Duration = Duration::from_secs(600);
/// The most fights; beyond, any one is forgotten for a new one.
const MOST: usize = 65_536;

/// What is fought for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// A place that a rule mends; elements of arrays by their names.
    Place(Arc<str>, Pointer),
    /// A rule, at any place: who breaks it elsewhere each time fights as well.
    Rule(Arc<str>),
    /// Whatever the policy mends there: nobody uses its budget up by one object.
    Object,
    /// What policies that ended have left.
    Leftovers,
}

impl Scope {
    /// The rule that is broken, where it is one.
    pub(super) fn rule(&self) -> Option<&str> {
        match self {
            Self::Place(rule, _) | Self::Rule(rule) => Some(rule),
            Self::Object | Self::Leftovers => None,
        }
    }

    /// How many patches within the window are taken, and how many are sent, before it is left alone.
    fn limits(&self) -> (usize, usize) {
        match self {
            Self::Place(..) => (3, 6),
            Self::Rule(_) => (10, 10),
            Self::Object => (20, 20),
            Self::Leftovers => (3, 3),
        }
    }
}

/// Something that is mended on an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ground {
    /// The uid of the policy.
    pub(super) policy: Arc<str>,
    /// Its generation: who edits a policy begins anew.
    pub(super) generation: i64,
    pub(super) key: ObjectKey,
    /// The object's: who makes another one of the same name breaks nothing.
    pub(super) uid: Arc<str>,
    pub(super) scope: Scope,
    /// It is only tried out.
    pub(super) dry_run: bool,
}

impl Ground {
    /// Letting go of an object: entries of managers can be made up by anybody, and under any name.
    pub(super) fn of_release(key: &ObjectKey, uid: &Arc<str>) -> Self {
        let policy = Arc::from("");
        let (key, uid) = (key.clone(), Arc::clone(uid));
        Self { policy, generation: 0, key, uid, scope: Scope::Leftovers, dry_run: false }
    }
}

/// What became of a patch that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The server took it, and the rule held: who breaks it afterwards undoes it.
    Held,
    /// The server took it, and the rule failed all the same.
    Vain,
    /// What it was to change had changed before it arrived.
    Outrun,
    /// The server did not take it; the outcome, and its words.
    Unmade(Remediation, Arc<str>),
}

impl Fate {
    fn is_taken(&self) -> bool {
        matches!(self, Self::Held | Self::Vain)
    }
}

/// What is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) left: Duration,
    /// [`Fate::Held`] if that ever was, else what became of the last patch.
    pub(super) fate: Fate,
    /// Who broke it, as was found when it began.
    pub(super) by: Arc<str>,
}

#[derive(Debug)]
struct Fight {
    /// The last few patches, the newest last, and whether the server took them; as many as are sent before a pause.
    sent: Vec<(Instant, bool)>,
    /// Zero until it is a fight.
    pause: Duration,
    until: Instant,
    fate: Fate,
    by: Arc<str>,
}

impl Fight {
    fn is_over(&self, now: Instant) -> bool {
        let last = self.sent.last().map_or(self.until, |(sent, _)| self.until.max(*sent));
        now.saturating_duration_since(last) >= WINDOW
    }

    fn may_go_on(&mut self, (taken, sent): (usize, usize), now: Instant) -> bool {
        if now < self.until {
            return false;
        }
        self.sent.retain(|(sent, _)| now.duration_since(*sent) < WINDOW);
        let is_fight = match self.pause.is_zero() {
            true => {
                self.sent.len() >= sent || self.sent.iter().filter(|(_, is_taken)| *is_taken).count() >= taken
            }
            // It was tried again after the pause.
            false => self.sent.last().is_some_and(|(sent, _)| *sent >= self.until),
        };
        if is_fight {
            self.pause = next_pause(self.pause);
            self.until = now + self.pause;
        }
        !is_fight
    }

    fn note(&mut self, fate: Fate, most: usize, now: Instant) {
        if self.sent.len() >= most {
            self.sent.remove(0);
        }
        self.sent.push((now, fate.is_taken()));
        if self.fate != Fate::Held {
            self.fate = fate;
        }
    }

    fn pause(&self, now: Instant) -> Option<Pause> {
        let left = self.until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(Pause { left, fate: self.fate.clone(), by: Arc::clone(&self.by) })
    }
}

/// All that was sent lately.
#[derive(Debug, Default)]
pub(super) struct Contests {
    fights: HashMap<Ground, Fight, RandomState>,
    sweep: Sweep,
}

impl Contests {
    /// Whether what fails may be mended now. `by` finds who breaks it, and is asked when a pause begins.
    ///
    /// # Errors
    /// The pause, while it is left alone.
    pub(super) fn enter(
        &mut self,
        ground: &Ground,
        now: Instant,
        by: impl FnOnce() -> Arc<str>,
    ) -> Result<(), Pause> {
        let Some(fight) = self.fights.get_mut(ground) else { return Ok(()) };
        if now >= fight.until && fight.is_over(now) {
            self.fights.remove(ground);
            return Ok(());
        }
        let goes_on = now < fight.until;
        if fight.may_go_on(ground.scope.limits(), now) {
            return Ok(());
        }
        if !goes_on {
            fight.by = by();
        }
        fight.pause(now).map_or(Ok(()), Err)
    }

    /// Notes that a patch was sent, and what became of it.
    pub(super) fn sent(&mut self, ground: Ground, fate: Fate, now: Instant) {
        self.make_room(now);
        // Who writes an object has something to let go of again, and nobody else put it there.
        let letting_go = Ground::of_release(&ground.key, &ground.uid);
        if fate.is_taken() && !ground.dry_run && ground != letting_go {
            self.fights.remove(&letting_go);
        }
        let (_, most) = ground.scope.limits();
        let new = || Fight {
            sent: Vec::new(),
            pause: Duration::ZERO,
            until: now,
            fate: fate.clone(),
            by: Arc::from(""),
        };
        self.fights.entry(ground).or_insert_with(new).note(fate, most, now);
    }

    /// Forgets what was not taken on objects of a resource for want of a right.
    pub(super) fn end_denied(&mut self, resource: &GroupResource) {
        let is_denied = |fate: &Fate| matches!(fate, Fate::Unmade(Remediation::NotVerified, _));
        self.fights.retain(|ground, fight| ground.key.resource != *resource || !is_denied(&fight.fate));
    }

    fn make_room(&mut self, now: Instant) {
        if self.sweep.is_due(self.fights.len(), now) {
            self.fights.retain(|_, fight| !fight.is_over(now));
        }
        if self.fights.len() >= MOST
            && let Some(any) = self.fights.keys().next().cloned()
        {
            self.fights.remove(&any);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::pause::{FIRST_PAUSE, LONGEST_PAUSE};
    use crate::resource::{GroupResource, ObjectName};

    fn ground() -> Ground {
        let object = ObjectName { namespace: None, name: "a".into() };
        let key = ObjectKey { resource: GroupResource::new("", "namespaces"), object };
        let scope = Scope::Place("owner".into(), Pointer::default());
        Ground { policy: "u".into(), generation: 1, key, uid: "o".into(), scope, dry_run: false }
    }

    fn enter(contests: &mut Contests, now: Instant) -> Result<(), Duration> {
        contests.enter(&ground(), now, || "kubectl".into()).map_err(|pause| pause.left)
    }

    /// How many fixes are made within a time by who breaks the place at once, each time.
    fn fixes(contests: &mut Contests, start: Instant, time: Duration) -> usize {
        let (mut now, mut fixes) = (start, 0);
        while now < start + time {
            match enter(contests, now) {
                Ok(()) => {
                    contests.sent(ground(), Fate::Held, now);
                    fixes += 1;
                    now += Duration::from_millis(20);
                }
                Err(wait) => now += wait,
            }
        }
        fixes
    }

    #[tokio::test(start_paused = true)]
    async fn who_fights_on_is_left_alone_for_longer_and_longer() {
        let (mut contests, start) = (Contests::default(), Instant::now());
        assert_eq!(fixes(&mut contests, start, Duration::from_secs(59)), 3);
        let hour = fixes(&mut contests, start + FIRST_PAUSE, LONGEST_PAUSE);
        assert!((1..=12).contains(&hour), "{hour}");
        let later = fixes(&mut contests, start + FIRST_PAUSE + LONGEST_PAUSE, LONGEST_PAUSE * 4);
        assert!(later <= 5, "{later}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fight_that_has_ended_is_forgotten() {
        let (mut contests, start) = (Contests::default(), Instant::now());
        fixes(&mut contests, start, Duration::from_secs(1));
        let calm = start + FIRST_PAUSE + WINDOW * 2;
        assert_eq!(enter(&mut contests, calm), Ok(()));
        assert_eq!(fixes(&mut contests, calm, Duration::from_secs(1)), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_says_who_began_it_and_whether_the_rule_ever_held() {
        let (mut contests, now) = (Contests::default(), Instant::now());
        (0..3).for_each(|_| contests.sent(ground(), Fate::Vain, now));
        let pause = Pause { left: FIRST_PAUSE, fate: Fate::Vain, by: "one".into() };
        assert_eq!(contests.enter(&ground(), now, || "one".into()), Err(pause.clone()));
        assert_eq!(contests.enter(&ground(), now, || "two".into()), Err(pause));
        assert_eq!(contests.enter(&ground(), now + FIRST_PAUSE, || "two".into()), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_again_is_let_go_of_again_and_what_others_put_there_is_not() {
        let (mut contests, now) = (Contests::default(), Instant::now());
        let letting_go = Ground::of_release(&ground().key, &ground().uid);
        for _ in 0..6 {
            contests.sent(ground(), Fate::Held, now);
            assert_eq!(contests.enter(&letting_go, now, || "".into()), Ok(()));
            contests.sent(letting_go.clone(), Fate::Held, now);
        }
        (0..3).for_each(|_| contests.sent(letting_go.clone(), Fate::Held, now));
        contests.sent(Ground { dry_run: true, ..ground() }, Fate::Held, now);
        assert!(contests.enter(&letting_go, now, || "".into()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_taken_is_tried_a_few_times_more_and_then_left_alone_as_well() {
        let unmade = || Fate::Unmade(Remediation::NotVerified, "no".into());
        for fate in [Fate::Outrun, unmade()] {
            let (mut contests, now) = (Contests::default(), Instant::now());
            for _ in 0..6 {
                assert_eq!(enter(&mut contests, now), Ok(()));
                contests.sent(ground(), fate.clone(), now);
            }
            assert_eq!(enter(&mut contests, now), Err(FIRST_PAUSE));
            assert_eq!(enter(&mut contests, now + FIRST_PAUSE), Ok(()));
            contests.sent(ground(), fate.clone(), now + FIRST_PAUSE);
            assert_eq!(enter(&mut contests, now + FIRST_PAUSE), Err(FIRST_PAUSE * 2), "once after a pause");
            contests.end_denied(&ground().key.resource);
            let is_forgotten = enter(&mut contests, now + FIRST_PAUSE).is_ok();
            assert_eq!(is_forgotten, fate == unmade(), "a right that is given ends what lacked it");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_breaks_now_and_then_is_fixed_each_time() {
        let (mut contests, mut now) = (Contests::default(), Instant::now());
        for _ in 0..20 {
            assert_eq!(enter(&mut contests, now), Ok(()));
            contests.sent(ground(), Fate::Held, now);
            now += WINDOW / 2;
        }
    }
}
