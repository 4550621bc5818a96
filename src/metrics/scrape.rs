//! Gauges that are read from their owner at the moment of the scrape, so that what is gone has no series.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGaugeVec, Opts};

use super::labels::VerdictResult;
use crate::resource::GroupResource;

/// One policy, as its series show it.
#[derive(Clone, Debug)]
pub struct PolicySample {
    /// The policy's name.
    pub policy: Arc<str>,
    /// Its mode, as in the CRD.
    pub mode: &'static str,
    /// Its `Ready` condition.
    pub ready: bool,
    /// How many objects have which result.
    pub objects: Vec<(VerdictResult, u64)>,
    /// How many violations have which severity.
    pub violations: Vec<(&'static str, u64)>,
}

/// One informer, as its series show it.
#[derive(Clone, Debug)]
pub struct InformerSample {
    /// What it follows; several informers of one resource (namespaces, versions) are added up.
    pub target: GroupResource,
    /// Its state, as in a policy's status.
    pub state: &'static str,
    /// How long ago the server sent something; `None` before the first time.
    pub last_event_age: Option<Duration>,
    /// Documents in the store.
    pub objects: u64,
    /// Their approximate size.
    pub bytes: u64,
}

/// A collector around a function.
struct AtScrape<F> {
    descriptions: Vec<Desc>,
    collect: F,
}

impl<F: Fn() -> Vec<MetricFamily> + Send + Sync> Collector for AtScrape<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.collect)()
    }
}

/// The gauges of all policies, empty.
struct PolicyGauges {
    policies: IntGaugeVec,
    violations: IntGaugeVec,
    objects: IntGaugeVec,
}

impl PolicyGauges {
    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            policies: gauges("watchpolicy_policies", "Policies, by mode and readiness.", &["mode", "ready"])?,
            violations: gauges(
                "watchpolicy_violations",
                "Rules that fail, counted once for each object, by policy and severity. \
                 Objects on which a rule errs are in watchpolicy_objects{result=\"Error\"}.",
                &["policy", "severity"],
            )?,
            objects: gauges(
                "watchpolicy_objects",
                "Objects that a policy judged, by result.",
                &["policy", "result"],
            )?,
        })
    }

    fn all(&self) -> [&dyn Collector; 3] {
        [&self.policies, &self.violations, &self.objects]
    }

    fn show(&self, sample: &PolicySample) {
        let ready = if sample.ready { "true" } else { "false" };
        self.policies.with_label_values(&[sample.mode, ready]).inc();
        for (severity, count) in &sample.violations {
            self.violations.with_label_values(&[&*sample.policy, severity]).set(whole(*count));
        }
        for (result, count) in &sample.objects {
            self.objects.with_label_values(&[&*sample.policy, result.as_str()]).set(whole(*count));
        }
    }
}

/// A collector of the policies' gauges.
pub(super) fn policies<F>(source: F) -> prometheus::Result<Box<dyn Collector>>
where
    F: Fn() -> Vec<PolicySample> + Send + Sync + 'static,
{
    let descriptions = descriptions(&PolicyGauges::new()?.all());
    let collect = move || {
        // The names were valid when the collector was made, so this cannot fail now.
        PolicyGauges::new().map_or_else(
            |_| Vec::new(),
            |gauges| {
                source().iter().for_each(|sample| gauges.show(sample));
                families(&gauges.all())
            },
        )
    };
    Ok(Box::new(AtScrape { descriptions, collect }))
}

/// A collector of `leader_election_master_status`.
pub(super) fn leadership<F>(name: &str, source: F) -> prometheus::Result<Box<dyn Collector>>
where
    F: Fn() -> bool + Send + Sync + 'static,
{
    let gauge = gauges(
        "leader_election_master_status",
        "Whether this replica leads: 1 for the leader, 0 for the others.",
        &["name"],
    )?;
    let (descriptions, status) = (descriptions(&[&gauge]), gauge.with_label_values(&[name]));
    let collect = move || {
        status.set(source().into());
        gauge.collect()
    };
    Ok(Box::new(AtScrape { descriptions, collect }))
}

/// The gauges of all informers, empty.
struct InformerGauges {
    informers: IntGaugeVec,
    age: GaugeVec,
    objects: IntGaugeVec,
    bytes: IntGaugeVec,
}

impl InformerGauges {
    fn new() -> prometheus::Result<Self> {
        let target = &["group", "resource"];
        Ok(Self {
            informers: gauges(
                "watchpolicy_informers",
                "Informers, by target and state.",
                &["group", "resource", "state"],
            )?,
            age: GaugeVec::new(
                Opts::new(
                    "watchpolicy_informer_last_event_age_seconds",
                    "Seconds since the server sent anything for a target, bookmarks included.",
                ),
                target,
            )?,
            objects: gauges("watchpolicy_cached_objects", "Projected objects in memory.", target)?,
            bytes: gauges("watchpolicy_cached_bytes", "Approximate bytes of the projected objects.", target)?,
        })
    }

    fn all(&self) -> [&dyn Collector; 4] {
        [&self.informers, &self.age, &self.objects, &self.bytes]
    }

    fn show(&self, sample: &InformerSample) {
        let labels: &[&str] = &[&sample.target.group, &sample.target.resource];
        let state = &[&*sample.target.group, &*sample.target.resource, sample.state];
        self.informers.with_label_values(state).inc();
        self.objects.with_label_values(labels).add(whole(sample.objects));
        self.bytes.with_label_values(labels).add(whole(sample.bytes));
    }

    /// The oldest of a target's ages: one informer that hears nothing is not hidden by another that does.
    fn show_ages(&self, samples: &[InformerSample]) {
        let mut ages = BTreeMap::<&GroupResource, Duration>::new();
        for sample in samples {
            if let Some(age) = sample.last_event_age {
                let oldest = ages.entry(&sample.target).or_default();
                *oldest = age.max(*oldest);
            }
        }
        for (target, age) in ages {
            self.age.with_label_values(&[&target.group, &target.resource]).set(age.as_secs_f64());
        }
    }
}

/// A collector of the informers' gauges.
pub(super) fn informers<F>(source: F) -> prometheus::Result<Box<dyn Collector>>
where
    F: Fn() -> Vec<InformerSample> + Send + Sync + 'static,
{
    let descriptions = descriptions(&InformerGauges::new()?.all());
    let collect = move || {
        InformerGauges::new().map_or_else(
            |_| Vec::new(),
            |gauges| {
                let samples = source();
                samples.iter().for_each(|sample| gauges.show(sample));
                gauges.show_ages(&samples);
                families(&gauges.all())
            },
        )
    };
    Ok(Box::new(AtScrape { descriptions, collect }))
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

fn descriptions(collectors: &[&dyn Collector]) -> Vec<Desc> {
    collectors.iter().flat_map(|collector| collector.desc()).cloned().collect()
}

fn families(collectors: &[&dyn Collector]) -> Vec<MetricFamily> {
    collectors.iter().flat_map(|collector| collector.collect()).collect()
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
