//! Where the right to read was lacking lately: for a while nothing is asked there.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use tokio::time::Instant;

use crate::resource::{GroupResource, ObjectKey};

/// How long a refusal speaks for all objects of its resource and namespace.
const PAUSE: Duration = Duration::from_secs(60);

/// What rights are given for: a resource, in a namespace.
type Domain = (GroupResource, Option<Arc<str>>);

/// The server's words, and until when they stand. Bounded by what is watched: what is over goes with the next one.
#[derive(Debug, Default)]
pub(super) struct Denials(HashMap<Domain, (Arc<str>, Instant), RandomState>);

impl Denials {
    /// Notes that an object may not be read; gives how long that stands.
    pub(super) fn note(&mut self, key: &ObjectKey, words: &str, now: Instant) -> Duration {
        self.0.retain(|_, (_, until)| now < *until);
        self.0.insert(domain(key), (words.into(), now + PAUSE));
        PAUSE
    }

    /// A resource may be read again.
    pub(super) fn end(&mut self, resource: &GroupResource) {
        self.0.retain(|(denied, _), _| denied != resource);
    }

    /// Why an object may not be read, and how long nobody asks again.
    pub(super) fn of(&self, key: &ObjectKey, now: Instant) -> Option<(Arc<str>, Duration)> {
        let (words, until) = self.0.get(&domain(key)).filter(|(_, until)| now < *until)?;
        Some((Arc::clone(words), *until - now))
    }
}

fn domain(key: &ObjectKey) -> Domain {
    (key.resource.clone(), key.object.namespace.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ObjectName;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        let object = ObjectName { namespace: Some(namespace.into()), name: name.into() };
        ObjectKey { resource: GroupResource::new("", "configmaps"), object }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_speaks_for_its_namespace_and_for_a_minute() {
        let (mut denials, now) = (Denials::default(), Instant::now());
        assert_eq!(denials.note(&key("a", "one"), "no", now), PAUSE);
        assert_eq!(denials.of(&key("a", "two"), now + PAUSE / 2), Some(("no".into(), PAUSE / 2)));
        assert_eq!(denials.of(&key("b", "one"), now), None);
        assert_eq!(denials.of(&key("a", "one"), now + PAUSE), None);
        denials.note(&key("b", "one"), "no", now + PAUSE);
        assert_eq!(denials.0.len(), 1, "what is over goes");
        denials.end(&GroupResource::new("", "pods"));
        assert_eq!(denials.0.len(), 1);
        denials.end(&GroupResource::new("", "configmaps"));
        assert_eq!(denials.0.len(), 0);
    }
}
