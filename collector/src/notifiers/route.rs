//! Which receiver an alert goes to, and with which others: Alertmanager's routing tree.

use std::time::Duration;

use yagura_model::Labels;

use super::matcher::{Matcher, all_match};

/// One node of the tree.
#[derive(Clone, Debug)]
pub struct Route {
    /// What tells this route from others, for group keys that survive a restart.
    pub key: String,
    /// Who is told.
    pub receiver: String,
    /// Labels whose values make a group.
    pub group_by: Vec<String>,
    /// Every label makes a group.
    pub group_by_all: bool,
    /// When.
    pub timing: Timing,
    /// Which alerts it takes.
    pub matchers: Vec<Matcher>,
    /// Whether later siblings are asked too.
    pub goes_on: bool,
    /// Nobody is told during these.
    pub mute: Vec<String>,
    /// People are told only during these, if there are any.
    pub active: Vec<String>,
    /// Places of the routes below.
    pub children: Vec<usize>,
}

/// When a group is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a new group waits for more alerts.
    pub group_wait: Duration,
    /// How long a group that was told waits before news of it.
    pub group_interval: Duration,
    /// After how long a group without news is told again.
    pub repeat_interval: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(300),
            repeat_interval: Duration::from_secs(4 * 3600),
        }
    }
}

impl Route {
    /// The first route.
    #[must_use]
    pub fn root(receiver: &str, group_by: &[&str], timing: Timing) -> Self {
        Self {
            key: "{}".to_owned(),
            receiver: receiver.to_owned(),
            group_by: group_by.iter().map(|name| (*name).to_owned()).collect(),
            group_by_all: false,
            timing,
            matchers: Vec::new(),
            goes_on: false,
            mute: Vec::new(),
            active: Vec::new(),
            children: Vec::new(),
        }
    }

    /// A route below this one, which inherits what is not about matching.
    #[must_use]
    pub fn child(&self, matchers: Vec<Matcher>) -> Self {
        let shown: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        let key = format!("{}/{{{}}}", self.key, shown.join(","));
        Self {
            key,
            matchers,
            goes_on: false,
            mute: Vec::new(),
            active: Vec::new(),
            children: Vec::new(),
            ..self.clone()
        }
    }

    /// The labels of the group an alert belongs to.
    #[must_use]
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        labels.without(|name| !self.group_by_all && !self.group_by.iter().any(|by| by == name))
    }
}

/// The places of the routes that take an alert, deepest first; never none.
#[must_use]
pub fn matching(routes: &[Route], labels: &Labels) -> Vec<usize> {
    match_at(routes, 0, labels)
}

fn match_at(routes: &[Route], place: usize, labels: &Labels) -> Vec<usize> {
    let Some(route) = routes.get(place) else { return Vec::new() };
    if !all_match(&route.matchers, labels) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for child in &route.children {
        let below = match_at(routes, *child, labels);
        let stops = !below.is_empty() && routes.get(*child).is_some_and(|child| !child.goes_on);
        found.extend(below);
        if stops {
            break;
        }
    }
    if found.is_empty() {
        found.push(place);
    }
    found
}
