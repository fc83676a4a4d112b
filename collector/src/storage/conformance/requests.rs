//! Requests as senders make them, with the generated OTLP types.

use std::ops::Range;

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        Gauge, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
        number_data_point,
    },
    resource::v1::Resource,
};
use prost::Message;
use yagura_model::{Timestamp, delivery};

use super::{DAY, NOW};
use crate::storage::{Direction, LogSelection, MatchOp, Matcher};

pub(in crate::storage) fn bytes(message: &impl Message) -> Bytes {
    Bytes::from(message.encode_to_vec())
}

pub(in crate::storage) fn all(matchers: &[(&str, MatchOp, &str)]) -> Vec<Matcher> {
    matchers.iter().map(|(name, op, value)| Matcher::new(name, *op, value).unwrap()).collect()
}

pub(in crate::storage) fn any(value: impl Into<Value>) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value.into()) })
}

pub(in crate::storage) fn text(text: &str) -> Option<AnyValue> {
    any(Value::StringValue(text.to_owned()))
}

pub(in crate::storage) fn pair(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Attributes that are all text.
pub(in crate::storage) fn texts(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(name, value)| pair(name, text(value))).collect()
}

pub(in crate::storage) fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.to_nanos().0).unwrap()
}

pub(in crate::storage) fn resource(attributes: Vec<KeyValue>) -> Option<Resource> {
    Some(Resource { attributes, ..Resource::default() })
}

/// A request of metrics of one resource.
pub(in crate::storage) fn metrics(attributes: Vec<KeyValue>, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: resource(attributes), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

pub(in crate::storage) fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }
}

/// A gauge with its points.
pub(in crate::storage) fn gauge(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(name, Data::Gauge(Gauge { data_points }))
}

/// A sum with its points; 1 for deltas, 2 for cumulative.
pub(in crate::storage) fn sum(name: &str, aggregation_temporality: i32, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(name, Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true }))
}

/// A point some milliseconds after [`NOW`].
pub(in crate::storage) fn point(labels: &[(&str, &str)], after: i64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: texts(labels),
        time_unix_nano: nanos(Timestamp(NOW.0 + after)),
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// The same with the start of its counting.
pub(in crate::storage) fn since(start: i64, mut point: NumberDataPoint) -> NumberDataPoint {
    point.start_time_unix_nano = nanos(Timestamp(NOW.0 + start));
    point
}

pub(in crate::storage) fn histogram(after: i64, counts: Vec<u64>, flags: u32) -> HistogramDataPoint {
    HistogramDataPoint {
        time_unix_nano: nanos(Timestamp(NOW.0 + after)),
        count: counts.iter().sum(),
        sum: Some(12.5),
        bucket_counts: counts,
        explicit_bounds: vec![0.5, 1.0],
        flags,
        ..HistogramDataPoint::default()
    }
}

pub(in crate::storage) fn queued(queue: &str, sequence: i64) -> Vec<KeyValue> {
    vec![
        pair("service.name", text("app")),
        pair(delivery::QUEUE, text(queue)),
        pair(delivery::SEQUENCE, any(Value::IntValue(sequence))),
    ]
}

/// A request of log records of one resource and scope.
pub(in crate::storage) fn logs(
    attributes: Vec<KeyValue>,
    scope: Option<InstrumentationScope>,
    log_records: Vec<LogRecord>,
) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { scope, log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: resource(attributes), scope_logs, ..ResourceLogs::default() }],
    }
}

/// A record some milliseconds after [`NOW`].
pub(in crate::storage) fn line(after: i64, body: &str) -> LogRecord {
    LogRecord { time_unix_nano: nanos(Timestamp(NOW.0 + after)), body: text(body), ..LogRecord::default() }
}

/// The scope of a file's records, and what it answers for.
pub(in crate::storage) fn file(generation: &str, covered: &[Range<u64>]) -> Option<InstrumentationScope> {
    let covered = any(Value::BytesValue(delivery::encode_ranges(covered)));
    Some(InstrumentationScope {
        name: delivery::SCOPE.to_owned(),
        attributes: vec![
            pair(delivery::GENERATION, text(generation)),
            pair(delivery::STREAM, text("stdout")),
            pair(delivery::COVERED, covered),
        ],
        ..InstrumentationScope::default()
    })
}

/// A record of a file.
pub(in crate::storage) fn tailed(range: Range<u64>, body: &str) -> LogRecord {
    let number = |number| any(Value::IntValue(i64::try_from(number).unwrap()));
    let mut record = line(0, body);
    record.attributes =
        vec![pair(delivery::RANGE_START, number(range.start)), pair(delivery::RANGE_END, number(range.end))];
    record
}

/// Every record there is.
pub(in crate::storage) fn everything() -> LogSelection {
    LogSelection {
        matchers: vec![],
        filters: vec![],
        severities: vec![],
        fields: vec![],
        range: Timestamp(NOW.0 - 40 * DAY).to_nanos()..Timestamp(NOW.0 + DAY).to_nanos(),
        direction: Direction::Forward,
        limit: 10_000,
        max_bytes: u64::MAX,
    }
}
