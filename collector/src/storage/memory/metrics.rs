//! Samples in a map of maps.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Mutex,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Metric, NumberDataPoint, ResourceMetrics, metric::Data, number_data_point::Value,
    },
};
use prost::Message;
use yagura_model::{Labels, Timestamp, labels, metric::is_stale, names};

use super::{Limits, lock, otlp};
use crate::storage::{
    Appended, Error, Figures, Listing, Matcher, MetricMetadata, MetricStore, RejectReason, Sample, Selection, Series,
    ranges::RangeSet,
    samples::{self, MAX_LABELS, MAX_NAME, MAX_VALUE, Part, Point, Temporality, histogram, summary},
};

const NO_RECORDED_VALUE: u32 = 1;

/// All samples.
#[derive(Debug)]
pub(super) struct Metrics {
    limits: Limits,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    series: BTreeMap<Labels, BTreeMap<Timestamp, f64>>,
    metadata: BTreeMap<String, MetricMetadata>,
    queues: HashMap<String, RangeSet>,
    figures: Figures,
}

impl Metrics {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, inner: Mutex::default() }
    }

    pub(super) fn count(&self, figures: &mut Figures) {
        let inner = lock(&self.inner);
        figures.active_series = inner.series.len() as u64;
        figures.samples = inner.figures.samples;
        let Figures { duplicates, rejected, .. } = inner.figures.clone();
        figures.duplicates += duplicates;
        figures.rejected.extend(rejected);
    }

    fn append_now(&self, request: &[u8], now: Timestamp) -> Result<Appended, Error> {
        let request =
            ExportMetricsServiceRequest::decode(request).map_err(|error| Error::Malformed(error.to_string()))?;
        let mut inner = lock(&self.inner);
        let mut writer = Writer { limits: self.limits, now, appended: Appended::default(), inner: &mut inner };
        let first = request.resource_metrics.first().and_then(|first| first.resource.as_ref());
        if let Some((queue, sequence)) = otlp::batch(first) {
            let stored = writer.inner.queues.entry(queue).or_default();
            if stored.contains(sequence) {
                writer.appended.duplicates = points(&request);
                return Ok(writer.appended);
            }
            stored.insert(sequence..sequence.saturating_add(1));
        }
        for resource in &request.resource_metrics {
            writer.resource(resource);
        }
        let appended = writer.appended;
        inner.figures.samples += appended.accepted;
        super::add(&mut inner.figures, &appended);
        Ok(appended)
    }
}

fn points(request: &ExportMetricsServiceRequest) -> u64 {
    let metrics = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let counts = metrics.flat_map(|scope| &scope.metrics).map(|metric| match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    });
    counts.sum::<usize>() as u64
}

struct Writer<'a> {
    limits: Limits,
    now: Timestamp,
    appended: Appended,
    inner: &'a mut Inner,
}

impl Writer<'_> {
    fn resource(&mut self, resource: &ResourceMetrics) {
        let mut base = labels::Builder::default();
        for pair in otlp::attributes(resource.resource.as_ref()) {
            if let Some((_, label)) = names::RESOURCE_JOB.iter().find(|(known, _)| *known == pair.key) {
                base.set(label, &otlp::text(pair.value.as_ref()));
            }
        }
        for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            self.metric(&base, metric);
        }
    }

    fn metric(&mut self, base: &labels::Builder, metric: &Metric) {
        let counter = matches!(&metric.data, Some(Data::Sum(sum)) if sum.is_monotonic);
        let name = samples::metric_name(&metric.name, &metric.unit, counter).into_owned();
        let kind = match &metric.data {
            None => return,
            Some(Data::Sum(_)) if counter => "counter",
            Some(Data::Gauge(_) | Data::Sum(_)) => "gauge",
            Some(Data::Histogram(_) | Data::ExponentialHistogram(_)) => "histogram",
            Some(Data::Summary(_)) => "summary",
        };
        self.inner.metadata.entry(name.clone()).or_insert_with(|| MetricMetadata {
            name: name.clone(),
            kind,
            unit: metric.unit.clone(),
            help: metric.description.clone(),
        });
        match &metric.data {
            None => {}
            Some(Data::Gauge(gauge)) => self.numbers(base, &name, &gauge.data_points, Temporality::Gauge),
            Some(Data::Sum(sum)) => {
                let temporality = match temporality(sum.aggregation_temporality) {
                    Temporality::Cumulative if !sum.is_monotonic => Temporality::Gauge,
                    temporality => temporality,
                };
                self.numbers(base, &name, &sum.data_points, temporality);
            }
            Some(Data::Histogram(data)) => {
                let temporality = temporality(data.aggregation_temporality);
                for point in &data.data_points {
                    let Some(parts) = histogram(&point.explicit_bounds, &point.bucket_counts, point.count, point.sum)
                    else {
                        self.appended.reject(RejectReason::Unsupported, || format!("{name}: buckets without bounds"));
                        continue;
                    };
                    let whole = (point.start_time_unix_nano, point.time_unix_nano, point.flags);
                    self.parts(base, &name, &point.attributes, parts, whole, temporality);
                }
            }
            Some(Data::Summary(data)) => {
                for point in &data.data_points {
                    let quantiles = point.quantile_values.iter().map(|value| (value.quantile, value.value));
                    let parts = summary(quantiles, point.count, point.sum);
                    let whole = (point.start_time_unix_nano, point.time_unix_nano, point.flags);
                    self.parts(base, &name, &point.attributes, parts, whole, Temporality::Cumulative);
                }
            }
            Some(Data::ExponentialHistogram(data)) => {
                for _ in &data.data_points {
                    self.appended.reject(RejectReason::Unsupported, || format!("{name}: exponential histogram"));
                }
            }
        }
    }

    fn numbers(&mut self, base: &labels::Builder, name: &str, points: &[NumberDataPoint], temporality: Temporality) {
        for point in points {
            let stale = point.flags & NO_RECORDED_VALUE != 0;
            #[expect(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
            let value = match point.value {
                Some(Value::AsDouble(value)) => value,
                Some(Value::AsInt(value)) => value as f64,
                None if stale => 0.0,
                None => {
                    self.appended.reject(RejectReason::Unsupported, || format!("{name}: a point without a value"));
                    continue;
                }
            };
            let labels = self.labels(base, name, &point.attributes, None);
            let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
            self.sample(labels, Point::new(start, time, value, stale, temporality));
        }
    }

    fn parts(
        &mut self,
        base: &labels::Builder,
        name: &str,
        attributes: &[KeyValue],
        parts: Vec<Part>,
        (start, time, flags): (u64, u64, u32),
        temporality: Temporality,
    ) {
        for part in parts {
            let whole = format!("{name}{}", part.suffix);
            let labels = self.labels(base, &whole, attributes, part.label.as_ref());
            let temporality = if part.counts { temporality } else { Temporality::Gauge };
            let stale = flags & NO_RECORDED_VALUE != 0;
            self.sample(labels, Point::new(start, time, part.value, stale, temporality));
        }
    }

    fn labels(
        &self,
        base: &labels::Builder,
        name: &str,
        attributes: &[KeyValue],
        extra: Option<&(&'static str, String)>,
    ) -> Labels {
        let mut builder = base.clone();
        for pair in attributes {
            builder.set(&names::sanitize_label(&pair.key), &otlp::text(pair.value.as_ref()));
        }
        if let Some((name, value)) = extra {
            builder.set(name, value);
        }
        builder.set(labels::NAME, name);
        builder.build()
    }

    fn sample(&mut self, labels: Labels, mut point: Point) {
        let sane = labels.len() <= MAX_LABELS
            && labels.name().is_some()
            && labels.iter().all(|(name, value)| name.len() <= MAX_NAME && value.len() <= MAX_VALUE);
        if !sane {
            self.appended.reject(RejectReason::BadLabels, || labels.to_string());
            return;
        }
        if let Err(reason) = samples::admit(point.time, self.now, self.limits.retention.metrics.0) {
            self.appended.reject(reason, || labels.to_string());
            return;
        }
        if !self.inner.series.contains_key(&labels) && self.inner.series.len() >= self.limits.max_series {
            self.appended.reject(RejectReason::Cardinality, || labels.to_string());
            return;
        }
        let series = self.inner.series.entry(labels.clone()).or_default();
        let newest = series.last_key_value().map(|(time, value)| (*time, *value));
        if let Some(held) = series.get(&point.time) {
            let same = point.temporality == Temporality::Delta || held.to_bits() == point.value.to_bits();
            match same {
                true => self.appended.duplicates += 1,
                false => self.appended.reject(RejectReason::Conflict, || labels.to_string()),
            }
            return;
        }
        if point.temporality == Temporality::Delta {
            if newest.is_some_and(|(time, _)| point.time < time) {
                self.appended.reject(RejectReason::OutOfOrder, || labels.to_string());
                return;
            }
            if !is_stale(point.value) {
                point.value += newest.map_or(0.0, |(_, value)| if is_stale(value) { 0.0 } else { value });
            }
        }
        if let Some(zero) = samples::zero_before(&point, newest.map(|(time, _)| time))
            && samples::admit(zero, self.now, self.limits.retention.metrics.0).is_ok()
        {
            series.insert(zero, 0.0);
        }
        series.insert(point.time, point.value);
        self.appended.accepted += 1;
    }
}

fn temporality(number: i32) -> Temporality {
    match AggregationTemporality::try_from(number) {
        Ok(AggregationTemporality::Delta) => Temporality::Delta,
        _ => Temporality::Cumulative,
    }
}

impl MetricStore for Metrics {
    fn append(&self, request: Bytes, now: Timestamp) -> BoxFuture<'_, Result<Appended, Error>> {
        Box::pin(async move { self.append_now(&request, now) })
    }

    fn select(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Series>, Error>> {
        Box::pin(async move {
            let inner = lock(&self.inner);
            let mut found = Vec::new();
            let mut left = selection.max_samples;
            for (labels, held) in &inner.series {
                if !matches(&selection.matchers, labels) || selection.from > selection.to {
                    continue;
                }
                let samples: Vec<Sample> = held
                    .range(selection.from..=selection.to)
                    .map(|(time, value)| Sample { time: *time, value: *value })
                    .collect();
                let too_much = Error::TooMuch { limit: selection.max_samples, unit: "samples" };
                left = left.checked_sub(samples.len() as u64).ok_or(too_much)?;
                if !samples.is_empty() {
                    found.push(Series { labels: labels.clone(), samples });
                }
            }
            Ok(found)
        })
    }

    fn series(&self, listing: Listing) -> BoxFuture<'_, Result<Vec<Labels>, Error>> {
        Box::pin(async move { Ok(self.listed(&listing).into_iter().take(limit(listing.limit)).collect()) })
    }

    fn label_names(&self, listing: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        Box::pin(async move {
            let series = self.listed(&listing);
            let names: BTreeSet<&str> = series.iter().flat_map(Labels::iter).map(|(name, _)| name).collect();
            Ok(names.into_iter().take(limit(listing.limit)).map(str::to_owned).collect())
        })
    }

    fn label_values(&self, name: String, listing: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        Box::pin(async move {
            let series = self.listed(&listing);
            let values: BTreeSet<&str> = series.iter().filter_map(|labels| labels.get(&name)).collect();
            Ok(values.into_iter().take(limit(listing.limit)).map(str::to_owned).collect())
        })
    }

    fn metadata(&self, metric: Option<String>, at_most: usize) -> BoxFuture<'_, Result<Vec<MetricMetadata>, Error>> {
        Box::pin(async move {
            let inner = lock(&self.inner);
            let wanted = |known: &&MetricMetadata| metric.as_ref().is_none_or(|metric| *metric == known.name);
            Ok(inner.metadata.values().filter(wanted).take(limit(at_most)).cloned().collect())
        })
    }
}

impl Metrics {
    fn listed(&self, listing: &Listing) -> Vec<Labels> {
        let inner = lock(&self.inner);
        let any = |labels: &Labels| {
            listing.any_of.is_empty() || listing.any_of.iter().any(|matchers| matches(matchers, labels))
        };
        let exists = |held: &BTreeMap<Timestamp, f64>| {
            listing.from <= listing.to && held.range(listing.from..=listing.to).next().is_some()
        };
        inner
            .series
            .iter()
            .filter(|(labels, held)| any(labels) && exists(held))
            .map(|(labels, _)| labels.clone())
            .collect()
    }
}

fn matches(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches_labels(labels))
}

fn limit(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}
