//! `/api/v1/rules` and `/api/v1/alerts`, as Prometheus answers them.

use axum::{
    Router,
    extract::{Query, State},
    response::Response,
    routing::get,
};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use yagura_model::Labels;

use crate::{
    api::answer,
    notifiers::{matcher, message::rfc3339},
    rules::{GroupView, Manager, RuleView, RuleViewKind, alert::Alert, template::format_exponent},
};

/// What Go writes for a time that is not set.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// The paths, to be nested under `/prom`.
pub fn router(manager: Manager) -> Router {
    Router::new().route("/api/v1/rules", get(rules)).route("/api/v1/alerts", get(alerts)).with_state(manager)
}

/// Parameters in the order they came; a name may come more than once.
type Parameters = Query<Vec<(String, String)>>;

/// What `rules` is asked for; unknown parameters are ignored, as Prometheus does.
#[derive(Debug, Default)]
struct Filter {
    kind: Option<&'static str>,
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    selectors: Vec<Vec<matcher::Matcher>>,
    without_alerts: bool,
    limit: usize,
    after: Option<String>,
}

impl Filter {
    fn read(parameters: Vec<(String, String)>) -> Result<Self, String> {
        let mut filter = Self::default();
        for (name, value) in parameters {
            match name.as_str() {
                "type" => {
                    filter.kind = Some(match value.as_str() {
                        "alert" => "alerting",
                        "record" => "recording",
                        _ => return Err(format!("not supported value {value:?}")),
                    });
                }
                "rule_name[]" => filter.names.push(value),
                "rule_group[]" => filter.groups.push(value),
                "file[]" => filter.files.push(value),
                "match[]" => filter.selectors.push(matcher::parse(&value).map_err(|error| error.to_string())?),
                "exclude_alerts" => filter.without_alerts = matches!(value.as_str(), "true" | "1"),
                "group_limit" => {
                    filter.limit = value.parse().map_err(|_| "group_limit must be a whole number".to_owned())?;
                }
                "group_next_token" => filter.after = Some(value),
                _ => {}
            }
        }
        Ok(filter)
    }

    fn takes_group(&self, group: &GroupView) -> bool {
        let one_of = |list: &[String], value: &str| list.is_empty() || list.iter().any(|item| item == value);
        one_of(&self.groups, &group.name) && one_of(&self.files, &group.file)
    }

    fn takes_rule(&self, rule: &RuleView) -> bool {
        let labels = Labels::from_pairs(rule.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        (self.names.is_empty() || self.names.contains(&rule.name))
            && self.kind.is_none_or(|kind| kind == kind_of(rule))
            && (self.selectors.is_empty() || self.selectors.iter().any(|all| matcher::all_match(all, &labels)))
    }
}

async fn rules(State(manager): State<Manager>, request: HeaderMap, Query(parameters): Parameters) -> Response {
    match Filter::read(parameters) {
        Ok(filter) => answer::json(&request, &json!({"status": "success", "data": list(&manager.groups(), &filter)})),
        Err(error) => answer::failure(StatusCode::BAD_REQUEST, "bad_data", &error),
    }
}

fn list(groups: &[GroupView], filter: &Filter) -> Value {
    let mut shown = Vec::new();
    let mut next = None;
    let mut passed = filter.after.is_none();
    for group in groups.iter().filter(|group| filter.takes_group(group)) {
        if !passed {
            passed = filter.after.as_ref() == Some(&token(group));
            continue;
        }
        let rules: Vec<Value> =
            group.rules.iter().filter(|rule| filter.takes_rule(rule)).map(|one| rule(one, filter)).collect();
        let narrowed = !filter.names.is_empty() || filter.kind.is_some() || !filter.selectors.is_empty();
        if rules.is_empty() && narrowed {
            continue;
        }
        if filter.limit > 0 && shown.len() == filter.limit {
            next = shown.last().map(|(token, _): &(String, Value)| token.clone());
            break;
        }
        shown.push((
            token(group),
            json!({
                "name": group.name,
                "file": group.file,
                "interval": group.interval.as_secs_f64(),
                "limit": group.limit,
                "evaluationTime": group.evaluation_time.as_secs_f64(),
                "lastEvaluation": group.last_evaluation.map_or_else(|| NO_TIME.to_owned(), rfc3339),
                "rules": rules,
            }),
        ));
    }
    let mut data = json!({"groups": shown.into_iter().map(|(_, group)| group).collect::<Vec<_>>()});
    if let (Some(next), Some(fields)) = (next, data.as_object_mut()) {
        fields.insert("groupNextToken".to_owned(), next.into());
    }
    data
}

fn token(group: &GroupView) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(format!("{}\n{}", group.file, group.name).as_bytes()))
}

fn kind_of(rule: &RuleView) -> &'static str {
    match rule.kind {
        RuleViewKind::Recording => "recording",
        RuleViewKind::Alerting { .. } => "alerting",
    }
}

fn rule(rule: &RuleView, filter: &Filter) -> Value {
    let mut value = json!({
        "name": rule.name,
        "query": rule.expr,
        "health": rule.health.as_str(),
        "evaluationTime": rule.evaluation_time.as_secs_f64(),
        "lastEvaluation": rule.last_evaluation.map_or_else(|| NO_TIME.to_owned(), rfc3339),
        "type": kind_of(rule),
        "labels": pairs(&rule.labels),
    });
    let Some(fields) = value.as_object_mut() else { return value };
    if let Some(error) = &rule.last_error {
        fields.insert("lastError".to_owned(), error.as_str().into());
    }
    if let RuleViewKind::Alerting { hold, keep_firing_for, annotations, state, alerts, .. } = &rule.kind {
        fields.insert("state".to_owned(), state.as_str().into());
        fields.insert("duration".to_owned(), hold.as_secs_f64().into());
        fields.insert("keepFiringFor".to_owned(), keep_firing_for.as_secs_f64().into());
        fields.insert("annotations".to_owned(), pairs(annotations));
        if !filter.without_alerts {
            fields.insert("alerts".to_owned(), alerts.iter().map(alert).collect());
        }
    }
    value
}

fn pairs(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>().into()
}

fn alert(alert: &Alert) -> Value {
    let mut value = json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "state": alert.state.as_str(),
        "activeAt": rfc3339(alert.active_at),
        "value": format_exponent(alert.value),
    });
    if let Some(fields) = value.as_object_mut() {
        for (name, since) in [("keepFiringSince", alert.keep_firing_since), ("missingSince", alert.missing_since)] {
            if let Some(since) = since {
                fields.insert(name.to_owned(), rfc3339(since).into());
            }
        }
    }
    value
}

async fn alerts(State(manager): State<Manager>, request: HeaderMap) -> Response {
    let mut alerts = Vec::new();
    for group in manager.groups() {
        for rule in group.rules {
            if let RuleViewKind::Alerting { alerts: of_rule, .. } = rule.kind {
                alerts.extend(of_rule.iter().map(alert));
            }
        }
    }
    answer::json(&request, &json!({"status": "success", "data": {"alerts": alerts}}))
}
