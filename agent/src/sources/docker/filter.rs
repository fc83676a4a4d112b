//! Which containers are left alone: by the config, or by a label on the container itself.

use crate::{
    inventory::Skip,
    tags::{Evidence, MatchConfig, Matcher, labels},
};

/// Labels that leave a container alone when they are `true`: ours, and Datadog's for people who have them already.
const ALL: &[&str] = &["yagura.exclude", "com.datadoghq.ad.exclude"];
const LOGS: &[&str] = &["yagura.logs.exclude", "com.datadoghq.ad.logs_exclude"];
const METRICS: &[&str] = &["yagura.metrics.exclude", "com.datadoghq.ad.metrics_exclude"];

/// Why the lists cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{list}[{place}].{key}: {reason}")]
pub struct FilterError {
    list: &'static str,
    place: usize,
    key: String,
    reason: regex::Error,
}

impl FilterError {
    /// The key whose pattern is none.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}[{}].{}", self.list, self.place, self.key)
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("expected a regular expression: {}", self.reason)
    }
}

/// The source's lists `include` and `exclude`, ready for use.
#[derive(Debug, Default)]
pub struct Filter {
    include: Vec<Matcher>,
    exclude: Vec<Matcher>,
}

impl Filter {
    /// Makes the lists usable.
    ///
    /// # Errors
    ///
    /// When a pattern is no regular expression.
    pub fn new(include: &[MatchConfig], exclude: &[MatchConfig]) -> Result<Self, FilterError> {
        let compile = |list: &'static str, configs: &[MatchConfig]| {
            let all = configs.iter().enumerate().map(|(place, config)| {
                Matcher::new(config).map_err(|(key, reason)| FilterError { list, place, key, reason })
            });
            all.collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { include: compile("include", include)?, exclude: compile("exclude", exclude)? })
    }

    /// What of a container is left alone.
    #[must_use]
    pub fn skip(&self, evidence: &Evidence<'_>) -> Skip {
        let is_true = |keys: &[&str]| keys.iter().any(|key| labels::get(evidence.labels, key) == Some("true"));
        let matches = |list: &[Matcher]| list.iter().any(|matcher| matcher.matches(evidence));
        let is_out = matches(&self.exclude) || (!self.include.is_empty() && !matches(&self.include)) || is_true(ALL);
        Skip { metrics: is_out || is_true(METRICS), logs: is_out || is_true(LOGS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> MatchConfig {
        MatchConfig { container: Some(name.into()), ..MatchConfig::default() }
    }

    fn check(include: &[MatchConfig], exclude: &[MatchConfig], label: (&str, &str), metrics: bool, logs: bool) {
        let labels = [(label.0.into(), label.1.into())];
        let evidence = Evidence { container: "web-1", image: "nginx:1", labels: &labels, ..Evidence::default() };
        let found = Filter::new(include, exclude).unwrap().skip(&evidence);
        assert_eq!(found, Skip { metrics, logs }, "{include:?} {exclude:?} {label:?}");
    }

    #[test]
    fn containers_are_left_alone_by_lists_and_by_labels() {
        let none = ("a", "b");
        check(&[], &[], none, false, false);
        check(&[], &[of("web-.*")], none, true, true);
        check(&[], &[of("web")], none, false, false);
        check(&[of("db")], &[], none, true, true);
        check(&[of("web-.*"), of("db")], &[], none, false, false);
        check(&[of("web-.*")], &[of("web-1")], none, true, true);
        check(&[of("web-.*")], &[], ("yagura.exclude", "true"), true, true);
        check(&[], &[], ("yagura.exclude", "false"), false, false);
        check(&[], &[], ("com.datadoghq.ad.logs_exclude", "true"), false, true);
        check(&[], &[], ("yagura.metrics.exclude", "true"), true, false);
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        let error = Filter::new(&[], &[of("a"), of("(")]).unwrap_err();
        assert!(error.to_string().starts_with("exclude[1].container: regex parse error"), "{error}");
    }
}
