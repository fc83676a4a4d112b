//! OTLP requests, walked whole.

use crate::{
    AnyValue, Attributes, DecodeError,
    attributes::{Encoded, PointAttributes, ResourceAttributes, ScopeAttributes},
    logs::{self, NewRecord, Record},
    metrics::{self, Data, MetricKind, NewNumber, Number, NumberPoint, Points, Repeated},
    traces,
};

/// An `ExportMetricsServiceRequest`.
pub fn metrics(bytes: &[u8]) {
    let mut count = 0;
    for resource in metrics::Request::new(bytes).resources().flatten() {
        attributes::<1>(&resource.resource.attributes);
        for scope in resource.scopes().flatten() {
            attributes::<3>(&scope.scope.attributes);
            for metric in scope.metrics().flatten() {
                count += data(&metric.data);
            }
        }
    }
    assert!(2 * count <= bytes.len(), "{count} points and numbers in {} bytes", bytes.len());
}

/// An `ExportLogsServiceRequest`.
pub fn logs(bytes: &[u8]) {
    let mut count = 0;
    for resource in logs::Request::new(bytes).resources().flatten() {
        attributes::<1>(&resource.resource.attributes);
        for scope in resource.scopes().flatten() {
            attributes::<3>(&scope.scope.attributes);
            for record in scope.records().flatten() {
                attributes::<6>(&record.attributes);
                rewritten_record(&record);
                count += 1;
            }
        }
    }
    assert!(2 * count <= bytes.len(), "{count} records in {} bytes", bytes.len());
}

/// An `ExportTraceServiceRequest`.
pub fn traces(bytes: &[u8]) {
    let (mut spans, mut encoder) = (Vec::new(), traces::Encoder::default());
    for resource in traces::Request::new(bytes).resources().flatten() {
        attributes::<1>(&resource.resource.attributes);
        encoder.begin_resource(resource.resource.raw);
        for scope in resource.scopes().flatten() {
            attributes::<3>(&scope.scope.attributes);
            encoder.begin_scope(scope.scope.raw);
            for span in scope.spans().flatten() {
                attributes::<9>(&span.attributes);
                encoder.span(span.raw);
                spans.push(span);
            }
        }
    }
    let written = encoder.finish();
    let read: Result<Vec<_>, DecodeError> = traces::Request::new(&written)
        .resources()
        .flat_map(|resource| flatten(resource.map(|resource| resource.scopes())))
        .flat_map(|scope| flatten(scope.map(|scope| scope.spans())))
        .collect();
    assert_eq!(read, Ok(spans), "spans do not survive");
}

/// Each item, or the one error instead of them.
fn flatten<T, E>(items: Result<impl Iterator<Item = Result<T, E>>, E>) -> impl Iterator<Item = Result<T, E>> {
    let (items, error) = match items {
        Ok(items) => (Some(items), None),
        Err(error) => (None, Some(Err(error))),
    };
    error.into_iter().chain(items.into_iter().flatten())
}

/// How many points and repeated numbers there are; each takes a byte at least.
fn data(data: &Data<'_>) -> usize {
    match data {
        Data::None => 0,
        Data::Gauge(points) => numbers(points, MetricKind::Gauge),
        Data::Sum { points, temporality, monotonic } => {
            numbers(points, MetricKind::Sum { temporality: *temporality, monotonic: *monotonic })
        }
        Data::Histogram { points, .. } => {
            points.iter().flatten().for_each(|point| {
                attributes::<7>(&point.attributes);
                walk(&point.bucket_counts);
                walk(&point.explicit_bounds);
            });
            points.iter().count()
        }
        Data::ExponentialHistogram { points, .. } => {
            points.iter().flatten().for_each(|point| {
                attributes::<1>(&point.attributes);
                walk(&point.positive.counts);
                walk(&point.negative.counts);
            });
            points.iter().count()
        }
        Data::Summary(points) => {
            points.iter().flatten().for_each(|point| {
                attributes::<7>(&point.attributes);
                assert!(point.quantiles().count() <= 1 << 20, "quantiles do not end");
            });
            points.iter().count()
        }
    }
}

/// Reads numbers to their end; after an error there are none.
fn walk<T>(numbers: &Repeated<'_, T>) {
    let mut numbers = numbers.iter();
    while let Some(number) = numbers.next() {
        assert!(number.is_ok() || numbers.next().is_none(), "numbers go on after an error");
    }
}

fn numbers(points: &Points<'_, NumberPoint<'_>>, kind: MetricKind) -> usize {
    let mut encoder = metrics::Encoder::new(Vec::new());
    encoder.begin_resource(&ResourceAttributes::new());
    encoder.begin_scope("", "", &ScopeAttributes::new());
    encoder.begin_metric("name", "", "", kind);
    for point in points.iter().flatten() {
        let labels: PointAttributes = attributes(&point.attributes);
        encoder.number(&NewNumber { attributes: &[&labels], start: point.start, time: point.time, value: point.value });
    }
    let written = encoder.finish();
    let mut read = metrics::Request::new(&written)
        .resources()
        .flatten()
        .flat_map(|resource| resource.scopes().flatten())
        .flat_map(|scope| scope.metrics().flatten())
        .flat_map(|metric| match metric.data {
            Data::Gauge(points) | Data::Sum { points, .. } => Some(points.iter()),
            _ => None,
        })
        .flatten();
    for point in points.iter().flatten() {
        let again = read.next().and_then(Result::ok);
        assert!(again.is_some(), "a point was lost");
        let again = again.unwrap_or_default();
        assert_eq!(again.attributes, point.attributes);
        assert_eq!((again.start, again.time), (point.start, point.time));
        assert_eq!(bits(again.value), bits(point.value));
        assert!(again.is_stale() || point.value != Number::None, "no value, and not stale");
    }
    assert!(read.next().is_none(), "a point came from nowhere");
    points.iter().count()
}

/// A value that can be compared, a NaN too.
fn bits(number: Number) -> (u8, u64) {
    match number {
        Number::None => (0, 0),
        Number::Int(value) => (1, value.cast_unsigned()),
        Number::Double(value) => (2, value.to_bits()),
    }
}

fn rewritten_record(record: &Record<'_>) {
    let attributes = attributes(&record.attributes);
    let mut encoder = logs::Encoder::default();
    encoder.begin_resource(&ResourceAttributes::new());
    encoder.begin_scope();
    encoder.record(&NewRecord {
        time: record.time,
        observed: record.observed,
        severity_number: record.severity_number.min(24),
        severity_text: record.severity_text,
        body: record.body,
        attributes: &[&attributes],
        range: None,
        flags: record.flags,
        trace_id: record.trace_id,
        span_id: record.span_id,
        event_name: record.event_name,
    });
    let written = encoder.finish();
    let mut read = logs::Request::new(&written)
        .resources()
        .flatten()
        .flat_map(|resource| resource.scopes().flatten())
        .flat_map(|scope| scope.records());
    let again = read.next().and_then(Result::ok);
    assert!(again.is_some(), "a record was lost");
    let again = again.unwrap_or_default();
    same_value(&record.body, &again.body);
    let expected = Record {
        severity_number: record.severity_number.min(24),
        dropped_attributes: 0,
        body: AnyValue::Empty,
        ..*record
    };
    assert_eq!(Record { body: AnyValue::Empty, ..again }, expected, "a record does not survive");
}

/// Reads every attribute and value, and gives them encoded again for messages where they are field `FIELD`.
fn attributes<const FIELD: u32>(attributes: &Attributes<'_>) -> Encoded<FIELD> {
    let mut copied = Encoded::new();
    copied.put_all(attributes);
    assert_eq!(copied.view(), *attributes, "attributes do not survive being copied");
    for attribute in attributes.iter() {
        let Ok((name, value)) = attribute else { continue };
        let mut written = Encoded::<FIELD>::new();
        written.put(name, value);
        let read = written.view().iter().next().and_then(Result::ok);
        assert_eq!(read.map(|(name, _)| name), Some(name), "an attribute does not survive");
        same_value(&value, &read.unwrap_or_default().1);
    }
    copied
}

/// A broken value may become a whole one by being written; a whole one must stay what it is.
fn same_value(value: &AnyValue<'_>, again: &AnyValue<'_>) {
    if let Ok(text) = value.text() {
        assert_eq!(again.text().as_ref(), Ok(&text), "a value does not survive");
    }
}
