//! Queries over the reference store.

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
};
use prost::Message;
use yagura_model::Timestamp;

use super::*;
use crate::storage::memory;

const SECOND: i64 = 1_000_000_000;
/// When the records of the tests begin; near now for the store.
const T0: i64 = 1_800_000_000 * SECOND;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Any::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// A store with one line a second of the service `shop` and one every two seconds of `cart`.
async fn engine() -> Engine {
    let store = memory::open().logs;
    let resource = |service: &str, records: Vec<LogRecord>| ResourceLogs {
        resource: Some(Resource { attributes: vec![attribute("service.name", service)], ..Resource::default() }),
        scope_logs: vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    };
    let record = |second: i64, line: String, severity: i32| LogRecord {
        time_unix_nano: u64::try_from(T0 + second * SECOND).unwrap(),
        severity_number: severity,
        body: Some(AnyValue { value: Some(Any::StringValue(line)) }),
        trace_id: if second == 3 { vec![7; 16] } else { Vec::new() },
        ..LogRecord::default()
    };
    let shop = (0..60).map(|second| {
        let severity = if second % 10 == 0 { 17 } else { 9 };
        record(second, format!("path=/{} took={second}ms", second % 3), severity)
    });
    let cart = (0..30).map(|second| record(2 * second, format!("{{\"n\": {second}}}"), 9));
    let request = ExportLogsServiceRequest {
        resource_logs: vec![resource("shop", shop.collect()), resource("cart", cart.collect())],
    };
    let now = Timestamp((T0 + 60 * SECOND) / 1_000_000);
    let appended = store.append(Bytes::from(request.encode_to_vec()), now).await.unwrap();
    assert_eq!((appended.accepted, appended.rejected), (90, vec![]));
    Engine::new(store, Limits::default())
}

fn range(from: i64, to: i64) -> Range<Nanos> {
    Nanos(T0 + from * SECOND)..Nanos(T0 + to * SECOND)
}

async fn lines(query: &str, limit: usize, direction: Direction) -> Vec<String> {
    let answer = engine().await.range(query, range(0, 60), Duration::from_secs(1), limit, direction).await;
    match answer.unwrap() {
        Answer::Rows(rows) => rows.into_iter().map(|row| row.line).collect(),
        other => panic!("{other:?}"),
    }
}

/// The values of a range query from 10 s to 40 s every 10 s, as `labels: values`.
async fn matrix(query: &str) -> Vec<String> {
    let answer = engine().await.range(query, range(10, 40), Duration::from_secs(10), 0, Direction::Forward).await;
    let show = |value: &Option<f64>| value.map_or("_".to_owned(), |value| value.to_string());
    match answer.unwrap_or_else(|error| panic!("{query}: {error}")) {
        Answer::Matrix(matrix) => matrix
            .iter()
            .map(|(labels, values)| format!("{labels}: {}", values.iter().map(show).collect::<Vec<_>>().join(" ")))
            .collect(),
        Answer::Scalar(value) => vec![value.to_string()],
        other => panic!("{other:?}"),
    }
}

async fn check(query: &str, expected: &[&str]) {
    assert_eq!(matrix(query).await, expected, "{query}");
}

#[tokio::test]
async fn records_come_in_the_order_and_number_asked_for() {
    let first = lines(r#"{service="shop"}"#, 2, Direction::Forward).await;
    assert_eq!(first, ["path=/0 took=0ms", "path=/1 took=1ms"]);
    let last = lines(r#"{service_name="shop"} |= "path=/1""#, 1, Direction::Backward).await;
    assert_eq!(last, ["path=/1 took=58ms"]);
    let slow = lines(r#"{service="shop"} | logfmt | took > 57ms"#, 10, Direction::Backward).await;
    assert_eq!(slow, ["path=/2 took=59ms", "path=/1 took=58ms"]);
    assert_eq!(lines(r#"{service="shop"} | detected_level="error""#, 100, Direction::Forward).await.len(), 6);
    assert_eq!(lines(r#"{service="shop"} | level=~"error|fatal""#, 100, Direction::Forward).await.len(), 6);
    assert_eq!(
        lines(r#"{service="shop"} | detected_level=~"error|fatal" | detected_level="info""#, 9, Direction::Forward)
            .await
            .len(),
        0
    );
    let traced = lines(&format!(r#"{{service="shop"}} | trace_id="{}""#, "07".repeat(16)), 9, Direction::Forward).await;
    assert_eq!(traced, ["path=/0 took=3ms"]);
    assert!(lines(r#"{service="nobody"}"#, 9, Direction::Forward).await.is_empty());
}

#[tokio::test]
async fn a_pipeline_that_drops_most_records_still_fills_the_limit() {
    let engine = engine().await;
    let Expr::Log(log) = parse(r#"{service="shop"} | logfmt | path="/2""#).unwrap() else { panic!("no log query") };
    let mut seen = Vec::new();
    let visited = engine.visit(&log, range(0, 60), Direction::Forward, 3, |row| {
        seen.push(row.line);
        Ok(true)
    });
    visited.await.unwrap();
    assert_eq!(seen.len(), 20, "pages of three miss nothing and repeat nothing");
}

#[tokio::test]
async fn counts_are_the_same_counted_by_the_store_and_one_by_one() {
    // (0 s, 10 s] holds ten lines of the shop; its first line is at 0 s, outside the window.
    check(r#"sum by (service) (count_over_time({service="shop"}[10s]))"#, &[r#"{service="shop"}: 10 10 10 10"#]).await;
    check(
        r#"sum by (service) (count_over_time({service="shop"} | logfmt [10s]))"#,
        &[r#"{service="shop"}: 10 10 10 10"#],
    )
    .await;
    check(
        r#"sum by (service) (rate({service=~".+"}[20s]))"#,
        &[r#"{service="cart"}: 0.3 0.5 0.5 0.5"#, r#"{service="shop"}: 0.55 1 1 1"#],
    )
    .await;
    check(
        r#"sum by (level, detected_level) (count_over_time({service="shop"} | drop __error__[10s]))"#,
        &[r#"{detected_level="error"}: 1 1 1 1"#, r#"{detected_level="info"}: 9 9 9 9"#],
    )
    .await;
    check(r#"sum(bytes_over_time({service="cart"} |= "{\"n\": 5}" [10s]))"#, &["{}: 8 _ _ _"]).await;
}

#[tokio::test]
async fn numbers_come_out_of_lines() {
    check(
        r#"max_over_time({service="shop"} | logfmt | unwrap duration(took) [10s]) by (path)"#,
        &[
            r#"{path="/0"}: 0.009 0.018 0.03 0.039"#,
            r#"{path="/1"}: 0.01 0.019 0.028 0.04"#,
            r#"{path="/2"}: 0.008 0.02 0.029 0.038"#,
        ],
    )
    .await;
    check(
        r#"sum by (service) (sum_over_time({service="cart"} | json | unwrap n [10s]))"#,
        &[r#"{service="cart"}: 15 40 65 90"#],
    )
    .await;
    check(
        r#"topk(1, sum by (path) (count_over_time({service="shop"} | logfmt [40s])))"#,
        &[r#"{path="/0"}: 4 7 11 _"#, r#"{path="/1"}: _ _ _ 14"#],
    )
    .await;
    check(r#"absent_over_time({service="nobody"}[10s])"#, &[r#"{service="nobody"}: 1 1 1 1"#]).await;
}

#[tokio::test]
async fn series_are_calculated_with() {
    check("vector(1)+vector(1)", &["{}: 2 2 2 2"]).await;
    check("1 + 2 * 3", &["7"]).await;
    let shop = r#"sum by (service) (count_over_time({service="shop"}[10s]))"#;
    let errors = r#"sum by (service) (count_over_time({service="shop"} | detected_level="error" [10s]))"#;
    check(&format!("{errors} / {shop}"), &[r#"{service="shop"}: 0.1 0.1 0.1 0.1"#]).await;
    check(&format!("{shop} > 10"), &[]).await;
    check(&format!("{shop} > bool 9"), &[r#"{service="shop"}: 1 1 1 1"#]).await;
    check(r#"sum(count_over_time({service="nobody"}[10s])) or vector(0)"#, &["{}: 0 0 0 0"]).await;
    check(&format!("{shop} unless {errors}"), &[]).await;
}

#[tokio::test]
async fn budgets_end_a_query_with_a_reason() {
    let engine = Engine { limits: Limits { max_records: 10, max_series: 1, ..Limits::default() }, ..engine().await };
    let ask = async |query: &str, step: u64| {
        let answer = engine.range(query, range(0, 60), Duration::from_secs(step), 0, Direction::Forward).await;
        answer.unwrap_err().to_string()
    };
    assert!(ask(r#"count_over_time({service="shop"} | logfmt [10s])"#, 10).await.contains("more than 10 records"));
    assert!(ask(r#"count_over_time({service="shop"}[10s])"#, 10).await.contains("more than 1 series"));
    assert!(ask(r#"count_over_time({service="shop"}[10s])"#, 0).await.contains("step"));
}
