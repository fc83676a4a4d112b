//! A group of rules, evaluated at a time.
//!
//! In: the instant. Out: samples in the store, alert states in the state store, alerts at the notifiers. The rules of
//! a group run one after the other, so that a later one sees what an earlier one wrote.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;
use yagura_model::{Labels, Timestamp, metric::stale_nan};

use super::{
    Environment,
    alert::{Alert, Alerts, Change, Found, Hold, State},
    expand, expression,
    file::{self, Alerting, Kind, MissingData, Rule},
};
use crate::{
    notifiers::{Incoming, message::fingerprint},
    presence::Freshness,
    series::{self, NewSample},
};

/// Where alert states are kept.
pub(super) const AREA: &str = "alerts";

/// How a rule's last evaluation went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It was not evaluated yet.
    #[default]
    Unknown,
    /// Well.
    Good,
    /// It failed.
    Bad,
}

impl Health {
    /// The word of Prometheus' API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Good => "ok",
            Self::Bad => "err",
        }
    }
}

/// A group and where its rules stand.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) spec: file::Group,
    pub(super) interval: Duration,
    pub(super) rules: Vec<RuleState>,
    pub(super) last_evaluation: Option<Timestamp>,
    pub(super) evaluation_time: Duration,
}

/// A rule and where it stands.
#[derive(Debug)]
pub(super) struct RuleState {
    pub(super) rule: Rule,
    pub(super) alerts: Alerts,
    /// Alerts known from before the restart that were not seen since.
    restored: HashSet<Labels>,
    /// What the last evaluation wrote; what is missing next time has ended.
    written: HashSet<Labels>,
    /// It asks for `up`, which is about silence itself and not to be held because of it.
    reads_up: bool,
    pub(super) health: Health,
    pub(super) last_error: Option<String>,
    pub(super) last_evaluation: Option<Timestamp>,
    pub(super) evaluation_time: Duration,
}

/// An alert's change, as history tells it.
#[derive(Debug, Serialize)]
struct Told<'a> {
    at: Timestamp,
    group: &'a str,
    rule: &'a str,
    from: State,
    to: State,
    labels: &'a Labels,
    annotations: &'a BTreeMap<String, String>,
    value: String,
    active_at: Timestamp,
}

impl Group {
    pub(super) fn new(spec: file::Group, interval: Duration) -> Self {
        let rules = spec.rules.iter().map(|rule| RuleState::new(rule.clone())).collect();
        Self { spec, interval, rules, last_evaluation: None, evaluation_time: Duration::ZERO }
    }

    /// Evaluates every rule.
    pub(super) async fn evaluate(&mut self, at: Timestamp, environment: &Environment) {
        let began = Instant::now();
        for rule in &mut self.rules {
            let began = Instant::now();
            let result = match rule.rule.kind.clone() {
                Kind::Recording => rule.record(&self.spec, at, environment).await,
                Kind::Alerting(alerting) => rule.alert(&alerting, &self.spec, self.interval, at, environment).await,
            };
            environment.metrics.evaluated(&self.spec.name, result.is_ok());
            rule.health = if result.is_ok() { Health::Good } else { Health::Bad };
            let error = result.err();
            // The same fault again is counted, not told again.
            if let Some(error) = error.as_ref().filter(|error| rule.last_error.as_ref() != Some(error)) {
                tracing::warn!(group = self.spec.name, rule = rule.rule.name, error, "a rule could not be evaluated");
            }
            rule.last_error = error;
            rule.last_evaluation = Some(at);
            rule.evaluation_time = began.elapsed();
        }
        self.last_evaluation = Some(at);
        self.evaluation_time = began.elapsed();
    }
}

impl RuleState {
    fn new(rule: Rule) -> Self {
        Self {
            reads_up: expression::names(&rule.expr, "up"),
            rule,
            alerts: Alerts::default(),
            restored: HashSet::new(),
            written: HashSet::new(),
            health: Health::Unknown,
            last_error: None,
            last_evaluation: None,
            evaluation_time: Duration::ZERO,
        }
    }

    /// What tells this rule's alerts from those of others in the state store.
    pub(super) fn key(&self, group: &str) -> String {
        let labels = self.rule.labels.iter().map(|(name, text)| (name.as_str(), text.source.as_str()));
        format!("{group}\n{}\n{:016x}", self.rule.name, fingerprint(&Labels::from_pairs(labels)))
    }

    /// Takes back what was known before a restart.
    pub(super) fn restore(&mut self, alert: Alert) {
        self.restored.insert(alert.labels.clone());
        self.alerts.held.insert(alert.labels.clone(), alert);
        // Its series may have to end: the store holds them, we must know them.
        let samples = self.alerts.samples(Timestamp(0));
        self.written = samples.into_iter().map(|sample| sample.labels).collect();
    }

    async fn record(&mut self, group: &file::Group, at: Timestamp, environment: &Environment) -> Result<(), String> {
        let time = at.minus(group.query_offset);
        let found = environment.queries.ask(group.language, &self.rule.expr, time).await?;
        if group.limit > 0 && found.len() > group.limit {
            return Err(format!("exceeded limit of {} with {} series", group.limit, found.len()));
        }
        let mut samples = Vec::with_capacity(found.len());
        let mut seen = HashSet::with_capacity(found.len());
        for sample in found {
            let labels = expand::recorded(&self.rule.name, &self.rule.labels, &sample.labels);
            if !seen.insert(labels.clone()) {
                return Err("vector contains metrics with the same labelset after applying rule labels".to_owned());
            }
            samples.push(NewSample { labels, time, value: sample.value });
        }
        self.write(samples, time, at, environment).await
    }

    async fn alert(
        &mut self,
        alerting: &Alerting,
        group: &file::Group,
        interval: Duration,
        at: Timestamp,
        environment: &Environment,
    ) -> Result<(), String> {
        let time = at.minus(group.query_offset);
        let found = self.found(alerting, group, time, environment).await?;
        for found in &found {
            self.restored.remove(&found.labels);
        }
        let grace = crate::presence::GRACE.max(interval * 2);
        if at.since(environment.started) >= grace {
            self.restored.clear();
        }
        let keeps = alerting.missing_data != MissingData::Resolve;
        let present = match &alerting.data {
            Some(data) if (keeps && !self.alerts.held.is_empty()) || !self.restored.is_empty() => {
                Some(self.present(data, group, time, environment).await?)
            }
            _ => None,
        };
        let hold = |labels: &Labels| {
            let seen = present.as_ref().map(|present| present.contains(labels));
            // After a restart data need time to come; until they do, what was known stands.
            if self.restored.contains(labels) && seen != Some(true) {
                return Hold::Missing;
            }
            if keeps && seen == Some(false) {
                return Hold::Missing;
            }
            if self.reads_up {
                return Hold::Not;
            }
            match environment.presence.freshness(labels, at) {
                Freshness::Silent => Hold::Missing,
                Freshness::Behind => Hold::Late,
                Freshness::Unknown | Freshness::Current => Hold::Not,
            }
        };
        let (changes, result) = self.alerts.update(alerting, group.limit, found, at, hold);
        self.keep(&changes, group, at, environment).await;
        environment.notifier.put(self.incoming(&changes, environment), at);
        let samples = self.alerts.samples(time);
        self.write(samples, time, at, environment).await?;
        result
    }

    /// What the expression finds, with labels and annotations written out.
    async fn found(
        &self,
        alerting: &Alerting,
        group: &file::Group,
        time: Timestamp,
        environment: &Environment,
    ) -> Result<Vec<Found>, String> {
        let mut samples = environment.queries.ask(group.language, &self.rule.expr, time).await?;
        if alerting.missing_data == MissingData::Fire && samples.is_empty() {
            let data = alerting.data.as_ref().unwrap_or(&self.rule.expr);
            if environment.queries.ask(group.language, data, time).await?.is_empty() {
                let labels = Labels::empty();
                samples.push(crate::query::promql::VectorSample { labels, time, value: f64::NAN });
            }
        }
        let mut found = Vec::with_capacity(samples.len());
        let mut seen = HashSet::with_capacity(samples.len());
        for sample in &samples {
            let one = expand::found(
                &self.rule.name,
                &self.rule.labels,
                &alerting.annotations,
                sample,
                &environment.surroundings,
                &environment.queries,
                time,
            )
            .await;
            if !seen.insert(one.labels.clone()) {
                return Err("vector contains metrics with the same labelset after applying alert labels".to_owned());
            }
            found.push(one);
        }
        Ok(found)
    }

    /// Labels of the alerts whose data are there, whether the condition holds or not.
    async fn present(
        &self,
        data: &str,
        group: &file::Group,
        time: Timestamp,
        environment: &Environment,
    ) -> Result<HashSet<Labels>, String> {
        let samples = environment.queries.ask(group.language, data, time).await?;
        let mut present = HashSet::with_capacity(samples.len());
        for sample in &samples {
            let surroundings = &environment.surroundings;
            let queries = &environment.queries;
            let found =
                expand::found(&self.rule.name, &self.rule.labels, &[], sample, surroundings, queries, time).await;
            present.insert(found.labels);
        }
        Ok(present)
    }

    /// Writes changes down before anybody is told.
    async fn keep(&mut self, changes: &[Change], group: &file::Group, at: Timestamp, environment: &Environment) {
        let forgotten = std::mem::take(&mut self.alerts.forgotten);
        if changes.is_empty() && forgotten.is_empty() {
            return;
        }
        let key = self.key(&group.name);
        let id = |labels: &Labels| format!("{key}\n{:016x}", fingerprint(labels));
        let mut writes: Vec<_> = forgotten.iter().map(|labels| (id(labels), None)).collect();
        let mut told = Vec::with_capacity(changes.len());
        for Change { from, to, alert } in changes {
            let gone = *to == State::Inactive && alert.resolved_at.is_none();
            let bytes = if gone { None } else { serde_json::to_vec(alert).ok() };
            writes.push((id(&alert.labels), bytes));
            told.push(Told {
                at,
                group: &group.name,
                rule: &self.rule.name,
                from: *from,
                to: *to,
                labels: &alert.labels,
                annotations: &alert.annotations,
                value: alert.value.to_string(),
                active_at: alert.active_at,
            });
        }
        if let Err(error) = environment.state.write(AREA, writes).await {
            tracing::warn!(%error, "alert states could not be written down; a restart now would forget them");
        }
        if let Err(error) = environment.history.add(at, &told).await {
            tracing::warn!(%error, "the history of alerts could not be written");
        }
    }

    /// Alerts that fire, and those that just ended.
    fn incoming(&self, changes: &[Change], environment: &Environment) -> Vec<Incoming> {
        let firing = self.alerts.active().filter(|alert| alert.state == State::Firing);
        let ended = changes.iter().map(|change| &change.alert).filter(|alert| alert.resolved_at.is_some());
        firing.chain(ended).map(|alert| incoming(alert, &self.rule.expr, environment)).collect()
    }

    /// Stores samples, and ends the series that the last evaluation wrote and this one did not.
    async fn write(
        &mut self,
        mut samples: Vec<NewSample>,
        time: Timestamp,
        at: Timestamp,
        environment: &Environment,
    ) -> Result<(), String> {
        let current: HashSet<Labels> = samples.iter().map(|sample| sample.labels.clone()).collect();
        let ended = self.written.difference(&current).cloned();
        samples.extend(ended.map(|labels| NewSample { labels, time, value: stale_nan() }));
        if !samples.is_empty() {
            let appended = series::append(&*environment.store, &samples, super::METRICS, at).await;
            let appended = appended.map_err(|error| format!("its series could not be stored: {error}"))?;
            if let Some(rejected) = appended.rejected.first() {
                let (count, reason) = (rejected.count, rejected.reason.as_str());
                tracing::warn!(rule = self.rule.name, count, reason, example = rejected.example, "series were refused");
            }
        }
        self.written = current;
        Ok(())
    }
}

/// An alert as the notifiers take it.
pub(super) fn incoming(alert: &Alert, expr: &str, environment: &Environment) -> Incoming {
    let mut labels = environment.surroundings.external_labels.to_builder();
    for (name, value) in alert.labels.iter() {
        labels.set(name, value);
    }
    let expr = super::template::query_escape(expr);
    Incoming {
        labels: labels.build(),
        annotations: alert.annotations.clone(),
        starts_at: alert.fired_at.unwrap_or(alert.active_at),
        ends_at: alert.resolved_at,
        generator_url: format!("{}/graph?g0.expr={expr}&g0.tab=1", environment.surroundings.external_url),
    }
}
