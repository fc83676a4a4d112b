//! The suite that every engine passes. A case says what is put in and what must come out; it does not know the engine.

mod log_cases;
mod metric_cases;
pub(in crate::storage) mod requests;

use std::{future::Future, pin::Pin};

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
};
use yagura_model::{Timestamp, metric::is_stale};

use super::{Appended, LogSelection, MatchOp, RejectReason, Sample, Selection, Storage, config::Config};
use requests::{all, bytes};

/// 2026-11-20 12:00:00 UTC, the time at which everything is appended unless said otherwise.
pub(in crate::storage) const NOW: Timestamp = Timestamp(1_795_176_000_000);
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What happens after every append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Mode {
    /// Nothing.
    Plain,
    /// Everything is moved into blocks.
    Settled,
    /// The engine is closed and opened again.
    Reopened,
    /// Both.
    SettledAndReopened,
}

/// Opens an engine: a new one when the second argument says so, otherwise the last one again.
pub(in crate::storage) type Open<'a> = &'a mut dyn FnMut(&Config, bool) -> Storage;

type Case = for<'a> fn(&'a mut Subject<'_>) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

const CASES: &[(&str, Case)] = &[
    ("a sample is stored once and the first value stays", |s| Box::pin(metric_cases::first_wins(s))),
    ("labels come from point and resource", |s| Box::pin(metric_cases::labels(s))),
    ("a staleness marker comes back as one", |s| Box::pin(metric_cases::staleness(s))),
    ("deltas add up", |s| Box::pin(metric_cases::deltas(s))),
    ("histograms and summaries are series", |s| Box::pin(metric_cases::histograms(s))),
    ("a new counter counts from its start", |s| Box::pin(metric_cases::starts(s))),
    ("samples come in any order within retention", |s| Box::pin(metric_cases::any_order(s))),
    ("series are capped", |s| Box::pin(metric_cases::cardinality(s))),
    ("labels are listed", |s| Box::pin(metric_cases::listings(s))),
    ("metrics are described", |s| Box::pin(metric_cases::metadata(s))),
    ("a selection has a budget", |s| Box::pin(metric_cases::budgets(s))),
    ("a pushed batch is stored once", |s| Box::pin(log_cases::batches(s))),
    ("a broken request stores nothing", |s| Box::pin(log_cases::broken(s))),
    ("bytes of a file are stored once", |s| Box::pin(log_cases::ranges(s))),
    ("batches of a file come in any order", |s| Box::pin(log_cases::parallel(s))),
    ("records have labels, fields and a severity", |s| Box::pin(log_cases::records(s))),
    ("records are selected", |s| Box::pin(log_cases::log_selection(s))),
    ("records are counted", |s| Box::pin(log_cases::log_counts(s))),
    ("records are kept within retention", |s| Box::pin(log_cases::log_retention(s))),
    ("records are seen as they come", |s| Box::pin(log_cases::tail(s))),
    ("state is kept", |s| Box::pin(log_cases::state(s))),
];

/// Runs every case on a new engine.
pub(in crate::storage) async fn check_all(mode: Mode, open: Open<'_>) {
    for (name, case) in CASES {
        println!("{mode:?}: {name}");
        let config = Config { max_series: 1000, ..Config::default() };
        let storage = open(&config, true);
        let mut subject = Subject { config, storage, mode, open };
        case(&mut subject).await;
        subject.storage.engine.close().await.unwrap();
    }
}

/// The engine under test.
pub(in crate::storage) struct Subject<'a> {
    config: Config,
    pub(in crate::storage) storage: Storage,
    mode: Mode,
    open: Open<'a>,
}

impl Subject<'_> {
    async fn metrics(&mut self, request: ExportMetricsServiceRequest) -> Appended {
        self.metrics_at(request, NOW).await
    }

    async fn metrics_at(&mut self, request: ExportMetricsServiceRequest, now: Timestamp) -> Appended {
        let appended = self.storage.metrics.append(bytes(&request), now).await.unwrap();
        self.after().await;
        appended
    }

    async fn logs(&mut self, request: ExportLogsServiceRequest) -> Appended {
        let appended = self.storage.logs.append(bytes(&request), NOW).await.unwrap();
        self.after().await;
        appended
    }

    async fn after(&mut self) {
        if matches!(self.mode, Mode::Settled | Mode::SettledAndReopened) {
            self.storage.engine.settle().await.unwrap();
        }
        if matches!(self.mode, Mode::Reopened | Mode::SettledAndReopened) {
            self.storage.engine.close().await.unwrap();
            self.storage = (self.open)(&self.config, false);
        }
    }

    /// Opens the engine again with another config.
    async fn with(&mut self, change: impl FnOnce(&mut Config)) {
        self.storage.engine.close().await.unwrap();
        change(&mut self.config);
        self.storage = (self.open)(&self.config, false);
    }

    async fn shown(&self, matchers: &[(&str, MatchOp, &str)]) -> Vec<String> {
        let (from, to) = (Timestamp(NOW.0 - 40 * DAY), Timestamp(NOW.0 + DAY));
        let selection = Selection { matchers: all(matchers), from, to, max_samples: 1_000_000 };
        let series = self.storage.metrics.select(selection).await.unwrap();
        let value = |value: f64| if is_stale(value) { "stale".to_owned() } else { value.to_string() };
        series
            .iter()
            .map(|series| {
                let sample = |sample: &Sample| format!("{}@{}", value(sample.value), sample.time.0 - NOW.0);
                let samples: Vec<String> = series.samples.iter().map(sample).collect();
                format!("{} {}", series.labels, samples.join(" "))
            })
            .collect()
    }

    async fn lines(&self, selection: LogSelection) -> Vec<String> {
        self.storage.logs.select(selection).await.unwrap().into_iter().map(|entry| entry.line).collect()
    }
}

fn accepted(count: u64) -> Appended {
    Appended { accepted: count, ..Appended::default() }
}

fn duplicates(count: u64) -> Appended {
    Appended { duplicates: count, ..Appended::default() }
}

fn reasons(appended: &Appended) -> Vec<(RejectReason, u64)> {
    appended.rejected.iter().map(|rejected| (rejected.reason, rejected.count)).collect()
}
