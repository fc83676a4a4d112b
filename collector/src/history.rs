//! What happened, newest first: a bounded list in the state store.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use yagura_model::Timestamp;

use crate::storage::{Error, StateStore};

/// One list; cheap to clone.
#[derive(Clone, Debug)]
pub struct History {
    state: Arc<dyn StateStore>,
    area: &'static str,
    max: usize,
    /// The keys that are held, oldest first, and the number of the next one.
    keys: Arc<Mutex<(VecDeque<String>, u64)>>,
}

impl History {
    /// The list kept in `area`, of at most `max` entries.
    pub fn open(state: Arc<dyn StateStore>, area: &'static str, max: usize) -> Result<Self, Error> {
        let keys: VecDeque<String> = state.list(area)?.into_iter().map(|(key, _)| key).collect();
        let last = keys.back().and_then(|key| key.rsplit('-').next()).and_then(|number| number.parse().ok());
        let next = last.map_or(0, |last: u64| last + 1);
        Ok(Self { state, area, max, keys: Arc::new(Mutex::new((keys, next))) })
    }

    /// Adds entries; the oldest make room. Durable when it returns.
    pub async fn add<T: Serialize>(&self, now: Timestamp, entries: &[T]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::with_capacity(entries.len() * 2);
        {
            let mut held = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let (keys, next) = &mut *held;
            for entry in entries {
                let Ok(bytes) = serde_json::to_vec(entry) else { continue };
                let key = format!("{:015}-{next:012}", now.0.max(0));
                *next += 1;
                keys.push_back(key.clone());
                changes.push((key, Some(bytes)));
            }
            while keys.len() > self.max {
                changes.extend(keys.pop_front().map(|key| (key, None)));
            }
        }
        self.state.write(self.area, changes).await
    }

    /// The newest entries first.
    pub fn newest(&self, limit: usize) -> Result<Vec<serde_json::Value>, Error> {
        let entries = self.state.list(self.area)?;
        let read = |(_, bytes): &(String, Vec<u8>)| serde_json::from_slice(bytes).ok();
        Ok(entries.iter().rev().filter_map(read).take(limit).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory;

    #[tokio::test]
    async fn the_oldest_entries_make_room_and_the_rest_survives_a_restart() {
        let state = memory::open().state;
        let history = History::open(Arc::clone(&state), "test", 3).unwrap();
        history.add(Timestamp(5), &[1, 2]).await.unwrap();
        history.add(Timestamp(5), &[3, 4]).await.unwrap();
        assert_eq!(history.newest(10).unwrap(), [4, 3, 2]);
        let again = History::open(state, "test", 3).unwrap();
        again.add(Timestamp(6), &[5]).await.unwrap();
        assert_eq!(again.newest(2).unwrap(), [5, 4]);
        assert_eq!(again.newest(10).unwrap(), [5, 4, 3]);
    }
}
