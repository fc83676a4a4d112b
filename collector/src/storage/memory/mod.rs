//! The reference engine: everything in maps in memory, decoded with the generated OTLP types, so that it is easy to
//! see that it is right. Other engines are compared with it; tests of other parts use it. Nothing is ever dropped,
//! except spans, which have a budget.

mod logs;
mod metrics;
mod otlp;
mod state;
pub(super) mod traces;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use super::{Appended, Engine, Error, Figures, Storage, config::Config, config::Retention, samples::FOREVER};

/// Spans beyond this many bytes push out the oldest traces.
const TRACE_BYTES: usize = 64 << 20;

/// What an engine refuses.
#[derive(Clone, Copy, Debug)]
struct Limits {
    retention: Retention,
    max_series: usize,
    max_streams: usize,
}

/// An empty engine that keeps everything.
#[must_use]
pub fn open() -> Storage {
    build(Limits { retention: FOREVER, max_series: usize::MAX, max_streams: usize::MAX })
}

/// An empty engine that refuses what `config` says.
#[must_use]
pub fn open_with(config: &Config) -> Storage {
    let Config { retention, max_series, max_streams, .. } = *config;
    build(Limits { retention, max_series, max_streams })
}

fn build(limits: Limits) -> Storage {
    let metrics = Arc::new(metrics::Metrics::new(limits));
    let logs = Arc::new(logs::Logs::new(limits));
    let traces = Arc::new(traces::Traces::new(TRACE_BYTES));
    let engine = Memory { metrics: Arc::clone(&metrics), logs: Arc::clone(&logs), traces: Arc::clone(&traces) };
    Storage { metrics, logs, traces, state: Arc::new(state::State::default()), engine: Arc::new(engine) }
}

#[derive(Debug)]
struct Memory {
    metrics: Arc<metrics::Metrics>,
    logs: Arc<logs::Logs>,
    traces: Arc<traces::Traces>,
}

impl Engine for Memory {
    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn settle(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        self.metrics.count(&mut figures);
        self.logs.count(&mut figures);
        figures.spans = self.traces.spans();
        figures
    }
}

/// Adds what became of a request to an engine's figures.
pub(super) fn add(figures: &mut Figures, appended: &Appended) {
    figures.duplicates += appended.duplicates;
    for rejected in &appended.rejected {
        match figures.rejected.iter_mut().find(|(reason, _)| *reason == rejected.reason) {
            Some((_, count)) => *count += rejected.count,
            None => figures.rejected.push((rejected.reason, rejected.count)),
        }
    }
}

/// The value behind a lock; a panic elsewhere does not take the store down.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crate::storage::conformance;

    #[tokio::test]
    async fn the_reference_engine_passes_the_suite() {
        conformance::check_all(conformance::Mode::Plain, &mut |config, _| super::open_with(config)).await;
    }
}
