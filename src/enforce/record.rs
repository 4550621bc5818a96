//! The places in which something may be left of what was written, and what the Lease says of that.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::leader::AFTERMATH;
use crate::resource::{GroupResource, Place};

/// The most places that are named: what others write into the Lease is bounded too.
const MOST: usize = 64;
/// The longest name of an API group, and of a resource in it or a namespace (RFC 1123).
const MAX_NAME: (usize, usize) = (253, 63);
/// What was sent is done by then, or never, and shown by a watch.
const SHOWN: Duration = AFTERMATH;
/// The fingerprint of no writers.
pub(super) const NOBODY: u64 = 0;
/// A place in which nothing becomes less for so long is not looked through any longer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Kinds, each everywhere or in one namespace; as a text `configmaps,shop/deployments.apps`.
#[derive(Debug, Default)]
pub(super) struct Record {
    places: BTreeMap<Place, Known>,
}

/// What is known of a place.
#[derive(Debug, Default)]
struct Known {
    /// The first wish that names it; `None` before there is one.
    wish: Option<u64>,
    /// When something was last about to be written, as far as is known.
    written: Option<Instant>,
    look: Option<Look>,
    /// Those who write there, as a fingerprint.
    writers: u64,
    /// Nothing was left, and somebody still writes in a part of it.
    is_done: bool,
}

/// A place is looked through for what is left in it.
#[derive(Debug)]
struct Look {
    /// Since when it has not become less.
    since: Instant,
    /// On how many objects something is left; `None` while not all of them are known.
    left: Option<usize>,
}

impl Record {
    /// Adds a place; where there is no room, in place of one that may go for it. Whether it is named now.
    pub(super) fn add(&mut self, place: &Place, may_go: impl Fn(&Place) -> bool) -> bool {
        if self.places.contains_key(place) {
            return true;
        }
        if self.places.len() >= MOST {
            let Some(goes) = self.places.keys().find(|place| may_go(place)).cloned() else { return false };
            self.places.remove(&goes);
        }
        self.places.insert(place.clone(), Known::default());
        true
    }

    /// Begins a term: takes in what the Lease says, as far as that is allowed, and nobody was asked to name
    /// the others yet. What the leader before sent may be on its way.
    pub(super) fn begin(&mut self, memo: &str, now: Instant, allows: impl Fn(&Place) -> bool) {
        self.places.values_mut().for_each(|known| *known = Known::default());
        for place in memo.split(',').filter_map(place).filter(allows).take(MOST) {
            if self.add(&place, |_| false)
                && let Some(known) = self.places.get_mut(&place)
            {
                known.wish = Some(0);
            }
        }
        self.places.values_mut().for_each(|known| known.written = Some(now));
    }

    /// Notes that a wish names all places.
    pub(super) fn wished(&mut self, wish: u64) {
        self.places.values_mut().for_each(|known| known.wish = known.wish.or(Some(wish)));
    }

    /// Notes that something is about to be written; gives the wish that must be kept before.
    pub(super) fn write(&mut self, place: &Place, now: Instant) -> Option<u64> {
        let known = self.places.get_mut(place)?;
        known.written = Some(now);
        known.wish
    }

    /// The places.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.keys()
    }

    /// Notes on how many objects of a place, in all of which nobody writes any more, something is left; `None` while not all
    /// of them are known. Where nothing is left, the place goes, unless somebody writes in a part of it.
    pub(super) fn look(&mut self, place: &Place, left: Option<usize>, now: Instant) {
        let Some(known) = self.places.get_mut(place) else { return };
        let is_shown = known.written.is_none_or(|written| now.duration_since(written) >= SHOWN);
        if left == Some(0) && is_shown {
            if known.writers == NOBODY {
                self.places.remove(place);
            } else {
                known.is_done = true;
            }
            return;
        }
        let look = known.look.get_or_insert(Look { since: now, left });
        let is_less = match (left, look.left) {
            (Some(left), Some(before)) => left < before,
            (left, before) => left.is_some() && before.is_none(),
        };
        if is_less {
            *look = Look { since: now, left };
        }
    }

    /// Somebody writes in all of a place; or what keeps something there has changed.
    pub(super) fn look_anew(&mut self, places: impl Fn(&Place) -> bool) {
        let anew = self.places.iter_mut().filter(|(place, _)| places(place));
        anew.for_each(|(_, known)| (known.look, known.is_done) = (None, false));
    }

    /// Notes who writes in each place, as a fingerprint: of others, something may be left. Where nobody does, any change of
    /// policies may have changed what keeps something there.
    pub(super) fn meet(&mut self, changes: bool, writers: impl Fn(&Place) -> u64) {
        for (place, known) in &mut self.places {
            let before = std::mem::replace(&mut known.writers, writers(place));
            if known.writers != before || (changes && known.writers == NOBODY) {
                (known.look, known.is_done) = (None, false);
            }
        }
    }

    /// The places that are to be watched for what is left there.
    pub(super) fn looked_through(&self, now: Instant) -> impl Iterator<Item = &Place> {
        let is_due = move |known: &Known| {
            let is_due = |look: &Look| now.duration_since(look.since) < PATIENCE;
            !known.is_done && known.look.as_ref().is_some_and(is_due)
        };
        self.places.iter().filter(move |(_, known)| is_due(known)).map(|(place, _)| place)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, place) in self.places.keys().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{place}")?;
        }
        Ok(())
    }
}

/// What a name names, if it can be a place.
fn place(name: &str) -> Option<Place> {
    let (namespace, kind) = name.split_once('/').map_or((None, name), |(space, kind)| (Some(space), kind));
    let (resource, group) = kind.split_once('.').unwrap_or((kind, ""));
    let is_of_names = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let is_label = |name: &str| (1..=MAX_NAME.1).contains(&name.len()) && name.chars().all(is_of_names);
    let fits = group.len() <= MAX_NAME.0
        && is_label(resource)
        && namespace.is_none_or(is_label)
        && group.chars().all(|letter| is_of_names(letter) || letter == '.');
    let namespace = namespace.map(Into::into);
    fits.then(|| Place { resource: GroupResource::new(group, resource), namespace })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn named(name: &str) -> Place {
        place(name).unwrap()
    }

    fn begun(memo: &str) -> Record {
        let mut record = Record::default();
        record.begin(memo, Instant::now(), |_| true);
        record
    }

    #[test]
    fn what_it_says_is_read_again_in_the_same_words() {
        assert_eq!(begun("").to_string(), "");
        let text = "configmaps,deployments.apps,shop/deployments.apps,widgets.shop.example.com";
        assert_eq!(begun(text).to_string(), text);
        assert_eq!(
            begun("deployments.apps,configmaps,configmaps").to_string(),
            "configmaps,deployments.apps"
        );
    }

    #[test]
    fn what_no_leader_wrote_is_passed_over_and_bounded() {
        for garbage in [
            ",,,",
            " ",
            "Pods",
            "../pods",
            ".apps",
            "päds",
            &"x".repeat(64),
            "pods.a b",
            "/pods",
            "a/b/pods",
            "A/pods",
        ] {
            assert_eq!(begun(&format!("{garbage},nodes")).to_string(), "nodes", "{garbage}");
        }
        assert_eq!(begun(&format!("pods.{}", "x".repeat(254))).to_string(), "");
        let many: Vec<_> = (0..1000).map(|number| format!("kind-{number}.example.com")).collect();
        assert_eq!(begun(&many.join(",")).places().count(), MOST);
        let mut fenced = Record::default();
        fenced.begin("secrets,pods", Instant::now(), |kind| &*kind.resource.resource != "secrets");
        assert_eq!(fenced.to_string(), "pods");
    }

    #[test]
    fn a_kind_is_written_when_a_wish_names_it_and_a_lease_may_do_so_already() {
        let now = Instant::now();
        let mut record = begun("pods");
        assert_eq!(record.write(&named("pods"), now), Some(0), "no wish is needed");
        assert!(record.add(&named("nodes"), |_| false));
        assert_eq!(record.write(&named("nodes"), now), None);
        record.wished(3);
        assert!(record.add(&named("jobs.batch"), |_| false));
        record.wished(4);
        assert_eq!(record.write(&named("nodes"), now), Some(3), "the first that names it");
        record.look(&named("nodes"), Some(0), now + SHOWN);
        assert_eq!(record.write(&named("nodes"), now), None, "it went, and is named anew");
        // Another term: what the Lease does not say, it has to be asked for again.
        record.begin("pods", now, |_| true);
        assert_eq!(record.write(&named("jobs.batch"), now), None);
        assert_eq!(record.write(&named("pods"), now), Some(0));
    }

    #[test]
    fn where_there_is_no_room_what_nobody_watches_goes() {
        let many: Vec<_> = (0..MOST).map(|number| format!("kind-{number:02}")).collect();
        let mut record = begun(&many.join(","));
        assert!(!record.add(&named("pods"), |_| false));
        assert!(record.add(&named("pods"), |kind| &*kind.resource.resource == "kind-07"));
        assert_eq!(record.places().count(), MOST);
        assert!(record.places().all(|kind| &*kind.resource.resource != "kind-07"));
    }

    #[test]
    fn a_kind_goes_when_nothing_is_left_and_a_last_write_would_be_seen() {
        let (pods, now) = (named("pods"), Instant::now());
        let mut record = begun("pods,nodes");
        record.write(&pods, now);
        record.look(&pods, Some(0), now + SHOWN - SECOND);
        record.look(&pods, None, now + SHOWN);
        record.look(&pods, Some(1), now + SHOWN);
        assert_eq!(record.to_string(), "nodes,pods");
        record.look(&pods, Some(0), now + SHOWN);
        assert_eq!(record.to_string(), "nodes");
    }

    #[test]
    fn a_kind_is_looked_through_while_what_is_left_becomes_less() {
        let (pods, start) = (named("pods"), Instant::now());
        let mut record = begun("pods");
        assert_eq!(record.looked_through(start).count(), 0, "nobody asked");
        let mut now = start;
        for left in [None, Some(5), Some(2), Some(1)] {
            record.look(&pods, left, now);
            now += PATIENCE - SECOND;
            record.look(&pods, left, now);
            assert_eq!(record.looked_through(now).count(), 1, "{left:?}");
        }
        record.look(&pods, Some(3), now);
        now += SECOND;
        assert_eq!(record.looked_through(now).count(), 0, "it does not become less");
        assert_eq!(record.to_string(), "pods", "and is not forgotten");
        record.look_anew(|_| true);
        record.look(&pods, Some(1), now);
        assert_eq!(record.looked_through(now).count(), 1);
    }
}
