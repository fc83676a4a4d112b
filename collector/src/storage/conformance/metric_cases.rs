//! What becomes of samples.

use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, Metric, Summary, SummaryDataPoint,
        metric::Data, summary_data_point::ValueAtQuantile,
    },
};
use yagura_model::{Labels, Timestamp};

use super::{
    DAY, HOUR, MINUTE, Mode, NOW, Subject, accepted, duplicates, reasons,
    requests::{all, any, gauge, histogram, metric, metrics, nanos, pair, point, since, sum, texts},
};
use crate::storage::{Appended, Error, Listing, MatchOp, RejectReason, Selection};

pub(super) async fn first_wins(s: &mut Subject<'_>) {
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

pub(super) async fn labels(s: &mut Subject<'_>) {
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

pub(super) async fn staleness(s: &mut Subject<'_>) {
    let mut gone = point(&[], 0, 0.0);
    gone.flags = 1;
    gone.value = None;
    s.metrics(metrics(vec![], vec![gauge("g", vec![point(&[], -10, 1.0), gone.clone()])])).await;
    assert_eq!(s.metrics(metrics(vec![], vec![gauge("g", vec![gone])])).await, duplicates(1));
    s.metrics(metrics(vec![], vec![gauge("g", vec![point(&[], 10, f64::NAN)])])).await;
    assert_eq!(s.shown(&[]).await, ["g 1@-10 stale@0 NaN@10"], "another NaN is a value");
}

pub(super) async fn deltas(s: &mut Subject<'_>) {
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

pub(super) async fn histograms(s: &mut Subject<'_>) {
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

pub(super) async fn starts(s: &mut Subject<'_>) {
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

pub(super) async fn any_order(s: &mut Subject<'_>) {
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

pub(super) async fn cardinality(s: &mut Subject<'_>) {
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

pub(super) async fn listings(s: &mut Subject<'_>) {
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

pub(super) async fn metadata(s: &mut Subject<'_>) {
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

pub(super) async fn budgets(s: &mut Subject<'_>) {
    let points = (0..10).map(|after| point(&[], -after, 1.0)).collect();
    s.metrics(metrics(vec![], vec![gauge("g", points)])).await;
    let selection =
        |max_samples, from| Selection { matchers: vec![], from: Timestamp(NOW.0 + from), to: NOW, max_samples };
    let refused = s.storage.metrics.select(selection(9, -100)).await;
    assert!(matches!(refused, Err(Error::TooMuch { limit: 9, unit: "samples" })), "{refused:?}");
    assert_eq!(s.storage.metrics.select(selection(10, -100)).await.unwrap()[0].samples.len(), 10);
    assert_eq!(s.storage.metrics.select(selection(9, -3)).await.unwrap()[0].samples.len(), 4, "both ends included");
}
