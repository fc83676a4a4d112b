//! How a collector says its samples, and the constructors of its metrics.

use yagura_model::{Kind, Metric, Timestamp};

use crate::series::{ScopeId, Table, Value};

pub(super) const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit, help }
}

pub(super) const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help }
}

pub(super) const fn untyped(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Untyped, unit, help }
}

/// A metric and the word that stands for it in a file.
pub(super) type Field = (&'static str, Metric);

/// The metrics of a table of fields.
pub(super) const fn metrics<const N: usize>(fields: &[Field; N]) -> [Metric; N] {
    let mut all = [gauge("", "", ""); N];
    let mut rest: (&[Field], &mut [Metric]) = (fields, &mut all);
    while let ([(_, metric), fields @ ..], [place, places @ ..]) = rest {
        *place = *metric;
        rest = (fields, places);
    }
    all
}

/// Several tables in one.
pub(super) const fn joined<const N: usize>(mut parts: &[&[Metric]]) -> [Metric; N] {
    let mut all = [gauge("", "", ""); N];
    let mut places: &mut [Metric] = &mut all;
    while let [part, others @ ..] = parts {
        let (here, after) = places.split_at_mut(part.len());
        here.copy_from_slice(part);
        (places, parts) = (after, others);
    }
    assert!(places.is_empty(), "a place was left empty");
    all
}

/// The metric that a word stands for.
pub(super) fn find(fields: &'static [Field], word: &str) -> Option<&'static Metric> {
    fields.iter().find(|(known, _)| *known == word).map(|(_, metric)| metric)
}

/// Takes the samples of one scrape.
#[derive(Debug)]
pub(super) struct Sampler<'t> {
    table: &'t mut Table,
    scope: ScopeId,
    now: Timestamp,
    unparsed: u64,
}

impl<'t> Sampler<'t> {
    pub(super) fn new(table: &'t mut Table, scope: ScopeId, now: Timestamp) -> Self {
        Self { table, scope, now, unparsed: 0 }
    }

    /// When the scrape is.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn put(&mut self, metric: &'static Metric, labels: &[(&str, &str)], value: impl Into<Value>) {
        self.table.sample(self.scope, metric, labels, value);
    }

    /// A 1 whose labels are what it is about; those without a value are left out.
    pub(super) fn put_info(&mut self, metric: &'static Metric, labels: &[(&str, &str)]) {
        self.put_value(metric, labels, 1_i64);
    }

    /// A value without those labels that have none.
    pub(super) fn put_value(&mut self, metric: &'static Metric, labels: &[(&str, &str)], value: impl Into<Value>) {
        let known: Vec<_> = labels.iter().copied().filter(|(_, value)| !value.is_empty()).collect();
        self.put(metric, &known, value);
    }

    /// A whole number as it stands in a file; what is none is left out and counted.
    pub(super) fn put_word(&mut self, metric: &'static Metric, labels: &[(&str, &str)], word: Option<&str>) {
        if let Some(value) = self.number(word) {
            self.put(metric, labels, value);
        }
    }

    /// A whole number in some unit, as seconds or bytes.
    pub(super) fn put_scaled(
        &mut self,
        metric: &'static Metric,
        labels: &[(&str, &str)],
        word: Option<&str>,
        units_per_one: u32,
    ) {
        if let Some(value) = self.number(word) {
            self.put(metric, labels, float(value) / f64::from(units_per_one));
        }
    }

    /// The number that a word is; a word that is none is counted.
    pub(super) fn number(&mut self, word: Option<&str>) -> Option<u64> {
        let value = word?.parse().ok();
        self.unparsed += u64::from(value.is_none());
        value
    }

    /// Counts a field that is not what it should be.
    pub(super) fn bad(&mut self) {
        self.unparsed += 1;
    }

    pub(super) fn unparsed(&self) -> u64 {
        self.unparsed
    }
}

/// As Prometheus has all numbers.
#[expect(clippy::cast_precision_loss, reason = "past 2^53 a float is all that is left")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}
