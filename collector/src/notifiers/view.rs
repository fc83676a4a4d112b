//! What the APIs show of alerts and groups.

use std::collections::BTreeMap;

use yagura_model::{Labels, Timestamp};

use super::{
    Notifier,
    group::{Held, Muted},
    message::fingerprint,
};

/// An alert as Alertmanager's API shows it.
#[derive(Clone, Debug)]
pub struct AlertView {
    /// Who it is.
    pub labels: Labels,
    /// What is said about it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it ends, if that is known.
    pub ends_at: Option<Timestamp>,
    /// When it was last heard of.
    pub updated_at: Timestamp,
    /// Where its expression can be seen.
    pub generator_url: String,
    /// Its labels' hash.
    pub fingerprint: u64,
    /// Who is told of it.
    pub receivers: Vec<String>,
    /// Ids of the silences that hold it back.
    pub silenced_by: Vec<String>,
    /// The alert that holds it back.
    pub inhibited_by: Option<u64>,
    /// Names of the time intervals that hold it back.
    pub muted_by: Vec<String>,
}

impl AlertView {
    /// Whether nobody is told of it now.
    #[must_use]
    pub fn is_suppressed(&self) -> bool {
        !self.silenced_by.is_empty() || self.inhibited_by.is_some() || !self.muted_by.is_empty()
    }
}

/// A group of alerts.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// The labels that make it.
    pub labels: Labels,
    /// Who is told.
    pub receiver: String,
    /// Its alerts.
    pub alerts: Vec<AlertView>,
}

impl Notifier {
    /// Every alert that fires, those that nobody is told of included.
    #[must_use]
    pub fn alerts(&self, now: Timestamp) -> Vec<AlertView> {
        let core = self.core();
        let firing: Vec<(u64, Held)> = core.groups.firing(now).map(|(print, held)| (print, held.clone())).collect();
        let view = |(print, held): (u64, Held)| {
            let muted = core.groups.muted(&held.alert.labels, &core.silences, now);
            let routes = held.routes.iter().filter_map(|place| self.0.config.routes.get(*place));
            let mut muted_by: Vec<String> =
                routes.clone().flat_map(|route| core.groups.muting_intervals(route, now)).collect();
            muted_by.sort_unstable();
            muted_by.dedup();
            let mut receivers: Vec<String> = routes.map(|route| route.receiver.clone()).collect();
            receivers.sort_unstable();
            receivers.dedup();
            show(print, held, receivers, muted, muted_by)
        };
        firing.into_iter().map(view).collect()
    }

    /// Every group with alerts that fire.
    #[must_use]
    pub fn groups(&self, now: Timestamp) -> Vec<GroupView> {
        let alerts: BTreeMap<u64, AlertView> =
            self.alerts(now).into_iter().map(|alert| (fingerprint(&alert.labels), alert)).collect();
        let core = self.core();
        let mut groups = Vec::new();
        for group in core.groups.groups.values() {
            let members: Vec<AlertView> = group.members.iter().filter_map(|print| alerts.get(print)).cloned().collect();
            let Some(route) = self.0.config.routes.get(group.route) else { continue };
            if !members.is_empty() {
                groups.push(GroupView {
                    labels: group.labels.clone(),
                    receiver: route.receiver.clone(),
                    alerts: members,
                });
            }
        }
        groups
    }

    /// Ways whose last message was refused for good: receiver, place within it, and why.
    #[must_use]
    pub fn broken(&self) -> Vec<(String, usize, String)> {
        let broken = self.0.broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut list: Vec<_> =
            broken.iter().map(|((receiver, place), reason)| (receiver.clone(), *place, reason.clone())).collect();
        list.sort_unstable();
        list
    }

    /// How many messages wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.core().queue.len()
    }
}

fn show(print: u64, held: Held, receivers: Vec<String>, muted: Muted, muted_by: Vec<String>) -> AlertView {
    AlertView {
        labels: held.alert.labels,
        annotations: held.alert.annotations,
        starts_at: held.alert.starts_at,
        ends_at: held.alert.ends_at,
        updated_at: held.updated_at,
        generator_url: held.alert.generator_url,
        fingerprint: print,
        receivers,
        silenced_by: muted.silenced_by,
        inhibited_by: muted.inhibited_by,
        muted_by,
    }
}
