//! `/alerts/history`: what alerts did and who was told, for our own UI.
//!
//! `?from=&to=` in milliseconds since the epoch narrow it. The answer has one entry per alert:
//! `{"labels", "changes": [{"at", "from", "to", "value"}], "notifications": [{"at", "receiver", "integration", "status",
//! "reason"}]}`, oldest first within, the alert that did something last first. `waiting` is how many messages are
//! still to be sent, `broken` names receivers that refuse messages for good.

use std::collections::BTreeMap;

use axum::{
    Router,
    extract::{Query, State},
    response::Response,
    routing::get,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use yagura_model::Labels;

use crate::{api::answer, notifiers::Notifier, rules::Manager};

/// Entries of each list that are looked at.
const MOST: usize = 5000;

/// The path, to be nested under `/api`.
pub fn router(manager: Manager, notifier: Notifier, external_labels: Labels) -> Router {
    Router::new().route("/alerts/history", get(history)).with_state((manager, notifier, external_labels))
}

#[derive(Debug, Deserialize)]
struct Span {
    from: Option<f64>,
    to: Option<f64>,
}

impl Span {
    fn holds(&self, entry: &Value) -> bool {
        let Some(at) = entry.get("at").and_then(Value::as_f64) else { return false };
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at <= to)
    }
}

/// What is known of one alert.
#[derive(Debug, Default)]
struct Past {
    changes: Vec<Value>,
    notifications: Vec<Value>,
}

impl Past {
    fn newest(&self) -> i64 {
        let last = |list: &[Value]| list.last().and_then(|entry| entry.get("at")?.as_i64());
        last(&self.changes).max(last(&self.notifications)).unwrap_or(0)
    }
}

async fn history(
    State((manager, notifier, external)): State<(Manager, Notifier, Labels)>,
    Query(span): Query<Span>,
    request: HeaderMap,
) -> Response {
    let read = manager.history(MOST).and_then(|changes| Ok((changes, notifier.history(MOST)?)));
    let (changes, notifications) = match read {
        Ok(read) => read,
        Err(error) => return answer::failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &error.to_string()),
    };
    let mut alerts: BTreeMap<Labels, Past> = BTreeMap::new();
    for change in changes.iter().rev().filter(|entry| span.holds(entry)) {
        let Some(labels) = labels(change.get("labels")) else { continue };
        alerts.entry(labels).or_default().changes.push(pick(change, &["at", "from", "to", "value", "group", "rule"]));
    }
    for sent in notifications.iter().rev().filter(|entry| span.holds(entry)) {
        for told in sent.get("alerts").and_then(Value::as_array).into_iter().flatten() {
            let Some(labels) = labels(Some(told)) else { continue };
            // Rules know their alerts without the labels that are added on the way out.
            let own = labels.without(|name| external.get(name).is_some_and(|value| labels.get(name) == Some(value)));
            let keys = ["at", "receiver", "integration", "status", "reason", "state"];
            alerts.entry(own).or_default().notifications.push(pick(sent, &keys));
        }
    }
    let mut alerts: Vec<(Labels, Past)> = alerts.into_iter().collect();
    alerts.sort_by_key(|(_, past)| std::cmp::Reverse(past.newest()));
    let history: Vec<Value> = alerts
        .into_iter()
        .map(|(labels, past)| json!({"labels": labels, "changes": past.changes, "notifications": past.notifications}))
        .collect();
    let broken: Vec<Value> = notifier
        .broken()
        .into_iter()
        .map(|(receiver, _, reason)| json!({"receiver": receiver, "reason": reason}))
        .collect();
    answer::json(&request, &json!({"history": history, "waiting": notifier.waiting(), "broken": broken}))
}

fn labels(value: Option<&Value>) -> Option<Labels> {
    serde_json::from_value(value?.clone()).ok()
}

fn pick(entry: &Value, keys: &[&str]) -> Value {
    keys.iter()
        .filter_map(|key| Some(((*key).to_owned(), entry.get(*key)?.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
