//! The thread that takes requests in turn, decides what of each is new, and puts groups together. It owns what only
//! one may own: which bytes are known as which series, what was delivered, the next sequence.
//!
//! It also starts the committer and the sealer, stops them, and opens the store again after a failed write.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed},
        mpsc::{self as std_mpsc, SyncSender, TrySendError},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{
    mpsc::{Receiver, WeakSender},
    oneshot,
};
use yagura_model::Timestamp;

use super::{
    Phase, Store, committer, committer::Work, delivered::Delivered, group::Group, keyspaces::Change, logs, metrics,
    recovery, sealer, unavailable,
};
use crate::storage::{Appended, Error};

/// Groups and sealed batches on their way to the committer; more would only be memory.
const WORK: usize = 4;
/// A group is handed over at this size, whoever waits.
const GROUP_BYTES: usize = 8 << 20;
/// Records are numbered within their group; see `logs::head::PER_GROUP`.
const GROUP_RECORDS: u64 = 4_000_000;
/// Series and streams that got nothing for so long, and have nothing in memory, are forgotten.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// How often the idle ones are looked for, by the time that comes with requests.
const FORGET: Duration = Duration::from_secs(10 * 60);
/// How long to wait between two attempts to open the store again.
const AGAIN: Duration = Duration::from_millis(500);

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Job {
    Metrics {
        request: Bytes,
        now: Timestamp,
        reply: oneshot::Sender<Result<Appended, Error>>,
    },
    Logs {
        request: Bytes,
        now: Timestamp,
        reply: oneshot::Sender<Result<Appended, Error>>,
    },
    State {
        changes: Vec<Change>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    Close(oneshot::Sender<Result<(), Error>>),
    /// Somebody noticed that the store is broken.
    Wake,
}

/// The thread's state over all openings of the store.
pub(super) struct Writer {
    phase: Arc<RwLock<Phase>>,
    jobs: Receiver<Job>,
    wake: WeakSender<Job>,
}

/// Why serving an open store ended.
enum End {
    /// Nobody is left, or somebody asked for it.
    Closed(Option<oneshot::Sender<Result<(), Error>>>),
    /// A write failed.
    Broken,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        store: Arc<Store>,
        first: Group,
        phase: Arc<RwLock<Phase>>,
        jobs: Receiver<Job>,
        wake: WeakSender<Job>,
    ) -> std::io::Result<()> {
        let writer = Self { phase, jobs, wake };
        Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(store, first)).map(drop)
    }

    fn run(mut self, mut store: Arc<Store>, mut first: Group) {
        loop {
            match self.serve(&store, first) {
                End::Closed(reply) => {
                    self.set(Phase::Down("the store was closed".to_owned()));
                    let broken = store.broken();
                    drop(store);
                    if let Some(reply) = reply {
                        // Whoever asked may not wait any more.
                        drop(reply.send(broken.map_or(Ok(()), |reason| Err(Error::Failed(reason)))));
                    }
                    return;
                }
                End::Broken => {
                    let (config, counters, now) = (store.config.clone(), Arc::clone(&store.counters), store.now());
                    let reason = store.broken_error().to_string();
                    // A write that failed says so itself; poison without it comes from a flush or a compaction that
                    // stumbled, over a full disk or over damage.
                    let suspect = store.broken().is_some_and(|reason| reason.contains("Poisoned"));
                    self.set(Phase::Down(reason.clone()));
                    drop(store);
                    let Some(opened) = self.open_again(&config, &counters, (now, suspect), &reason) else { return };
                    (store, first) = opened;
                    self.set(Phase::Open(Arc::clone(&store)));
                }
            }
        }
    }

    fn set(&self, phase: Phase) {
        *self.phase.write().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Tries until the store is open again; whoever asks meanwhile is told to try again. `None` when it is closed.
    fn open_again(
        &mut self,
        config: &crate::storage::config::Config,
        counters: &Arc<super::counters::Counters>,
        (now, suspect): (Timestamp, bool),
        reason: &str,
    ) -> Option<(Arc<Store>, Group)> {
        loop {
            match recovery::open(config, counters, now, suspect) {
                Ok((store, first, recovery)) => {
                    tracing::warn!(%recovery, "the store is open again");
                    return Some((store, first));
                }
                Err(error) => tracing::warn!(%error, "the store cannot be opened again yet"),
            }
            std::thread::park_timeout(AGAIN);
            loop {
                match self.jobs.try_recv() {
                    Ok(Job::Metrics { reply, .. } | Job::Logs { reply, .. }) => {
                        drop(reply.send(Err(unavailable(reason))));
                    }
                    Ok(Job::State { reply, .. }) => drop(reply.send(Err(unavailable(reason)))),
                    Ok(Job::Close(reply)) => {
                        drop(reply.send(Err(unavailable(reason))));
                        return None;
                    }
                    Ok(Job::Wake) => {}
                    Err(tokio::sync::mpsc::error::TryRecvError::Empty) => break,
                    Err(tokio::sync::mpsc::error::TryRecvError::Disconnected) => return None,
                }
            }
        }
    }

    /// Serves one open store: starts the other two threads, works, stops them.
    fn serve(&mut self, store: &Arc<Store>, first: Group) -> End {
        let (work, taken) = std_mpsc::sync_channel(WORK);
        let stop = Arc::new(AtomicBool::new(false));
        let committer = spawn("store-committer", {
            let (store, wake) = (Arc::clone(store), self.wake.clone());
            move || {
                committer::run(&store, &taken);
                if store.broken().is_some()
                    && let Some(writer) = wake.upgrade()
                {
                    // A full queue wakes the writer as well.
                    drop(writer.try_send(Job::Wake));
                }
            }
        });
        let sealer = spawn("store-sealer", {
            let (store, work, stop) = (Arc::clone(store), work.clone(), Arc::clone(&stop));
            move || sealer::run(&store, &work, &stop)
        });
        let (Ok(committer), Ok(sealer)) = (committer, sealer) else {
            store.break_down("cannot start a thread".to_owned());
            return End::Broken;
        };
        let mut serving = Serving {
            store,
            work,
            sealer,
            group: Some(first),
            metrics: metrics::ingest::Cache::default(),
            logs: logs::ingest::Cache::default(),
            delivered: Delivered::default(),
            forgot: store.now(),
        };
        let close = serving.run(&mut self.jobs);
        let Serving { work, sealer, .. } = serving;
        stop.store(true, Relaxed);
        sealer.thread().unpark();
        join(sealer);
        drop(work);
        join(committer);
        match (close, store.broken()) {
            (None, Some(_)) => End::Broken,
            (close, _) => End::Closed(close),
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(run)
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the store panicked");
    }
}

/// The writer while a store is open.
struct Serving<'a> {
    store: &'a Store,
    work: SyncSender<Work>,
    sealer: JoinHandle<()>,
    /// The group being put together.
    group: Option<Group>,
    metrics: metrics::ingest::Cache,
    logs: logs::ingest::Cache,
    delivered: Delivered,
    forgot: Timestamp,
}

impl Serving<'_> {
    /// Works until somebody closes the store, nobody is left, or a write failed.
    fn run(&mut self, jobs: &mut Receiver<Job>) -> Option<oneshot::Sender<Result<(), Error>>> {
        // What the replay left to be recorded goes first.
        self.hand_over(true);
        loop {
            let job = jobs.blocking_recv()?;
            if let Some(reply) = self.take(job) {
                return Some(reply);
            }
            // As long as the committer is busy, more requests join the group.
            while !self.hand_over(false) {
                let Ok(job) = jobs.try_recv() else {
                    self.hand_over(true);
                    break;
                };
                if let Some(reply) = self.take(job) {
                    self.hand_over(true);
                    return Some(reply);
                }
            }
            if self.store.broken().is_some() {
                return None;
            }
            self.forget_idle();
            self.wait_for_room();
        }
    }

    /// Does one job; the reply of one that closes the store comes back.
    fn take(&mut self, job: Job) -> Option<oneshot::Sender<Result<(), Error>>> {
        match job {
            Job::Metrics { request, now, reply } => {
                let group = self.group.as_mut()?;
                group.now = group.now.max(now);
                let appended =
                    metrics::ingest::append(self.store, &mut self.metrics, &mut self.delivered, group, &request, now);
                answer(group, request.len(), appended, reply);
            }
            Job::Logs { request, now, reply } => {
                let group = self.group.as_mut()?;
                group.now = group.now.max(now);
                let appended =
                    logs::ingest::append(self.store, &mut self.logs, &mut self.delivered, group, &request, now);
                answer(group, request.len(), appended, reply);
            }
            Job::State { changes, reply } => {
                if let Err(std_mpsc::SendError(Work::State { reply, .. })) =
                    self.work.send(Work::State { changes, reply })
                {
                    drop(reply.send(Err(self.store.broken_error())));
                }
            }
            Job::Close(reply) => return Some(reply),
            Job::Wake => {}
        }
        None
    }

    /// Hands the group to the committer; false when that would mean to wait, and `wait` is not wanted.
    fn hand_over(&mut self, wait: bool) -> bool {
        let Some(group) = self.group.take() else { return true };
        if group.replies.is_empty() && group.new_series.is_empty() && group.new_streams.is_empty() {
            self.group = Some(group);
            return true;
        }
        let (sequence, now) = (group.sequence, group.now);
        let full = group.bytes >= GROUP_BYTES || group.record_count >= GROUP_RECORDS;
        let refused = match self.work.try_send(Work::Group(Box::new(group))) {
            Ok(()) => None,
            Err(TrySendError::Full(Work::Group(group))) if !wait && !full => {
                self.group = Some(*group);
                return false;
            }
            Err(TrySendError::Full(work)) => self.work.send(work).err().map(|error| error.0),
            Err(TrySendError::Disconnected(work)) => Some(work),
        };
        if let Some(Work::Group(group)) = refused {
            for (reply, _) in group.replies {
                drop(reply.send(Err(self.store.broken_error())));
            }
        }
        self.delivered.forget_some(sequence, self.store.committed.load(Acquire));
        self.group = Some(Group::new(sequence + 1, now));
        true
    }

    /// Forgets series and streams that got nothing for long.
    fn forget_idle(&mut self) {
        let now = self.store.now();
        if now.since(self.forgot) < FORGET {
            return;
        }
        self.forgot = now;
        let since = now.minus(IDLE);
        self.metrics.forget_idle(since);
        self.logs.forget_idle(since);
        self.store.metrics.forget_idle(since);
        self.store.logs.forget_idle(since);
    }

    /// Waits while the sealer is far behind: memory and inbox are budgeted.
    fn wait_for_room(&self) {
        let over = || {
            let store = self.store;
            store.logs.bytes.load(Relaxed) as u64 > store.config.log_head.0 * 2
                || store.inbox_bytes.load(Relaxed) > store.config.inbox.0 * 2
        };
        while over() && self.store.broken().is_none() && !self.sealer.is_finished() {
            self.sealer.thread().unpark();
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
}

/// Lets whoever sent a request wait for its group, or says at once that it was refused.
fn answer(
    group: &mut Group,
    bytes: usize,
    appended: Result<Appended, Error>,
    reply: oneshot::Sender<Result<Appended, Error>>,
) {
    match appended {
        Ok(appended) => {
            group.bytes += bytes;
            group.replies.push((reply, appended));
        }
        // Whoever sent it may not wait any more.
        Err(error) => drop(reply.send(Err(error))),
    }
}
