//! Which series (or log streams) a day has, by label. One index for each day, built from the day's own records when
//! it is first asked for and kept up to date afterwards; the least used days are forgotten when there are too many.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
};

use yagura_model::Labels;

use super::{
    Store,
    keyspaces::{self, Day, Kind},
};
use crate::storage::{MatchOp, Matcher, memory::lock};

/// Days whose indexes are kept whatever their size.
const ALWAYS_KEPT: usize = 2;
/// Beyond this many series in all days together, the least used days are forgotten.
const MAX_SERIES: usize = 2_000_000;

/// The indexes of all days of one kind.
#[derive(Debug)]
pub(super) struct Indexes {
    kind: Kind,
    days: Mutex<Days>,
}

#[derive(Debug, Default)]
struct Days {
    loaded: BTreeMap<Day, (Arc<DayIndex>, u64)>,
    uses: u64,
}

/// The index of one day.
#[derive(Debug, Default)]
pub(super) struct DayIndex {
    inner: RwLock<Index>,
    complete: OnceLock<()>,
    loading: Mutex<()>,
}

impl Indexes {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, days: Mutex::default() }
    }

    /// Adds series that are now durable.
    pub(super) fn insert(&self, day: Day, id: u64, labels: &Labels) {
        // A day that is not here is read from disk when it is asked for, these series with it.
        let index = lock(&self.days).loaded.get(&day).map(|(index, _)| Arc::clone(index));
        if let Some(index) = index {
            index.inner.write().unwrap_or_else(PoisonError::into_inner).insert(id, labels);
        }
    }

    /// Forgets a day.
    pub(super) fn forget(&self, day: Day) {
        lock(&self.days).loaded.remove(&day);
    }

    /// Runs `read` on the index of a day, which is read from disk first if need be; `None` if there is no such day.
    pub(super) fn with<T>(&self, store: &Store, day: Day, read: impl FnOnce(&Index) -> T) -> Option<T> {
        let keyspace = store.keyspaces.day(self.kind, day)?;
        let index = self.entry(day);
        if index.complete.get().is_none() {
            // The index is in the map already, so what becomes durable while the day is read is not missed.
            let _one_at_a_time = lock(&index.loading);
            if index.complete.get().is_none() {
                let series = keyspaces::all_series(&keyspace, &store.counters);
                let mut inner = index.inner.write().unwrap_or_else(PoisonError::into_inner);
                series.iter().for_each(|(id, labels)| inner.insert(*id, labels));
                index.complete.get_or_init(|| ());
            }
        }
        let inner = index.inner.read().unwrap_or_else(PoisonError::into_inner);
        Some(read(&inner))
    }

    fn entry(&self, day: Day) -> Arc<DayIndex> {
        let mut days = lock(&self.days);
        days.uses += 1;
        let uses = days.uses;
        let (index, used) = days.loaded.entry(day).or_default();
        *used = uses;
        let index = Arc::clone(index);
        days.forget_some(day);
        index
    }
}

impl Days {
    fn forget_some(&mut self, asked: Day) {
        let size = |index: &DayIndex| index.inner.read().map_or(0, |inner| inner.labels.len());
        let mut total: usize = self.loaded.values().map(|(index, _)| size(index)).sum();
        while total > MAX_SERIES && self.loaded.len() > ALWAYS_KEPT {
            let newest = self.loaded.keys().rev().take(ALWAYS_KEPT).copied().collect::<BTreeSet<_>>();
            let others = self.loaded.iter().filter(|(day, _)| **day != asked && !newest.contains(day));
            let Some(least) = others.min_by_key(|(_, (_, used))| *used).map(|(day, _)| *day) else { break };
            total -= self.loaded.remove(&least).map_or(0, |(index, _)| size(&index));
        }
    }
}

/// Series by label.
#[derive(Debug, Default)]
pub(super) struct Index {
    labels: HashMap<u64, Labels>,
    postings: BTreeMap<Box<str>, BTreeMap<Box<str>, Vec<u64>>>,
}

impl Index {
    pub(super) fn insert(&mut self, id: u64, labels: &Labels) {
        if self.labels.insert(id, labels.clone()).is_some() {
            return;
        }
        for (name, value) in labels.iter() {
            if !self.postings.contains_key(name) {
                self.postings.insert(name.into(), BTreeMap::new());
            }
            let Some(values) = self.postings.get_mut(name) else { continue };
            match values.get_mut(value) {
                Some(ids) => ids.push(id),
                None => drop(values.insert(value.into(), vec![id])),
            }
        }
    }

    /// The series that pass all matchers.
    pub(super) fn select(&self, matchers: &[Matcher]) -> Vec<(u64, Labels)> {
        let passes = |labels: &Labels| matchers.iter().all(|matcher| matcher.matches_labels(labels));
        let Some(ids) = self.fewest(matchers) else {
            return self
                .labels
                .iter()
                .filter(|(_, labels)| passes(labels))
                .map(|(id, labels)| (*id, labels.clone()))
                .collect();
        };
        let known = ids.into_iter().filter_map(|id| self.labels.get(&id).map(|labels| (id, labels)));
        known.filter(|(_, labels)| passes(labels)).map(|(id, labels)| (id, labels.clone())).collect()
    }

    /// A small set of series that holds all that pass; `None` when no matcher narrows them.
    fn fewest(&self, matchers: &[Matcher]) -> Option<Vec<u64>> {
        let equal = matchers.iter().filter(|matcher| matcher.op == MatchOp::Equal && !matcher.value.is_empty());
        let postings = |matcher: &Matcher| {
            let ids = self.postings.get(matcher.name.as_str()).and_then(|values| values.get(matcher.value.as_str()));
            ids.map_or(&[][..], Vec::as_slice)
        };
        if let Some(ids) = equal.map(postings).min_by_key(|ids| ids.len()) {
            return Some(ids.to_vec());
        }
        let regex = matchers.iter().find(|matcher| matcher.op == MatchOp::Regex && !matcher.matches(""))?;
        let values = self.postings.get(regex.name.as_str())?;
        Some(values.iter().filter(|(value, _)| regex.matches(value)).flat_map(|(_, ids)| ids).copied().collect())
    }

    /// All label names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.postings.keys().map(|name| &**name)
    }

    /// All values of a label.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.postings.get(name).into_iter().flat_map(BTreeMap::keys).map(|value| &**value)
    }

    /// The labels of series that pass any of the sets.
    pub(super) fn select_any(&self, any_of: &[Vec<Matcher>]) -> BTreeMap<u64, Labels> {
        if any_of.is_empty() {
            return self.labels.iter().map(|(id, labels)| (*id, labels.clone())).collect();
        }
        any_of.iter().flat_map(|matchers| self.select(matchers)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        for (id, name, job) in [(1, "up", "a"), (2, "up", "b"), (3, "down", "a"), (4, "down", "")] {
            index.insert(id, &Labels::from_pairs([("__name__", name), ("job", job)]));
        }
        index
    }

    fn check(matchers: &[(&str, MatchOp, &str)], expected: &[u64]) {
        let matchers: Vec<Matcher> =
            matchers.iter().map(|(name, op, value)| Matcher::new(name, *op, value).unwrap()).collect();
        let mut ids: Vec<u64> = index().select(&matchers).into_iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        assert_eq!(ids, expected, "{matchers:?}");
    }

    #[test]
    fn matchers_find_series() {
        check(&[], &[1, 2, 3, 4]);
        check(&[("__name__", MatchOp::Equal, "up")], &[1, 2]);
        check(&[("__name__", MatchOp::Equal, "none")], &[]);
        check(&[("job", MatchOp::Regex, "a|b"), ("__name__", MatchOp::NotEqual, "up")], &[3]);
        check(&[("job", MatchOp::Equal, "")], &[4]);
        check(&[("job", MatchOp::Regex, "b?")], &[2, 4]);
        check(&[("job", MatchOp::NotRegex, "a")], &[2, 4]);
        check(&[("other", MatchOp::Regex, "x")], &[]);
    }

    #[test]
    fn names_and_values_are_listed_in_order() {
        assert_eq!(index().names().collect::<Vec<_>>(), ["__name__", "job"]);
        assert_eq!(index().values("job").collect::<Vec<_>>(), ["a", "b"]);
    }
}
