//! How many watches there may be.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_namespace_too_many_is_refused_with_its_flag_and_watched_as_soon_as_nobody_wants_another_one() {
    let limits = Limits { namespaced: 1, ..Limits::default() };
    let mut harbour = Harbour::with(
        &[(IN_A, Answer::One("x")), (IN_B, Answer::One("x"))],
        limits,
        store::Limits::default(),
    );
    harbour.show(&[("p", 1, "[a]", SIZE), ("q", 1, "[b]", SIZE)]).await;
    assert!(!harbour.is_limited("p") && harbour.is_limited("q"));
    assert!(harbour.message("q").contains("--max-namespaced-watches"), "{}", harbour.message("q"));
    harbour.show(&[("p", 2, "[a]", COLOR), ("q", 1, "[b]", SIZE)]).await;
    assert_eq!(harbour.target("p"), (TargetState::Synced, 2), "who is watched can be edited");
    harbour.show(&[("q", 1, "[b]", SIZE)]).await;
    assert_eq!((harbour.target("q").0, harbour.is_limited("q")), (TargetState::Synced, false));
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_resource_too_many_is_refused_with_its_flag() {
    let limits = Limits { targets: 1, ..Limits::default() };
    let mut harbour = Harbour::with(&[(ALL, Answer::One("x"))], limits, store::Limits::default());
    harbour.show(&[("p", 1, "[]", OF_NAMESPACE)]).await;
    assert!(harbour.is_limited("p") && harbour.message("p").contains("--max-targets"));
    harbour.show(&[("p", 2, "[]", SIZE)]).await;
    assert_eq!(harbour.target("p").0, TargetState::Synced, "it needs one less by now");
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_named_has_room_before_what_a_star_stands_for() {
    let limits = Limits { targets: 2, ..Limits::default() };
    let harbour = Harbour::with(&[(ALL, Answer::One("x"))], limits, store::Limits::default());
    let mut catalog = serving(&["v1"]);
    let widget = ServedResource { kind: "Widget".into(), namespaced: true, watchable: true };
    let resources = ["bolts", "nuts", "screws"].map(|name| (name.into(), widget.clone())).into();
    catalog.groups.insert("a.example.com".into(), vec![ServedVersion { version: "v1".into(), resources }]);
    harbour.catalog.send_replace(Some(Arc::new(catalog)));
    let star = entry_of("star", 1, "{group: a.example.com, resources: ['*']}", SIZE);
    let named = entry("named", 1, "[]", SIZE);
    let entries = [star, named].map(|entry| (Arc::clone(&entry.name), Arc::new(entry)));
    harbour.policies.send_replace(Arc::new(PolicySet { revision: 1, entries: entries.into() }));
    harbour.pass(3).await;
    assert_eq!(harbour.target("named").0, TargetState::Synced);
    let states: Vec<_> =
        harbour.board.borrow().policies["star"].iter().map(|report| report.limited).collect();
    assert_eq!(states.iter().filter(|limited| **limited).count(), 2, "{states:?}");
    harbour.end().await;
}

/// A kind of the same name in another group.
const OTHERS: &str = "/apis/a.example.com/v1/widgets";

/// Has that served too.
fn serve_others(harbour: &Harbour) {
    let mut catalog = serving(&["v1"]);
    let widgets = catalog.groups["example.com"].clone();
    catalog.groups.insert("a.example.com".into(), widgets);
    harbour.catalog.send_replace(Some(Arc::new(catalog)));
}

fn watched(harbour: &Harbour) -> Vec<String> {
    let shelves = harbour.store.shelves();
    let places = shelves.iter().map(|shelf| shelf.place().to_string());
    places.collect::<BTreeSet<_>>().into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_looked_through_gives_way_to_what_a_policy_wants_and_goes_on_when_there_is_room() {
    for (limits, looked_through, wanted, names) in [
        (
            Limits { targets: 1, ..Limits::default() },
            ("a.example.com", None),
            "[]",
            ["widgets.a.example.com", "widgets.example.com"],
        ),
        (
            Limits { namespaced: 1, ..Limits::default() },
            ("example.com", Some("b")),
            "[a]",
            ["b/widgets.example.com", "a/widgets.example.com"],
        ),
    ] {
        let answers = [(ALL, Answer::One("x")), (IN_A, Answer::One("x")), (OTHERS, Answer::Owned(1))];
        let mut harbour = Harbour::with(&answers, limits, store::Limits::default());
        serve_others(&harbour);
        harbour.look_through(&[looked_through]);
        harbour.show(&[]).await;
        assert_eq!(watched(&harbour), [names[0]]);
        let mut board = harbour.board.clone();
        let refused = async move {
            let is_limited = |board: &Arc<Board>| board.policies["p"].iter().any(|target| target.limited);
            drop(board.wait_for(|board| board.policies.contains_key("p") && is_limited(board)).await);
        };
        let policies = [("p", 1, wanted, SIZE)];
        let shown = harbour.show(&policies);
        let ended = futures::future::select(Box::pin(shown), Box::pin(refused)).await;
        assert!(matches!(ended, futures::future::Either::Left(_)), "not for a moment");
        drop(ended);
        assert_eq!(
            (harbour.target("p").0, watched(&harbour)),
            (TargetState::Synced, vec![names[1].to_owned()])
        );
        harbour.show(&[]).await;
        harbour.pass(70).await;
        assert_eq!(watched(&harbour), [names[0]]);
        harbour.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_lingers_gives_way_before_what_is_looked_through_and_nothing_does_in_vain() {
    let limits = Limits { namespaced: 2, ..Limits::default() };
    let mut harbour = Harbour::with(&[], limits, store::Limits::default());
    harbour.look_through(&[("example.com", Some("a"))]);
    harbour.show(&[("p", 1, "[b]", SIZE)]).await;
    harbour.show(&[]).await;
    assert_eq!(watched(&harbour), ["a/widgets.example.com", "b/widgets.example.com"]);
    harbour.show(&[("p", 1, "[c]", SIZE)]).await;
    assert_eq!(watched(&harbour), ["a/widgets.example.com", "c/widgets.example.com"]);
    harbour.show(&[("p", 1, "[c]", SIZE), ("q", 1, "[d]", SIZE), ("r", 1, "[e]", SIZE)]).await;
    assert!(harbour.is_limited("r") && !harbour.is_limited("p") && !harbour.is_limited("q"));
    harbour.end().await;
}
