//! Samples: [`head`] (in memory), [`chunk`] (on disk), [`ingest`] (OTLP in), [`read`] (queries), [`seal`] (from memory
//! to disk).

pub(super) mod chunk;
pub(super) mod head;
pub(super) mod ingest;
pub(super) mod read;
pub(super) mod seal;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use yagura_model::Timestamp;

use super::{index::Indexes, keyspaces::Kind};
use crate::storage::{MetricMetadata, memory::lock};
pub(super) use head::Series;

/// All active series, and what is known of metrics.
#[derive(Debug)]
pub(super) struct Table {
    series: RwLock<HashMap<u64, Arc<Series>>>,
    pub(super) indexes: Indexes,
    /// Series with a chunk's worth of samples.
    ready: Mutex<Vec<Arc<Series>>>,
    pub(super) metadata: RwLock<BTreeMap<String, MetricMetadata>>,
}

impl Table {
    pub(super) fn new(metadata: BTreeMap<String, MetricMetadata>) -> Self {
        Self {
            series: RwLock::default(),
            indexes: Indexes::new(Kind::Metrics),
            ready: Mutex::default(),
            metadata: RwLock::new(metadata),
        }
    }

    pub(super) fn get(&self, id: u64) -> Option<Arc<Series>> {
        self.series.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(super) fn insert(&self, series: Arc<Series>) {
        self.series.write().unwrap_or_else(PoisonError::into_inner).insert(series.id, series);
    }

    pub(super) fn len(&self) -> usize {
        self.series.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All active series.
    pub(super) fn all(&self) -> Vec<Arc<Series>> {
        self.series.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Forgets series with nothing in memory that were not used since `since`. For the writer only: it may hold some.
    pub(super) fn forget_idle(&self, since: Timestamp) {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever is held elsewhere may get something at any time.
        series.retain(|_, series| {
            Arc::strong_count(series) > 1 || series.with(|head| !head.is_empty() || head.used >= since)
        });
    }

    /// Queues a series for the sealer.
    pub(super) fn ready(&self, series: Arc<Series>) {
        lock(&self.ready).push(series);
    }

    /// The series that wait for the sealer, at most `most`.
    pub(super) fn take_ready(&self, most: usize) -> Vec<Arc<Series>> {
        let mut ready = lock(&self.ready);
        let count = ready.len().min(most);
        ready.drain(..count).collect()
    }
}
