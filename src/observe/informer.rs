//! The informer: one list and watch, kept going for ever, as an explicit state machine.
//!
//! ```text
//!          ┌────────────── 410, or three failed starts ─────────────┐
//!          ▼                                                        │
//!  List ──ok──► Watch ──ended, cut, silent──► Watch again (same version; briefly where it was silent)
//!   │  ▲          │ 403
//!  403 │ allowed  ▼
//!   └► Ask (SelfSubjectAccessReview once per interval)
//! ```
//!
//! A list is compared with what the sink holds, so that what was deleted while nobody watched is found (the tombstone
//! case of client-go). Back-off grows until a watch has lasted.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::turns::Turns;
use super::version::version_of;
use super::wire::{Collection, Event, Lines, PageEnd, Wire, WireError};
use crate::backoff::{self, Backoff};
use crate::metrics::{EventType, WatchFailure};

/// Where the items of a collection go. Called by one informer, from one task.
pub trait Sink: Send {
    /// A list begins: what is not [`Sink::seen`] until [`Sink::listed`] is gone.
    fn listing(&mut self);
    /// An object as it is now.
    fn seen(&mut self, raw: &str);
    /// An object went; this is its last state.
    fn deleted(&mut self, raw: &str);
    /// The list is complete.
    fn listed(&mut self);
    /// The informer is in another phase, or says something else about it.
    fn phase(&mut self, phase: Phase);
    /// Whether a list should be taken when the watch has ended, since something that it showed was left out.
    fn wants_list(&self) -> bool {
        false
    }
    /// Something came that proves that the watch lives.
    fn alive(&mut self) {}
    /// What was received, for metrics.
    fn count(&mut self, _signal: Signal) {}
}

/// What an informer counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signal {
    /// A watch event.
    Event(EventType),
    /// A failed request or a broken watch.
    Failure(WatchFailure),
    /// A whole list was taken.
    Listed(Duration),
}

/// What an informer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first list is under way.
    Listing,
    /// The sink holds what the server holds, as far as the watch tells.
    Synced,
    /// A verb is missing.
    Forbidden {
        /// `list` or `watch`.
        verb: &'static str,
    },
    /// The server does not know the resource.
    Absent,
    /// Requests fail, or nothing proves that the watch lives.
    Degraded(String),
    /// The watch works, and the sink has no room for all that it shows.
    LimitExceeded(String),
}

/// The informer's patience.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Objects in one page of a list.
    pub page_size: u32,
    /// The pauses after failures.
    pub backoff: Backoff,
    /// Without any sign of life for so long, a watch is given up.
    pub liveness: Duration,
    /// How often permissions are asked again.
    pub access_check: Duration,
    /// Feeds the jitter of all waits; each collection draws from it in its own way.
    pub seed: u64,
    /// When it may ask for a page; shared by all informers.
    pub turns: Arc<Turns>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            page_size: 500,
            backoff: Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) },
            liveness: Duration::from_secs(120),
            access_check: Duration::from_secs(60),
            seed: 0,
            turns: Arc::new(Turns::new(8)),
        }
    }
}

/// After so many failed starts a version is no longer trusted, and a list is taken.
const FAILED_STARTS: u8 = 3;
/// The first question for a missing permission.
const FIRST_ASK: Duration = Duration::from_secs(5);
/// A watch that stood for so long is one; if it ends sooner, that is a failure and not an end.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);
/// After so long a watch has outlived whatever made earlier ones fail.
const STEADY_WATCH: Duration = Duration::from_secs(30);
/// A server ends its watch when it was asked to; so much later it is taken for dead, whatever it still sends.
const GRACE: Duration = Duration::from_secs(30);
/// Shares of the liveness, which together are less than one: after so long without a line a watch is opened anew, to be
/// ended by the server after so long, and taken for dead so much later.
const PATIENCE: f64 = 0.8;
const PROBE: f64 = 0.05;
const PROBE_GRACE: f64 = 0.06;
/// A bookmark closer to the end of its watch is the one that the server sends before every end.
const FINAL_BOOKMARK: Duration = Duration::from_secs(10);
/// No list has so many objects; a page without any counts as one of this many.
const MOST_OBJECTS: usize = 2_000_000;
const EMPTY_PAGE: usize = 500;
/// How long a list may take that comes as events.
const LONGEST_LIST: Duration = Duration::from_secs(300);

/// What the machine does next.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Take a list.
    List,
    /// Watch from a version on; so many starts have failed in a row.
    Watch { version: String, failed: u8 },
    /// Wait, then ask whether the verb is allowed by now.
    Ask { verb: &'static str, wait: Duration },
}

/// A watch that has begun.
struct Open {
    lines: Lines,
    since: Instant,
    /// When the server was asked to end it.
    ends: Instant,
    /// When it is taken for dead if it has not ended.
    overdue: Instant,
}

/// Keeps a sink equal to a collection.
pub struct Informer<S> {
    wire: Wire,
    collection: Collection,
    settings: Settings,
    sink: S,
    failures: u32,
    page_size: u32,
    /// The last page that was asked for was answered.
    answers: bool,
    /// Bookmarks come on the way.
    bookmarks: bool,
    /// A watch fell silent, and the next one is to show soon whether the server still tells anything.
    doubted: bool,
    /// An early question was asked since the watch last lived.
    asked: bool,
    random: SmallRng,
}

impl<S: Sink> Informer<S> {
    /// Nothing is asked before [`Informer::run`].
    pub fn new(wire: Wire, collection: Collection, settings: Settings, sink: S) -> Self {
        let page_size = settings.page_size;
        let mixed = BuildHasherDefault::<DefaultHasher>::new().hash_one((settings.seed, &collection));
        let random = SmallRng::seed_from_u64(mixed);
        Self {
            wire,
            collection,
            settings,
            sink,
            failures: 0,
            page_size,
            answers: false,
            bookmarks: false,
            doubted: false,
            asked: false,
            random,
        }
    }

    /// Lists and watches until told to stop; gives the sink back.
    pub async fn run(mut self, stop: CancellationToken) -> S {
        self.sink.phase(Phase::Listing);
        let mut state = State::List;
        while let Some(next) = stop.run_until_cancelled(self.step(state)).await {
            state = next;
        }
        self.sink
    }

    async fn step(&mut self, state: State) -> State {
        match state {
            State::List => match self.list().await {
                Ok(version) => State::Watch { version, failed: 0 },
                Err(error) => self.list_failed(error).await,
            },
            State::Watch { version, failed } => self.watch(version, failed).await,
            State::Ask { verb, wait } => self.ask(verb, wait).await,
        }
    }

    // ---- LIST ----

    async fn list(&mut self) -> Result<String, WireError> {
        let start = Instant::now();
        self.sink.listing();
        let (mut next, mut objects) = (None, 0);
        while objects < MOST_OBJECTS {
            let (end, found) = match self.page(next.as_deref()).await {
                // The same in smaller pages; where it goes on they may be larger again.
                Err(WireError::TooLarge(_) | WireError::Crowded) if self.page_size > 1 => {
                    self.page_size = (self.page_size / 4).max(1);
                    continue;
                }
                Err(WireError::LongToken) => return self.watch_list().await,
                answer => answer?,
            };
            objects += if found == 0 { EMPTY_PAGE } else { found };
            if end.next.is_none() {
                self.sink.listed();
                self.sink.count(Signal::Listed(start.elapsed()));
                self.page_size = self.page_size.min(self.settings.page_size);
                return Ok(end.version);
            }
            if end.next == next {
                return Err(WireError::Unintelligible("the list goes on where it was".to_owned()));
            }
            next = end.next;
            let doubled = self.page_size.saturating_mul(2).min(self.settings.page_size);
            self.page_size = self.page_size.max(doubled);
        }
        Err(WireError::Unintelligible(format!("the list has no end after {objects} objects")))
    }

    /// The same list as the first events of a watch. Slower, and not every server has it, so it is the last resort.
    async fn watch_list(&mut self) -> Result<String, WireError> {
        self.sink.listing();
        let patience = self.settings.liveness.mul_f64(PATIENCE);
        let mut lines = self.wire.watch_list(&self.collection, LONGEST_LIST).await?;
        while let Some(line) = lines.next(patience).await? {
            let event = Event::parse(&line)?;
            self.sink.alive();
            match event.kind {
                EventType::Added | EventType::Modified => self.sink.seen(event.object),
                EventType::Deleted => self.sink.deleted(event.object),
                EventType::Bookmark | EventType::Error => {}
            }
            if event.ends_list()
                && let Some(version) = version_of(event.object)
            {
                self.sink.listed();
                return Ok(version);
            }
        }
        Err(WireError::Broken("the watch ended before it had shown all objects".to_owned()))
    }

    /// One page and how many objects it had; others get their turn between two of them.
    async fn page(&mut self, next: Option<&str>) -> Result<(PageEnd, usize), WireError> {
        let turns = Arc::clone(&self.settings.turns);
        let answers = self.answers;
        let answer = match turns.quick(answers, self.ask_page(next)).await {
            Some(answer) => answer,
            None => turns.slow(answers, self.ask_page(next)).await,
        };
        self.answers = !matches!(answer, Err(WireError::Silent(_)));
        answer
    }

    /// The turn lasts until the page has left memory.
    async fn ask_page(&mut self, next: Option<&str>) -> Result<(PageEnd, usize), WireError> {
        let Self { wire, collection, sink, page_size, .. } = self;
        let page = wire.list(collection, *page_size, next).await?;
        let mut found = 0;
        let end = page.each(|raw| {
            found += 1;
            sink.seen(raw);
        })?;
        sink.alive();
        Ok((end, found))
    }

    async fn list_failed(&mut self, error: WireError) -> State {
        self.sink.count(Signal::Failure(error.failure()));
        match &error {
            error if error.is_forbidden() => return self.forbidden("list"),
            error if error.is_absent() => self.sink.phase(Phase::Absent),
            // A continue token lives as long as etcd's compaction lets it: fewer, larger pages are sooner done.
            error if error.is_expired() => self.page_size = self.page_size.saturating_mul(2),
            _ => self.sink.phase(Phase::Degraded(format!("cannot list: {error}"))),
        }
        self.rest(error.retry_after()).await;
        State::List
    }

    // ---- WATCH ----

    async fn watch(&mut self, version: String, failed: u8) -> State {
        let duration = self.watch_duration();
        match self.wire.watch(&self.collection, &version, duration).await {
            Ok(lines) => {
                // After failures a watch that opens proves little: it must stand a while, or bring something.
                if self.failures == 0 {
                    self.sink.phase(Phase::Synced);
                }
                let (since, liveness) = (Instant::now(), self.settings.liveness);
                let ends = since + duration;
                let overdue = ends + if self.doubted { liveness.mul_f64(PROBE_GRACE) } else { GRACE };
                self.follow(Open { lines, since, ends, overdue }, version, failed).await
            }
            Err(error) => self.watch_failed(version, failed, error).await,
        }
    }

    /// Watches end at different times, so that a restarted server is not met by all of them at once. Where bookmarks
    /// come they prove life; where none come the end of the watch must, so it comes before the patience ends.
    fn watch_duration(&mut self) -> Duration {
        if self.doubted {
            return self.settings.liveness.mul_f64(PROBE);
        }
        let longest = if self.bookmarks { Duration::from_secs(290) } else { self.settings.liveness };
        let (least, most) = if self.bookmarks { (0.6, 0.9) } else { (0.5, 0.7) };
        self.jittered(longest, least..most)
    }

    async fn watch_failed(&mut self, version: String, failed: u8, error: WireError) -> State {
        self.sink.count(Signal::Failure(error.failure()));
        self.bookmarks = false;
        let doubted = std::mem::take(&mut self.doubted);
        if error.is_forbidden() {
            return self.forbidden("watch");
        }
        let relist = match &error {
            // From the same version the same line would come again; and what a silent watch kept back, a list shows.
            WireError::Unintelligible(_) | WireError::TooLarge(_) | WireError::Silent(_) => true,
            error => error.is_expired() || error.is_absent() || failed + 1 >= FAILED_STARTS,
        };
        let silent = matches!(error, WireError::Silent(_));
        if silent || doubted || self.failures > 0 || error.retry_after() > Some(self.settings.backoff.first) {
            self.sink.phase(Phase::Degraded(format!("the watch fails: {error}")));
        }
        self.rest(error.retry_after()).await;
        if relist { State::List } else { State::Watch { version, failed: failed + 1 } }
    }

    /// Takes events until the watch ends.
    async fn follow(&mut self, mut open: Open, mut version: String, failed: u8) -> State {
        let patience = self.settings.liveness.mul_f64(PATIENCE);
        let random = SmallRng::seed_from_u64(self.random.random());
        let denied = denied(self.wire.clone(), self.collection.clone(), self.settings.access_check, random);
        let (stands, steady) =
            (sleep_until(open.since + SHORTEST_WATCH), sleep_until(open.since + STEADY_WATCH));
        let overdue = sleep_until(open.overdue);
        tokio::pin!(denied, stands, steady, overdue);
        let mut proven = false;
        loop {
            let taken = tokio::select! {
                () = &mut denied => return self.forbidden("watch"),
                () = &mut stands, if !stands.is_elapsed() => {
                    proven = true;
                    self.sink.phase(Phase::Synced);
                    continue;
                }
                // Only a watch that lasted ends the back-off: neither a list nor an event does, or a server whose
                // watches all fail soon would be asked without end.
                () = &mut steady, if !steady.is_elapsed() => {
                    self.failures = 0;
                    self.asked = false;
                    continue;
                }
                () = &mut overdue => Err(WireError::Silent(GRACE)),
                line = open.lines.next(patience) => match line {
                    Ok(Some(line)) => self.event(&line, open.ends),
                    Ok(None) if stands.is_elapsed() => {
                        self.sink.alive();
                        self.doubted = false;
                        let goes_on = State::Watch { version, failed: 0 };
                        return if self.sink.wants_list() { State::List } else { goes_on };
                    }
                    Ok(None) => Err(WireError::Broken("the watch ended as soon as it began".to_owned())),
                    Err(error) => Err(error),
                },
            };
            match taken {
                Ok(newer) => {
                    version = newer.unwrap_or(version);
                    self.doubted = false;
                    if !std::mem::replace(&mut proven, true) {
                        self.sink.phase(Phase::Synced);
                    }
                }
                // One bookmark that is lost is no proof of anything: what it kept back, the next watch tells.
                Err(WireError::Silent(_)) if !self.doubted => {
                    (self.bookmarks, self.doubted) = (false, true);
                    return State::Watch { version, failed };
                }
                Err(error) => {
                    let failed = if proven { 0 } else { failed };
                    return self.watch_failed(version, failed, error).await;
                }
            }
        }
    }

    /// Hands one event over; gives the version up to which everything is now known.
    fn event(&mut self, line: &[u8], ends: Instant) -> Result<Option<String>, WireError> {
        let event = Event::parse(line)?;
        self.sink.alive();
        self.sink.count(Signal::Event(event.kind));
        match event.kind {
            EventType::Added | EventType::Modified => self.sink.seen(event.object),
            EventType::Deleted => self.sink.deleted(event.object),
            // One comes at the end of every watch, also where none comes on the way.
            EventType::Bookmark => self.bookmarks |= Instant::now() + FINAL_BOOKMARK < ends,
            EventType::Error => {} // `Event::parse` makes it an error
        }
        Ok(version_of(event.object))
    }

    // ---- permissions ----

    fn forbidden(&mut self, verb: &'static str) -> State {
        self.sink.phase(Phase::Forbidden { verb });
        // Rights are often granted a moment after the operator or the policy came: the first question is an early one.
        let early = !std::mem::replace(&mut self.asked, true);
        let wait = if early { FIRST_ASK.min(self.settings.access_check) } else { self.settings.access_check };
        State::Ask { verb, wait }
    }

    async fn ask(&mut self, verb: &'static str, wait: Duration) -> State {
        sleep(self.jittered(wait, 0.8..0.95)).await;
        match self.wire.may(verb, &self.collection).await {
            // The review is advice, the next answer is the truth.
            Ok(true) => State::List,
            Ok(false) => State::Ask { verb, wait: self.settings.access_check },
            Err(error) => {
                self.sink.count(Signal::Failure(error.failure()));
                State::List
            }
        }
    }

    // ---- back-off ----

    /// However long a server asks us to wait, a target is not left blind for longer than the longest pause.
    async fn rest(&mut self, retry_after: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        let Backoff { longest, .. } = self.settings.backoff;
        let grown = self.settings.backoff.wait(self.failures);
        let jittered = self.jittered(grown, 0.5..1.0);
        sleep(jittered.max(retry_after.unwrap_or_default().min(longest))).await;
    }

    /// Many informers that wait for the same thing should not do it at the same time.
    fn jittered(&mut self, wait: Duration, between: Range<f64>) -> Duration {
        backoff::jittered(wait, between, &mut self.random)
    }
}

/// Returns when the right to watch was taken away: that does not end an open watch, so it must be asked for. A
/// question that gets no answer says nothing.
async fn denied(wire: Wire, collection: Collection, interval: Duration, mut random: SmallRng) {
    loop {
        sleep(backoff::jittered(interval, 0.8..1.0, &mut random)).await;
        if let Ok(false) = wire.may("watch", &collection).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
