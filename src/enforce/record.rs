//! The places in which something may be left of what was written, and what the Lease says of that.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::leader::AFTERMATH;
use crate::resource::{GroupResource, Place};

/// The most places that are named: what others write into the Lease is bounded too.
pub(super) const MOST: usize = 64;
/// A kind of which more namespaces are to be named is named as a whole, where there is no room for them.
const FEW: usize = 8;
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
    /// Those who write there, as a fingerprint; `None` before anybody said.
    writers: Option<u64>,
    /// Nothing was left, and somebody still writes in a part of it.
    is_done: bool,
    /// It stands for its namespaces, for which there was no room.
    stands_for_all: bool,
}

impl Known {
    fn is_looked_through(&self) -> bool {
        self.look.is_some() && !self.is_done
    }
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
    /// Adds a place; where there is no room, a kind with many of them is named as a whole, or one goes that may go for it.
    /// Whether it is named now.
    pub(super) fn add(&mut self, place: &Place, may_go: impl Fn(&Place) -> bool) -> bool {
        if self.named(place).is_some() {
            return true;
        }
        if self.places.len() >= MOST {
            if let Some(kind) = self.most_named(place) {
                self.name_as_a_whole(&kind);
            } else if let Some(goes) = self.places.keys().find(|place| may_go(place)).cloned() {
                self.places.remove(&goes);
            } else {
                return false;
            }
        }
        if self.named(place).is_none() {
            self.places.insert(place.clone(), Known::default());
        }
        true
    }

    /// What is known of a place that is named, by itself or by its kind.
    fn named(&mut self, place: &Place) -> Option<&mut Known> {
        if self.places.contains_key(place) {
            return self.places.get_mut(place);
        }
        self.places.get_mut(&whole(&place.resource)).filter(|known| known.stands_for_all)
    }

    /// Of the kinds that can do with less names, this place among them, the one with the most.
    fn most_named(&self, place: &Place) -> Option<GroupResource> {
        let mut named: BTreeMap<&GroupResource, usize> = BTreeMap::new();
        for part in self.places.keys().chain([place]).filter(|part| part.namespace.is_some()) {
            *named.entry(&part.resource).or_default() += 1;
        }
        named.retain(|kind, count| *count > FEW || self.places.contains_key(&whole(kind)));
        named.into_iter().max_by_key(|(_, count)| *count).map(|(kind, _)| kind.clone())
    }

    /// Has a kind stand for its namespaces. While something may be left in one of them, it is looked through as a whole.
    fn name_as_a_whole(&mut self, kind: &GroupResource) {
        let parts = |place: &Place| place.resource == *kind && place.namespace.is_some();
        let of_kind = self.places.iter().filter(|(place, _)| parts(place));
        let written = of_kind.clone().filter_map(|(_, known)| known.written).max();
        let is_searched = of_kind.clone().any(|(_, known)| known.is_looked_through());
        self.places.retain(|place, _| !parts(place));
        let known = self.places.entry(whole(kind)).or_insert(Known { is_done: true, ..Known::default() });
        known.stands_for_all = true;
        known.written = known.written.max(written);
        if is_searched {
            (known.look, known.is_done) = (None, false);
        }
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
        let known = self.named(place)?;
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
            if known.writers.is_none_or(|writers| writers == NOBODY) {
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
            let now = writers(place);
            let differs = known.writers.replace(now).map_or(changes, |before| before != now);
            if differs || (changes && now == NOBODY) {
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

fn whole(kind: &GroupResource) -> Place {
    Place { resource: kind.clone(), namespace: None }
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

    /// A record of so many namespaces of a kind, and as many others as there is room for.
    fn full_of(namespaces: usize) -> Record {
        let spaces = (0..namespaces).map(|number| format!("space-{number:02}/widgets.shop"));
        let others = (namespaces..MOST).map(|number| format!("kind-{number:02}"));
        begun(&spaces.chain(others).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn where_there_is_no_room_a_kind_of_many_namespaces_is_named_as_a_whole() {
        let now = Instant::now();
        let mut record = full_of(FEW);
        assert!(!record.add(&named("pods"), |_| false), "few are named each");
        let (known, another) = (named("space-01/widgets.shop"), named("another/widgets.shop"));
        assert!(record.add(&another, |_| false), "one more is not");
        assert_eq!(record.places().filter(|place| *place.resource.group == *"shop").count(), 1);
        assert_eq!((record.write(&known, now), record.write(&another, now)), (None, None));
        record.wished(5);
        assert_eq!((record.write(&known, now), record.write(&another, now)), (Some(5), Some(5)));
        assert!(record.add(&known, |_| false) && record.add(&named("pods"), |_| false));
        assert_eq!(record.places().count(), MOST - FEW + 2, "there is room again");
        record.look(&named("widgets.shop"), Some(0), now + SHOWN - SECOND);
        assert!(record.write(&known, now).is_some(), "what was written there last may not be seen yet");
    }

    #[test]
    fn a_kind_that_is_named_as_a_whole_needs_no_namespaces_where_there_is_no_room_for_them() {
        let mut record = full_of(0);
        assert!(!record.add(&named("shop/pods"), |_| false) && record.add(&named("shop/kind-07"), |_| false));
        assert_eq!(record.places().count(), MOST);
        assert_eq!(record.write(&named("shop/kind-07"), Instant::now()), Some(0), "the Lease names it");
    }

    #[test]
    fn a_kind_that_comes_to_be_named_as_a_whole_is_looked_through_as_its_namespaces_were() {
        for (is_searched, changes) in [(false, false), (true, false), (false, true)] {
            let now = Instant::now();
            let mut record = full_of(FEW);
            if is_searched {
                record.look(&named("space-03/widgets.shop"), Some(2), now);
            }
            record.add(&named("another/widgets.shop"), |_| false);
            record.meet(changes, |_| 7);
            for _ in 0..2 {
                record.look(&named("widgets.shop"), None, now);
                record.meet(false, |_| 7);
            }
            assert_eq!(record.looked_through(now).count(), usize::from(is_searched || changes));
            record.meet(false, |_| 8);
            record.look(&named("widgets.shop"), None, now);
            assert_eq!(record.looked_through(now).count(), 1, "somebody else writes there");
        }
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
