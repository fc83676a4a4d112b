//! Between sources and export: what waits for the collector's answer, in memory, then on disk.
//!
//! Two ways in, by what the sender can do about a stall:
//!
//! * [`Buffer::send`] for a tailed file, which is its own buffer: waits for room in memory, and the receipt comes
//!   when the collector has stored the batch. Nothing is written to disk.
//! * [`Buffer::keep`] for what cannot be read again (samples, events, pushed batches, bytes about to be rotated away):
//!   waits until the batch is safe in memory (samples) or on disk (`durable`), and the buffer answers for it from
//!   then on. When the disk budget is full the oldest batch is dropped and counted.
//!
//! One way out: the exporter takes a [`Ticket`] with [`Buffer::next`] and says with [`Buffer::settle`] what became of
//! it. Log batches, kept batches and the backlog on disk take turns.
//!
//! A kept batch gets a number before it is first sent ([`yagura_model::delivery`]), so that the collector knows it
//! again. The queue that numbers it is new with every start of the agent: numbers need not survive a crash, for what
//! is on disk holds its number already.

mod disk;
mod memory;
mod metrics;
mod number;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, oneshot};

pub use memory::Ticket;
use memory::{LogBatch, Memory, Origin};
pub use metrics::{DropReason, METRICS, Metrics};
use number::Numbers;

/// Log batches that got nowhere for this long mean that delivery stalls.
const STALL: Duration = Duration::from_secs(5);

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

/// Why a batch was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It had to be on disk, and the disk does not take it.
    #[error("cannot write the batch to disk: {0}")]
    Disk(String),
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Stopping,
}

/// What waits for the collector; a cheap handle to one shared buffer.
#[derive(Clone, Debug)]
pub struct Buffer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    memory: Mutex<Memory>,
    /// Something can be taken.
    arrived: Notify,
    /// A kept batch has left memory.
    left: Notify,
    /// Bytes of log batches that may still come in.
    log_room: Arc<Semaphore>,
    log_limit: usize,
    numbers: Numbers,
    metrics: Metrics,
    /// There is no collector: nothing is kept.
    discards: bool,
}

impl Signal {
    /// The value of the label `signal`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::Traces => "traces",
        }
    }
}

impl Buffer {
    /// A buffer of `limit` bytes in memory, half of it for log batches, half for kept ones.
    #[must_use]
    pub fn in_memory(limit: usize) -> Self {
        Self::new(limit, "memory", Metrics::default(), false)
    }

    /// A buffer for an agent without a collector: what is kept is thrown away, what is sent never gets a receipt.
    #[must_use]
    pub fn without_collector() -> Self {
        Self::new(0, "none", Metrics::default(), true)
    }

    fn new(limit: usize, owner: &str, metrics: Metrics, discards: bool) -> Self {
        let half = limit / 2;
        let shared = Shared {
            memory: Mutex::new(Memory::new(half)),
            arrived: Notify::new(),
            left: Notify::new(),
            log_room: Arc::new(Semaphore::new(half)),
            log_limit: half,
            numbers: Numbers::new(owner),
            metrics,
            discards,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Gives a batch that can be read again. Waits for room; the receipt comes when the batch has its fate.
    pub async fn send(&self, batch: Batch) -> Receipt {
        let (sender, receipt) = oneshot::channel();
        let shared = &self.shared;
        if shared.discards {
            return receipt;
        }
        // A batch larger than the lane waits until it has the lane to itself.
        let size = batch.body.len().clamp(1, shared.log_limit.max(1));
        let permits = u32::try_from(size).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&shared.log_room).acquire_many_owned(permits).await else { return receipt };
        shared.metrics.batches_in.get_or_create(&(&batch).into()).inc();
        self.memory().push_log(LogBatch { batch, receipt: sender, room });
        shared.arrived.notify_one();
        receipt
    }

    /// Gives a batch that cannot be read again; when this returns the buffer answers for it.
    pub async fn keep(&self, batch: Batch, durable: bool) -> Result<(), KeepError> {
        let shared = &self.shared;
        if shared.discards {
            return Ok(());
        }
        if durable {
            return Err(KeepError::Disk("no buffer path is configured".into()));
        }
        shared.metrics.batches_in.get_or_create(&(&batch).into()).inc();
        let mut batch = Batch { body: shared.numbers.stamp(&batch.body), ..batch };
        loop {
            let left = shared.left.notified();
            let refused = self.memory().push_kept(batch);
            batch = match refused {
                Ok(()) => break,
                Err(batch) => batch,
            };
            let oldest = self.memory().pop_kept();
            match oldest {
                Some(oldest) => shared.metrics.drop_batches(DropReason::MemoryFull, 1, oldest.items),
                // All is being sent right now, and has its fate soon.
                None => left.await,
            }
        }
        shared.arrived.notify_one();
        Ok(())
    }

    /// Whether log batches have been waiting for some time without any getting through.
    #[must_use]
    pub fn stalled(&self) -> bool {
        self.memory().logs_waiting() > STALL
    }

    /// Whether there is no collector, so that nothing need be encoded.
    #[must_use]
    pub fn discards(&self) -> bool {
        self.shared.discards
    }

    /// Bytes waiting in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory().bytes()
    }

    /// The next batch to send; waits for one. Only one task may call this.
    pub async fn next(&self) -> Ticket {
        loop {
            let arrived = self.shared.arrived.notified();
            let ticket = self.memory().take();
            match ticket {
                Some(ticket) => return ticket,
                None => arrived.await,
            }
        }
    }

    /// A batch has its fate: its sender is told, and its room is free again.
    pub fn settle(&self, ticket: Ticket, outcome: Outcome) {
        let size = ticket.batch.body.len();
        self.shared.metrics.batches_out.get_or_create(&(&ticket.batch).into()).inc();
        match ticket.origin {
            Origin::Log { receipt, room } => {
                self.memory().log_done(size);
                drop(room);
                if receipt.send(outcome).is_err() {
                    tracing::trace!("nobody waits for the receipt any more");
                }
            }
            Origin::Kept => {
                self.memory().kept_done(size);
                self.shared.left.notify_waiters();
            }
            Origin::Disk(_) => {}
        }
    }

    /// A batch was not sent after all; it will be next in its lane.
    pub fn give_back(&self, ticket: Ticket) {
        match ticket.origin {
            Origin::Log { receipt, room } => {
                self.memory().log_again(LogBatch { batch: ticket.batch, receipt, room });
            }
            Origin::Kept => self.memory().kept_again(ticket.batch),
            Origin::Disk(at) => self.memory().set_disk_head((at, ticket.batch)),
        }
        self.shared.arrived.notify_one();
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
