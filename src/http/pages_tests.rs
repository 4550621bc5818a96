use std::convert::Infallible;

use axum::http::Request;
use http_body_util::BodyExt;
use kube::client::Body as KubeBody;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

/// An API server that knows the token `reader`, who may, and `stranger`, who may not.
fn api_server() -> kube::Client {
    let service = tower::service_fn(|request: Request<KubeBody>| async move {
        let reviews_token = request.uri().path().ends_with("/tokenreviews");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let review: Value = serde_json::from_slice(&body).unwrap();
        let status = if reviews_token {
            let name = review["spec"]["token"].as_str().unwrap();
            let known = ["reader", "stranger"].contains(&name);
            json!({"authenticated": known, "audiences": ["watchpolicy"], "user": {"username": name}})
        } else {
            json!({"allowed": review["spec"]["user"] == "reader"})
        };
        let answer = json!({"spec": {}, "status": status}).to_string().into_bytes();
        Ok::<_, Infallible>(http::Response::builder().status(201).body(KubeBody::from(answer)).unwrap())
    });
    kube::Client::new(service, "default")
}

fn pages() -> Pages {
    Pages::new(Metrics::new("test").unwrap(), Readiness::until(["policies read"]))
}

/// Both pages guarded; it answers with the policy that was asked for.
fn guarded() -> Pages {
    let guard = || Arc::new(Guard::new(api_server()));
    let lister: Lister = Arc::new(|question| Listing { next: question.policy.clone(), ..Listing::default() });
    pages().guard_metrics(guard()).show_violations(guard(), lister)
}

/// The answer to a GET with a header.
async fn get(pages: &Pages, path: &str, header: Option<(&str, &str)>) -> (u16, HeaderMap, String) {
    let request = Request::get(path);
    let request = match header {
        Some((name, value)) => request.header(name, value),
        None => request,
    };
    let answer = pages.clone().router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn violations_are_told_to_those_who_may_list_policies_and_to_nobody_else() {
    let pages = guarded();
    pages.readiness.met("policies read");
    for (header, status) in [
        (None, 401),
        (Some(("authorization", "Bearer nobody")), 401),
        (Some(("authorization", "Basic reader")), 401),
        (Some(("authorization", "Bearer stranger")), 403),
        (Some(("authorization", "Bearer reader")), 200),
        (Some(("authorization", "bearer  reader")), 200),
        (Some(("x-watchpolicy-token", "reader")), 200),
        (Some(("x-watchpolicy-token", "stranger")), 403),
    ] {
        assert_eq!(get(&pages, "/violations", header).await.0, status, "{header:?}");
    }
}

#[tokio::test]
async fn an_answer_is_json_that_nobody_keeps_and_a_refusal_says_what_to_bring() {
    let pages = guarded();
    pages.readiness.met("policies read");
    let (_, headers, body) =
        get(&pages, "/violations?policy=owners", Some(("x-watchpolicy-token", "reader"))).await;
    assert_eq!(body, r#"{"violations":[],"continue":"owners"}"#);
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    let (_, headers, body) = get(&pages, "/violations", None).await;
    assert_eq!(headers[WWW_AUTHENTICATE], "Bearer");
    assert!(body.contains("--audience watchpolicy"), "{body}");
}

#[tokio::test]
async fn a_wrong_question_is_answered_with_what_is_wrong_but_only_to_those_who_may_ask() {
    let pages = guarded();
    pages.readiness.met("policies read");
    let (status, _, body) = get(&pages, "/violations?limit=0", Some(("x-watchpolicy-token", "reader"))).await;
    assert_eq!((status, body.contains("1 to 1000")), (400, true), "{body}");
    assert_eq!(get(&pages, "/violations?limit=0", None).await.0, 401);
}

#[tokio::test]
async fn a_replica_that_has_read_no_policies_does_not_say_that_there_are_no_violations() {
    let reader = Some(("x-watchpolicy-token", "reader"));
    let (status, _, body) = get(&guarded(), "/violations", reader).await;
    assert_eq!((status, &*body), (503, "not yet: policies read\n"));
}

#[tokio::test]
async fn probes_are_for_everybody_and_metrics_for_those_whom_the_guard_lets_in() {
    let pages = guarded();
    assert_eq!(get(&pages, "/livez", None).await.0, 200);
    assert_eq!(get(&pages, "/readyz", None).await.0, 503);
    assert_eq!(get(&pages, "/metrics", None).await.0, 401);
    assert_eq!(get(&pages, "/metrics", Some(("authorization", "Bearer stranger"))).await.0, 403);
    assert_eq!(get(&pages, "/metrics", Some(("authorization", "Bearer reader"))).await.0, 200);
}

#[tokio::test]
async fn without_a_guard_metrics_are_for_everybody_and_violations_are_not_served() {
    assert_eq!(get(&pages(), "/metrics", None).await.0, 200);
    assert_eq!(get(&pages(), "/violations", Some(("x-watchpolicy-token", "reader"))).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_page_has_room_until_it_was_sent_and_later_ones_of_its_door_are_told_to_wait() {
    let pages = guarded();
    pages.readiness.met("policies read");
    let status = async |path| get(&pages, path, Some(("authorization", "Bearer reader"))).await.0;
    for (room, shut, open) in [
        (&pages.metrics_room, "/metrics", "/violations"),
        (&pages.violations_room, "/violations", "/metrics"),
    ] {
        let mut held = Vec::new();
        for _ in 0..MAX_PAGES {
            held.push(pages.print(room, || Ok(String::new())).await.unwrap());
        }
        assert_eq!((status(shut).await, status(open).await), (503, 200), "{shut}");
        held.pop();
        assert_eq!(status(shut).await, 200);
    }
}
