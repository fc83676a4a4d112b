//! Old days are dropped whole: first what is past retention, then the oldest until the directory fits its size.
//! Runs in the committer, the only one who writes and drops.

use std::sync::atomic::Ordering::Relaxed;

use yagura_model::Timestamp;

use super::{
    Store, delivered,
    keyspaces::{Change, Day, Kind},
};

/// Entries about delivered files that are looked through and dropped at a time.
const EXPIRED_AT_ONCE: usize = 10_000;

/// Drops what is too old or too much; gives the changes that forget what was delivered long ago.
pub(super) fn run(store: &Store, now: Timestamp) -> Result<Vec<Change>, fjall::Error> {
    for (kind, retention) in
        [(Kind::Metrics, store.config.retention.metrics), (Kind::Logs, store.config.retention.logs)]
    {
        let oldest = now.minus(retention.0);
        for day in store.keyspaces.days(kind) {
            if day.end() <= oldest {
                drop_day(store, kind, day)?;
            }
        }
    }
    shrink(store)?;
    Ok(delivered::expired(store, delivered::kept_since(store, now), EXPIRED_AT_ONCE))
}

/// Drops the oldest days until the directory fits; the newest day of each kind stays, whatever its size.
fn shrink(store: &Store) -> Result<(), fjall::Error> {
    while store.keyspaces.db.disk_space()? > store.config.size.0 {
        let oldest = |kind: Kind| {
            let days = store.keyspaces.days(kind);
            days.first().filter(|_| days.len() > 1).map(|day| (*day, kind))
        };
        let Some((day, kind)) = [Kind::Metrics, Kind::Logs].into_iter().filter_map(oldest).min() else { break };
        tracing::warn!(%day, ?kind, size = store.config.size.0, "dropping the oldest day: the store is over its size");
        drop_day(store, kind, day)?;
    }
    Ok(())
}

fn drop_day(store: &Store, kind: Kind, day: Day) -> Result<(), fjall::Error> {
    // First nothing of that day is accepted any more, then it goes: it must not come back half.
    store.raise_floor(kind, Day(day.0.saturating_add(1)));
    store.keyspaces.drop_day(kind, day)?;
    match kind {
        Kind::Metrics => store.metrics.indexes.forget(day),
        Kind::Logs => store.logs.indexes.forget(day),
    }
    store.counters.dropped_days.fetch_add(1, Relaxed);
    Ok(())
}
