//! What a container is called: evidence from its labels, annotations, environment, image and owner in, [`Tags`] out.
//!
//! Pure: [`resolve`] reads nothing but its arguments, once per container. Which evidence wins is the table in
//! [`precedence`]; how each kind is read is in the file of its name. To add a place where people write their tags,
//! add a [`precedence::Place`], read it in the file of its kind, and put it into the chains it belongs to.

pub mod env;
pub mod image;
pub mod labels;
pub mod owner;
pub mod precedence;
mod rules;

use std::{collections::BTreeMap, sync::Arc};

use yagura_model::{Tags, names::sanitize_label};

pub use precedence::Tag;
pub use rules::{MatchConfig, Matcher, RuleConfig, RuleError, Rules};

/// Labels, annotations: names and values.
pub type Pairs = [(Arc<str>, Arc<str>)];

/// Longest tag value kept, in characters; Datadog cuts there too, and a label must not be a document.
const VALUE_CHARS: usize = 200;

/// Most free tags kept of one container; each is a label on every one of its series.
const FREE_TAGS: usize = 16;

/// Everything that may say what a container is called. What is not known is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// The container's name; in Kubernetes its name in the pod.
    pub container: &'a str,
    /// The image as it was asked for.
    pub image: &'a str,
    /// The container's own labels, as docker has them.
    pub labels: &'a Pairs,
    /// Its environment, as `NAME=value`.
    pub env: &'a [String],
    /// What Kubernetes knows of its pod.
    pub pod: Option<Pod<'a>>,
}

/// What Kubernetes knows of a container's pod.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pod<'a> {
    /// The pod's labels.
    pub labels: &'a Pairs,
    /// The pod's annotations.
    pub annotations: &'a Pairs,
    /// The labels of its namespace.
    pub namespace_labels: &'a Pairs,
    /// The name of the workload that made it, from [`owner::workload`].
    pub workload: &'a str,
}

/// The tags of one container.
#[must_use]
pub fn resolve(evidence: &Evidence<'_>, rules: &Rules) -> Tags {
    let set = rules.apply(evidence);
    let free = free_tags(evidence);
    let known = precedence::Known { evidence, rule: &set, agent: rules.tags(), free: &free };
    let value = |tag| precedence::first(tag, &known).map_or_else(|| Arc::from(""), |(value, _)| value.into());
    let mut extra: BTreeMap<&str, &str> = BTreeMap::new();
    // The nearest to the container is said last and wins: the agent's tags, then its rules, then the container's own.
    for (name, tag) in rules.tags().iter().chain(&set).chain(&free) {
        extra.insert(name, tag);
    }
    Tags {
        source: value(Tag::Source),
        service: value(Tag::Service),
        env: value(Tag::Env),
        role: value(Tag::Role),
        version: value(Tag::Version),
        extra: extra_tags(extra.into_iter()),
    }
}

/// The tags of what is not in a container: `host` for the machine, `yagura` for this agent. `env`, `role` and the
/// rest come from the agent's `tags`.
#[must_use]
pub fn of_node(source: &str, rules: &Rules) -> Tags {
    let tag = |name: &str| rules.tags().get(name).map_or_else(|| Arc::from(""), |value| clean(value).into());
    Tags {
        source: source.into(),
        service: source.into(),
        env: tag("env"),
        role: tag("role"),
        version: "".into(),
        extra: extra_tags(rules.tags().iter().map(|(name, value)| (name.as_str(), value.as_str()))),
    }
}

/// A value as it is kept: without white space around it, cut at 200 characters, on one line.
fn clean(value: &str) -> String {
    value.trim().chars().take(VALUE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Tags beyond the known ones, under legal label names.
fn extra_tags<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Arc<[(Arc<str>, Arc<str>)]> {
    let named = tags.map(|(name, value)| (sanitize_label(name), clean(value)));
    let mut kept: Vec<(Arc<str>, Arc<str>)> = named
        .filter(|(name, value)| !name.is_empty() && !value.is_empty() && !precedence::is_reserved(name))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    kept.sort_unstable();
    kept.dedup_by(|later, earlier| later.0 == earlier.0);
    kept.truncate(FREE_TAGS);
    kept.into()
}

/// Free tags that people wrote on the container or its pod; those on the container win.
fn free_tags(evidence: &Evidence<'_>) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    if let Some(pod) = evidence.pod {
        let own = format!("ad.datadoghq.com/{}.tags", evidence.container);
        for key in ["ad.datadoghq.com/tags", own.as_str()] {
            tags.extend(labels::get(pod.annotations, key).map(labels::free_tags).unwrap_or_default());
        }
    }
    tags.extend(labels::get(evidence.labels, "com.datadoghq.ad.tags").map(labels::free_tags).unwrap_or_default());
    tags
}

#[cfg(test)]
mod tests;
