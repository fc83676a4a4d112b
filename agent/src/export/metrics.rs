//! What the exporter counts of itself.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use yagura_model::{Kind, Metric};

use super::otlp_grpc::Failure;
use crate::buffer::Signal;

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: "", help }
}

const REQUESTS: Metric = counter("yagura_agent_export_requests_total", "", "Requests sent to a collector.");
const ITEMS: Metric =
    counter("yagura_agent_export_delivered_items_total", "", "Samples, records and spans that the collector has.");
const BYTES: Metric =
    counter("yagura_agent_export_sent_bytes_total", "By", "Compressed bytes of all requests, repeated ones included.");
const FAILURES: Metric =
    counter("yagura_agent_export_failures_total", "", "Requests that failed and were, or will be, sent again.");
const REJECTED: Metric = counter(
    "yagura_agent_export_rejected_items_total",
    "",
    "Samples, records and spans that the collector refused out of batches that it took.",
);
const DROPPED: Metric = counter(
    "yagura_agent_export_dropped_items_total",
    "",
    "Samples, records and spans in batches that the collector will never take.",
);
const IN_FLIGHT: Metric = gauge("yagura_agent_export_requests_in_flight", "Requests without an answer.");
const CONNECTED: Metric = gauge("yagura_agent_export_connected", "Whether there is a connection to a collector.");

/// Every metric of the exporter.
pub const METRICS: &[Metric] = &[REQUESTS, ITEMS, BYTES, FAILURES, REJECTED, DROPPED, IN_FLIGHT, CONNECTED];

/// Label of what goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SignalLabel {
    pub(super) signal: Signal,
}

/// Label of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct KindLabel {
    pub(super) kind: Failure,
}

/// The counters; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(super) requests: Family<SignalLabel, Counter>,
    pub(super) items: Family<SignalLabel, Counter>,
    pub(super) bytes: Family<SignalLabel, Counter>,
    pub(super) failures: Family<KindLabel, Counter>,
    pub(super) rejected: Family<SignalLabel, Counter>,
    pub(super) dropped: Family<SignalLabel, Counter>,
    pub(super) in_flight: Gauge,
    pub(super) connected: Gauge,
}

impl Metrics {
    /// Shows the counters in `registry`, at 0 until something happens.
    pub fn register(&self, registry: &mut Registry) {
        for signal in Signal::ALL {
            let label = SignalLabel { signal };
            for family in [&self.requests, &self.items, &self.bytes, &self.rejected, &self.dropped] {
                drop(family.get_or_create(&label));
            }
        }
        for kind in [Failure::Connection, Failure::Throttled, Failure::NotAllowed] {
            drop(self.failures.get_or_create(&KindLabel { kind }));
        }
        let name = |metric: &Metric| metric.name.trim_end_matches("_total").to_owned();
        let help = |metric: &Metric| metric.help.trim_end_matches('.').to_owned();
        registry.register(name(&REQUESTS), help(&REQUESTS), self.requests.clone());
        registry.register(name(&ITEMS), help(&ITEMS), self.items.clone());
        registry.register(name(&BYTES), help(&BYTES), self.bytes.clone());
        registry.register(name(&FAILURES), help(&FAILURES), self.failures.clone());
        registry.register(name(&REJECTED), help(&REJECTED), self.rejected.clone());
        registry.register(name(&DROPPED), help(&DROPPED), self.dropped.clone());
        registry.register(name(&IN_FLIGHT), help(&IN_FLIGHT), self.in_flight.clone());
        registry.register(name(&CONNECTED), help(&CONNECTED), self.connected.clone());
    }
}

impl EncodeLabelValue for Failure {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let word = match self {
            Self::Connection => "connection",
            Self::Throttled => "throttled",
            Self::NotAllowed => "not_allowed",
        };
        word.encode(encoder)
    }
}
