//! What was told lately: the same told again makes a series of an event, as the API's conventions have it, instead of a
//! second event.

use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use jiff::Timestamp;
use tokio::time::Instant;

use super::announcement::Announcement;
use super::object::Place;

/// A series to which nothing was added for so long is over; client-go's limit.
const OVER: Duration = Duration::from_secs(6 * 60);
/// The first repetition is written at once, others no more often than this.
const PAUSE: Duration = Duration::from_secs(60);
/// The most series that are remembered; beyond, the one that was silent for longest is forgotten.
const MOST: usize = 2048;

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: Timestamp,
    pub(super) instant: Instant,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// A first occurrence.
    Create(Announcement, Place),
    /// A later one: how many there were, and when the last was.
    Extend(Announcement, Place, u32, Timestamp),
}

impl Order {
    /// Where the event is.
    pub(super) fn place(&self) -> &Place {
        let (Self::Create(_, place) | Self::Extend(_, place, ..)) = self;
        place
    }
}

#[derive(Debug)]
struct Series {
    place: Place,
    count: u32,
    last: Timestamp,
    heard: Instant,
    /// How many of them the server knows.
    written: u32,
    /// When the next may be written.
    not_before: Instant,
}

impl Series {
    fn is_due(&self, now: Instant) -> bool {
        self.count > self.written && self.not_before <= now
    }

    fn is_over(&self, now: Instant) -> bool {
        self.count == self.written && now.saturating_duration_since(self.heard) >= OVER
    }
}

/// All series that are not over.
#[derive(Debug, Default)]
pub(super) struct Register {
    series: HashMap<Announcement, Series, RandomState>,
}

impl Register {
    /// What to write of something that is told now. Repetitions wait for [`Self::due`].
    pub(super) fn hear(&mut self, announcement: Announcement, now: Moment) -> Option<Order> {
        if let Some(series) = self.series.get_mut(&announcement)
            && now.instant.saturating_duration_since(series.heard) < OVER
        {
            series.count = series.count.saturating_add(1);
            (series.last, series.heard) = (now.wall, now.instant);
            return None;
        }
        self.make_room(now.instant);
        let digest = self.series.hasher().hash_one(&announcement);
        let place = Place::new(&announcement, digest, now.wall);
        let series = Series {
            place: place.clone(),
            count: 1,
            last: now.wall,
            heard: now.instant,
            written: 1,
            not_before: now.instant,
        };
        self.series.insert(announcement.clone(), series);
        Some(Order::Create(announcement, place))
    }

    /// A repetition that is to be written now. It counts as written; one that could not be is forgotten.
    pub(super) fn due(&mut self, now: Instant) -> Option<Order> {
        let (announcement, series) = self.series.iter_mut().find(|(_, series)| series.is_due(now))?;
        series.written = series.count;
        series.not_before = now + PAUSE;
        Some(Order::Extend(announcement.clone(), series.place.clone(), series.count, series.last))
    }

    /// When the next repetition is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let waits = self.series.values().filter(|series| series.count > series.written);
        waits.map(|series| series.not_before).min()
    }

    /// An event was not written: the next occurrence is a first one.
    pub(super) fn forget(&mut self, announcement: &Announcement) {
        self.series.remove(announcement);
    }

    fn make_room(&mut self, now: Instant) {
        if self.series.len() < MOST {
            return;
        }
        self.series.retain(|_, series| !series.is_over(now));
        if self.series.len() >= MOST {
            let silent = self.series.iter().min_by_key(|(_, series)| series.heard);
            if let Some(silent) = silent.map(|(announcement, _)| announcement.clone()) {
                self.series.remove(&silent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{at, running};
    use super::super::announcement::Happening;
    use super::*;

    fn announcement(note: &str) -> Announcement {
        Announcement::on_policy(&running("p"), Happening::warning("Invalid", "Validate"), note)
    }

    fn moment(start: Instant, seconds: u32) -> Moment {
        Moment { wall: at(i64::from(seconds)), instant: start + Duration::from_secs(1) * seconds }
    }

    /// How many occurrences a repetition tells of.
    fn count(order: Option<Order>) -> Option<u32> {
        match order? {
            Order::Extend(_, _, count, _) => Some(count),
            Order::Create(..) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_is_one_event_whose_count_is_written_at_once_and_then_once_a_minute() {
        let (mut register, start) = (Register::default(), Instant::now());
        assert!(matches!(register.hear(announcement("a"), moment(start, 0)), Some(Order::Create(..))));
        assert_eq!(register.next(), None);
        assert_eq!(register.hear(announcement("a"), moment(start, 1)), None);
        assert_eq!(count(register.due(moment(start, 1).instant)), Some(2));
        for second in 2..50 {
            assert_eq!(register.hear(announcement("a"), moment(start, second)), None);
            assert_eq!(register.due(moment(start, second).instant), None);
        }
        assert_eq!(register.next(), Some(moment(start, 61).instant));
        assert_eq!(count(register.due(moment(start, 61).instant)), Some(50));
    }

    #[tokio::test(start_paused = true)]
    async fn other_words_and_what_comes_after_a_long_silence_are_new_events() {
        let (mut register, start) = (Register::default(), Instant::now());
        let mut places = std::collections::BTreeSet::new();
        for (note, second) in [("a", 0), ("b", 0), ("a", 360)] {
            let order = register.hear(announcement(note), moment(start, second));
            let Some(Order::Create(_, place)) = order else { panic!("{order:?}") };
            places.insert(place.name);
        }
        assert_eq!(places.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn however_much_is_told_what_is_remembered_has_a_bound() {
        let (mut register, start) = (Register::default(), Instant::now());
        for n in 0..MOST + 500 {
            register.hear(announcement(&n.to_string()), moment(start, u32::try_from(n).unwrap() / 10));
        }
        assert_eq!(register.series.len(), MOST);
        assert_eq!(register.hear(announcement(&(MOST + 499).to_string()), moment(start, 300)), None);
    }
}
