//! Times of the week at which people are told, or are not: Alertmanager's `time_intervals`.

use jiff::{Timestamp as Instant, Zoned, tz::TimeZone};
use serde::Deserialize;
use yagura_model::Timestamp;

/// A named set of times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// What routes call it.
    pub name: String,
    /// Any of these.
    pub time_intervals: Vec<Interval>,
}

/// All of these must hold; an empty list holds always.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Interval {
    times: Vec<RawTimes>,
    weekdays: Vec<String>,
    days_of_month: Vec<String>,
    months: Vec<String>,
    years: Vec<String>,
    location: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimes {
    start_time: String,
    end_time: String,
}

/// An interval that was read without error.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Minutes of the day, the last one not included.
    minutes: Vec<(i16, i16)>,
    weekdays: Vec<(i16, i16)>,
    /// Negative days count from the end of the month.
    days: Vec<(i16, i16)>,
    months: Vec<(i16, i16)>,
    years: Vec<(i16, i16)>,
    zone: TimeZone,
}

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl Interval {
    /// The interval, or the key that is wrong and why.
    pub fn check(&self) -> Result<Checked, (&'static str, String)> {
        let mut minutes = Vec::new();
        for times in &self.times {
            let read = |text: &str| {
                minute(text).ok_or_else(|| ("times", format!("expected a time such as 09:00, found `{text}`")))
            };
            let (start, end) = (read(&times.start_time)?, read(&times.end_time)?);
            if start >= end {
                return Err(("times", format!("`{}` is not before `{}`", times.start_time, times.end_time)));
            }
            minutes.push((start, end));
        }
        let zone = match self.location.as_deref() {
            None | Some("UTC") => TimeZone::UTC,
            Some("Local") => TimeZone::system(),
            Some(name) => TimeZone::get(name)
                .map_err(|_| ("location", format!("`{name}` is not a time zone such as Asia/Tokyo")))?,
        };
        Ok(Checked {
            minutes,
            weekdays: ranges("weekdays", &self.weekdays, |text| word(text, &WEEKDAYS, 0), 0..=6)?,
            days: ranges("days_of_month", &self.days_of_month, |text| text.parse().ok(), -31..=31)?,
            months: ranges("months", &self.months, |text| word(text, &MONTHS, 1), 1..=12)?,
            years: ranges("years", &self.years, |text| text.parse().ok(), 0..=9999)?,
            zone,
        })
    }
}

fn minute(text: &str) -> Option<i16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (i16, i16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours * 60 + minutes;
    ((0..=24).contains(&hours) && (0..60).contains(&minutes) && total <= 24 * 60).then_some(total)
}

fn word(text: &str, words: &[&str], first: i16) -> Option<i16> {
    let lower = text.to_lowercase();
    let named = words.iter().position(|word| *word == lower).and_then(|place| i16::try_from(place).ok());
    named.map(|place| place + first).or_else(|| text.parse().ok())
}

/// Reads `a:b` and `a`.
fn ranges(
    key: &'static str,
    texts: &[String],
    read: impl Fn(&str) -> Option<i16>,
    allowed: std::ops::RangeInclusive<i16>,
) -> Result<Vec<(i16, i16)>, (&'static str, String)> {
    let mut ranges = Vec::with_capacity(texts.len());
    for text in texts {
        let (start, end) = text.split_once(':').unwrap_or((text, text));
        let bounds = read(start.trim()).zip(read(end.trim()));
        let good = bounds.filter(|(start, end)| {
            let ordered = start <= end || (*start > 0 && *end < 0);
            allowed.contains(start) && allowed.contains(end) && ordered && !(key == "days_of_month" && *start == 0)
        });
        ranges.push(good.ok_or_else(|| (key, format!("`{text}` is not a range of {}", key.replace('_', " "))))?);
    }
    Ok(ranges)
}

impl Checked {
    /// Whether an instant lies in it.
    #[must_use]
    pub fn contains(&self, now: Timestamp) -> bool {
        let Ok(instant) = Instant::from_millisecond(now.0) else { return false };
        let time: Zoned = instant.to_zoned(self.zone.clone());
        let within = |ranges: &[(i16, i16)], value: i16| {
            ranges.is_empty() || ranges.iter().any(|(start, end)| (*start..=*end).contains(&value))
        };
        let minute = i16::from(time.hour()) * 60 + i16::from(time.minute());
        let in_minutes =
            self.minutes.is_empty() || self.minutes.iter().any(|(start, end)| (*start..*end).contains(&minute));
        let last_day = i16::from(time.days_in_month());
        let day = |day: i16| if day < 0 { last_day + day + 1 } else { day };
        let days: Vec<(i16, i16)> = self.days.iter().map(|(start, end)| (day(*start), day(*end))).collect();
        in_minutes
            && within(&self.weekdays, i16::from(time.weekday().to_sunday_zero_offset()))
            && within(&days, i16::from(time.day()))
            && within(&self.months, i16::from(time.month()))
            && within(&self.years, time.year())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(yaml: &str) -> Interval {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[track_caller]
    fn check(yaml: &str, time: &str, expected: bool) {
        let now = time.parse::<Instant>().unwrap().as_millisecond();
        assert_eq!(interval(yaml).check().unwrap().contains(Timestamp(now)), expected, "{yaml} at {time}");
    }

    #[test]
    fn office_hours_end_at_the_minute() {
        let office = "{times: [{start_time: '09:00', end_time: '17:00'}], weekdays: ['monday:friday']}";
        check(office, "2026-11-20T09:00:00Z", true);
        check(office, "2026-11-20T16:59:59Z", true);
        check(office, "2026-11-20T17:00:00Z", false);
        check(office, "2026-11-21T12:00:00Z", false);
    }

    #[test]
    fn days_count_from_the_end_of_the_month_and_months_have_names() {
        check("{days_of_month: ['-1']}", "2026-02-28T12:00:00Z", true);
        check("{days_of_month: ['1:-2']}", "2026-02-28T12:00:00Z", false);
        check("{months: ['november:december', '3'], years: ['2026']}", "2026-03-01T00:00:00Z", true);
        check("{months: ['november:december']}", "2026-10-01T00:00:00Z", false);
    }

    #[test]
    fn the_zone_decides_which_day_it_is() {
        check("{weekdays: [saturday], location: Asia/Tokyo}", "2026-11-20T16:00:00Z", true);
        check("{weekdays: [saturday]}", "2026-11-20T16:00:00Z", false);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |yaml: &str| interval(yaml).check().unwrap_err();
        assert_eq!(wrong("{weekdays: ['friday:monday']}").1, "`friday:monday` is not a range of weekdays");
        assert_eq!(
            wrong("{times: [{start_time: '25:00', end_time: '26:00'}]}"),
            ("times", "expected a time such as 09:00, found `25:00`".to_owned())
        );
        assert_eq!(wrong("{location: Nowhere}").1, "`Nowhere` is not a time zone such as Asia/Tokyo");
        assert_eq!(wrong("{days_of_month: ['0']}").1, "`0` is not a range of days of month");
    }
}
