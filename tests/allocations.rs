//! What the hot path takes of the allocator. The bounds are those of `docs/performance.md`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should stop there and then"
)]

mod fixtures;

use allocation_counter::{AllocationInfo, measure};
use watchpolicy::jsonpath::{Document, Projection};
use watchpolicy::policy::{Judgement, Outcome, SharedPaths};

fn counted<T>(run: impl FnOnce() -> T) -> (AllocationInfo, T) {
    let mut result = None;
    let info = measure(|| result = Some(run()));
    (info, result.unwrap())
}

#[test]
fn projecting_a_pod_allocates_what_is_kept_and_little_else() {
    let pod = fixtures::pod();
    let (_, four) = fixtures::projection(&fixtures::four_rules(&pod), &pod);
    let decode = |projection| counted(|| Document::decode(&pod.raw, projection, &pod.types).unwrap());
    let nothing = Projection::default();
    let (identity, _bare) = decode(&nothing);
    let (all, document) = decode(&four);
    assert!(identity.count_total <= 5, "the identity: {identity:?}");
    assert!(all.count_total <= 8, "with four rules: {all:?}");
    let passing = all.count_total - u64::try_from(all.count_current).unwrap();
    assert!(passing <= 1, "text that is cut to its length: {all:?}");
    let kept = all.bytes_current - identity.bytes_current;
    assert!(kept <= 450, "{kept} bytes beside the identity");
    let told = i64::try_from(document.heap_bytes()).unwrap();
    assert!(
        (all.bytes_current - told).abs() <= 32,
        "what the store counts is what is kept: {told} of {all:?}"
    );
}

#[test]
fn judging_an_object_that_passes_allocates_nothing_but_the_verdict() {
    for sample in [fixtures::pod(), fixtures::deployment()] {
        let policy = fixtures::four_rules(&sample);
        let (roots, projection) = fixtures::projection(&policy, &sample);
        let document = Document::decode(&sample.raw, &projection, &sample.types).unwrap();
        let (info, judgement) = counted(|| fixtures::judge(&policy, &sample, &roots, &document));
        let Judgement::Judged(verdict) = judgement else { panic!("{judgement:?}") };
        assert_eq!(verdict.outcome, Outcome::Pass, "{verdict:?}");
        assert_eq!(info.count_total, 1, "the list of the rules' results");
    }
}

#[test]
fn judging_by_many_policies_together_allocates_what_they_find_and_the_verdicts() {
    let sample = fixtures::pod();
    let policies: Vec<_> = (0..20).map(|_| fixtures::four_rules(&sample)).collect();
    let (roots, projection) = fixtures::projection(&policies[0], &sample);
    let document = Document::decode(&sample.raw, &projection, &sample.types).unwrap();
    let shared = SharedPaths::of(policies.iter().map(|policy| (policy, &roots)));
    let judge = || fixtures::judge_together(&policies, &shared, &sample, &roots, &document);
    let (info, judgements) = counted(judge);
    for judgement in judgements {
        let Judgement::Judged(verdict) = judgement else { panic!("{judgement:?}") };
        assert_eq!(verdict.outcome, Outcome::Pass, "{verdict:?}");
    }
    assert_eq!(
        info.count_total,
        2 + 1 + 20,
        "what is found, the list of judgements, and of each the list of results"
    );
}
