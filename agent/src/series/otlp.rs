//! A [`Table`] as OTLP: one or more `ExportMetricsServiceRequest`s, each small enough to be sent and stored in one go.
//!
//! The resource says whose place the series take (`service.name` is the job, `service.instance.id` the instance);
//! everything else is in the points' attributes, under the names Prometheus has for them. A series that ended gets one
//! point without a value.

use yagura_codec::{
    attributes::{PointAttributes, ResourceAttributes, ScopeAttributes},
    metrics::{Encoder, MetricKind, NewNumber, Number, Temporality},
};
use yagura_model::{Kind, Metric, Nanos, names::SERVICE_NAME};

use super::{Entry, Table, Value};

/// Requests end soon after this many bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The scope that all series of this agent have.
const SCOPE: &str = "yagura-agent";

/// One encoded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// An `ExportMetricsServiceRequest`.
    pub body: Vec<u8>,
    /// Points in it.
    pub points: u64,
}

/// Every live series of `table` with its value, and every ended one without.
#[must_use]
pub fn encode(table: &Table) -> Vec<Request> {
    encode_up_to(table, MAX_BYTES)
}

fn encode_up_to(table: &Table, max_bytes: usize) -> Vec<Request> {
    let live = table.entries().iter().map(|entry| (entry, Some(entry.value)));
    let ended = table.ended().iter().map(|entry| (entry, None));
    let mut points: Vec<(&Entry, Option<Value>)> = live.chain(ended).collect();
    // A metric is announced once for all its points.
    points.sort_by_key(|(entry, _)| entry.metric.name);

    let resource =
        ResourceAttributes::from_pairs([(SERVICE_NAME, table.job), ("service.instance.id", &*table.instance)]);
    let mut writer = Writer::new(&resource);
    let mut requests = Vec::new();
    for (entry, value) in points {
        if writer.encoder.len() >= max_bytes {
            requests.push(writer.finish());
            writer = Writer::new(&resource);
        }
        writer.point(table, entry, value);
    }
    if writer.points > 0 {
        requests.push(writer.finish());
    }
    requests
}

struct Writer {
    encoder: Encoder,
    points: u64,
    metric: Option<&'static Metric>,
    own: PointAttributes,
}

impl Writer {
    fn new(resource: &ResourceAttributes) -> Self {
        let mut encoder = Encoder::new(Vec::new());
        encoder.begin_resource(resource);
        encoder.begin_scope(SCOPE, env!("CARGO_PKG_VERSION"), &ScopeAttributes::new());
        Self { encoder, points: 0, metric: None, own: PointAttributes::new() }
    }

    fn point(&mut self, table: &Table, entry: &Entry, value: Option<Value>) {
        let metric = entry.metric;
        let counts = metric.kind == Kind::Counter;
        if self.metric.is_none_or(|open| open.name != metric.name) {
            let kind = match metric.kind {
                Kind::Counter => MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: true },
                Kind::Gauge | Kind::Untyped => MetricKind::Gauge,
            };
            self.encoder.begin_metric(metric.name, metric.help, metric.unit, kind);
            self.metric = Some(metric);
        }
        self.own.clear();
        for (name, text) in table.shared_labels(entry) {
            self.own.put_str(name, text);
        }
        for (name, text) in &entry.labels {
            self.own.put_str(name, text);
        }
        self.encoder.number(&NewNumber {
            attributes: &[&self.own],
            start: if counts { table.start(entry).to_nanos() } else { Nanos(0) },
            time: table.time.to_nanos(),
            value: match value {
                Some(Value::Int(value)) => Number::Int(value),
                Some(Value::Float(value)) => Number::Double(value),
                None => Number::None,
            },
        });
        self.points += 1;
    }

    fn finish(mut self) -> Request {
        Request { body: self.encoder.finish(), points: self.points }
    }
}
