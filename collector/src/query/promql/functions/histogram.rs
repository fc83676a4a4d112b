//! Classic histograms: `histogram_quantile`, `histogram_fraction`, `histogram_quantiles`.

use std::collections::HashMap;

use yagura_model::Labels;

use super::{
    super::{
        ast::{
            Span,
            ValueType::{Scalar, String as Text, Vector},
        },
        eval::{ABSENT, Column, Evaluated, Numbers, Result, present},
        notes::shortest,
    },
    Body, Call, Function,
};

pub(super) const LIST: &[Function] = &[
    Function::new("histogram_quantile", &[Scalar, Vector], Vector, Body::Whole(histogram_quantile)),
    Function {
        variadic: 9,
        ..Function::new(
            "histogram_quantiles",
            &[Vector, Text, Scalar, Scalar],
            Vector,
            Body::Whole(histogram_quantiles),
        )
    },
    Function::new("histogram_fraction", &[Scalar, Scalar, Vector], Vector, Body::Whole(histogram_fraction)),
];

/// The buckets of one histogram: upper bounds, ascending, and their series.
struct Histogram {
    labels: Labels,
    buckets: Vec<(f64, Column)>,
}

/// A bucket at one instant: upper bound, and how many observations are at or below it.
type Bucket = (f64, f64);

fn histograms(call: &Call<'_, '_>, arg: usize) -> Result<Vec<Histogram>> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut histograms: Vec<Histogram> = Vec::new();
    for column in call.evaluator.vector(call.arg(arg)?)? {
        let bound = column.labels.get("le").unwrap_or_default();
        let Some(bound) = parse_bound(bound) else {
            let mut text = format!("bucket label \"le\" is missing or has a malformed value of {bound:?}");
            if let Some(name) = column.labels.name() {
                text.push_str(&format!(" for metric name {name:?}"));
            }
            call.evaluator.shared.warn(call.arg(arg)?.span, &text);
            continue;
        };
        let labels = column.labels.without(|name| name == "le");
        let place = *places.entry(labels.clone()).or_insert(histograms.len());
        if place == histograms.len() {
            histograms.push(Histogram { labels, buckets: Vec::new() });
        }
        if let Some(histogram) = histograms.get_mut(place) {
            histogram.buckets.push((bound, column));
        }
    }
    for histogram in &mut histograms {
        histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    Ok(histograms)
}

fn parse_bound(bound: &str) -> Option<f64> {
    bound.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

impl Histogram {
    /// What `read` makes of the buckets at each instant that has any.
    fn column(&self, labels: Labels, steps: usize, mut read: impl FnMut(usize, &mut Vec<Bucket>) -> f64) -> Column {
        let mut buckets = Vec::with_capacity(self.buckets.len());
        let values = (0..steps).map(|step| {
            buckets.clear();
            let at_step = |(bound, column): &(f64, Column)| Some((*bound, column.values.get(step).copied()?));
            buckets.extend(self.buckets.iter().filter_map(at_step).filter(|(_, count)| present(*count)));
            if buckets.is_empty() { ABSENT } else { read(step, &mut buckets) }
        });
        Column { labels, drop_name: true, values: values.collect() }
    }
}

fn warn_of(call: &Call<'_, '_>, quantiles: &Numbers, span: Span) {
    let odd = |quantile: f64| !(0.0..=1.0).contains(&quantile);
    let steps = if matches!(quantiles, Numbers::Same(_)) { 1 } else { call.evaluator.grid.count };
    for quantile in (0..steps).map(|step| quantiles.at(step)).filter(|quantile| odd(*quantile)) {
        let text = format!("quantile value should be between 0 and 1, got {}", shortest(quantile));
        call.evaluator.shared.warn(span, &text);
    }
}

fn histogram_quantile(call: &Call<'_, '_>) -> Result<Evaluated> {
    let quantiles = call.evaluator.scalar(call.arg(0)?)?;
    warn_of(call, &quantiles, call.arg(0)?.span);
    let histograms = histograms(call, 1)?;
    let columns = quantile_columns(call, &histograms, &quantiles, None, call.arg(1)?.span)?;
    done(call, histograms, columns)
}

fn histogram_quantiles(call: &Call<'_, '_>) -> Result<Evaluated> {
    let label = call.text(1)?;
    let histograms = histograms(call, 0)?;
    let mut columns = Vec::new();
    for index in 2..call.args.len() {
        let arg = call.arg(index)?;
        let quantiles = call.evaluator.scalar(arg)?;
        warn_of(call, &quantiles, arg.span);
        // The label's value has to be one for all steps; a changing quantile is taken from the first.
        let text = open_metrics(quantiles.at(0));
        columns.extend(quantile_columns(call, &histograms, &quantiles, Some((&label, &text)), call.arg(0)?.span)?);
    }
    done(call, histograms, columns)
}

/// A number as OpenMetrics writes it: always with a point or an exponent.
fn open_metrics(number: f64) -> String {
    let text = shortest(number);
    if number.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

fn quantile_columns(
    call: &Call<'_, '_>,
    histograms: &[Histogram],
    quantiles: &Numbers,
    label: Option<(&str, &str)>,
    span: Span,
) -> Result<Vec<Column>> {
    let steps = call.evaluator.grid.count;
    let mut columns = Vec::new();
    for histogram in histograms {
        call.evaluator.control().check()?;
        let mut forced = false;
        let labels = match label {
            None => histogram.labels.clone(),
            Some((name, value)) => {
                let mut builder = histogram.labels.to_builder();
                builder.set(name, value);
                builder.build()
            }
        };
        columns.push(histogram.column(labels, steps, |step, buckets| {
            let (value, fixed) = bucket_quantile(quantiles.at(step), buckets);
            forced |= fixed;
            value
        }));
        if forced {
            let mut text = "input to histogram_quantile needed to be fixed for monotonicity (see \
                            https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
                .to_owned();
            if let Some(name) = histogram.labels.name() {
                text.push_str(&format!(" for metric name {name:?}"));
            }
            call.evaluator.shared.info(span, &text);
        }
    }
    Ok(columns)
}

fn histogram_fraction(call: &Call<'_, '_>) -> Result<Evaluated> {
    let lower = call.evaluator.scalar(call.arg(0)?)?;
    let upper = call.evaluator.scalar(call.arg(1)?)?;
    let histograms = histograms(call, 2)?;
    let steps = call.evaluator.grid.count;
    let columns = histograms.iter().map(|histogram| {
        histogram.column(histogram.labels.clone(), steps, |step, buckets| {
            bucket_fraction(lower.at(step), upper.at(step), buckets)
        })
    });
    let columns = columns.collect();
    done(call, histograms, columns)
}

fn done(call: &Call<'_, '_>, histograms: Vec<Histogram>, columns: Vec<Column>) -> Result<Evaluated> {
    let read: usize = histograms.iter().flat_map(|histogram| &histogram.buckets).map(|(_, c)| c.values.len()).sum();
    call.evaluator.control().release(read);
    call.evaluator.control().hold(columns.iter().map(|column| column.values.len()).sum())?;
    Ok(Evaluated::Vector(columns))
}

/// Adds up buckets with the same bound.
fn coalesce(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|bucket, kept| {
        let same = bucket.0 == kept.0;
        if same {
            kept.1 += bucket.1;
        }
        same
    });
}

/// Makes counts rise with the bounds. Differences that rounding can make are taken back silently; whether there were
/// others is told.
fn make_monotonic(buckets: &mut [Bucket]) -> bool {
    let mut forced = false;
    let mut before = buckets.first().map_or(0.0, |bucket| bucket.1);
    for bucket in buckets.iter_mut().skip(1) {
        if bucket.1 == before {
            continue;
        }
        let close = almost_equal(before, bucket.1);
        if close || bucket.1 < before {
            forced |= !close;
            bucket.1 = before;
        }
        before = bucket.1;
    }
    forced
}

fn almost_equal(a: f64, b: f64) -> bool {
    const TOLERANCE: f64 = 1e-12;
    if a.is_nan() && b.is_nan() {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// The quantile of a histogram, linear within a bucket, and whether its counts had to be made to rise.
fn bucket_quantile(quantile: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    if quantile.is_nan() {
        return (f64::NAN, false);
    }
    if !(0.0..=1.0).contains(&quantile) {
        return (if quantile < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, false);
    }
    if buckets.last().is_none_or(|bucket| bucket.0 != f64::INFINITY) {
        return (f64::NAN, false);
    }
    coalesce(buckets);
    let forced = make_monotonic(buckets);
    let [.., (second_bound, _), (_, observations)] = buckets.as_slice() else { return (f64::NAN, false) };
    if *observations == 0.0 || observations.is_nan() {
        return (f64::NAN, false);
    }
    let mut rank = quantile * observations;
    let found = buckets.partition_point(|bucket| bucket.1 < rank).min(buckets.len() - 1);
    if found == buckets.len() - 1 {
        return (*second_bound, forced);
    }
    let (end, mut count) = buckets.get(found).copied().unwrap_or_default();
    if found == 0 && end <= 0.0 {
        return (end, forced);
    }
    let mut start = 0.0;
    if let Some((bound, below)) = found.checked_sub(1).and_then(|before| buckets.get(before)) {
        start = *bound;
        count -= below;
        rank -= below;
    }
    (start + (end - start) * (rank / count), forced)
}

/// The part of a histogram's observations between two values, linear within a bucket.
fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if buckets.last().is_none_or(|bucket| bucket.0 != f64::INFINITY) {
        return f64::NAN;
    }
    coalesce(buckets);
    let count = buckets.last().map_or(0.0, |bucket| bucket.1);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let first_bound = buckets.first().map_or(0.0, |bucket| bucket.0);
    let rank = |value: f64| {
        let mut start = if first_bound <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
        let mut below = 0.0;
        for (end, at_or_below) in buckets.iter() {
            if start >= value {
                return below;
            }
            if *end > value {
                return below + (at_or_below - below) * (value - start) / (end - start);
            }
            (start, below) = (*end, *at_or_below);
        }
        count
    };
    (rank(upper).min(count) - rank(lower).min(count)) / count
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKETS: [Bucket; 4] = [(0.1, 10.0), (0.5, 30.0), (1.0, 40.0), (f64::INFINITY, 40.0)];

    #[test]
    fn a_quantile_is_linear_within_its_bucket() {
        let check = |quantile: f64, expected: f64| {
            let (value, forced) = bucket_quantile(quantile, &mut BUCKETS.to_vec());
            assert!((value - expected).abs() < 1e-12 || value == expected, "{quantile}: {value}");
            assert!(!forced);
        };
        check(0.0, 0.0);
        check(0.25, 0.1);
        check(0.5, 0.3);
        check(1.0, 1.0);
        check(2.0, f64::INFINITY);
        check(-1.0, f64::NEG_INFINITY);
        assert!(bucket_quantile(0.5, &mut BUCKETS[..3].to_vec()).0.is_nan());
    }

    #[test]
    fn counts_that_fall_are_raised_and_told() {
        let mut buckets = vec![(1.0, 10.0), (2.0, 8.0), (f64::INFINITY, 12.0)];
        assert!(bucket_quantile(0.5, &mut buckets).1);
        let mut buckets = vec![(1.0, 10.0), (2.0, 10.0 - 1e-13), (f64::INFINITY, 12.0)];
        assert!(!bucket_quantile(0.5, &mut buckets).1);
    }

    #[test]
    fn a_fraction_is_the_inverse_of_a_quantile() {
        let fraction = |lower: f64, upper: f64| bucket_fraction(lower, upper, &mut BUCKETS.to_vec());
        assert_eq!(fraction(f64::NEG_INFINITY, 0.1), 0.25);
        assert_eq!(fraction(0.1, 0.3), 0.25);
        assert_eq!(fraction(0.0, f64::INFINITY), 1.0);
        assert_eq!(fraction(1.0, 0.5), 0.0);
        assert!(fraction(f64::NAN, 1.0).is_nan());
    }
}
