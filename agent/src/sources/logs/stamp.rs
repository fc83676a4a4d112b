//! RFC 3339 times as runtimes write them: any number of fraction digits, `Z` or an offset.

use yagura_model::Nanos;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Reads times; remembers the midnight of the last date, since a log hardly ever changes its date.
#[derive(Clone, Debug, Default)]
pub(crate) struct StampReader {
    date: [u8; 10],
    midnight: i64,
}

impl StampReader {
    /// The instant that `text` says.
    pub(crate) fn read(&mut self, text: &[u8]) -> Option<Nanos> {
        let (date, rest) = text.split_first_chunk::<10>()?;
        let [b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = rest else { return None };
        if *date != self.date {
            self.midnight = midnight(date)?;
            self.date = *date;
        }
        let (hours, minutes, seconds) = (two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?);
        if hours > 23 || minutes > 59 || seconds > 60 {
            return None;
        }
        let (fraction, zone) = fraction(rest)?;
        let seconds = self.midnight + hours * 3600 + minutes * 60 + seconds - offset(zone)?;
        Some(Nanos(seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(fraction)?))
    }
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// Nanoseconds of `.123…`, and what follows. Digits past the ninth are left out.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(mut rest) = text.strip_prefix(b".") else { return Some((0, text)) };
    let (mut nanos, mut scale) = (0, NANOS_PER_SECOND);
    while let Some((byte, after)) = rest.split_first() {
        let Some(value) = digit(*byte) else { break };
        scale /= 10;
        nanos += value * scale;
        rest = after;
    }
    (scale < NANOS_PER_SECOND).then_some((nanos, rest))
}

/// Seconds by which local time is ahead.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let ahead = two(*h1, *h2)? * 3600 + two(*m1, *m2)? * 60;
            Some(if *sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

/// Seconds from the epoch to the start of a date, in UTC.
fn midnight(date: &[u8; 10]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return None };
    let year = i16::try_from(two(*y1, *y2)? * 100 + two(*y3, *y4)?).ok()?;
    let (month, day) = (i8::try_from(two(*m1, *m2)?).ok()?, i8::try_from(two(*d1, *d2)?).ok()?);
    let date = jiff::civil::Date::new(year, month, day).ok()?;
    let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(StampReader::default().read(text.as_bytes()), expected.map(Nanos), "{text}");
    }

    #[test]
    fn every_width_and_zone_is_read() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("1970-01-01T00:00:01.5Z", Some(1_500_000_000));
        check("2026-11-20T08:48:34.46118132Z", Some(1_795_164_514_461_181_320));
        check("2026-11-20T17:48:34.46118132+09:00", Some(1_795_164_514_461_181_320));
        check("2026-11-20T00:48:34.461181320-08:00", Some(1_795_164_514_461_181_320));
        check("1970-01-01T00:00:00.0000000019Z", Some(1));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in ["", "2026-11-20", "2026-13-20T00:00:00Z", "2026-11-20T24:00:00Z", "2026-11-20T00:00:00."] {
            check(text, None);
        }
        check("2026-11-20T00:00:00.Z", None);
        check("2026-11-20T00:00:00", None);
        check("2026-11-20T00:00:00+9", None);
    }

    #[test]
    fn a_bad_date_does_not_stay_remembered() {
        let mut reader = StampReader::default();
        assert_eq!(reader.read(b"2026-99-20T00:00:00Z"), None);
        assert_eq!(reader.read(b"2026-99-20T00:00:00Z"), None);
        assert_eq!(reader.read(b"1970-01-02T00:00:00Z"), Some(Nanos(86_400_000_000_000)));
        assert_eq!(reader.read(b"1970-01-01T00:00:00Z"), Some(Nanos(0)));
    }
}
