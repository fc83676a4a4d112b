//! `GET /api/live/logs?query=…`: log records as they become durable, as server-sent events.
//!
//! Each event `lines` carries what came since the last one: `{"entries": [{"time", "line", "level", "labels",
//! "fields"}], "missed": n}`, times in nanoseconds as text. A reader that cannot keep up is told how many it missed; the
//! records are stored all the same.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use futures_util::StreamExt;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::answer;
use crate::query::logql::{Engine, Error, Followed, Row};

/// Records of one event; a page shows no more of them at once anyway.
const BATCH: usize = 1000;
/// Between two events: fast enough to look immediate, slow enough for a browser to paint.
const PAUSE: Duration = Duration::from_millis(100);
/// A comment is sent when nothing was said for so long, so that a gone reader is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// `GET /live/logs`; streams end when `stop` is cancelled.
pub fn router(engine: Engine, stop: CancellationToken) -> Router {
    Router::new().route("/live/logs", get(follow)).with_state((engine, stop))
}

#[derive(Debug, Deserialize)]
struct Asked {
    query: String,
}

async fn follow(State((engine, stop)): State<(Engine, CancellationToken)>, Query(asked): Query<Asked>) -> Response {
    let tail = match engine.tail(&asked.query) {
        Ok(tail) => tail,
        Err(error @ (Error::Parse(_) | Error::Execution(_) | Error::BadRange(_))) => {
            return answer::failure(StatusCode::BAD_REQUEST, "bad_data", &error.to_string());
        }
        Err(error) => return answer::failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &error.to_string()),
    };
    // While one batch waits its turn the next one gathers in the store's own, bounded buffer.
    let events = tail.ready_chunks(BATCH).then(|batch| async move {
        tokio::time::sleep(PAUSE).await;
        Ok::<_, Infallible>(Event::default().event("lines").data(lines(batch).to_string()))
    });
    let stream = events.boxed().take_until(stop.cancelled_owned());
    let mut response = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn lines(batch: Vec<Followed>) -> Value {
    let mut missed = 0;
    let mut entries = Vec::with_capacity(batch.len());
    for followed in batch {
        match followed {
            Followed::Missed(count) => missed += count,
            Followed::Row(row) => entries.push(entry(row)),
        }
    }
    json!({"entries": entries, "missed": missed})
}

fn entry(row: Row) -> Value {
    let mut fields = map(row.structured);
    fields.extend(map(row.parsed));
    let level = fields.get("detected_level").cloned().unwrap_or_default();
    json!({"time": row.time.0.to_string(), "line": row.line, "level": level, "labels": map(row.stream), "fields": fields})
}

fn map(pairs: Vec<(String, String)>) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;
    use http::Request;
    use http_body_util::BodyExt;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use opentelemetry_proto::tonic::{
        collector::logs::v1::ExportLogsServiceRequest,
        common::v1::{AnyValue, KeyValue, any_value},
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
        resource::v1::Resource,
    };
    use prost::Message;
    use yagura_model::Timestamp;

    use super::*;
    use crate::{query::logql::Limits, storage::memory};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn text(value: &str) -> Option<AnyValue> {
        Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) })
    }

    fn record(line: &str, severity: i32) -> LogRecord {
        let time = u64::try_from(NOW.to_nanos().0).unwrap();
        LogRecord { time_unix_nano: time, severity_number: severity, body: text(line), ..LogRecord::default() }
    }

    fn request(log_records: Vec<LogRecord>) -> Bytes {
        let service = KeyValue { key: "service.name".to_owned(), value: text("shop"), ..KeyValue::default() };
        let resource = Some(Resource { attributes: vec![service], ..Resource::default() });
        let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
        let resource_logs = vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }];
        Bytes::from(ExportLogsServiceRequest { resource_logs }.encode_to_vec())
    }

    async fn ask(engine: &Engine, query: &str) -> Response {
        let request = Request::get(format!("/live/logs?query={query}")).body(Body::empty()).unwrap();
        let router = router(engine.clone(), CancellationToken::new());
        TowerToHyperService::new(router).call(request).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn lines_come_as_they_are_stored_and_only_those_asked_for() {
        let logs = memory::open().logs;
        let engine = Engine::new(std::sync::Arc::clone(&logs), Limits::default());
        // {service="shop"} |= "no" | detected_level="error"
        let query = "%7Bservice%3D%22shop%22%7D%20%7C%3D%20%22no%22%20%7C%20detected_level%3D%22error%22";
        let mut body = ask(&engine, query).await.into_body();
        let records = vec![record("no route", 17), record("no matter", 9), record("yes", 17)];
        logs.append(request(records), NOW).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let data = String::from_utf8(frame.to_vec()).unwrap();
        let (head, json) = data.split_once("\ndata: ").unwrap();
        assert_eq!(head, "event: lines");
        let value: Value = serde_json::from_str(json.trim()).unwrap();
        assert_eq!(value["entries"].as_array().unwrap().len(), 1, "{value}");
        assert_eq!(value["entries"][0]["line"], "no route");
        assert_eq!(value["entries"][0]["level"], "error");
        assert_eq!(value["entries"][0]["labels"]["service"], "shop");
        assert_eq!(value["entries"][0]["time"], "1800000000000000000");
    }

    #[tokio::test]
    async fn a_query_that_cannot_be_followed_is_refused() {
        let engine = Engine::new(memory::open().logs, Limits::default());
        for query in ["%7B", "count_over_time(%7Ba%3D%22b%22%7D%5B1m%5D)"] {
            assert_eq!(ask(&engine, query).await.status(), StatusCode::BAD_REQUEST, "{query}");
        }
    }
}
