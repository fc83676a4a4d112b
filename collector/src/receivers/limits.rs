//! How much one request, and all requests together, may cost: bodies are counted while they arrive, and again when
//! they are decompressed, so that memory stays flat whatever is sent.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use yagura_codec::compress::{self, Encoding};

use super::Refusal;

/// Caps of a receiver. The defaults let an OTLP sender with its own defaults pass (a few MiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body as it arrives.
    pub body: usize,
    /// Bytes of one message after decompression.
    pub message: usize,
    /// Bytes of all bodies that are arriving or wait for storage.
    pub bodies: usize,
    /// Bytes of all decompressed messages that wait for storage.
    pub messages: usize,
    /// A body must have arrived within this time.
    pub arrival: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 16 << 20,
            message: 32 << 20,
            bodies: 32 << 20,
            messages: 96 << 20,
            arrival: Duration::from_secs(30),
        }
    }
}

/// Permits are counted in pages of this size.
const PAGE: usize = 4096;
/// Decompression of less than this is quicker than handing it to another thread.
const SMALL: usize = 16 * 1024;
/// What a body without a length is taken to be at first.
const FIRST_GUESS: usize = 64 * 1024;

/// What is left of the limits.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    /// Held while a body arrives and until it is decompressed or stored. Nobody waits here while holding some.
    bodies: Arc<Semaphore>,
    /// Held by a decompressed message until it is stored; taken in one go, after the body's, never before.
    messages: Arc<Semaphore>,
}

/// Bytes and the right to hold them.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    permit: OwnedSemaphorePermit,
}

impl Held {
    /// A part of the bytes, under the same permit.
    pub(super) fn map(self, part: impl FnOnce(Bytes) -> Bytes) -> Self {
        Self { bytes: part(self.bytes), permit: self.permit }
    }
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        // One request of the largest size must always pass.
        let permits = |all: usize, one: usize| Arc::new(Semaphore::new(pages(all.max(one)) as usize));
        Self { limits, bodies: permits(limits.bodies, limits.body), messages: permits(limits.messages, limits.message) }
    }

    /// Reads a body; `length` is what its sender says of it.
    pub(super) async fn read(&self, body: Body, length: Option<usize>) -> Result<Held, Refusal> {
        let limit = self.limits.body;
        let too_large = Refusal::TooLarge { limit, when: "" };
        if length.is_some_and(|length| length > limit) {
            return Err(too_large);
        }
        let arrival = self.limits.arrival;
        let read = self.read_up_to(body, length.unwrap_or(FIRST_GUESS.min(limit)), too_large);
        tokio::time::timeout(arrival, read).await.unwrap_or(Err(Refusal::Slow(arrival)))
    }

    async fn read_up_to(&self, mut body: Body, guess: usize, too_large: Refusal) -> Result<Held, Refusal> {
        let mut permit = acquire(&self.bodies, guess).await?;
        let mut whole = Bytes::new();
        let mut parts = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Refusal::Malformed(format!("request broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = whole.len() + parts.len() + data.len();
            if length > self.limits.body {
                return Err(too_large);
            }
            let missing = pages(length).saturating_sub(u32::try_from(permit.num_permits()).unwrap_or(u32::MAX));
            if missing > 0 {
                // Who holds some must not wait for more, or all would wait for each other.
                let more = Arc::clone(&self.bodies).try_acquire_many_owned(missing).map_err(|_| Refusal::Busy)?;
                permit.merge(more);
            }
            if length == data.len() {
                whole = data;
                continue;
            }
            parts.reserve(length.max(guess) - parts.len());
            parts.extend_from_slice(&std::mem::take(&mut whole));
            parts.extend_from_slice(&data);
        }
        let bytes = if parts.is_empty() { whole } else { parts.freeze() };
        Ok(Held { bytes, permit })
    }

    /// Decompresses what was read, and gives back the room of the compressed bytes.
    pub(super) async fn decompress(&self, body: Held, encoding: Encoding) -> Result<Held, Refusal> {
        if encoding == Encoding::Identity {
            return Ok(body);
        }
        let limit = self.limits.message;
        let guess = compress::decompressed_len(encoding, &body.bytes).unwrap_or(limit).min(limit);
        let permit = acquire(&self.messages, guess).await?;
        match decompress(encoding, &body.bytes, guess).await {
            Err(compress::Error::TooLong { .. }) if guess < limit => {}
            other => return finish(other, permit, limit),
        }
        // The sender's word on the length was wrong; nothing of it is held while this waits.
        drop(permit);
        let permit = acquire(&self.messages, limit).await?;
        finish(decompress(encoding, &body.bytes, limit).await, permit, limit)
    }
}

fn finish(
    bytes: Result<Vec<u8>, compress::Error>,
    permit: OwnedSemaphorePermit,
    limit: usize,
) -> Result<Held, Refusal> {
    match bytes {
        Ok(bytes) => Ok(Held { bytes: bytes.into(), permit }),
        Err(compress::Error::TooLong { .. }) => Err(Refusal::TooLarge { limit, when: " when decompressed" }),
        Err(error @ compress::Error::Damaged { .. }) => Err(Refusal::Malformed(error.to_string())),
        Err(compress::Error::Failed(_)) => Err(Refusal::Busy),
    }
}

async fn decompress(encoding: Encoding, bytes: &Bytes, limit: usize) -> Result<Vec<u8>, compress::Error> {
    if bytes.len() < SMALL {
        return compress::decompress(encoding, bytes, limit);
    }
    let bytes = bytes.clone();
    let work = tokio::task::spawn_blocking(move || compress::decompress(encoding, &bytes, limit));
    work.await.unwrap_or_else(|error| Err(compress::Error::Failed(std::io::Error::other(error))))
}

async fn acquire(semaphore: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    // It fails only when closed, which it never is.
    Arc::clone(semaphore).acquire_many_owned(pages(bytes)).await.map_err(|_| Refusal::Busy)
}

fn pages(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PAGE).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt as _, stream};

    const SMALL_LIMITS: Limits = Limits {
        body: 8 * PAGE,
        message: 16 * PAGE,
        bodies: 10 * PAGE,
        messages: 20 * PAGE,
        arrival: Duration::from_secs(30),
    };

    fn body(parts: usize) -> Body {
        let parts = stream::iter(vec![Bytes::from(vec![7; PAGE]); parts]);
        Body::from_stream(parts.map(Ok::<_, std::io::Error>))
    }

    /// A body of which nothing more comes after its first part.
    fn unfinished() -> Body {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]);
        Body::from_stream(first.chain(stream::pending()))
    }

    #[tokio::test]
    async fn bodies_are_put_together_and_their_room_is_given_back() {
        let budget = Budget::new(SMALL_LIMITS);
        for parts in [0, 1, 2, 8] {
            let held = budget.read(body(parts), None).await.unwrap();
            assert_eq!(held.bytes, vec![7; parts * PAGE]);
            assert_eq!(budget.bodies.available_permits(), 10 - parts.max(8));
            drop(held);
            assert_eq!(budget.bodies.available_permits(), 10);
        }
    }

    #[tokio::test]
    async fn a_body_that_says_or_shows_that_it_is_too_long_is_refused() {
        let budget = Budget::new(SMALL_LIMITS);
        for length in [Some(9 * PAGE), None, Some(1)] {
            let refusal = budget.read(body(9), length).await.unwrap_err();
            assert_eq!(refusal, Refusal::TooLarge { limit: 8 * PAGE, when: "" });
        }
    }

    #[tokio::test]
    async fn who_holds_some_room_does_not_wait_for_more() {
        let budget = Budget::new(SMALL_LIMITS);
        let held = budget.read(body(8), None).await.unwrap();
        // Two pages are left: one that says it needs little and sends more is asked to come back.
        assert_eq!(budget.read(body(3), Some(1)).await.unwrap_err(), Refusal::Busy);
        // One that says what it needs waits until there is room.
        let mut waiting = std::pin::pin!(budget.read(body(3), Some(3 * PAGE)));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(held);
        assert_eq!(waiting.await.unwrap().bytes.len(), 3 * PAGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_stops_in_the_middle_is_cut_off() {
        let budget = Budget::new(SMALL_LIMITS);
        let refusal = budget.read(unfinished(), None).await.unwrap_err();
        assert_eq!(refusal, Refusal::Slow(Duration::from_secs(30)));
        assert_eq!(budget.bodies.available_permits(), 10);
    }

    #[tokio::test]
    async fn a_message_takes_room_by_its_decompressed_length() {
        let budget = Budget::new(SMALL_LIMITS);
        let decompress = async |length: usize| {
            let mut bytes = Vec::new();
            compress::zstd_compress(1, &vec![7; length], &mut bytes).unwrap();
            let held = budget.read(Body::from(bytes), None).await.unwrap();
            budget.decompress(held, Encoding::Zstd).await
        };
        let held = decompress(16 * PAGE).await.unwrap();
        assert_eq!((held.bytes.len(), budget.messages.available_permits()), (16 * PAGE, 4));
        assert_eq!(budget.bodies.available_permits(), 10, "the compressed bytes are gone");
        drop(held);
        let refusal = decompress(16 * PAGE + 1).await.unwrap_err();
        assert_eq!(refusal, Refusal::TooLarge { limit: 16 * PAGE, when: " when decompressed" });
        assert_eq!(budget.messages.available_permits(), 20);
    }
}
