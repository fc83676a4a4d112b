//! Parameters of the Loki API: nanoseconds, steps with units, limits and directions.

use std::{ops::Range, time::Duration};

use http::StatusCode;
use yagura_daemon::clock;
use yagura_model::{Nanos, Timestamp};

use crate::{
    api::prometheus::{Params, parse_duration},
    query::logql::{self, Error},
    storage::{self, Direction, Matcher},
};

const HOUR: i64 = 3600 * 1_000_000_000;
/// Entries of an answer when nobody says how many, and at most.
pub(super) const DEFAULT_LIMIT: usize = 100;
const MOST_ENTRIES: usize = 5000;

/// Parameters of a request, read as Loki reads them.
pub(super) struct Parameters<'a>(pub(super) &'a Params);

impl Parameters<'_> {
    pub(super) fn required(&self, name: &'static str) -> Result<&str, Failure> {
        self.0.get(name).ok_or_else(|| Failure::bad(format!("parameter `{name}` is missing")))
    }

    pub(super) fn time(&self, name: &str, default: Nanos) -> Result<Nanos, Failure> {
        let Some(text) = self.0.get(name) else { return Ok(default) };
        time(text)
            .ok_or_else(|| Failure::bad(format!("`{text}` is no time for `{name}`: nanoseconds, seconds or RFC 3339")))
    }

    /// `start` and `end`, or the last `hours`.
    pub(super) fn range(&self, hours: i64) -> Result<Range<Nanos>, Failure> {
        let end = self.time("end", clock::now_nanos())?;
        let since = self
            .0
            .get("since")
            .and_then(parse_duration)
            .map(|since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
        let start = self.time("start", Nanos(end.0.saturating_sub(since.unwrap_or(hours * HOUR))))?;
        if end < start {
            return Err(Failure::bad("`end` is before `start`".to_owned()));
        }
        Ok(start..end)
    }

    pub(super) fn limit(&self) -> Result<usize, Failure> {
        let Some(text) = self.0.get("limit") else { return Ok(DEFAULT_LIMIT) };
        let limit: usize = text.parse().map_err(|_| Failure::bad(format!("`{text}` is no number for `limit`")))?;
        if limit > MOST_ENTRIES {
            return Err(Failure::bad(format!("`limit` is at most {MOST_ENTRIES}; ask for a shorter range instead")));
        }
        Ok(if limit == 0 { DEFAULT_LIMIT } else { limit })
    }

    pub(super) fn direction(&self) -> Result<Direction, Failure> {
        match self.0.get("direction").map(str::to_ascii_lowercase).as_deref() {
            None | Some("backward") => Ok(Direction::Backward),
            Some("forward") => Ok(Direction::Forward),
            Some(other) => Err(Failure::bad(format!("`{other}` is no direction; use forward or backward"))),
        }
    }

    /// The step of a range query: as asked, else the range in about 250 parts.
    pub(super) fn step(&self, range: &Range<Nanos>) -> Result<Duration, Failure> {
        let Some(text) = self.0.get("step") else {
            let parts = u64::try_from((range.end.0 - range.start.0) / 250).unwrap_or(0);
            return Ok(Duration::from_nanos(parts.max(1_000_000_000)));
        };
        let step = parse_duration(text).filter(|step| !step.is_zero());
        step.ok_or_else(|| Failure::bad(format!("`{text}` is no step; use seconds or a duration such as 15s")))
    }

    /// The stream selector of `query`, or none.
    pub(super) fn selector(&self) -> Result<Vec<Matcher>, Failure> {
        let Some(query) = self.0.get("query").filter(|query| *query != "{}") else { return Ok(Vec::new()) };
        Ok(logql::parse_selector(query).map_err(Error::from)?.iter().map(logql::stored).collect())
    }
}

/// Nanoseconds, seconds (with a fraction) or RFC 3339. A number is taken for nanoseconds when it is too large for
/// seconds: 10^12 s is the year 33658.
fn time(text: &str) -> Option<Nanos> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(Nanos(if number.abs() < 1_000_000_000_000 {
            number.saturating_mul(1_000_000_000)
        } else {
            number
        }));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds.is_finite().then(|| Timestamp::from_seconds(seconds).to_nanos());
    }
    let parsed: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(parsed.as_nanosecond()).ok().map(Nanos)
}

/// An answer that is an error; Grafana shows `message`.
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn bad(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Parse(_) | Error::BadRange(_) => StatusCode::BAD_REQUEST,
            Error::Execution(_) | Error::TooMuch { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Timeout(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Storage(error) => return Self::of_storage(error),
        };
        Self { status, message: error.to_string() }
    }
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Self {
        Self::of_storage(&error)
    }
}

impl Failure {
    fn of_storage(error: &storage::Error) -> Self {
        let status = match error {
            storage::Error::TooMuch { .. } | storage::Error::Malformed(_) => StatusCode::UNPROCESSABLE_ENTITY,
            storage::Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            storage::Error::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_three_dresses() {
        assert_eq!(time("1700000000"), Some(Nanos(1_700_000_000_000_000_000)));
        assert_eq!(time("1700000000.5"), Some(Nanos(1_700_000_000_500_000_000)));
        assert_eq!(time("1700000000000000001"), Some(Nanos(1_700_000_000_000_000_001)));
        assert_eq!(time("2023-11-14T22:13:20Z"), Some(Nanos(1_700_000_000_000_000_000)));
        assert_eq!(time("soon"), None);
        assert_eq!(time("NaN"), None);
    }
}
