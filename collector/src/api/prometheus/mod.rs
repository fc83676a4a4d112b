//! Prometheus' HTTP API, below `/prom`: what Grafana's data source, `promtool` and scripts ask for.
//!
//! * `mod`: the paths; * `params`: reading a request; * `encode`: writing an answer.
//!
//! Rules and alerts are under the same base and come from `api::alerts`.

mod encode;
mod params;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::json;
use yagura_daemon::clock;

use super::answer;
use crate::{
    query::promql::{self, Engine, QueryError, QueryResult, Value},
    storage::{self, MetricStore},
};

pub(crate) use encode::float;
pub(crate) use params::{Failure, Params, parse_duration};

/// What Prometheus gives at most for one series.
const MAX_POINTS: u128 = 11_000;

#[derive(Clone)]
struct Api {
    store: Arc<dyn MetricStore>,
    engine: Engine,
}

/// The paths below `/prom`.
pub fn router(store: Arc<dyn MetricStore>, engine: Engine) -> Router {
    Router::new()
        .route("/api/v1/query", get(query).post(query))
        .route("/api/v1/query_range", get(query_range).post(query_range))
        .route("/api/v1/query_exemplars", get(query_exemplars).post(query_exemplars))
        .route("/api/v1/format_query", get(format_query).post(format_query))
        .route("/api/v1/labels", get(labels).post(labels))
        .route("/api/v1/label/{name}/values", get(label_values))
        .route("/api/v1/series", get(series).post(series))
        .route("/api/v1/metadata", get(metadata))
        .route("/api/v1/status/buildinfo", get(buildinfo))
        .with_state(Api { store, engine })
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let text = error.to_string();
        let (status, kind) = match error {
            QueryError::Parse(error) => return Self::bad(format!("invalid parameter \"query\": {error}")),
            QueryError::BadRange(text) => return Self::bad(format!("invalid parameter \"query\": {text}")),
            QueryError::Execution(_) | QueryError::TooMuch { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            QueryError::Timeout(_) => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            QueryError::Canceled => (StatusCode::SERVICE_UNAVAILABLE, "canceled"),
            QueryError::Storage(error) => return error.into(),
        };
        Self { status, kind, text }
    }
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Self {
        let (status, kind) = match error {
            storage::Error::TooMuch { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            storage::Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            storage::Error::Malformed(_) | storage::Error::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self { status, kind, text: error.to_string() }
    }
}

/// What a handler answers: its data and warnings.
type Answer = Result<Response, Failure>;

fn finish(answer: Answer) -> Response {
    answer.unwrap_or_else(Failure::into_response)
}

fn success(headers: &HeaderMap, data: impl Serialize, truncated: bool) -> Response {
    let mut body = json!({"status": "success", "data": data});
    if truncated && let Some(body) = body.as_object_mut() {
        body.insert("warnings".to_owned(), json!([TRUNCATED]));
    }
    answer::json(headers, &body)
}

const TRUNCATED: &str = "results truncated due to limit";

/// Cuts a list to the limit asked for; it has one more when there is more.
fn truncate<T>(items: &mut Vec<T>, limit: usize) -> bool {
    let cut = limit > 0 && items.len() > limit;
    if cut {
        items.truncate(limit);
    }
    cut
}

impl Api {
    /// The engine with the limits a request may tighten.
    fn engine(&self, params: &Params) -> Result<Engine, Failure> {
        let mut limits = self.engine.limits();
        if let Some(timeout) = params.duration("timeout")? {
            limits.timeout = timeout.min(limits.timeout);
        }
        if let Some(lookback) = params.duration("lookback_delta")? {
            limits.lookback = lookback;
        }
        Ok(self.engine.with_limits(limits))
    }
}

async fn query(State(api): State<Api>, params: Params) -> Response {
    let run = async {
        let limit = params.limit()?;
        let at = params.time_or("time", clock::now())?;
        let result = api.engine(&params)?.instant(params.get("query").unwrap_or_default(), at).await?;
        encoded(&params, result, limit).await
    };
    finish(run.await)
}

async fn query_range(State(api): State<Api>, params: Params) -> Response {
    let run = async {
        let limit = params.limit()?;
        let (start, end) = (params.time("start")?, params.time("end")?);
        if end < start {
            return Err(Failure::bad("invalid parameter \"end\": end timestamp must not be before start time"));
        }
        let given = params.get("step").unwrap_or_default();
        let fault = || Failure::bad(format!("invalid parameter \"step\": cannot parse {given:?} to a valid duration"));
        let step = match given.parse::<f64>() {
            Ok(seconds) if seconds <= 0.0 => None,
            _ => Some(params.duration("step")?.ok_or_else(fault)?),
        };
        let Some(step) = step.filter(|step| step.as_millis() > 0) else {
            return Err(Failure::bad(
                "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. \
                 Try a positive integer",
            ));
        };
        if end.since(start).as_millis() / step.as_millis() > MAX_POINTS {
            return Err(Failure::bad(
                "exceeded maximum resolution of 11,000 points per timeseries. \
                 Try decreasing the query resolution (?step=XX)",
            ));
        }
        let query = params.get("query").unwrap_or_default();
        let result = api.engine(&params)?.range(query, start, end, step).await?;
        encoded(&params, result, limit).await
    };
    finish(run.await)
}

/// The answer to a query. A large one takes a while to write, so another thread does it.
async fn encoded(params: &Params, mut result: QueryResult, limit: usize) -> Answer {
    let cut = match &mut result.value {
        Value::Vector(samples) => truncate(samples, limit),
        Value::Matrix(series) => truncate(series, limit),
        Value::Scalar(..) | Value::String(..) => false,
    };
    if cut {
        result.warnings.push(TRUNCATED.to_owned());
    }
    let with_stats = params.get("stats").is_some();
    let headers = params.headers.clone();
    let write = move || {
        let body = Bytes::from(encode::result(&result, with_stats));
        answer::json_bytes(&headers, StatusCode::OK, body)
    };
    tokio::task::spawn_blocking(write).await.map_err(|error| Failure {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        kind: "internal",
        text: format!("the answer could not be written: {error}"),
    })
}

/// No exemplars are kept; Grafana asks whether the question is understood.
async fn query_exemplars(params: Params) -> Response {
    let run = || {
        params.time_or("start", clock::now())?;
        params.time_or("end", clock::now())?;
        promql::parse(params.get("query").unwrap_or_default()).map_err(QueryError::from)?;
        Ok(success(&params.headers, json!([]), false))
    };
    finish(run())
}

async fn format_query(params: Params) -> Response {
    let parsed = promql::parse(params.get("query").unwrap_or_default()).map_err(|error| QueryError::from(error).into());
    finish(parsed.map(|expr| success(&params.headers, expr.to_string(), false)))
}

async fn labels(State(api): State<Api>, params: Params) -> Response {
    let run = async {
        let limit = params.limit()?;
        let mut names = api.store.label_names(params.listing()?).await?;
        let cut = truncate(&mut names, limit);
        Ok(success(&params.headers, names, cut))
    };
    finish(run.await)
}

async fn label_values(State(api): State<Api>, Path(name): Path<String>, params: Params) -> Response {
    let run = async {
        let limit = params.limit()?;
        let name = params::unescape_name(&name);
        if name.is_empty() {
            return Err(Failure::bad(format!("invalid label name: {name:?}")));
        }
        let mut values = api.store.label_values(name, params.listing()?).await?;
        let cut = truncate(&mut values, limit);
        Ok(success(&params.headers, values, cut))
    };
    finish(run.await)
}

async fn series(State(api): State<Api>, params: Params) -> Response {
    let run = async {
        let limit = params.limit()?;
        let listing = params.listing()?;
        if listing.any_of.is_empty() {
            return Err(Failure::bad("no match[] parameter provided"));
        }
        let mut series = api.store.series(listing).await?;
        let cut = truncate(&mut series, limit);
        Ok(success(&params.headers, series, cut))
    };
    finish(run.await)
}

async fn metadata(State(api): State<Api>, params: Params) -> Response {
    let run = async {
        let metric = params.get("metric").map(str::to_owned);
        let mut by_name: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
        for known in api.store.metadata(metric, params.limit()?).await? {
            let entry = json!({"type": known.kind, "help": known.help, "unit": known.unit});
            by_name.entry(known.name).or_default().push(entry);
        }
        if let Some(most) = params.get("limit_per_metric").and_then(|most| most.parse().ok()).filter(|most| *most > 0) {
            by_name.values_mut().for_each(|entries| entries.truncate(most));
        }
        Ok(success(&params.headers, by_name, false))
    };
    finish(run.await)
}

/// The version of Prometheus whose API this is. No `features`: with any, Grafana would try to write rules here.
async fn buildinfo(headers: HeaderMap) -> Response {
    let version = format!("3.5.0-yagura.{}", env!("CARGO_PKG_VERSION"));
    let data = json!({
        "version": version, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
    });
    success(&headers, data, false)
}

#[cfg(test)]
mod tests;
