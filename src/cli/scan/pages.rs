//! One list, a page at a time.

use std::ops::ControlFlow;

use crate::observe::wire::{Collection, PageEnd, Wire, WireError};

/// Objects that one request asks for.
const PAGE: u32 = 500;
/// How often a list is begun that grows too old for its next page.
const ATTEMPTS: usize = 3;
/// A list that goes on after so many pages has no end.
const MOST_PAGES: usize = 100_000;

/// Who takes what a list brings.
pub(super) trait Taker {
    /// A list begins: what was taken before is of one that was given up.
    fn begin(&mut self);
    /// One object, as raw text.
    fn take(&mut self, raw: &str);
    /// A page has ended. Breaks to have no more.
    fn turn(&mut self) -> ControlFlow<()>;
}

/// Hands all objects of a collection to a taker; breaks where the taker does.
///
/// # Errors
/// See [`WireError`].
pub(super) async fn each(
    wire: &Wire,
    collection: &Collection,
    taker: &mut impl Taker,
) -> Result<ControlFlow<()>, WireError> {
    let mut size = PAGE;
    let mut attempts = 1..ATTEMPTS;
    loop {
        taker.begin();
        match once(wire, collection, &mut size, taker).await {
            // A continue token lives as long as the server's history does: fewer, larger pages are sooner done.
            Err(error) if error.is_expired() && attempts.next().is_some() => size = size.saturating_mul(2),
            done => return done,
        }
    }
}

async fn once(
    wire: &Wire,
    collection: &Collection,
    size: &mut u32,
    taker: &mut impl Taker,
) -> Result<ControlFlow<()>, WireError> {
    let mut token: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let page = match wire.list(collection, *size, token.as_deref()).await {
            Err(WireError::TooLarge(_)) if *size > 1 => {
                *size = (*size / 4).max(1);
                continue;
            }
            answer => answer?,
        };
        let PageEnd { version: _, next } = page.each(|raw| taker.take(raw))?;
        if taker.turn().is_break() {
            return Ok(ControlFlow::Break(()));
        }
        match next {
            None => return Ok(ControlFlow::Continue(())),
            next if next == token => {
                return Err(WireError::Unintelligible("the list goes on where it was".to_owned()));
            }
            next => token = next,
        }
    }
    Err(WireError::Unintelligible(format!("the list has no end after {MOST_PAGES} pages")))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;
    use crate::observe::wire::Limits;
    use crate::resource::Gvr;

    /// The names of what was taken; breaks after so many pages.
    struct Names {
        taken: Vec<String>,
        pages: usize,
    }

    impl Taker for Names {
        fn begin(&mut self) {
            self.taken.clear();
        }

        fn take(&mut self, raw: &str) {
            self.taken.push(raw.to_owned());
        }

        fn turn(&mut self) -> ControlFlow<()> {
            self.pages -= 1;
            if self.pages == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    fn page(item: &str, next: &str) -> (u16, String) {
        let page = format!(
            r#"{{"kind":"PodList","metadata":{{"resourceVersion":"7","continue":"{next}"}},"items":[{item}]}}"#
        );
        (200, page)
    }

    /// Asks a server that answers the n-th request for a query as told.
    async fn ask(
        answer: impl Fn(usize, &str) -> (u16, String) + Send + Sync + 'static,
        pages: usize,
    ) -> (Result<ControlFlow<()>, WireError>, Vec<String>) {
        let (answer, requests) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
            async move {
                let asked = requests.fetch_add(1, Ordering::Relaxed);
                let (code, body) = answer(asked, request.uri().query().unwrap());
                let answer = Response::builder().status(code).body(Body::from(body.into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        let limits = Limits { body_bytes: 1000, ..Limits::default() };
        let wire = Wire::new(kube::Client::new(service, "default"), limits);
        let mut names = Names { taken: Vec::new(), pages };
        let done = each(&wire, &Collection::all(Gvr::new("", "v1", "pods")), &mut names).await;
        (done, names.taken)
    }

    #[tokio::test]
    async fn a_list_that_grew_too_old_is_begun_again_with_larger_pages() {
        let answer = |asked: usize, query: &str| match asked {
            0 => page("1", "old"),
            1 => (410, r#"{"reason": "Expired"}"#.to_owned()),
            2 => {
                assert_eq!(query, "limit=1000");
                page("2", "new")
            }
            _ => page("3", ""),
        };
        let (done, taken) = ask(answer, 100).await;
        assert!(done.is_ok_and(|flow| flow.is_continue()));
        assert_eq!(taken, ["2", "3"], "what was taken of the first list counts no more");
        let always = |asked: usize, _: &str| {
            if asked.is_multiple_of(2) { page("1", "old") } else { (410, "{}".to_owned()) }
        };
        assert!(ask(always, 100).await.0.unwrap_err().is_expired());
    }

    #[tokio::test]
    async fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
        let answer = |asked: usize, query: &str| match asked {
            0 => page("1", "t"),
            1 => page(&"1".repeat(2000), ""),
            _ => {
                assert_eq!(query, "limit=125&continue=t");
                page("2", "")
            }
        };
        let (done, taken) = ask(answer, 100).await;
        assert!(done.is_ok());
        assert_eq!(taken, ["1", "2"]);
    }

    #[tokio::test]
    async fn a_list_without_end_ends_and_so_does_one_of_which_enough_was_had() {
        let (done, _) = ask(|_, _| page("1", "same"), 100).await;
        assert!(done.unwrap_err().to_string().contains("goes on where it was"));
        let (done, taken) = ask(|asked, _| page("1", &asked.to_string()), 3).await;
        assert!(done.is_ok_and(|flow| flow.is_break()));
        assert_eq!(taken.len(), 3);
    }
}
