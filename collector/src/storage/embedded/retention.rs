//! Old days are dropped whole: first what is past retention, then the oldest until the directory fits its size.
//! Runs in the committer, the only one who writes and drops.

use std::sync::atomic::Ordering::Relaxed;

use fjall::Keyspace;
use yagura_model::Timestamp;

use super::{
    Store,
    coding::Input,
    keyspaces::{Change, Day, Kind, Space},
};

/// So many entries about files, queues, series and streams are forgotten at a time.
const FORGOTTEN_AT_ONCE: usize = 10_000;

/// Drops what is too old or too much.
pub(super) fn run(store: &Store, now: Timestamp) -> Result<(), fjall::Error> {
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
    shrink(store)
}

/// The changes that forget files and queues, series and streams that got nothing for longer than everything is kept.
pub(super) fn forget(store: &Store, now: Timestamp) -> Vec<Change> {
    let retention = store.config.retention.metrics.0.max(store.config.retention.logs.0);
    let Day(kept) = Day(Day::of(now.minus(retention)).0.saturating_sub(1));
    let mut changes = Vec::new();
    // All of these values begin with the day they were last touched.
    let mut old = |keyspace: &Keyspace, space| {
        for item in keyspace.iter() {
            let Ok((key, value)) = item.into_inner() else { break };
            if changes.len() >= FORGOTTEN_AT_ONCE {
                break;
            }
            if Input(&value).signed().is_some_and(|touched| touched < i64::from(kept)) {
                changes.push(Change::delete(space, key.to_vec()));
            }
        }
    };
    old(&store.keyspaces.ranges, Space::Ranges);
    old(&store.keyspaces.marks, Space::Marks);
    changes
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
