//! What a pipeline does with a record.

use std::borrow::Cow;

use yagura_model::{Labels, Nanos, names::sanitize_label};

use super::{
    ast::{LabelFilter, LabelFormat, LabelPick, Stage, Unit},
    extract, units,
};
use crate::storage::LogEntry;

/// The label that says a stage could not read a record.
pub(super) const ERROR: &str = "__error__";
/// The label with the level that was found in the record.
pub(super) const LEVEL: &str = "detected_level";
/// What people call that label.
const SAID: &str = "level";
/// Loki's name for the tag `service`.
pub(super) const SERVICE_NAME: &str = "service_name";

/// A record on its way through a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// When it happened.
    pub time: Nanos,
    /// Its line, as the stages left it.
    pub line: String,
    /// Labels of its stream.
    pub stream: Vec<(String, String)>,
    /// What it carries beside its line.
    pub structured: Vec<(String, String)>,
    /// What stages found in its line.
    pub parsed: Vec<(String, String)>,
}

impl Row {
    /// A record as it is stored, with the labels that Grafana expects beside ours.
    pub(super) fn new(entry: LogEntry) -> Self {
        let mut stream: Vec<_> = entry.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if let Some(service) = entry.labels.get("service") {
            stream.push((SERVICE_NAME.to_owned(), service.to_owned()));
        }
        let mut structured = vec![(LEVEL.to_owned(), entry.severity.level().to_owned())];
        structured.extend(entry.fields.into_iter().map(|(name, value)| (sanitize_label(&name), value)));
        Self { time: entry.time, line: entry.line, stream, structured, parsed: Vec::new() }
    }

    /// The value of a label, what was found last first.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let sets = [&self.parsed, &self.structured, &self.stream];
        let held = |name: &str| sets.into_iter().find_map(|set| set.iter().find(|(label, _)| label == name));
        // Everybody says `level`; where no field has that name, it is the one that was found in the record.
        let found = held(name).or_else(|| if name == SAID { held(LEVEL) } else { None });
        found.map(|(_, value)| value.as_str())
    }

    /// Sets a label that a stage found. A label of the stream is not covered up: the new one gets a suffix, as in Loki.
    pub(super) fn found(&mut self, name: &str, value: &str) {
        let name = sanitize_label(name);
        let taken = self.stream.iter().chain(&self.structured).any(|(label, _)| *label == name);
        let name = if taken { Cow::Owned(format!("{name}_extracted")) } else { Cow::Borrowed(name.as_str()) };
        // The first of two equal keys counts.
        if !self.parsed.iter().any(|(label, _)| *label == *name) {
            self.parsed.push((name.into_owned(), value.to_owned()));
        }
    }

    fn set(&mut self, name: &str, value: String) {
        self.remove(|label, _| label == name);
        self.parsed.push((name.to_owned(), value));
    }

    fn remove(&mut self, gone: impl Fn(&str, &str) -> bool) {
        for set in [&mut self.parsed, &mut self.structured, &mut self.stream] {
            set.retain(|(name, value)| !gone(name, value));
        }
    }

    /// All labels in one set.
    #[must_use]
    pub fn labels(&self) -> Labels {
        let all = self.stream.iter().chain(&self.structured).chain(&self.parsed);
        Labels::from_pairs(all.map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

/// Runs the stages; `false` when the record is filtered out.
pub(super) fn apply(stages: &[Stage], row: &mut Row) -> bool {
    for stage in stages {
        match stage {
            Stage::Line(filter) => {
                if !filter.passes(&row.line) {
                    return false;
                }
            }
            Stage::Filter(filter) => {
                if !passes(filter, row) {
                    return false;
                }
            }
            Stage::Json(fields) => extract::json(row, fields),
            Stage::Logfmt { strict, keep_empty, fields } => extract::logfmt(row, *strict, *keep_empty, fields),
            Stage::Pattern(parts) => extract::pattern(row, parts),
            Stage::Regexp(regex) => extract::regexp(row, regex),
            Stage::Unpack => extract::unpack(row),
            Stage::Decolorize => row.line = extract::decolorize(&row.line),
            Stage::LineFormat(template) => row.line = template.render(row),
            Stage::LabelFormat(formats) => format_labels(row, formats),
            Stage::Drop(picks) => row.remove(|name, value| picked(picks, name, value)),
            Stage::Keep(picks) => row.remove(|name, value| !picked(picks, name, value)),
        }
    }
    true
}

fn format_labels(row: &mut Row, formats: &[(String, LabelFormat)]) {
    for (label, format) in formats {
        match format {
            LabelFormat::Rename(from) => {
                let Some(value) = row.get(from).map(ToOwned::to_owned) else { continue };
                row.remove(|name, _| name == from);
                row.set(label, value);
            }
            LabelFormat::Template(template) => {
                let value = template.render(row);
                row.set(label, value);
            }
        }
    }
}

fn picked(picks: &[LabelPick], name: &str, value: &str) -> bool {
    picks.iter().any(|pick| pick.name == name && pick.matcher.as_ref().is_none_or(|matcher| matcher.matches(value)))
}

fn passes(filter: &LabelFilter, row: &mut Row) -> bool {
    match filter {
        LabelFilter::Text(matcher) => matcher.matches(row.get(&matcher.name).unwrap_or_default()),
        LabelFilter::And(left, right) => passes(left, row) && passes(right, row),
        LabelFilter::Or(left, right) => passes(left, row) || passes(right, row),
        LabelFilter::Number { label, op, value, unit } => match row.get(label).map(|text| number(text, *unit)) {
            None => false,
            Some(Some(found)) => op.holds(found, *value),
            // As in Loki: a text that is no number is kept and marked, so that the fault shows.
            Some(None) => {
                row.found(ERROR, "LabelFilterErr");
                true
            }
        },
    }
}

/// A label's text as a number.
pub(super) fn number(text: &str, unit: Unit) -> Option<f64> {
    match unit {
        Unit::Plain => text.trim().parse().ok(),
        Unit::Duration => units::duration(text),
        Unit::Bytes => units::bytes(text),
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A record with this line and these labels found in it, of the stream `{service="shop"}`.
    pub(in super::super) fn row(line: &str, parsed: &[(&str, &str)]) -> Row {
        let entry = LogEntry {
            time: Nanos(1),
            labels: Labels::from_pairs([("service", "shop")]),
            line: line.to_owned(),
            severity: yagura_model::Severity::Info,
            fields: Vec::new(),
            offset: 0,
        };
        let mut row = Row::new(entry);
        row.parsed = parsed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        row
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ast::Expr, super::parse::parse, *};

    /// Runs a pipeline over a line; the labels it found, or `None` when it is filtered out.
    fn run(pipeline: &str, line: &str) -> Option<(String, Vec<(String, String)>)> {
        let Expr::Log(log) = parse(&format!("{{service=\"shop\"}} {pipeline}")).unwrap() else {
            panic!("no log query")
        };
        let mut row = testing::row(line, &[]);
        apply(&log.stages, &mut row).then(|| {
            row.parsed.sort();
            (row.line, row.parsed)
        })
    }

    fn check(pipeline: &str, line: &str, expected: &[(&str, &str)]) {
        let found =
            run(pipeline, line).map(|(_, labels)| labels).unwrap_or_else(|| panic!("{pipeline} filtered {line}"));
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected, "{pipeline} over {line}");
    }

    #[test]
    fn parsers_find_labels() {
        check(
            "| json",
            r#"{"a": 1, "b": {"c d": "x"}, "l": [1], "n": null}"#,
            &[("a", "1"), ("b_c_d", "x"), ("n", "")],
        );
        check(r#"| json x="b.c[1]""#, r#"{"b": {"c": ["p", true]}}"#, &[("x", "true")]);
        check("| json", r#"{"service": "other"}"#, &[("service_extracted", "other")]);
        check("| json", "not json", &[(ERROR, "JSONParserErr")]);
        check("| logfmt", r#"a=1 b="x \"y\"" c d= took=5ms"#, &[("a", "1"), ("b", r#"x "y""#), ("took", "5ms")]);
        check("| logfmt --keep-empty", "a=1 c d=", &[("a", "1"), ("c", ""), ("d", "")]);
        check(r#"| logfmt x="a""#, "a=1 b=2", &[("x", "1")]);
        check(r#"| pattern "<ip> - [<_>] <rest>""#, "1.2.3.4 - [now] GET /", &[("ip", "1.2.3.4"), ("rest", "GET /")]);
        check(r#"| regexp "took (?P<ms>\\d+)""#, "it took 17 ms", &[("ms", "17")]);
    }

    #[test]
    fn filters_compare_texts_numbers_durations_and_sizes() {
        let line = "level=error took=1.5s size=2MB code=503";
        let passes = |filter: &str| run(&format!("| logfmt | {filter}"), line).is_some();
        assert!(passes(r#"level="error""#) && !passes(r#"level!="error""#) && passes(r#"level=~"err.*""#));
        assert!(passes("took > 1s") && !passes("took > 1500ms") && passes("took >= 1500ms"));
        assert!(passes("size < 3MiB") && passes("code == 503") && !passes("code < 500"));
        assert!(passes(r#"code > 600 or (level="error" and size > 1kB)"#));
        assert!(!passes("missing > 1") && passes(r#"missing="""#));
        assert!(passes(r#"detected_level="info""#), "the level of the record itself");
        assert!(passes("level > 5"), "kept, and marked");
    }

    #[test]
    fn lines_and_labels_are_rewritten() {
        let line = r#"{"_entry": "inner", "a": "b"}"#;
        assert_eq!(run("| unpack", line).unwrap(), ("inner".to_owned(), vec![("a".to_owned(), "b".to_owned())]));
        assert_eq!(run("| decolorize", "\u{1b}[31mred\u{1b}[0m").unwrap().0, "red");
        assert_eq!(run(r#"| logfmt | line_format "{{.a}}!""#, "a=x").unwrap().0, "x!");
        check(r#"| logfmt | label_format c=a, d="{{.b}}{{.b}}""#, "a=1 b=2", &[("b", "2"), ("c", "1"), ("d", "22")]);
        check("| logfmt | drop a, b=\"no\"", "a=1 b=2", &[("b", "2")]);
        check("| logfmt | keep a", "a=1 b=2", &[("a", "1")]);
    }
}
