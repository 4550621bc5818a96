//! How many bytes of answers are held at a time, of all pages together.
//!
//! A server that sends a part of an answer and no more, however many ask it, so takes no memory without end; nor do
//! many answers that come slowly.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::{WireError, broken};

/// Of each answer so much is not counted: most are no longer, and the number of lists at a time has its own bound.
const FREE: usize = 64 << 10;
/// Who waits longer for room gives up what it has read: were all that hold some to wait for more, nobody would get on.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer of which nothing came for so long gives way to those who wait.
const STALLED: Duration = Duration::from_secs(2);

/// The room for answers that are under way.
pub(super) struct Intake {
    room: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A part of the room; given back when it is dropped.
pub(super) type Share = Option<OwnedSemaphorePermit>;

impl Intake {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { room: Arc::new(Semaphore::new(bytes)), waiting: AtomicUsize::new(0) })
    }

    /// Takes so many bytes more.
    async fn grow(&self, share: &mut Share, by: usize) -> Result<(), WireError> {
        let waits = Waits::new(&self.waiting);
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        let more = timeout(PATIENCE, Arc::clone(&self.room).acquire_many_owned(by)).await;
        drop(waits);
        // The semaphore is never closed.
        let Ok(Ok(more)) = more else { return Err(WireError::Crowded) };
        match share {
            Some(share) => share.merge(more),
            None => *share = Some(more),
        }
        Ok(())
    }

    fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts who waits, also where waiting is cut short.
struct Waits<'w>(&'w AtomicUsize);

impl<'w> Waits<'w> {
    fn new(waiting: &'w AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer as it comes, and what is held of it.
pub(super) struct Incoming {
    body: Body,
    intake: Arc<Intake>,
    share: Share,
    /// What was kept.
    buffer: BytesMut,
    /// When anything came.
    heard: Instant,
}

impl Incoming {
    pub(super) fn new(body: Body, intake: &Arc<Intake>) -> Self {
        let intake = Arc::clone(intake);
        Self { body, intake, share: None, buffer: BytesMut::new(), heard: Instant::now() }
    }

    /// What comes next; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// [`WireError::Silent`] when nothing came for `patience`, however often that was waited for;
    /// [`WireError::Crowded`] when nothing comes and others want the room.
    pub(super) async fn frame(&mut self, patience: Duration) -> Result<Option<Bytes>, WireError> {
        let last = self.heard + patience;
        let frame = loop {
            let stalled = self.share.as_ref().map(|_| Instant::now() + STALLED);
            match timeout_at(stalled.map_or(last, |stalled| stalled.min(last)), self.body.frame()).await {
                Ok(frame) => break frame,
                Err(_elapsed) if Instant::now() >= last => return Err(WireError::Silent(patience)),
                Err(_elapsed) if self.intake.is_wanted() => return Err(WireError::Crowded),
                Err(_elapsed) => {}
            }
        };
        self.heard = Instant::now();
        match frame {
            None => Ok(None),
            Some(Err(error)) => Err(broken(&error)),
            Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
        }
    }

    /// Keeps what came, when there is room for it. Nothing is kept where that is cut short.
    ///
    /// # Errors
    /// [`WireError::TooLarge`] past `limit`; [`WireError::Crowded`] when there is no room in time.
    pub(super) async fn keep(&mut self, data: &[u8], limit: usize) -> Result<(), WireError> {
        let needed = self.buffer.len() + data.len();
        if needed > limit {
            return Err(WireError::TooLarge(limit));
        }
        let held = FREE + self.share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if needed > held {
            // A buffer grows by doubling.
            self.intake.grow(&mut self.share, needed.next_power_of_two() - held).await?;
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// All that was kept, and the room that it takes.
    pub(super) fn take(&mut self) -> (Bytes, Share) {
        (std::mem::take(&mut self.buffer).freeze(), self.share.take())
    }
}

/// A body as the client gives it.
#[cfg(test)]
pub(super) async fn body_of(pieces: futures::stream::BoxStream<'static, Bytes>) -> Body {
    use futures::StreamExt;
    let frames = pieces.map(|piece| Ok::<_, std::io::Error>(http_body::Frame::data(piece)));
    let mut body = Some(http_body_util::StreamBody::new(frames));
    let service = tower::service_fn(move |_: http::Request<Body>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(body.take().unwrap())))
    });
    let client = kube::Client::new(service, "default");
    client.send(http::Request::new(Body::empty())).await.unwrap().into_body()
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use futures::stream::{self, StreamExt};

    use super::*;

    const MIB: usize = 1 << 20;
    const ANSWER: Duration = Duration::from_secs(60);

    /// A body that has so many bytes, then stalls or ends.
    async fn body(bytes: usize, ends: bool) -> Body {
        let chunks = vec![vec![b'x'; 1 << 15]; bytes >> 15].into_iter();
        let chunks = stream::iter(chunks.map(Bytes::from));
        let rest = if ends { stream::empty().boxed() } else { stream::pending().boxed() };
        body_of(chunks.chain(rest).boxed()).await
    }

    async fn read(intake: &Arc<Intake>, body: Body) -> Result<(Bytes, Share), WireError> {
        let mut incoming = Incoming::new(body, intake);
        while let Some(data) = incoming.frame(ANSWER).await? {
            incoming.keep(&data, 16 * MIB).await?;
        }
        Ok(incoming.take())
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_stall_hold_no_more_than_there_is_room_for_and_give_way() {
        let intake = Intake::new(32 * MIB);
        let stalled = join_all((0..24).map(|_| async { read(&intake, body(7 * MIB, false).await).await }));
        let healthy = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(intake.room.available_permits() / MIB, 0);
            let start = Instant::now();
            loop {
                if let Ok((read, share)) = read(&intake, body(8 * MIB, true).await).await {
                    return (read.len(), share.unwrap().num_permits(), start.elapsed());
                }
            }
        };
        let (stalled, (read, held, took)) = tokio::join!(stalled, healthy);
        assert_eq!((read, held), (8 * MIB, 8 * MIB - FREE));
        assert!(took < Duration::from_secs(30), "{took:?}");
        let silent = stalled.iter().filter(|end| matches!(end, Err(WireError::Silent(_)))).count();
        assert!(silent < 8, "{silent} were waited for to the end, though others wanted their room");
        assert_eq!(intake.room.available_permits(), 32 * MIB, "all is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_all_want_more_do_not_wait_for_each_other_for_ever() {
        let intake = Intake::new(16 * MIB);
        let answers = join_all((0..8).map(|n| {
            let intake = &intake;
            async move {
                tokio::time::sleep(Duration::from_millis(n)).await;
                read(intake, body(10 * MIB, true).await).await.map(|(read, _share)| read.len())
            }
        }));
        let answers = answers.await;
        assert!(answers.iter().any(Result::is_ok), "{answers:?}");
        assert_eq!(intake.room.available_permits(), 16 * MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_small_waits_for_nobody() {
        let intake = Intake::new(MIB);
        let _all = Arc::clone(&intake.room).acquire_many_owned(1 << 20).await.unwrap();
        let (read, share) = read(&intake, body(FREE, true).await).await.unwrap();
        assert_eq!((read.len(), share.is_none()), (FREE, true));
    }
}
