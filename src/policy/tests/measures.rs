//! What the contract says of each measure, and of time.

use jiff::{Span, Timestamp};

use crate::policy::Outcome::{Error, Fail, Pass, Skip};
use crate::policy::{CompiledPolicy, Judgement, Outcome};

use super::cases::{CONFIG_MAPS, check, compiled, judge_at, now, one_rule, verdict};

#[test]
fn keys_are_judged_one_by_one() {
    check(&[
        ("each", "path: $.a, measure: Keys, assert: {like: 'x*'}", "{a: {x1: 1, x2: 2}}", Pass),
        ("each", "path: $.a, measure: Keys, assert: {like: 'x*'}", "{a: {x1: 1, z: 2}}", Fail),
        (
            "a null member is absent",
            "path: $.a, measure: Keys, assert: {like: 'x*'}",
            "{a: {x1: 1, z: null}}",
            Pass,
        ),
        ("none in {}", "path: $.a, measure: Keys, assert: {like: 'x*'}", "{a: {}}", Pass),
        (
            "none is not any",
            "path: $.a, measure: Keys, quantifier: Any, assert: {like: 'x*'}",
            "{a: {}}",
            Fail,
        ),
        ("exists looks at the measure", "path: $.a, measure: Keys, assert: {exists: true}", "{a: {}}", Fail),
        ("exists looks at the measure", "path: $.a, measure: Keys, assert: {exists: false}", "{a: {}}", Pass),
        ("nothing there is absent", "path: $.a, measure: Keys, assert: {like: 'x*'}", "{}", Fail),
        ("a default has keys", "path: $.a, default: {z: 1}, measure: Keys, assert: {like: 'x*'}", "{}", Fail),
        ("only objects have keys", "path: $.a, measure: Keys, assert: {like: 'x*'}", "{a: [x]}", Error),
        (
            "they may be compared",
            "path: $.a, measure: Keys, assert: {inPath: $.b}",
            "{a: {x: 1}, b: [x, v]}",
            Pass,
        ),
    ]);
    let verdict =
        verdict(&one_rule("path: $.a, measure: Keys, assert: {notLike: 'v*'}"), "{a: {x: 1, v/z: 2}}");
    assert_eq!(&*verdict.nodes[0].path, "a['v/z']");
    assert_eq!(&*verdict.nodes[0].message, "the key of a['v/z'] is v/z, wanted not like v*");
}

#[test]
fn strings_arrays_and_objects_have_a_length() {
    check(&[
        ("characters", "path: $.a, measure: Length, assert: {equals: 2}", "{a: éé}", Pass),
        ("elements", "path: $.a, measure: Length, assert: {atMost: 1}", "{a: [1, null]}", Fail),
        ("members", "path: $.a, measure: Length, assert: {equals: 1}", "{a: {x: 1, z: null}}", Pass),
        ("of nothing", "path: $.a, measure: Length, assert: {equals: 0}", "{a: []}", Pass),
        ("an absent value has none", "path: $.a, measure: Length, assert: {equals: 0}", "{}", Fail),
        ("numbers have none", "path: $.a, measure: Length, assert: {atLeast: 0}", "{a: 1}", Error),
        ("a default has one", "path: $.a, default: [], measure: Length, assert: {equals: 0}", "{}", Pass),
    ]);
    let verdict = verdict(&one_rule("path: $.a, measure: Length, assert: {atMost: 1}"), "{a: abc}");
    assert_eq!(&*verdict.nodes[0].message, "the length of a is 3, wanted at most 1");
}

#[test]
fn nodes_are_counted() {
    check(&[
        (
            "found ones",
            "path: '$.a[*].b', measure: Count, assert: {equals: 2}",
            "{a: [{b: 1}, {}, {b: 2}]}",
            Pass,
        ),
        ("none is 0", "path: '$.a[*]', measure: Count, assert: {equals: 0}", "{}", Pass),
        ("never absent", "path: $.a, measure: Count, assert: {exists: true}", "{}", Pass),
        (
            "null elements are there",
            "path: '$.a[*]', measure: Count, assert: {equals: 1}",
            "{a: [null]}",
            Pass,
        ),
        ("null members are not", "path: $.a, measure: Count, assert: {equals: 1}", "{a: null}", Fail),
        ("too many", "path: '$.a[*]', measure: Count, assert: {atMost: 1}", "{a: [1, 2]}", Fail),
    ]);
    let verdict = verdict(&one_rule("path: '$.a[*]', measure: Count, assert: {atMost: 1}"), "{a: [1, 2]}");
    assert_eq!(&*verdict.nodes[0].message, "the count of $.a[*] is 2, wanted at most 1");
    assert_eq!(&*verdict.nodes[0].path, "$.a[*]");
}

#[test]
fn images_are_judged_in_their_parts() {
    let digest = format!("a@sha256:{}", "0".repeat(64));
    check(&[
        ("registry", "path: $.a, measure: ImageRegistry, assert: {equals: docker.io}", "{a: nginx}", Pass),
        (
            "registry",
            "path: $.a, measure: ImageRegistry, assert: {in: [ghcr.io]}",
            "{a: 'ghcr.io.evil.com/x'}",
            Fail,
        ),
        (
            "repository",
            "path: $.a, measure: ImageRepository, assert: {equals: library/nginx}",
            "{a: nginx}",
            Pass,
        ),
        ("tag", "path: $.a, measure: ImageTag, assert: {notEquals: latest}", "{a: nginx}", Fail),
        (
            "with a digest, no tag",
            "path: $.a, measure: ImageTag, assert: {notEquals: latest}",
            &format!("{{a: '{digest}'}}"),
            Pass,
        ),
        (
            "no digest is absent",
            "path: $.a, measure: ImageDigest, assert: {exists: true}",
            "{a: 'nginx:1'}",
            Fail,
        ),
        (
            "a digest",
            "path: $.a, measure: ImageDigest, assert: {exists: true}",
            &format!("{{a: '{digest}'}}"),
            Pass,
        ),
        (
            "whenAbsent",
            "path: $.a, measure: ImageDigest, whenAbsent: Pass, assert: {like: 'sha256:*'}",
            "{a: nginx}",
            Pass,
        ),
        (
            "no default for an absent measure",
            "path: $.a, default: nginx, measure: ImageDigest, assert: {like: 'sha256:*'}",
            "{a: nginx}",
            Fail,
        ),
        (
            "an invalid image errs",
            "path: $.a, measure: ImageTag, assert: {notEquals: latest}",
            "{a: 'Not An Image'}",
            Error,
        ),
        ("a number errs", "path: $.a, measure: ImageTag, assert: {notEquals: latest}", "{a: 1}", Error),
        ("exists errs too", "path: $.a, measure: ImageTag, assert: {exists: true}", "{a: ''}", Error),
    ]);
}

#[test]
fn messages_name_the_part_of_an_image() {
    for (rule, object, message) in [
        (
            "measure: ImageTag, assert: {notEquals: latest}",
            "{a: nginx}",
            "the tag of a is latest, wanted not latest",
        ),
        (
            "measure: ImageDigest, assert: {exists: true}",
            "{a: nginx}",
            "the digest of a is not set, wanted a value",
        ),
        (
            "measure: ImageTag, assert: {exists: true}",
            "{a: 'A B'}",
            "a is A B, which is not a reference to an image, such as ghcr.io/corp/web:v1",
        ),
    ] {
        let verdict = verdict(&one_rule(&format!("path: $.a, {rule}")), object);
        assert_eq!(&*verdict.nodes[0].message, message);
    }
}

/// What a policy says of an object so long after the tests' time, and when it must be judged again, likewise.
fn judge_after(policy: &CompiledPolicy, object: &str, nanoseconds: i64) -> (Option<Outcome>, Option<i128>) {
    let later = now().checked_add(Span::new().nanoseconds(nanoseconds)).expect("a time");
    let judgement = judge_at(policy, ("", "configmaps"), object, later);
    let again = judgement.again().map(|again| again.as_nanosecond() - now().as_nanosecond());
    let outcome = if let Judgement::Judged(verdict) = judgement { Some(verdict.outcome) } else { None };
    (outcome, again)
}

const HOUR: i64 = 3_600_000_000_000;

#[test]
fn an_age_is_judged_again_at_the_very_instant_when_the_answer_flips() {
    // The object's time is the tests' own; the answer flips after an hour, or a nanosecond later.
    let object = format!("{{a: '{}'}}", now());
    let in_an_hour = format!("{{a: '{}'}}", now().checked_add(Span::new().hours(2)).expect("a time"));
    for (measure, object, assertion, before, flip, after) in [
        ("Age", &object, "atLeast: 1h", Fail, HOUR, Pass),
        ("Age", &object, "above: 1h", Fail, HOUR + 1, Pass),
        ("Age", &object, "atMost: 1h", Pass, HOUR + 1, Fail),
        ("Age", &object, "below: 1h", Pass, HOUR, Fail),
        ("Until", &in_an_hour, "atLeast: 1h", Pass, HOUR + 1, Fail),
        ("Until", &in_an_hour, "above: 1h", Pass, HOUR, Fail),
        ("Until", &in_an_hour, "atMost: 1h", Fail, HOUR, Pass),
        ("Until", &in_an_hour, "below: 1h", Fail, HOUR + 1, Pass),
    ] {
        let policy = one_rule(&format!("path: $.a, measure: {measure}, assert: {{{assertion}}}"));
        let row = format!("{measure} {assertion}");
        assert_eq!(judge_after(&policy, object, 0), (Some(before), Some(flip.into())), "{row}");
        assert_eq!(
            judge_after(&policy, object, flip - 1),
            (Some(before), Some(flip.into())),
            "{row} just before"
        );
        assert_eq!(judge_after(&policy, object, flip), (Some(after), None), "{row} at the instant");
    }
}

#[test]
fn the_first_of_many_instants_counts_also_in_match_and_when() {
    let guard = "[{path: $.a, measure: Age, assert: {atLeast: 1h}}]";
    let object = format!("{{a: '{}'}}", now());
    let excluded = compiled(&format!(
        "{CONFIG_MAPS}\nmatch: {guard}\nrules: [{{name: r, path: $.b, assert: {{exists: true}}}}]"
    ));
    assert_eq!(judge_after(&excluded, &object, 0), (None, Some(HOUR.into())));
    assert_eq!(judge_after(&excluded, &object, HOUR), (Some(Fail), None));
    let skipped = one_rule(&format!("when: {guard}, path: $.b, assert: {{exists: true}}"));
    assert_eq!(judge_after(&skipped, &object, 0), (Some(Skip), Some(HOUR.into())));
    let many = one_rule("path: '$.a[*]', measure: Age, assert: {atMost: 1h}");
    let later = now().checked_add(Span::new().hours(1)).expect("a time");
    let object = format!("{{a: ['{later}', '{}']}}", now());
    assert_eq!(judge_after(&many, &object, 0), (Some(Pass), Some((HOUR + 1).into())));
    assert_eq!(judge_after(&many, &object, HOUR + 1), (Some(Fail), Some((2 * HOUR + 1).into())));
}

#[test]
fn times_that_are_none_err_and_messages_stand_still() {
    check(&[
        ("not a time", "path: $.a, measure: Age, assert: {atMost: 1h}", "{a: yesterday}", Error),
        ("a number", "path: $.a, measure: Until, assert: {atLeast: 1h}", "{a: 1}", Error),
        ("absent", "path: $.a, measure: Age, assert: {atMost: 1h}", "{}", Fail),
        ("there", "path: $.a, measure: Age, assert: {exists: true}", "{a: '2026-01-01T00:00:00Z'}", Pass),
        ("past", "path: $.a, measure: Until, assert: {below: '0'}", "{a: '2026-01-01T00:00:00Z'}", Pass),
        (
            "beyond the calendar",
            "path: $.a, measure: Age, assert: {atMost: 99999999d}",
            "{a: '2026-01-01T00:00:00Z'}",
            Pass,
        ),
    ]);
    let message = |rule: &str, now: Timestamp| {
        let policy = one_rule(&format!("path: $.a, {rule}"));
        let judgement = judge_at(&policy, ("", "configmaps"), "{a: '2026-01-01T00:00:00Z'}", now);
        let Judgement::Judged(mut verdict) = judgement else { panic!("not judged") };
        verdict.rules.remove(0).nodes.remove(0).message
    };
    let (age, until) = ("measure: Age, assert: {atMost: 30d}", "measure: Until, assert: {above: 7d}");
    assert_eq!(&*message(age, now()), "a is 2026-01-01T00:00:00Z, wanted an age of at most 30d");
    assert_eq!(&*message(until, now()), "a is 2026-01-01T00:00:00Z, wanted a time left of more than 7d");
    let later = now().checked_add(Span::new().hours(5)).expect("a time");
    assert_eq!(message(age, now()), message(age, later));
}
