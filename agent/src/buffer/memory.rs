//! What waits in memory, in lanes that take turns: log batches, kept batches, and the head of the disk's queue.

use std::collections::VecDeque;

use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use super::{Batch, Outcome};

/// A batch taken for sending; it goes back with [`super::Buffer::settle`] or [`super::Buffer::give_back`].
#[derive(Debug)]
pub struct Ticket {
    /// What is to be sent.
    pub batch: Batch,
    pub(super) origin: Origin,
}

/// Where a batch came from, and with that who is told of its fate.
#[derive(Debug)]
pub(super) enum Origin {
    /// From [`super::Buffer::send`]; its room is given back when this is dropped.
    Log { receipt: oneshot::Sender<Outcome>, room: OwnedSemaphorePermit },
    /// From [`super::Buffer::keep`], held in memory.
    Kept,
    /// From the disk's queue, where it stays until it is settled.
    Disk(super::disk::Position),
}

/// A log batch with its sender's receipt.
#[derive(Debug)]
pub(super) struct LogBatch {
    pub(super) batch: Batch,
    pub(super) receipt: oneshot::Sender<Outcome>,
    pub(super) room: OwnedSemaphorePermit,
}

/// The three lanes.
#[derive(Debug)]
pub(super) struct Memory {
    logs: VecDeque<LogBatch>,
    kept: VecDeque<Batch>,
    disk_head: Option<(super::disk::Position, Batch)>,
    /// Bytes of kept batches, those being sent included.
    kept_bytes: usize,
    kept_limit: usize,
    /// Bytes of log batches, those being sent included.
    logs_bytes: usize,
    /// Log batches without a fate, those being sent included.
    logs_open: usize,
    /// When the log lane last got something done, or last began to wait.
    logs_moved: Instant,
    turn: Lane,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Logs,
    Kept,
    Disk,
}

impl Lane {
    fn next(self) -> Self {
        match self {
            Self::Logs => Self::Kept,
            Self::Kept => Self::Disk,
            Self::Disk => Self::Logs,
        }
    }
}

impl Memory {
    pub(super) fn new(kept_limit: usize) -> Self {
        Self {
            logs: VecDeque::new(),
            kept: VecDeque::new(),
            disk_head: None,
            kept_bytes: 0,
            kept_limit,
            logs_bytes: 0,
            logs_open: 0,
            logs_moved: Instant::now(),
            turn: Lane::Logs,
        }
    }

    pub(super) fn push_log(&mut self, log: LogBatch) {
        if self.logs_open == 0 {
            self.logs_moved = Instant::now();
        }
        self.logs_open += 1;
        self.logs_bytes += log.batch.body.len();
        self.logs.push_back(log);
    }

    /// Takes the batch in, or gives it back when there is no room. A batch larger than the whole lane is taken in when
    /// the lane is empty.
    pub(super) fn push_kept(&mut self, batch: Batch) -> Result<(), Batch> {
        if self.kept_bytes > 0 && self.kept_bytes.saturating_add(batch.body.len()) > self.kept_limit {
            return Err(batch);
        }
        self.force_kept(batch);
        Ok(())
    }

    /// Takes the batch in, room or not.
    pub(super) fn force_kept(&mut self, batch: Batch) {
        self.kept_bytes = self.kept_bytes.saturating_add(batch.body.len());
        self.kept.push_back(batch);
    }

    /// Takes the oldest kept batch out for good: to the disk, or to be dropped.
    pub(super) fn pop_kept(&mut self) -> Option<Batch> {
        let batch = self.kept.pop_front()?;
        self.kept_bytes = self.kept_bytes.saturating_sub(batch.body.len());
        Some(batch)
    }

    pub(super) fn wants_disk_head(&self) -> bool {
        self.disk_head.is_none()
    }

    pub(super) fn set_disk_head(&mut self, head: (super::disk::Position, Batch)) {
        self.disk_head = Some(head);
    }

    /// The next batch to send. The lanes take turns, so that neither a flood of logs nor an hour of backlog keeps the
    /// others waiting.
    pub(super) fn take(&mut self) -> Option<Ticket> {
        for _ in 0..3 {
            let lane = self.turn;
            self.turn = lane.next();
            let ticket = match lane {
                Lane::Logs => self.logs.pop_front().map(|log| Ticket {
                    batch: log.batch,
                    origin: Origin::Log { receipt: log.receipt, room: log.room },
                }),
                Lane::Kept => self.kept.pop_front().map(|batch| Ticket { batch, origin: Origin::Kept }),
                Lane::Disk => self.disk_head.take().map(|(at, batch)| Ticket { batch, origin: Origin::Disk(at) }),
            };
            if ticket.is_some() {
                return ticket;
            }
        }
        None
    }

    /// The next batch that is in memory only.
    pub(super) fn take_live(&mut self) -> Option<Ticket> {
        let head = self.disk_head.take();
        let ticket = self.take();
        self.disk_head = head;
        ticket
    }

    /// A kept batch has been delivered or given up.
    pub(super) fn kept_done(&mut self, size: usize) {
        self.kept_bytes = self.kept_bytes.saturating_sub(size);
    }

    /// A kept batch was not sent after all.
    pub(super) fn kept_again(&mut self, batch: Batch) {
        self.kept.push_front(batch);
    }

    /// A log batch has its fate.
    pub(super) fn log_done(&mut self, size: usize) {
        self.logs_open = self.logs_open.saturating_sub(1);
        self.logs_bytes = self.logs_bytes.saturating_sub(size);
        self.logs_moved = Instant::now();
    }

    /// A log batch was not sent after all.
    pub(super) fn log_again(&mut self, log: LogBatch) {
        self.logs.push_front(log);
    }

    /// How long the log lane has been waiting without getting anything done.
    pub(super) fn logs_waiting(&self) -> std::time::Duration {
        if self.logs_open == 0 { std::time::Duration::ZERO } else { self.logs_moved.elapsed() }
    }

    pub(super) fn bytes(&self) -> usize {
        let head = self.disk_head.as_ref().map_or(0, |(_, batch)| batch.body.len());
        self.kept_bytes + self.logs_bytes + head
    }
}
