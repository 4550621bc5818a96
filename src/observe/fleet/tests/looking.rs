//! Places that are looked through.

use super::*;

fn widgets(namespace: Option<&str>) -> Place {
    let resource = GroupResource::new("example.com", "widgets");
    Place { resource, namespace: namespace.map(Into::into) }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_looked_through_is_watched_though_no_policy_names_it() {
    let mut harbour = Harbour::new(&[(ALL, Answer::Owned(2))]);
    harbour.look_through(&[("example.com", None), ("nothing.com", None)]);
    harbour.pass(3).await;
    assert!(harbour.store.shelves().is_empty(), "before policies are known nothing is");
    harbour.show(&[]).await;
    harbour.pass(70).await;
    let shelves = harbour.store.shelves();
    assert_eq!(
        (shelves.len(), shelves[0].shows_all(&widgets(None)), shelves[0].count_owned(9, |_, _| true)),
        (1, true, 2)
    );
    assert_eq!(harbour.lists(), 1);
    // A policy that wants it has a watch of its own, and whoever looks through goes on by that.
    harbour.show(&[("p", 1, "[]", SIZE)]).await;
    harbour.pass(1).await;
    assert_eq!((harbour.store.shelves().len(), harbour.lists()), (1, 2));
    harbour.show(&[]).await;
    harbour.pass(70).await;
    let shelves = harbour.store.shelves();
    assert_eq!(
        (shelves.len(), shelves[0].shows_all(&widgets(None)), harbour.lists()),
        (1, true, 2),
        "it lingers for it"
    );
    harbour.look_through(&[]);
    harbour.pass(2).await;
    assert!(harbour.store.shelves().is_empty());
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_looked_through_is_seen_as_a_whole_beside_watches_of_parts() {
    let answers = [(ALL, Answer::Owned(2)), (IN_A, Answer::One("x"))];
    let mut harbour = Harbour::new(&answers);
    harbour.show(&[("p", 1, "[a]", SIZE)]).await;
    harbour.look_through(&[("example.com", None)]);
    harbour.pass(3).await;
    assert_eq!((harbour.target("p"), harbour.judged("x").len()), ((TargetState::Synced, 1), 1));
    let whole = harbour.store.shelves().into_iter().filter(|shelf| shelf.shows_all(&widgets(None))).count();
    assert_eq!((harbour.store.shelves().len(), whole), (2, 1));
    // One that is superseded serves until its successor can.
    harbour.show(&[("p", 1, "[]", SIZE)]).await;
    harbour.server.answers.lock().insert(IN_A.into(), Answer::Nothing);
    harbour.show(&[("p", 2, "[a]", SIZE)]).await;
    assert_eq!(harbour.judged("x0").len(), 1, "by the watch of all that there was");
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_looked_through_by_itself_or_by_a_watch_of_everything() {
    let mut harbour = Harbour::new(&[(IN_A, Answer::Owned(1)), (ALL, Answer::Owned(2))]);
    harbour.show(&[]).await;
    harbour.look_through(&[("example.com", Some("a"))]);
    harbour.pass(3).await;
    let shelves = harbour.store.shelves();
    assert!(shelves.len() == 1 && shelves[0].shows_all(&widgets(Some("a"))));
    assert!(!shelves[0].shows_all(&widgets(None)) && !shelves[0].shows_all(&widgets(Some("b"))));
    harbour.show(&[("p", 1, "[]", SIZE)]).await;
    harbour.pass(1).await;
    let shelves = harbour.store.shelves();
    assert!(shelves.len() == 1 && shelves[0].shows_all(&widgets(None)), "what is wanted does");
    harbour.end().await;
}
