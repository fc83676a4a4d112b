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
        for (name, text) in entry.labels.iter() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::{
        collector::metrics::v1::ExportMetricsServiceRequest,
        metrics::v1::{metric::Data, number_data_point},
    };
    use prost::Message as _;
    use yagura_model::{Tags, Timestamp};

    const CPU: Metric = Metric { name: "cpu_seconds_total", kind: Kind::Counter, unit: "s", help: "CPU time." };
    const UP: Metric = Metric { name: "up", kind: Kind::Gauge, unit: "", help: "Whether it is up." };

    fn table() -> Table {
        let tags = Tags { env: "prod".into(), ..Tags::default() };
        let mut table = Table::new("cadvisor", "n1");
        let scope = table.add_scope(&[("id", "/a")], &tags, Timestamp(7));
        for (time, cpus) in [(1000, &["0", "1", "2"][..]), (2000, &["0", "1"])] {
            table.begin(Timestamp(time));
            for cpu in cpus {
                table.sample(scope, &CPU, &[("cpu", cpu)], 2.5);
                table.sample(scope, &UP, &[("cpu", cpu)], 1_i64);
            }
            table.finish();
        }
        table
    }

    /// Each point as text, sorted.
    fn points(requests: &[Request]) -> Vec<String> {
        let mut lines = Vec::new();
        for request in requests {
            let read = ExportMetricsServiceRequest::decode(&*request.body).unwrap();
            for resource in &read.resource_metrics {
                for metric in &resource.scope_metrics[0].metrics {
                    let (kind, points) = match metric.data.as_ref().unwrap() {
                        Data::Gauge(gauge) => ("gauge".to_owned(), &gauge.data_points),
                        Data::Sum(sum) => {
                            (format!("sum {} {}", sum.aggregation_temporality, sum.is_monotonic), &sum.data_points)
                        }
                        other => panic!("{other:?}"),
                    };
                    for point in points {
                        let labels: Vec<&str> = point.attributes.iter().map(|pair| pair.key.as_str()).collect();
                        let value = match point.value {
                            Some(number_data_point::Value::AsInt(value)) => format!("int {value}"),
                            Some(number_data_point::Value::AsDouble(value)) => format!("double {value}"),
                            None => "none".into(),
                        };
                        lines.push(format!(
                            "{} {kind} {} start={} time={} flags={} {value}",
                            metric.name,
                            labels.join(","),
                            point.start_time_unix_nano,
                            point.time_unix_nano,
                            point.flags,
                        ));
                    }
                }
            }
        }
        lines.sort_unstable();
        lines
    }

    #[test]
    fn counters_have_a_start_and_what_ended_has_no_value() {
        let requests = encode(&table());
        assert_eq!((requests.len(), requests[0].points), (1, 6));
        assert_eq!(
            points(&requests),
            [
                "cpu_seconds_total sum 2 true id,env,cpu start=7000000 time=2000000000 flags=0 double 2.5",
                "cpu_seconds_total sum 2 true id,env,cpu start=7000000 time=2000000000 flags=0 double 2.5",
                "cpu_seconds_total sum 2 true id,env,cpu start=7000000 time=2000000000 flags=1 none",
                "up gauge id,env,cpu start=0 time=2000000000 flags=0 int 1",
                "up gauge id,env,cpu start=0 time=2000000000 flags=0 int 1",
                "up gauge id,env,cpu start=0 time=2000000000 flags=1 none",
            ]
        );
    }

    #[test]
    fn the_resource_is_whose_place_the_series_take() {
        let read = ExportMetricsServiceRequest::decode(&*encode(&table())[0].body).unwrap();
        let resource = read.resource_metrics[0].resource.as_ref().unwrap();
        let keys: Vec<&str> = resource.attributes.iter().map(|pair| pair.key.as_str()).collect();
        assert_eq!(keys, ["service.name", "service.instance.id"]);
    }

    #[test]
    fn a_large_table_is_split_and_loses_nothing() {
        let whole = points(&encode(&table()));
        let parts = encode_up_to(&table(), 200);
        assert!(parts.len() > 1);
        assert_eq!(points(&parts), whole);
        assert_eq!(parts.iter().map(|part| part.points).sum::<u64>(), 6);
    }

    #[test]
    fn an_empty_table_is_no_request() {
        assert_eq!(encode(&Table::new("cadvisor", "n1")), []);
    }
}
