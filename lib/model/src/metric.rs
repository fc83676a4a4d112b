//! The description of a metric: what `docs/metrics.md`, `/metrics` and OTLP say of it.

/// One metric that a source or a probe can emit; each keeps a `METRICS` table of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Metric {
    /// The Prometheus name, exactly as the exporter people know has it.
    pub name: &'static str,
    /// What its value means.
    pub kind: Kind,
    /// UCUM unit as OTLP wants it (`s`, `By`, `1`); empty when there is none.
    pub unit: &'static str,
    /// One sentence for `# HELP`.
    pub help: &'static str,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Grows until it is reset; OTLP: a monotonic cumulative sum.
    Counter,
    /// Goes up and down; OTLP: a gauge.
    Gauge,
    /// Exposed as `untyped` by the exporter we stand in for; OTLP: a gauge.
    Untyped,
}

impl Kind {
    /// The word after `# TYPE name` in the Prometheus text format 0.0.4.
    #[must_use]
    pub fn prometheus_type(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Untyped => "untyped",
        }
    }
}

/// The bits of the NaN that marks the end of a series, as in Prometheus (`model/value/value.go`, `StaleNaN`).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The value that marks the end of a series.
#[must_use]
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is that marker; any other NaN is a value.
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}
