//! Alerts that keep others quiet: while a node is down, its containers' alerts need not be told.

use yagura_model::Labels;

use super::{file::InhibitRule, matcher::all_match};

/// An alert that fires, as inhibition needs it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) fingerprint: u64,
    pub(super) labels: Labels,
}

/// The fingerprint of a firing alert that keeps `target` quiet, if there is one.
pub(super) fn inhibited_by(rules: &[InhibitRule], firing: &[Source], target: &Labels) -> Option<u64> {
    rules.iter().filter(|rule| all_match(&rule.target, target)).find_map(|rule| {
        // An alert that is both source and target of a rule must not keep itself and its like quiet.
        let target_is_source = all_match(&rule.source, target);
        firing.iter().find_map(|source| {
            let same = |name: &String| source.labels.get(name) == target.get(name);
            let both = target_is_source && all_match(&rule.target, &source.labels);
            (all_match(&rule.source, &source.labels) && !both && rule.equal.iter().all(same))
                .then_some(source.fingerprint)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifiers::matcher;

    fn rule(source: &str, target: &str, equal: &[&str]) -> InhibitRule {
        let parse = |text| matcher::parse(text).unwrap();
        InhibitRule {
            source: parse(source),
            target: parse(target),
            equal: equal.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn source(labels: &[(&str, &str)]) -> Source {
        Source { fingerprint: 7, labels: Labels::from_pairs(labels.iter().copied()) }
    }

    #[track_caller]
    fn check(rule: &InhibitRule, firing: &[(&str, &str)], target: &[(&str, &str)], expected: bool) {
        let target = Labels::from_pairs(target.iter().copied());
        let inhibited = inhibited_by(std::slice::from_ref(rule), &[source(firing)], &target);
        assert_eq!(inhibited.is_some(), expected);
    }

    #[test]
    fn a_node_that_is_down_keeps_its_containers_quiet() {
        let rule = rule("alertname=NodeDown", "alertname!=NodeDown", &["instance"]);
        let down = [("alertname", "NodeDown"), ("instance", "a")];
        check(&rule, &down, &[("alertname", "Restarting"), ("instance", "a")], true);
        check(&rule, &down, &[("alertname", "Restarting"), ("instance", "b")], false);
        check(&rule, &down, &[("alertname", "NodeDown"), ("instance", "a")], false);
    }

    #[test]
    fn labels_that_both_lack_are_equal() {
        let rule = rule("a=1", "b=1", &["nothing"]);
        check(&rule, &[("a", "1")], &[("b", "1")], true);
    }

    #[test]
    fn an_alert_on_both_sides_does_not_silence_its_like() {
        let rule = rule("severity=critical", "severity=~\"critical|warning\"", &[]);
        check(&rule, &[("severity", "critical")], &[("severity", "critical"), ("x", "1")], false);
        check(&rule, &[("severity", "critical")], &[("severity", "warning")], true);
    }
}
