//! Answers as Prometheus writes them: JSON put together by hand, because a range's answer is mostly numbers.

use yagura_model::{Labels, Timestamp};

use crate::{
    query::promql::{QueryResult, Stats, Value},
    storage::Series,
};

/// The body of a successful `query` or `query_range`.
pub(super) fn result(result: &QueryResult, with_stats: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(br#"{"status":"success","data":{"resultType":""#);
    let kind = match result.value {
        Value::Scalar(..) => "scalar",
        Value::String(..) => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    out.extend_from_slice(kind.as_bytes());
    // The type stands before the value, so that a reader knows what comes.
    out.extend_from_slice(br#"","result":"#);
    value(&mut out, &result.value);
    if with_stats {
        out.extend_from_slice(br#","stats":"#);
        json(&mut out, &stats(result.stats));
    }
    out.push(b'}');
    for (name, notes) in [("warnings", &result.warnings), ("infos", &result.infos)] {
        if !notes.is_empty() {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            json(&mut out, notes);
        }
    }
    out.push(b'}');
    out
}

fn stats(stats: Stats) -> serde_json::Value {
    let seconds = stats.elapsed.as_secs_f64();
    serde_json::json!({
        "timings": {
            "evalTotalTime": seconds, "resultSortTime": 0, "queryPreparationTime": 0, "innerEvalTime": seconds,
            "execQueueTime": 0, "execTotalTime": seconds,
        },
        "samples": {"totalQueryableSamples": stats.samples, "peakSamples": stats.peak_samples},
    })
}

fn json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    // Writing to memory cannot fail, and neither can these types.
    if let Ok(text) = serde_json::to_vec(value) {
        out.extend_from_slice(&text);
    }
}

fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Scalar(at, number) => sample(out, *at, *number),
        Value::String(at, text) => {
            out.push(b'[');
            time(out, *at);
            out.push(b',');
            json(out, text);
            out.push(b']');
        }
        Value::Vector(samples) => list(out, samples, |out, one| {
            metric(out, &one.labels);
            out.extend_from_slice(br#","value":"#);
            sample(out, one.time, one.value);
            out.push(b'}');
        }),
        Value::Matrix(series) => list(out, series, |out, one: &Series| {
            metric(out, &one.labels);
            out.extend_from_slice(br#","values":"#);
            list(out, &one.samples, |out, one| sample(out, one.time, one.value));
            out.push(b'}');
        }),
    }
}

fn list<T>(out: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn metric(out: &mut Vec<u8>, labels: &Labels) {
    out.extend_from_slice(br#"{"metric":"#);
    json(out, labels);
}

fn sample(out: &mut Vec<u8>, at: Timestamp, number: f64) {
    out.push(b'[');
    time(out, at);
    out.extend_from_slice(b",\"");
    out.extend_from_slice(float(number).as_bytes());
    out.extend_from_slice(b"\"]");
}

/// Seconds, with three digits behind the point when there are milliseconds.
fn time(out: &mut Vec<u8>, at: Timestamp) {
    let (seconds, millis) = (at.0.unsigned_abs() / 1000, at.0.unsigned_abs() % 1000);
    let sign = if at.0 < 0 { "-" } else { "" };
    let text = if millis == 0 { format!("{sign}{seconds}") } else { format!("{sign}{seconds}.{millis:03}") };
    out.extend_from_slice(text.as_bytes());
}

/// A value as Prometheus writes it: the shortest digits that give it back.
pub(crate) fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return format!("{number}");
    }
    let text = format!("{number:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{digits}e-{exponent:0>2}"),
        None => format!("{digits}e+{exponent:0>2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_prometheus_does() {
        let check = |number: f64, text: &str| assert_eq!(float(number), text);
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.5, "1.5");
        check(1e20, "100000000000000000000");
        check(1e21, "1e+21");
        check(1e-6, "0.000001");
        check(1.5e-7, "1.5e-07");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
        check(f64::NAN, "NaN");
    }

    #[test]
    fn times_have_milliseconds_only_when_there_are_any() {
        let check = |millis: i64, text: &str| {
            let mut out = Vec::new();
            time(&mut out, Timestamp(millis));
            assert_eq!(String::from_utf8(out).unwrap(), text);
        };
        check(1_435_781_430_781, "1435781430.781");
        check(1_000, "1");
        check(1_005, "1.005");
        check(-1_500, "-1.500");
    }
}
