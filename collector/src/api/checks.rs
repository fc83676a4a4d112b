//! `/api/checks`: synthetic checks, how they stand and what their runs found.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Query, State},
    response::Response,
    routing::get,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use yagura_daemon::clock;
use yagura_model::Timestamp;

use super::answer;
use crate::probes::{Check, Registry, Run};

/// Runs shown beside each check in the list: the ticks of its timeline.
const TICKS: usize = 90;
/// The most runs one answer holds.
const MOST_RUNS: usize = 1000;

/// The paths below `/api`.
pub fn router(registry: Arc<Registry>) -> Router {
    Router::new().route("/checks", get(list)).route("/checks/{name}/runs", get(runs)).with_state(registry)
}

async fn list(State(registry): State<Arc<Registry>>, headers: HeaderMap) -> Response {
    let checks: Vec<Value> = registry.checks().iter().map(|check| describe(&registry, check)).collect();
    answer::json(&headers, &json!({"location": registry.location(), "checks": checks}))
}

fn describe(registry: &Registry, check: &Check) -> Value {
    let runs = registry.runs(&check.name, TICKS).unwrap_or_default();
    let (verdict, since) = registry.verdict(&check.name);
    let tick = |run: &Run| {
        json!({"time": run.started, "success": run.success, "duration_seconds": run.duration_seconds,
            "class": run.failure.as_ref().map(|failure| failure.class)})
    };
    json!({
        "name": check.name,
        "kind": "http",
        "url": check.url,
        "interval_seconds": check.interval.0.as_secs_f64(),
        "timeout_seconds": check.timeout().as_secs_f64(),
        "latency_limit_seconds": check.expect.latency.map(|limit| limit.0.as_secs_f64()),
        "tags": check.tags,
        "verdict": verdict,
        "since": since,
        "ticks": runs.iter().map(tick).collect::<Vec<_>>(),
        "last": runs.last().map(|run| full(run, clock::now())),
    })
}

/// A run with what a person wants beside it.
fn full(run: &Run, now: Timestamp) -> Value {
    let mut value = serde_json::to_value(run).unwrap_or_default();
    let expiry = run.tls.as_ref().and_then(|tls| tls.earliest_expiry);
    if let Some(object) = value.as_object_mut() {
        object.insert("certificate_days".to_owned(), json!(expiry.map(|end| (end.0 - now.0).div_euclid(86_400_000))));
        object.insert("reason".to_owned(), json!(run.failure.as_ref().map(|failure| &failure.reason)));
    }
    value
}

#[derive(Debug, Deserialize)]
struct Limit {
    limit: Option<usize>,
}

async fn runs(
    State(registry): State<Arc<Registry>>,
    Path(name): Path<String>,
    Query(Limit { limit }): Query<Limit>,
    headers: HeaderMap,
) -> Response {
    let Some(runs) = registry.runs(&name, limit.unwrap_or(TICKS).min(MOST_RUNS)) else {
        return answer::failure(StatusCode::NOT_FOUND, "not_found", &format!("there is no check named `{name}`"));
    };
    let now = clock::now();
    answer::json(&headers, &json!({"name": name, "runs": runs.iter().map(|run| full(run, now)).collect::<Vec<_>>()}))
}
