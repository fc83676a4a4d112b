//! Between sources and export: what waits for the collector's answer, in memory, then on disk.
//!
//! Two ways in, by what the sender can do about a stall:
//!
//! * [`Buffer::send`] for a tailed file, which is its own buffer: waits for room in memory, and the receipt comes
//!   when the collector has stored the batch. Nothing is written to disk.
//! * [`Buffer::keep`] for what cannot be read again (samples, events, pushed batches, bytes about to be rotated away):
//!   waits until the batch is safe in memory (samples) or on disk (`durable`), and the buffer answers for it from
//!   then on. When the disk budget is full the oldest batch is dropped and counted.

use bytes::Bytes;
use tokio::sync::oneshot;

/// Which OTLP service a batch goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `MetricsService`.
    Metrics,
    /// `LogsService`.
    Logs,
    /// `TraceService`.
    Traces,
}

/// One OTLP export request on its way, at most 4 MiB; aim at 1 MiB or less.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its service.
    pub signal: Signal,
    /// The encoded `Export…ServiceRequest`, not compressed.
    pub body: Bytes,
    /// Samples, records or spans in it.
    pub items: u64,
}

/// What became of a batch given to [`Buffer::send`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The collector has it durable.
    Delivered,
    /// The collector will never take it; counted and reported already. The checkpoint may move past it.
    Refused(String),
}

/// Resolves when the fate of a batch is known; an error means the agent is stopping and nothing is known.
pub type Receipt = oneshot::Receiver<Outcome>;
