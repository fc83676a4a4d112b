//! What keeps one evaluation within its bounds: a deadline, the asker's going away, and a count of values held.

use std::cell::{Cell, RefCell};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{engine::Limits, error::QueryError, notes::Notes};

/// The bounds of one evaluation and what it has used of them; one thread's own.
#[derive(Debug)]
pub(crate) struct Control {
    pub limits: Limits,
    pub notes: RefCell<Notes>,
    deadline: Instant,
    cancelled: CancellationToken,
    held: Cell<u64>,
    peak: Cell<u64>,
}

impl Control {
    pub(crate) fn new(limits: Limits, deadline: Instant, cancelled: CancellationToken) -> Self {
        Self { limits, notes: RefCell::default(), deadline, cancelled, held: Cell::new(0), peak: Cell::new(0) }
    }

    /// Fails when the evaluation should end; called often.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.cancelled.is_cancelled() {
            return Err(QueryError::Canceled);
        }
        if Instant::now() >= self.deadline {
            return Err(QueryError::Timeout(self.limits.timeout));
        }
        Ok(())
    }

    /// Counts values that will be held; fails before they are made when they are too many.
    pub(crate) fn hold(&self, values: usize) -> Result<(), QueryError> {
        let held = self.held.get().saturating_add(values as u64);
        if held > self.limits.max_samples {
            return Err(QueryError::TooMuch { limit: self.limits.max_samples, unit: "samples" });
        }
        self.held.set(held);
        self.peak.set(self.peak.get().max(held));
        Ok(())
    }

    /// Counts values that are held no more.
    pub(crate) fn release(&self, values: usize) {
        self.held.set(self.held.get().saturating_sub(values as u64));
    }

    /// The most values held at once.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.get()
    }
}
