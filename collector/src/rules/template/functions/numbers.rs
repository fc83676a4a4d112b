//! Numbers and times for people: the `humanize` family.

use super::{Error, Value, format_general, format_shortest, not_finite, wrong};
use yagura_daemon::config::DurationText;

pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let [value] = arguments else {
        return Err(wrong(name, arguments));
    };
    if name == "parseDuration" {
        let text = value.print();
        let DurationText(duration) = text.parse().map_err(|_| Error::new(format!("not a duration: {text:?}")))?;
        return Ok(Value::Float(duration.as_secs_f64()));
    }
    let Some(number) = value.number() else {
        return Err(Error::new(format!("{name} needs a number, not {:?}", value.print())));
    };
    Ok(match name {
        "humanize" => humanize(number).into(),
        "humanize1024" => humanize_1024(number).into(),
        "humanizeDuration" => humanize_duration(number).into(),
        "humanizePercentage" => format!("{}%", format_general(number * 100.0, 4)).into(),
        // Times stay numbers here; only `humanizeTimestamp` shows them.
        "toTime" => Value::Float(number),
        _ => humanize_timestamp(number).into(),
    })
}

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_general(value, 4);
    }
    let scale = |mut value: f64, prefixes: &[&str], step: fn(f64) -> f64, enough: fn(f64) -> bool| {
        let mut chosen = "";
        for prefix in prefixes {
            if enough(value) {
                break;
            }
            chosen = prefix;
            value = step(value);
        }
        format!("{}{chosen}", format_general(value, 4))
    };
    if value.abs() >= 1.0 {
        scale(value, &["k", "M", "G", "T", "P", "E", "Z", "Y"], |v| v / 1000.0, |v| v.abs() < 1000.0)
    } else {
        scale(value, &["m", "u", "n", "p", "f", "a", "z", "y"], |v| v * 1000.0, |v| v.abs() >= 1.0)
    }
}

pub(super) fn humanize_1024(mut value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return format_general(value, 4);
    }
    let mut chosen = "";
    for prefix in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if value.abs() < 1024.0 {
            break;
        }
        chosen = prefix;
        value /= 1024.0;
    }
    format!("{}{chosen}", format_general(value, 4))
}

#[expect(clippy::cast_possible_truncation, reason = "whole seconds of a duration that people read; casts saturate")]
fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() < 1.0 {
        let mut small = value;
        let mut chosen = "";
        for prefix in ["m", "u", "n", "p", "f", "a", "z", "y"] {
            if small.abs() >= 1.0 {
                break;
            }
            chosen = prefix;
            small *= 1000.0;
        }
        return format!("{}{chosen}s", format_general(small, 4));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let total = value.abs() as i64;
    let (seconds, minutes, hours, days) = (total % 60, total / 60 % 60, total / 3600 % 24, total / 86_400);
    if days > 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours > 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", format_general(value.abs(), 4))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, and jiff refuses what is out of range")]
fn humanize_timestamp(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    let Ok(time) = jiff::Timestamp::from_nanosecond((value * 1e9).round() as i128) else {
        return format_shortest(value);
    };
    // The form of Go's `Time.String()`, which Prometheus shows.
    let fraction = time.strftime("%.f").to_string();
    format!("{}{fraction} +0000 UTC", time.strftime("%Y-%m-%d %H:%M:%S"))
}
