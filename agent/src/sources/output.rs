//! Where a source puts what it has: tables on pages and on their way to the collector, batches into the buffer.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use crate::{
    buffer::{Batch, Buffer, Signal},
    series::{Table, otlp},
};

/// The way out of a source; cheap to clone.
#[derive(Clone, Debug)]
pub struct Output {
    buffer: Buffer,
    pages: Arc<Mutex<Vec<(Page, SharedTable)>>>,
}

/// A table that its source writes and the pages read.
pub type SharedTable = Arc<Mutex<Table>>;

/// The parts of `/metrics`, each also a page of its own, so that Prometheus can scrape it under the job it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Page {
    /// `/metrics/node`: in node_exporter's place.
    Node,
    /// `/metrics/cadvisor`: in cAdvisor's place.
    Cadvisor,
    /// `/metrics/docker`: the state of docker's containers.
    Docker,
    /// `/metrics/self`: the agent itself.
    Own,
}

impl Page {
    /// Every page.
    pub const ALL: [Self; 4] = [Self::Node, Self::Cadvisor, Self::Docker, Self::Own];

    /// What comes after `/metrics/` in its path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Cadvisor => "cadvisor",
            Self::Docker => "docker",
            Self::Own => "self",
        }
    }
}

impl Output {
    /// A way out that ends in `buffer`.
    #[must_use]
    pub fn new(buffer: Buffer) -> Self {
        Self { buffer, pages: Arc::default() }
    }

    /// Sends a table on its way; to be called after each [`Table::finish`]. Waits while the buffer is full.
    pub async fn publish(&self, table: &SharedTable) {
        if self.buffer.discards() {
            return;
        }
        let requests = otlp::encode(&table.lock().unwrap_or_else(PoisonError::into_inner));
        for request in requests {
            let batch = Batch { signal: Signal::Metrics, body: request.body.into(), items: request.points };
            if let Err(error) = self.buffer.keep(batch, false).await {
                // The buffer has counted the loss already; this names its cause.
                warn!(%error, "samples were not kept");
            }
        }
    }

    /// Shows a table on a page, and on `/metrics`.
    pub fn page(&self, page: Page, table: SharedTable) {
        self.lock().push((page, table));
    }

    /// The tables of one page, or of all.
    #[must_use]
    pub fn tables(&self, page: Option<Page>) -> Vec<SharedTable> {
        let shown = |candidate: Page| page.is_none_or(|page| page == candidate);
        self.lock().iter().filter(|(page, _)| shown(*page)).map(|(_, table)| Arc::clone(table)).collect()
    }

    /// Where log batches and events go.
    #[must_use]
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Page, SharedTable)>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
