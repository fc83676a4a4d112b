//! The alerts of one rule: inactive, pending, firing.
//!
//! In: what the rule's expression found at an instant. Out: the alerts as they stand, and what changed. The meaning is
//! that of Prometheus' `rules/alerting.go`, and one thing more: an alert whose data are missing, or whose agent is
//! catching up, is held as it is ([`Hold`]), because no data is neither good news nor bad.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use yagura_model::{Labels, Timestamp, labels::NAME};

use super::file::Alerting;
use crate::series::NewSample;

/// An ended alert is remembered this long, so that a restart in between does not lose the news.
pub(super) const REMEMBER_RESOLVED: Duration = Duration::from_secs(15 * 60);

/// How an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The condition does not hold.
    Inactive,
    /// The condition holds, not yet for long enough.
    Pending,
    /// People are told.
    Firing,
}

impl State {
    /// The word of Prometheus' API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Who it is, `alertname` included.
    pub labels: Labels,
    /// What people are told.
    pub annotations: BTreeMap<String, String>,
    /// How it stands.
    pub state: State,
    /// The expression's value when it last held.
    #[serde(with = "value_text")]
    pub value: f64,
    /// Since when the condition holds.
    pub active_at: Timestamp,
    /// Since when it fires.
    pub fired_at: Option<Timestamp>,
    /// When it ended.
    pub resolved_at: Option<Timestamp>,
    /// Since when only `keep_firing_for` keeps it firing.
    pub keep_firing_since: Option<Timestamp>,
    /// Since when its data are missing.
    pub missing_since: Option<Timestamp>,
}

/// Numbers as text, because JSON has no infinities.
mod value_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What the expression found, with templates written out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) labels: Labels,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// Why an alert is not treated as Prometheus would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// No reason.
    Not,
    /// Its data are missing: firing goes on.
    Missing,
    /// Its agent is catching up: what is seen is not the present, so firing neither begins nor ends.
    Late,
}

/// An alert that changed its state.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) alert: Alert,
}

/// The alerts of one rule, by their labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Alerts {
    pub(super) held: BTreeMap<Labels, Alert>,
    /// Ended long enough ago; still to be removed from the state store.
    pub(super) forgotten: Vec<Labels>,
}

impl Alerts {
    /// Takes in what was found at `at`.
    ///
    /// Fails when the rule's limit is exceeded; then every alert has ended.
    pub(super) fn update(
        &mut self,
        rule: &Alerting,
        limit: usize,
        found: Vec<Found>,
        at: Timestamp,
        hold: impl Fn(&Labels) -> Hold,
    ) -> (Vec<Change>, Result<(), String>) {
        let mut changes = Vec::new();
        let mut absent: Vec<Labels> = self.held.keys().cloned().collect();
        for found in found {
            absent.retain(|labels| *labels != found.labels);
            self.present(found, at, &mut changes);
        }
        for labels in absent {
            let hold = hold(&labels);
            self.absent(&labels, rule, at, hold, &mut changes);
        }
        for alert in self.held.values_mut() {
            let ripe = alert.state == State::Pending && at.since(alert.active_at) >= rule.hold;
            if ripe && alert.missing_since.is_none() && hold(&alert.labels) != Hold::Late {
                alert.fired_at = Some(at);
                alert.state = State::Firing;
                changes.push(Change { from: State::Pending, to: State::Firing, alert: alert.clone() });
            }
        }
        let active = self.active().count();
        if limit > 0 && active > limit {
            self.end_all(at, &mut changes);
            return (changes, Err(format!("exceeded limit of {limit} with {active} alerts")));
        }
        (changes, Ok(()))
    }

    fn present(&mut self, found: Found, at: Timestamp, changes: &mut Vec<Change>) {
        if let Some(alert) = self.held.get_mut(&found.labels)
            && alert.state != State::Inactive
        {
            alert.value = found.value;
            alert.annotations = found.annotations;
            alert.keep_firing_since = None;
            alert.missing_since = None;
            return;
        }
        let alert = Alert {
            labels: found.labels.clone(),
            annotations: found.annotations,
            state: State::Pending,
            value: found.value,
            active_at: at,
            fired_at: None,
            resolved_at: None,
            keep_firing_since: None,
            missing_since: None,
        };
        changes.push(Change { from: State::Inactive, to: State::Pending, alert: alert.clone() });
        self.held.insert(found.labels, alert);
    }

    fn absent(&mut self, labels: &Labels, rule: &Alerting, at: Timestamp, hold: Hold, changes: &mut Vec<Change>) {
        let Some(alert) = self.held.get_mut(labels) else { return };
        match alert.state {
            State::Inactive => {
                if alert.resolved_at.is_none_or(|resolved| at.since(resolved) > REMEMBER_RESOLVED) {
                    self.held.remove(labels);
                    self.forgotten.push(labels.clone());
                }
            }
            State::Pending => {
                alert.state = State::Inactive;
                changes.push(Change { from: State::Pending, to: State::Inactive, alert: alert.clone() });
                self.held.remove(labels);
            }
            State::Firing if hold != Hold::Not => {
                alert.missing_since.get_or_insert(at);
            }
            State::Firing => {
                alert.missing_since = None;
                if !rule.keep_firing_for.is_zero() {
                    let since = *alert.keep_firing_since.get_or_insert(at);
                    if at.since(since) < rule.keep_firing_for {
                        return;
                    }
                }
                end(alert, at, changes);
            }
        }
    }

    /// Ends every alert: its rule is gone or broken its limit.
    pub(super) fn end_all(&mut self, at: Timestamp, changes: &mut Vec<Change>) {
        for alert in self.held.values_mut() {
            end(alert, at, changes);
        }
        self.held.retain(|_, alert| alert.resolved_at.is_some());
    }

    /// Pending and firing alerts.
    pub(super) fn active(&self) -> impl Iterator<Item = &Alert> {
        self.held.values().filter(|alert| alert.state != State::Inactive)
    }

    /// The worst state of all.
    pub(super) fn state(&self) -> State {
        self.held.values().map(|alert| alert.state).max().unwrap_or(State::Inactive)
    }

    /// `ALERTS` and `ALERTS_FOR_STATE`.
    pub(super) fn samples(&self, at: Timestamp) -> Vec<NewSample> {
        let mut samples = Vec::new();
        for alert in self.active() {
            let mut labels = alert.labels.to_builder();
            labels.set(NAME, "ALERTS_FOR_STATE");
            #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch are exact in a float")]
            let since = alert.active_at.0.div_euclid(1000) as f64;
            samples.push(NewSample { labels: labels.clone().build(), time: at, value: since });
            labels.set(NAME, "ALERTS").set("alertstate", alert.state.as_str());
            samples.push(NewSample { labels: labels.build(), time: at, value: 1.0 });
        }
        samples
    }
}

fn end(alert: &mut Alert, at: Timestamp, changes: &mut Vec<Change>) {
    let from = alert.state;
    if from == State::Inactive {
        return;
    }
    alert.state = State::Inactive;
    alert.resolved_at = (from == State::Firing).then_some(at);
    changes.push(Change { from, to: State::Inactive, alert: alert.clone() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file::MissingData;

    fn rule(hold: u64, keep: u64) -> Alerting {
        Alerting {
            hold: Duration::from_secs(hold),
            keep_firing_for: Duration::from_secs(keep),
            annotations: Vec::new(),
            missing_data: MissingData::Resolve,
            data: None,
        }
    }

    fn found(name: &str) -> Found {
        Found { labels: Labels::from_pairs([("alertname", name)]), annotations: BTreeMap::new(), value: 1.0 }
    }

    /// Runs a script: each step is a time in seconds, whether the condition holds, and why it is held. The answer is
    /// the state after each step.
    #[track_caller]
    fn check(rule: &Alerting, steps: &[(i64, bool, Hold)], expected: &str) {
        let mut alerts = Alerts::default();
        let mut states = Vec::new();
        for (time, holds, hold) in steps {
            let found = if *holds { vec![found("A")] } else { Vec::new() };
            let (_, result) = alerts.update(rule, 0, found, Timestamp(time * 1000), |_| *hold);
            assert_eq!(result, Ok(()));
            states.push(alerts.state().as_str());
        }
        assert_eq!(states.join(" "), expected);
    }

    #[test]
    fn an_alert_without_for_fires_at_once() {
        check(&rule(0, 0), &[(0, true, Hold::Not), (10, false, Hold::Not)], "firing inactive");
    }

    #[test]
    fn an_alert_fires_when_its_condition_held_for_long_enough() {
        let steps = [(0, true, Hold::Not), (9, true, Hold::Not), (10, true, Hold::Not), (20, false, Hold::Not)];
        check(&rule(10, 0), &steps, "pending pending firing inactive");
    }

    #[test]
    fn a_gap_starts_the_waiting_anew() {
        let steps = [
            (0, true, Hold::Not),
            (5, false, Hold::Not),
            (10, true, Hold::Not),
            (15, true, Hold::Not),
            (20, true, Hold::Not),
        ];
        check(&rule(10, 0), &steps, "pending inactive pending pending firing");
    }

    #[test]
    fn keep_firing_for_bridges_a_flapping_condition() {
        let steps = [
            (0, true, Hold::Not),
            (10, false, Hold::Not),
            (20, true, Hold::Not),
            (30, false, Hold::Not),
            (59, false, Hold::Not),
            (60, false, Hold::Not),
        ];
        check(&rule(0, 30), &steps, "firing firing firing firing firing inactive");
    }

    #[test]
    fn missing_data_keep_an_alert_firing_until_data_say_otherwise() {
        let steps =
            [(0, true, Hold::Not), (10, false, Hold::Missing), (9000, false, Hold::Missing), (9010, false, Hold::Not)];
        check(&rule(0, 0), &steps, "firing firing firing inactive");
    }

    #[test]
    fn missing_data_do_not_make_a_pending_alert_fire() {
        let steps = [(0, true, Hold::Not), (10, false, Hold::Missing), (20, false, Hold::Missing)];
        check(&rule(10, 0), &steps, "pending inactive inactive");
    }

    #[test]
    fn an_agent_that_catches_up_pages_nobody() {
        let steps = [(0, true, Hold::Late), (60, true, Hold::Late), (70, false, Hold::Not)];
        check(&rule(10, 0), &steps, "pending pending inactive");
        let steps = [(0, true, Hold::Late), (60, true, Hold::Not)];
        check(&rule(10, 0), &steps, "pending firing");
        let steps = [(0, true, Hold::Not), (60, false, Hold::Late), (70, true, Hold::Not)];
        check(&rule(0, 0), &steps, "firing firing firing");
    }

    #[test]
    fn each_change_is_told_once() {
        let mut alerts = Alerts::default();
        let rule = rule(0, 0);
        let mut step = |time, found: Vec<Found>| {
            let (changes, _) = alerts.update(&rule, 0, found, Timestamp(time), |_| Hold::Not);
            changes.iter().map(|change| (change.from.as_str(), change.to.as_str())).collect::<Vec<_>>()
        };
        assert_eq!(step(0, vec![found("A")]), [("inactive", "pending"), ("pending", "firing")]);
        assert_eq!(step(1, vec![found("A")]), []);
        assert_eq!(step(2, vec![]), [("firing", "inactive")]);
        assert_eq!(step(3, vec![]), []);
        assert_eq!(step(4, vec![found("A")]), [("inactive", "pending"), ("pending", "firing")]);
    }

    #[test]
    fn too_many_alerts_end_all_of_them() {
        let mut alerts = Alerts::default();
        let (_, result) = alerts.update(&rule(0, 0), 2, vec![found("A"), found("B")], Timestamp(0), |_| Hold::Not);
        assert_eq!(result, Ok(()));
        let three = vec![found("A"), found("B"), found("C")];
        let (changes, result) = alerts.update(&rule(0, 0), 2, three, Timestamp(1), |_| Hold::Not);
        assert_eq!(result, Err("exceeded limit of 2 with 3 alerts".to_owned()));
        assert_eq!(alerts.active().count(), 0);
        assert_eq!(changes.iter().filter(|change| change.to == State::Inactive).count(), 3);
    }

    #[test]
    fn alerts_are_written_as_prometheus_writes_them() {
        let mut alerts = Alerts::default();
        let (_, _) = alerts.update(&rule(10, 0), 0, vec![found("A")], Timestamp(61_234), |_| Hold::Not);
        let written: Vec<String> = alerts
            .samples(Timestamp(61_234))
            .iter()
            .map(|sample| format!("{} {}", sample.labels, sample.value))
            .collect();
        assert_eq!(
            written,
            [r#"ALERTS_FOR_STATE{alertname="A"} 61"#, r#"ALERTS{alertname="A", alertstate="pending"} 1"#]
        );
    }

    #[test]
    fn an_alert_survives_being_written_down() {
        let mut alerts = Alerts::default();
        let mut one = found("A");
        one.value = f64::INFINITY;
        let (changes, _) = alerts.update(&rule(0, 0), 0, vec![one], Timestamp(5), |_| Hold::Not);
        let alert = &changes.last().unwrap().alert;
        let text = serde_json::to_vec(alert).unwrap();
        assert_eq!(serde_json::from_slice::<Alert>(&text).unwrap(), *alert);
    }
}
