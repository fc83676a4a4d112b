//! What the receivers tell of themselves in `/metrics`.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::Signal;
use crate::storage::Appended;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Grpc,
    Http,
    RemoteWrite,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Received {
    signal: Signal,
    protocol: Protocol,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    signal: Signal,
    protocol: Protocol,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Items {
    signal: Signal,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rejected {
    signal: Signal,
    reason: &'static str,
}

/// In, out, dropped by reason, errors by kind.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: Family<Received, Counter>,
    bytes: Family<Received, Counter>,
    refused: Family<Refused, Counter>,
    accepted: Family<Items, Counter>,
    duplicates: Family<Items, Counter>,
    rejected: Family<Rejected, Counter>,
}

impl Counters {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let counters = Self::default();
        let name = |part: &str| format!("yagura_collector_receiver_{part}");
        registry.register(name("requests"), "Requests that were read whole", counters.requests.clone());
        registry.register(name("bytes"), "Bytes of these requests after decompression", counters.bytes.clone());
        let help = "Requests answered with an error, by what was wrong";
        registry.register(name("refused_requests"), help, counters.refused.clone());
        let help = "Samples, log records and spans that were stored";
        registry.register(name("accepted_items"), help, counters.accepted.clone());
        let help = "Items that were stored already, so that a second delivery changed nothing";
        registry.register(name("duplicate_items"), help, counters.duplicates.clone());
        let help = "Items that will never be stored, by reason";
        registry.register(name("rejected_items"), help, counters.rejected.clone());
        counters
    }

    pub(super) fn received(&self, signal: Signal, protocol: Protocol, bytes: usize) {
        let labels = Received { signal, protocol };
        self.requests.get_or_create(&labels).inc();
        self.bytes.get_or_create(&labels).inc_by(bytes as u64);
    }

    pub(super) fn refused(&self, signal: Signal, protocol: Protocol, reason: &'static str) {
        self.refused.get_or_create(&Refused { signal, protocol, reason }).inc();
    }

    pub(super) fn appended(&self, signal: Signal, appended: &Appended) {
        self.accepted.get_or_create(&Items { signal }).inc_by(appended.accepted);
        self.duplicates.get_or_create(&Items { signal }).inc_by(appended.duplicates);
        for rejected in &appended.rejected {
            let reason = rejected.reason.as_str();
            self.rejected.get_or_create(&Rejected { signal, reason }).inc_by(rejected.count);
        }
    }
}

impl EncodeLabelValue for Signal {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let word = match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::Traces => "traces",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

impl EncodeLabelValue for Protocol {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let word = match self {
            Self::Grpc => "otlp_grpc",
            Self::Http => "otlp_http",
            Self::RemoteWrite => "remote_write",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}
