//! OTLP metrics into pending samples.
//!
//! A point's series is found by a hash of its encoded attributes, its metric and its resource; only at first sight
//! are labels built, sorted and looked up.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, PoisonError},
};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};
use yagura_codec::{
    Attributes,
    metrics::{self as otlp, Data, Metric, Number, NumberPoint, Points, ResourceMetrics},
};
use yagura_model::{Labels, Nanos, Timestamp, labels, metric::is_stale, metric::stale_nan, names};

use super::{Series, read};
use crate::storage::{
    Appended, Error, MetricMetadata, RejectReason, Sample,
    embedded::{
        Store,
        coding::{Input, put_block, put_labels},
        delivered::{self, Delivered},
        group::Group,
        keyspaces::{Change, Day, Kind, Space, get, id_key, labels_of},
    },
    samples::{self, MAX_LABELS, MAX_NAME, MAX_VALUE, Part, Point, Temporality},
};

/// Names of metrics beyond this are stored without a description.
const MAX_METADATA: usize = 100_000;

/// Keys are hashes already.
#[derive(Debug, Default)]
pub(in crate::storage::embedded) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = low(number);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
fn low(hash: u128) -> u64 {
    hash as u64
}

/// A map by hash.
pub(in crate::storage::embedded) type ByHash<T> = HashMap<u128, T, BuildHasherDefault<Identity>>;

/// What is known of a hash of raw bytes.
#[derive(Clone, Debug)]
enum Known {
    One(Arc<Series>),
    /// The series of a histogram or summary, in the order of their parts.
    Many(Arc<[Arc<Series>]>),
}

/// The writer's memory of raw bytes seen before.
#[derive(Debug, Default)]
pub(in crate::storage::embedded) struct Cache {
    known: ByHash<Known>,
    described: ByHash<()>,
}

impl Cache {
    /// Forgets what was not used since `since`, and with it the last hold on idle series.
    pub(in crate::storage::embedded) fn forget_idle(&mut self, since: Timestamp) {
        let used = |series: &Arc<Series>| series.with(|head| !head.is_empty() || head.used >= since);
        self.known.retain(|_, known| match known {
            Known::One(series) => used(series),
            Known::Many(all) => all.iter().any(used),
        });
        self.described.clear();
    }
}

/// Reads one request into `group`.
pub(in crate::storage::embedded) fn append(
    store: &Store,
    cache: &mut Cache,
    delivered: &mut Delivered,
    group: &mut Group,
    request: &[u8],
    now: Timestamp,
) -> Result<Appended, Error> {
    check(request)?;
    let mut appended = Appended::default();
    let request = otlp::Request::new(request);
    if let Some(Ok(first)) = request.resources().next()
        && let Some(batch) = delivered::batch(&first.resource.attributes)
        && !delivered.take_batch(store, group, b'm', batch)
    {
        appended.duplicates = request.resources().flatten().map(|resource| points(&resource)).sum();
        return Ok(appended);
    }
    let mut writer = Writer { store, cache, group, now, appended };
    for resource in request.resources() {
        writer.resource(&resource.map_err(malformed)?)?;
    }
    Ok(writer.appended)
}

fn malformed(error: yagura_codec::DecodeError) -> Error {
    Error::Malformed(error.to_string())
}

/// Reads the whole request once without storing anything: a request that is broken at its end leaves no half behind.
fn check(request: &[u8]) -> Result<(), Error> {
    for resource in otlp::Request::new(request).resources() {
        for scope in resource.map_err(malformed)?.scopes() {
            for metric in scope.map_err(malformed)?.metrics() {
                check_metric(&metric.map_err(malformed)?).map_err(malformed)?;
            }
        }
    }
    Ok(())
}

fn check_metric(metric: &Metric<'_>) -> Result<(), yagura_codec::DecodeError> {
    match &metric.data {
        Data::Gauge(points) | Data::Sum { points, .. } => points.iter().try_for_each(|point| point.map(drop)),
        Data::Histogram { points, .. } => points.iter().try_for_each(|point| {
            let point = point?;
            point.bucket_counts.iter().try_for_each(|count| count.map(drop))?;
            point.explicit_bounds.iter().try_for_each(|bound| bound.map(drop))
        }),
        Data::Summary(points) => points.iter().try_for_each(|point| {
            let point = point?;
            point.quantiles().try_for_each(|quantile| quantile.map(drop))
        }),
        Data::ExponentialHistogram { points, .. } => points.iter().try_for_each(|point| point.map(drop)),
        Data::None => Ok(()),
    }
}

fn points(resource: &ResourceMetrics<'_>) -> u64 {
    let metrics = resource.scopes().flatten().flat_map(|scope| scope.metrics().flatten());
    let counts = metrics.map(|metric| match &metric.data {
        Data::Gauge(points) | Data::Sum { points, .. } => points.iter().count(),
        Data::Histogram { points, .. } => points.iter().count(),
        Data::ExponentialHistogram { points, .. } => points.iter().count(),
        Data::Summary(points) => points.iter().count(),
        Data::None => 0,
    });
    counts.sum::<usize>() as u64
}

struct Writer<'a> {
    store: &'a Store,
    cache: &'a mut Cache,
    group: &'a mut Group,
    now: Timestamp,
    appended: Appended,
}

/// The resource and metric that points stand in.
struct Context<'a> {
    base: &'a labels::Builder,
    name: &'a str,
    hash: u128,
}

impl Context<'_> {
    /// The hash under which a point's series is known.
    #[inline]
    fn key(&self, attributes: &Attributes<'_>) -> u128 {
        match attributes.raw() {
            Some(raw) => xxh3_128_with_seed(raw, low(self.hash)) ^ (self.hash & !u128::from(u64::MAX)),
            None => {
                let mut text = Vec::new();
                for (name, value) in attributes.iter().flatten() {
                    put_block(&mut text, name.as_bytes());
                    put_block(&mut text, value.text().unwrap_or_default().as_bytes());
                }
                xxh3_128_with_seed(&text, low(self.hash)) ^ (self.hash & !u128::from(u64::MAX)) ^ 1
            }
        }
    }

    fn labels(&self, suffix: &str, attributes: &Attributes<'_>, extra: Option<&(&'static str, String)>) -> Labels {
        let mut builder = self.base.clone();
        for (name, value) in attributes.iter().flatten() {
            builder.set(&names::sanitize_label(name), &value.text().unwrap_or_default());
        }
        if let Some((name, value)) = extra {
            builder.set(name, value);
        }
        builder.set(labels::NAME, &format!("{}{suffix}", self.name));
        builder.build()
    }
}

impl Writer<'_> {
    fn resource(&mut self, resource: &ResourceMetrics<'_>) -> Result<(), Error> {
        let mut base = labels::Builder::default();
        for attribute in resource.resource.attributes.iter() {
            let (name, value) = attribute.map_err(malformed)?;
            if let Some((_, label)) = names::RESOURCE_JOB.iter().find(|(known, _)| *known == name) {
                base.set(label, &value.text().map_err(malformed)?);
            }
        }
        let mut text = Vec::new();
        for label in ["job", "instance"] {
            put_block(&mut text, base.get(label).unwrap_or_default().as_bytes());
        }
        let prefix = text.len();
        for scope in resource.scopes() {
            for metric in scope.map_err(malformed)?.metrics() {
                let metric = metric.map_err(malformed)?;
                text.truncate(prefix);
                put_block(&mut text, metric.name.as_bytes());
                put_block(&mut text, metric.unit.as_bytes());
                self.metric(&base, &mut text, &metric)?;
            }
        }
        Ok(())
    }

    fn metric(&mut self, base: &labels::Builder, identity: &mut Vec<u8>, metric: &Metric<'_>) -> Result<(), Error> {
        let (kind, tag) = match &metric.data {
            Data::None => return Ok(()),
            Data::Sum { monotonic: true, .. } => ("counter", 1),
            Data::Gauge(_) | Data::Sum { .. } => ("gauge", 0),
            Data::Histogram { .. } | Data::ExponentialHistogram { .. } => ("histogram", 2),
            Data::Summary(_) => ("summary", 3),
        };
        identity.push(tag);
        let hash = xxh3_128(identity);
        let name = samples::metric_name(metric.name, metric.unit, kind == "counter");
        if self.cache.described.insert(hash, ()).is_none() {
            self.describe(&name, kind, metric);
        }
        let context = Context { base, name: &name, hash };
        match &metric.data {
            Data::None => Ok(()),
            Data::Gauge(points) => self.numbers(&context, points, Temporality::Gauge),
            Data::Sum { points, temporality, monotonic } => {
                let temporality = match self::temporality(*temporality) {
                    Temporality::Cumulative if !monotonic => Temporality::Gauge,
                    temporality => temporality,
                };
                self.numbers(&context, points, temporality)
            }
            Data::Histogram { points, temporality } => {
                for point in points.iter() {
                    let point = point.map_err(malformed)?;
                    let bounds: Vec<f64> = point.explicit_bounds.iter().flatten().collect();
                    let counts: Vec<u64> = point.bucket_counts.iter().flatten().collect();
                    let Some(parts) = samples::histogram(&bounds, &counts, point.count, point.sum) else {
                        self.appended.reject(RejectReason::Unsupported, || format!("{name}: buckets without bounds"));
                        continue;
                    };
                    let stale = point.flags & otlp::NO_RECORDED_VALUE != 0;
                    let temporality = self::temporality(*temporality);
                    self.parts(&context, &point.attributes, &parts, (point.start, point.time, stale), temporality);
                }
                Ok(())
            }
            Data::Summary(points) => {
                for point in points.iter() {
                    let point = point.map_err(malformed)?;
                    let quantiles = point.quantiles().flatten().map(|quantile| (quantile.quantile, quantile.value));
                    let parts = samples::summary(quantiles, point.count, point.sum);
                    let stale = point.flags & otlp::NO_RECORDED_VALUE != 0;
                    let whole = (point.start, point.time, stale);
                    self.parts(&context, &point.attributes, &parts, whole, Temporality::Cumulative);
                }
                Ok(())
            }
            Data::ExponentialHistogram { points, .. } => {
                for _ in points.iter() {
                    self.appended.reject(RejectReason::Unsupported, || format!("{name}: exponential histogram"));
                }
                Ok(())
            }
        }
    }

    fn describe(&mut self, name: &str, kind: &'static str, metric: &Metric<'_>) {
        let mut metadata = self.store.metrics.metadata.write().unwrap_or_else(PoisonError::into_inner);
        if metadata.contains_key(name) || metadata.len() >= MAX_METADATA || name.is_empty() {
            return;
        }
        let known = MetricMetadata {
            name: name.to_owned(),
            kind,
            unit: metric.unit.to_owned(),
            help: metric.description.to_owned(),
        };
        let mut value = Vec::new();
        [kind, metric.unit, metric.description].iter().for_each(|text| put_block(&mut value, text.as_bytes()));
        let key = [b"d", name.as_bytes()].concat();
        self.group.changes.push(Change::put(Space::Meta, key, value));
        metadata.insert(name.to_owned(), known);
    }

    #[inline]
    fn numbers(
        &mut self,
        context: &Context<'_>,
        points: &Points<'_, NumberPoint<'_>>,
        temporality: Temporality,
    ) -> Result<(), Error> {
        for point in points.iter() {
            let point = point.map_err(malformed)?;
            let stale = point.is_stale();
            #[expect(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
            let value = match point.value {
                _ if stale => stale_nan(),
                Number::Double(value) => value,
                Number::Int(value) => value as f64,
                Number::None => {
                    let name = context.name;
                    self.appended.reject(RejectReason::Unsupported, || format!("{name}: a point without a value"));
                    continue;
                }
            };
            let new = instant(point.start, point.time, value, temporality);
            let key = context.key(&point.attributes);
            if let Some(Known::One(series)) = self.cache.known.get(&key) {
                let series = Arc::clone(series);
                self.sample(&series, new);
            } else if let Some(series) = self.find(|| context.labels("", &point.attributes, None), &new) {
                self.cache.known.insert(key, Known::One(Arc::clone(&series)));
                self.sample(&series, new);
            }
        }
        Ok(())
    }

    fn parts(
        &mut self,
        context: &Context<'_>,
        attributes: &Attributes<'_>,
        parts: &[Part],
        (start, time, stale): (Nanos, Nanos, bool),
        temporality: Temporality,
    ) {
        // Which parts there are is part of who they are: bounds may change.
        let mut shape = Vec::new();
        for part in parts {
            put_block(&mut shape, part.suffix.as_bytes());
            put_block(&mut shape, part.label.as_ref().map_or("", |(_, value)| value).as_bytes());
        }
        let key = context.key(attributes) ^ xxh3_128(&shape);
        let point = |part: &Part| {
            let temporality = if part.counts { temporality } else { Temporality::Gauge };
            instant(start, time, if stale { stale_nan() } else { part.value }, temporality)
        };
        if let Some(Known::Many(all)) = self.cache.known.get(&key) {
            let all = Arc::clone(all);
            all.iter().zip(parts).for_each(|(series, part)| self.sample(series, point(part)));
            return;
        }
        let mut all = Vec::with_capacity(parts.len());
        for part in parts {
            let new = point(part);
            let labels = || context.labels(part.suffix, attributes, part.label.as_ref());
            if let Some(series) = self.find(labels, &new) {
                self.sample(&series, new);
                all.push(series);
            }
        }
        if all.len() == parts.len() {
            self.cache.known.insert(key, Known::Many(all.into()));
        }
    }

    /// The series with these labels, made active; `None` when it was refused.
    fn find(&mut self, labels: impl FnOnce() -> Labels, point: &Point) -> Option<Arc<Series>> {
        let labels = labels();
        let sane = labels.len() <= MAX_LABELS
            && labels.name().is_some()
            && labels.iter().all(|(name, value)| name.len() <= MAX_NAME && value.len() <= MAX_VALUE);
        if !sane {
            self.appended.reject(RejectReason::BadLabels, || labels.to_string());
            return None;
        }
        if let Err(reason) = self.store.admit_sample(point.time, self.now) {
            self.appended.reject(reason, || labels.to_string());
            return None;
        }
        let found = open_series(self.store, &labels, || self.store.metrics.len() < self.store.config.max_series);
        if found.is_none() {
            self.appended.reject(RejectReason::Cardinality, || labels.to_string());
        }
        found
    }

    fn sample(&mut self, series: &Arc<Series>, mut point: Point) {
        if let Err(reason) = self.store.admit_sample(point.time, self.now) {
            self.appended.reject(reason, || series.labels.to_string());
            return;
        }
        let delta = point.temporality == Temporality::Delta;
        let (newest, sealed, held) = series.with(|head| {
            head.used = self.now;
            let late = head.newest.is_some_and(|newest| point.time <= newest.time);
            (head.newest, head.newest_sealed, if late { head.value_at(point.time) } else { None })
        });
        // Only a time that chunks may hold is looked for on disk.
        let held = match held {
            None if sealed.is_some_and(|sealed| point.time <= sealed.time) => {
                read::value_at(self.store, series.id, point.time)
            }
            held => held,
        };
        if let Some(held) = held {
            match delta || held.to_bits() == point.value.to_bits() {
                true => self.appended.duplicates += 1,
                false => self.appended.reject(RejectReason::Conflict, || series.labels.to_string()),
            }
            return;
        }
        if delta {
            if newest.is_some_and(|newest| point.time < newest.time) {
                self.appended.reject(RejectReason::OutOfOrder, || series.labels.to_string());
                return;
            }
            let sum = newest.map_or(0.0, |newest| if is_stale(newest.value) { 0.0 } else { newest.value });
            if !is_stale(point.value) {
                point.value += sum;
            }
        }
        if let Some(zero) = samples::zero_before(&point, newest.map(|newest| newest.time))
            && self.store.admit_sample(zero, self.now).is_ok()
        {
            self.group.sample(series, Sample { time: zero, value: 0.0 });
        }
        self.group.sample(series, Sample { time: point.time, value: point.value });
        self.appended.accepted += 1;
    }
}

#[inline]
fn instant(start: Nanos, time: Nanos, value: f64, temporality: Temporality) -> Point {
    Point { time: time.to_timestamp(), start: (start.0 != 0).then(|| start.to_timestamp()), value, temporality }
}

fn temporality(temporality: otlp::Temporality) -> Temporality {
    match temporality {
        otlp::Temporality::Delta => Temporality::Delta,
        otlp::Temporality::Cumulative | otlp::Temporality::Unspecified => Temporality::Cumulative,
    }
}

/// The active series with these labels, woken from disk or new; `None` when a new one is not `allowed`.
///
/// Its id is a hash of its labels; should another series have it already, the next free number is taken.
pub(in crate::storage::embedded) fn open_series(
    store: &Store,
    labels: &Labels,
    allowed: impl FnOnce() -> bool,
) -> Option<Arc<Series>> {
    let mut bytes = Vec::with_capacity(256);
    put_labels(&mut bytes, labels);
    let mut id = xxh3_64(&bytes);
    loop {
        match store.metrics.get(id) {
            Some(series) if series.labels == *labels => return Some(series),
            Some(_) => id = id.wrapping_add(1),
            None if taken(store, id, labels) => id = id.wrapping_add(1),
            None => break,
        }
    }
    if !allowed() {
        return None;
    }
    let mark = get(&store.keyspaces.marks, id_key(b'm', id), &store.counters);
    let newest = mark.and_then(|mark| {
        let mut input = Input(&mark);
        input.signed()?;
        Some(Sample { time: Timestamp(input.signed()?), value: f64::from_bits(input.word()?) })
    });
    let series = Arc::new(Series::new(id, labels.clone(), newest));
    store.metrics.insert(Arc::clone(&series));
    Some(series)
}

/// Whether an idle series of another name has this id in the newest day.
fn taken(store: &Store, id: u64, labels: &Labels) -> bool {
    let newest = store.keyspaces.days(Kind::Metrics).last().and_then(|day| store.keyspaces.day(Kind::Metrics, *day));
    newest.and_then(|newest| labels_of(&newest, id, &store.counters)).is_some_and(|known| known != *labels)
}

/// The change that makes a day know a series.
pub(in crate::storage::embedded) fn record(day: Day, id: u64, labels: &Labels) -> Change {
    let mut value = Vec::with_capacity(256);
    put_labels(&mut value, labels);
    Change::put(Space::Day(Kind::Metrics, day), id_key(b's', id), value)
}
