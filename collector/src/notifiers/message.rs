//! What a receiver is told: the alerts of one group at one moment, and what they have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use yagura_model::{Labels, Timestamp};

use crate::rules::template::{Scope, Value};

/// One alert of a notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Who it is.
    pub labels: Labels,
    /// What its rule says about it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it ended; `None` while it fires.
    pub ends_at: Option<Timestamp>,
    /// Where its expression can be seen.
    pub generator_url: String,
    /// Its labels' hash.
    pub fingerprint: u64,
}

/// What goes to one receiver about one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// The group, the same over restarts.
    pub group_key: String,
    /// Who is told.
    pub receiver: String,
    /// The labels that make the group.
    pub group_labels: Labels,
    /// The alerts, those that fire first.
    pub alerts: Vec<Told>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The hash of an alert's labels, the same over restarts.
#[must_use]
pub fn fingerprint(labels: &Labels) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for (name, value) in labels.iter() {
        hasher.update(name.as_bytes());
        hasher.update(&[0xff]);
        hasher.update(value.as_bytes());
        hasher.update(&[0xff]);
    }
    hasher.digest()
}

impl Told {
    /// The word for its state.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if self.ends_at.is_some() { "resolved" } else { "firing" }
    }
}

impl Notification {
    /// Those that fire.
    pub fn firing(&self) -> impl Iterator<Item = &Told> {
        self.alerts.iter().filter(|alert| alert.ends_at.is_none())
    }

    /// Those that ended.
    pub fn resolved(&self) -> impl Iterator<Item = &Told> {
        self.alerts.iter().filter(|alert| alert.ends_at.is_some())
    }

    /// `firing` while any alert fires.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if self.firing().next().is_some() { "firing" } else { "resolved" }
    }

    /// Labels that all alerts share.
    #[must_use]
    pub fn common_labels(&self) -> Labels {
        let Some((first, rest)) = self.alerts.split_first() else { return Labels::empty() };
        let shared = |name: &str, value: &str| rest.iter().all(|alert| alert.labels.get(name) == Some(value));
        Labels::from_pairs(first.labels.iter().filter(|(name, value)| shared(name, value)))
    }

    /// Annotations that all alerts share.
    #[must_use]
    pub fn common_annotations(&self) -> BTreeMap<String, String> {
        let Some((first, rest)) = self.alerts.split_first() else { return BTreeMap::new() };
        let shared =
            |name: &String, value: &String| rest.iter().all(|alert| alert.annotations.get(name) == Some(value));
        let pairs = first.annotations.iter().filter(|(name, value)| shared(name, value));
        pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// What templates see, under Alertmanager's names.
    #[must_use]
    pub fn scope(&self, external_url: &str) -> Scope {
        let list = |alerts: Vec<&Told>| Value::List(alerts.into_iter().map(told_value).collect());
        let dot = Value::map([
            ("Receiver", self.receiver.as_str().into()),
            ("Status", self.status().into()),
            ("GroupKey", self.group_key.as_str().into()),
            ("GroupLabels", named(self.group_labels.iter())),
            ("CommonLabels", named(self.common_labels().iter())),
            ("CommonAnnotations", named(pairs(&self.common_annotations()))),
            ("ExternalURL", external_url.into()),
            (
                "Alerts",
                Value::map([
                    ("Firing", list(self.firing().collect())),
                    ("Resolved", list(self.resolved().collect())),
                    ("All", list(self.alerts.iter().collect())),
                ]),
            ),
            ("TruncatedAlerts", Value::Int(0)),
        ]);
        Scope { dot: Some(dot), external_url: external_url.to_owned(), ..Scope::default() }
    }
}

fn pairs(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> + Clone {
    map.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

fn named<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Value {
    Value::Map(pairs.map(|(name, value)| (name.to_owned(), value.into())).collect())
}

fn told_value(alert: &Told) -> Value {
    Value::map([
        ("Status", alert.status().into()),
        ("Labels", named(alert.labels.iter())),
        ("Annotations", named(pairs(&alert.annotations))),
        ("StartsAt", rfc3339(alert.starts_at).into()),
        ("EndsAt", alert.ends_at.map(rfc3339).unwrap_or_default().into()),
        ("GeneratorURL", alert.generator_url.as_str().into()),
        ("Fingerprint", format!("{:016x}", alert.fingerprint).into()),
    ])
}

/// An instant as APIs write it.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    // Out of range only for times that no clock shows.
    jiff::Timestamp::from_millisecond(time.0).map(|time| format!("{time:.3}")).unwrap_or_default()
}
