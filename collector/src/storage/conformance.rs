//! The suite that every engine passes. A case says what is put in and what must come out; it does not know the engine.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, metric::Data,
        number_data_point, summary_data_point::ValueAtQuantile,
    },
    resource::v1::Resource,
};
use prost::Message;
use yagura_daemon::config::DurationText;
use yagura_model::{Labels, Nanos, Severity, Timestamp, delivery, metric::is_stale};

use super::{
    Appended, Direction, Error, LineFilter, Listing, LogEntry, LogSelection, MatchOp, Matcher, RejectReason, Selection,
    Storage, Tailed, config::Config,
};

/// 2026-11-20 12:00:00 UTC, the time at which everything is appended unless said otherwise.
pub(super) const NOW: Timestamp = Timestamp(1_795_176_000_000);
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What happens after every append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing.
    Plain,
    /// Everything is moved into blocks.
    Settled,
    /// The engine is closed and opened again.
    Reopened,
    /// Both.
    SettledAndReopened,
}

/// Opens an engine: a new one when the second argument says so, otherwise the last one again.
pub(super) type Open<'a> = &'a mut dyn FnMut(&Config, bool) -> Storage;

type Case = for<'a> fn(&'a mut Subject<'_>) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

const CASES: &[(&str, Case)] = &[
    ("a sample is stored once and the first value stays", |s| Box::pin(first_wins(s))),
    ("labels come from point and resource", |s| Box::pin(labels(s))),
    ("a staleness marker comes back as one", |s| Box::pin(staleness(s))),
    ("deltas add up", |s| Box::pin(deltas(s))),
    ("histograms and summaries are series", |s| Box::pin(histograms(s))),
    ("a new counter counts from its start", |s| Box::pin(starts(s))),
    ("samples come in any order within retention", |s| Box::pin(any_order(s))),
    ("series are capped", |s| Box::pin(cardinality(s))),
    ("labels are listed", |s| Box::pin(listings(s))),
    ("metrics are described", |s| Box::pin(metadata(s))),
    ("a selection has a budget", |s| Box::pin(budgets(s))),
    ("a pushed batch is stored once", |s| Box::pin(batches(s))),
    ("a broken request stores nothing", |s| Box::pin(broken(s))),
    ("bytes of a file are stored once", |s| Box::pin(ranges(s))),
    ("batches of a file come in any order", |s| Box::pin(parallel(s))),
    ("records have labels, fields and a severity", |s| Box::pin(records(s))),
    ("records are selected", |s| Box::pin(log_selection(s))),
    ("records are counted", |s| Box::pin(log_counts(s))),
    ("records are kept within retention", |s| Box::pin(log_retention(s))),
    ("records are seen as they come", |s| Box::pin(tail(s))),
    ("state is kept", |s| Box::pin(state(s))),
];

/// Runs every case on a new engine.
pub(super) async fn check_all(mode: Mode, open: Open<'_>) {
    for (name, case) in CASES {
        println!("{mode:?}: {name}");
        let config = Config { max_series: 1000, ..Config::default() };
        let storage = open(&config, true);
        let mut subject = Subject { config, storage, mode, open };
        case(&mut subject).await;
        subject.storage.engine.close().await.unwrap();
    }
}

/// The engine under test.
pub(super) struct Subject<'a> {
    config: Config,
    pub(super) storage: Storage,
    mode: Mode,
    open: Open<'a>,
}

impl Subject<'_> {
    async fn metrics(&mut self, request: ExportMetricsServiceRequest) -> Appended {
        self.metrics_at(request, NOW).await
    }

    async fn metrics_at(&mut self, request: ExportMetricsServiceRequest, now: Timestamp) -> Appended {
        let appended = self.storage.metrics.append(bytes(&request), now).await.unwrap();
        self.after().await;
        appended
    }

    async fn logs(&mut self, request: ExportLogsServiceRequest) -> Appended {
        let appended = self.storage.logs.append(bytes(&request), NOW).await.unwrap();
        self.after().await;
        appended
    }

    async fn after(&mut self) {
        if matches!(self.mode, Mode::Settled | Mode::SettledAndReopened) {
            self.storage.engine.settle().await.unwrap();
        }
        if matches!(self.mode, Mode::Reopened | Mode::SettledAndReopened) {
            self.storage.engine.close().await.unwrap();
            self.storage = (self.open)(&self.config, false);
        }
    }

    /// Opens the engine again with another config.
    async fn with(&mut self, change: impl FnOnce(&mut Config)) {
        self.storage.engine.close().await.unwrap();
        change(&mut self.config);
        self.storage = (self.open)(&self.config, false);
    }

    async fn shown(&self, matchers: &[(&str, MatchOp, &str)]) -> Vec<String> {
        let (from, to) = (Timestamp(NOW.0 - 40 * DAY), Timestamp(NOW.0 + DAY));
        let selection = Selection { matchers: all(matchers), from, to, max_samples: 1_000_000 };
        let series = self.storage.metrics.select(selection).await.unwrap();
        let value = |value: f64| if is_stale(value) { "stale".to_owned() } else { value.to_string() };
        series
            .iter()
            .map(|series| {
                let sample = |sample: &super::Sample| format!("{}@{}", value(sample.value), sample.time.0 - NOW.0);
                let samples: Vec<String> = series.samples.iter().map(sample).collect();
                format!("{} {}", series.labels, samples.join(" "))
            })
            .collect()
    }

    async fn lines(&self, selection: LogSelection) -> Vec<String> {
        self.storage.logs.select(selection).await.unwrap().into_iter().map(|entry| entry.line).collect()
    }
}

fn bytes(message: &impl Message) -> Bytes {
    Bytes::from(message.encode_to_vec())
}

fn all(matchers: &[(&str, MatchOp, &str)]) -> Vec<Matcher> {
    matchers.iter().map(|(name, op, value)| Matcher::new(name, *op, value).unwrap()).collect()
}

fn accepted(count: u64) -> Appended {
    Appended { accepted: count, ..Appended::default() }
}

fn duplicates(count: u64) -> Appended {
    Appended { duplicates: count, ..Appended::default() }
}

fn reasons(appended: &Appended) -> Vec<(RejectReason, u64)> {
    appended.rejected.iter().map(|rejected| (rejected.reason, rejected.count)).collect()
}

fn any(value: impl Into<Value>) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value.into()) })
}

fn text(text: &str) -> Option<AnyValue> {
    any(Value::StringValue(text.to_owned()))
}

fn pair(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Attributes that are all text.
pub(super) fn texts(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(name, value)| pair(name, text(value))).collect()
}

fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.to_nanos().0).unwrap()
}

fn resource(attributes: Vec<KeyValue>) -> Option<Resource> {
    Some(Resource { attributes, ..Resource::default() })
}

/// A request of metrics of one resource.
pub(super) fn metrics(attributes: Vec<KeyValue>, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: resource(attributes), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }
}

/// A gauge with its points.
pub(super) fn gauge(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(name, Data::Gauge(Gauge { data_points }))
}

/// A sum with its points; 1 for deltas, 2 for cumulative.
pub(super) fn sum(name: &str, aggregation_temporality: i32, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(name, Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true }))
}

/// A point some milliseconds after [`NOW`].
pub(super) fn point(labels: &[(&str, &str)], after: i64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: texts(labels),
        time_unix_nano: nanos(Timestamp(NOW.0 + after)),
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// The same with the start of its counting.
pub(super) fn since(start: i64, mut point: NumberDataPoint) -> NumberDataPoint {
    point.start_time_unix_nano = nanos(Timestamp(NOW.0 + start));
    point
}

async fn first_wins(s: &mut Subject<'_>) {
    let request = |value| metrics(vec![], vec![gauge("up", vec![point(&[], -5, value), point(&[], -4, 1.0)])]);
    assert_eq!(s.metrics(request(1.0)).await, accepted(2));
    assert_eq!(s.metrics(request(1.0)).await, duplicates(2));
    let other = s.metrics(request(7.0)).await;
    assert_eq!((other.accepted, other.duplicates, reasons(&other)), (0, 1, vec![(RejectReason::Conflict, 1)]));
    assert_eq!(other.rejected[0].example, "up");
    assert_eq!(s.shown(&[]).await, ["up 1@-5 1@-4"]);
    let twice = metrics(vec![], vec![gauge("down", vec![point(&[], 0, 1.0), point(&[], 0, 1.0)])]);
    assert_eq!(s.metrics(twice).await, Appended { accepted: 1, duplicates: 1, rejected: vec![] });
}

async fn labels(s: &mut Subject<'_>) {
    let attributes = texts(&[("service.name", "node-exporter"), ("service.instance.id", "a:1"), ("host.name", "a")]);
    let mut own = point(&[("job", "mine"), ("k8s.pod.name", "p"), ("9p", "x"), ("empty", "")], 0, 2.0);
    own.attributes.push(pair("number", any(Value::IntValue(3))));
    own.attributes.push(pair("flag", any(Value::BoolValue(true))));
    let named = Metric { unit: "s".to_owned(), ..sum("http.server.time", 2, vec![point(&[], 0, 4.0)]) };
    let request = metrics(attributes, vec![gauge("m", vec![point(&[], 0, 1.0)]), gauge("n", vec![own]), named]);
    assert_eq!(s.metrics(request).await, accepted(3));
    let expected = [
        r#"http_server_time_seconds_total{instance="a:1", job="node-exporter"} 4@0"#,
        r#"m{instance="a:1", job="node-exporter"} 1@0"#,
        r#"n{_9p="x", flag="true", instance="a:1", job="mine", k8s_pod_name="p", number="3"} 2@0"#,
    ];
    let mut shown = s.shown(&[]).await;
    shown.sort();
    assert_eq!(shown, expected);
    let long = "x".repeat(600);
    let bad =
        metrics(vec![], vec![gauge("", vec![point(&[], 0, 1.0)]), gauge("b", vec![point(&[(&long, "1")], 0, 1.0)])]);
    assert_eq!(reasons(&s.metrics(bad).await), [(RejectReason::BadLabels, 2)]);
}

async fn staleness(s: &mut Subject<'_>) {
    let mut gone = point(&[], 0, 0.0);
    gone.flags = 1;
    gone.value = None;
    s.metrics(metrics(vec![], vec![gauge("g", vec![point(&[], -10, 1.0), gone.clone()])])).await;
    assert_eq!(s.metrics(metrics(vec![], vec![gauge("g", vec![gone])])).await, duplicates(1));
    s.metrics(metrics(vec![], vec![gauge("g", vec![point(&[], 10, f64::NAN)])])).await;
    assert_eq!(s.shown(&[]).await, ["g 1@-10 stale@0 NaN@10"], "another NaN is a value");
}

async fn deltas(s: &mut Subject<'_>) {
    let delta =
        |after, value| metrics(vec![], vec![sum("d_total", 1, vec![since(after - 10, point(&[], after, value))])]);
    assert_eq!(s.metrics(delta(-30, 1.0)).await, accepted(1));
    assert_eq!(s.metrics(delta(-20, 2.0)).await, accepted(1));
    assert_eq!(s.metrics(delta(-20, 2.0)).await, duplicates(1));
    assert_eq!(s.metrics(delta(0, 4.0)).await, accepted(1));
    let late = s.metrics(delta(-10, 8.0)).await;
    assert_eq!(reasons(&late), [(RejectReason::OutOfOrder, 1)]);
    assert_eq!(s.shown(&[]).await, ["d_total 0@-40 1@-30 3@-20 7@0"]);
}

fn histogram(after: i64, counts: Vec<u64>, flags: u32) -> HistogramDataPoint {
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

async fn histograms(s: &mut Subject<'_>) {
    let data = |points| Data::Histogram(Histogram { data_points: points, aggregation_temporality: 2 });
    let request = || metrics(vec![], vec![metric("h", data(vec![histogram(0, vec![1, 2, 3], 0)]))]);
    assert_eq!(s.metrics(request()).await, accepted(5));
    assert_eq!(s.metrics(request()).await, duplicates(5));
    s.metrics(metrics(vec![], vec![metric("h", data(vec![histogram(5, vec![0, 0, 0], 1)]))])).await;
    let expected = [
        "h_count 6@0 stale@5",
        "h_sum 12.5@0 stale@5",
        r#"h_bucket{le="+Inf"} 6@0 stale@5"#,
        r#"h_bucket{le="0.5"} 1@0 stale@5"#,
        r#"h_bucket{le="1"} 3@0 stale@5"#,
    ];
    assert_eq!(sorted(s.shown(&[]).await), sorted(expected.map(str::to_owned).into()));
    let quantile = ValueAtQuantile { quantile: 0.99, value: 4.0 };
    let point = SummaryDataPoint {
        time_unix_nano: nanos(NOW),
        count: 2,
        sum: 5.0,
        quantile_values: vec![quantile],
        ..SummaryDataPoint::default()
    };
    let request = metrics(vec![], vec![metric("q", Data::Summary(Summary { data_points: vec![point] }))]);
    assert_eq!(s.metrics(request).await, accepted(3));
    let shown = s.shown(&[("__name__", MatchOp::Regex, "q.*")]).await;
    assert_eq!(sorted(shown), [r#"q_count 2@0"#, r#"q_sum 5@0"#, r#"q{quantile="0.99"} 4@0"#]);
    let point =
        ExponentialHistogramDataPoint { time_unix_nano: nanos(NOW), ..ExponentialHistogramDataPoint::default() };
    let data = ExponentialHistogram { data_points: vec![point], aggregation_temporality: 2 };
    let refused = s.metrics(metrics(vec![], vec![metric("e", Data::ExponentialHistogram(data))])).await;
    assert_eq!(reasons(&refused), [(RejectReason::Unsupported, 1)]);
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

async fn starts(s: &mut Subject<'_>) {
    let counter =
        |name, start, after, value| metrics(vec![], vec![sum(name, 2, vec![since(start, point(&[], after, value))])]);
    assert_eq!(s.metrics(counter("new", -60_000, -50_000, 3.0)).await, accepted(1));
    s.metrics(counter("new", -60_000, -40_000, 4.0)).await;
    s.metrics(counter("new", -30_000, -20_000, 1.0)).await;
    s.metrics(counter("old", -2 * HOUR, 0, 9.0)).await;
    s.metrics(metrics(vec![], vec![gauge("gauge", vec![since(-60_000, point(&[], 0, 1.0))])])).await;
    let expected = ["gauge 1@0", "new 0@-60000 3@-50000 4@-40000 0@-30000 1@-20000", "old 9@0"];
    assert_eq!(s.shown(&[]).await, expected);
}

async fn any_order(s: &mut Subject<'_>) {
    let at = |after| metrics(vec![], vec![gauge("g", vec![point(&[], after, after as f64)])]);
    for after in [-HOUR, 0, -2 * DAY, -3 * HOUR, -14 * DAY, -2 * DAY + 1, 9 * MINUTE] {
        assert_eq!(s.metrics(at(after)).await, accepted(1), "{after}");
    }
    for after in [-HOUR, -2 * DAY, 9 * MINUTE] {
        assert_eq!(s.metrics(at(after)).await, duplicates(1), "{after}");
    }
    assert_eq!(reasons(&s.metrics(at(-15 * DAY - 1)).await), [(RejectReason::TooOld, 1)]);
    assert_eq!(reasons(&s.metrics(at(10 * MINUTE + 1)).await), [(RejectReason::InTheFuture, 1)]);
    let times = [-14 * DAY, -2 * DAY, -2 * DAY + 1, -3 * HOUR, -HOUR, 0, 9 * MINUTE];
    let expected: Vec<String> = times.iter().map(|time| format!("{time}@{time}")).collect();
    assert_eq!(s.shown(&[]).await, [format!("g {}", expected.join(" "))]);
    let figures = s.storage.engine.figures();
    if s.mode == Mode::Plain {
        assert_eq!((figures.samples, figures.duplicates), (7, 3));
        assert_eq!(figures.rejected, [(RejectReason::TooOld, 1), (RejectReason::InTheFuture, 1)]);
    }
}

async fn cardinality(s: &mut Subject<'_>) {
    s.with(|config| config.max_series = 3).await;
    let series = |number: usize| point(&[("n", &number.to_string())], 0, 1.0);
    let appended = s.metrics(metrics(vec![], vec![gauge("g", (0..5).map(series).collect())])).await;
    assert_eq!((appended.accepted, reasons(&appended)), (3, vec![(RejectReason::Cardinality, 2)]));
    assert_eq!(s.shown(&[]).await.len(), 3);
    if s.mode == Mode::Plain {
        let known = metrics(vec![], vec![gauge("g", vec![point(&[("n", "1")], 10, 1.0)])]);
        assert_eq!(s.metrics(known).await, accepted(1), "a known series goes on");
    }
}

async fn listings(s: &mut Subject<'_>) {
    let one = vec![gauge("up", vec![point(&[("job", "a")], 0, 1.0), point(&[("job", "b"), ("x", "1")], 0, 1.0)])];
    s.metrics(metrics(vec![], one)).await;
    s.metrics(metrics(vec![], vec![gauge("down", vec![point(&[("job", "c")], -5 * DAY, 1.0)])])).await;
    let listing = |any_of: &[&[(&str, MatchOp, &str)]], days: i64| Listing {
        any_of: any_of.iter().map(|matchers| all(matchers)).collect(),
        from: Timestamp(NOW.0 - days * DAY),
        to: NOW,
        limit: 0,
    };
    let metrics = &s.storage.metrics;
    assert_eq!(metrics.label_names(listing(&[], 1)).await.unwrap(), ["__name__", "job", "x"]);
    let values = |listing| metrics.label_values("job".to_owned(), listing);
    assert_eq!(values(listing(&[], 1)).await.unwrap(), ["a", "b"]);
    assert_eq!(values(listing(&[], 9)).await.unwrap(), ["a", "b", "c"]);
    assert_eq!(values(Listing { limit: 2, ..listing(&[], 9) }).await.unwrap(), ["a", "b"]);
    let either: &[&[(&str, MatchOp, &str)]] =
        &[&[("__name__", MatchOp::Equal, "down")], &[("job", MatchOp::Equal, "a"), ("__name__", MatchOp::Equal, "up")]];
    assert_eq!(values(listing(either, 9)).await.unwrap(), ["a", "c"]);
    let series = metrics.series(listing(either, 9)).await.unwrap();
    let expected = [[("__name__", "down"), ("job", "c")], [("__name__", "up"), ("job", "a")]].map(Labels::from_pairs);
    assert_eq!(series, expected);
    assert_eq!(s.shown(&[("x", MatchOp::Equal, "")]).await.len(), 2, "an absent label is an empty one");
    assert_eq!(s.shown(&[("job", MatchOp::NotRegex, "a|c")]).await, [r#"up{job="b", x="1"} 1@0"#]);
}

async fn metadata(s: &mut Subject<'_>) {
    let mut described = sum("c_total", 2, vec![point(&[], 0, 1.0)]);
    described.unit = "By".to_owned();
    described.description = "Bytes seen.".to_owned();
    s.metrics(metrics(vec![], vec![described, gauge("g", vec![point(&[], 0, 1.0)])])).await;
    let all = s.storage.metrics.metadata(None, 0).await.unwrap();
    let shown: Vec<String> =
        all.iter().map(|one| format!("{} {} {} {}", one.name, one.kind, one.unit, one.help)).collect();
    assert_eq!(shown, ["c_total counter By Bytes seen.", "g gauge  "]);
    assert_eq!(s.storage.metrics.metadata(Some("g".to_owned()), 0).await.unwrap().len(), 1);
    assert_eq!(s.storage.metrics.metadata(None, 1).await.unwrap().len(), 1);
}

async fn budgets(s: &mut Subject<'_>) {
    let points = (0..10).map(|after| point(&[], -after, 1.0)).collect();
    s.metrics(metrics(vec![], vec![gauge("g", points)])).await;
    let selection =
        |max_samples, from| Selection { matchers: vec![], from: Timestamp(NOW.0 + from), to: NOW, max_samples };
    let refused = s.storage.metrics.select(selection(9, -100)).await;
    assert!(matches!(refused, Err(Error::TooMuch { limit: 9, unit: "samples" })), "{refused:?}");
    assert_eq!(s.storage.metrics.select(selection(10, -100)).await.unwrap()[0].samples.len(), 10);
    assert_eq!(s.storage.metrics.select(selection(9, -3)).await.unwrap()[0].samples.len(), 4, "both ends included");
}

fn queued(queue: &str, sequence: i64) -> Vec<KeyValue> {
    vec![
        pair("service.name", text("app")),
        pair(delivery::QUEUE, text(queue)),
        pair(delivery::SEQUENCE, any(Value::IntValue(sequence))),
    ]
}

async fn batches(s: &mut Subject<'_>) {
    let delta = |sequence, after| {
        metrics(queued("a/1", sequence), vec![sum("d_total", 1, vec![since(-60_000, point(&[], after, 1.0))])])
    };
    assert_eq!(s.metrics(delta(1, -30)).await, accepted(1));
    assert_eq!(s.metrics(delta(2, -20)).await, accepted(1));
    assert_eq!(s.metrics(delta(1, -10)).await, duplicates(1), "the batch is known, whatever is in it");
    assert_eq!(s.shown(&[]).await, [r#"d_total{job="app"} 0@-60000 1@-30 2@-20"#]);
    let lines = |queue: &str, sequence| logs(queued(queue, sequence), None, vec![line(0, "pushed"), line(0, "again")]);
    assert_eq!(s.logs(lines("a/1", 1)).await, accepted(2), "logs have numbers of their own");
    assert_eq!(s.logs(lines("a/1", 1)).await, duplicates(2));
    assert_eq!(s.logs(lines("a/2", 1)).await, accepted(2));
    assert_eq!(s.logs(lines("a/1", 3)).await, accepted(2));
    assert_eq!(s.logs(lines("a/1", 2)).await, accepted(2), "in any order");
    assert_eq!(s.lines(everything()).await.len(), 8);
    let without = || logs(texts(&[("service.name", "app")]), None, vec![line(0, "no number")]);
    s.logs(without()).await;
    s.logs(without()).await;
    assert_eq!(s.lines(everything()).await.len(), 10, "what cannot be told apart is kept");
}

async fn broken(s: &mut Subject<'_>) {
    let mut request = metrics(vec![], vec![gauge("g", vec![point(&[], 0, 1.0)])]).encode_to_vec();
    request.extend_from_slice(&[10, 200]);
    let refused = s.storage.metrics.append(Bytes::from(request), NOW).await;
    assert!(matches!(refused, Err(Error::Malformed(_))), "{refused:?}");
    let mut request = logs(vec![], None, vec![line(0, "x")]).encode_to_vec();
    request.extend_from_slice(&[10, 200]);
    let refused = s.storage.logs.append(Bytes::from(request), NOW).await;
    assert!(matches!(refused, Err(Error::Malformed(_))), "{refused:?}");
    s.after().await;
    assert_eq!(s.shown(&[]).await, Vec::<String>::new());
    assert_eq!(s.lines(everything()).await, Vec::<String>::new());
}

/// A request of log records of one resource and scope.
pub(super) fn logs(
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
pub(super) fn line(after: i64, body: &str) -> LogRecord {
    LogRecord { time_unix_nano: nanos(Timestamp(NOW.0 + after)), body: text(body), ..LogRecord::default() }
}

/// The scope of a file's records, and what it answers for.
pub(super) fn file(generation: &str, covered: &[std::ops::Range<u64>]) -> Option<InstrumentationScope> {
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
pub(super) fn tailed(range: std::ops::Range<u64>, body: &str) -> LogRecord {
    let number = |number| any(Value::IntValue(i64::try_from(number).unwrap()));
    let mut record = line(0, body);
    record.attributes =
        vec![pair(delivery::RANGE_START, number(range.start)), pair(delivery::RANGE_END, number(range.end))];
    record
}

/// Every record there is.
pub(super) fn everything() -> LogSelection {
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

#[expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
async fn ranges(s: &mut Subject<'_>) {
    let app = || texts(&[("service.name", "app")]);
    let first = || logs(app(), file("g", &[0..20]), vec![tailed(0..4, "one"), tailed(4..8, "two")]);
    assert_eq!(s.logs(first()).await, accepted(2));
    assert_eq!(s.logs(first()).await, duplicates(2));
    let over =
        logs(app(), file("g", &[4..40]), vec![tailed(4..8, "two"), tailed(8..20, "excluded"), tailed(20..26, "three")]);
    assert_eq!(s.logs(over).await, Appended { accepted: 1, duplicates: 2, rejected: vec![] });
    let cut = logs(app(), file("g", &[36..50]), vec![tailed(36..50, "overlapping!!")]);
    assert_eq!(s.logs(cut).await, accepted(1));
    let other = logs(app(), file("h", &[0..4]), vec![tailed(0..4, "one")]);
    assert_eq!(s.logs(other).await, accepted(1), "another file");
    assert_eq!(s.lines(everything()).await, ["one", "one", "two", "three", "lapping!!"]);
    let entries = s.storage.logs.select(everything()).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [0, 0, 4, 20, 40]);
    let twice = logs(app(), file("i", &[]), vec![tailed(0..4, "one"), tailed(0..4, "one")]);
    assert_eq!(s.logs(twice).await, Appended { accepted: 1, duplicates: 1, rejected: vec![] });
}

#[expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
async fn parallel(s: &mut Subject<'_>) {
    let batch = |n: u64| {
        logs(
            texts(&[("service.name", "app")]),
            file("g", &[n * 4..n * 4 + 4]),
            vec![tailed(n * 4..n * 4 + 4, &format!("l{n:02}"))],
        )
    };
    let order = [5, 3, 9, 0, 1, 7, 2, 8, 4, 6];
    if s.mode == Mode::Plain {
        let appends = order.map(|n| s.storage.logs.append(bytes(&batch(n)), NOW));
        let done = futures_util::future::join_all(appends).await;
        assert!(done.into_iter().all(|done| done.unwrap() == accepted(1)));
    } else {
        for n in order {
            assert_eq!(s.logs(batch(n)).await, accepted(1));
        }
    }
    for n in 0..10 {
        assert_eq!(s.logs(batch(n)).await, duplicates(1));
    }
    let expected: Vec<String> = (0..10).map(|n| format!("l{n:02}")).collect();
    assert_eq!(s.lines(everything()).await, expected, "ties of time are broken by the place in the file");
}

async fn records(s: &mut Subject<'_>) {
    let attributes = texts(&[
        ("service.name", "app"),
        ("deployment.environment", "old"),
        ("deployment.environment.name", "prod"),
        ("k8s.pod.name", "p"),
        ("log.iostream", "stderr"),
        ("container.id", "abc"),
    ]);
    let mut record = line(0, "hello");
    record.severity_number = 18;
    record.trace_id = (1..=16).collect();
    record.span_id = (1..=8).collect();
    record.event_name = "login".to_owned();
    record.attributes = texts(&[("http.status", "200"), ("container.id", "own")]);
    let mut structured = line(1, "");
    structured.severity_text = "WARN".to_owned();
    structured.body = any(Value::IntValue(5));
    let mut untimed = line(0, "untimed");
    untimed.time_unix_nano = 0;
    untimed.observed_time_unix_nano = nanos(Timestamp(NOW.0 + 2));
    assert_eq!(s.logs(logs(attributes, None, vec![record, structured, untimed])).await, accepted(3));
    let entries = s.storage.logs.select(everything()).await.unwrap();
    let labels = Labels::from_pairs([("service", "app"), ("env", "prod"), ("pod", "p"), ("stream", "stderr")]);
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = LogEntry {
        time: NOW.to_nanos(),
        labels,
        line: "hello".to_owned(),
        severity: Severity::Error,
        fields: vec![
            field("container_id", "own"),
            field("event", "login"),
            field("http_status", "200"),
            field("span_id", "0102030405060708"),
            field("trace_id", "0102030405060708090a0b0c0d0e0f10"),
        ],
        offset: 0,
    };
    assert_eq!(entries[0], expected);
    assert_eq!((entries[1].line.as_str(), entries[1].severity), ("5", Severity::Warn));
    assert_eq!(entries[1].fields, [field("container_id", "abc")]);
    assert_eq!((entries[2].line.as_str(), entries[2].time.0), ("untimed", NOW.to_nanos().0 + 2_000_000));
}

/// Two services with ten lines each, a second apart, with levels and trace ids.
async fn two_services(s: &mut Subject<'_>) {
    for (service, shift) in [("web", 0), ("db", 500)] {
        let record = |n: i64| {
            let mut record = line(n * 1000 + shift - 10_000, &format!("{service} request number {n}"));
            record.severity_number = if n % 5 == 0 { 17 } else { 9 };
            record.attributes = texts(&[("request_id", &format!("r{n}"))]);
            record
        };
        s.logs(logs(texts(&[("service.name", service)]), None, (0..10).map(record).collect())).await;
    }
}

async fn log_selection(s: &mut Subject<'_>) {
    two_services(s).await;
    let web = || LogSelection { matchers: all(&[("service", MatchOp::Equal, "web")]), ..everything() };
    let contains = |texts: &[&str]| LineFilter::Contains(texts.iter().map(|text| (*text).to_owned()).collect());
    assert_eq!(s.lines(everything()).await.len(), 20);
    assert_eq!(
        s.lines(LogSelection { limit: 3, ..everything() }).await,
        ["web request number 0", "db request number 0", "web request number 1"]
    );
    let backward = LogSelection { limit: 3, direction: Direction::Backward, ..everything() };
    assert_eq!(s.lines(backward).await, ["db request number 9", "web request number 9", "db request number 8"]);
    let start = NOW.to_nanos().0 - 8_000_000_000;
    let part = LogSelection { range: Nanos(start)..Nanos(start + 2_000_000_000), ..web() };
    assert_eq!(s.lines(part).await, ["web request number 2", "web request number 3"], "the end is not included");
    let filtered = LogSelection { filters: vec![contains(&["number 3", "number 4"])], ..web() };
    assert_eq!(s.lines(filtered).await, ["web request number 3", "web request number 4"]);
    let without = LineFilter::NotContains(vec!["request".to_owned()]);
    assert_eq!(s.lines(LogSelection { filters: vec![without], ..web() }).await.len(), 0);
    let regex = LineFilter::Regex(regex::Regex::new("number [12]$").unwrap());
    let not = LineFilter::NotRegex(regex::Regex::new("2$").unwrap());
    assert_eq!(s.lines(LogSelection { filters: vec![regex, not], ..web() }).await, ["web request number 1"]);
    let errors = LogSelection { severities: vec![Severity::Error, Severity::Fatal], ..web() };
    assert_eq!(s.lines(errors).await, ["web request number 0", "web request number 5"]);
    let field = LogSelection { fields: all(&[("request_id", MatchOp::Equal, "r7")]), ..everything() };
    assert_eq!(s.lines(field).await, ["web request number 7", "db request number 7"]);
    let absent = LogSelection { fields: all(&[("request_id", MatchOp::Equal, "r77")]), ..everything() };
    assert_eq!(s.lines(absent).await.len(), 0);
    let words = LogSelection { filters: vec![contains(&["absent words here"])], ..everything() };
    assert_eq!(s.lines(words).await.len(), 0);
    let refused = s.storage.logs.select(LogSelection { max_bytes: 10, ..everything() }).await;
    assert!(matches!(refused, Err(Error::TooMuch { limit: 10, unit: "bytes" })), "{refused:?}");
}

async fn log_counts(s: &mut Subject<'_>) {
    two_services(s).await;
    let range = Nanos(NOW.to_nanos().0 - 10_000_000_000)..NOW.to_nanos();
    let selection = || LogSelection { range: range.clone(), ..everything() };
    let shown = |counts: Vec<super::LogCounts>| {
        counts.iter().map(|count| format!("{} {:?}", count.labels, count.steps)).collect::<Vec<_>>()
    };
    let counts = s.storage.logs.count(selection(), Duration::from_secs(5)).await.unwrap();
    assert_eq!(
        shown(counts),
        [
            r#"{level="error", service="db"} [(1, 19), (1, 19)]"#,
            r#"{level="error", service="web"} [(1, 20), (1, 20)]"#,
            r#"{level="info", service="db"} [(4, 76), (4, 76)]"#,
            r#"{level="info", service="web"} [(4, 80), (4, 80)]"#,
        ]
    );
    let narrow = LogSelection {
        filters: vec![LineFilter::Contains(vec!["web".to_owned()])],
        severities: vec![Severity::Error],
        ..selection()
    };
    let counts = s.storage.logs.count(narrow, Duration::from_secs(60)).await.unwrap();
    assert_eq!(shown(counts), [r#"{level="error", service="web"} [(2, 40)]"#]);
    let streams = s.storage.logs.streams(all(&[("service", MatchOp::Regex, "w.*")]), range.clone()).await.unwrap();
    let shown: Vec<String> =
        streams.iter().map(|info| format!("{} {} {}", info.labels, info.entries, info.bytes)).collect();
    assert_eq!(shown, [r#"{service="web"} 10 200"#]);
    let none = Nanos(0)..Nanos(1);
    assert_eq!(s.storage.logs.streams(vec![], none).await.unwrap(), []);
}

async fn log_retention(s: &mut Subject<'_>) {
    let seven_days = DurationText::seconds(7 * 24 * 3600);
    assert_eq!(s.config.retention.logs, seven_days);
    let app = || texts(&[("service.name", "app")]);
    let appended = s
        .logs(logs(
            app(),
            None,
            vec![line(-7 * DAY - 1, "old"), line(-7 * DAY + HOUR, "kept"), line(11 * MINUTE, "ahead")],
        ))
        .await;
    assert_eq!(appended.accepted, 1);
    assert_eq!(reasons(&appended), [(RejectReason::TooOld, 1), (RejectReason::InTheFuture, 1)]);
    assert_eq!(appended.rejected[0].example, r#"{service="app"}"#);
    assert_eq!(s.lines(everything()).await, ["kept"]);
    s.with(|config| config.max_streams = 1).await;
    s.logs(logs(app(), None, vec![line(0, "x")])).await;
    let more = s.logs(logs(texts(&[("service.name", "other")]), None, vec![line(0, "y")])).await;
    if s.mode == Mode::Plain {
        assert_eq!(reasons(&more), [(RejectReason::Cardinality, 1)]);
    }
}

async fn tail(s: &mut Subject<'_>) {
    let filters = vec![LineFilter::NotContains(vec!["skipped".to_owned()])];
    let mut seen = s.storage.logs.tail(all(&[("service", MatchOp::Equal, "web")]), filters);
    let lines = || vec![line(0, "one"), line(0, "skipped"), line(0, "two")];
    for service in ["web", "db"] {
        let request = logs(texts(&[("service.name", service)]), None, lines());
        s.storage.logs.append(bytes(&request), NOW).await.unwrap();
    }
    for expected in ["one", "two"] {
        let Some(Tailed::Entry(entry)) = seen.next().await else { panic!("{expected} did not come") };
        assert_eq!((entry.line.as_str(), entry.labels.get("service")), (expected, Some("web")));
    }
    assert!(futures_util::poll!(seen.next()).is_pending(), "nothing of the other service");
}

async fn state(s: &mut Subject<'_>) {
    let change = |key: &str, value: Option<&str>| (key.to_owned(), value.map(|value| value.as_bytes().to_vec()));
    let write = |s: &Subject<'_>, area, changes| {
        let state = s.storage.state.clone();
        async move { state.write(area, changes).await.unwrap() }
    };
    write(s, "rules", vec![change("b", Some("2")), change("a", Some("1")), change("c", Some("3"))]).await;
    write(s, "rule", vec![change("a", Some("other"))]).await;
    s.after().await;
    write(s, "rules", vec![change("b", None), change("a", Some("4")), change("a", Some("5"))]).await;
    s.after().await;
    let state = &s.storage.state;
    assert_eq!(state.get("rules", "a").unwrap().as_deref(), Some(&b"5"[..]));
    assert_eq!(state.get("rules", "b").unwrap(), None);
    let list = |area| state.list(area).unwrap().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!((list("rules"), list("rule"), list("none")), (vec!["a".into(), "c".into()], vec!["a".into()], vec![]));
}
