//! The one task that owns the disk's queue. What blocks runs away from the async threads; requests that came meanwhile
//! are done together, with one sync for all of them.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinError,
    time::{MissedTickBehavior, interval},
};

use super::{Disk, Lost, Position};
use crate::{
    buffer::{Batch, DropReason, Shared},
    status::StatusHandle,
};

/// Requests that may wait; each is a batch in memory, but its sender waits for the answer.
const REQUESTS: usize = 16;
/// Requests done in one go.
const GROUP: usize = 8;
/// How often the cursor is written and what need not be durable is synced.
const TIDY: Duration = Duration::from_secs(1);

const FULL_HINT: &str = "free some space on the disk of buffer.path, or lower buffer.disk";

/// What the disk is asked to do.
#[derive(Debug)]
pub(in super::super) enum Command {
    /// Append a batch, and answer when it is in the file (or, `durable`, on the disk).
    Append { batch: Batch, durable: bool, done: Sender },
    /// Nothing more will come: write everything down and end.
    Close,
}

/// The queue's task, to be run.
#[derive(Debug)]
pub struct Worker {
    disk: Disk,
    commands: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    status: StatusHandle,
}

/// The way to a worker that is still to be made.
pub(in super::super) fn channel() -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    mpsc::channel(REQUESTS)
}

/// Who waits for an answer.
type Sender = oneshot::Sender<Result<(), String>>;

/// One go: what to do, and afterwards what came of it.
struct Work {
    disk: Disk,
    settled: Vec<Position>,
    commands: Vec<Command>,
    wants_head: bool,
    tidy: bool,
    done: Done,
}

#[derive(Default)]
struct Done {
    answers: Vec<(Sender, Result<(), String>)>,
    head: Option<(Position, Batch)>,
    dropped: Lost,
    damaged: Lost,
    spilled: u64,
    errors: Vec<String>,
    close: bool,
}

impl Worker {
    pub(in super::super) fn new(
        disk: Disk,
        commands: mpsc::Receiver<Command>,
        shared: Arc<Shared>,
        status: StatusHandle,
    ) -> Self {
        Self { disk, commands, shared, status }
    }

    /// Serves the disk until the buffer is closed.
    pub async fn run(self) -> Result<(), JoinError> {
        let Self { mut disk, mut commands, shared, status } = self;
        let mut ticks = interval(TIDY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut received = Vec::new();
            let mut tidy = false;
            tokio::select! {
                count = commands.recv_many(&mut received, GROUP) => {
                    if count == 0 {
                        received.push(Command::Close);
                    }
                }
                () = shared.disk_wanted.notified() => {}
                _ = ticks.tick() => tidy = true,
            }
            let settled = shared.take_settled();
            let wants_head = shared.memory().wants_disk_head();
            let work = Work { disk, settled, commands: received, wants_head, tidy, done: Done::default() };
            let work = tokio::task::spawn_blocking(move || work.run()).await?;
            disk = work.disk;
            let close = work.done.close;
            report(&shared, &status, &disk, work.done);
            if close {
                return Ok(());
            }
        }
    }
}

impl Work {
    fn run(mut self) -> Self {
        for position in std::mem::take(&mut self.settled) {
            self.disk.settle(position);
        }
        let mut answers = Vec::new();
        let mut sync = false;
        for command in std::mem::take(&mut self.commands) {
            match command {
                Command::Append { batch, durable, done } => {
                    let result = self.disk.push(&batch);
                    sync |= durable;
                    let answer = match result {
                        Ok(lost) => {
                            self.done.dropped.add(lost);
                            self.done.spilled += 1;
                            Ok(())
                        }
                        Err(error) => {
                            self.done.errors.push(error.to_string());
                            Err(error.to_string())
                        }
                    };
                    answers.push((done, durable, answer));
                }
                Command::Close => self.done.close = true,
            }
        }
        let synced = if sync || self.tidy || self.done.close { self.disk.sync() } else { Ok(()) };
        let sync_error = synced.err().map(|error| error.to_string());
        self.done.errors.extend(sync_error.clone());
        for (sender, durable, answer) in answers {
            let answer = match (&sync_error, durable) {
                (Some(error), true) => answer.and(Err(error.clone())),
                _ => answer,
            };
            self.done.answers.push((sender, answer));
        }
        if self.wants_head && !self.done.close {
            (self.done.head, self.done.damaged) = self.disk.next();
        }
        if self.tidy || self.done.close {
            self.done.errors.extend(self.disk.tidy().err().map(|error| error.to_string()));
        }
        self
    }
}

fn report(shared: &Shared, status: &StatusHandle, disk: &Disk, done: Done) {
    let metrics = &shared.metrics;
    metrics.disk_bytes.set(i64::try_from(disk.bytes()).unwrap_or(i64::MAX));
    metrics.spilled.inc_by(done.spilled);
    metrics.drop_batches(DropReason::DiskFull, done.dropped.batches, done.dropped.items);
    metrics.drop_batches(DropReason::Damaged, done.damaged.batches, done.damaged.items);
    metrics.disk_errors.inc_by(u64::try_from(done.errors.len()).unwrap_or(u64::MAX));
    match done.errors.into_iter().next() {
        Some(error) => status.degraded(format!("cannot write the disk buffer: {error}"), FULL_HINT),
        // A successful write is what shows that the disk works again.
        None if done.spilled > 0 => status.ok(),
        None => {}
    }
    if let Some(head) = done.head {
        shared.memory().set_disk_head(head);
        shared.arrived.notify_one();
    }
    for (sender, answer) in done.answers {
        if sender.send(answer).is_err() {
            tracing::trace!("nobody waits for the disk's answer any more");
        }
    }
}
