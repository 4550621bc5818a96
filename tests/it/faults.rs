//! The real binary and the real API server with faults between them: for each the right state, no other target
//! disturbed, few requests, and at the end what a fresh list says.

use std::time::Instant;

use crate::proxy::{Fault, Verb};
use crate::world::DEADLINE;
use case::{ALWAYS, Case};

use crate::events::event;

mod case;
mod conversion;
mod sources;

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_line_loses_nothing() {
    let case = Case::start("cut").await.unwrap();
    case.bring(Verb::Watch, Fault::Cut, 3);
    case.passes().await.unwrap();
    case.failed_with("connection").await.unwrap();
}

#[tokio::test]
async fn a_watch_that_ends_in_order_before_its_event_loses_nothing() {
    let case = Case::start("end").await.unwrap();
    case.bring(Verb::Watch, Fault::End, 2);
    case.passes().await.unwrap();
}

#[tokio::test]
async fn a_410_in_the_stream_is_answered_with_a_list() {
    let case = Case::start("gone").await.unwrap();
    let before = case.starts(Instant::now() - DEADLINE * 60);
    case.bring(Verb::Watch, Fault::error_event(410, "Expired"), 1);
    case.passes().await.unwrap();
    case.failed_with("expired").await.unwrap();
    let lists = case.stage.proxy.asked(&case.group);
    assert!(lists.iter().skip(before).any(|asked| asked.verb == Verb::List), "{lists:#?}");
}

#[tokio::test]
async fn lines_that_are_no_events_are_answered_with_a_list() {
    let case = Case::start("garbage").await.unwrap();
    for line in
        ["{\"type\":\"ADDED\",\"object\"\n", "\u{0}\u{0}\n", "{\"type\":\"SHRUGGED\",\"object\":{}}\n"]
    {
        case.bring(Verb::Watch, Fault::Line(line.to_owned()), 1);
    }
    case.passes().await.unwrap();
    case.failed_with("undecodable").await.unwrap();
}

#[tokio::test]
async fn events_that_drip_byte_by_byte_are_read_whole() {
    let case = Case::start("drip").await.unwrap();
    case.bring(Verb::Watch, Fault::Drip, 4);
    case.passes().await.unwrap();
}

#[tokio::test]
async fn continue_tokens_that_have_expired_lead_to_larger_pages() {
    let case = Case::start("expired").await.unwrap();
    case.bring(Verb::Watch, Fault::error_event(410, "Expired"), 1);
    case.bring(Verb::Continue, Fault::Refuse(410, "Expired", None), ALWAYS);
    // Five objects a page, then ten, then twenty: the last list needs no token.
    case.passes().await.unwrap();
}

#[tokio::test]
async fn a_watch_that_is_410_at_every_start_is_degraded_and_not_asked_without_end() {
    let case = Case::start("stale").await.unwrap();
    case.bring_from_the_next_start(&[(Verb::Watch, Fault::Refuse(410, "Expired", None))]);
    case.lasts("Degraded", "410").await.unwrap();
    let degraded = event(case.stage.world.plane, "default", "stale", "TargetDegraded").await;
    assert_eq!(degraded["type"], "Warning");
    assert!(
        degraded["note"].as_str().unwrap().contains("widgets.stale.faults.example.com: "),
        "{degraded:#}"
    );
    event(case.stage.world.plane, "default", "stale", "TargetSynced").await;
}

#[tokio::test]
async fn a_403_is_forbidden_with_a_cure_and_heals_by_itself() {
    let case = Case::start("forbidden").await.unwrap();
    let forbidden = Fault::Refuse(403, "Forbidden", None);
    case.bring_from_the_next_start(&[(Verb::Watch, forbidden.clone()), (Verb::List, forbidden)]);
    case.lasts("Forbidden", "may not").await.unwrap();
}

#[tokio::test]
async fn a_server_that_throttles_is_believed_for_as_long_as_we_are_willing_to_wait() {
    let case = Case::start("throttled").await.unwrap();
    let throttled = Fault::Refuse(429, "TooManyRequests", Some(86_400));
    case.bring_from_the_next_start(&[(Verb::Watch, throttled.clone()), (Verb::List, throttled)]);
    case.lasts("Degraded", "429").await.unwrap();
    case.failed_with("throttled").await.unwrap();
}

#[tokio::test]
async fn servers_that_fail_are_asked_with_growing_pauses() {
    for (name, code) in [("failing", 500), ("unavailable", 503), ("late", 504)] {
        let case = Case::start(name).await.unwrap();
        let failing = Fault::Refuse(code, "InternalError", None);
        case.bring_from_the_next_start(&[(Verb::Watch, failing.clone()), (Verb::List, failing)]);
        case.lasts("Degraded", &code.to_string()).await.unwrap();
        case.failed_with("server").await.unwrap();
    }
}

#[tokio::test]
async fn a_list_that_is_never_answered_is_degraded_and_keeps_nobody_waiting() {
    let case = Case::start("hanging").await.unwrap();
    let gone = Fault::error_event(410, "Expired");
    case.bring(Verb::Watch, gone, 1);
    case.bring(Verb::List, Fault::Hang, ALWAYS);
    case.lasts("Degraded", "no answer within 2s").await.unwrap();
    case.failed_with("timeout").await.unwrap();
}

#[tokio::test]
async fn a_page_that_drips_for_longer_than_a_list_may_take_is_given_up() {
    let case = Case::start("slow").await.unwrap();
    case.bring(Verb::Watch, Fault::error_event(410, "Expired"), 1);
    case.bring(Verb::List, Fault::Drip, ALWAYS);
    case.lasts("Degraded", "no answer within 2s").await.unwrap();
}

#[tokio::test]
async fn a_black_hole_is_noticed_within_the_patience_and_what_it_kept_back_is_found() {
    let case = Case::start("silent").await.unwrap();
    case.bring(Verb::Watch, Fault::Silence, 2);
    let since = Instant::now();
    case.change(0).await.unwrap();
    case.bystander_is_followed().await.unwrap();
    // Four fifths of the patience after the last sign of life the watch is opened anew, and is as silent; then the list is
    // due at once.
    case.state("Degraded", "no answer").await.unwrap();
    println!("silent: noticed {:?} after the last sign of life", since.elapsed());
    case.is_right().await.unwrap();
    case.requests_were_few(since).unwrap();
    case.heals().await.unwrap();
}
