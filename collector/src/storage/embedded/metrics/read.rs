//! Queries for samples. They block: callers run them where blocking is allowed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use fjall::Keyspace;
use yagura_model::{Labels, Timestamp};

use super::{
    super::{
        Store,
        coding::Input,
        counters::Counters,
        keyspaces::{Day, Kind, id_key, time_key},
    },
    chunk::{self, MAX_SPAN},
};
use crate::storage::{Error, Listing, Matcher, MetricMetadata, Sample, Selection, Series};

/// Columns of times read by one query.
type Columns = HashMap<(Day, u64), Arc<[i64]>>;

/// The value that chunks hold for an instant.
pub(in crate::storage::embedded) fn value_at(store: &Store, id: u64, time: Timestamp) -> Option<f64> {
    let day = Day::of(time);
    let keyspace = store.keyspaces.day(Kind::Metrics, day)?;
    let mut columns = Columns::new();
    let mut samples = Vec::new();
    chunks(store, &keyspace, day, id, (time, time), &mut columns, &mut samples);
    samples.iter().find(|sample| sample.time == time).map(|sample| sample.value)
}

/// The samples of a series that chunks hold between two instants.
pub(in crate::storage::embedded) fn sealed(store: &Store, id: u64, from: Timestamp, to: Timestamp) -> Vec<Sample> {
    let mut columns = Columns::new();
    let mut samples = Vec::new();
    for day in days(store, from, to) {
        if let Some(keyspace) = store.keyspaces.day(Kind::Metrics, day) {
            chunks(store, &keyspace, day, id, (from, to), &mut columns, &mut samples);
        }
    }
    samples
}

/// Series with their samples, sorted by labels.
pub(in crate::storage::embedded) fn select(store: &Store, selection: &Selection) -> Result<Vec<Series>, Error> {
    let from = selection.from.max(store.kept_from(Kind::Metrics));
    let selection = &Selection { from, ..selection.clone() };
    let mut found: HashMap<Labels, Vec<(Day, u64)>> = HashMap::new();
    for day in days(store, selection.from, selection.to) {
        let matched = store.metrics.indexes.with(store, day, |index| index.select(&selection.matchers));
        for (id, labels) in matched.unwrap_or_default() {
            found.entry(labels).or_default().push((day, id));
        }
    }
    let mut all = Vec::with_capacity(found.len());
    let mut columns = Columns::new();
    let mut left = selection.max_samples;
    for (labels, places) in found {
        let samples = samples_of(store, &labels, &places, selection, &mut columns);
        let too_much = Error::TooMuch { limit: selection.max_samples, unit: "samples" };
        left = left.checked_sub(samples.len() as u64).ok_or(too_much)?;
        if !samples.is_empty() {
            all.push(Series { labels, samples });
        }
    }
    all.sort_unstable_by(|one, other| one.labels.cmp(&other.labels));
    Ok(all)
}

fn samples_of(
    store: &Store,
    labels: &Labels,
    places: &[(Day, u64)],
    selection: &Selection,
    columns: &mut Columns,
) -> Vec<Sample> {
    // Memory first: what leaves it meanwhile is in chunks already, and found there again.
    let mut head = Vec::new();
    let ids: BTreeSet<u64> = places.iter().map(|(_, id)| *id).collect();
    for id in ids {
        if let Some(series) = store.metrics.get(id).filter(|series| series.labels == *labels) {
            series.with(|held| held.read(selection.from, selection.to, &mut head));
        }
    }
    let mut samples = Vec::new();
    for (day, id) in places {
        if let Some(keyspace) = store.keyspaces.day(Kind::Metrics, *day) {
            chunks(store, &keyspace, *day, *id, (selection.from, selection.to), columns, &mut samples);
        }
    }
    samples.extend(head);
    let sorted = samples.is_sorted_by(|one, other| one.time < other.time);
    if !sorted {
        samples.sort_by_key(|sample| sample.time);
        samples.dedup_by_key(|sample| sample.time);
    }
    samples
}

/// Appends a series' samples of a day between two instants, as its chunks hold them.
fn chunks(
    store: &Store,
    keyspace: &Keyspace,
    day: Day,
    id: u64,
    (from, to): (Timestamp, Timestamp),
    columns: &mut Columns,
    out: &mut Vec<Sample>,
) {
    let first = time_key(b'c', id, from.0.saturating_sub(MAX_SPAN));
    for item in keyspace.range(first..=time_key(b'c', id, to.0)) {
        let Ok(value) = item.value() else {
            // The rest of this series in this day cannot be reached; others can.
            store.counters.damage();
            return;
        };
        let column = |hash| column(keyspace, day, hash, columns);
        match chunk::decode(&value, column) {
            Some(samples) => out.extend(samples.into_iter().filter(|sample| from <= sample.time && sample.time <= to)),
            None => store.counters.damage(),
        }
    }
}

fn column(keyspace: &Keyspace, day: Day, hash: u64, columns: &mut Columns) -> Option<Arc<[i64]>> {
    if let Some(known) = columns.get(&(day, hash)) {
        return Some(Arc::clone(known));
    }
    let value = keyspace.get(id_key(b't', hash)).ok()??;
    let times: Arc<[i64]> = chunk::decode_times(&value)?.into();
    columns.insert((day, hash), Arc::clone(&times));
    Some(times)
}

/// The days that are there between two instants.
fn days(store: &Store, from: Timestamp, to: Timestamp) -> Vec<Day> {
    let wanted = Day::of(from)..=Day::of(to);
    store.keyspaces.days(Kind::Metrics).into_iter().filter(|day| wanted.contains(day)).collect()
}

/// The labels of series that the days of a listing know, sorted.
pub(in crate::storage::embedded) fn series(store: &Store, listing: &Listing) -> Vec<Labels> {
    let mut all = BTreeSet::new();
    for day in days(store, listing.from, listing.to) {
        let found = store.metrics.indexes.with(store, day, |index| index.select_any(&listing.any_of));
        all.extend(found.unwrap_or_default().into_values());
    }
    all.into_iter().take(limit(listing.limit)).collect()
}

/// The label names of a listing, sorted.
pub(in crate::storage::embedded) fn names(store: &Store, listing: &Listing) -> Vec<String> {
    let mut all = BTreeSet::new();
    for day in days(store, listing.from, listing.to) {
        store.metrics.indexes.with(store, day, |index| {
            if narrowed(&listing.any_of) {
                let series = index.select_any(&listing.any_of);
                all.extend(series.values().flat_map(Labels::iter).map(|(name, _)| name.to_owned()));
            } else {
                all.extend(index.names().map(str::to_owned));
            }
        });
    }
    all.into_iter().take(limit(listing.limit)).collect()
}

/// The values of a label in a listing, sorted.
pub(in crate::storage::embedded) fn values(store: &Store, name: &str, listing: &Listing) -> Vec<String> {
    let mut all = BTreeSet::new();
    for day in days(store, listing.from, listing.to) {
        store.metrics.indexes.with(store, day, |index| {
            if narrowed(&listing.any_of) {
                let series = index.select_any(&listing.any_of);
                all.extend(series.values().filter_map(|labels| labels.get(name)).map(str::to_owned));
            } else {
                all.extend(index.values(name).map(str::to_owned));
            }
        });
    }
    all.into_iter().take(limit(listing.limit)).collect()
}

fn narrowed(any_of: &[Vec<Matcher>]) -> bool {
    !any_of.is_empty() && any_of.iter().all(|matchers| !matchers.is_empty())
}

fn limit(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}

/// Descriptions of metrics as they are on disk, by name: kind, unit and help.
pub(in crate::storage::embedded) fn metadata(meta: &Keyspace, counters: &Counters) -> BTreeMap<String, MetricMetadata> {
    let mut all = BTreeMap::new();
    for item in meta.prefix(b"d") {
        let Ok((key, value)) = item.into_inner() else {
            counters.damage();
            break;
        };
        let mut input = Input(&value);
        let name = key.get(1..).and_then(|name| std::str::from_utf8(name).ok());
        if let (Some(name), Some(kind), Some(unit), Some(help)) = (name, input.text(), input.text(), input.text()) {
            let kinds = ["counter", "gauge", "histogram", "summary"];
            let kind = kinds.into_iter().find(|known| *known == kind).unwrap_or("unknown");
            let (unit, help) = (unit.to_owned(), help.to_owned());
            all.insert(name.to_owned(), MetricMetadata { name: name.to_owned(), kind, unit, help });
        }
    }
    all
}
