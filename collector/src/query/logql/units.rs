//! Durations and sizes in queries and in log lines, as Go programs write them.

/// Seconds of `1h30m`, `250ms`, `1.5s`, `-2us`, `1d`.
pub(super) fn duration(text: &str) -> Option<f64> {
    // Parts of a second divide, so that 9ms is the float nearest to 0.009.
    const UNITS: &[(&str, f64, f64)] = &[
        ("ns", 1.0, 1e9),
        ("us", 1.0, 1e6),
        ("µs", 1.0, 1e6),
        ("ms", 1.0, 1e3),
        ("s", 1.0, 1.0),
        ("m", 60.0, 1.0),
        ("h", 3600.0, 1.0),
        ("d", 86_400.0, 1.0),
        ("w", 604_800.0, 1.0),
        ("y", 31_536_000.0, 1.0),
    ];
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    if rest == "0" {
        return Some(0.0);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, unit, left) = quantity(rest)?;
        let (_, times, parts) = UNITS.iter().find(|(name, ..)| *name == unit)?;
        seconds += number * times / parts;
        rest = left;
    }
    (!text.is_empty()).then_some(sign * seconds)
}

/// Bytes of `5MB`, `1.5GiB`, `20kb`, `512`.
pub(super) fn bytes(text: &str) -> Option<f64> {
    const UNITS: &[(&str, f64)] = &[
        ("", 1.0),
        ("b", 1.0),
        ("k", 1e3),
        ("kb", 1e3),
        ("kib", 1024.0),
        ("m", 1e6),
        ("mb", 1e6),
        ("mib", 1_048_576.0),
        ("g", 1e9),
        ("gb", 1e9),
        ("gib", 1_073_741_824.0),
        ("t", 1e12),
        ("tb", 1e12),
        ("tib", 1_099_511_627_776.0),
    ];
    let (number, unit, rest) = quantity(text.trim())?;
    let unit = unit.to_ascii_lowercase();
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    rest.is_empty().then_some(number * size)
}

/// The number and the unit that a text begins with, and what is left.
fn quantity(text: &str) -> Option<(f64, &str, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(number_end)?;
    let rest = rest.trim_start();
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(unit_end)?;
    Some((number.parse().ok()?, unit, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        assert_eq!(duration("1h30m"), Some(5400.0));
        assert_eq!(duration("1.5ms"), Some(0.0015));
        assert_eq!(duration("9ms"), Some(0.009));
        assert_eq!(duration("-2s"), Some(-2.0));
        assert_eq!(duration("5"), None);
        assert_eq!(duration(""), None);
        assert_eq!(bytes("1.5 KiB"), Some(1536.0));
        assert_eq!(bytes("20MB"), Some(2e7));
        assert_eq!(bytes("512"), Some(512.0));
        assert_eq!(bytes("fast"), None);
    }
}
