//! A watch, line by line.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Frame;
use kube::client::Body;
use memchr::memchr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::{Limits, WireError, broken};

/// A line that is longer is a large one: few of them are read at a time.
const LARGE_LINE: usize = 256 << 10;
/// How many: a server may begin a large line on each of hundreds of watches, and end none of them.
pub(super) const LARGE_LINES: usize = 4;

/// An open watch: lines as they come.
pub struct Lines {
    body: Body,
    splitter: Splitter,
    limits: Limits,
    /// When anything came, were it only a part of a line.
    heard: Instant,
    /// Wakes when something is overdue, or sooner. It is put off when it does and not at each event: to set a timer takes
    /// longer than to look at the clock.
    alarm: Pin<Box<Sleep>>,
    room: Arc<Semaphore>,
    /// The room for a large line, and when it must be whole.
    large: Option<(OwnedSemaphorePermit, Instant)>,
}

impl Lines {
    pub(super) fn new(body: Body, limits: Limits, room: Arc<Semaphore>) -> Self {
        let heard = Instant::now();
        let alarm = Box::pin(sleep_until(heard));
        Self { body, splitter: Splitter::default(), limits, heard, alarm, room, large: None }
    }

    /// The next line; `None` when the server ended the watch. Cancel-safe.
    ///
    /// # Errors
    /// [`WireError::Silent`] when nothing came for `patience`, however often that was waited for, or a large line has no
    /// end; a line that is too long, or cut off, is an error.
    pub async fn next(&mut self, patience: Duration) -> Result<Option<Bytes>, WireError> {
        loop {
            if let Some(line) = self.splitter.line() {
                self.large = None;
                return Ok(Some(line));
            }
            if self.splitter.begun() > self.limits.line_bytes {
                return Err(WireError::TooLarge(self.limits.line_bytes));
            }
            if self.splitter.begun() > LARGE_LINE && self.large.is_none() {
                self.make_room(patience).await?;
            }
            match self.frame(patience).await? {
                None if self.splitter.begun() == 0 => return Ok(None),
                None => return Err(WireError::Broken("the watch ended in the middle of a line".to_owned())),
                Some(frame) => self.splitter.push(frame.into_data().unwrap_or_default()),
            }
        }
    }

    /// Nothing is read until other large lines are whole.
    async fn make_room(&mut self, patience: Duration) -> Result<(), WireError> {
        let room = timeout_at(self.heard + patience, Arc::clone(&self.room).acquire_owned()).await;
        let permit = room.ok().and_then(Result::ok).ok_or(WireError::Silent(patience))?;
        let due = Instant::now() + self.limits.answer;
        self.alarm.as_mut().reset(due);
        self.large = Some((permit, due));
        Ok(())
    }

    async fn frame(&mut self, patience: Duration) -> Result<Option<Frame<Bytes>>, WireError> {
        loop {
            let silent = (self.heard + patience, patience);
            let whole = self.large.as_ref().map(|(_, due)| (*due, self.limits.answer));
            let (due, waited) = whole.map_or(silent, |whole| whole.min(silent));
            tokio::select! {
                biased;
                frame = self.body.frame() => {
                    self.heard = Instant::now();
                    // What drips would keep the alarm from being looked at.
                    let late = whole.filter(|(due, _)| self.heard > *due);
                    return match late {
                        Some((_, waited)) => Err(WireError::Silent(waited)),
                        None => frame.transpose().map_err(|error| broken(&error)),
                    };
                }
                () = &mut self.alarm => {
                    if Instant::now() >= due {
                        return Err(WireError::Silent(waited));
                    }
                    self.alarm.as_mut().reset(due);
                }
            }
        }
    }
}

/// Cuts what comes into lines. One that comes whole is not copied.
#[derive(Default)]
struct Splitter {
    /// What was not looked at yet.
    fresh: Bytes,
    /// The beginning of a line whose end has not come.
    begun: BytesMut,
}

impl Splitter {
    /// Takes in what comes next, when there is no line left in what came before.
    fn push(&mut self, data: Bytes) {
        self.fresh = data;
    }

    /// How much there is of a line whose end has not come, when there is no other.
    fn begun(&self) -> usize {
        self.begun.len()
    }

    /// The next line that is not blank.
    fn line(&mut self) -> Option<Bytes> {
        loop {
            let Some(end) = memchr(b'\n', &self.fresh) else {
                self.begun.extend_from_slice(&std::mem::take(&mut self.fresh));
                return None;
            };
            let rest = self.fresh.split_to(end);
            self.fresh.advance(1);
            // Or a quiet watch would hold on to the whole of what came last.
            if self.fresh.is_empty() {
                self.fresh = Bytes::new();
            }
            let line = if self.begun.is_empty() {
                rest
            } else {
                self.begun.extend_from_slice(&rest);
                std::mem::take(&mut self.begun).freeze()
            };
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::{Collection, Wire};
    use super::*;
    use crate::resource::Gvr;

    fn lines_of(chunks: &[&'static str]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(Bytes::from_static(chunk.as_bytes()));
            while let Some(line) = splitter.line() {
                lines.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        lines
    }

    #[test]
    fn lines_come_whole_and_blank_ones_are_passed_over() {
        assert_eq!(lines_of(&["{\"a\"", ":1}\n\n  \n{}\n", "[]\n{"]), ["{\"a\":1}", "{}", "[]"]);
    }

    #[test]
    fn what_comes_whole_is_not_copied_and_not_held_on_to() {
        let data = Bytes::from("{}\n".to_owned());
        let mut splitter = Splitter::default();
        splitter.push(data.clone());
        let line = splitter.line().unwrap();
        assert_eq!(line.as_ptr(), data.as_ptr());
        drop(line);
        assert!(data.is_unique(), "something holds on to it");
    }

    const PATIENCE: Duration = Duration::from_secs(96);

    fn lines(beginning: String, room: &Arc<Semaphore>) -> Lines {
        let limits = Limits { line_bytes: 1 << 20, ..Limits::default() };
        let mut lines = Lines::new(Body::empty(), limits, Arc::clone(room));
        lines.splitter.push(Bytes::from(beginning));
        lines
    }

    #[tokio::test]
    async fn a_watch_cut_in_the_middle_of_a_line_is_broken() {
        let mut lines = lines("{\"type\":\"ADD".to_owned(), &Arc::new(Semaphore::new(1)));
        assert!(matches!(lines.next(PATIENCE).await, Err(WireError::Broken(_))));
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_an_error() {
        let mut lines = lines("1".repeat((1 << 20) + 1), &Arc::new(Semaphore::new(1)));
        assert!(matches!(lines.next(PATIENCE).await, Err(WireError::TooLarge(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn few_large_lines_are_read_at_a_time_and_each_has_an_end() {
        let room = Arc::new(Semaphore::new(1));
        let silent =
            http_body_util::StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let silent = silent.clone();
            async move { Ok::<_, Infallible>(http::Response::new(silent)) }
        });
        let wire = Wire {
            room: Arc::clone(&room),
            ..Wire::new(kube::Client::new(service, "default"), Limits::default())
        };
        let collection = Collection::all(Gvr::new("", "v1", "pods"));
        let mut first = wire.watch(&collection, "1", PATIENCE).await.unwrap();
        first.splitter.push(Bytes::from("1".repeat(LARGE_LINE + 1)));
        let mut second = wire.watch(&collection, "1", PATIENCE).await.unwrap();
        second.splitter.push(Bytes::from("1".repeat(LARGE_LINE + 1)));
        let start = Instant::now();
        let (first, second) = tokio::join!(first.next(PATIENCE), second.next(PATIENCE));
        assert!(matches!(first, Err(WireError::Silent(waited)) if waited == Limits::default().answer));
        assert!(
            matches!(second, Err(WireError::Silent(waited)) if waited == PATIENCE),
            "it got no room in time"
        );
        assert_eq!(start.elapsed(), PATIENCE);
    }
}
