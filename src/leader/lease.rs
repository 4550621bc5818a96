//! The Lease as an object: read without trust, written as client-go writes it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// No honest replica has a longer lease: a longer one in a record is not believed.
pub(super) const LONGEST: Duration = Duration::from_secs(300);
/// `leaseDurationSeconds` of a Lease that its holder gave back. No held one is that short.
const RELEASED_SECONDS: u64 = 1;

/// The annotation by which people stop all writes to judged objects, and its value.
const WRITES: (&str, &str) = ("watchpolicy.io/writes", "stopped");
/// The annotation in which a leader keeps what whoever leads after it is to know; what that says is not ours to read.
const MEMO: &str = "watchpolicy.io/wrote-to";
/// No honest leader keeps more, in bytes: more is not believed.
const MAX_MEMO: usize = 32 * 1024;

/// A wall-clock time as `MicroTime` writes it. It is for people: no decision rests on it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Micros(String);

impl From<Timestamp> for Micros {
    fn from(time: Timestamp) -> Self {
        Self(format!("{time:.6}"))
    }
}

/// A `coordination.k8s.io/v1` Lease, kept whole: what others wrote into it (annotations, labels) is written back.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease(Value);

impl Lease {
    /// An object as the API server gives it.
    pub fn new(object: Value) -> Self {
        Self(object)
    }

    /// The object to send.
    pub fn object(&self) -> &Value {
        &self.0
    }

    /// `metadata.resourceVersion`.
    pub fn version(&self) -> &str {
        self.text("/metadata/resourceVersion")
    }

    /// `spec.holderIdentity`; empty when nobody holds it.
    pub fn holder(&self) -> &str {
        self.text("/spec/holderIdentity")
    }

    /// Whether somebody stopped writes to judged objects.
    pub(super) fn stops_writes(&self) -> bool {
        let (name, value) = WRITES;
        self.annotation(name) == Some(value)
    }

    /// What its leaders keep in it; empty where there is nothing, or what none of them can have written.
    pub(super) fn memo(&self) -> &str {
        self.annotation(MEMO).filter(|memo| memo.len() <= MAX_MEMO).unwrap_or_default()
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.0.pointer("/metadata/annotations")?.get(name)?.as_str()
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether its holder gave it back. A Lease that only lacks its holder was emptied by somebody else, and may be held.
    pub(super) fn is_released(&self) -> bool {
        self.holder().is_empty()
            && self.0.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64) == Some(RELEASED_SECONDS)
    }

    /// How long its holder may believe to hold it, at most: as it says, and within what is honest.
    pub(super) fn duration(&self, own: Duration) -> Duration {
        let said = self.0.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64).unwrap_or_default();
        Duration::from_secs(said).min(LONGEST).max(own)
    }

    /// Whether both say the same of who holds it: a renewal differs, an annotation does not.
    pub(super) fn same_spec(&self, other: &Self) -> bool {
        let identity =
            |lease: &Self| (lease.0.pointer("/metadata/uid").cloned(), lease.0.get("spec").cloned());
        identity(self) == identity(other)
    }

    /// Whether both are one claim of one holder.
    pub(super) fn same_claim(&self, other: &Self) -> bool {
        self.0.get("spec") == other.0.get("spec")
    }

    /// A new Lease, for a name that nobody has.
    pub(super) fn create(place: (&str, &str), holder: &str, duration: Duration, now: Timestamp) -> Self {
        let (namespace, name) = place;
        let empty = Self(json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": namespace, "name": name},
        }));
        let mut lease = empty.take(holder, duration, now);
        lease.set("leaseTransitions", 0.into());
        lease
    }

    /// The same, with the annotation that stops writes.
    pub(super) fn and_stop_writes(self) -> Self {
        let (name, value) = WRITES;
        self.annotate(name, value)
    }

    /// The same, with this kept in it; without the annotation where that is nothing.
    pub(super) fn and_keep(self, memo: &str) -> Self {
        self.annotate(MEMO, memo)
    }

    /// The same, with an annotation more, or without one where its value is empty.
    fn annotate(mut self, name: &str, value: &str) -> Self {
        let Some(Value::Object(metadata)) = self.0.get_mut("metadata") else { return self };
        let annotations = metadata.entry("annotations").or_insert(Value::Null);
        match annotations {
            Value::Object(annotations) if value.is_empty() => drop(annotations.remove(name)),
            Value::Object(annotations) => drop(annotations.insert(name.to_owned(), value.into())),
            _ if value.is_empty() => {}
            _ => *annotations = json!({name: value}),
        }
        self
    }

    /// The same Lease, held by `holder` from now on, or still.
    pub(super) fn take(&self, holder: &str, duration: Duration, now: Timestamp) -> Self {
        let mut lease = self.clone();
        let now = self.unlike_the_last(now);
        if self.holder() != holder {
            let transitions =
                self.0.pointer("/spec/leaseTransitions").and_then(Value::as_i64).unwrap_or_default();
            // An int32 in the API.
            lease.set("leaseTransitions", transitions.saturating_add(1).clamp(0, i32::MAX.into()).into());
            lease.set("acquireTime", now.0.clone().into());
        }
        lease.set("holderIdentity", holder.into());
        lease.set("leaseDurationSeconds", duration.as_secs().into());
        lease.set("renewTime", now.0.into());
        lease
    }

    /// The same Lease, given back.
    pub(super) fn release(&self, now: Timestamp) -> Self {
        let mut lease = self.clone();
        let now = self.unlike_the_last(now);
        lease.set("holderIdentity", "".into());
        lease.set("leaseDurationSeconds", RELEASED_SECONDS.into());
        lease.set("acquireTime", now.0.clone().into());
        lease.set("renewTime", now.0.into());
        lease
    }

    /// A renewal must be seen as a change, also when the wall clock stands still.
    fn unlike_the_last(&self, now: Timestamp) -> Micros {
        let said = Micros::from(now);
        if said.0 != self.text("/spec/renewTime") {
            return said;
        }
        let tick = jiff::SignedDuration::from_micros(1);
        now.checked_add(tick).or_else(|_end| now.checked_sub(tick)).map_or(said, Micros::from)
    }

    fn set(&mut self, field: &str, value: Value) {
        let Value::Object(object) = &mut self.0 else { return };
        let spec = object.entry("spec").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(spec) = spec {
            spec.insert(field.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Duration = Duration::from_secs(15);

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_microsecond(1_800_000_000_000_000 + micros).unwrap()
    }

    fn lease(spec: &Value) -> Lease {
        Lease::new(json!({"metadata": {"uid": "u", "resourceVersion": "7"}, "spec": spec}))
    }

    #[test]
    fn taking_it_over_counts_a_transition_and_renewing_does_not() {
        let created = Lease::create(("system", "watchpolicy"), "a", OWN, at(0));
        assert_eq!(
            created.object()["spec"],
            json!({
                "holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 0,
                "acquireTime": "2027-01-15T08:00:00.000000Z", "renewTime": "2027-01-15T08:00:00.000000Z",
            })
        );
        let renewed = created.take("a", OWN, at(1_500_000));
        assert_eq!(renewed.object()["spec"]["leaseTransitions"], 0);
        assert_eq!(renewed.object()["spec"]["acquireTime"], "2027-01-15T08:00:00.000000Z");
        assert_eq!(renewed.object()["spec"]["renewTime"], "2027-01-15T08:00:01.500000Z");
        let taken = renewed.take("b", OWN, at(2_000_000));
        assert_eq!((taken.holder(), &taken.object()["spec"]["leaseTransitions"]), ("b", &json!(1)));
        assert_eq!(taken.object()["spec"]["acquireTime"], "2027-01-15T08:00:02.000000Z");
    }

    #[test]
    fn a_released_one_is_as_client_go_writes_it() {
        let released = Lease::create(("system", "watchpolicy"), "a", OWN, at(0)).release(at(10));
        assert_eq!(
            released.object()["spec"],
            json!({
                "holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 0,
                "acquireTime": "2027-01-15T08:00:00.000010Z", "renewTime": "2027-01-15T08:00:00.000010Z",
            })
        );
        assert!(released.is_released());
    }

    #[test]
    fn only_a_lease_that_was_given_back_is_free_at_once() {
        for (spec, released) in [
            (json!({"holderIdentity": "", "leaseDurationSeconds": 1}), true),
            (json!({"holderIdentity": null, "leaseDurationSeconds": 1}), true),
            (json!({"leaseDurationSeconds": 15}), false),
            (json!({"holderIdentity": "", "leaseDurationSeconds": 15}), false),
            (json!({"holderIdentity": "a", "leaseDurationSeconds": 1}), false),
            (Value::Null, false),
        ] {
            assert_eq!(lease(&spec).is_released(), released, "{spec}");
        }
    }

    #[test]
    fn a_duration_that_no_honest_holder_writes_is_not_believed() {
        for (said, seconds) in [
            (json!(15), 15),
            (json!(40), 40),
            (json!(i32::MAX), 300),
            (json!(1), 15),
            (json!(-5), 15),
            (Value::Null, 15),
        ] {
            let lease = lease(&json!({"holderIdentity": "a", "leaseDurationSeconds": said.clone()}));
            assert_eq!(lease.duration(OWN).as_secs(), seconds, "{said}");
        }
    }

    #[test]
    fn a_renewal_is_a_change_even_when_the_clock_stands_still_or_is_at_its_end() {
        for now in [at(0), Timestamp::MAX, Timestamp::MIN] {
            let first = Lease::create(("system", "watchpolicy"), "a", OWN, now);
            assert!(!first.same_spec(&first.take("a", OWN, now)), "{now}");
        }
    }

    #[test]
    fn what_others_wrote_into_it_is_written_back() {
        let held = Lease::new(json!({
            "metadata": {"annotations": {"note": "kept"}, "resourceVersion": "7"},
            "spec": {"strategy": "OldestEmulationVersion", "leaseTransitions": i32::MAX, "renewTime": "9999-12-31T23:59:59.999999Z"},
        }));
        let taken = held.take("b", OWN, at(0));
        assert_eq!(taken.object()["metadata"], held.object()["metadata"]);
        assert_eq!(taken.object()["spec"]["strategy"], "OldestEmulationVersion");
        assert_eq!(taken.object()["spec"]["leaseTransitions"], i32::MAX);
    }

    #[test]
    fn only_the_one_annotation_stops_writes() {
        let with =
            |annotations: Value| Lease::new(json!({"metadata": {"annotations": annotations}})).stops_writes();
        assert!(with(json!({"watchpolicy.io/writes": "stopped"})));
        for other in [json!({"watchpolicy.io/writes": "allowed"}), json!({"writes": "stopped"}), Value::Null]
        {
            assert!(!with(other.clone()), "{other}");
        }
    }

    #[test]
    fn what_is_kept_is_an_annotation_among_others() {
        for (before, kept) in [
            (json!({"note": "theirs"}), json!({"note": "theirs", "watchpolicy.io/wrote-to": "pods"})),
            (json!({"watchpolicy.io/wrote-to": "old"}), json!({"watchpolicy.io/wrote-to": "pods"})),
            (Value::Null, json!({"watchpolicy.io/wrote-to": "pods"})),
        ] {
            let lease = Lease::new(json!({"metadata": {"annotations": before.clone()}})).and_keep("pods");
            assert_eq!((lease.memo(), &lease.object()["metadata"]["annotations"]), ("pods", &kept));
            let emptied = lease.and_keep("");
            assert_eq!(emptied.memo(), "");
            assert_eq!(emptied.object()["metadata"]["annotations"].get("note"), before.get("note"));
        }
        let too_much = "x".repeat(MAX_MEMO + 1);
        for nobodys in [json!(too_much), json!(7), json!(["pods"]), json!({"a": "pods"})] {
            let annotations = json!({"watchpolicy.io/wrote-to": nobodys});
            assert_eq!(Lease::new(json!({"metadata": {"annotations": annotations}})).memo(), "");
        }
    }

    #[test]
    fn an_annotation_is_no_renewal() {
        let before = lease(&json!({"holderIdentity": "a"}));
        let mut object = before.object().clone();
        object["metadata"]["annotations"] = json!({"note": "new"});
        object["metadata"]["resourceVersion"] = "8".into();
        assert!(before.same_spec(&Lease::new(object)));
        assert!(!before.same_spec(&lease(&json!({"holderIdentity": "b"}))));
    }
}
