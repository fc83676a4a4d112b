//! Rules: questions asked again and again, whose answers become new series or alerts.
//!
//! In: rule files ([`mod@file`]) and the time. Out: recorded series and `ALERTS` in the store, alerts at the notifiers,
//! and what the APIs show ([`Manager::groups`]). The meaning is Prometheus'; what we add is that missing data are no
//! reason to call an alert over, and late data none to begin one (see [`alert`]).
//!
//! * `file` reads, `expression` looks into expressions, `template` and `expand` write texts;
//! * `alert` holds the states of one rule's alerts, `group` evaluates a group at a time;
//! * here: when each group is evaluated, and what is taken back after a restart.

pub mod alert;
mod expand;
mod expression;
pub mod file;
mod group;
pub mod query;
pub mod shipped;
pub mod template;
mod view;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use yagura_daemon::clock;
use yagura_model::{Kind, Labels, Metric, Timestamp};

use self::{
    alert::Alert,
    expand::Surroundings,
    group::{AREA, Group},
    query::Queries,
};
use crate::{
    history::History,
    notifiers::Notifier,
    presence::Presence,
    storage::{self, MetricStore, StateStore},
};

pub use group::Health;
pub use view::{GroupView, RuleView, RuleViewKind};

/// What rules write by themselves, beside what their files name.
pub const METRICS: &[Metric] = &[
    Metric { name: "ALERTS", kind: Kind::Gauge, unit: "", help: "1 while an alert is pending or firing." },
    Metric {
        name: "ALERTS_FOR_STATE",
        kind: Kind::Gauge,
        unit: "s",
        help: "When the condition of an alert began to hold, in Unix time.",
    },
];

/// Groups evaluated at once. Queries are the load; more at once do not end earlier on a small machine.
const CONCURRENT: usize = 4;
/// Where changes of alerts are kept, and how many.
const HISTORY_AREA: &str = "alerts.history";
const MAX_HISTORY: usize = 5000;

/// What the manager needs.
#[derive(Debug)]
pub struct Settings {
    /// The groups to evaluate.
    pub groups: Vec<file::Group>,
    /// The interval of groups that name none.
    pub interval: Duration,
    /// Labels on every alert that leaves.
    pub external_labels: Labels,
    /// How people reach the UI, without a slash at the end.
    pub external_url: String,
}

/// What rules reach the world through.
#[derive(Clone, Debug)]
pub struct Connections {
    /// Where questions go.
    pub queries: Queries,
    /// Where series go.
    pub store: Arc<dyn MetricStore>,
    /// Where states are kept.
    pub state: Arc<dyn StateStore>,
    /// Who tells people.
    pub notifier: Notifier,
    /// Who knows which agents are there.
    pub presence: Presence,
}

/// What a group needs while it is evaluated.
#[derive(Debug)]
struct Environment {
    queries: Queries,
    store: Arc<dyn MetricStore>,
    state: Arc<dyn StateStore>,
    notifier: Notifier,
    presence: Presence,
    history: History,
    surroundings: Surroundings,
    started: Timestamp,
    metrics: Metrics,
}

/// Counters of the rules.
#[derive(Clone, Debug, Default)]
struct Metrics {
    evaluations: Family<GroupLabels, Counter>,
    failures: Family<GroupLabels, Counter>,
    missed: Family<GroupLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabels {
    rule_group: String,
}

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("rule_evaluations", "Rules evaluated", metrics.evaluations.clone());
        registry.register("rule_evaluation_failures", "Rules that could not be evaluated", metrics.failures.clone());
        let help = "Evaluations of a group left out because the one before took too long";
        registry.register("rule_group_iterations_missed", help, metrics.missed.clone());
        metrics
    }

    fn evaluated(&self, group: &str, good: bool) {
        let labels = GroupLabels { rule_group: group.to_owned() };
        self.evaluations.get_or_create(&labels).inc();
        if !good {
            self.failures.get_or_create(&labels).inc();
        }
    }
}

/// Evaluates rules; cheap to clone.
#[derive(Clone, Debug)]
pub struct Manager(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    environment: Environment,
    /// What the APIs show of each group, as of its last evaluation.
    views: Vec<Mutex<GroupView>>,
    /// The groups themselves, until `run` takes them.
    groups: Mutex<Vec<Group>>,
}

impl Manager {
    /// Takes back the alerts of before a restart. Alerts whose rule is gone end.
    pub async fn open(
        settings: Settings,
        connections: Connections,
        registry: &mut Registry,
        now: Timestamp,
    ) -> Result<Self, storage::Error> {
        let metrics = Metrics::register(registry);
        let history = History::open(Arc::clone(&connections.state), HISTORY_AREA, MAX_HISTORY)?;
        let surroundings =
            Surroundings { external_labels: settings.external_labels, external_url: settings.external_url };
        let Connections { queries, store, state, notifier, presence } = connections;
        let environment =
            Environment { queries, store, state, notifier, presence, history, surroundings, started: now, metrics };
        let interval = |group: &file::Group| group.interval.unwrap_or(settings.interval);
        let mut groups: Vec<Group> =
            settings.groups.into_iter().map(|group| (interval(&group), group)).map(|(i, g)| Group::new(g, i)).collect();
        restore(&mut groups, &environment, now).await?;
        let views = groups.iter().map(|group| Mutex::new(view::of(group))).collect();
        Ok(Self(Arc::new(Inner { environment, views, groups: Mutex::new(groups) })))
    }

    /// Every group as it stood after its last evaluation.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupView> {
        let lock = |view: &Mutex<GroupView>| view.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.0.views.iter().map(lock).collect()
    }

    /// Changes of alerts, newest first.
    pub fn history(&self, limit: usize) -> Result<Vec<serde_json::Value>, storage::Error> {
        self.0.environment.history.newest(limit)
    }

    /// Evaluates every group at its interval until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let groups = std::mem::take(&mut *self.0.groups.lock().unwrap_or_else(PoisonError::into_inner));
        let permits = Arc::new(Semaphore::new(CONCURRENT));
        let mut tasks = tokio::task::JoinSet::new();
        for (place, group) in groups.into_iter().enumerate() {
            let (manager, permits, stop) = (self.clone(), Arc::clone(&permits), stop.clone());
            tasks.spawn(async move { manager.repeat(place, group, &permits, &stop).await });
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a group of rules ended and is not evaluated any more");
            }
        }
    }

    async fn repeat(&self, place: usize, mut group: Group, permits: &Semaphore, stop: &CancellationToken) {
        let environment = &self.0.environment;
        let phase = phase(&group);
        let mut slot = next_slot(clock::now(), group.interval, phase);
        loop {
            let wait = slot.since(clock::now());
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
            let Some(Ok(permit)) = stop.run_until_cancelled(permits.acquire()).await else { return };
            // An evaluation is not cut off: what it wrote and what it told must agree.
            group.evaluate(slot, environment).await;
            drop(permit);
            if let Some(view) = self.0.views.get(place) {
                *view.lock().unwrap_or_else(PoisonError::into_inner) = view::of(&group);
            }
            let next = slot.plus(group.interval);
            let now = clock::now();
            // Also when the clock was set back: then the next slot is far away.
            slot = if next <= now || next.since(now) > group.interval * 2 {
                next_slot(now, group.interval, phase)
            } else {
                next
            };
            let missed = slot.since(next).as_millis() / group.interval.as_millis().max(1);
            if missed > 0 {
                let labels = GroupLabels { rule_group: group.spec.name.clone() };
                environment.metrics.missed.get_or_create(&labels).inc_by(u64::try_from(missed).unwrap_or(u64::MAX));
            }
        }
    }
}

/// When within its interval a group is evaluated: by a hash of its name, so that groups do not run all at once and
/// each runs at the same instants after a restart.
fn phase(group: &Group) -> i64 {
    let name = format!("{}\n{}", group.spec.file, group.spec.name);
    let interval = millis(group.interval);
    i64::try_from(xxhash_rust::xxh3::xxh3_64(name.as_bytes()) >> 1).unwrap_or(0).rem_euclid(interval)
}

/// The first instant of a group after `now`.
fn next_slot(now: Timestamp, interval: Duration, phase: i64) -> Timestamp {
    let interval = millis(interval);
    let past = (now.0 - phase).rem_euclid(interval);
    Timestamp(now.0 - past + interval)
}

fn millis(interval: Duration) -> i64 {
    i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// Gives each rule its alerts back; ends those that no rule claims.
async fn restore(groups: &mut [Group], environment: &Environment, now: Timestamp) -> Result<(), storage::Error> {
    let mut stored: HashMap<String, Vec<(String, Alert)>> = HashMap::new();
    let mut gone = Vec::new();
    for (key, bytes) in environment.state.list(AREA)? {
        match (key.rsplit_once('\n'), serde_json::from_slice(&bytes)) {
            (Some((rule, _)), Ok(alert)) => stored.entry(rule.to_owned()).or_default().push((key, alert)),
            _ => gone.push((key, None)),
        }
    }
    if !gone.is_empty() {
        tracing::warn!(alerts = gone.len(), "alert states were damaged and are set aside");
    }
    let mut told = Vec::new();
    for group in groups {
        for rule in &mut group.rules {
            for (key, alert) in stored.remove(&rule.key(&group.spec.name)).unwrap_or_default() {
                let old = alert.resolved_at.is_some_and(|at| now.since(at) > alert::REMEMBER_RESOLVED);
                if old {
                    gone.push((key, None));
                    continue;
                }
                if alert.fired_at.is_some() {
                    told.push(group::incoming(&alert, &rule.rule.expr, environment));
                }
                rule.restore(alert);
            }
        }
    }
    for (key, mut alert) in stored.into_values().flatten() {
        alert.resolved_at.get_or_insert(now);
        if alert.fired_at.is_some() {
            told.push(group::incoming(&alert, "", environment));
        }
        gone.push((key, None));
    }
    environment.notifier.put(told, now);
    if !gone.is_empty() {
        environment.state.write(AREA, gone).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
