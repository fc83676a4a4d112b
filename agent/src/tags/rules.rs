//! The operator's part: tags of the whole node, and rules that fill what the teams left open.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;

use super::{Evidence, labels};

/// One entry of the config's `rules`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Which containers it is for; all conditions must hold.
    #[serde(rename = "match", default)]
    pub matching: MatchConfig,
    /// The tags it sets: `service`, `env`, `role`, `source`, `version` or free ones.
    pub set: BTreeMap<String, String>,
}

/// What a rule asks of a container. Each is a regular expression that must match the whole value, as in PromQL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MatchConfig {
    /// Its name.
    pub container: Option<String>,
    /// Its image as it was asked for.
    pub image: Option<String>,
    /// Labels of the container or of its pod, by name; an absent label is the empty text.
    pub labels: BTreeMap<String, String>,
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// A pattern is no regular expression.
    #[error("rules[{rule}].match.{key}: {reason}")]
    Pattern {
        /// The rule's place in the list, from 0.
        rule: usize,
        /// The key that holds the pattern.
        key: String,
        /// What is wrong with it.
        reason: regex::Error,
    },
    /// A rule that sets nothing is a mistake.
    #[error("rules[{rule}].set: expected at least one tag")]
    SetsNothing {
        /// The rule's place in the list, from 0.
        rule: usize,
    },
}

/// The agent's `tags` and its rules, ready for use.
#[derive(Debug, Default)]
pub struct Rules {
    tags: BTreeMap<String, String>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    matcher: Matcher,
    set: BTreeMap<String, String>,
}

/// A [`MatchConfig`] ready for use.
#[derive(Debug)]
pub struct Matcher {
    container: Option<Regex>,
    image: Option<Regex>,
    labels: Vec<(String, Regex)>,
}

impl Rules {
    /// Makes config usable.
    ///
    /// # Errors
    ///
    /// When a pattern is no regular expression, or a rule sets nothing.
    pub fn new(tags: &BTreeMap<String, String>, rules: &[RuleConfig]) -> Result<Self, RuleError> {
        let rules = rules.iter().enumerate().map(|(place, rule)| compile(place, rule)).collect::<Result<_, _>>()?;
        Ok(Self { tags: tags.clone(), rules })
    }

    /// The tags of everything on this node.
    #[must_use]
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    /// What the rules that match say; of two that set one tag the first counts, as everywhere in the chains.
    #[must_use]
    pub fn apply(&self, evidence: &Evidence<'_>) -> BTreeMap<String, String> {
        let mut set = BTreeMap::new();
        for rule in self.rules.iter().filter(|rule| rule.matcher.matches(evidence)) {
            for (name, value) in &rule.set {
                set.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        set
    }
}

impl Matcher {
    /// Makes a condition usable.
    ///
    /// # Errors
    ///
    /// When a pattern is no regular expression: its key and what is wrong.
    pub fn new(config: &MatchConfig) -> Result<Self, (String, regex::Error)> {
        let whole = |key: String, pattern: &str| match Regex::new(&format!("^(?:{pattern})$")) {
            Ok(regex) => Ok(regex),
            Err(reason) => Err((key, reason)),
        };
        let optional = |key: &str, pattern: &Option<String>| {
            pattern.as_ref().map(|pattern| whole(key.to_owned(), pattern)).transpose()
        };
        let labels = config.labels.iter();
        let labels = labels.map(|(name, pattern)| Ok((name.clone(), whole(format!("labels.{name}"), pattern)?)));
        Ok(Self {
            container: optional("container", &config.container)?,
            image: optional("image", &config.image)?,
            labels: labels.collect::<Result<_, _>>()?,
        })
    }

    /// Whether all conditions hold for a container.
    #[must_use]
    pub fn matches(&self, evidence: &Evidence<'_>) -> bool {
        let pod = evidence.pod.unwrap_or_default();
        let label = |name: &str| labels::get(evidence.labels, name).or_else(|| labels::get(pod.labels, name));
        let fits = |pattern: &Option<Regex>, value: &str| pattern.as_ref().is_none_or(|regex| regex.is_match(value));
        fits(&self.container, evidence.container)
            && fits(&self.image, evidence.image)
            && self.labels.iter().all(|(name, pattern)| pattern.is_match(label(name).unwrap_or_default()))
    }
}

fn compile(place: usize, config: &RuleConfig) -> Result<Rule, RuleError> {
    if config.set.is_empty() {
        return Err(RuleError::SetsNothing { rule: place });
    }
    let matcher =
        Matcher::new(&config.matching).map_err(|(key, reason)| RuleError::Pattern { rule: place, key, reason })?;
    Ok(Rule { matcher, set: config.set.clone() })
}
