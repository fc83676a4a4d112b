//! Alertmanager's API v2: what Grafana, amtool and anything that sends alerts speaks.
//!
//! The contract: `api/v2/openapi.yaml` of prometheus/alertmanager. Errors are a JSON string, as there.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use yagura_daemon::clock;
use yagura_model::{Labels, Timestamp};

use crate::{
    api::answer,
    notifiers::{
        AlertView, Error, Incoming, Notifier,
        matcher::{self, Matcher},
        message::rfc3339,
        silence::{NewSilence, Phase, Refused, Silence},
    },
    rules::file::is_label_name,
};

/// Alerts taken in one request.
const MAX_ALERTS: usize = 10_000;

/// The paths, to be nested under `/alertmanager`.
pub fn router(notifier: Notifier, started: Timestamp) -> Router {
    Router::new()
        .route("/api/v2/status", get(move |state, request| status(state, request, started)))
        .route("/api/v2/receivers", get(receivers))
        .route("/api/v2/alerts", get(list_alerts).post(post_alerts))
        .route("/api/v2/alerts/groups", get(list_groups))
        .route("/api/v2/silences", get(list_silences).post(post_silence))
        .route("/api/v2/silence/{id}", get(get_silence).delete(delete_silence))
        .route("/-/healthy", get(|| async { "OK" }))
        .route("/-/ready", get(|| async { "OK" }))
        .with_state(notifier)
}

/// Parameters in the order they came; `filter` may come more than once.
type Parameters = Query<Vec<(String, String)>>;

fn failed(status: StatusCode, text: &str) -> Response {
    (status, Json(text)).into_response()
}

async fn status(State(notifier): State<Notifier>, request: HeaderMap, started: Timestamp) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    answer::json(
        &request,
        &json!({
            "cluster": {"name": "", "status": "disabled", "peers": []},
            "versionInfo": {
                "version": version, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
            },
            "config": {"original": notifier.config_text()},
            "uptime": rfc3339(started),
        }),
    )
}

async fn receivers(State(notifier): State<Notifier>, request: HeaderMap) -> Response {
    let names: Vec<Value> = notifier.receivers().into_iter().map(|name| json!({"name": name})).collect();
    answer::json(&request, &names)
}

/// Which alerts are asked for.
#[derive(Debug)]
struct Filter {
    matchers: Vec<Matcher>,
    receiver: Option<regex::Regex>,
    active: bool,
    silenced: bool,
    inhibited: bool,
    muted: bool,
}

impl Filter {
    fn read(parameters: Vec<(String, String)>) -> Result<Self, String> {
        let mut filter =
            Self { matchers: Vec::new(), receiver: None, active: true, silenced: true, inhibited: true, muted: true };
        for (name, value) in parameters {
            let yes = value != "false";
            match name.as_str() {
                "filter" => filter.matchers.extend(matcher::parse(&value).map_err(|error| error.to_string())?),
                "receiver" => {
                    let built = regex::RegexBuilder::new(&format!("^(?:{value})$")).size_limit(1 << 20).build();
                    filter.receiver = Some(built.map_err(|error| format!("failed to parse receiver: {error}"))?);
                }
                "active" => filter.active = yes,
                "silenced" => filter.silenced = yes,
                "inhibited" => filter.inhibited = yes,
                "muted" => filter.muted = yes,
                _ => {}
            }
        }
        Ok(filter)
    }

    fn takes(&self, alert: &AlertView) -> bool {
        let receiver = self.receiver.as_ref();
        (self.active || alert.is_suppressed())
            && (self.silenced || alert.silenced_by.is_empty())
            && (self.inhibited || alert.inhibited_by.is_none())
            && (self.muted || alert.muted_by.is_empty())
            && receiver.is_none_or(|receiver| alert.receivers.iter().any(|name| receiver.is_match(name)))
            && matcher::all_match(&self.matchers, &alert.labels)
    }
}

async fn list_alerts(State(notifier): State<Notifier>, request: HeaderMap, Query(parameters): Parameters) -> Response {
    match Filter::read(parameters) {
        Ok(filter) => {
            let alerts = notifier.alerts(clock::now());
            let mut shown: Vec<&AlertView> = alerts.iter().filter(|alert| filter.takes(alert)).collect();
            shown.sort_by(|one, other| one.labels.cmp(&other.labels));
            answer::json(&request, &shown.into_iter().map(show_alert).collect::<Vec<_>>())
        }
        Err(error) => failed(StatusCode::BAD_REQUEST, &error),
    }
}

async fn list_groups(State(notifier): State<Notifier>, request: HeaderMap, Query(parameters): Parameters) -> Response {
    let filter = match Filter::read(parameters) {
        Ok(filter) => filter,
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error),
    };
    let mut shown = Vec::new();
    for group in notifier.groups(clock::now()) {
        let alerts: Vec<Value> = group.alerts.iter().filter(|alert| filter.takes(alert)).map(show_alert).collect();
        if !alerts.is_empty() {
            let receiver = json!({"name": group.receiver});
            shown.push(json!({"labels": group.labels, "receiver": receiver, "alerts": alerts, "routeLabels": {}}));
        }
    }
    answer::json(&request, &shown)
}

fn show_alert(alert: &AlertView) -> Value {
    let state = if alert.is_suppressed() { "suppressed" } else { "active" };
    let inhibited_by: Vec<String> = alert.inhibited_by.iter().map(|print| format!("{print:016x}")).collect();
    // Alertmanager's alerts always end some time; one of our rules ends when the rule says so.
    let ends_at = alert.ends_at.unwrap_or_else(|| alert.updated_at.plus(std::time::Duration::from_secs(300)));
    json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": rfc3339(alert.starts_at),
        "endsAt": rfc3339(ends_at),
        "updatedAt": rfc3339(alert.updated_at),
        "generatorURL": alert.generator_url,
        "fingerprint": format!("{:016x}", alert.fingerprint),
        "receivers": alert.receivers.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "status": {
            "state": state,
            "silencedBy": alert.silenced_by,
            "inhibitedBy": inhibited_by,
            "mutedBy": alert.muted_by,
        },
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedAlert {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: Option<String>,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
}

async fn post_alerts(State(notifier): State<Notifier>, Json(posted): Json<Vec<PostedAlert>>) -> Response {
    if posted.len() > MAX_ALERTS {
        return failed(StatusCode::BAD_REQUEST, &format!("more than {MAX_ALERTS} alerts in one request"));
    }
    let now = clock::now();
    let alerts: Result<Vec<Incoming>, String> =
        posted.into_iter().map(|alert| take(alert, now, notifier.resolve_timeout())).collect();
    match alerts {
        Ok(alerts) => {
            notifier.put(alerts, now);
            StatusCode::OK.into_response()
        }
        Err(error) => failed(StatusCode::BAD_REQUEST, &error),
    }
}

fn take(posted: PostedAlert, now: Timestamp, timeout: std::time::Duration) -> Result<Incoming, String> {
    let labels = Labels::from_pairs(&posted.labels);
    if labels.is_empty() {
        return Err("at least one label pair required".to_owned());
    }
    if let Some(name) = posted.labels.keys().find(|name| !is_label_name(name)) {
        return Err(format!("invalid label name {name:?}"));
    }
    let ends_at = time(posted.ends_at.as_deref())?;
    let starts_at = time(posted.starts_at.as_deref())?.unwrap_or_else(|| ends_at.map_or(now, |end| end.min(now)));
    if ends_at.is_some_and(|end| end < starts_at) {
        return Err("start time must be before end time".to_owned());
    }
    Ok(Incoming {
        labels,
        annotations: posted.annotations,
        starts_at,
        ends_at: Some(ends_at.unwrap_or_else(|| now.plus(timeout))),
        generator_url: posted.generator_url,
    })
}

/// An RFC 3339 time; Go's zero time is none.
fn time(text: Option<&str>) -> Result<Option<Timestamp>, String> {
    let Some(text) = text.filter(|text| !text.is_empty() && !text.starts_with("0001-01-01")) else { return Ok(None) };
    let time: jiff::Timestamp = text.parse().map_err(|_| format!("not a time: {text:?}"))?;
    Ok(Some(Timestamp(time.as_millisecond())))
}

async fn list_silences(
    State(notifier): State<Notifier>,
    request: HeaderMap,
    Query(parameters): Parameters,
) -> Response {
    let mut matchers = Vec::new();
    let mut without = Vec::new();
    for (name, value) in parameters {
        match (name.as_str(), value.as_str()) {
            ("filter", _) => match matcher::parse(&value) {
                Ok(parsed) => matchers.extend(parsed),
                Err(error) => return failed(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            ("active", "false") => without.push(Phase::Active),
            ("expired", "false") => without.push(Phase::Expired),
            ("pending", "false") => without.push(Phase::Pending),
            _ => {}
        }
    }
    let now = clock::now();
    let mut silences = notifier.silences();
    silences.retain(|silence| {
        let named = silence.matchers.iter().map(|matcher| (matcher.name.as_str(), matcher.value.as_str()));
        !without.contains(&silence.phase(now)) && matcher::all_match(&matchers, &Labels::from_pairs(named))
    });
    let order = |phase: Phase| match phase {
        Phase::Active => 0,
        Phase::Pending => 1,
        Phase::Expired => 2,
    };
    silences.sort_by_key(|silence| (order(silence.phase(now)), silence.ends_at));
    answer::json(&request, &silences.iter().map(|silence| show_silence(silence, now)).collect::<Vec<_>>())
}

fn show_silence(silence: &Silence, now: Timestamp) -> Value {
    json!({
        "id": silence.id,
        "matchers": silence.matchers,
        "startsAt": rfc3339(silence.starts_at),
        "endsAt": rfc3339(silence.ends_at),
        "updatedAt": rfc3339(silence.updated_at),
        "createdBy": silence.created_by,
        "comment": silence.comment,
        "annotations": {},
        "status": {"state": silence.phase(now).as_str()},
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedSilence {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<Matcher>,
    starts_at: String,
    ends_at: String,
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
}

async fn post_silence(State(notifier): State<Notifier>, Json(posted): Json<PostedSilence>) -> Response {
    let now = clock::now();
    let times = (time(Some(&posted.starts_at)), time(Some(&posted.ends_at)));
    let (Ok(starts_at), Ok(Some(ends_at))) = times else {
        return failed(StatusCode::BAD_REQUEST, "startsAt and endsAt must be RFC 3339 times");
    };
    let new = NewSilence {
        id: posted.id.filter(|id| !id.is_empty()),
        matchers: posted.matchers,
        starts_at: starts_at.unwrap_or(now),
        ends_at,
        created_by: posted.created_by,
        comment: posted.comment,
    };
    match notifier.set_silence(new, now).await {
        Ok(id) => Json(json!({"silenceID": id})).into_response(),
        Err(error) => refused(&error),
    }
}

fn refused(error: &Error) -> Response {
    let status = match error {
        Error::Refused(Refused::Invalid(_)) => StatusCode::BAD_REQUEST,
        Error::Refused(Refused::NotFound(_)) => StatusCode::NOT_FOUND,
        Error::Storage(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    failed(status, &error.to_string())
}

async fn get_silence(State(notifier): State<Notifier>, request: HeaderMap, Path(id): Path<String>) -> Response {
    match notifier.silence(&id) {
        Some(silence) => answer::json(&request, &show_silence(&silence, clock::now())),
        None => failed(StatusCode::NOT_FOUND, &format!("silence {id} not found")),
    }
}

async fn delete_silence(State(notifier): State<Notifier>, Path(id): Path<String>) -> Response {
    match notifier.expire_silence(&id, clock::now()).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => refused(&error),
    }
}
