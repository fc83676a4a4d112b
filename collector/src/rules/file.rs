//! Rule files: Prometheus' format, and our two extensions in files named `*.yagura.yaml`.
//!
//! In: the text of a file. Out: [`Group`]s whose expressions and templates are known to be good, or every fault with
//! file, line, column and key. The format: <https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/>.
//!
//! The extensions: `type: logql` on a group, and `missing_data:` on an alerting rule (see [`MissingData`]).

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use yagura_daemon::config::{self, ConfigError, DurationText};

use super::{expression, template::Template};
use crate::files::{self, Checked};

/// What a file of this ending may hold beyond Prometheus' format.
const EXTENDED: &str = ".yagura.yaml";

/// Rules that are evaluated together, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name, unique in its file.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// How often it is evaluated; `None` for the collector's default.
    pub interval: Option<Duration>,
    /// How far back queries look, for data that comes late.
    pub query_offset: Duration,
    /// At most this many alerts or series of one rule; 0 for no limit.
    pub limit: usize,
    /// What its expressions are written in.
    pub language: Language,
    /// The rules, in order.
    pub rules: Vec<Rule>,
}

/// What an expression is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Prometheus' language, over samples.
    #[default]
    PromQl,
    /// Loki's language, over log records.
    LogQl,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The alert's name or the recorded metric's.
    pub name: String,
    /// The expression.
    pub expr: String,
    /// Labels to set, sorted by name; templates in an alerting rule.
    pub labels: Vec<(String, Text)>,
    /// What it is for.
    pub kind: Kind,
}

/// What a rule is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Writes a new series.
    Recording,
    /// Tells people.
    Alerting(Alerting),
}

/// What only an alerting rule has.
#[derive(Clone, Debug, PartialEq)]
pub struct Alerting {
    /// How long the condition must hold before it fires.
    pub hold: Duration,
    /// How long it goes on firing after the condition ended.
    pub keep_firing_for: Duration,
    /// What people are told, sorted by name.
    pub annotations: Vec<(String, Text)>,
    /// What the absence of data means.
    pub missing_data: MissingData,
    /// The expression without its condition, if it has one: it gives nothing for a series that has no data.
    pub data: Option<String>,
}

/// What it means that an expression's data are not there; a condition that is false is another thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingData {
    /// The alert ends, as in Prometheus.
    #[default]
    Resolve,
    /// A firing alert goes on firing until data say otherwise.
    Keep,
    /// As `keep`; and when there are no data at all, an alert with the rule's own labels begins.
    Fire,
}

/// A text, and the template it is read as.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// As it was written.
    pub source: String,
    /// As it was understood.
    pub template: Template,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    groups: Vec<RawGroup>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    name: String,
    interval: Option<DurationText>,
    query_offset: Option<DurationText>,
    limit: Option<usize>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(rename = "type")]
    language: Option<Language>,
    #[serde(default)]
    rules: Vec<RawRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    record: Option<String>,
    alert: Option<String>,
    #[serde(default)]
    expr: String,
    #[serde(rename = "for")]
    hold: Option<DurationText>,
    keep_firing_for: Option<DurationText>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    missing_data: Option<MissingData>,
}

/// Reads every file the patterns name.
pub fn load(patterns: &[String]) -> Result<Vec<Group>, Vec<ConfigError>> {
    let (mut groups, mut errors) = (Vec::new(), Vec::new());
    for pattern in patterns {
        match files::find(pattern) {
            Ok(found) => {
                for file in found {
                    match files::read(&file).and_then(|text| parse(&file, &text)) {
                        Ok(read) => groups.extend(read),
                        Err(error) => errors.push(error),
                    }
                }
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(groups) } else { Err(errors) }
}

/// Reads the text of one file.
pub fn parse(file: &str, text: &str) -> Result<Vec<Group>, ConfigError> {
    let raw: RawFile = config::parse_verbatim(file, text)?;
    let mut checked = Checked::new(file, text);
    let mut groups: Vec<Group> = Vec::new();
    for (index, raw) in raw.groups.into_iter().enumerate() {
        let key = format!("groups[{index}]");
        if raw.name.is_empty() {
            checked.fault(&format!("{key}.name"), "expected a name");
        }
        if groups.iter().any(|group| group.name == raw.name) {
            checked.fault(&format!("{key}.name"), format!("group `{}` is given twice in this file", raw.name));
        }
        groups.push(group(file, &key, raw, &mut checked));
    }
    checked.finish(groups)
}

fn group(file: &str, key: &str, raw: RawGroup, checked: &mut Checked<'_>) -> Group {
    let language = raw.language.unwrap_or_default();
    if raw.language.is_some() {
        extension(file, &format!("{key}.type"), checked);
    }
    if raw.interval.is_some_and(|interval| interval.0.is_zero()) {
        checked.fault(&format!("{key}.interval"), "expected more than 0s");
    }
    check_labels(&raw.labels, &format!("{key}.labels"), checked);
    let mut rules = Vec::with_capacity(raw.rules.len());
    for (index, rule) in raw.rules.into_iter().enumerate() {
        let reader = RuleReader { file, key: &format!("{key}.rules[{index}]"), language };
        rules.extend(reader.rule(rule, &raw.labels, checked));
    }
    Group {
        name: raw.name,
        file: file.to_owned(),
        interval: raw.interval.map(|interval| interval.0),
        query_offset: raw.query_offset.unwrap_or_default().0,
        limit: raw.limit.unwrap_or(0),
        language,
        rules,
    }
}

fn extension(file: &str, key: &str, checked: &mut Checked<'_>) {
    if !file.ends_with(EXTENDED) {
        let name = key.rsplit('.').next().unwrap_or(key);
        checked.fault(key, format!("`{name}` is not in Prometheus' format: name the file *{EXTENDED} to use it"));
    }
}

struct RuleReader<'a> {
    file: &'a str,
    key: &'a str,
    language: Language,
}

impl RuleReader<'_> {
    fn rule(&self, raw: RawRule, group: &BTreeMap<String, String>, checked: &mut Checked<'_>) -> Option<Rule> {
        let key = self.key;
        let (name, alerting) = match (&raw.alert, &raw.record) {
            (Some(name), None) if !name.is_empty() => (name.clone(), true),
            (None, Some(name)) if !name.is_empty() => (name.clone(), false),
            (Some(_), Some(_)) => {
                checked.fault(&format!("{key}.record"), "expected only one of `record` and `alert`");
                return None;
            }
            _ => {
                checked.fault(key, "expected one of `record` and `alert`");
                return None;
            }
        };
        check_labels(&raw.labels, &format!("{key}.labels"), checked);
        if let Err(error) = expression::check(self.language, &raw.expr) {
            checked.fault(&format!("{key}.expr"), format!("rule {name}: {error}"));
        }
        let mut labels = group.clone();
        labels.extend(raw.labels.iter().map(|(name, value)| (name.clone(), value.clone())));
        let labels = texts(&labels, &format!("{key}.labels"), &name, checked);
        let kind = if alerting {
            Kind::Alerting(self.alerting(&raw, &name, checked))
        } else {
            self.recording(&raw, &name, checked);
            Kind::Recording
        };
        Some(Rule { name, expr: raw.expr, labels, kind })
    }

    fn alerting(&self, raw: &RawRule, name: &str, checked: &mut Checked<'_>) -> Alerting {
        let key = self.key;
        for annotation in raw.annotations.keys().filter(|annotation| !is_label_name(annotation)) {
            checked.fault(&format!("{key}.annotations.{annotation}"), "not a name: use letters, digits and `_`");
        }
        let missing_data = raw.missing_data.unwrap_or_default();
        if raw.missing_data.is_some() {
            let key = format!("{key}.missing_data");
            extension(self.file, &key, checked);
            if self.language == Language::LogQl {
                checked.fault(&key, "a log query cannot tell that no line was written from that none arrived");
            }
        }
        Alerting {
            hold: raw.hold.unwrap_or_default().0,
            keep_firing_for: raw.keep_firing_for.unwrap_or_default().0,
            annotations: texts(&raw.annotations, &format!("{key}.annotations"), name, checked),
            missing_data,
            data: expression::without_condition(self.language, &raw.expr),
        }
    }

    fn recording(&self, raw: &RawRule, name: &str, checked: &mut Checked<'_>) {
        let key = self.key;
        if !is_metric_name(name) {
            checked.fault(&format!("{key}.record"), format!("`{name}` is not a metric name"));
        }
        for (given, field) in [
            (raw.hold.is_some(), "for"),
            (raw.keep_firing_for.is_some(), "keep_firing_for"),
            (!raw.annotations.is_empty(), "annotations"),
            (raw.missing_data.is_some(), "missing_data"),
        ] {
            if given {
                checked.fault(&format!("{key}.{field}"), format!("a recording rule has no `{field}`"));
            }
        }
    }
}

fn check_labels(labels: &BTreeMap<String, String>, key: &str, checked: &mut Checked<'_>) {
    for name in labels.keys() {
        if !is_label_name(name) || name == "__name__" {
            checked.fault(&format!("{key}.{name}"), format!("`{name}` is not a label name"));
        }
    }
}

fn texts(sources: &BTreeMap<String, String>, key: &str, rule: &str, checked: &mut Checked<'_>) -> Vec<(String, Text)> {
    let mut texts = Vec::with_capacity(sources.len());
    for (name, source) in sources {
        match Template::parse(source) {
            Ok(template) => texts.push((name.clone(), Text { source: source.clone(), template })),
            Err(error) => checked.fault(&format!("{key}.{name}"), format!("rule {rule}: bad template: {error}")),
        }
    }
    texts
}

/// Letters, digits and `_`, not beginning with a digit.
#[must_use]
pub(crate) fn is_label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_metric_name(name: &str) -> bool {
    is_label_name(&name.replace(':', "_"))
}
