//! The store's own figures on `/metrics`, read when somebody asks.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use crate::storage::Engine;

#[derive(Debug)]
struct Store(Arc<dyn Engine>);

/// Shows the figures of an engine, under the registry's prefix.
pub(crate) fn register(registry: &mut Registry, engine: Arc<dyn Engine>) {
    registry.register_collector(Box::new(Store(engine)));
}

impl Collector for Store {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figures = self.0.figures();
        let mut gauge = |name: &str, help: &str, value: u64| {
            let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        gauge("store_active_series", "Series with samples not yet in a block", figures.active_series)?;
        gauge("store_active_streams", "Log streams with records not yet in a block", figures.active_streams)?;
        gauge("store_head_bytes", "Bytes of samples and records held in memory", figures.head_bytes)?;
        gauge("store_disk_bytes", "Bytes of the data directory", figures.disk_bytes)?;
        gauge(
            "store_inbox_bytes",
            "Bytes not yet sealed into blocks, replayed at the next start",
            figures.inbox_bytes,
        )?;
        let mut counter = |name: &str, help: &str, value: u64| {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        counter("store_samples", "Samples stored", figures.samples)?;
        counter("store_records", "Log records stored", figures.records)?;
        counter("store_spans", "Spans stored", figures.spans)?;
        counter("store_duplicates", "Items that were there already", figures.duplicates)?;
        counter("store_commits", "Group commits", figures.commits)?;
        counter("store_sealed", "Blocks and chunks written", figures.sealed)?;
        counter("store_retention_drops", "Whole days dropped by retention", figures.dropped_days)?;
        counter("store_damaged", "Blocks, chunks or files that could not be read", figures.damaged)?;
        let seconds = ConstCounter::new(figures.commit_time.as_secs_f64());
        let help = "Time spent in group commits";
        seconds.encode(encoder.encode_descriptor("store_commit_seconds", help, None, seconds.metric_type())?)?;
        let kind = prometheus_client::metrics::MetricType::Counter;
        let help = "Items refused for good, by reason";
        let mut rejected = encoder.encode_descriptor("store_rejected", help, None, kind)?;
        for (reason, count) in &figures.rejected {
            let labels = [("reason", reason.as_str())];
            ConstCounter::new(*count).encode(rejected.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
