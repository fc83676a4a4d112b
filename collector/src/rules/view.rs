//! What the APIs show of groups and rules.

use std::time::Duration;

use yagura_model::Timestamp;

use super::{
    alert::{Alert, State},
    file::{Kind, Language, MissingData},
    group::{Group, Health, RuleState},
};

/// A group as of its last evaluation.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// How often it is evaluated.
    pub interval: Duration,
    /// The most alerts or series of a rule; 0 for no limit.
    pub limit: usize,
    /// What its expressions are written in.
    pub language: Language,
    /// How long the last evaluation took.
    pub evaluation_time: Duration,
    /// When it was.
    pub last_evaluation: Option<Timestamp>,
    /// Its rules, in order.
    pub rules: Vec<RuleView>,
}

/// A rule as of its last evaluation.
#[derive(Clone, Debug)]
pub struct RuleView {
    /// Its name.
    pub name: String,
    /// Its expression.
    pub expr: String,
    /// The labels it sets, as they were written.
    pub labels: Vec<(String, String)>,
    /// How the last evaluation went.
    pub health: Health,
    /// Why it failed.
    pub last_error: Option<String>,
    /// How long it took.
    pub evaluation_time: Duration,
    /// When it was.
    pub last_evaluation: Option<Timestamp>,
    /// What it is for.
    pub kind: RuleViewKind,
}

/// What a rule is for.
#[derive(Clone, Debug)]
pub enum RuleViewKind {
    /// Writes a new series.
    Recording,
    /// Tells people.
    Alerting {
        /// How long the condition must hold.
        hold: Duration,
        /// How long it goes on firing.
        keep_firing_for: Duration,
        /// What the absence of data means.
        missing_data: MissingData,
        /// Annotations, as they were written.
        annotations: Vec<(String, String)>,
        /// The worst state of its alerts.
        state: State,
        /// Pending and firing alerts.
        alerts: Vec<Alert>,
    },
}

pub(super) fn of(group: &Group) -> GroupView {
    GroupView {
        name: group.spec.name.clone(),
        file: group.spec.file.clone(),
        interval: group.interval,
        limit: group.spec.limit,
        language: group.spec.language,
        evaluation_time: group.evaluation_time,
        last_evaluation: group.last_evaluation,
        rules: group.rules.iter().map(rule).collect(),
    }
}

fn rule(state: &RuleState) -> RuleView {
    let texts = |texts: &[(String, super::file::Text)]| {
        texts.iter().map(|(name, text)| (name.clone(), text.source.clone())).collect()
    };
    let kind = match &state.rule.kind {
        Kind::Recording => RuleViewKind::Recording,
        Kind::Alerting(alerting) => RuleViewKind::Alerting {
            hold: alerting.hold,
            keep_firing_for: alerting.keep_firing_for,
            missing_data: alerting.missing_data,
            annotations: texts(&alerting.annotations),
            state: state.alerts.state(),
            alerts: state.alerts.active().cloned().collect(),
        },
    };
    RuleView {
        name: state.rule.name.clone(),
        expr: state.rule.expr.clone(),
        labels: texts(&state.rule.labels),
        health: state.health,
        last_error: state.last_error.clone(),
        evaluation_time: state.evaluation_time,
        last_evaluation: state.last_evaluation,
        kind,
    }
}
