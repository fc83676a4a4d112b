//! What holds of every query: a range is many instants, and the forms that mixins are written in parse.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "helpers of tests beside them"
)]

#[path = "promql/store.rs"]
mod store;

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use yagura_collector::query::promql::{Engine, Limits, QueryError, Value, parse};
use yagura_model::{Labels, Timestamp, metric::stale_nan};

use crate::store::ListStore;

/// Queries whose value at an instant depends on nothing but the instant.
const QUERIES: &[&str] = &[
    "a",
    "a offset 7s",
    "a @ 60",
    "-a",
    "a + on (x) group_left () b",
    "a > b",
    "a > bool 2",
    "2 < a",
    "a and b",
    "a or b",
    "a unless on (x) b",
    "a * on (x) group_left () sum by (x) (a)",
    "sum by (x) (a)",
    "avg without (y) (a)",
    "min(a)",
    "stddev by (x) (a)",
    "quantile(0.7, a)",
    "count_values(\"v\", a)",
    "topk by (x) (1, a)",
    "bottomk(2, a)",
    "rate(a[30s])",
    "increase(a[50s])",
    "delta(a[30s] offset 5s)",
    "irate(a[1m])",
    "deriv(a[40s])",
    "predict_linear(a[40s], 60)",
    "avg_over_time(a[20s])",
    "quantile_over_time(0.3, a[40s])",
    "changes(a[40s]) + resets(a[40s])",
    "last_over_time(a[12s])",
    "absent(a)",
    "absent_over_time(a[5s])",
    "max_over_time(rate(a[20s])[1m:7s])",
    "sum_over_time(a[40s:9s] @ 90)",
    "timestamp(a)",
    "scalar(b) + vector(time())",
    "label_replace(a, \"x\", \"$1$1\", \"y\", \"(.*)\")",
    "clamp(a, 1, 3) ^ 2",
    "rate(a[30s] anchored)",
    "rate(a[30s] smoothed)",
    "a smoothed",
    "histogram_quantile(0.5, label_replace(a, \"le\", \"$1\", \"y\", \"(.*)\"))",
];

#[derive(Clone, Debug)]
struct Data {
    name: &'static str,
    x: u8,
    y: u8,
    /// Seconds since the one before, and the value; `None` is a staleness marker.
    samples: Vec<(i64, Option<i16>)>,
}

fn data() -> impl Strategy<Value = Data> {
    let sample = (1..25_i64, prop::option::weighted(0.93, 0..6_i16));
    (prop::sample::select(vec!["a", "a", "b"]), 0..3_u8, 0..2_u8, prop::collection::vec(sample, 0..16))
        .prop_map(|(name, x, y, samples)| Data { name, x, y, samples })
}

fn load(all: &[Data]) -> ListStore {
    let store = ListStore::default();
    for one in all {
        let (x, y) = (one.x.to_string(), one.y.to_string());
        // `b` is the "one" side of some queries.
        let y = if one.name == "b" { "" } else { &y };
        let labels = Labels::from_pairs([("__name__", one.name), ("x", &x), ("y", y)]);
        let mut time = 0;
        let samples = one.samples.iter().map(|(gap, value)| {
            time += gap * 1000;
            (time, value.map_or(stale_nan(), f64::from))
        });
        store.add(labels, samples.collect::<Vec<_>>());
    }
    store
}

/// Each series' value at an instant, by its labels; the text of the error if there is one.
type AtOnce = Result<Vec<(String, u64)>, String>;

fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

fn text(error: &QueryError) -> String {
    // Which of several pairs is named first may differ.
    error.to_string().split('[').next().unwrap_or_default().to_owned()
}

fn check(query: &str, store: &ListStore) {
    let limits = Limits { lookback: Duration::from_secs(30), ..Limits::default() };
    let engine = Engine::new(Arc::new(store.clone()), limits);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (from, to, step) = (5_000, 200_000, 13_000_usize);
    let instants: Vec<(i64, AtOnce)> = (from..=to)
        .step_by(step)
        .map(|time| {
            let answer = runtime.block_on(engine.instant(query, Timestamp(time))).map_err(|error| text(&error));
            let answer = answer.map(|result| {
                let Value::Vector(samples) = result.value else { panic!("{query} is no vector") };
                let one = |sample: yagura_collector::query::promql::VectorSample| {
                    (sample.labels.to_string(), bits(sample.value))
                };
                let mut samples: Vec<_> = samples.into_iter().map(one).collect();
                samples.sort();
                samples
            });
            (time, answer)
        })
        .collect();
    let step = Duration::from_millis(step as u64);
    let range = runtime.block_on(engine.range(query, Timestamp(from), Timestamp(to), step));
    let fault = instants.iter().find_map(|(_, answer)| answer.as_ref().err());
    let series = match (range, fault) {
        (Ok(result), None) => match result.value {
            Value::Matrix(series) => series,
            other => panic!("{query}: {other:?}"),
        },
        (Err(_), Some(_)) => return,
        (Ok(_), Some(fault)) => panic!("{query}: only an instant fails: {fault}"),
        (Err(error), None) => panic!("{query}: only the range fails: {error}"),
    };
    for (time, answer) in instants {
        let mut given: Vec<(String, u64)> = series
            .iter()
            .filter_map(|one| {
                let sample = one.samples.iter().find(|sample| sample.time.0 == time)?;
                Some((one.labels.to_string(), bits(sample.value)))
            })
            .collect();
        given.sort();
        assert_eq!(given, answer.unwrap(), "{query} at {time}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_range_is_many_instants(all in prop::collection::vec(data(), 1..8)) {
        let store = load(&all);
        for query in QUERIES {
            check(query, &store);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(query in "[a-z0-9 (){}\\[\\]\"',:+*/^%=!~<>@.-]{0,60}|\\PC{0,40}") {
        if let Err(error) = parse(&query) {
            prop_assert!(error.offset <= query.len(), "{error}");
        }
    }
}

#[test]
fn every_query_of_the_list_parses() {
    for query in QUERIES {
        assert!(parse(query).is_ok(), "{query}");
    }
}

/// The forms in which the mixins for Kubernetes, node_exporter and Prometheus are written, each with names of our own.
const FORMS: &[&str] = &[
    "sum by (cluster, code, verb) (increase(req_total{job=\"a\",verb=~\"LIST|GET\",code=~\"2..\"}[1h]))",
    "avg_over_time(code_verb:req_total:increase1h[30d]) * 24 * 30\n",
    "histogram_quantile(0.99, sum by (cluster, le, resource) (rate(d_seconds_bucket{job=\"a\",subresource!~\"p|q\"}[5m])) ) > 0",
    "1 - ((sum by (c) (x:inc30d{verb=~\"POST\"}) - sum by (c) (y{le=\"1\"})) + (sum(z{code=~\"5..\"} or vector(0)))) / sum(x)",
    "sum by (n, p) (max by (n, p) (phase{job=\"k\",ns=~\".*\", phase=~\"Pending|Unknown\"}) * on(n, p) group_left(kind) topk by(n, p) (1, max by(n, p, kind) (owner{kind!=\"Job\"}))) > 0",
    "(ready != desired) and (changes(updated{job=\"k\"}[10m]) == 0)",
    "label_replace(label_replace(owner{k=\"R\"}, \"rs\", \"$1\", \"o\", \"(.*)\") * on (rs, n) group_left(o) topk by(rs, n) (1, max by (rs, n, o) (rso)), \"w\", \"$1\", \"o\", \"(.*)\")",
    "time() - max by (n, j) (start and on (n, j) active > 0) > 43200",
    "absent(up{job=\"kubelet\", metrics_path=\"/metrics\"} == 1)",
    "100 * sum(a{mode!=\"idle\"}) by (i) / ignoring(mode) group_left sum without (cpu) (b) unless on(i) (c == 1)",
    "predict_linear(avail{fstype!=\"\",mountpoint!=\"\"}[6h], 24*60*60) < 0",
    "(size - avail) / size * 100 > 80 and avg by (i) (rate(x_total[5m] offset 1w)) >= bool 0.5",
    "count by (c) (count by (c, v) (label_replace(build{job!~\"dns\"}, \"v\", \"$1\", \"v\", \"(v[0-9]*.[0-9]*).*\"))) > 1",
    "min_over_time(up[5m:30s] offset 1m) == 0",
    "irate(cpu_seconds_total{image!=\"\", container=~\"$c\"}[5m]) * -1 ^ 2 % 3",
    "quantile(0.5, x) + on() group_left() scalar(max(y)) * stddev_over_time(z[1h])",
    "clamp_max(deriv(x[1h]), 1) or (resets(y_total[10m]) > 2 unless bottomk(3, z))",
    "sort_desc(sum(x) by (job)) atan2 vector(1)",
    "{__name__=~\"a|b\", job=\"c\"} == on (instance) {d=~\"e.+\"}",
];

#[test]
fn the_forms_of_mixins_parse() {
    for query in FORMS {
        let written = parse(query).unwrap_or_else(|error| panic!("{query}: {error}")).to_string();
        assert_eq!(parse(&written).unwrap().to_string(), written);
    }
}

#[tokio::test]
async fn a_query_over_its_budget_says_so() {
    let store = ListStore::default();
    for x in 0..100 {
        let labels = Labels::from_pairs([("__name__", "a".to_owned()), ("x", x.to_string())]);
        store.add(labels, (0..100).map(|at| (at * 1000, 1.0)));
    }
    let fails = async |limits: Limits, query: &str, expected: &str| {
        let engine = Engine::new(Arc::new(store.clone()), limits);
        let answer = engine.range(query, Timestamp(0), Timestamp(100_000), Duration::from_secs(1)).await;
        assert_eq!(answer.err().map(|error| error.to_string()).as_deref(), Some(expected), "{query}");
    };
    let limits = Limits::default();
    let over =
        |what: &str| format!("query processing would need more than {what}; narrow its selectors or its time range");
    fails(Limits { max_samples: 5000, ..limits }, "a", &over("5000 samples")).await;
    fails(Limits { max_series: 99, ..limits }, "a", &over("99 series")).await;
    fails(Limits { max_steps: 99, ..limits }, "a", &over("99 steps")).await;
    // The samples fit, what is made of them does not.
    fails(Limits { max_samples: 20_000, ..limits }, "(a or a * 2) + on (x) (a or a * 3)", &over("20000 samples")).await;
    fails(limits, "sum_over_time(a[10y:1ms])", &over("50000000 samples")).await;
    let slow = "query timed out after 0ns in expression evaluation";
    fails(Limits { timeout: Duration::ZERO, ..limits }, "a", slow).await;
}
