//! Logs of containers, from the files in which their runtimes keep them, each line once.
//!
//! ```text
//! discover ─► chain (rotate, file) ─► read (json_file | cri, join) ─► batch (facts) ─► buffer ─► collector
//!                 ▲                                                                                 │
//!                 └────────────── checkpoint ◄────────────── settle ◄───────── receipts ◄───────────┘
//! ```
//!
//! A log is followed as a chain of files ([`chain`]): what is written now and, before it, what rotation left.
//! [`tail`] owns all logs and does no waiting; the loop here feeds it with time and answers. [`watch`] only hints,
//! everything is found by looking. Where files cannot be read, [`api`] asks the runtime instead.
//!
//! # Identity
//!
//! A record is (generation, stream, start, end): byte offsets in the uncompressed file. The generation names the
//! file's *content*, never its name or inode, which rotation changes:
//!
//! ```text
//! docker   <container id>:<xxh3-128 of the first line, up to 4 KiB>       the line holds its time, in nanoseconds
//! pods     <pod uid>/<container>/<run>:<hash>
//! plain    <path>:<hash>, after a lost checkpoint with a random part
//! api      <container id>:api:<stream>:<hash of the first piece and its time>
//! ```
//!
//! Another file of the same log with the same first line (fragments of one long line, a program that begins alike
//! after truncation) gets `+1`, `+2`, …: told apart by being *written* while the first is still there, was ended or
//! was longer. A rotated file that is a copy, by its last bytes, is the same generation. Invariants:
//!
//! * A file has no generation, and nothing of it is sent, until its first line is whole.
//! * The same bytes give the same records at every reading: what ends a line is in the bytes, or in the checkpoint
//!   before the line is sent ([`join`]).
//! * A stream's frontier in a file never lies within a line of that stream, not even one that began a file earlier.
//!   A batch that holds such a line covers its part of both files.
//! * `done ≤ said ≤ frontier ≤ read`, for each stream; `done` moves with answers only, and in the order of sending.
//! * A generation stays in the checkpoint, finished or not, as long as a file with that content is on disk.
//!
//! After a restart the directory is listed (`.log`, `.1`, `.2.gz`, …, to stability), each file's first line is
//! hashed, and each is finished, resumed at its offset (inside a `.gz` at the same one) or new. What the checkpoint
//! knows and the directory has not is a gap, reported and counted.

mod accounting;
mod api;
mod batch;
mod chain;
mod checkpoint;
mod config;
mod cri;
mod discover;
mod facts;
mod fields;
mod file;
mod join;
mod json_file;
mod level;
mod line;
mod probe;
mod read;
mod report;
mod rotate;
mod spool;
mod stamp;
mod tail;
mod trace_ids;
mod watch;

#[cfg(test)]
mod tests;

pub use checkpoint::Error as CheckpointError;
pub use config::{Config, FilesConfig, LimitsConfig};
pub use line::Format;
pub use probe::{Summary, read_through};
pub use report::METRICS;

use std::{
    hash::{BuildHasher, Hasher},
    os::fd::OwnedFd,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{Instant, sleep_until, timeout_at},
};
use yagura_daemon::clock;

use self::{
    api::Api,
    checkpoint::Checkpoints,
    report::Report,
    tail::{Fate, Now, Outgoing, SCAN, Tailer, Turn},
    watch::Watcher,
};
use super::{Context, docker};
use crate::buffer::{Buffer, Outcome};

/// How long what is written gathers before it is read: the fewer, larger batches cost less, and a live tail must
/// still show a line within 200 ms.
const LINGER: Duration = Duration::from_millis(80);

/// How long the disk buffer is left alone after it refused a batch.
const AFTER_REFUSAL: Duration = Duration::from_secs(2);

/// How long answers are waited for when the agent stops. What has none by then is sent again after the start.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What ends this source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The checkpoint cannot be opened.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The task that reads files ended before its time.
    #[error("the task that reads log files ended early")]
    Reader(#[source] tokio::task::JoinError),
}

type Answer = BoxFuture<'static, (u64, Fate)>;

/// Follows logs until told to stop.
pub async fn run(config: Config, context: Context) -> Result<(), Error> {
    if context.out.buffer().discards() {
        context.status.missing("there is no collector to send logs to", "set export.endpoints");
        context.stop.cancelled().await;
        return Ok(());
    }
    let path = config.checkpoint_path();
    let opened = tokio::task::spawn_blocking(move || Checkpoints::open(&path)).await.map_err(Error::Reader)?;
    let (checkpoints, damage) = opened?;
    let mut report = Report::new(&context);
    if let Some(damage) = damage {
        report.damaged(&damage);
    }
    // Followers of the API write theirs from tasks of their own.
    let cursors = config.checkpoint_path().with_extension("cursors");
    let opened = tokio::task::spawn_blocking(move || Checkpoints::open(&cursors)).await.map_err(Error::Reader)?;
    let (cursors, damage) = opened?;
    if let Some(damage) = damage {
        report.damaged(&damage);
    }
    let runtime = docker::Config { socket: config.socket.clone(), ..docker::Config::default() };
    let limits = (config.limits.line.bytes(), config.limits.partial.0);
    let api = Api::new(&context, runtime, limits, cursors);
    let watcher = match Watcher::new() {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            report.unwatched(&error);
            None
        }
    };
    let told = watcher.as_ref().and_then(|watcher| watcher.descriptor().ok()).and_then(readable);
    let tailer = Box::new(Tailer::new(config.settings(&context), checkpoints, watcher, random()));
    let (answers, start) = (FuturesUnordered::new(), Instant::now());
    Follower { tailer: Some(tailer), told, answers, api, asked: None, report, start, context }.run().await
}

#[expect(
    deprecated,
    reason = "an OwnedFd cannot lose its descriptor, which is what the new, unsafe constructor asks for"
)]
fn readable(descriptor: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE).ok()
}

/// A number that no earlier start has had.
fn random() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// The loop around the tailer.
struct Follower {
    /// Away while it reads, on a thread where it may block.
    tailer: Option<Box<Tailer>>,
    told: Option<AsyncFd<OwnedFd>>,
    answers: FuturesUnordered<Answer>,
    api: Api,
    /// When it was last looked which logs only the runtime gives.
    asked: Option<Instant>,
    report: Report,
    start: Instant,
    context: Context,
}

impl Follower {
    async fn run(mut self) -> Result<(), Error> {
        let stop = self.context.stop.clone();
        loop {
            let begun = Instant::now();
            let turn = self.turn().await?;
            if stop.is_cancelled() {
                break;
            }
            self.ask_runtime();
            self.report_now().await;
            if turn.more {
                self.take_answers();
                continue;
            }
            if stop.run_until_cancelled(self.wait(begun)).await.is_none() {
                break;
            }
        }
        self.finish().await
    }

    /// One turn of the tailer; its batches are on their way afterwards.
    async fn turn(&mut self) -> Result<Turn, Error> {
        let Some(mut tailer) = self.tailer.take() else { return Ok(Turn::default()) };
        let now = Now { wall: clock::now_nanos(), steady: self.start.elapsed() };
        let stalled = self.context.out.buffer().stalled();
        let inventory = self.context.inventory.clone();
        let work = move || {
            let turn = tailer.turn(now, stalled, &inventory);
            (tailer, turn)
        };
        let (tailer, mut turn) = tokio::task::spawn_blocking(work).await.map_err(Error::Reader)?;
        self.tailer = Some(tailer);
        for outgoing in turn.batches.drain(..) {
            self.answers.push(deliver(self.context.out.buffer().clone(), outgoing));
        }
        Ok(turn)
    }

    /// Waits until there is a reason for the next turn: something was written a little while ago, room for more has
    /// come while something waits to be read, or it is time to look.
    async fn wait(&mut self, begun: Instant) {
        let look = begun + SCAN;
        loop {
            tokio::select! {
                Some((ticket, fate)) = self.answers.next() => {
                    if self.settle(ticket, fate) {
                        return;
                    }
                }
                () = told(self.told.as_ref()) => {
                    self.answer_until((begun + LINGER).min(look)).await;
                    return;
                }
                () = sleep_until(look) => return,
            }
        }
    }

    /// Takes answers until `deadline`.
    async fn answer_until(&mut self, deadline: Instant) {
        loop {
            if self.answers.is_empty() {
                sleep_until(deadline).await;
                return;
            }
            match timeout_at(deadline, self.answers.next()).await {
                Ok(Some((ticket, fate))) => {
                    self.settle(ticket, fate);
                }
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }

    /// Takes the answers that are there already.
    fn take_answers(&mut self) {
        while let Some(Some((ticket, fate))) = self.answers.next().now_or_never() {
            self.settle(ticket, fate);
        }
    }

    /// Whether the answer makes room for what waits to be read.
    fn settle(&mut self, ticket: u64, fate: Fate) -> bool {
        let Some(tailer) = &mut self.tailer else { return false };
        tailer.settle(ticket, fate);
        tailer.waits_for_room()
    }

    /// Follows through the API what no file gives.
    fn ask_runtime(&mut self) {
        if self.asked.is_some_and(|last| last.elapsed() < SCAN) {
            return;
        }
        self.asked = Some(Instant::now());
        let Some(tailer) = &self.tailer else { return };
        let mut wanted = self.context.inventory.all();
        wanted.retain(|container| {
            let followed = tailer.follows(&container.id);
            if followed {
                self.api.forget(&container.id);
            }
            !followed && tail::needs_api(container)
        });
        self.api.follow(&wanted);
    }

    async fn report_now(&mut self) {
        if let Some(tailer) = &self.tailer {
            self.report.tell(tailer, self.api.len(), self.start.elapsed());
        }
        self.report.publish().await;
    }

    /// Keeps what would be gone after a restart, takes the answers that come soon, and writes the checkpoint.
    async fn finish(mut self) -> Result<(), Error> {
        self.api.close();
        let deadline = Instant::now() + LAST_ANSWERS;
        while Instant::now() < deadline {
            if let Some(tailer) = &mut self.tailer {
                tailer.stopping = true;
            }
            let turn = self.turn().await?;
            let idle = !turn.more && self.answers.is_empty();
            if idle {
                break;
            }
            if let Ok(Some((ticket, fate))) = timeout_at(deadline, self.answers.next()).await {
                self.settle(ticket, fate);
            }
        }
        self.report_now().await;
        if let Some(mut tailer) = self.tailer.take() {
            tokio::task::spawn_blocking(move || tailer.close()).await.map_err(Error::Reader)?;
        }
        Ok(())
    }
}

/// Resolves when something was told; never without inotify.
async fn told(descriptor: Option<&AsyncFd<OwnedFd>>) {
    match descriptor {
        Some(descriptor) => {
            if let Ok(mut guard) = descriptor.readable().await {
                guard.clear_ready();
            }
        }
        None => std::future::pending().await,
    }
}

/// Gives a batch to the buffer; resolves with its fate.
fn deliver(buffer: Buffer, outgoing: Outgoing) -> Answer {
    let Outgoing { ticket, batch, durable } = outgoing;
    async move {
        if durable {
            return match buffer.keep(batch, true).await {
                Ok(()) => (ticket, Fate::Delivered),
                Err(error) => {
                    tracing::warn!(%error, "log bytes that are about to be deleted were not kept");
                    tokio::time::sleep(AFTER_REFUSAL).await;
                    (ticket, Fate::Lost)
                }
            };
        }
        match buffer.send(batch).await.await {
            Ok(Outcome::Delivered) => (ticket, Fate::Delivered),
            Ok(Outcome::Refused(_)) => (ticket, Fate::Refused),
            // The agent is stopping; what is read again meets the same end.
            Err(_) => {
                tokio::time::sleep(AFTER_REFUSAL).await;
                (ticket, Fate::Lost)
            }
        }
    }
    .boxed()
}
