//! `GET /api/containers`: every container in one compact answer, so that a list needs one request.
//!
//! Put together from cAdvisor's series (usage, limits) and ours of the docker source (state, health, restarts), joined
//! by the container's id: the last 64 hexadecimal digits of a cgroup path, whoever made the path.

use std::{collections::BTreeMap, time::Duration};

use axum::{Router, extract::State, response::Response, routing::get};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use yagura_model::{Labels, Timestamp};

use super::{
    answer,
    live::{Feed, feed},
    reading::{self, History, Reading, rounded},
};
use crate::query::promql::Engine;

mod need;

pub use need::Level;
pub(crate) use need::spoken;

/// How often those who look are told.
const EVERY: Duration = Duration::from_secs(5);

/// Containers that ended badly are looked up one by one; more than this at once is told apart by nobody.
const MOST_ENDED: usize = 50;

/// A minute holds several scrapes at the usual interval; five are looked at where the interval is longer.
const QUERIES: &[(&str, &str)] = &[
    ("info", "yagura_container_info"),
    ("state", "yagura_container_state == 1"),
    ("health", "yagura_container_health == 1"),
    ("restarts", "yagura_container_restarts_total"),
    ("restarted", "increase(yagura_container_restarts_total[1h])"),
    ("exit code", "yagura_container_exit_code"),
    ("OOM-killed", "yagura_container_oom_killed == 1"),
    ("start", "yagura_container_start_time_seconds or container_start_time_seconds"),
    ("last seen", "container_last_seen"),
    ("CPU", "rate(container_cpu_usage_seconds_total[1m]) or rate(container_cpu_usage_seconds_total[5m])"),
    ("CPU limit", "container_spec_cpu_quota > 0"),
    ("CPU period", "container_spec_cpu_period > 0"),
    ("throttled", "rate(container_cpu_cfs_throttled_periods_total[2m]) / rate(container_cpu_cfs_periods_total[2m])"),
    ("memory", "container_memory_working_set_bytes"),
    ("memory limit", "container_spec_memory_limit_bytes > 0"),
    ("received", "rate(container_network_receive_bytes_total[1m]) or rate(container_network_receive_bytes_total[5m])"),
    ("sent", "rate(container_network_transmit_bytes_total[1m]) or rate(container_network_transmit_bytes_total[5m])"),
    ("OOM kills", "increase(container_oom_events_total[1h])"),
    ("silent", "up == 0"),
];

const HISTORY_QUERY: &str = "rate(container_cpu_usage_seconds_total[1m])";

/// All containers, as they are answered.
#[derive(Clone, Debug, Serialize)]
pub struct Containers {
    /// When this was put together.
    pub at: Timestamp,
    /// The newest time at which any container was seen.
    pub newest: Timestamp,
    /// By name.
    pub containers: Vec<Container>,
    /// What could not be read, and why.
    pub partial: Vec<String>,
}

/// One container; what is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name; for a pod's container `pod/container`.
    pub name: String,
    /// The image it was made from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The node it runs on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// The tag.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The tag.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub env: String,
    /// The tag.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// The tag.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Further tags, the compose project and what Kubernetes calls it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Published ports, as docker writes them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ports: String,
    /// Docker's word: `running`, `exited`, `restarting`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Docker's word: `healthy`, `unhealthy`, `starting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// Of the last run, once it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<f64>,
    /// Since it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<f64>,
    /// CPU in use, in cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// CPU it may use, in cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<f64>,
    /// The share of periods in which it was held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<f64>,
    /// The working set, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<f64>,
    /// Memory it may use, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<f64>,
    /// Bytes received a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_rx: Option<f64>,
    /// Bytes sent a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_tx: Option<f64>,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it was last seen to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
    /// How it does.
    pub level: Level,
    /// What is wrong, in words that stand after the name; the worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// CPU over the last quarter of an hour; only in answers, not in what is pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// OOM kills and restarts within the last hour, and whether the agent is silent: what `why` is made of.
    #[serde(skip)]
    facts: need::Facts,
}

/// `GET /containers`.
pub fn router(engine: Engine) -> Router {
    Router::new().route("/containers", get(answer_list)).with_state(engine)
}

/// The feed `containers`.
#[must_use]
pub fn live(engine: Engine) -> Feed {
    feed("containers", EVERY, move || {
        let engine = engine.clone();
        async move { list(&engine, yagura_daemon::clock::now(), false).await }
    })
}

async fn answer_list(State(engine): State<Engine>, request: HeaderMap) -> Response {
    match list(&engine, yagura_daemon::clock::now(), true).await {
        Ok(containers) => answer::json(&request, &containers),
        Err(reason) => answer::failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &reason),
    }
}

/// Every container that is known at `now`; with their short histories when asked.
pub async fn list(engine: &Engine, now: Timestamp, history: bool) -> Result<Containers, String> {
    let reading = Reading::ask(engine, QUERIES, now).await;
    if reading.failed() {
        return Err(reading.partial.join("; "));
    }
    let mut found = assemble(&reading);
    let mut partial = reading.partial.clone();
    let silent: Vec<&str> = reading.of("silent").iter().filter_map(|(labels, _)| labels.get("instance")).collect();
    if !silent.is_empty() {
        add_silent(engine, &silent, now, &mut found).await;
    }
    add_ends(engine, now, &mut found).await;
    if history {
        match reading::histories(engine, HISTORY_QUERY, now).await {
            Ok(histories) => add_histories(histories, &mut found),
            Err(error) => partial.push(format!("history: {error}")),
        }
    }
    let mut containers: Vec<Container> = found.into_values().collect();
    for container in &mut containers {
        need::judge(container, now);
    }
    containers.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    let newest = containers.iter().filter_map(|one| one.seen).max().unwrap_or_default();
    Ok(Containers { at: now, newest, containers, partial })
}

type Found = BTreeMap<String, Container>;

fn assemble(reading: &Reading) -> Found {
    let mut found = Found::new();
    for (labels, _) in reading.of("info") {
        describe(&mut found, labels);
    }
    // Without a docker socket there is no `info`; what the kernel shows must do.
    for name in ["memory", "last seen"] {
        for (labels, _) in reading.of(name) {
            describe(&mut found, labels);
        }
    }
    words(reading, "state", "state", &mut found, |one, word| one.state = Some(word));
    words(reading, "health", "status", &mut found, |one, word| one.health = Some(word));
    values(reading, "restarts", &mut found, |one, value| one.restarts = Some(value));
    values(reading, "restarted", &mut found, |one, value| one.facts.restarts = value.round());
    values(reading, "exit code", &mut found, |one, value| one.exit_code = Some(value));
    values(reading, "OOM-killed", &mut found, |one, _| one.facts.oom_killed = true);
    values(reading, "start", &mut found, |one, value| one.started = Some(reading::instant(value)));
    // A container whose name changed has its old series beside the new one for a while.
    values(reading, "last seen", &mut found, |one, value| one.seen = one.seen.max(Some(reading::instant(value))));
    values(reading, "CPU", &mut found, |one, value| one.cpu = Some(rounded(value)));
    values(reading, "CPU limit", &mut found, |one, quota| one.cpu_limit = Some(quota));
    values(reading, "CPU period", &mut found, |one, period| {
        one.cpu_limit = one.cpu_limit.map(|quota| rounded(quota / period));
    });
    values(reading, "throttled", &mut found, |one, value| one.throttled = Some(rounded(value)));
    values(reading, "memory", &mut found, |one, value| one.memory = Some(value));
    values(reading, "memory limit", &mut found, |one, value| one.memory_limit = Some(value));
    values(reading, "received", &mut found, |one, value| {
        one.net_rx = Some(rounded(one.net_rx.unwrap_or_default() + value));
    });
    values(reading, "sent", &mut found, |one, value| {
        one.net_tx = Some(rounded(one.net_tx.unwrap_or_default() + value));
    });
    values(reading, "OOM kills", &mut found, |one, value| one.facts.oom_kills += value.round());
    found
}

/// Puts in who a container is, by the labels of one of its series.
fn describe(found: &mut Found, labels: &Labels) {
    let Some(id) = labels.get("id").and_then(container_id) else { return };
    let one = found.entry(id.to_owned()).or_insert_with(|| Container { id: id.to_owned(), ..Container::default() });
    for (label, value) in labels.iter() {
        let place = match label {
            "image" => &mut one.image,
            "instance" => &mut one.node,
            "service" => &mut one.service,
            "env" => &mut one.env,
            "role" => &mut one.role,
            "source" => &mut one.source,
            "ports" => &mut one.ports,
            "name" => &mut one.name,
            "__name__" | "id" | "job" | "cpu" | "container" => continue,
            _ => one.labels.entry(label.to_owned()).or_default(),
        };
        if place.is_empty() {
            value.trim_start_matches('/').clone_into(place);
        }
    }
    if let (Some(pod), Some(container)) = (labels.get("pod"), labels.get("container")) {
        one.name = format!("{pod}/{container}");
    } else if one.name.is_empty() {
        one.name = id.chars().take(12).collect();
    }
}

fn values(reading: &Reading, name: &str, found: &mut Found, mut put: impl FnMut(&mut Container, f64)) {
    for (labels, value) in reading.of(name) {
        let id = labels.get("id").and_then(container_id);
        if let Some(one) = id.and_then(|id| found.get_mut(id)) {
            put(one, *value);
        }
    }
}

fn words(reading: &Reading, name: &str, label: &str, found: &mut Found, put: impl Fn(&mut Container, String)) {
    for (labels, _) in reading.of(name) {
        let id = labels.get("id").and_then(container_id);
        if let (Some(one), Some(word)) = (id.and_then(|id| found.get_mut(id)), labels.get(label)) {
            put(one, word.to_owned());
        }
    }
}

fn add_histories(histories: Vec<(Labels, History)>, found: &mut Found) {
    for (labels, history) in histories {
        let id = labels.get("id").and_then(container_id);
        if let Some(one) = id.and_then(|id| found.get_mut(id)) {
            one.history = Some(history);
        }
    }
}

/// Containers of nodes whose agents are silent: their series are stale, but they are not gone.
async fn add_silent(engine: &Engine, nodes: &[&str], now: Timestamp, found: &mut Found) {
    let nodes: Vec<String> = nodes.iter().map(|node| regex::escape(node)).collect();
    let query = format!("last_over_time(container_last_seen{{instance=~{:?}}}[1h])", nodes.join("|"));
    // A failure here leaves out what is doubtful anyway; the reading of the same series has said why.
    let seen = Reading::ask(engine, &[("silent", &query)], now).await;
    for (labels, value) in seen.of("silent") {
        let Some(id) = labels.get("id").and_then(container_id) else { continue };
        if found.contains_key(id) {
            continue;
        }
        describe(found, labels);
        if let Some(one) = found.get_mut(id) {
            one.seen = Some(reading::instant(*value));
            one.facts.silent = true;
        }
    }
}

/// When containers that ended badly were last seen to run: an end of yesterday needs nobody today.
async fn add_ends(engine: &Engine, now: Timestamp, found: &mut Found) {
    let ended = |one: &&Container| one.seen.is_none() && need::ended_badly(one);
    let ids: Vec<&str> = found.values().filter(ended).take(MOST_ENDED).map(|one| one.id.as_str()).collect();
    if ids.is_empty() {
        return;
    }
    let query = format!("last_over_time(container_last_seen{{id=~\".*({}).*\"}}[1h])", ids.join("|"));
    let seen = Reading::ask(engine, &[("ends", &query)], now).await;
    values(&seen, "ends", found, |one, value| one.seen = Some(reading::instant(value)));
}

/// The id in a cgroup path (or an id as it is): the last 64 hexadecimal digits in a row.
fn container_id(path: &str) -> Option<&str> {
    let mut rest = path;
    while rest.len() >= 64 {
        let part = rest.rsplit(|c: char| !c.is_ascii_hexdigit()).next().unwrap_or_default();
        if part.len() == 64 {
            return Some(part);
        }
        let keep = rest.len().checked_sub(part.len() + 1)?;
        rest = rest.get(..keep)?;
    }
    None
}

#[cfg(test)]
mod tests;
