//! The lines of an open watch.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use kube::client::Body;
use memchr::memchr;

use super::WireError;
use super::intake::{Incoming, Intake};

/// An open watch: lines as they come.
pub struct Lines {
    /// Of the body that is kept of which a line has begun.
    incoming: Incoming,
    /// What came last, as far as it was not handed out.
    frame: Bytes,
    limit: usize,
}

impl Lines {
    pub(super) fn new(body: Body, limit: usize, intake: &Arc<Intake>) -> Self {
        Self { incoming: Incoming::new(body, intake), frame: Bytes::new(), limit }
    }

    /// The next line; `None` when the server ended the watch. Cancel-safe.
    ///
    /// # Errors
    /// [`WireError::Silent`] when nothing came for `patience`, however often that was waited for; a line that is too
    /// long, cut off, or finds no room, is an error.
    pub async fn next(&mut self, patience: Duration) -> Result<Option<Bytes>, WireError> {
        loop {
            while let Some(end) = memchr(b'\n', &self.frame) {
                let line = self.line(end).await?;
                if !line.iter().all(u8::is_ascii_whitespace) {
                    return Ok(Some(line));
                }
            }
            self.incoming.keep(&self.frame, self.limit).await?;
            self.frame.clear();
            match self.incoming.frame(patience).await? {
                Some(frame) => self.frame = frame,
                None if self.incoming.is_empty() => return Ok(None),
                None => return Err(WireError::Broken("the watch ended in the middle of a line".to_owned())),
            }
        }
    }

    /// A line that came whole is handed out as it came, without a copy.
    async fn line(&mut self, end: usize) -> Result<Bytes, WireError> {
        let begun = !self.incoming.is_empty();
        if begun {
            self.incoming.keep(self.frame.get(..end).unwrap_or_default(), self.limit).await?;
        }
        let rest = self.frame.split_to(end);
        self.frame.advance(1);
        // The room is given back with the line: whoever asked for it reads it at once.
        Ok(if begun { self.incoming.take().0 } else { rest })
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use futures::stream::{self, BoxStream};

    use super::super::intake::body_of;
    use super::*;

    async fn lines_of(chunks: &'static [&'static str]) -> Lines {
        let body = body_of(stream::iter(chunks).map(|chunk| Bytes::from(*chunk)).boxed()).await;
        Lines::new(body, 64, &Intake::new(1 << 20))
    }

    #[tokio::test]
    async fn lines_come_whole_and_blank_ones_are_passed_over() {
        let mut lines = lines_of(&["{\"a\"", ":1}\n\n  \n{}\n[]\n"]).await;
        assert_eq!(lines.next(Duration::from_secs(1)).await.unwrap().unwrap(), "{\"a\":1}");
        assert_eq!(lines.next(Duration::from_secs(1)).await.unwrap().unwrap(), "{}");
        assert_eq!(lines.next(Duration::from_secs(1)).await.unwrap().unwrap(), "[]");
        assert!(lines.next(Duration::from_secs(1)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_watch_cut_in_the_middle_of_a_line_is_broken() {
        let mut lines = lines_of(&["{\"type\":\"ADD"]).await;
        assert!(matches!(lines.next(Duration::from_secs(1)).await, Err(WireError::Broken(_))));
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_an_error() {
        let mut lines = lines_of(&[concat!(
            "0123456789012345678901234567890123456789",
            "0123456789012345678901234567890123456789"
        )])
        .await;
        assert!(matches!(lines.next(Duration::from_secs(1)).await, Err(WireError::TooLarge(64))));
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_do_not_end_share_the_room_and_the_waiting_one_loses_nothing() {
        let intake = Intake::new(4 << 20);
        let open = async |rest: BoxStream<'static, Bytes>| {
            let begun = stream::iter([Bytes::from(vec![b'x'; 3 << 20])]);
            Lines::new(body_of(begun.chain(rest).boxed()).await, 16 << 20, &intake)
        };
        let mut stalled = open(stream::pending().boxed()).await;
        let mut whole = open(stream::iter([Bytes::from("\n")]).boxed()).await;
        let patience = Duration::from_secs(96);
        let first = tokio::time::timeout(Duration::from_secs(1), stalled.next(patience)).await;
        assert!(first.is_err(), "it waits for the rest of its line");
        for _ in 0..3 {
            let cut_short = tokio::time::timeout(Duration::from_millis(300), whole.next(patience)).await;
            assert!(cut_short.is_err(), "there is no room yet");
        }
        let (stalled, whole) = tokio::join!(
            async move { stalled.next(patience).await.map(|line| line.is_some()) },
            whole.next(patience)
        );
        assert!(matches!(stalled, Err(WireError::Crowded)), "{stalled:?}");
        assert_eq!(whole.unwrap().unwrap().len(), 3 << 20);
    }
}
