//! `GET /api/agents`: the latest word of each agent about itself, and how old it is.
//!
//! An agent ships its status as a log record every 30 s and on change (see [`STATUS_EVENT`]), so there is nothing to
//! ask the agents for and nothing to keep here: the answer is read from the log store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Router, extract::State, response::Response, routing::get};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;
use yagura_model::{Labels, Timestamp};

use super::answer;
use crate::storage::{Direction, Error, LogSelection, LogStore, MatchOp, Matcher};

/// The value of the field `event` of a record that carries an agent's status.
pub const STATUS_EVENT: &str = "yagura.agent.status";

/// Agents that were heard of within this time are listed, silent ones too.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// An agent reports every 30 s; after two reports missed (and some delay) it is called silent.
const SILENT_AFTER: Duration = Duration::from_secs(75);

/// A status is a few kilobytes; the newest of a stream is found long before this much is read.
const MAX_BYTES: u64 = 64 << 20;

/// All agents, as they are answered.
#[derive(Clone, Debug, Serialize)]
pub struct Agents {
    /// When this was put together.
    pub at: Timestamp,
    /// By node.
    pub agents: Vec<Agent>,
}

/// One agent.
#[derive(Clone, Debug, Serialize)]
pub struct Agent {
    /// The node it runs on.
    pub node: String,
    /// When it last reported.
    pub seen: Timestamp,
    /// How long ago that was, by the collector's clock.
    pub age_seconds: f64,
    /// In one word.
    pub state: AgentState,
    /// What it reported, as it did.
    pub status: Value,
}

/// An agent's state in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentState {
    /// It reports, and all its sources work.
    Ok,
    /// It reports that a source is missing or works in part.
    Degraded,
    /// It has not reported for a while.
    Silent,
}

/// `GET /agents`.
pub fn router(logs: Arc<dyn LogStore>) -> Router {
    Router::new().route("/agents", get(list)).with_state(logs)
}

async fn list(State(logs): State<Arc<dyn LogStore>>, request: HeaderMap) -> Response {
    match latest(&*logs, yagura_daemon::clock::now()).await {
        Ok(agents) => answer::json(&request, &agents),
        Err(error) => answer::failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &error.to_string()),
    }
}

/// The newest status of every agent that reported within the last day.
pub async fn latest(logs: &dyn LogStore, now: Timestamp) -> Result<Agents, Error> {
    let range = now.minus(REMEMBERED).to_nanos()..now.plus(Duration::from_secs(600)).to_nanos();
    let of_agents = vec![equal("service", "yagura-agent")];
    let mut agents: BTreeMap<String, Agent> = BTreeMap::new();
    for stream in logs.streams(of_agents, range.clone()).await? {
        let selection = LogSelection {
            matchers: exactly(&stream.labels),
            filters: Vec::new(),
            severities: Vec::new(),
            fields: vec![equal("event", STATUS_EVENT)],
            range: range.clone(),
            direction: Direction::Backward,
            limit: 1,
            max_bytes: MAX_BYTES,
        };
        for record in logs.select(selection).await? {
            let Ok(status) = serde_json::from_str::<Value>(&record.line) else { continue };
            let Some(agent) = judge(&record.labels, record.time.to_timestamp(), status, now) else { continue };
            let newer = agents.get(&agent.node).is_none_or(|held| held.seen < agent.seen);
            if newer {
                agents.insert(agent.node.clone(), agent);
            }
        }
    }
    Ok(Agents { at: now, agents: agents.into_values().collect() })
}

/// An agent from its report; `None` when it does not say which node it is on.
fn judge(labels: &Labels, seen: Timestamp, status: Value, now: Timestamp) -> Option<Agent> {
    let node = status.get("node").and_then(Value::as_str).or_else(|| labels.get("node"))?.to_owned();
    let age = now.since(seen);
    let sources = status.get("sources").and_then(Value::as_array);
    let all_well = sources
        .is_none_or(|sources| sources.iter().all(|source| source.get("state").and_then(Value::as_str) == Some("ok")));
    let state = match (age > SILENT_AFTER, all_well) {
        (true, _) => AgentState::Silent,
        (false, true) => AgentState::Ok,
        (false, false) => AgentState::Degraded,
    };
    Some(Agent { node, seen, age_seconds: age.as_secs_f64(), state, status })
}

fn equal(name: &str, value: &str) -> Matcher {
    Matcher { name: name.to_owned(), op: MatchOp::Equal, value: value.to_owned(), regex: None }
}

fn exactly(labels: &Labels) -> Vec<Matcher> {
    labels.iter().map(|(name, value)| equal(name, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(age_ms: i64, source: &str) -> AgentState {
        let status = serde_json::json!({"node": "n1", "sources": [{"name": "host", "state": source}]});
        judge(&Labels::empty(), Timestamp(1_000_000 - age_ms), status, Timestamp(1_000_000)).unwrap().state
    }

    #[test]
    fn an_agent_is_judged_by_its_age_first_and_then_by_its_sources() {
        assert_eq!(state(0, "ok"), AgentState::Ok);
        assert_eq!(state(75_000, "degraded"), AgentState::Degraded);
        assert_eq!(state(75_000, "missing"), AgentState::Degraded);
        assert_eq!(state(75_001, "ok"), AgentState::Silent);
    }

    #[test]
    fn a_report_without_a_node_is_placed_by_its_stream_or_not_at_all() {
        let labels = Labels::from_pairs([("node", "n2")]);
        let now = Timestamp(0);
        assert_eq!(judge(&labels, now, serde_json::json!({}), now).unwrap().node, "n2");
        assert!(judge(&Labels::empty(), now, serde_json::json!({}), now).is_none());
    }
}
