//! Which checks there are, what their runs found, and what follows: the verdict.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use yagura_model::Timestamp;

use super::{file::Check, run::Run};
use crate::storage::{self, StateStore};

/// Where runs are kept.
const AREA: &str = "check_runs";
/// Runs kept of each check: eight hours at the usual interval.
const KEPT: usize = 1000;

/// How a check stands, judged over its last runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It answers as expected.
    Up,
    /// The last run failed, but not often enough in a row to be down.
    Failing,
    /// It does not answer as expected.
    Down,
    /// It answers again, but not often enough in a row to be up.
    Recovering,
    /// Nothing is known: no run yet, or the checker itself failed.
    Unknown,
}

/// All checks of this collector.
#[derive(Debug)]
pub struct Registry {
    location: String,
    checks: Vec<Arc<Check>>,
    history: Mutex<BTreeMap<String, History>>,
    state: Arc<dyn StateStore>,
}

#[derive(Debug, Default)]
struct History {
    /// Oldest first.
    runs: VecDeque<Run>,
    down: bool,
    /// Since when the verdict is what it is.
    since: Option<Timestamp>,
}

impl Registry {
    /// The checks, with what is remembered of their runs. `location` names where they run from.
    pub fn new(checks: Vec<Check>, location: &str, state: Arc<dyn StateStore>) -> Result<Self, storage::Error> {
        let mut history: BTreeMap<String, History> =
            checks.iter().map(|check| (check.name.clone(), History::default())).collect();
        for (key, value) in state.list(AREA)? {
            let name = key.rsplit_once('/').map_or(key.as_str(), |(name, _)| name);
            let (Some(held), Ok(run)) = (history.get_mut(name), serde_json::from_slice::<Run>(&value)) else {
                continue;
            };
            let check = checks.iter().find(|check| check.name == name);
            if let Some(check) = check {
                held.add(check, run);
            }
        }
        let checks = checks.into_iter().map(Arc::new).collect();
        Ok(Self { location: location.to_owned(), checks, history: Mutex::new(history), state })
    }

    /// Every check.
    #[must_use]
    pub fn checks(&self) -> Vec<Arc<Check>> {
        self.checks.clone()
    }

    /// Where they run from.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Remembers a run; one that cannot be written is still remembered until the next start.
    pub(super) async fn record(&self, name: &str, run: Run) {
        let Some(check) = self.checks.iter().find(|check| check.name == name) else { return };
        let mut changes = vec![(key(name, run.started), serde_json::to_vec(&run).ok())];
        let dropped = self.lock().entry(name.to_owned()).or_default().add(check, run);
        changes.extend(dropped.map(|old| (key(name, old.started), None)));
        if let Err(error) = self.state.write(AREA, changes).await {
            tracing::warn!(check = name, %error, "a run could not be written and will be missing after a restart");
        }
    }

    /// The last `limit` runs of a check, oldest first; `None` when there is no such check.
    #[must_use]
    pub fn runs(&self, name: &str, limit: usize) -> Option<Vec<Run>> {
        let history = self.lock();
        let runs = &history.get(name)?.runs;
        Some(runs.iter().skip(runs.len().saturating_sub(limit)).cloned().collect())
    }

    /// How a check stands, and since when.
    #[must_use]
    pub fn verdict(&self, name: &str) -> (Verdict, Option<Timestamp>) {
        self.lock().get(name).map_or((Verdict::Unknown, None), |history| (history.verdict(), history.since))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, History>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sorted by time within a check: a Unix time in milliseconds has 13 digits until the year 2286.
fn key(name: &str, started: Timestamp) -> String {
    format!("{name}/{:013}", started.0)
}

impl History {
    /// Adds a run and gives back the one that is too old to be kept.
    fn add(&mut self, check: &Check, run: Run) -> Option<Run> {
        let (before, started) = (self.verdict(), run.started);
        self.runs.push_back(run);
        let wanted = |runs: u32| usize::try_from(runs).unwrap_or(usize::MAX);
        if self.in_a_row(true) >= wanted(check.successes) {
            self.down = false;
        } else if self.in_a_row(false) >= wanted(check.failures) {
            self.down = true;
        }
        if self.verdict() != before {
            self.since = Some(started);
        }
        if self.runs.len() > KEPT { self.runs.pop_front() } else { None }
    }

    /// How many of the newest runs had this result; those that the checker spoiled are passed over.
    fn in_a_row(&self, success: bool) -> usize {
        self.runs.iter().rev().filter_map(|run| run.success).take_while(|result| *result == success).count()
    }

    fn verdict(&self) -> Verdict {
        match (self.runs.back().map(|run| run.success), self.down) {
            (None | Some(None), _) => Verdict::Unknown,
            (Some(Some(true)), false) => Verdict::Up,
            (Some(Some(true)), true) => Verdict::Recovering,
            (Some(Some(false)), false) => Verdict::Failing,
            (Some(Some(false)), true) => Verdict::Down,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory;

    fn check(failures: u32, successes: u32) -> Check {
        Check { name: "a/b".to_owned(), failures, successes, ..Check::default() }
    }

    fn run(time: i64, success: Option<bool>) -> Run {
        Run { started: Timestamp(time), success, ..Run::default() }
    }

    #[test]
    fn a_verdict_needs_as_many_runs_as_the_check_says() {
        let (check, mut history) = (check(2, 2), History::default());
        assert_eq!(history.verdict(), Verdict::Unknown);
        let mut after = |time, success| {
            history.add(&check, run(time, success));
            (history.verdict(), history.since)
        };
        assert_eq!(after(1, Some(true)).0, Verdict::Up);
        assert_eq!(after(2, Some(false)).0, Verdict::Failing);
        assert_eq!(after(3, None).0, Verdict::Unknown, "our own fault says nothing");
        assert_eq!(after(4, Some(false)), (Verdict::Down, Some(Timestamp(4))));
        assert_eq!(after(5, Some(false)), (Verdict::Down, Some(Timestamp(4))));
        assert_eq!(after(6, Some(true)).0, Verdict::Recovering);
        assert_eq!(after(7, Some(true)), (Verdict::Up, Some(Timestamp(7))));
    }

    #[tokio::test]
    async fn runs_survive_a_restart_and_are_bounded() {
        let state = memory::open().state;
        let registry = Registry::new(vec![check(1, 1)], "here", Arc::clone(&state)).unwrap();
        for time in 0..=KEPT {
            registry.record("a/b", run(i64::try_from(time).unwrap(), Some(time != KEPT))).await;
        }
        assert_eq!(state.list(AREA).unwrap().len(), KEPT);
        let again = Registry::new(vec![check(1, 1)], "here", state).unwrap();
        assert_eq!(again.verdict("a/b"), (Verdict::Down, Some(Timestamp(1000))));
        assert_eq!(again.runs("a/b", 2).unwrap().len(), 2);
        assert_eq!(again.runs("nobody", 2), None);
    }
}
