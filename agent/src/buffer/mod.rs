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
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use yagura_daemon::config::{Faults, SizeText, Validate};

pub use disk::Worker;
use disk::{Command, Disk, Position};

pub use memory::Ticket;
use memory::{LogBatch, Memory, Origin};
pub use metrics::{DropReason, METRICS, Metrics};
use number::Numbers;

use crate::status::StatusHandle;

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

/// The `buffer` block.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What may wait in memory, half of it log batches.
    pub memory: SizeText,
    /// What may wait on disk; 0 for nothing.
    pub disk: SizeText,
    /// The folder of what must survive a restart: the buffer's files and the checkpoints of logs.
    pub path: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self { memory: SizeText::mib(8), disk: SizeText::mib(1024), path: "/var/lib/yagura/agent".into() }
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        if self.memory < SizeText::mib(1) {
            faults.add("memory", "expected at least 1MiB");
        }
        if self.disk.0 > 0 && self.disk < SizeText::mib(1) {
            faults.add("disk", "expected at least 1MiB, or 0 for no disk buffer");
        }
        if self.path.as_os_str().is_empty() {
            faults.add("path", "expected a folder");
        }
    }
}

/// What waits for the collector; a cheap handle to one shared buffer.
#[derive(Clone, Debug)]
pub struct Buffer {
    shared: Arc<Shared>,
}

/// What a buffer holds, and what it lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in memory.
    pub memory_bytes: usize,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Bytes that may be on disk.
    pub disk_limit: u64,
    /// Batches given up since the start.
    pub dropped_batches: u64,
}

#[derive(Debug)]
struct Shared {
    memory: Mutex<Memory>,
    /// Something can be taken.
    arrived: Notify,
    /// Bytes of log batches that may still come in.
    log_room: Arc<Semaphore>,
    log_limit: usize,
    numbers: Numbers,
    metrics: Metrics,
    /// There is no collector: nothing is kept.
    discards: bool,
    /// The way to the disk, when there is one.
    disk: Option<mpsc::Sender<Command>>,
    /// Records of the disk that have their fate; the disk's task takes them from here.
    settled: Mutex<Vec<Position>>,
    /// The disk's head was taken, or something was settled.
    disk_wanted: Notify,
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_settled(&self) -> Vec<Position> {
        std::mem::take(&mut *self.settled.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Logs, Self::Traces];

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
        Self::new(limit, "memory", Metrics::default(), None)
    }

    /// A buffer for an agent without a collector: what is kept is thrown away, what is sent never gets a receipt.
    #[must_use]
    pub fn without_collector() -> Self {
        let mut buffer = Self::in_memory(0);
        if let Some(shared) = Arc::get_mut(&mut buffer.shared) {
            shared.discards = true;
        }
        buffer
    }

    /// The buffer that `config` describes, and the task of its disk. A disk that cannot be used is reported; the
    /// buffer then has its memory only. Blocks while it looks through what an earlier run left.
    #[must_use]
    pub fn open(config: &Config, owner: &str, metrics: Metrics, status: StatusHandle) -> (Self, Option<Worker>) {
        let limit = config.memory.bytes();
        if config.disk.0 == 0 {
            return (Self::new(limit, owner, metrics, None), None);
        }
        metrics.disk_limit.set(i64::try_from(config.disk.0).unwrap_or(i64::MAX));
        let (disk, recovery) = match Disk::open(&config.path.join("buffer"), config.disk.0) {
            Ok(opened) => opened,
            Err(error) => {
                status.degraded(
                    format!("{error}; what does not fit into memory is lost"),
                    "make buffer.path a folder that the agent may write, or set buffer.disk to 0",
                );
                return (Self::new(limit, owner, metrics, None), None);
            }
        };
        for damage in &recovery.damage {
            tracing::warn!(damage, "a part of the disk buffer was set aside");
        }
        if !recovery.damage.is_empty() {
            status.set(
                "recovery",
                serde_json::json!({
                    "damaged_bytes": recovery.damaged_bytes, "damage": recovery.damage,
                }),
            );
        }
        if recovery.waiting.batches > 0 {
            tracing::info!(batches = recovery.waiting.batches, "an earlier run left batches to be delivered");
        }
        let (sender, commands) = disk::channel();
        let buffer = Self::new(limit, owner, metrics, Some(sender));
        let worker = Worker::new(disk, commands, Arc::clone(&buffer.shared), status);
        (buffer, Some(worker))
    }

    fn new(limit: usize, owner: &str, metrics: Metrics, disk: Option<mpsc::Sender<Command>>) -> Self {
        let half = limit / 2;
        let shared = Shared {
            memory: Mutex::new(Memory::new(half)),
            arrived: Notify::new(),
            log_room: Arc::new(Semaphore::new(half)),
            log_limit: half,
            numbers: Numbers::new(owner),
            metrics,
            discards: false,
            disk,
            settled: Mutex::default(),
            disk_wanted: Notify::new(),
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
        shared.memory().push_log(LogBatch { batch, receipt: sender, room });
        self.memory_changed();
        shared.arrived.notify_one();
        receipt
    }

    /// Gives a batch that cannot be read again; when this returns the buffer answers for it.
    pub async fn keep(&self, batch: Batch, durable: bool) -> Result<(), KeepError> {
        let shared = &self.shared;
        if shared.discards {
            return Ok(());
        }
        if shared.log_room.is_closed() {
            return Err(KeepError::Stopping);
        }
        let batch = Batch { body: shared.numbers.stamp(&batch.body), ..batch };
        shared.metrics.batches_in.get_or_create(&(&batch).into()).inc();
        if durable {
            self.to_disk(batch, true).await.map_err(|(_, error)| error)
        } else {
            self.keep_in_memory(batch).await;
            Ok(())
        }
    }

    /// Puts a batch into memory. What is pushed out of it goes to disk, or is lost and counted. When all of memory is
    /// being sent right now there is nothing to push out, and memory holds one batch more than it should: its sender
    /// must not hang on a collector that does.
    async fn keep_in_memory(&self, batch: Batch) {
        let shared = &self.shared;
        let mut batch = batch;
        loop {
            let oldest = {
                let mut memory = shared.memory();
                match memory.push_kept(batch) {
                    Ok(()) => break,
                    Err(refused) => {
                        batch = refused;
                        let oldest = memory.pop_kept();
                        if oldest.is_none() {
                            memory.force_kept(batch);
                            break;
                        }
                        oldest
                    }
                }
            };
            if let Some(oldest) = oldest {
                self.spill(oldest, DropReason::MemoryFull).await;
            }
        }
        self.memory_changed();
        shared.arrived.notify_one();
    }

    async fn spill(&self, batch: Batch, otherwise: DropReason) {
        if let Err((items, _)) = self.to_disk(batch, false).await {
            self.shared.metrics.drop_batches(otherwise, 1, items);
        }
    }

    /// Writes a batch to disk; an error comes with the items that are lost with it.
    async fn to_disk(&self, batch: Batch, durable: bool) -> Result<(), (u64, KeepError)> {
        let items = batch.items;
        let Some(disk) = &self.shared.disk else {
            return Err((items, KeepError::Disk("there is no disk buffer".into())));
        };
        let (done, answer) = oneshot::channel();
        if disk.send(Command::Append { batch, durable, done }).await.is_err() {
            return Err((items, KeepError::Stopping));
        }
        match answer.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err((items, KeepError::Disk(error))),
            Err(_) => Err((items, KeepError::Stopping)),
        }
    }

    /// Takes nothing more in and writes what memory holds to disk; to be called when the exporter has ended. Log
    /// batches without a fate are read again by the next run.
    pub async fn close(&self) {
        let shared = &self.shared;
        shared.log_room.close();
        while let Some(batch) = { shared.memory().pop_kept() } {
            self.spill(batch, DropReason::Stopped).await;
        }
        if let Some(disk) = &shared.disk
            && disk.send(Command::Close).await.is_err()
        {
            tracing::warn!("the disk buffer ended before it was closed");
        }
        self.memory_changed();
    }

    /// Whether log batches have been waiting for some time without any getting through.
    #[must_use]
    pub fn stalled(&self) -> bool {
        self.shared.memory().logs_waiting() > STALL
    }

    /// Whether there is no collector, so that nothing need be encoded.
    #[must_use]
    pub fn discards(&self) -> bool {
        self.shared.discards
    }

    /// Bytes waiting in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.shared.memory().bytes()
    }

    /// What it holds, and what it lost.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let metrics = &self.shared.metrics;
        let bytes = |gauge: &prometheus_client::metrics::gauge::Gauge| u64::try_from(gauge.get()).unwrap_or(0);
        Usage {
            memory_bytes: self.memory_bytes(),
            disk_bytes: bytes(&metrics.disk_bytes),
            disk_limit: bytes(&metrics.disk_limit),
            dropped_batches: metrics.dropped(),
        }
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The next batch to send; waits for one. Only one task may call this.
    pub async fn next(&self) -> Ticket {
        loop {
            let arrived = self.shared.arrived.notified();
            let ticket = self.shared.memory().take();
            match ticket {
                Some(ticket) => {
                    if matches!(ticket.origin, Origin::Disk(_)) {
                        self.shared.disk_wanted.notify_one();
                    }
                    return ticket;
                }
                None => arrived.await,
            }
        }
    }

    /// The next batch in memory, if there is one; for the end, when the backlog on disk is left to the next run.
    #[must_use]
    pub fn try_next_live(&self) -> Option<Ticket> {
        self.shared.memory().take_live()
    }

    /// A batch has its fate: its sender is told, and its room is free again.
    pub fn settle(&self, ticket: Ticket, outcome: Outcome) {
        let shared = &self.shared;
        let size = ticket.batch.body.len();
        shared.metrics.batches_out.get_or_create(&(&ticket.batch).into()).inc();
        match ticket.origin {
            Origin::Log { receipt, room } => {
                shared.memory().log_done(size);
                drop(room);
                if receipt.send(outcome).is_err() {
                    tracing::trace!("nobody waits for the receipt any more");
                }
            }
            Origin::Kept => shared.memory().kept_done(size),
            Origin::Disk(at) => {
                shared.settled.lock().unwrap_or_else(PoisonError::into_inner).push(at);
                shared.disk_wanted.notify_one();
            }
        }
        self.memory_changed();
    }

    /// A batch was not sent after all; it will be next in its lane.
    pub fn give_back(&self, ticket: Ticket) {
        let mut memory = self.shared.memory();
        match ticket.origin {
            Origin::Log { receipt, room } => memory.log_again(LogBatch { batch: ticket.batch, receipt, room }),
            Origin::Kept => memory.kept_again(ticket.batch),
            // It is still on disk, where the next run finds it.
            Origin::Disk(_) => {}
        }
        drop(memory);
        self.shared.arrived.notify_one();
    }

    fn memory_changed(&self) {
        let bytes = self.memory_bytes();
        self.shared.metrics.memory_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests;
