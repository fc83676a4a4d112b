//! The engine's own figures, counted where things happen.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::storage::{Appended, Figures, memory};

/// Counters that only grow, and a few gauges.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) samples: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) commit_micros: AtomicU64,
    pub(super) sealed: AtomicU64,
    pub(super) dropped_days: AtomicU64,
    pub(super) damaged: AtomicU64,
    outcomes: Mutex<Figures>,
}

impl Counters {
    pub(super) fn add(&self, appended: &Appended) {
        if appended.duplicates > 0 || !appended.rejected.is_empty() {
            memory::add(&mut memory::lock(&self.outcomes), appended);
        }
    }

    /// Notes something that could not be read.
    pub(super) fn damage(&self) {
        self.damaged.fetch_add(1, Relaxed);
    }

    pub(super) fn figures(&self) -> Figures {
        let outcomes = memory::lock(&self.outcomes).clone();
        Figures {
            samples: self.samples.load(Relaxed),
            records: self.records.load(Relaxed),
            commits: self.commits.load(Relaxed),
            commit_time: Duration::from_micros(self.commit_micros.load(Relaxed)),
            sealed: self.sealed.load(Relaxed),
            dropped_days: self.dropped_days.load(Relaxed),
            damaged: self.damaged.load(Relaxed),
            ..outcomes
        }
    }
}
