//! What an OTLP point becomes: names, labels and samples as Prometheus has them. Pure rules, the same in all engines.
//!
//! * A metric whose name is a legal Prometheus name keeps it to the letter (dashboards written for the exporters we
//!   stand in for find it); any other name is OpenTelemetry's own, and gets `_` for its dots, its unit and `_total`.
//! * `service.name` and `service.instance.id` of the resource become `job` and `instance`, attributes of the point
//!   labels; the point's own wins. Other resource attributes are not kept (there is no `target_info`).
//! * A counter that was not known counts from its start time: a sample of zero is put there ([`zero_before`]).

use std::{borrow::Cow, time::Duration};

use yagura_daemon::config::DurationText;
use yagura_model::{Nanos, Timestamp, metric::stale_nan, names};

use super::{RejectReason, config::Retention};

/// More labels than this is a mistake of the sender.
pub(super) const MAX_LABELS: usize = 128;
/// A longer name of a label or metric is refused.
pub(super) const MAX_NAME: usize = 512;
/// A longer value of a label is refused.
pub(super) const MAX_VALUE: usize = 8 << 10;
/// A start time further before the first sample than this says nothing of use.
const RECENT_START: Duration = Duration::from_secs(60 * 60);
/// How far ahead of our clock a sender's may be.
pub(super) const MAX_AHEAD: Duration = Duration::from_secs(10 * 60);

/// How the value of a point is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temporality {
    /// A value at an instant.
    Gauge,
    /// The sum since the start.
    Cumulative,
    /// The sum since the last point; becomes cumulative.
    Delta,
}

/// One sample of one series, before it is known whether it is new.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) time: Timestamp,
    /// When counting began; `None` when the sender does not say.
    pub(super) start: Option<Timestamp>,
    /// The value, or [`stale_nan`].
    pub(super) value: f64,
    pub(super) temporality: Temporality,
}

impl Point {
    /// A point from OTLP's fields.
    pub(super) fn new(start: u64, time: u64, value: f64, no_value: bool, temporality: Temporality) -> Self {
        Self {
            time: timestamp(time),
            start: (start != 0).then(|| timestamp(start)),
            value: if no_value { stale_nan() } else { value },
            temporality,
        }
    }
}

fn timestamp(nanos: u64) -> Timestamp {
    Nanos(i64::try_from(nanos).unwrap_or(i64::MAX)).to_timestamp()
}

/// Where the sample of zero goes that a counter begins with, given the newest sample of its series.
pub(super) fn zero_before(point: &Point, newest: Option<Timestamp>) -> Option<Timestamp> {
    let start = point.start?;
    let recent = start < point.time && point.time.since(start) <= RECENT_START;
    let later = match point.temporality {
        Temporality::Gauge => false,
        Temporality::Cumulative => newest.is_none_or(|newest| start > newest),
        // A gap between two deltas is no reset: their sum goes on.
        Temporality::Delta => newest.is_none(),
    };
    (recent && later && !point.value.is_nan()).then_some(start)
}

/// Whether a time may be stored.
pub(super) fn admit(time: Timestamp, now: Timestamp, retention: Duration) -> Result<(), RejectReason> {
    if time < now.minus(retention) {
        Err(RejectReason::TooOld)
    } else if time > now.plus(MAX_AHEAD) {
        Err(RejectReason::InTheFuture)
    } else {
        Ok(())
    }
}

/// Retention that keeps everything.
pub(super) const FOREVER: Retention = Retention {
    metrics: DurationText(Duration::MAX),
    logs: DurationText(Duration::MAX),
    traces: DurationText(Duration::MAX),
};

/// The name of a metric in Prometheus.
pub(super) fn metric_name<'a>(name: &'a str, unit: &str, counter: bool) -> Cow<'a, str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Cow::Borrowed(name);
    }
    let mut whole = names::sanitize_label(name);
    let unit = unit_word(unit);
    if !unit.is_empty() && !whole.ends_with(unit) {
        whole.push('_');
        whole.push_str(unit);
    }
    if counter && !whole.ends_with("_total") {
        whole.push_str("_total");
    }
    Cow::Owned(whole)
}

/// UCUM's unit as Prometheus names it; empty for those that are not written (`1`, `{request}`).
fn unit_word(unit: &str) -> &str {
    match unit {
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "min" => "minutes",
        "h" => "hours",
        "d" => "days",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "Cel" => "celsius",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "Hz" => "hertz",
        "m" => "meters",
        "g" => "grams",
        "%" => "percent",
        _ => "",
    }
}

/// One series of a histogram or summary.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// `_bucket`, `_sum`, `_count`, or nothing.
    pub(super) suffix: &'static str,
    /// The label it has beside those of the point.
    pub(super) label: Option<(&'static str, String)>,
    /// Its value.
    pub(super) value: f64,
    /// A quantile is a gauge; the rest counts.
    pub(super) counts: bool,
}

/// The series of a classic histogram. Counts are per bucket, as OTLP has them; `None` if there are not one more
/// than bounds.
#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats too")]
pub(super) fn histogram(bounds: &[f64], counts: &[u64], count: u64, sum: Option<f64>) -> Option<Vec<Part>> {
    if counts.len() != bounds.len() + 1 && !(counts.is_empty() && bounds.is_empty()) {
        return None;
    }
    let mut parts = Vec::with_capacity(bounds.len() + 3);
    let bucket =
        |le: String, value: u64| Part { suffix: "_bucket", label: Some(("le", le)), value: value as f64, counts: true };
    let mut below = 0_u64;
    for (bound, held) in bounds.iter().zip(counts) {
        below = below.saturating_add(*held);
        parts.push(bucket(bound.to_string(), below));
    }
    parts.push(bucket("+Inf".to_owned(), count));
    parts.extend(sum.map(|value| Part { suffix: "_sum", label: None, value, counts: true }));
    parts.push(Part { suffix: "_count", label: None, value: count as f64, counts: true });
    Some(parts)
}

/// The series of a summary.
#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats too")]
pub(super) fn summary(quantiles: impl Iterator<Item = (f64, f64)>, count: u64, sum: f64) -> Vec<Part> {
    let mut parts: Vec<Part> = quantiles
        .map(|(quantile, value)| Part {
            suffix: "",
            label: Some(("quantile", quantile.to_string())),
            value,
            counts: false,
        })
        .collect();
    parts.push(Part { suffix: "_sum", label: None, value: sum, counts: true });
    parts.push(Part { suffix: "_count", label: None, value: count as f64, counts: true });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_prometheus_knows_stay_as_they_are() {
        assert_eq!(metric_name("node_netstat_Tcp_InSegs", "", true), "node_netstat_Tcp_InSegs");
        assert_eq!(metric_name("job:rate5m", "s", false), "job:rate5m");
    }

    #[test]
    fn names_of_opentelemetry_get_their_unit_and_total() {
        assert_eq!(metric_name("http.server.request.duration", "s", false), "http_server_request_duration_seconds");
        assert_eq!(metric_name("process.cpu.time", "s", true), "process_cpu_time_seconds_total");
        assert_eq!(metric_name("jvm.class.loaded", "{class}", true), "jvm_class_loaded_total");
    }

    #[test]
    fn a_start_counts_only_when_it_is_recent_and_new() {
        let at = |start: i64, newest: Option<i64>| {
            let point = Point {
                time: Timestamp(7_200_000),
                start: Some(Timestamp(start)),
                value: 3.0,
                temporality: Temporality::Cumulative,
            };
            zero_before(&point, newest.map(Timestamp))
        };
        assert_eq!(at(7_190_000, None), Some(Timestamp(7_190_000)));
        assert_eq!(at(7_190_000, Some(7_000_000)), Some(Timestamp(7_190_000)), "a reset");
        assert_eq!(at(7_190_000, Some(7_190_000)), None, "known since");
        assert_eq!(at(3_599_999, None), None, "older than an hour");
        assert_eq!(at(7_200_000, None), None, "not before the sample");
    }

    #[test]
    fn a_histogram_has_cumulative_buckets() {
        let parts = histogram(&[0.5, 10.0], &[1, 2, 3], 6, Some(1.5)).unwrap();
        let shown: Vec<String> = parts
            .iter()
            .map(|part| format!("{}{:?}={}", part.suffix, part.label.as_ref().map(|label| &label.1), part.value))
            .collect();
        assert_eq!(
            shown,
            [
                r#"_bucketSome("0.5")=1"#.to_owned(),
                r#"_bucketSome("10")=3"#.to_owned(),
                r#"_bucketSome("+Inf")=6"#.to_owned(),
                "_sumNone=1.5".to_owned(),
                "_countNone=6".to_owned()
            ]
        );
        assert_eq!(histogram(&[0.5], &[1], 1, None), None, "a bucket is missing");
    }
}
