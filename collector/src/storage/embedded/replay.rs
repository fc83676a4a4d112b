//! The inbox into the heads, when the store is opened. What chunks and blocks hold already is passed over, so that an
//! entry may be replayed any number of times.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use yagura_codec::compress::{Encoding, decompress};
use yagura_model::{Labels, Timestamp};

use super::{
    Store,
    coding::Input,
    group::{Encoded, Group},
    keyspaces::{Day, FORMAT, Kind, get, id_key, labels_of},
    logs::{self, Stream},
    metrics::{self, Series, chunk::MAX_SPAN},
    store::Held,
};
use crate::storage::Sample;

/// An entry of the inbox is never larger; more is damage.
const MAX_ENTRY: usize = 256 << 20;

/// What a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    pub(super) entries: u64,
    pub(super) samples: u64,
    pub(super) records: u64,
    /// Entries that could not be read.
    pub(super) damaged: u64,
    /// Samples and records of series and streams that nothing is known of any more.
    pub(super) unknown: u64,
}

struct Replay<'a> {
    store: &'a Store,
    done: Replayed,
    series: HashMap<u64, Option<Arc<Series>>>,
    streams: HashMap<u64, Option<Arc<Stream>>>,
    /// The times that chunks hold of a series, from the first one asked for.
    sealed: HashMap<u64, (Timestamp, HashSet<Timestamp>)>,
    /// The group that follows; it records what days do not know any more.
    next: Group,
}

/// Replays the inbox. The group that comes back is the first to be committed.
pub(super) fn run(store: &Store, now: Timestamp) -> (Replayed, Group) {
    let meta = get(&store.keyspaces.meta, b"floor", &store.counters);
    let floor = meta.and_then(|floor| Input(&floor).key_word()).unwrap_or(1);
    let mut next = floor.max(after_marks(store)).max(1);
    let mut replay = Replay {
        store,
        done: Replayed::default(),
        series: HashMap::new(),
        streams: HashMap::new(),
        sealed: HashMap::new(),
        next: Group::new(0, now),
    };
    for item in store.keyspaces.inbox.range(floor.to_be_bytes()..) {
        let Ok((key, value)) = item.into_inner() else {
            replay.done.damaged += 1;
            break;
        };
        let Some(sequence) = Input(&key).key_word() else { continue };
        next = next.max(sequence.saturating_add(1));
        match replay.entry(sequence, &value) {
            Some(at) => store.hold(Held { sequence, now: at, bytes: value.len() as u64 }),
            None => replay.done.damaged += 1,
        }
    }
    let Replay { done, next: mut group, .. } = replay;
    group.sequence = next;
    store.committed.store(next - 1, std::sync::atomic::Ordering::Release);
    (done, group)
}

/// The first sequence after all that blocks know: orders of records must grow even when the inbox was lost.
fn after_marks(store: &Store) -> u64 {
    let mut newest = 0;
    for item in store.keyspaces.marks.prefix(b"l") {
        let Ok(value) = item.value() else {
            store.counters.damage();
            break;
        };
        newest = newest.max(logs::ingest::sealed_order(&value).unwrap_or(0));
    }
    newest / logs::head::PER_GROUP + 1
}

impl Replay<'_> {
    /// One entry; when its group was put together, or `None` when it is damaged.
    fn entry(&mut self, sequence: u64, value: &[u8]) -> Option<Timestamp> {
        let mut input = Input(value);
        if input.byte()? != FORMAT {
            return None;
        }
        let length = input.length().filter(|length| *length <= MAX_ENTRY)?;
        let raw = decompress(Encoding::Zstd, input.0, length).ok()?;
        let entry = Encoded::decode(&raw)?;
        let now = entry.now;
        self.store.saw(now);
        self.done.entries += 1;
        let mut touched = Vec::new();
        for (id, sample) in entry.samples {
            self.sample(id, sample, sequence, now, &mut touched);
        }
        for series in touched {
            if series.with(|head| head.promote(sequence)) {
                self.store.metrics.ready(series);
            }
        }
        let mut records = entry.records;
        while !records.is_empty() {
            let run = logs::ingest::stored_run(&mut records, sequence)?;
            self.run(&run, sequence, now);
        }
        Some(now)
    }

    fn sample(&mut self, id: u64, sample: Sample, sequence: u64, now: Timestamp, touched: &mut Vec<Arc<Series>>) {
        let day = Day::of(sample.time);
        let Some(series) = self.series(id, day) else {
            self.done.unknown += 1;
            return;
        };
        let sealed = series.with(|head| head.newest_sealed);
        let known = series.with(|head| head.value_at(sample.time).is_some())
            || sealed.is_some_and(|sealed| sample.time <= sealed.time) && self.is_sealed(&series, sample.time);
        if known {
            return;
        }
        let new = series.with(|head| {
            head.used = now;
            head.push(sample, sequence);
            head.new_in(day)
        });
        if new && !self.day_knows(Kind::Metrics, day, id) {
            self.next.new_series.push((day, Arc::clone(&series)));
        }
        touched.push(series);
        self.done.samples += 1;
    }

    fn series(&mut self, id: u64, day: Day) -> Option<Arc<Series>> {
        if let Some(known) = self.series.get(&id) {
            return known.clone();
        }
        let labels = self.labels(Kind::Metrics, day, id);
        let found = labels.and_then(|labels| metrics::ingest::open_series(self.store, &labels, || true));
        self.series.insert(id, found.clone());
        found
    }

    fn stream(&mut self, id: u64, day: Day) -> Option<Arc<Stream>> {
        if let Some(known) = self.streams.get(&id) {
            return known.clone();
        }
        let labels = self.labels(Kind::Logs, day, id);
        let found = labels.and_then(|labels| logs::ingest::open_stream(self.store, &labels, || true));
        self.streams.insert(id, found.clone());
        found
    }

    /// The labels of a series or stream, from its day or, should that be lost, another one.
    fn labels(&self, kind: Kind, day: Day, id: u64) -> Option<Labels> {
        let others = self.store.keyspaces.days(kind).into_iter().rev().filter(|other| *other != day);
        [day].into_iter().chain(others).find_map(|day| {
            let keyspace = self.store.keyspaces.day(kind, day)?;
            labels_of(&keyspace, id, &self.store.counters)
        })
    }

    fn day_knows(&self, kind: Kind, day: Day, id: u64) -> bool {
        let keyspace = self.store.keyspaces.day(kind, day);
        keyspace.is_some_and(|keyspace| keyspace.contains_key(id_key(b's', id)).unwrap_or(false))
    }

    /// Whether chunks hold a time of a series.
    fn is_sealed(&mut self, series: &Series, time: Timestamp) -> bool {
        if let Some((from, times)) = self.sealed.get(&series.id)
            && *from <= time
        {
            return times.contains(&time);
        }
        let from = Timestamp(time.0.saturating_sub(MAX_SPAN));
        let to = series.with(|head| head.newest_sealed).map_or(time, |sealed| sealed.time.max(time));
        let held = metrics::read::sealed(self.store, series.id, from, to);
        let times: HashSet<Timestamp> = held.into_iter().map(|sample| sample.time).collect();
        let found = times.contains(&time);
        self.sealed.insert(series.id, (from, times));
        found
    }

    fn run(&mut self, run: &logs::ingest::StoredRun<'_>, sequence: u64, now: Timestamp) {
        let Some(first) = run.records.first() else { return };
        let day = |time: i64| Day::of_millis(time.div_euclid(1_000_000));
        let Some(stream) = self.stream(run.stream, day(first.time)) else {
            self.done.unknown += run.records.len() as u64;
            return;
        };
        let set: Arc<[u8]> = run.set.into();
        let mut bytes = 0;
        let mut new_days = Vec::new();
        let ready = stream.with(|head| {
            head.used = now;
            for record in run.records.iter().filter(|record| record.order > head.sealed).collect::<Vec<_>>() {
                head.push(record, &set);
                if head.new_in(day(record.time)) {
                    new_days.push(day(record.time));
                }
                bytes += record.line.len() + record.fields.len() + size_of::<logs::head::Record>();
                self.done.records += 1;
            }
            head.promote(sequence, |_, _| {})
        });
        for day in new_days {
            if !self.day_knows(Kind::Logs, day, stream.id) {
                self.next.new_streams.push((day, Arc::clone(&stream)));
            }
        }
        self.store.logs.bytes.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        if ready {
            self.store.logs.ready(stream);
        }
    }
}
