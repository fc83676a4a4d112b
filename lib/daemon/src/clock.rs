//! The one reader of the wall clock. Logic takes `now` as an argument; only loops and edges call this.

use std::time::{SystemTime, UNIX_EPOCH};

use yagura_model::{Nanos, Timestamp};

/// The wall clock, in nanoseconds. A clock set before 1970 reads as 0.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now_nanos() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The wall clock, in milliseconds.
#[must_use]
pub fn now() -> Timestamp {
    now_nanos().to_timestamp()
}
