//! Prometheus' script language: `clear`, `load`, `eval` and what they expect.

use std::time::Duration;

use yagura_collector::query::promql::{Engine, QueryResult, Value, parse};
use yagura_model::{Labels, Timestamp, metric::stale_nan};

use crate::store::ListStore;

/// One `eval` with its outcome.
#[derive(Debug)]
pub struct Case {
    pub line: usize,
    pub query: String,
    /// What was wrong, if anything.
    pub fault: Option<String>,
}

/// Runs a script over an empty store.
pub async fn run(text: &str, store: &ListStore, engine: &Engine) -> Vec<Case> {
    store.0.write().unwrap().clear();
    let mut cases = Vec::new();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let start = at;
        at += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "clear" {
            store.0.write().unwrap().clear();
            continue;
        }
        let mut block = Vec::new();
        while at < lines.len() && !lines[at].is_empty() && !lines[at].starts_with('#') {
            block.push(lines[at]);
            at += 1;
        }
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match command {
            "load" | "load_with_nhcb" => load(store, rest, &block),
            _ if command.starts_with("eval") => {
                let fault = eval(engine, command, rest, &block).await.err();
                cases.push(Case { line: start + 1, query: rest.to_owned(), fault });
            }
            _ => panic!("line {}: unknown command {line:?}", start + 1),
        }
    }
    cases
}

/// `1h30m`, `10s53ms` or a number of seconds, in milliseconds.
pub fn millis(text: &str) -> i64 {
    if let Ok(seconds) = text.parse::<f64>() {
        return Timestamp::from_seconds(seconds).0;
    }
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
        let amount: i64 = rest[..digits].parse().unwrap();
        rest = &rest[digits..];
        let unit = &rest[..rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len())];
        total += amount
            * match unit {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                other => panic!("unit {other:?} in {text:?}"),
            };
        rest = &rest[unit.len()..];
    }
    sign * total
}

fn load(store: &ListStore, step: &str, block: &[&str]) {
    let step = millis(step.trim());
    for line in block {
        let (labels, values) = series(line);
        let values = notation(values);
        let samples = values.into_iter().enumerate().filter_map(|(at, value)| Some((at as i64 * step, value?)));
        store.add(labels, samples);
    }
}

/// The labels of a line and what follows them.
fn series(line: &str) -> (Labels, &str) {
    // A selector in front of the values is one that our own parser reads.
    let mut in_quotes = false;
    let mut in_braces = false;
    let mut end = line.len();
    for (at, c) in line.char_indices() {
        match c {
            '"' => in_quotes = !in_quotes,
            '{' if !in_quotes => in_braces = true,
            '}' if !in_quotes => {
                end = at + 1;
                break;
            }
            c if c.is_whitespace() && !in_quotes && !in_braces => {
                // `name {labels}` is not written; a blank ends a bare name.
                end = at;
                break;
            }
            _ => {}
        }
    }
    let (selector, values) = line.split_at(end);
    if selector == "{}" {
        return (Labels::empty(), values);
    }
    let matchers = parse(selector).unwrap_or_else(|error| panic!("{selector}: {error}")).into_matchers().unwrap();
    (Labels::from_pairs(matchers.iter().map(|matcher| (&matcher.name, &matcher.value))), values)
}

/// `1 2+3x4 _x2 stale`: `None` is a gap. Native histograms are gaps, for our store holds none.
fn notation(text: &str) -> Vec<Option<f64>> {
    let mut values = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let is_histogram = rest.starts_with("{{");
        let mut end = if is_histogram { rest.find("}}").unwrap() + 2 } else { 0 };
        while let Some(more) =
            rest[end..].strip_prefix(['+', '-']).filter(|more| is_histogram && more.starts_with("{{"))
        {
            end += 1 + more.find("}}").unwrap() + 2;
        }
        end += rest[end..].find(char::is_whitespace).unwrap_or(rest.len() - end);
        let item = &rest[..end];
        rest = rest[end..].trim_start();
        let (base, times) = match item.rsplit_once('x').map(|(base, times)| (base, times.parse::<usize>())) {
            Some((base, Ok(times))) => (base, Some(times)),
            _ => (item, None),
        };
        match base {
            _ if is_histogram => values.extend(vec![None; times.map_or(1, |times| times + 1)]),
            "_" => values.extend(vec![None; times.unwrap_or(1)]),
            "stale" => values.push(Some(stale_nan())),
            _ => match (base.parse::<f64>(), times) {
                (Ok(value), None) => values.push(Some(value)),
                (Ok(value), Some(times)) => values.extend(vec![Some(value); times + 1]),
                (Err(_), Some(times)) => {
                    let (first, step) = progression(base);
                    let mut value = first;
                    for _ in 0..=times {
                        values.push(Some(value));
                        value += step;
                    }
                }
                (Err(_), None) => panic!("value {item:?}"),
            },
        }
    }
    values
}

/// `a+b` or `a-b`.
fn progression(text: &str) -> (f64, f64) {
    for (at, c) in text.char_indices().skip(1) {
        let after_exponent = text[..at].ends_with(['e', 'E']);
        if matches!(c, '+' | '-')
            && !after_exponent
            && let (Ok(first), Ok(step)) = (text[..at].parse(), text[at + 1..].parse::<f64>())
        {
            return (first, if c == '-' { -step } else { step });
        }
    }
    panic!("progression {text:?}");
}

#[derive(Default)]
struct Expected<'t> {
    fails: Option<Option<Text<'t>>>,
    warns: Option<Option<Text<'t>>>,
    infos: Option<Option<Text<'t>>>,
    no_warn: bool,
    no_info: bool,
    ordered: bool,
    string: Option<String>,
    range_vector: Option<(i64, i64, i64)>,
    lines: Vec<&'t str>,
}

/// A message in full or a regular expression for it.
#[derive(Clone, Copy)]
enum Text<'t> {
    Exactly(&'t str),
    Matching(&'t str),
}

impl Text<'_> {
    fn is_met(self, given: &str) -> bool {
        match self {
            Self::Exactly(text) => given == text,
            Self::Matching(pattern) => regex::Regex::new(pattern).unwrap().is_match(given),
        }
    }
}

fn message(text: &str) -> Option<Text<'_>> {
    let text = text.trim();
    if let Some(text) = text.strip_prefix("msg:") {
        return Some(Text::Exactly(text.trim()));
    }
    text.strip_prefix("regex:").map(|pattern| Text::Matching(pattern.trim()))
}

fn expected<'t>(command: &str, block: &[&'t str]) -> Expected<'t> {
    let mut expected = Expected {
        fails: command.contains("_fail").then_some(None),
        warns: command.contains("_warn").then_some(None),
        infos: command.contains("_info").then_some(None),
        ordered: command.contains("_ordered"),
        ..Expected::default()
    };
    for line in block {
        let Some(what) = line.strip_prefix("expect ") else {
            match line.strip_prefix("expected_fail_message ").or_else(|| line.strip_prefix("expected_fail_regexp ")) {
                Some(text) if line.starts_with("expected_fail_message") => {
                    expected.fails = Some(Some(Text::Exactly(text.trim())));
                }
                Some(text) => expected.fails = Some(Some(Text::Matching(text.trim()))),
                None => expected.lines.push(line),
            }
            continue;
        };
        let (what, rest) = what.trim().split_once(char::is_whitespace).unwrap_or((what.trim(), ""));
        match what {
            "fail" => expected.fails = Some(message(rest)),
            "warn" => expected.warns = Some(message(rest)),
            "info" => expected.infos = Some(message(rest)),
            "no_warn" => expected.no_warn = true,
            "no_info" => expected.no_info = true,
            "ordered" => expected.ordered = true,
            "string" => {
                let quotes = ['"', '`', '\''];
                expected.string = Some(rest.trim().trim_start_matches(quotes).trim_end_matches(quotes).to_owned());
            }
            "range" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                let ["vector", "from", from, "to", to, "step", step] = words[..] else { panic!("{line}") };
                expected.range_vector = Some((millis(from), millis(to), millis(step)));
            }
            // `fail msg:…` written without a blank.
            _ => panic!("unknown expectation {line:?}"),
        }
    }
    expected
}

async fn eval(engine: &Engine, command: &str, rest: &str, block: &[&str]) -> Result<(), String> {
    let expected = expected(command, block);
    let (kind, rest) = rest.split_once(char::is_whitespace).ok_or("no kind")?;
    if kind == "instant" {
        let rest = rest.trim_start().strip_prefix("at").ok_or("no time")?.trim_start();
        let (at, query) = rest.split_once(char::is_whitespace).ok_or("no query")?;
        let at = Timestamp(millis(at));
        let answer = engine.instant(query, at).await.map_err(|error| error.to_string());
        let Some(answer) = failure(&expected, answer)? else { return Ok(()) };
        annotations(&expected, &answer)?;
        instant_value(&expected, &answer.value, at)?;
        return in_the_middle_of_a_range(engine, &expected, query, at).await;
    }
    let mut words = rest.trim_start().splitn(7, char::is_whitespace);
    let mut word = |name: &str| {
        let found = words.next().ok_or_else(|| format!("no {name}"));
        found.and_then(
            |found| if found == name { Ok(words.next().unwrap_or_default()) } else { Err(format!("no {name}")) },
        )
    };
    let (from, to, step) = (millis(word("from")?), millis(word("to")?), millis(word("step")?));
    let query = words.next().ok_or("no query")?;
    let step_length = Duration::from_millis(u64::try_from(step).unwrap());
    let answer = engine.range(query, Timestamp(from), Timestamp(to), step_length).await;
    let Some(answer) = failure(&expected, answer.map_err(|error| error.to_string()))? else { return Ok(()) };
    annotations(&expected, &answer)?;
    let Value::Matrix(series_given) = &answer.value else { return Err("not a matrix".to_owned()) };
    let given = series_given.iter().map(|series| {
        let samples = series.samples.iter().map(|sample| (sample.time.0, sample.value)).collect();
        (series.labels.clone(), samples)
    });
    same_series(&wanted_series(&expected.lines, from, step), &given.collect::<Vec<_>>())
}

fn failure(expected: &Expected<'_>, answer: Result<QueryResult, String>) -> Result<Option<QueryResult>, String> {
    match (&expected.fails, answer) {
        (None, Ok(answer)) => Ok(Some(answer)),
        (None, Err(error)) => Err(format!("failed: {error}")),
        (Some(_), Ok(answer)) => Err(format!("should have failed, gave {:?}", answer.value)),
        (Some(None), Err(_)) => Ok(None),
        (Some(Some(text)), Err(error)) if text.is_met(&error) => Ok(None),
        (Some(Some(_)), Err(error)) => Err(format!("failed with another message: {error}")),
    }
}

fn annotations(expected: &Expected<'_>, answer: &QueryResult) -> Result<(), String> {
    for (name, wanted, forbidden, given) in [
        ("warning", &expected.warns, expected.no_warn, &answer.warnings),
        ("info", &expected.infos, expected.no_info, &answer.infos),
    ] {
        match wanted {
            Some(None) if given.is_empty() => return Err(format!("no {name}")),
            Some(Some(text)) if !given.iter().any(|given| text.is_met(given)) => {
                return Err(format!("another {name}: {given:?}"));
            }
            _ if forbidden && !given.is_empty() => return Err(format!("unexpected {name}: {given:?}")),
            _ => {}
        }
    }
    Ok(())
}

fn instant_value(expected: &Expected<'_>, value: &Value, at: Timestamp) -> Result<(), String> {
    match value {
        Value::Scalar(_, number) => match expected.lines[..] {
            [line] if line.parse::<f64>().is_ok_and(|wanted| close(wanted, *number)) => Ok(()),
            _ => Err(format!("scalar {number}, expected {:?}", expected.lines)),
        },
        Value::String(_, text) if expected.string.as_ref() == Some(text) => Ok(()),
        Value::String(_, text) => Err(format!("string {text:?}, expected {:?}", expected.string)),
        Value::Vector(samples) => {
            let given: Vec<_> =
                samples.iter().map(|sample| (sample.labels.clone(), vec![(sample.time.0, sample.value)])).collect();
            let wanted = wanted_series(&expected.lines, at.0, 1);
            if expected.ordered {
                let order = |series: &[(Labels, Vec<(i64, f64)>)]| -> Vec<Labels> {
                    series.iter().map(|(labels, _)| labels.clone()).collect()
                };
                if order(&wanted) != order(&given) {
                    return Err(format!("another order: {given:?}"));
                }
            }
            same_series(&wanted, &given)
        }
        Value::Matrix(series) => {
            let (from, to, step) = expected.range_vector.ok_or("unexpected range vector")?;
            let given = series.iter().map(|series| {
                let samples = series.samples.iter().map(|sample| (sample.time.0, sample.value)).collect();
                (series.labels.clone(), samples)
            });
            let mut wanted = wanted_series(&expected.lines, from, step);
            for (_, samples) in &mut wanted {
                samples.retain(|(time, _)| *time <= to);
            }
            same_series(&wanted, &given.collect::<Vec<_>>())
        }
    }
}

/// An instant's answer is also the middle of a range's.
async fn in_the_middle_of_a_range(
    engine: &Engine,
    expected: &Expected<'_>,
    query: &str,
    at: Timestamp,
) -> Result<(), String> {
    let minute = Duration::from_secs(60);
    let own_time = ["start()", "end()", "step()", "range()"].iter().any(|word| query.contains(word));
    let is_range = parse(query).is_ok_and(|expr| {
        matches!(
            expr.value_type(),
            yagura_collector::query::promql::ValueType::Scalar | yagura_collector::query::promql::ValueType::Vector
        )
    });
    if own_time || !is_range || expected.ordered || expected.lines.iter().any(|line| line.parse::<f64>().is_ok()) {
        return Ok(());
    }
    let answer = engine.range(query, at.minus(minute), at.plus(minute), minute).await;
    // Another instant of the range may fail where this one does not.
    let Ok(QueryResult { value: Value::Matrix(series), .. }) = answer else { return Ok(()) };
    let given: Vec<_> = series
        .iter()
        .filter_map(|series| {
            let sample = series.samples.iter().find(|sample| sample.time == at)?;
            Some((series.labels.clone(), vec![(sample.time.0, sample.value)]))
        })
        .collect();
    same_series(&wanted_series(&expected.lines, at.0, 1), &given).map_err(|fault| format!("as a range: {fault}"))
}

type Wanted = Vec<(Labels, Vec<(i64, f64)>)>;

fn wanted_series(lines: &[&str], from: i64, step: i64) -> Wanted {
    let wanted = lines.iter().map(|line| {
        if let Ok(number) = line.parse::<f64>() {
            return (Labels::empty(), vec![(from, number)]);
        }
        let (labels, values) = series(line);
        let histogram = values.contains("{{");
        let values = if histogram { vec![Some(f64::from_bits(0x7ff8_dead_0000_0000))] } else { notation(values) };
        let samples = values.into_iter().enumerate().filter_map(|(at, value)| Some((from + at as i64 * step, value?)));
        (labels, samples.collect())
    });
    wanted.collect()
}

fn same_series(wanted: &[(Labels, Vec<(i64, f64)>)], given: &[(Labels, Vec<(i64, f64)>)]) -> Result<(), String> {
    for (labels, samples) in wanted {
        if samples.first().is_some_and(|(_, value)| value.to_bits() == 0x7ff8_dead_0000_0000) {
            return Err(format!("{labels} should be a native histogram"));
        }
        let Some((_, found)) = given.iter().find(|(other, _)| other == labels) else {
            if samples.is_empty() {
                continue;
            }
            return Err(format!("{labels} is missing in {given:?}"));
        };
        let same = found.len() == samples.len()
            && found.iter().zip(samples).all(|(given, wanted)| given.0 == wanted.0 && close(wanted.1, given.1));
        if !same {
            return Err(format!("{labels} is {found:?}, expected {samples:?}"));
        }
    }
    for (labels, samples) in given {
        if !wanted.iter().any(|(other, _)| other == labels) {
            return Err(format!("unexpected {labels} {samples:?}"));
        }
    }
    Ok(())
}

fn close(wanted: f64, given: f64) -> bool {
    if wanted.is_nan() || given.is_nan() {
        return wanted.is_nan() && given.is_nan();
    }
    let difference = (wanted - given).abs();
    let sum = wanted.abs() + given.abs();
    if wanted == given {
        return true;
    }
    if wanted == 0.0 || given == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < 1e-6 * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < 1e-6
}
