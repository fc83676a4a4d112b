//! Metric requests.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{
        Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
        exponential_histogram_data_point::Buckets, metric::Data, number_data_point::Value,
        summary_data_point::ValueAtQuantile,
    },
};
use proptest::{collection::vec, option, prelude::*};
use prost::Message as _;
use yagura_codec::{
    self as ours, DecodeError,
    metrics::{MetricKind, NewNumber, Number, Temporality},
};
use yagura_model::Nanos;

use crate::{
    damage,
    scramble::{self, Child, Random, scramble},
    values::{attributes, encoded, resource, scope, their_attributes, their_resource, their_scope},
};

fn time() -> impl Strategy<Value = u64> {
    0..=i64::MAX as u64
}

fn exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    vec(attributes().prop_map(|filtered_attributes| Exemplar { filtered_attributes, ..Exemplar::default() }), 0..2)
}

fn number() -> impl Strategy<Value = NumberDataPoint> {
    let value = prop_oneof![
        Just(None),
        any::<f64>().prop_map(|value| Some(Value::AsDouble(value))),
        any::<i64>().prop_map(|value| Some(Value::AsInt(value))),
    ];
    (attributes(), time(), time(), exemplars(), 0..2_u32, value).prop_map(
        |(attributes, start, time, exemplars, flags, value)| NumberDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            exemplars,
            flags,
            value,
        },
    )
}

fn histogram() -> impl Strategy<Value = HistogramDataPoint> {
    let sums = (any::<u64>(), option::of(any::<f64>()), option::of(any::<f64>()), option::of(any::<f64>()));
    (attributes(), time(), time(), sums, vec(any::<u64>(), 0..5), vec(any::<f64>(), 0..5), exemplars(), 0..2_u32)
        .prop_map(
            |(attributes, start, time, (count, sum, min, max), bucket_counts, explicit_bounds, exemplars, flags)| {
                HistogramDataPoint {
                    attributes,
                    start_time_unix_nano: start,
                    time_unix_nano: time,
                    count,
                    sum,
                    bucket_counts,
                    explicit_bounds,
                    exemplars,
                    flags,
                    min,
                    max,
                }
            },
        )
}

fn buckets() -> impl Strategy<Value = Option<Buckets>> {
    (any::<i32>(), vec(any::<u64>(), 0..5)).prop_map(|(offset, bucket_counts)| Some(Buckets { offset, bucket_counts }))
}

fn exponential() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let sums = (any::<u64>(), option::of(any::<f64>()), option::of(any::<f64>()), option::of(any::<f64>()));
    let zero = (any::<i32>(), any::<u64>(), any::<f64>());
    (attributes(), time(), time(), sums, zero, buckets(), buckets(), exemplars(), 0..2_u32).prop_map(
        |(
            attributes,
            start,
            time,
            (count, sum, min, max),
            (scale, zero_count, zero_threshold),
            positive,
            negative,
            exemplars,
            flags,
        )| {
            ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: time,
                count,
                sum,
                scale,
                zero_count,
                positive,
                negative,
                flags,
                exemplars,
                min,
                max,
                zero_threshold,
            }
        },
    )
}

fn summary() -> impl Strategy<Value = SummaryDataPoint> {
    let quantiles = vec(any::<(f64, f64)>().prop_map(|(quantile, value)| ValueAtQuantile { quantile, value }), 0..4);
    (attributes(), time(), time(), any::<(u64, f64)>(), quantiles, 0..2_u32).prop_map(
        |(attributes, start, time, (count, sum), quantile_values, flags)| SummaryDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            count,
            sum,
            quantile_values,
            flags,
        },
    )
}

fn numbers() -> impl Strategy<Value = Option<Data>> {
    prop_oneof![
        vec(number(), 0..4).prop_map(|data_points| Some(Data::Gauge(Gauge { data_points }))),
        (vec(number(), 0..4), 0..=2, any::<bool>()).prop_map(|(data_points, temporality, is_monotonic)| {
            Some(Data::Sum(Sum { data_points, aggregation_temporality: temporality, is_monotonic }))
        }),
    ]
}

fn data() -> impl Strategy<Value = Option<Data>> {
    prop_oneof![
        Just(None),
        numbers(),
        (vec(histogram(), 0..3), 0..=2).prop_map(|(data_points, aggregation_temporality)| {
            Some(Data::Histogram(Histogram { data_points, aggregation_temporality }))
        }),
        (vec(exponential(), 0..3), 0..=2).prop_map(|(data_points, aggregation_temporality)| {
            Some(Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality }))
        }),
        vec(summary(), 0..3).prop_map(|data_points| Some(Data::Summary(Summary { data_points }))),
    ]
}

fn request(data: impl Strategy<Value = Option<Data>>) -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let metrics = (".{0,8}", ".{0,8}", ".{0,4}", data).prop_map(|(name, description, unit, data)| Metric {
        name,
        description,
        unit,
        data,
        ..Metric::default()
    });
    let scopes = (scope(), vec(metrics, 0..3)).prop_map(|(scope, metrics)| ScopeMetrics {
        scope,
        metrics,
        ..ScopeMetrics::default()
    });
    let resources = (resource(), vec(scopes, 0..3)).prop_map(|(resource, scope_metrics)| ResourceMetrics {
        resource,
        scope_metrics,
        ..ResourceMetrics::default()
    });
    vec(resources, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

fn shape(field: u32) -> Option<Child> {
    fn point(field: u32) -> Option<Child> {
        (field == 7).then_some(Child(scramble::key_value))
    }
    fn histogram(field: u32) -> Option<Child> {
        (field == 9).then_some(Child(scramble::key_value))
    }
    fn exponential(field: u32) -> Option<Child> {
        match field {
            1 => Some(Child(scramble::key_value)),
            8 | 9 => Some(Child(|_| None)),
            _ => None,
        }
    }
    fn summary(field: u32) -> Option<Child> {
        match field {
            6 => Some(Child(|_| None)),
            7 => Some(Child(scramble::key_value)),
            _ => None,
        }
    }
    fn metric(field: u32) -> Option<Child> {
        match field {
            5 | 7 => Some(Child(|field| (field == 1).then_some(Child(point)))),
            9 => Some(Child(|field| (field == 1).then_some(Child(histogram)))),
            10 => Some(Child(|field| (field == 1).then_some(Child(exponential)))),
            11 => Some(Child(|field| (field == 1).then_some(Child(summary)))),
            _ => None,
        }
    }
    fn scopes(field: u32) -> Option<Child> {
        match field {
            1 => Some(Child(scramble::scope)),
            2 => Some(Child(metric)),
            _ => None,
        }
    }
    fn resources(field: u32) -> Option<Child> {
        match field {
            1 => Some(Child(scramble::resource)),
            2 => Some(Child(scopes)),
            _ => None,
        }
    }
    (field == 1).then_some(Child(resources))
}

/// Reads everything with our decoder and gives it in their types.
fn read(bytes: &[u8]) -> Result<ExportMetricsServiceRequest, DecodeError> {
    let mut request = ExportMetricsServiceRequest::default();
    for resource in ours::metrics::Request::new(bytes).resources() {
        let resource = resource?;
        let mut theirs =
            ResourceMetrics { resource: their_resource(&resource.resource)?, ..ResourceMetrics::default() };
        for scope in resource.scopes() {
            let scope = scope?;
            let metrics = scope.metrics().map(|metric| their_metric(&metric?)).collect::<Result<_, _>>()?;
            theirs.scope_metrics.push(ScopeMetrics {
                scope: their_scope(&scope.scope)?,
                metrics,
                ..ScopeMetrics::default()
            });
        }
        request.resource_metrics.push(theirs);
    }
    Ok(request)
}

fn their_metric(metric: &ours::metrics::Metric<'_>) -> Result<Metric, DecodeError> {
    use ours::metrics::Data as Ours;
    let data = match metric.data {
        Ours::None => None,
        Ours::Gauge(points) => Some(Data::Gauge(Gauge { data_points: all(points.iter(), their_number)? })),
        Ours::Sum { points, temporality, monotonic } => Some(Data::Sum(Sum {
            data_points: all(points.iter(), their_number)?,
            aggregation_temporality: temporality as i32,
            is_monotonic: monotonic,
        })),
        Ours::Histogram { points, temporality } => Some(Data::Histogram(Histogram {
            data_points: all(points.iter(), their_histogram)?,
            aggregation_temporality: temporality as i32,
        })),
        Ours::ExponentialHistogram { points, temporality } => Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: all(points.iter(), their_exponential)?,
            aggregation_temporality: temporality as i32,
        })),
        Ours::Summary(points) => Some(Data::Summary(Summary { data_points: all(points.iter(), their_summary)? })),
    };
    Ok(Metric {
        name: metric.name.to_owned(),
        description: metric.description.to_owned(),
        unit: metric.unit.to_owned(),
        data,
        ..Metric::default()
    })
}

fn all<P, T>(
    points: impl Iterator<Item = Result<P, DecodeError>>,
    theirs: impl Fn(P) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    points.map(|point| theirs(point?)).collect()
}

fn their_number(point: ours::metrics::NumberPoint<'_>) -> Result<NumberDataPoint, DecodeError> {
    assert_eq!(point.is_stale(), point.flags & 1 == 1);
    Ok(NumberDataPoint {
        attributes: their_attributes(&point.attributes)?,
        start_time_unix_nano: point.start.0 as u64,
        time_unix_nano: point.time.0 as u64,
        exemplars: vec![],
        flags: point.flags,
        value: match point.value {
            Number::None => None,
            Number::Int(value) => Some(Value::AsInt(value)),
            Number::Double(value) => Some(Value::AsDouble(value)),
        },
    })
}

fn their_histogram(point: ours::metrics::HistogramPoint<'_>) -> Result<HistogramDataPoint, DecodeError> {
    Ok(HistogramDataPoint {
        attributes: their_attributes(&point.attributes)?,
        start_time_unix_nano: point.start.0 as u64,
        time_unix_nano: point.time.0 as u64,
        count: point.count,
        sum: point.sum,
        bucket_counts: point.bucket_counts.iter().collect::<Result<_, _>>()?,
        explicit_bounds: point.explicit_bounds.iter().collect::<Result<_, _>>()?,
        exemplars: vec![],
        flags: point.flags,
        min: point.min,
        max: point.max,
    })
}

fn their_exponential(
    point: ours::metrics::ExponentialHistogramPoint<'_>,
) -> Result<ExponentialHistogramDataPoint, DecodeError> {
    let buckets = |buckets: ours::metrics::Buckets<'_>| {
        let bucket_counts = buckets.counts.iter().collect::<Result<_, _>>()?;
        Ok(Some(Buckets { offset: buckets.offset, bucket_counts }))
    };
    Ok(ExponentialHistogramDataPoint {
        attributes: their_attributes(&point.attributes)?,
        start_time_unix_nano: point.start.0 as u64,
        time_unix_nano: point.time.0 as u64,
        count: point.count,
        sum: point.sum,
        scale: point.scale,
        zero_count: point.zero_count,
        positive: buckets(point.positive)?,
        negative: buckets(point.negative)?,
        flags: point.flags,
        exemplars: vec![],
        min: point.min,
        max: point.max,
        zero_threshold: point.zero_threshold,
    })
}

fn their_summary(point: ours::metrics::SummaryPoint<'_>) -> Result<SummaryDataPoint, DecodeError> {
    let quantile =
        |quantile: ours::metrics::Quantile| Ok(ValueAtQuantile { quantile: quantile.quantile, value: quantile.value });
    Ok(SummaryDataPoint {
        attributes: their_attributes(&point.attributes)?,
        start_time_unix_nano: point.start.0 as u64,
        time_unix_nano: point.time.0 as u64,
        count: point.count,
        sum: point.sum,
        quantile_values: all(point.quantiles(), quantile)?,
        flags: point.flags,
    })
}

/// What we pass over.
fn without_exemplars(mut request: ExportMetricsServiceRequest) -> ExportMetricsServiceRequest {
    let scopes = request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &mut scope.metrics) {
        match &mut metric.data {
            Some(Data::Gauge(data)) => data.data_points.iter_mut().for_each(|point| point.exemplars.clear()),
            Some(Data::Sum(data)) => data.data_points.iter_mut().for_each(|point| point.exemplars.clear()),
            Some(Data::Histogram(data)) => data.data_points.iter_mut().for_each(|point| point.exemplars.clear()),
            Some(Data::ExponentialHistogram(data)) => {
                data.data_points.iter_mut().for_each(|point| point.exemplars.clear());
            }
            Some(Data::Summary(_)) | None => {}
        }
    }
    request
}

/// Writes gauges and sums with our encoder.
fn write(request: &ExportMetricsServiceRequest) -> Vec<u8> {
    let mut encoder = ours::metrics::Encoder::default();
    for resource in &request.resource_metrics {
        encoder.begin_resource(&encoded(&resource.resource.as_ref().unwrap().attributes));
        for scope_metrics in &resource.scope_metrics {
            let scope = scope_metrics.scope.as_ref().unwrap();
            encoder.begin_scope(&scope.name, &scope.version, &encoded(&scope.attributes));
            for metric in &scope_metrics.metrics {
                let temporality = [Temporality::Unspecified, Temporality::Delta, Temporality::Cumulative];
                let (kind, points) = match metric.data.as_ref().unwrap() {
                    Data::Gauge(gauge) => (MetricKind::Gauge, &gauge.data_points),
                    Data::Sum(sum) => {
                        let temporality = temporality[sum.aggregation_temporality as usize];
                        (MetricKind::Sum { temporality, monotonic: sum.is_monotonic }, &sum.data_points)
                    }
                    _ => unreachable!("only numbers are generated"),
                };
                encoder.begin_metric(&metric.name, &metric.description, &metric.unit, kind);
                points.iter().for_each(|point| write_number(point, &mut encoder));
            }
        }
    }
    encoder.finish()
}

fn write_number(point: &NumberDataPoint, encoder: &mut ours::metrics::Encoder) {
    let (first, second) = point.attributes.split_at(point.attributes.len() / 2);
    encoder.number(&NewNumber {
        attributes: &[&encoded(first), &encoded(second)],
        start: Nanos(point.start_time_unix_nano as i64),
        time: Nanos(point.time_unix_nano as i64),
        value: match point.value {
            None => Number::None,
            Some(Value::AsInt(value)) => Number::Int(value),
            Some(Value::AsDouble(value)) => Number::Double(value),
        },
    });
}

proptest! {
    #[test]
    fn what_they_encode_we_read(request in request(data())) {
        let read = read(&request.encode_to_vec()).unwrap();
        prop_assert_eq!(read.encode_to_vec(), without_exemplars(request).encode_to_vec());
    }

    #[test]
    fn fields_may_come_in_any_order(request in request(data()), seed: u64) {
        let mut rng = Random(seed);
        let bytes = scramble(&request.encode_to_vec(), shape, &mut rng);
        let read = read(&bytes).unwrap();
        prop_assert_eq!(read.encode_to_vec(), without_exemplars(request).encode_to_vec());
    }

    #[test]
    fn what_we_encode_they_read(request in request(numbers())) {
        let mut expected = without_exemplars(request);
        let scopes = expected.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics);
        for metric in scopes.flat_map(|scope| &mut scope.metrics) {
            let points = match metric.data.as_mut().unwrap() {
                Data::Gauge(gauge) => &mut gauge.data_points,
                Data::Sum(sum) => &mut sum.data_points,
                _ => unreachable!("only numbers are generated"),
            };
            for point in points {
                point.flags = u32::from(point.value.is_none());
            }
        }
        let theirs = ExportMetricsServiceRequest::decode(&*write(&expected)).unwrap();
        prop_assert_eq!(theirs.encode_to_vec(), expected.encode_to_vec());
    }

    #[test]
    fn damage_is_an_error_at_worst(bytes in damage(request(data()).prop_map(|request| request.encode_to_vec()))) {
        let ours = read(&bytes);
        prop_assert!(ours.is_ok() || ExportMetricsServiceRequest::decode(&*bytes).is_err(), "{:?}", ours);
    }

    #[test]
    fn any_bytes_are_an_error_at_worst(bytes: Vec<u8>) {
        drop(read(&bytes));
    }
}

#[test]
fn numbers_need_not_be_packed() {
    let mut point = Vec::new();
    for count in [7, 8] {
        ours::pb::put_fixed64(&mut point, 6, count);
    }
    ours::pb::put_message(&mut point, 6, &9_u64.to_le_bytes());
    let mut bytes = point;
    for field in [1, 9, 2, 2, 1] {
        let inner = std::mem::take(&mut bytes);
        ours::pb::put_message(&mut bytes, field, &inner);
    }
    let read = read(&bytes).unwrap();
    assert_eq!(read, ExportMetricsServiceRequest::decode(&*bytes).map(with_defaults).unwrap());
    let Some(Data::Histogram(histogram)) = &read.resource_metrics[0].scope_metrics[0].metrics[0].data else {
        panic!("a histogram");
    };
    assert_eq!(histogram.data_points[0].bucket_counts, [7, 8, 9]);
}

fn with_defaults(mut request: ExportMetricsServiceRequest) -> ExportMetricsServiceRequest {
    for resource in &mut request.resource_metrics {
        resource.resource.get_or_insert_default();
        for metrics in &mut resource.scope_metrics {
            metrics.scope.get_or_insert_default();
        }
    }
    request
}

#[test]
fn attributes_in_one_piece_are_known_as_such() {
    let attributes: ours::attributes::PointAttributes = ours::attributes::Encoded::from_pairs([("a", "1"), ("b", "2")]);
    let check = |point: &[u8], expected: Option<&[u8]>| {
        let mut bytes = point.to_vec();
        for field in [1, 5, 2, 2, 1] {
            let inner = std::mem::take(&mut bytes);
            ours::pb::put_message(&mut bytes, field, &inner);
        }
        let resource = ours::metrics::Request::new(&bytes).resources().next().unwrap().unwrap();
        let metric = resource.scopes().next().unwrap().unwrap().metrics().next().unwrap().unwrap();
        let ours::metrics::Data::Gauge(points) = metric.data else { panic!("a gauge") };
        let point = points.iter().next().unwrap().unwrap();
        assert_eq!(point.attributes.raw(), expected);
        assert_eq!(point.attributes, attributes.view());
        assert_eq!(point.attributes.get_str("b"), Some("2"));
    };
    let mut point = vec![8 << 3, 1];
    point.extend_from_slice(attributes.as_bytes());
    ours::pb::put_fixed64(&mut point, 3, 5);
    check(&point, Some(attributes.as_bytes()));
    let half = attributes.as_bytes().len() / 2;
    let mut torn = attributes.as_bytes()[..half].to_vec();
    torn.extend_from_slice(&[8 << 3, 1]);
    torn.extend_from_slice(&attributes.as_bytes()[half..]);
    check(&torn, None);
}
