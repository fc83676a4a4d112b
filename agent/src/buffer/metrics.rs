//! What the buffer counts of itself.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use yagura_model::{Kind, Metric};

use super::{Batch, Signal};

const BATCHES_IN: Metric = Metric {
    name: "yagura_agent_buffer_in_batches_total",
    kind: Kind::Counter,
    unit: "",
    help: "Batches taken into the buffer.",
};
const BATCHES_OUT: Metric = Metric {
    name: "yagura_agent_buffer_out_batches_total",
    kind: Kind::Counter,
    unit: "",
    help: "Batches that left the buffer because the collector has them or refused them.",
};
const SPILLED: Metric = Metric {
    name: "yagura_agent_buffer_spilled_batches_total",
    kind: Kind::Counter,
    unit: "",
    help: "Batches written to disk because memory was full or they must survive a crash.",
};
const DROPPED_BATCHES: Metric = Metric {
    name: "yagura_agent_buffer_dropped_batches_total",
    kind: Kind::Counter,
    unit: "",
    help: "Batches given up before they were delivered.",
};
const DROPPED_ITEMS: Metric = Metric {
    name: "yagura_agent_buffer_dropped_items_total",
    kind: Kind::Counter,
    unit: "",
    help: "Samples, records and spans given up before they were delivered.",
};
const MEMORY_BYTES: Metric = Metric {
    name: "yagura_agent_buffer_memory_bytes",
    kind: Kind::Gauge,
    unit: "By",
    help: "Bytes waiting in memory.",
};
const DISK_BYTES: Metric =
    Metric { name: "yagura_agent_buffer_disk_bytes", kind: Kind::Gauge, unit: "By", help: "Bytes waiting on disk." };
const DISK_LIMIT: Metric = Metric {
    name: "yagura_agent_buffer_disk_limit_bytes",
    kind: Kind::Gauge,
    unit: "By",
    help: "Bytes that may wait on disk.",
};
const DISK_ERRORS: Metric = Metric {
    name: "yagura_agent_buffer_disk_errors_total",
    kind: Kind::Counter,
    unit: "",
    help: "Failed writes and reads of the buffer's files.",
};

/// Every metric of the buffer.
pub const METRICS: &[Metric] = &[
    BATCHES_IN,
    BATCHES_OUT,
    SPILLED,
    DROPPED_BATCHES,
    DROPPED_ITEMS,
    MEMORY_BYTES,
    DISK_BYTES,
    DISK_LIMIT,
    DISK_ERRORS,
];

/// Why a batch was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Memory is full and there is no disk to go to.
    MemoryFull,
    /// The disk budget is used up; the oldest went.
    DiskFull,
    /// A file of the buffer was damaged.
    Damaged,
    /// The agent stopped, and what was in memory had no disk to go to.
    Stopped,
}

impl DropReason {
    const ALL: [Self; 4] = [Self::MemoryFull, Self::DiskFull, Self::Damaged, Self::Stopped];
}

/// Label of a batch's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SignalLabel {
    signal: Signal,
}

/// Label of a drop's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabel {
    reason: DropReason,
}

/// The counters; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(super) batches_in: Family<SignalLabel, Counter>,
    pub(super) batches_out: Family<SignalLabel, Counter>,
    pub(super) spilled: Counter,
    dropped_batches: Family<ReasonLabel, Counter>,
    dropped_items: Family<ReasonLabel, Counter>,
    pub(super) memory_bytes: Gauge,
    pub(super) disk_bytes: Gauge,
    pub(super) disk_limit: Gauge,
    pub(super) disk_errors: Counter,
}

impl Metrics {
    /// Shows the counters in `registry`, at 0 until something happens: a series that only appears with its first loss
    /// would hide that loss from `increase`.
    pub fn register(&self, registry: &mut Registry) {
        for signal in Signal::ALL {
            drop(self.batches_in.get_or_create(&SignalLabel { signal }));
            drop(self.batches_out.get_or_create(&SignalLabel { signal }));
        }
        for reason in DropReason::ALL {
            self.drop_batches(reason, 0, 0);
        }
        let name = |metric: &Metric| metric.name.trim_end_matches("_total").to_owned();
        let help = |metric: &Metric| metric.help.trim_end_matches('.').to_owned();
        registry.register(name(&BATCHES_IN), help(&BATCHES_IN), self.batches_in.clone());
        registry.register(name(&BATCHES_OUT), help(&BATCHES_OUT), self.batches_out.clone());
        registry.register(name(&SPILLED), help(&SPILLED), self.spilled.clone());
        registry.register(name(&DROPPED_BATCHES), help(&DROPPED_BATCHES), self.dropped_batches.clone());
        registry.register(name(&DROPPED_ITEMS), help(&DROPPED_ITEMS), self.dropped_items.clone());
        registry.register(name(&MEMORY_BYTES), help(&MEMORY_BYTES), self.memory_bytes.clone());
        registry.register(name(&DISK_BYTES), help(&DISK_BYTES), self.disk_bytes.clone());
        registry.register(name(&DISK_LIMIT), help(&DISK_LIMIT), self.disk_limit.clone());
        registry.register(name(&DISK_ERRORS), help(&DISK_ERRORS), self.disk_errors.clone());
    }

    /// Batches given up for any reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        DropReason::ALL.map(|reason| self.dropped_batches.get_or_create(&ReasonLabel { reason }).get()).iter().sum()
    }

    pub(super) fn drop_batches(&self, reason: DropReason, batches: u64, items: u64) {
        self.dropped_batches.get_or_create(&ReasonLabel { reason }).inc_by(batches);
        self.dropped_items.get_or_create(&ReasonLabel { reason }).inc_by(items);
    }
}

impl From<&Batch> for SignalLabel {
    fn from(batch: &Batch) -> Self {
        Self { signal: batch.signal }
    }
}

impl EncodeLabelValue for Signal {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for DropReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let word = match self {
            Self::MemoryFull => "memory_full",
            Self::DiskFull => "disk_full",
            Self::Damaged => "damaged",
            Self::Stopped => "stopped",
        };
        word.encode(encoder)
    }
}
