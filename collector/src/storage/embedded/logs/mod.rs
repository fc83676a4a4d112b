//! Log records: [`head`] (in memory), [`block`] and [`filter`] (on disk), [`ingest`] (OTLP in), [`read`] (queries),
//! [`seal`] (from memory to disk).

pub(super) mod block;
pub(super) mod filter;
pub(super) mod head;
pub(super) mod ingest;
pub(super) mod read;
pub(super) mod seal;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::broadcast;
use yagura_model::Timestamp;

use super::{index::Indexes, keyspaces::Kind};
use crate::storage::{LogEntry, memory::lock, tail::TAIL_ENTRIES};
pub(super) use head::Stream;

/// All active streams.
#[derive(Debug)]
pub(super) struct Table {
    streams: RwLock<HashMap<u64, Arc<Stream>>>,
    pub(super) indexes: Indexes,
    /// Streams with a block's worth of records.
    ready: Mutex<Vec<Arc<Stream>>>,
    /// Bytes of records in memory.
    pub(super) bytes: AtomicUsize,
    pub(super) tail: broadcast::Sender<Arc<LogEntry>>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            streams: RwLock::default(),
            indexes: Indexes::new(Kind::Logs),
            ready: Mutex::default(),
            bytes: AtomicUsize::new(0),
            tail: broadcast::channel(TAIL_ENTRIES).0,
        }
    }

    pub(super) fn get(&self, id: u64) -> Option<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(super) fn insert(&self, stream: Arc<Stream>) {
        self.streams.write().unwrap_or_else(PoisonError::into_inner).insert(stream.id, stream);
    }

    pub(super) fn len(&self) -> usize {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All active streams.
    pub(super) fn all(&self) -> Vec<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Forgets streams with nothing in memory that were not used since `since`. For the writer only.
    pub(super) fn forget_idle(&self, since: Timestamp) {
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever is held elsewhere may get something at any time.
        streams.retain(|_, stream| {
            Arc::strong_count(stream) > 1 || stream.with(|head| !head.is_empty() || head.used >= since)
        });
    }

    /// Queues a stream for the sealer.
    pub(super) fn ready(&self, stream: Arc<Stream>) {
        lock(&self.ready).push(stream);
    }

    /// The streams that wait for the sealer, at most `most`.
    pub(super) fn take_ready(&self, most: usize) -> Vec<Arc<Stream>> {
        let mut ready = lock(&self.ready);
        let count = ready.len().min(most);
        ready.drain(..count).collect()
    }

    /// Counts bytes that left memory.
    pub(super) fn freed(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes.min(self.bytes.load(Relaxed)), Relaxed);
    }
}
