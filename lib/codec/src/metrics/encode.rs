//! Writes an `ExportMetricsServiceRequest`.

use yagura_model::Nanos;

use super::{NO_RECORDED_VALUE, Number, Temporality};
use crate::{
    attributes::{PointAttributes, ResourceAttributes, ScopeAttributes},
    pb::{self, Mark},
};

/// Writes a request in one pass; each `begin_…` ends what stands open at its level and below.
///
/// Requests written one after the other and put together are one request, as protobuf has it.
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
    resource: Option<Mark>,
    scope: Option<Mark>,
    /// The metric, and the data in it.
    metric: Option<(Mark, Mark)>,
}

/// What kind of numbers a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Goes up and down.
    Gauge,
    /// Adds up.
    Sum {
        /// How points relate.
        temporality: Temporality,
        /// Whether it only grows.
        monotonic: bool,
    },
}

impl MetricKind {
    /// What Prometheus calls a counter.
    pub const COUNTER: Self = Self::Sum { temporality: Temporality::Cumulative, monotonic: true };
}

/// A sample to be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewNumber<'a> {
    /// Its labels, in parts that are written one after the other.
    pub attributes: &'a [&'a PointAttributes],
    /// Since when it counts; 0 when unknown.
    pub start: Nanos,
    /// When it was measured.
    pub time: Nanos,
    /// How much; [`Number::None`] writes a staleness marker.
    pub value: Number,
}

impl Encoder {
    /// Writes into `buffer`, which is emptied first.
    #[must_use]
    pub fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { out: buffer, ..Self::default() }
    }

    /// Begins what one resource tells.
    pub fn begin_resource(&mut self, attributes: &ResourceAttributes) {
        self.end_resource();
        self.resource = Some(pb::open(&mut self.out, 1));
        pb::put_message(&mut self.out, 1, attributes.as_bytes());
    }

    /// Begins what one scope tells; needs an open resource.
    pub fn begin_scope(&mut self, name: &str, version: &str, attributes: &ScopeAttributes) {
        self.end_scope();
        self.scope = Some(pb::open(&mut self.out, 2));
        let length = pb::bytes_len(name.len()) + pb::bytes_len(version.len()) + attributes.as_bytes().len();
        pb::put_key(&mut self.out, 1, pb::BYTES);
        pb::put_varint(&mut self.out, length as u64);
        pb::put_bytes(&mut self.out, 1, name.as_bytes());
        pb::put_bytes(&mut self.out, 2, version.as_bytes());
        self.out.extend_from_slice(attributes.as_bytes());
    }

    /// Begins a metric; needs an open scope.
    pub fn begin_metric(&mut self, name: &str, description: &str, unit: &str, kind: MetricKind) {
        self.end_metric();
        let metric = pb::open(&mut self.out, 2);
        pb::put_bytes(&mut self.out, 1, name.as_bytes());
        pb::put_bytes(&mut self.out, 2, description.as_bytes());
        pb::put_bytes(&mut self.out, 3, unit.as_bytes());
        let data = match kind {
            MetricKind::Gauge => pb::open(&mut self.out, 5),
            MetricKind::Sum { temporality, monotonic } => {
                let data = pb::open(&mut self.out, 7);
                pb::put_uint(&mut self.out, 2, u64::from(temporality.number()));
                pb::put_uint(&mut self.out, 3, u64::from(monotonic));
                data
            }
        };
        self.metric = Some((metric, data));
    }

    /// Writes a sample; needs an open metric.
    #[inline]
    pub fn number(&mut self, point: &NewNumber<'_>) {
        let attributes: usize = point.attributes.iter().map(|part| part.as_bytes().len()).sum();
        let start = if point.start.0 == 0 { 0 } else { 9 };
        let value = if point.value == Number::None { 2 } else { 9 };
        let length = attributes + start + 9 + value;
        let out = &mut self.out;
        out.reserve(pb::message_len(length));
        out.push(1 << 3 | 2);
        pb::put_varint(out, length as u64);
        point.attributes.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        if point.start.0 != 0 {
            pb::put_fixed64(out, 2, pb::unsigned(point.start));
        }
        pb::put_fixed64(out, 3, pb::unsigned(point.time));
        match point.value {
            Number::Int(value) => pb::put_fixed64(out, 6, value.cast_unsigned()),
            Number::Double(value) => pb::put_fixed64(out, 4, value.to_bits()),
            Number::None => pb::put_uint(out, 8, u64::from(NO_RECORDED_VALUE)),
        }
    }

    /// How many bytes are written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing is written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Ends all that stands open and gives the request; the encoder starts again with an empty buffer.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        self.end_resource();
        std::mem::take(&mut self.out)
    }

    fn end_metric(&mut self) {
        if let Some((metric, data)) = self.metric.take() {
            pb::close(&mut self.out, data);
            pb::close(&mut self.out, metric);
        }
    }

    fn end_scope(&mut self) {
        self.end_metric();
        if let Some(scope) = self.scope.take() {
            pb::close(&mut self.out, scope);
        }
    }

    fn end_resource(&mut self) {
        self.end_scope();
        if let Some(resource) = self.resource.take() {
            pb::close(&mut self.out, resource);
        }
    }
}
