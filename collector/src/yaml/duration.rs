//! Durations as Prometheus writes them: `30s`, `1h30m`, `1d`.

use std::{fmt::Write as _, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Units from long to short, in milliseconds, in the order they must be written.
const UNITS: &[(&str, u64)] = &[
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// The duration a text means: one or more whole numbers with the units `y w d h m s ms`, each at most once, longest
/// first; or a bare `0`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0_u64;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at_checked(digits)?;
        let length = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at_checked(length)?;
        let place = UNITS.iter().position(|(name, _)| *name == unit).filter(|place| *place >= next_unit)?;
        let (_, millis) = UNITS.get(place)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*millis)?)?;
        next_unit = place + 1;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

/// The text of a duration, by the longest units that say it exactly.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, millis) in UNITS {
        // Years and weeks only when nothing is left over, as Prometheus does.
        let exact_only = matches!(*unit, "y" | "w");
        if left < *millis || (exact_only && !left.is_multiple_of(*millis)) {
            continue;
        }
        let _infallible = write!(text, "{}{unit}", left / millis);
        left %= millis;
    }
    text
}

/// A duration in a config or rule file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationText(pub Duration);

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text)
            .map(Self)
            .ok_or_else(|| de::Error::custom(format!("not a duration: `{text}`; write it like `30s`, `5m` or `1h30m`")))
    }
}

impl Serialize for DurationText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        for (text, millis) in
            [("30s", 30_000), ("1h30m", 5_400_000), ("0", 0), ("0s", 0), ("1d", 86_400_000), ("1s500ms", 1500)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "5", "1m1h", "1m1m", "1.5h", "-1s", "1 s", "99999999999999999999s", "9999999999999999w"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_prometheus_writes_them() {
        for (millis, text) in [(0, "0s"), (90_000, "1m30s"), (604_800_000, "1w"), (691_200_000, "8d"), (1001, "1s1ms")]
        {
            assert_eq!(format_duration(Duration::from_millis(millis)), text);
        }
    }
}
