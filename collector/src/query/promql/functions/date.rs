//! Parts of dates, in UTC.

use jiff::{Timestamp, Zoned, tz::TimeZone};

use super::{super::ast::ValueType::Vector, Body, Function};

pub(super) const LIST: &[Function] = &[
    part("year", |seconds| of(seconds, |date| f64::from(date.year()))),
    part("month", |seconds| of(seconds, |date| f64::from(date.month()))),
    part("day_of_month", |seconds| of(seconds, |date| f64::from(date.day()))),
    part("day_of_year", |seconds| of(seconds, |date| f64::from(date.day_of_year()))),
    part("day_of_week", |seconds| of(seconds, |date| f64::from(date.weekday().to_sunday_zero_offset()))),
    part("days_in_month", |seconds| of(seconds, |date| f64::from(date.days_in_month()))),
    part("hour", |seconds| of(seconds, |date| f64::from(date.hour()))),
    part("minute", |seconds| of(seconds, |date| f64::from(date.minute()))),
];

const fn part(name: &'static str, read: fn(f64) -> f64) -> Function {
    Function { variadic: 1, reads_time: true, ..Function::new(name, &[Vector], Vector, Body::Time(read)) }
}

/// A part of the date that is `seconds` after the epoch; NaN when there is no such date.
fn of(seconds: f64, read: impl Fn(&Zoned) -> f64) -> f64 {
    if seconds.is_nan() {
        return f64::NAN;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, and no date is that far away")]
    match Timestamp::from_second(seconds as i64) {
        Ok(time) => read(&time.to_zoned(TimeZone::UTC)),
        Err(_) => f64::NAN,
    }
}
