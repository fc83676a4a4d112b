//! `/loki/api/v1`: logs, as Grafana's Loki data source asks for them.
//!
//! Log ranges include their start and not their end; times are nanoseconds, seconds or RFC 3339. With the header
//! `X-Loki-Response-Encoding-Flags: categorize-labels` a stream holds only its own labels, and every entry says what
//! else it carries.

mod fields;
mod index;
mod parameters;

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, extract::State, response::Response, routing::get};
use http::HeaderMap;
use serde_json::{Map, Value, json};
use yagura_daemon::clock;
use yagura_model::{Labels, Timestamp};

use self::parameters::{Failure, Parameters};
use super::{
    answer,
    prometheus::{Params, float},
};
use crate::query::logql::{self, Answer, Engine, Error, Matrix, Row, Steps};

/// The paths below `/loki`.
pub fn router(engine: Engine) -> Router {
    Router::new()
        .route("/api/v1/query_range", get(query_range).post(query_range))
        .route("/api/v1/query", get(query).post(query))
        .route("/api/v1/labels", get(index::labels).post(index::labels))
        .route("/api/v1/label", get(index::labels))
        .route("/api/v1/label/{name}/values", get(index::label_values))
        .route("/api/v1/series", get(index::series).post(index::series))
        .route("/api/v1/index/stats", get(index::index_stats).post(index::index_stats))
        .route("/api/v1/index/volume", get(index::volume).post(index::volume))
        .route("/api/v1/index/volume_range", get(index::volume_range).post(index::volume_range))
        .route("/api/v1/detected_labels", get(index::detected_labels))
        .route("/api/v1/detected_fields", get(fields::detected_fields))
        .route("/api/v1/detected_field/{name}/values", get(fields::detected_field_values))
        .route("/api/v1/patterns", get(patterns))
        .route("/api/v1/format_query", get(format_query).post(format_query))
        .route("/api/v1/status/buildinfo", get(buildinfo))
        .with_state(Arc::new(engine))
}

type Shared = State<Arc<Engine>>;

/// Turns what a handler found into an answer; Grafana shows `message` of one that is an error.
fn respond(headers: &HeaderMap, found: Result<Value, Failure>) -> Response {
    match found {
        Ok(value) => answer::json(headers, &value),
        Err(failure) => {
            let text = &failure.message;
            let body = json!({"status": "error", "errorType": "bad_data", "error": text, "message": text});
            answer::json_bytes(headers, failure.status, body.to_string().into())
        }
    }
}

/// Whether the client wants a stream's own labels apart from what its entries carry.
fn categorizes(headers: &HeaderMap) -> bool {
    let flags = headers.get("x-loki-response-encoding-flags").and_then(|flags| flags.to_str().ok());
    flags.is_some_and(|flags| flags.split(',').any(|flag| flag.trim() == "categorize-labels"))
}

async fn query_range(State(engine): Shared, params: Params) -> Response {
    let found = async {
        let parameters = Parameters(&params);
        let range = parameters.range(1)?;
        let step = parameters.step(&range)?;
        let (limit, direction) = (parameters.limit()?, parameters.direction()?);
        let query = parameters.required("query")?;
        let answer = engine.range(query, range.clone(), step, limit, direction).await?;
        Ok(match answer {
            Answer::Rows(rows) => streams(rows, categorizes(&params.headers)),
            Answer::Matrix(matrix) => success("matrix", matrix_json(&matrix, &engine.steps(range, step)?)),
            Answer::Scalar(value) => {
                let steps = engine.steps(range, step)?;
                let values: Vec<Value> = steps.times().map(|time| json!([time.seconds(), float(value)])).collect();
                success("matrix", json!([{"metric": {}, "values": values}]))
            }
        })
    };
    let found = found.await;
    respond(&params.headers, found)
}

async fn query(State(engine): Shared, params: Params) -> Response {
    let found = async {
        let parameters = Parameters(&params);
        let at = parameters.time("time", clock::now_nanos())?;
        let (limit, direction) = (parameters.limit()?, parameters.direction()?);
        let seconds = at.to_timestamp().seconds();
        Ok(match engine.instant(parameters.required("query")?, at, limit, direction).await? {
            Answer::Rows(rows) => streams(rows, categorizes(&params.headers)),
            Answer::Scalar(value) => success("scalar", json!([seconds, float(value)])),
            Answer::Matrix(matrix) => {
                let value = |(labels, values): (&Labels, &Vec<Option<f64>>)| {
                    let value = (*values.first()?)?;
                    Some(json!({"metric": labels, "value": [seconds, float(value)]}))
                };
                success("vector", matrix.iter().filter_map(value).collect())
            }
        })
    };
    let found = found.await;
    respond(&params.headers, found)
}

fn success(kind: &str, result: Value) -> Value {
    json!({"status": "success", "data": {"resultType": kind, "result": result, "stats": {}}})
}

fn matrix_json(matrix: &Matrix, steps: &Steps) -> Value {
    let times: Vec<f64> = steps.times().map(Timestamp::seconds).collect();
    let series = |(labels, values): (&Labels, &Vec<Option<f64>>)| {
        let points = times.iter().zip(values).filter_map(|(time, value)| Some(json!([time, float((*value)?)])));
        json!({"metric": labels, "values": points.collect::<Vec<_>>()})
    };
    matrix.iter().map(series).collect()
}

/// Records by stream, in the order in which they came.
fn streams(rows: Vec<Row>, categorize: bool) -> Value {
    let mut order: Vec<Labels> = Vec::new();
    let mut by_stream: BTreeMap<Labels, Vec<Value>> = BTreeMap::new();
    for row in rows {
        let map = |pairs: &[(String, String)]| {
            pairs.iter().cloned().map(|(name, value)| (name, value.into())).collect::<Map<_, _>>()
        };
        let time = row.time.0.to_string();
        let (labels, entry) = if categorize {
            let mut carried = Map::new();
            if !row.structured.is_empty() {
                carried.insert("structuredMetadata".to_owned(), map(&row.structured).into());
            }
            if !row.parsed.is_empty() {
                carried.insert("parsed".to_owned(), map(&row.parsed).into());
            }
            (Labels::from_pairs(row.stream.iter().map(|(name, value)| (name, value))), json!([time, row.line, carried]))
        } else {
            (row.labels(), json!([time, row.line]))
        };
        if !by_stream.contains_key(&labels) {
            order.push(labels.clone());
        }
        by_stream.entry(labels).or_default().push(entry);
    }
    let stream = |labels: Labels| {
        let values = by_stream.remove(&labels).unwrap_or_default();
        json!({"stream": labels, "values": values})
    };
    let result: Vec<Value> = order.into_iter().map(stream).collect();
    let mut data = Map::new();
    data.insert("resultType".to_owned(), "streams".into());
    // The flag stands before the result: Grafana's reader has to know it by then.
    if categorize {
        data.insert("encodingFlags".to_owned(), json!(["categorize-labels"]));
    }
    data.insert("result".to_owned(), result.into());
    data.insert("stats".to_owned(), json!({}));
    json!({"status": "success", "data": data})
}

/// Patterns are not mined; an empty answer is what Grafana understands as none.
async fn patterns(params: Params) -> Response {
    respond(&params.headers, Ok(json!({"status": "success", "data": []})))
}

async fn format_query(params: Params) -> Response {
    let parameters = Parameters(&params);
    let found = parameters.required("query").and_then(|query| {
        logql::parse(query).map_err(Error::from)?;
        Ok(json!({"status": "success", "data": query.trim()}))
    });
    respond(&params.headers, found)
}

async fn buildinfo(params: Params) -> Response {
    // The version of the API that is spoken, not ours: Grafana turns features on by it.
    respond(
        &params.headers,
        Ok(json!({"version": "3.0.0", "revision": env!("CARGO_PKG_VERSION"), "branch": "yagura", "goVersion": ""})),
    )
}

#[cfg(test)]
mod tests {
    use yagura_model::Nanos;

    use super::*;

    fn row() -> Row {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        Row {
            time: Nanos(5),
            line: "l".to_owned(),
            stream: pair("a", "b"),
            structured: pair("trace_id", "c"),
            parsed: pair("d", "e"),
        }
    }

    #[test]
    fn labels_are_together_or_apart_as_asked() {
        let together = streams(vec![row(), row()], false);
        let expected = json!([{"stream": {"a": "b", "trace_id": "c", "d": "e"}, "values": [["5", "l"], ["5", "l"]]}]);
        assert_eq!(together["data"]["result"], expected);
        let apart = streams(vec![row()], true);
        let entry = json!(["5", "l", {"structuredMetadata": {"trace_id": "c"}, "parsed": {"d": "e"}}]);
        assert_eq!(apart["data"]["result"], json!([{"stream": {"a": "b"}, "values": [entry]}]));
        let text = apart.to_string();
        assert!(text.find("encodingFlags").unwrap() < text.find("\"result\"").unwrap(), "{text}");
    }
}
