//! Contests: what we have done to an object, and somebody else undoes again: rules that were mended, plans that were worked
//! out, entries of managers that were taken out.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use tokio::time::Instant;

use super::pause::next_pause;
use crate::resource::ObjectKey;

/// A break that comes later after a fix is no fight.
const WINDOW: Duration = Duration::from_secs(600);
/// So many fixes within the window are made before the rule is left alone there.
const FIXES: usize = 3;
/// Above this, fights that are over are forgotten at the next fix, once in [`SWEEP`].
const MANY: usize = 4096;
const SWEEP: Duration = Duration::from_secs(1);
/// The most fights; beyond, any one is forgotten for a new one.
const MOST: usize = 65_536;

/// A rule that is mended on an object: who breaks it elsewhere each time fights as well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ground {
    /// The uid of the policy.
    pub(super) policy: Arc<str>,
    /// Its generation: who edits a policy begins anew.
    pub(super) generation: i64,
    pub(super) key: ObjectKey,
    /// The object's: who makes another one of the same name breaks nothing.
    pub(super) uid: Arc<str>,
    pub(super) rule: Arc<str>,
    /// It is only tried out.
    pub(super) dry_run: bool,
}

impl Ground {
    /// Letting go of an object: entries of managers can be made up by anybody, and under any name.
    pub(super) fn of_release(key: &ObjectKey, uid: &Arc<str>) -> Self {
        let nobody: Arc<str> = Arc::from("");
        Self {
            policy: Arc::clone(&nobody),
            generation: 0,
            key: key.clone(),
            uid: Arc::clone(uid),
            rule: nobody,
            dry_run: false,
        }
    }
}

/// What is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) left: Duration,
    /// Whether the rule ever held after it was mended; else nobody has broken it.
    pub(super) held: bool,
    /// Who broke it, as was found when it began.
    pub(super) by: Arc<str>,
}

#[derive(Debug)]
struct Fight {
    /// The last few fixes, the newest last; at most [`FIXES`].
    fixes: Vec<Instant>,
    /// Zero until it is a fight.
    pause: Duration,
    until: Instant,
    held: bool,
    by: Arc<str>,
}

impl Fight {
    fn is_over(&self, now: Instant) -> bool {
        let last = self.fixes.last().copied().map_or(self.until, |fixed| fixed.max(self.until));
        now.saturating_duration_since(last) >= WINDOW
    }

    fn may_fix(&mut self, now: Instant) -> bool {
        if now < self.until {
            return false;
        }
        self.fixes.retain(|fixed| now.duration_since(*fixed) < WINDOW);
        let tried_again =
            !self.pause.is_zero() && self.fixes.last().is_some_and(|fixed| *fixed >= self.until);
        let is_fight = tried_again || (self.pause.is_zero() && self.fixes.len() >= FIXES);
        if is_fight {
            self.pause = next_pause(self.pause);
            self.until = now + self.pause;
        }
        !is_fight
    }

    fn pause(&self, now: Instant) -> Option<Pause> {
        let left = self.until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(Pause { left, held: self.held, by: Arc::clone(&self.by) })
    }
}

/// All that was fixed lately.
#[derive(Debug, Default)]
pub(super) struct Contests {
    fights: HashMap<Ground, Fight, RandomState>,
    swept: Option<Instant>,
}

impl Contests {
    /// Whether a rule that fails may be mended now. `by` finds who breaks it, and is asked when a pause begins.
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
        if fight.may_fix(now) {
            return Ok(());
        }
        if !goes_on {
            fight.by = by();
        }
        fight.pause(now).map_or(Ok(()), Err)
    }

    /// The pause of what is left alone now, without a look at the object.
    pub(super) fn paused(&self, ground: &Ground, now: Instant) -> Option<Pause> {
        self.fights.get(ground)?.pause(now)
    }

    /// Notes that a rule was mended, and whether it held.
    pub(super) fn fixed(&mut self, ground: Ground, held: bool, now: Instant) {
        self.make_room(now);
        // Who writes an object has something to let go of again, and nobody else put it there.
        let letting_go = Ground::of_release(&ground.key, &ground.uid);
        if !ground.dry_run && ground != letting_go {
            self.fights.remove(&letting_go);
        }
        let new =
            || Fight { fixes: Vec::new(), pause: Duration::ZERO, until: now, held: false, by: Arc::from("") };
        let fight = self.fights.entry(ground).or_insert_with(new);
        fight.held |= held;
        if fight.fixes.len() >= FIXES {
            fight.fixes.remove(0);
        }
        fight.fixes.push(now);
    }

    fn make_room(&mut self, now: Instant) {
        let is_swept = self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP);
        if self.fights.len() > MANY && !is_swept {
            self.swept = Some(now);
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
        Ground {
            policy: "u".into(),
            generation: 1,
            key,
            uid: "o".into(),
            rule: "owner".into(),
            dry_run: false,
        }
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
                    contests.fixed(ground(), true, now);
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
        (0..FIXES).for_each(|_| contests.fixed(ground(), false, now));
        let pause = Pause { left: FIRST_PAUSE, held: false, by: "one".into() };
        assert_eq!(contests.enter(&ground(), now, || "one".into()), Err(pause.clone()));
        assert_eq!(contests.enter(&ground(), now, || "two".into()), Err(pause.clone()));
        assert_eq!(contests.paused(&ground(), now), Some(pause));
        assert_eq!(contests.paused(&ground(), now + FIRST_PAUSE), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_again_is_let_go_of_again_and_what_others_put_there_is_not() {
        let (mut contests, now) = (Contests::default(), Instant::now());
        let letting_go = Ground::of_release(&ground().key, &ground().uid);
        for _ in 0..2 * FIXES {
            contests.fixed(ground(), true, now);
            assert_eq!(contests.enter(&letting_go, now, || "".into()), Ok(()));
            contests.fixed(letting_go.clone(), true, now);
        }
        (0..FIXES).for_each(|_| contests.fixed(letting_go.clone(), true, now));
        contests.fixed(Ground { dry_run: true, ..ground() }, true, now);
        assert!(contests.enter(&letting_go, now, || "".into()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_breaks_now_and_then_is_fixed_each_time() {
        let (mut contests, mut now) = (Contests::default(), Instant::now());
        for _ in 0..20 {
            assert_eq!(enter(&mut contests, now), Ok(()));
            contests.fixed(ground(), true, now);
            now += WINDOW / 2;
        }
    }
}
