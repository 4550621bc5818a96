//! What happens in the cluster: what policies want, what others do, and what goes wrong. All of it follows from a seed.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::api::Class;
use crate::network::{Fault, Faults};
use crate::policies::{Edit, LONE};

pub(crate) const LEASE: Duration = Duration::from_secs(15);
pub(crate) const RENEW: Duration = Duration::from_secs(10);
pub(crate) const RETRY: Duration = Duration::from_secs(2);
pub(crate) const NAMESPACE: &str = "watchpolicy-system";

/// By then others have done what they do.
const END: f64 = 40.0;
/// So many requests of each class there are until then, more or less.
const REQUESTS: [(Class, usize); 2] = [(Class::Lease, 60), (Class::Object, 80)];

/// What somebody or something does at a time.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Makes an object, or edits it.
    Write {
        name: String,
        make: bool,
        merge: Value,
    },
    Delete(String),
    /// Somebody does something with a policy.
    Edit(&'static str, Edit),
    /// The annotation on the Lease.
    StopWrites(bool),
    Start(usize),
    Terminate(usize),
    Kill(usize),
    Freeze(usize, Duration),
    Thaw(usize),
    Down(usize, bool),
    /// The watch of policies is silent from now on, of those who lead, or of those who do not.
    Behind(bool),
    /// They go on where they were.
    CatchUp,
    /// Whoever leads is told to end.
    Depose,
    /// All open watches break.
    Cut,
    /// The same, and nobody can go on where they were.
    Compact,
}

/// What becomes of policies in each story, in this order: so many different things happen in clusters, and the rest is
/// what goes wrong there.
const STORIES: [&[(&str, Edit)]; 24] = [
    &[],
    &[("fades", Edit::Delete)],
    &[("good", Edit::Delete)],
    &[("fades", Edit::Mode("Audit"))],
    &[("clean", Edit::Mode("Plan"))],
    &[],
    &[("fades", Edit::Suspend(true))],
    &[("owners", Edit::Suspend(true))],
    &[("fades", Edit::Delete)],
    &[("yields", Edit::Mode("Audit"))],
    &[(LONE, Edit::Delete)],
    &[(LONE, Edit::Suspend(true))],
    &[("owners", Edit::Mode("Audit")), ("owners", Edit::Mode("Enforce"))],
    &[("fades", Edit::Mode("Audit")), ("fades", Edit::Mode("Enforce"))],
    &[("fades", Edit::Suspend(true)), ("fades", Edit::Suspend(false))],
    &[("good", Edit::Want("better"))],
    &[("fades", Edit::More)],
    &[("owners", Edit::OnDelete("Release")), ("owners", Edit::Delete)],
    &[("fades", Edit::OnDelete("Keep")), ("fades", Edit::Mode("Audit"))],
    &[("late", Edit::Make("on"))],
    &[("fades", Edit::Delete), ("fades", Edit::Make("anew"))],
    &[("good", Edit::Delete), ("good", Edit::Make("better"))],
    &[(LONE, Edit::Mode("Audit")), (LONE, Edit::Mode("Enforce"))],
    &[("owners", Edit::More), ("tiers", Edit::Mode("Enforce")), ("owners", Edit::Fewer)],
];

/// A run.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) replicas: usize,
    pub(crate) steps: Vec<(Duration, Step)>,
    pub(crate) faults: Faults,
}

/// Times and choices from a seed.
struct Dice(SmallRng);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    fn seconds(&mut self, from: f64, to: f64) -> Duration {
        Duration::from_secs_f64(self.0.random_range(from..to))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    fn one_in(&mut self, of: u32) -> bool {
        self.0.random_ratio(1, of)
    }
}

impl Plan {
    /// What happens in the cluster of a seed when nothing goes wrong.
    pub(crate) fn calm(seed: u64) -> Self {
        let number = usize::try_from(seed).unwrap() % STORIES.len();
        let story = u64::try_from(number).unwrap();
        let mut dice = Dice::new(story);
        let replicas = 2 + number % 2;
        let mut steps: Vec<_> = (0..replicas)
            .map(|slot| (Duration::from_millis(300) * u32::try_from(slot).unwrap(), Step::Start(slot)))
            .collect();
        for name in 0..2 + dice.below(3) {
            others(&format!("map-{name}"), &mut dice, &mut steps);
        }
        if dice.one_in(3) {
            let at = dice.seconds(10.0, 25.0);
            steps.push((at, Step::StopWrites(true)));
            steps.push((at + dice.seconds(2.0, 14.0), Step::StopWrites(false)));
        }
        let edits = STORIES[number];
        if edits.iter().any(|(policy, _)| *policy == LONE) {
            others(LONE, &mut dice, &mut steps);
        }
        let edits = edits.iter().map(|&(policy, edit)| Step::Edit(policy, edit));
        steps.extend(moments(edits.len(), &mut dice).into_iter().zip(edits));
        Self { seed: story, replicas, steps, faults: Faults::default() }
    }

    /// The same where things go wrong.
    pub(crate) fn stormy(seed: u64) -> Self {
        let mut plan = Self { seed, ..Self::calm(seed) };
        let mut dice = Dice::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 1);
        // The end does not follow from when policies are edited.
        let edits: Vec<_> =
            plan.steps.iter_mut().filter(|(_, step)| matches!(step, Step::Edit(..))).collect();
        let moments = moments(edits.len(), &mut dice);
        edits.into_iter().zip(moments).for_each(|((at, _), moment)| *at = moment);
        for _ in 0..1 + dice.below(8) {
            let (class, most) = REQUESTS[usize::from(!dice.one_in(4))];
            let at = (class, 1 + dice.below(most));
            let fault = fault(&mut dice);
            plan.faults.at.insert(at, fault);
        }
        for _ in 0..dice.below(4) {
            let (at, slot) = (dice.seconds(1.0, END), dice.below(plan.replicas));
            let until = at + dice.seconds(1.0, 25.0);
            match dice.below(5) {
                0 => plan.steps.push((at, Step::Terminate(slot))),
                1 => plan.steps.push((at, Step::Freeze(slot, until - at))),
                2 => plan.steps.extend([(at, Step::Down(slot, true)), (until, Step::Down(slot, false))]),
                3 => plan.steps.push((at, Step::Cut)),
                _ => plan.steps.push((at, Step::Compact)),
            }
        }
        plan.overlook(&mut dice);
        plan
    }

    /// Something becomes of a policy, and who leads does not see it, nor who leads next; or nobody is there.
    fn overlook(&mut self, dice: &mut Dice) {
        let is_edit = |(_, step): &&(Duration, Step)| matches!(step, Step::Edit(..));
        let edits: Vec<_> = self.steps.iter().filter(is_edit).map(|(at, _)| *at).collect();
        if edits.is_empty() {
            return;
        }
        let at = edits[dice.below(edits.len())];
        let (before, after) = (at - dice.seconds(0.0, 4.0), at + dice.seconds(0.1, 10.0));
        let until = after + dice.seconds(1.0, 60.0);
        match dice.below(5) {
            0 => {
                let kills = (0..self.replicas).map(|slot| (at - Duration::from_secs(1), Step::Kill(slot)));
                self.steps.extend(kills);
            }
            1 => self.steps.extend([(before, Step::Behind(true)), (until, Step::CatchUp)]),
            2 | 3 => self.steps.extend([
                (before, Step::Behind(false)),
                (after, Step::Depose),
                (until, Step::CatchUp),
            ]),
            _ => {}
        }
    }

    /// The same, and when all is settled its leader is killed.
    pub(crate) fn handover() -> Self {
        let mut plan = Self::short(None);
        plan.steps.push((Duration::from_secs(60), Step::Kill(0)));
        plan
    }

    /// A small story, in which one thing happens at one request.
    pub(crate) fn short(fault: Option<((Class, usize), Fault)>) -> Self {
        let second = Duration::from_secs;
        let write =
            |at, name: &str, make, merge| (second(at), Step::Write { name: name.to_owned(), make, merge });
        let steps = vec![
            (second(0), Step::Start(0)),
            (second(1), Step::Start(1)),
            write(2, "one", true, json!({"data": {"a": "bad", "debug": "on", "other": "x"}})),
            write(2, "two", true, json!({"metadata": {"annotations": {"corp.io/owner": "me"}}})),
            write(4, "one", false, json!({"data": {"a": "worse", "other": "y"}})),
        ];
        let mut faults = Faults::default();
        faults.at.extend(fault);
        Self { seed: 1000, replicas: 2, steps, faults }
    }
}

/// When something is done, in this order: now and then one thing soon after the other.
fn moments(count: usize, dice: &mut Dice) -> Vec<Duration> {
    let first = dice.seconds(8.0, END);
    let gap = if dice.one_in(2) { 6.0 } else { END };
    let mut moments: Vec<_> = (0..count).map(|_| first + dice.seconds(0.0, gap)).collect();
    moments.sort_unstable();
    moments
}

/// What others do with an object. Each rule is broken three times at most: what is broken more often is left alone.
fn others(name: &str, dice: &mut Dice, steps: &mut Vec<(Duration, Step)>) {
    let write = |at, make, merge| (at, Step::Write { name: name.to_owned(), make, merge });
    steps.push(write(dice.seconds(0.0, 4.0), true, made(dice)));
    for round in 0..2 {
        let at = dice.seconds(5.0, END);
        match dice.below(5) {
            0 => steps.push(write(at, false, json!({"data": {"a": format!("bad {round}")}}))),
            1 => {
                let metadata = json!({"annotations": {"corp.io/owner": format!("x {round}")}});
                steps.push(write(at, false, json!({"metadata": metadata, "data": {"debug": "1"}})));
            }
            2 => steps.extend((0..30_u32).map(|count| {
                let at = at + Duration::from_millis(20) * count;
                write(at, false, json!({"data": {"other": count.to_string()}}))
            })),
            3 => {
                steps.push((at, Step::Delete(name.to_owned())));
                steps.push(write(at + dice.seconds(0.0, 1.0), true, made(dice)));
            }
            _ => {}
        }
    }
}

/// An object as somebody makes it.
fn made(dice: &mut Dice) -> Value {
    let mut object = json!({});
    for (at, value) in [("a", "bad"), ("debug", "on"), ("y", "theirs"), ("other", "0")] {
        if dice.one_in(2) {
            object["data"][at] = value.into();
        }
    }
    if dice.one_in(2) {
        object["metadata"]["annotations"]["corp.io/owner"] = "somebody".into();
    }
    object
}

fn fault(dice: &mut Dice) -> Fault {
    match dice.below(10) {
        0 => Fault::CrashBefore,
        1 => Fault::CrashAfter,
        2 => Fault::FreezeBefore(dice.seconds(0.1, 40.0)),
        3 => Fault::FreezeAfter(dice.seconds(0.1, 40.0)),
        4 => Fault::LoseRequest,
        5 | 6 => Fault::LoseReply,
        7 => Fault::Hang,
        8 => Fault::Slow(dice.seconds(0.5, 30.0)),
        _ => Fault::Refuse([429, 500, 503, 504][dice.below(4)]),
    }
}
