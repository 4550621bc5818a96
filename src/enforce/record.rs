//! Which kinds something may be left in of what was written, and what the Lease says of that.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::resource::GroupResource;

/// The most kinds that are named: what others write into the Lease is bounded too.
const MOST: usize = 64;
/// The longest name of an API group, and of a resource in it (RFC 1123).
const MAX_NAME: (usize, usize) = (253, 63);
/// What was sent is done by then, or never (the API server gives a request a minute), and shown by a watch.
const SHOWN: Duration = Duration::from_secs(60);
/// A kind in which nothing becomes less for so long is not looked through any longer.
const PATIENCE: Duration = Duration::from_secs(600);

/// The kinds by group and name; as a text `configmaps,deployments.apps`.
#[derive(Debug, Default)]
pub(super) struct Record {
    kinds: BTreeMap<GroupResource, Known>,
}

/// What is known of a kind.
#[derive(Debug, Default)]
struct Known {
    /// The first wish that names it; `None` before there is one.
    wish: Option<u64>,
    /// When something was last about to be written, as far as is known.
    written: Option<Instant>,
    look: Option<Look>,
}

/// A kind is looked through for what is left in it.
#[derive(Debug)]
struct Look {
    /// Since when it has not become less.
    since: Instant,
    /// On how many objects something is left; `None` while not all of them are known.
    left: Option<usize>,
}

impl Record {
    /// Adds a kind; where there is no room, in place of one that may go for it. Whether it is named now.
    pub(super) fn add(&mut self, kind: &GroupResource, may_go: impl Fn(&GroupResource) -> bool) -> bool {
        if self.kinds.contains_key(kind) {
            return true;
        }
        if self.kinds.len() >= MOST {
            let Some(goes) = self.kinds.keys().find(|kind| may_go(kind)).cloned() else { return false };
            self.kinds.remove(&goes);
        }
        self.kinds.insert(kind.clone(), Known::default());
        true
    }

    /// Begins a term: takes in what the Lease says, as far as that are kinds that are allowed, and nobody was asked to name
    /// the others yet. What the leader before sent may be on its way.
    pub(super) fn begin(&mut self, memo: &str, now: Instant, allows: impl Fn(&GroupResource) -> bool) {
        self.kinds.values_mut().for_each(|known| *known = Known::default());
        for kind in memo.split(',').filter_map(kind).filter(allows).take(MOST) {
            if self.add(&kind, |_| false)
                && let Some(known) = self.kinds.get_mut(&kind)
            {
                known.wish = Some(0);
            }
        }
        self.kinds.values_mut().for_each(|known| known.written = Some(now));
    }

    /// Notes that a wish names all kinds.
    pub(super) fn wished(&mut self, wish: u64) {
        self.kinds.values_mut().for_each(|known| known.wish = known.wish.or(Some(wish)));
    }

    /// Notes that something is about to be written; gives the wish that must be kept before.
    pub(super) fn write(&mut self, kind: &GroupResource, now: Instant) -> Option<u64> {
        let known = self.kinds.get_mut(kind)?;
        known.written = Some(now);
        known.wish
    }

    /// The kinds.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &GroupResource> {
        self.kinds.keys()
    }

    /// Notes on how many objects of a kind, in which nobody writes any more, something is left; `None` while not all of them
    /// are known. Where nothing is left, the kind goes.
    pub(super) fn look(&mut self, kind: &GroupResource, left: Option<usize>, now: Instant) {
        let Some(known) = self.kinds.get_mut(kind) else { return };
        let is_shown = known.written.is_none_or(|written| now.duration_since(written) >= SHOWN);
        if left == Some(0) && is_shown {
            self.kinds.remove(kind);
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

    /// Somebody writes in a kind; or what keeps something there has changed.
    pub(super) fn look_anew(&mut self, kinds: impl Fn(&GroupResource) -> bool) {
        let anew = self.kinds.iter_mut().filter(|(kind, _)| kinds(kind));
        anew.for_each(|(_, known)| known.look = None);
    }

    /// The kinds that are to be watched for what is left there.
    pub(super) fn looked_through(&self, now: Instant) -> impl Iterator<Item = &GroupResource> {
        let is_due = move |known: &Known| {
            known.look.as_ref().is_some_and(|look| now.duration_since(look.since) < PATIENCE)
        };
        self.kinds.iter().filter(move |(_, known)| is_due(known)).map(|(kind, _)| kind)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, kind) in self.kinds.keys().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{kind}")?;
        }
        Ok(())
    }
}

/// What a name names, if it can be a kind's.
fn kind(name: &str) -> Option<GroupResource> {
    let (resource, group) = name.split_once('.').unwrap_or((name, ""));
    let is_of_names = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let fits = group.len() <= MAX_NAME.0
        && (1..=MAX_NAME.1).contains(&resource.len())
        && resource.chars().all(is_of_names)
        && group.chars().all(|letter| is_of_names(letter) || letter == '.');
    fits.then(|| GroupResource::new(group, resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn named(name: &str) -> GroupResource {
        kind(name).unwrap()
    }

    fn begun(memo: &str) -> Record {
        let mut record = Record::default();
        record.begin(memo, Instant::now(), |_| true);
        record
    }

    #[test]
    fn what_it_says_is_read_again_in_the_same_words() {
        assert_eq!(begun("").to_string(), "");
        let text = "configmaps,deployments.apps,widgets.shop.example.com";
        assert_eq!(begun(text).to_string(), text);
        assert_eq!(
            begun("deployments.apps,configmaps,configmaps").to_string(),
            "configmaps,deployments.apps"
        );
    }

    #[test]
    fn what_no_leader_wrote_is_passed_over_and_bounded() {
        for garbage in [",,,", " ", "Pods", "../pods", ".apps", "päds", &"x".repeat(64), "pods.a b"] {
            assert_eq!(begun(&format!("{garbage},nodes")).to_string(), "nodes", "{garbage}");
        }
        assert_eq!(begun(&format!("pods.{}", "x".repeat(254))).to_string(), "");
        let many: Vec<_> = (0..1000).map(|number| format!("kind-{number}.example.com")).collect();
        assert_eq!(begun(&many.join(",")).kinds().count(), MOST);
        let mut fenced = Record::default();
        fenced.begin("secrets,pods", Instant::now(), |kind| &*kind.resource != "secrets");
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
        assert!(record.add(&named("pods"), |kind| &*kind.resource == "kind-07"));
        assert_eq!(record.kinds().count(), MOST);
        assert!(record.kinds().all(|kind| &*kind.resource != "kind-07"));
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
