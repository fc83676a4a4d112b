//! The default engine: everything in one directory, on fjall.
//!
//! ```text
//! append ─► writer ─────────► committer ─► acknowledged, visible, tailed
//!           decodes, finds     one atomic batch for each group, one sync for all that came meanwhile;
//!           duplicates         drops old days
//!              │                   ▲
//!              ▼                   │ chunks, blocks, and the end of what they cover in the inbox
//!           heads in memory ──► sealer
//! ```
//!
//! * [`keyspaces`]: the schema and its invariants. [`group`]: what a group commit puts into the inbox.
//! * [`writer`]: one thread takes requests in turn and puts groups together; [`metrics::ingest`], [`logs::ingest`].
//! * [`committer`]: one thread makes groups durable and then visible; [`retention`] runs in it.
//! * [`sealer`]: one thread moves the oldest of the heads into chunks and blocks, a little at a time.
//! * [`recovery`]: what a start does with a directory, damaged or not; [`replay`]: the inbox into the heads.
//! * Queries ([`metrics::read`], [`logs::read`]) read heads and blocks on blocking threads and lock nothing for long.
//!
//! After a failed write or sync fjall refuses everything until it is opened again, so the writer closes the store,
//! opens it anew, and senders are asked to try again meanwhile.
//!
//! Spans are kept in memory only, with a budget: a restart forgets them.

mod coding;
mod committer;
mod counters;
mod delivered;
mod group;
mod index;
mod keyspaces;
mod logs;
mod metrics;
mod recovery;
mod replay;
mod retention;
mod sealer;
mod state;
mod store;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::Ordering::{Acquire, Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream, stream::BoxStream, stream::StreamExt};
use tokio::sync::{Semaphore, mpsc, oneshot};
use yagura_model::{Labels, Nanos, Timestamp};

use super::{
    Appended, Engine, Error, Figures, LineFilter, Listing, LogCounts, LogEntry, LogSelection, LogStore, Matcher,
    MetricMetadata, MetricStore, Selection, Series, Storage, StreamInfo, Tailed, config::Config,
    memory::traces::Traces, tail,
};
use counters::Counters;
pub use recovery::{Lost, OpenError, Recovery};
use store::Store;
use writer::{Job, Writer};

/// Requests that wait for the writer. Each is at most a few MiB, and whoever sends one waits for it.
const WAITING_REQUESTS: usize = 32;
/// Queries that read at the same time; more wait. They are bound by CPU and disk, and each may hold its budget.
const QUERIES: usize = 8;
/// How often it is asked whether everything is in blocks.
const SETTLING: Duration = Duration::from_millis(5);
/// Spans beyond this many bytes push out the oldest traces.
const TRACE_BYTES: usize = 64 << 20;

/// Opens the engine in `config.path`, whatever state the directory is in. Blocks while it replays.
pub fn open(config: &Config, now: Timestamp) -> Result<(Storage, Recovery), OpenError> {
    let (_, storage, recovery) = start(config, now)?;
    Ok((storage, recovery))
}

fn start(config: &Config, now: Timestamp) -> Result<(Arc<Embedded>, Storage, Recovery), OpenError> {
    let counters = Arc::new(Counters::default());
    let (store, pending, recovery) = recovery::open(config, &counters, now, false)?;
    let phase = Arc::new(RwLock::new(Phase::Open(Arc::clone(&store))));
    let (jobs, waiting) = mpsc::channel(WAITING_REQUESTS);
    Writer::start(store, pending, Arc::clone(&phase), waiting, jobs.downgrade())
        .map_err(|source| OpenError::Io { path: config.path.clone(), source })?;
    let traces = Arc::new(Traces::new(TRACE_BYTES));
    let engine = Arc::new(Embedded {
        phase,
        jobs,
        counters,
        traces: Arc::clone(&traces),
        queries: Arc::new(Semaphore::new(QUERIES)),
    });
    let storage = Storage {
        metrics: Arc::new(MetricsPart(Arc::clone(&engine))),
        logs: Arc::new(LogsPart(Arc::clone(&engine))),
        traces,
        state: Arc::new(state::State(Arc::clone(&engine))),
        engine: Arc::clone(&engine) as Arc<dyn Engine>,
    };
    Ok((engine, storage, recovery))
}

/// Opens the engine and lets a test reach into it.
#[cfg(test)]
fn open_for_test(config: &Config, now: Timestamp) -> (Storage, std::sync::Weak<Store>) {
    let (engine, storage, _) = start(config, now).unwrap();
    let store = Arc::downgrade(&engine.store().unwrap());
    (storage, store)
}

/// Whether there is a store to ask.
enum Phase {
    /// All is well.
    Open(Arc<Store>),
    /// It is being opened again, or was closed; the reason is for people.
    Down(String),
}

/// What the handles share.
struct Embedded {
    phase: Arc<RwLock<Phase>>,
    jobs: mpsc::Sender<Job>,
    counters: Arc<Counters>,
    traces: Arc<Traces>,
    queries: Arc<Semaphore>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

/// The error of a store that is not there for a moment.
fn unavailable(reason: impl Into<String>) -> Error {
    Error::Unavailable { reason: reason.into(), retry_after: Duration::from_secs(1) }
}

impl Embedded {
    fn store(&self) -> Result<Arc<Store>, Error> {
        match &*self.phase.read().unwrap_or_else(PoisonError::into_inner) {
            Phase::Open(store) => Ok(Arc::clone(store)),
            Phase::Down(reason) => Err(unavailable(reason.clone())),
        }
    }

    /// Hands a job to the writer and waits for its answer.
    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Job) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let gone = |_| unavailable("the store was closed");
        self.jobs.send(job(reply)).await.map_err(|_| unavailable("the store was closed"))?;
        answer.await.map_err(gone)?
    }

    /// Runs a query where it may block.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit =
            Arc::clone(&self.queries).acquire_owned().await.map_err(|_| unavailable("the store was closed"))?;
        let store = self.store()?;
        let work = tokio::task::spawn_blocking(move || {
            let answer = query(&store);
            drop(permit);
            answer
        });
        work.await.map_err(|error| Error::Failed(format!("a query did not end: {error}")))?
    }

    fn refuse_when_full(&self) -> Result<(), Error> {
        self.store()?.refuse_when_full()
    }
}

impl Engine for Embedded {
    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.ask(Job::Close))
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            let store = self.store()?;
            let target = store.committed.load(Acquire);
            store.settle_below.fetch_max(target + 1, Relaxed);
            while store.inbox_starts_below(target + 1) {
                if store.broken().is_some() || !Arc::ptr_eq(&store, &self.store()?) {
                    return Err(store.broken_error());
                }
                tokio::time::sleep(SETTLING).await;
            }
            Ok(())
        })
    }

    fn figures(&self) -> Figures {
        let mut figures = self.counters.figures();
        figures.spans = self.traces.spans();
        if let Ok(store) = self.store() {
            store.gauges(&mut figures);
        }
        figures
    }
}

#[derive(Debug)]
struct MetricsPart(Arc<Embedded>);

impl MetricStore for MetricsPart {
    fn append(&self, request: Bytes, now: Timestamp) -> BoxFuture<'_, Result<Appended, Error>> {
        Box::pin(async move {
            self.0.refuse_when_full()?;
            self.0.ask(|reply| Job::Metrics { request, now, reply }).await
        })
    }

    fn select(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Series>, Error>> {
        Box::pin(self.0.read(move |store| metrics::read::select(store, &selection)))
    }

    fn series(&self, listing: Listing) -> BoxFuture<'_, Result<Vec<Labels>, Error>> {
        Box::pin(self.0.read(move |store| Ok(metrics::read::series(store, &listing))))
    }

    fn label_names(&self, listing: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        Box::pin(self.0.read(move |store| Ok(metrics::read::names(store, &listing))))
    }

    fn label_values(&self, name: String, listing: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        Box::pin(self.0.read(move |store| Ok(metrics::read::values(store, &name, &listing))))
    }

    fn metadata(&self, metric: Option<String>, limit: usize) -> BoxFuture<'_, Result<Vec<MetricMetadata>, Error>> {
        Box::pin(async move {
            let store = self.0.store()?;
            let metadata = store.metrics.metadata.read().unwrap_or_else(PoisonError::into_inner);
            let limit = if limit == 0 { usize::MAX } else { limit };
            Ok(match metric {
                Some(name) => metadata.get(&name).cloned().into_iter().collect(),
                None => metadata.values().take(limit).cloned().collect(),
            })
        })
    }
}

#[derive(Debug)]
struct LogsPart(Arc<Embedded>);

impl LogStore for LogsPart {
    fn append(&self, request: Bytes, now: Timestamp) -> BoxFuture<'_, Result<Appended, Error>> {
        Box::pin(async move {
            self.0.refuse_when_full()?;
            self.0.ask(|reply| Job::Logs { request, now, reply }).await
        })
    }

    fn select(&self, selection: LogSelection) -> BoxFuture<'_, Result<Vec<LogEntry>, Error>> {
        Box::pin(self.0.read(move |store| logs::read::select(store, &selection)))
    }

    fn count(&self, selection: LogSelection, step: Duration) -> BoxFuture<'_, Result<Vec<LogCounts>, Error>> {
        Box::pin(self.0.read(move |store| logs::read::count(store, &selection, step)))
    }

    fn streams(&self, matchers: Vec<Matcher>, range: Range<Nanos>) -> BoxFuture<'_, Result<Vec<StreamInfo>, Error>> {
        Box::pin(self.0.read(move |store| logs::read::streams(store, &matchers, &range)))
    }

    fn tail(&self, matchers: Vec<Matcher>, filters: Vec<LineFilter>) -> BoxStream<'static, Tailed> {
        match self.0.store() {
            Ok(store) => tail::stream(store.logs.tail.subscribe(), matchers, filters),
            Err(_) => stream::empty().boxed(),
        }
    }
}
