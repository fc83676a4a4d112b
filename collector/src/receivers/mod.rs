//! Where data comes in: OTLP over gRPC and over HTTP, and Prometheus' remote write. Every protocol is a router; all of
//! them end in one [`Receiver`], which bounds memory, checks tokens, counts, and appends to storage.
//!
//! ```text
//! request ─► token ─► size caps ─► decompress (capped) ─► storage.append ─► answer once durable
//! ```
//!
//! A request is answered only after storage said that it is durable. What storage can not take now is answered with a
//! time to try again; what it never will with what was wrong, and how many items that were.
//!
//! To add a protocol: a file here with `router(receiver)` that ends in [`Receiver::append`], and one line where the
//! routers are nested.

mod counters;
mod limits;
pub mod otlp_grpc;
pub mod otlp_http;
pub mod remote_write;

use std::{sync::Arc, time::Duration};

use axum::http::HeaderMap;
use bytes::Bytes;
use prometheus_client::registry::Registry;
use yagura_codec::grpc::{Code, Status};
use yagura_daemon::{auth, clock, secret::Secret};

pub use self::limits::Limits;
use self::{
    counters::{Counters, Protocol},
    limits::Budget,
};
use crate::storage::{self, Appended, Storage};

/// The three kinds of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Samples.
    Metrics,
    /// Log records.
    Logs,
    /// Spans.
    Traces,
}

/// What a receiver needs to know.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What one request, and all together, may cost.
    pub limits: Limits,
    /// Bearer tokens that may send; with none, everybody may.
    pub tokens: Vec<Secret>,
}

/// Takes requests of every protocol; cheap to clone.
#[derive(Clone, Debug)]
pub struct Receiver {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    storage: Storage,
    settings: Settings,
    budget: Budget,
    counters: Counters,
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No valid token.
    #[error("expected a valid bearer token in the header `authorization`")]
    Unauthenticated,
    /// Longer than allowed.
    #[error("request is longer than {limit} bytes{when}")]
    TooLarge {
        /// What is allowed.
        limit: usize,
        /// Before or after decompression.
        when: &'static str,
    },
    /// A compression that is not known here.
    #[error("compression `{0}` is not supported; use zstd, gzip or none")]
    Encoding(String),
    /// A kind of body that is not known here.
    #[error("content type `{given}` is not supported; use {expected}")]
    MediaType {
        /// What came.
        given: String,
        /// What would do.
        expected: &'static str,
    },
    /// Not what the protocol says.
    #[error("{0}")]
    Malformed(String),
    /// The sender is too slow.
    #[error("request took longer than {} s to arrive", .0.as_secs())]
    Slow(Duration),
    /// Too many requests at once.
    #[error("too much is on its way at once, try again in a moment")]
    Busy,
    /// Storage does not take writes now.
    #[error("{reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
}

/// When to try again after [`Refusal::Busy`]: about as long as a few requests take.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// When to try again after storage failed: it is reopened, or a person has to look.
const FAILED_RETRY: Duration = Duration::from_secs(10);

impl Refusal {
    /// The value of the label `reason` in our own metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::TooLarge { .. } => "too_large",
            Self::Encoding(_) => "encoding",
            Self::MediaType { .. } => "media_type",
            Self::Malformed(_) => "malformed",
            Self::Slow(_) => "slow",
            Self::Busy => "busy",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// The same as gRPC says it. Only what may be tried again has a code or a `RetryInfo` that OTLP retries.
    #[must_use]
    pub fn status(&self) -> Status {
        let code = match self {
            Self::Unauthenticated => Code::Unauthenticated,
            Self::TooLarge { .. } | Self::Busy => Code::ResourceExhausted,
            Self::Encoding(_) => Code::Unimplemented,
            Self::MediaType { .. } | Self::Malformed(_) => Code::InvalidArgument,
            Self::Slow(_) => Code::DeadlineExceeded,
            Self::Unavailable { .. } => Code::Unavailable,
        };
        Status { code, message: self.to_string(), retry_after: self.retry_after() }
    }

    /// When to try the same again; `None` when that is of no use.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy => Some(BUSY_RETRY),
            Self::Unavailable { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

impl From<storage::Error> for Refusal {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::Malformed(_) | storage::Error::TooMuch { .. } => Self::Malformed(error.to_string()),
            storage::Error::Unavailable { retry_after, .. } => {
                Self::Unavailable { reason: error.to_string(), retry_after }
            }
            // A sender that drops what the engine failed on would lose it for good.
            storage::Error::Failed(_) => Self::Unavailable { reason: error.to_string(), retry_after: FAILED_RETRY },
        }
    }
}

impl Receiver {
    /// A receiver in front of `storage`; its own metrics go into `registry`.
    #[must_use]
    pub fn new(storage: Storage, settings: Settings, registry: &mut Registry) -> Self {
        let budget = Budget::new(settings.limits);
        let counters = Counters::new(registry);
        Self { inner: Arc::new(Inner { storage, settings, budget, counters }) }
    }

    /// Whether a request with these headers may send.
    fn authenticate(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let tokens = &self.inner.settings.tokens;
        // All are compared, so that the time does not tell which one was close.
        let matching = tokens.iter().filter(|token| auth::has_bearer(headers, token)).count();
        if tokens.is_empty() || matching > 0 { Ok(()) } else { Err(Refusal::Unauthenticated) }
    }

    /// Stores an encoded OTLP request; durable when this returns.
    pub async fn append(&self, signal: Signal, request: Bytes) -> Result<Appended, Refusal> {
        let now = clock::now();
        let storage = &self.inner.storage;
        let appended = match signal {
            Signal::Metrics => storage.metrics.append(request, now).await,
            Signal::Logs => storage.logs.append(request, now).await,
            Signal::Traces => storage.traces.append(request, now).await,
        };
        let appended = appended.inspect_err(log_failure)?;
        self.inner.counters.appended(signal, &appended);
        Ok(appended)
    }

    fn refused(&self, signal: Signal, protocol: Protocol, refusal: &Refusal) {
        self.inner.counters.refused(signal, protocol, refusal.reason());
    }

    fn received(&self, signal: Signal, protocol: Protocol, bytes: usize) {
        self.inner.counters.received(signal, protocol, bytes);
    }
}

fn log_failure(error: &storage::Error) {
    if let storage::Error::Failed(_) = error {
        tracing::error!(%error, "storage failed to take a request");
    }
}

/// What a sender is told of items that were refused: reason, count and an example of each.
fn rejected_message(appended: &Appended) -> (i64, String) {
    let total = appended.rejected.iter().map(|rejected| rejected.count).sum::<u64>();
    let parts: Vec<String> = appended
        .rejected
        .iter()
        .map(|rejected| format!("{} {} ({})", rejected.count, rejected.reason.as_str(), rejected.example))
        .collect();
    (i64::try_from(total).unwrap_or(i64::MAX), parts.join("; "))
}

#[cfg(test)]
mod tests;
