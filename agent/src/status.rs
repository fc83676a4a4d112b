//! What works, what does not and why: one board that every part writes and `/status` shows.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

/// The state of every source; cheap to clone.
#[derive(Clone, Debug)]
pub struct Board {
    sources: Arc<Mutex<Vec<Source>>>,
    /// Counts changes of state; details change with every scrape and do not count.
    changes: watch::Sender<u64>,
}

/// One source as `/status` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Source {
    /// Its name in the config.
    pub name: &'static str,
    /// How it does.
    pub state: State,
    /// Why it is not `ok`; empty when it is.
    pub reason: String,
    /// What to do about it; empty when nothing is to be done.
    pub hint: &'static str,
    /// What else it tells.
    pub detail: BTreeMap<&'static str, Value>,
}

/// How a source does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All that it should see it sees.
    Ok,
    /// It sees a part.
    Degraded,
    /// It sees nothing.
    Missing,
}

/// One source's line on the board; cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusHandle {
    name: &'static str,
    board: Board,
}

impl Default for Board {
    fn default() -> Self {
        Self { sources: Arc::default(), changes: watch::Sender::new(0) }
    }
}

impl Board {
    /// A new line, `ok` until its source says otherwise.
    #[must_use]
    pub fn handle(&self, name: &'static str) -> StatusHandle {
        let source = Source { name, state: State::Ok, reason: String::new(), hint: "", detail: BTreeMap::new() };
        let mut sources = self.lock();
        if !sources.iter().any(|known| known.name == name) {
            sources.push(source);
        }
        drop(sources);
        StatusHandle { name, board: self.clone() }
    }

    /// Every source, in the order they were started.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        self.lock().clone()
    }

    /// Changes when the state of any source does.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StatusHandle {
    /// All that it should see it sees.
    pub fn ok(&self) {
        self.change(State::Ok, String::new(), "");
    }

    /// It sees a part: why, and what to do about it.
    pub fn degraded(&self, reason: impl Into<String>, hint: &'static str) {
        self.change(State::Degraded, reason.into(), hint);
    }

    /// It sees nothing: why, and what to do about it.
    pub fn missing(&self, reason: impl Into<String>, hint: &'static str) {
        self.change(State::Missing, reason.into(), hint);
    }

    /// Adds a detail to `/status`, or replaces it.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        let value = value.into();
        self.with(|source| source.detail.insert(key, value));
    }

    /// The line as it is now.
    #[must_use]
    pub fn current(&self) -> Option<Source> {
        self.board.lock().iter().find(|source| source.name == self.name).cloned()
    }

    fn change(&self, state: State, reason: String, hint: &'static str) {
        let changed = self.with(|source| {
            let changed = (source.state, &source.reason) != (state, &reason);
            (source.state, source.reason, source.hint) = (state, reason.clone(), hint);
            changed
        });
        if changed != Some(true) {
            return;
        }
        match state {
            State::Ok => tracing::info!(source = self.name, "source works"),
            State::Degraded => tracing::warn!(source = self.name, reason, hint, "source sees only a part"),
            State::Missing => tracing::warn!(source = self.name, reason, hint, "source sees nothing"),
        }
        self.board.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn with<T>(&self, change: impl FnOnce(&mut Source) -> T) -> Option<T> {
        self.board.lock().iter_mut().find(|source| source.name == self.name).map(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_tells_changes_of_state_but_not_of_details() {
        let board = Board::default();
        let (docker, mut changes) = (board.handle("docker"), board.changes());
        docker.set("containers", 3);
        docker.ok();
        assert!(!changes.has_changed().unwrap());
        docker.missing("no socket", "mount it");
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        docker.missing("no socket", "mount it");
        assert!(!changes.has_changed().unwrap(), "the same again is no news");
        let expected = serde_json::json!([{
            "name": "docker", "state": "missing", "reason": "no socket", "hint": "mount it",
            "detail": {"containers": 3},
        }]);
        assert_eq!(serde_json::to_value(board.sources()).unwrap(), expected);
    }
}
