//! [`Table`]s in the Prometheus text format 0.0.4, as Go's exporters write it.
//!
//! Metrics are sorted by name and announced once, however many tables have them; series are sorted by their labels,
//! labels by their names. Nothing has a timestamp: a series that ended is simply not there any more.

use std::fmt::Write as _;

use yagura_model::Metric;

use super::{Entry, Table, Value};

/// The page of these tables. Of two series with the same name and labels the first table's counts, for a page that
/// says something twice is refused as a whole.
#[must_use]
pub fn encode(tables: &[&Table]) -> String {
    let series = tables.iter().flat_map(|table| table.entries().iter().map(|entry| (*table, entry)));
    let mut lines: Vec<Line> = series.map(|(table, entry)| Line::new(table, entry)).collect();
    // Stable, so that of two equal series the first table's comes first.
    lines.sort_by(|one, other| (one.metric.name, &one.labels).cmp(&(other.metric.name, &other.labels)));
    lines.dedup_by(|later, earlier| later.metric.name == earlier.metric.name && later.labels == earlier.labels);

    let mut page = String::with_capacity(lines.len() * 96);
    let mut announced = "";
    for line in &lines {
        let Metric { name, help, kind, .. } = line.metric;
        if announced != *name {
            page.push_str("# HELP ");
            page.push_str(name);
            page.push(' ');
            push_escaped(&mut page, help, false);
            page.push_str("\n# TYPE ");
            page.push_str(name);
            page.push(' ');
            page.push_str(kind.prometheus_type());
            page.push('\n');
            announced = name;
        }
        page.push_str(name);
        page.push_str(&line.labels);
        page.push(' ');
        push_number(&mut page, line.value);
        page.push('\n');
    }
    page
}

struct Line {
    metric: &'static Metric,
    /// `{name="value",…}`, or nothing.
    labels: String,
    value: f64,
}

impl Line {
    fn new(table: &Table, entry: &Entry) -> Self {
        let own = entry.labels.iter().map(|(name, value)| (&**name, &**value));
        let mut pairs: Vec<(&str, &str)> = table.shared_labels(entry).chain(own).collect();
        pairs.sort_unstable();
        let mut labels = String::new();
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            labels.push(if labels.is_empty() { '{' } else { ',' });
            labels.push_str(name);
            labels.push_str("=\"");
            push_escaped(&mut labels, value, true);
            labels.push('"');
        }
        if !labels.is_empty() {
            labels.push('}');
        }
        #[expect(clippy::cast_precision_loss, reason = "the format's numbers are floats, Go's too")]
        let value = match entry.value {
            Value::Int(value) => value as f64,
            Value::Float(value) => value,
        };
        Self { metric: entry.metric, labels, value }
    }
}

fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            _ => out.push(c),
        }
    }
}

/// Writes a number as Go's `strconv.FormatFloat(value, 'g', -1, 64)`: the fewest digits that read back the same, with
/// an exponent of at least two digits below 0.0001 and from a million on.
fn push_number(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Writing to a string does not fail.
    let written = if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{digits}e{sign}{:02}", exponent.abs())
    } else {
        write!(out, "{value}")
    };
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use yagura_model::{Kind, Tags, Timestamp};

    const CPU: Metric = Metric { name: "cpu_seconds_total", kind: Kind::Counter, unit: "s", help: "CPU \\ time\nused" };
    const UP: Metric = Metric { name: "a_up", kind: Kind::Gauge, unit: "", help: "Whether \"it\" is up." };
    const STAT: Metric = Metric { name: "stat", kind: Kind::Untyped, unit: "", help: "A statistic." };

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (16_738_336_768.0, "1.6738336768e+10"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.0 / 3.0, "0.3333333333333333"),
            (1e21, "1e+21"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            let mut out = String::new();
            push_number(&mut out, value);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_page_announces_each_metric_once_and_sorts_everything() {
        let tags = Tags { service: "shop".into(), ..Tags::default() };
        let mut one = Table::new("node", "n1");
        let mut other = Table::new("cadvisor", "n1");
        let (first, second) = (
            one.add_scope(&[], &Tags::default(), Timestamp(0)),
            other.add_scope(&[("id", "/a\"\\\n")], &tags, Timestamp(0)),
        );
        one.begin(Timestamp(5));
        one.sample(first, &CPU, &[("mode", "user"), ("cpu", "1")], 2.5);
        one.sample(first, &CPU, &[("mode", "user"), ("cpu", "0")], 1_i64);
        one.sample(first, &STAT, &[], 3_u64);
        one.finish();
        other.begin(Timestamp(5));
        other.sample(second, &CPU, &[("cpu", "total")], 9.0);
        other.sample(second, &UP, &[("empty", "")], 1.0);
        other.finish();
        let expected = "# HELP a_up Whether \"it\" is up.\n# TYPE a_up gauge\n\
             a_up{id=\"/a\\\"\\\\\\n\",service=\"shop\"} 1\n\
             # HELP cpu_seconds_total CPU \\\\ time\\nused\n# TYPE cpu_seconds_total counter\n\
             cpu_seconds_total{cpu=\"0\",mode=\"user\"} 1\ncpu_seconds_total{cpu=\"1\",mode=\"user\"} 2.5\n\
             cpu_seconds_total{cpu=\"total\",id=\"/a\\\"\\\\\\n\",service=\"shop\"} 9\n\
             # HELP stat A statistic.\n# TYPE stat untyped\nstat 3\n";
        assert_eq!(encode(&[&one, &other]), expected);
    }

    #[test]
    fn what_two_tables_say_alike_is_said_once_and_what_ended_not_at_all() {
        let mut tables = ["one", "other"].map(|job| Table::new(job, "n1"));
        for (value, table) in [1.0, 2.0].into_iter().zip(&mut tables) {
            let scope = table.add_scope(&[], &Tags::default(), Timestamp(0));
            table.begin(Timestamp(1));
            table.sample(scope, &UP, &[], value);
            table.sample(scope, &CPU, &[], value);
            table.finish();
            table.begin(Timestamp(2));
            table.sample(scope, &UP, &[], value);
            table.finish();
        }
        let [one, other] = &tables;
        assert_eq!(encode(&[one, other]), "# HELP a_up Whether \"it\" is up.\n# TYPE a_up gauge\na_up 1\n");
    }
}
