//! What docker says of its containers' state, as series.

use std::sync::Arc;

use yagura_model::{Kind, Metric, Timestamp};

use crate::{
    inventory::{Container, Health, Inventory, State},
    series::{ScopeId, Table},
};

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help }
}

const INFO: Metric = gauge("yagura_container_info", "", "Compose project and published ports; always 1.");
const STATE: Metric = gauge("yagura_container_state", "", "1 for the state it is in, in docker's words.");
const HEALTH: Metric = gauge("yagura_container_health", "", "1 for what its health check says, in docker's words.");
const RESTARTS: Metric = Metric {
    name: "yagura_container_restarts_total",
    kind: Kind::Counter,
    unit: "",
    help: "How often docker started it again by its restart policy.",
};
const EXIT_CODE: Metric = gauge("yagura_container_exit_code", "", "The code it exited with, when it has.");
const OOM_KILLED: Metric = gauge("yagura_container_oom_killed", "", "Whether its last run ran out of memory.");
const START_TIME: Metric = gauge("yagura_container_start_time_seconds", "s", "When it was last started.");

/// Every metric this source can emit.
pub const METRICS: &[Metric] = &[INFO, STATE, HEALTH, RESTARTS, EXIT_CODE, OOM_KILLED, START_TIME];

/// Writes the state of all containers of the inventory into a table, scrape after scrape.
#[derive(Debug, Default)]
pub struct Reporter {
    known: Vec<(Arc<Container>, ScopeId)>,
}

impl Reporter {
    /// One scrape. Without a daemon (`is_connected`) nothing is known, so every series ends.
    pub fn scrape(&mut self, now: Timestamp, inventory: &Inventory, is_connected: bool, table: &mut Table) -> usize {
        table.begin(now);
        let mut containers = if is_connected { inventory.all() } else { Vec::new() };
        containers.retain(|container| container.pod.is_none() && !container.skip.metrics);
        containers.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        let mut before = std::mem::take(&mut self.known);
        for container in containers {
            let place = before.iter().position(|(known, _)| has_same_labels(known, &container));
            let scope = place.map(|place| before.swap_remove(place).1).unwrap_or_else(|| {
                let labels = [("id", container.id.as_str()), ("name", &container.name), ("image", &container.image)];
                table.add_scope(&labels, &container.tags, container.started.unwrap_or(now))
            });
            write(&container, scope, table);
            self.known.push((container, scope));
        }
        for (_, scope) in before {
            table.remove_scope(scope);
        }
        table.finish();
        self.known.len()
    }
}

fn has_same_labels(one: &Container, other: &Container) -> bool {
    one.id == other.id && one.name == other.name && one.image == other.image && one.tags == other.tags
}

fn write(container: &Container, scope: ScopeId, table: &mut Table) {
    let project = crate::tags::labels::get(&container.labels, "com.docker.compose.project").unwrap_or_default();
    let ports = container.ports.join(", ");
    let labels = [("compose_project", project), ("ports", &*ports)];
    let labels: Vec<_> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    table.sample(scope, &INFO, &labels, 1_i64);
    table.sample(scope, &STATE, &[("state", word(container.state))], 1_i64);
    if let Some(health) = container.health {
        let status = match health {
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        };
        table.sample(scope, &HEALTH, &[("status", status)], 1_i64);
    }
    table.sample(scope, &RESTARTS, &[], container.restarts);
    if let Some(code) = container.exit_code {
        table.sample(scope, &EXIT_CODE, &[], code);
    }
    table.sample(scope, &OOM_KILLED, &[], i64::from(container.oom_killed));
    if let Some(started) = container.started {
        table.sample(scope, &START_TIME, &[], started.seconds());
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Created => "created",
        State::Running => "running",
        State::Paused => "paused",
        State::Restarting => "restarting",
        State::Exited => "exited",
        State::Dead => "dead",
    }
}
