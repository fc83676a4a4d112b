//! Queries for records. They block: callers run them where blocking is allowed.
//!
//! A query sees a list of *parts*: what each stream has in memory, and each of its blocks that lies in the range,
//! sorted by the end that is asked for first. Parts are read until no later one can hold anything better.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use fjall::Keyspace;
use yagura_model::{Labels, Nanos};

use super::{
    super::{
        Store,
        keyspaces::{Day, Kind, id_key},
    },
    block::{self, BlockHead, SEVERITIES},
    filter,
    head::{Batch, Record},
};
use crate::storage::{
    Direction, Error, LineFilter, LogCounts, LogEntry, LogSelection, MatchOp, Matcher, StreamInfo, records::in_order,
};

/// Records, and the lengths of their lines.
type Columns = (Arc<Batch>, Vec<u32>);

/// Something with records of one stream.
struct Part {
    labels: Labels,
    first: i64,
    last: i64,
    /// Records from this order on are in memory, and are read there.
    below: u64,
    place: Place,
}

enum Place {
    Memory(Arc<Batch>),
    Block(Keyspace, BlockHead),
}

/// All parts of the matching streams that touch a range.
fn parts(store: &Store, matchers: &[Matcher], range: &Range<Nanos>) -> Vec<Part> {
    let mut streams: HashMap<Labels, Vec<(Day, u64)>> = HashMap::new();
    for day in days(store, range) {
        let matched = store.logs.indexes.with(store, day, |index| index.select(matchers));
        for (id, labels) in matched.unwrap_or_default() {
            streams.entry(labels).or_default().push((day, id));
        }
    }
    let mut parts = Vec::new();
    for (labels, places) in streams {
        stream_parts(store, &labels, &places, range, &mut parts);
    }
    parts.retain(|part| part.first < range.end.0 && part.last >= range.start.0);
    parts
}

fn stream_parts(store: &Store, labels: &Labels, places: &[(Day, u64)], range: &Range<Nanos>, parts: &mut Vec<Part>) {
    // Memory first: what leaves it meanwhile is in blocks already, and left out there.
    let mut below: HashMap<u64, u64> = HashMap::new();
    for (_, id) in places {
        let active = store.logs.get(*id).filter(|stream| stream.labels == *labels);
        let Some(stream) = active.filter(|_| !below.contains_key(id)) else { continue };
        let (sealing, visible) = stream.with(|head| head.read());
        for batch in sealing.into_iter().chain([Arc::new(visible)]) {
            let orders = batch.records.first().map_or(u64::MAX, |record| record.order);
            let known = below.entry(*id).or_insert(u64::MAX);
            *known = orders.min(*known);
            let times = || batch.records.iter().map(|record| record.time);
            if let (Some(first), Some(last)) = (times().min(), times().max()) {
                let place = Place::Memory(batch);
                parts.push(Part { labels: labels.clone(), first, last, below: u64::MAX, place });
            }
        }
    }
    for (day, id) in places {
        let Some(keyspace) = store.keyspaces.day(Kind::Logs, *day) else { continue };
        for item in keyspace.prefix(id_key(b'm', *id)) {
            let Ok((key, value)) = item.into_inner() else {
                store.counters.damage();
                break;
            };
            let Some(head) = key.get(1..).and_then(|key| block::head(key, &value)) else {
                store.counters.damage();
                continue;
            };
            if head.first >= range.end.0 {
                break;
            }
            let below = below.get(id).copied().unwrap_or(u64::MAX);
            let (first, last) = (head.first, head.last);
            parts.push(Part {
                labels: labels.clone(),
                first,
                last,
                below,
                place: Place::Block(keyspace.clone(), head),
            });
        }
    }
}

fn days(store: &Store, range: &Range<Nanos>) -> Vec<Day> {
    let day = |nanos: i64| Day::of_millis(nanos.div_euclid(1_000_000));
    let wanted = day(range.start.0)..=day(range.end.0);
    store.keyspaces.days(Kind::Logs).into_iter().filter(|day| wanted.contains(day)).collect()
}

/// The budget of raw bytes that a query may read.
struct Budget {
    limit: u64,
    left: u64,
}

impl Budget {
    fn new(limit: u64) -> Self {
        Self { limit, left: limit }
    }

    fn spend(&mut self, bytes: u64) -> Result<(), Error> {
        self.left = self.left.checked_sub(bytes).ok_or(Error::TooMuch { limit: self.limit, unit: "bytes" })?;
        Ok(())
    }
}

impl Part {
    /// Its records; none when its filter says that nothing of the selection is in it, or when it is damaged.
    fn read(&self, store: &Store, selection: &LogSelection, budget: &mut Budget) -> Result<Option<Arc<Batch>>, Error> {
        let (keyspace, head) = match &self.place {
            Place::Memory(batch) => {
                budget.spend(batch.text_bytes() as u64)?;
                return Ok(Some(Arc::clone(batch)));
            }
            Place::Block(keyspace, head) => (keyspace, head),
        };
        let key = |tag: u8| [&[tag][..], &head.key].concat();
        let wanted = |rank: usize| SEVERITIES.get(rank).is_some_and(|severity| selection.severities.contains(severity));
        let mut severities = head.severities.iter().enumerate();
        if !selection.severities.is_empty() && !severities.any(|(rank, (count, _))| *count > 0 && wanted(rank)) {
            return Ok(None);
        }
        if asks_filter(selection)
            && let Ok(Some(bytes)) = keyspace.get(key(b'f'))
            && !may_pass(&bytes, selection)
        {
            return Ok(None);
        }
        budget.spend(head.bytes)?;
        let read = keyspace.get(key(b'b')).ok().flatten().and_then(|body| block::decode(&body, true));
        if read.is_none() && store.keyspaces_have(keyspace) {
            store.counters.damage();
        }
        Ok(read.map(|(batch, _)| Arc::new(batch)))
    }
}

fn asks_filter(selection: &LogSelection) -> bool {
    selection.filters.iter().any(|filter| matches!(filter, LineFilter::Contains(_)))
        || selection.fields.iter().any(|field| field.op == MatchOp::Equal && !field.value.is_empty())
}

fn may_pass(bytes: &[u8], selection: &LogSelection) -> bool {
    let line = |line: &LineFilter| match line {
        LineFilter::Contains(texts) => texts.iter().any(|text| filter::may_contain(bytes, text)),
        _ => true,
    };
    let field = |field: &Matcher| {
        field.op != MatchOp::Equal || field.value.is_empty() || filter::may_have(bytes, &field.name, &field.value)
    };
    selection.filters.iter().all(line) && selection.fields.iter().all(field)
}

/// An entry from a record.
pub(in crate::storage::embedded) fn entry(labels: &Labels, batch: &Batch, record: &Record) -> LogEntry {
    let mut fields: BTreeMap<&str, &str> = block::fields(batch.set(record)).collect();
    fields.extend(block::fields(batch.fields(record)));
    LogEntry {
        time: Nanos(record.time),
        labels: labels.clone(),
        line: String::from_utf8_lossy(batch.line(record)).into_owned(),
        severity: record.severity,
        fields: fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        offset: record.offset,
    }
}

/// Whether a record's line passes; said before its fields are read.
fn line_passes(batch: &Batch, record: &Record, selection: &LogSelection) -> bool {
    let line = || String::from_utf8_lossy(batch.line(record));
    (selection.severities.is_empty() || selection.severities.contains(&record.severity))
        && (selection.filters.is_empty() || {
            let line = line();
            selection.filters.iter().all(|filter| filter.passes(&line))
        })
}

/// Records in the order asked for.
pub(in crate::storage::embedded) fn select(store: &Store, selection: &LogSelection) -> Result<Vec<LogEntry>, Error> {
    let kept = store.kept_from(Kind::Logs).to_nanos();
    let selection = &LogSelection { range: selection.range.start.max(kept)..selection.range.end, ..selection.clone() };
    if selection.limit == 0 || selection.range.is_empty() {
        return Ok(Vec::new());
    }
    let backward = selection.direction == Direction::Backward;
    let mut parts = parts(store, &selection.matchers, &selection.range);
    match backward {
        true => parts.sort_unstable_by_key(|part| std::cmp::Reverse(part.last)),
        false => parts.sort_unstable_by_key(|part| part.first),
    }
    let mut budget = Budget::new(selection.max_bytes);
    let mut found: Vec<LogEntry> = Vec::new();
    for part in parts {
        let full = found.len() >= selection.limit;
        let worst = found.last().filter(|_| full).map(|entry| entry.time.0);
        let out_of_reach = |worst: i64| if backward { part.last < worst } else { part.first > worst };
        if worst.is_some_and(out_of_reach) {
            break;
        }
        let Some(batch) = part.read(store, selection, &mut budget)? else { continue };
        for record in &batch.records {
            if !selection.range.contains(&Nanos(record.time)) || record.order >= part.below {
                continue;
            }
            let worse = |worst: i64| if backward { record.time < worst } else { record.time > worst };
            if worst.is_some_and(worse) || !line_passes(&batch, record, selection) {
                continue;
            }
            let entry = entry(&part.labels, &batch, record);
            if selection.passes(&entry) {
                found.push(entry);
            }
        }
        found.sort_by(|one, other| if backward { in_order(other, one) } else { in_order(one, other) });
        found.truncate(selection.limit);
    }
    Ok(found)
}

/// Counts by stream, level and step.
pub(in crate::storage::embedded) fn count(
    store: &Store,
    selection: &LogSelection,
    step: Duration,
) -> Result<Vec<LogCounts>, Error> {
    let steps = selection.steps(step)?;
    let kept = store.kept_from(Kind::Logs).to_nanos();
    let mut counts: HashMap<Labels, [Vec<(u64, u64)>; 7]> = HashMap::new();
    let mut budget = Budget::new(selection.max_bytes);
    let plain = selection.filters.is_empty() && selection.fields.is_empty();
    for part in parts(store, &selection.matchers, &selection.range) {
        let levels = counts.entry(part.labels.clone()).or_default();
        let mut add = |rank: usize, time: i64, records: u64, bytes: u64| {
            let Some(level) = levels.get_mut(rank) else { return };
            level.resize(steps, (0, 0));
            if let Some((count, sum)) = level.get_mut(selection.step_of(Nanos(time), step)) {
                *count += records;
                *sum += bytes;
            }
        };
        if plain && let Some(head) = part.in_one_step(selection, step) {
            for ((rank, severity), (records, bytes)) in SEVERITIES.iter().enumerate().zip(&head.severities) {
                if *records > 0 && wants(selection, *severity) {
                    add(rank, head.first, *records, *bytes);
                }
            }
            continue;
        }
        let Some((batch, lengths)) = part.columns(store, selection, plain, &mut budget)? else { continue };
        for (record, length) in batch.records.iter().zip(lengths) {
            let inside =
                selection.range.contains(&Nanos(record.time)) && record.order < part.below && record.time >= kept.0;
            let passes = || match plain {
                true => wants(selection, record.severity),
                false => selection.passes(&entry(&part.labels, &batch, record)),
            };
            if inside && passes() {
                add(block::rank(record.severity), record.time, 1, u64::from(length));
            }
        }
    }
    let mut all = Vec::new();
    for (labels, levels) in counts {
        for (severity, steps) in SEVERITIES.iter().zip(levels).filter(|(_, steps)| !steps.is_empty()) {
            let mut builder = labels.to_builder();
            builder.set("level", severity.level());
            all.push(LogCounts { labels: builder.build(), steps });
        }
    }
    all.sort_unstable_by(|one, other| one.labels.cmp(&other.labels));
    Ok(all)
}

fn wants(selection: &LogSelection, severity: yagura_model::Severity) -> bool {
    selection.severities.is_empty() || selection.severities.contains(&severity)
}

impl Part {
    /// Its head, when all of it falls into one step of the range and none of it is in memory too.
    fn in_one_step(&self, selection: &LogSelection, step: Duration) -> Option<&BlockHead> {
        let Place::Block(_, head) = &self.place else { return None };
        let inside = selection.range.start.0 <= head.first && head.last < selection.range.end.0;
        let one = selection.step_of(Nanos(head.first), step) == selection.step_of(Nanos(head.last), step);
        (inside && one && head.last_order < self.below).then_some(head)
    }

    /// Its records and the lengths of their lines; with `plain`, without the lines.
    fn columns(
        &self,
        store: &Store,
        selection: &LogSelection,
        plain: bool,
        budget: &mut Budget,
    ) -> Result<Option<Columns>, Error> {
        if plain && let Place::Block(keyspace, head) = &self.place {
            let key = [&b"b"[..], &head.key].concat();
            let read = keyspace.get(key).ok().flatten().and_then(|body| block::decode(&body, false));
            if read.is_none() && store.keyspaces_have(keyspace) {
                store.counters.damage();
            }
            return Ok(read.map(|(batch, lengths)| (Arc::new(batch), lengths)));
        }
        let batch = self.read(store, selection, budget)?;
        Ok(batch.map(|batch| {
            let length = |record: &Record| u32::try_from(batch.line(record).len()).unwrap_or(u32::MAX);
            let lengths = batch.records.iter().map(length).collect();
            (batch, lengths)
        }))
    }
}

/// The streams that match and have records in the range.
pub(in crate::storage::embedded) fn streams(
    store: &Store,
    matchers: &[Matcher],
    range: &Range<Nanos>,
) -> Result<Vec<StreamInfo>, Error> {
    let selection = LogSelection {
        matchers: matchers.to_vec(),
        filters: Vec::new(),
        severities: Vec::new(),
        fields: Vec::new(),
        range: range.clone(),
        direction: Direction::Forward,
        limit: usize::MAX,
        max_bytes: u64::MAX,
    };
    let length = range.end.0.saturating_sub(range.start.0).max(1);
    let counts = count(store, &selection, Duration::from_nanos(length.unsigned_abs()))?;
    let mut all: BTreeMap<Labels, (u64, u64)> = BTreeMap::new();
    for count in counts {
        let (entries, bytes) = all.entry(count.labels.without(|name| name == "level")).or_default();
        for (records, sum) in count.steps {
            *entries += records;
            *bytes += sum;
        }
    }
    all.retain(|_, (entries, _)| *entries > 0);
    Ok(all.into_iter().map(|(labels, (entries, bytes))| StreamInfo { labels, entries, bytes }).collect())
}
