//! OTLP logs into pending records.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};
use yagura_codec::{
    AnyValue, Attributes,
    logs::{self as otlp, Record, ResourceLogs, ScopeLogs},
    resource::Scope,
};
use yagura_model::{Labels, Nanos, Severity, Timestamp, delivery, labels, names};

use super::{
    Stream,
    block::put_field,
    head::{New, PER_GROUP},
};
use crate::storage::{
    Appended, Error, RejectReason,
    embedded::{
        Store,
        coding::{Input, put_block, put_labels, put_signed, put_varint},
        delivered::{self, Delivered, Key},
        group::Group,
        keyspaces::{Change, Day, Kind, Space, get, id_key, labels_of},
        metrics::ingest::ByHash,
    },
    records::{self, Share},
    samples::MAX_VALUE,
};

/// A resource seen before: its stream, and its fields that are no labels.
#[derive(Clone, Debug)]
struct Known {
    stream: Arc<Stream>,
    set: Arc<[u8]>,
}

/// The writer's memory of resources.
#[derive(Debug, Default)]
pub(in crate::storage::embedded) struct Cache {
    known: ByHash<Known>,
}

impl Cache {
    /// Forgets what was not used since `since`, and with it the last hold on idle streams.
    pub(in crate::storage::embedded) fn forget_idle(&mut self, since: Timestamp) {
        self.known.retain(|_, known| known.stream.with(|head| !head.is_empty() || head.used >= since));
    }
}

/// Reads one request into `group`.
pub(in crate::storage::embedded) fn append(
    store: &Store,
    cache: &mut Cache,
    delivered: &mut Delivered,
    group: &mut Group,
    request: &[u8],
    now: Timestamp,
) -> Result<Appended, Error> {
    let request = otlp::Request::new(request);
    let covered = check(&request)?;
    let mut appended = Appended::default();
    if let Some(Ok(first)) = request.resources().next()
        && let Some(batch) = delivered::batch(&first.resource.attributes)
        && !delivered.take_batch(store, group, b'l', batch)
    {
        let scopes = request.resources().flatten().flat_map(|resource| resource.scopes().flatten());
        appended.duplicates = scopes.map(|scope| scope.records().count()).sum::<usize>() as u64;
        return Ok(appended);
    }
    let mut writer = Writer { store, cache, delivered, group, now, appended, fields: Vec::new(), text: Vec::new() };
    for resource in request.resources() {
        writer.resource(&resource.map_err(malformed)?)?;
    }
    let appended = writer.appended;
    // What a message answers for is covered only after all its records were looked at: one of its scopes may speak
    // for the records of another.
    for (key, ranges) in covered {
        delivered.cover(store, group, key, ranges);
    }
    Ok(appended)
}

fn malformed(error: yagura_codec::DecodeError) -> Error {
    Error::Malformed(error.to_string())
}

type Covered = Vec<(Key, Vec<Range<u64>>)>;

/// Reads the whole request once without storing anything: a request that is broken at its end leaves no half behind.
/// Gives the ranges that its scopes answer for.
fn check(request: &otlp::Request<'_>) -> Result<Covered, Error> {
    let mut covered = Vec::new();
    for resource in request.resources() {
        for scope in resource.map_err(malformed)?.scopes() {
            let scope = scope.map_err(malformed)?;
            for record in scope.records() {
                record.map_err(malformed)?;
            }
            let Some(key) = file(&scope.scope) else { continue };
            if let Some(AnyValue::Bytes(bytes)) = scope.scope.attributes.get(delivery::COVERED) {
                let ranges = delivery::decode_ranges(bytes)
                    .ok_or_else(|| Error::Malformed(format!("{} is damaged", delivery::COVERED)))?;
                covered.push((key, ranges));
            }
        }
    }
    Ok(covered)
}

fn file(scope: &Scope<'_>) -> Option<Key> {
    if scope.name != delivery::SCOPE {
        return None;
    }
    let generation = scope.attributes.get_str(delivery::GENERATION)?;
    Some(delivered::file_key(generation, scope.attributes.get_str(delivery::STREAM).unwrap_or_default()))
}

struct Writer<'a> {
    store: &'a Store,
    cache: &'a mut Cache,
    delivered: &'a mut Delivered,
    group: &'a mut Group,
    now: Timestamp,
    appended: Appended,
    /// Reused: a record's fields, encoded.
    fields: Vec<u8>,
    /// Reused: what a resource is known by.
    text: Vec<u8>,
}

impl Writer<'_> {
    fn resource(&mut self, resource: &ResourceLogs<'_>) -> Result<(), Error> {
        let attributes = &resource.resource.attributes;
        self.text.clear();
        for attribute in attributes.iter() {
            let (name, value) = attribute.map_err(malformed)?;
            if !records::is_delivery(name) {
                put_block(&mut self.text, name.as_bytes());
                put_block(&mut self.text, value.text().map_err(malformed)?.as_bytes());
            }
        }
        let hash = xxh3_128(&self.text);
        let known = match self.cache.known.get(&hash) {
            Some(known) => known.clone(),
            None => {
                let (labels, set) = describe(attributes)?;
                let records = || resource.scopes().flatten().flat_map(|scope| scope.records().flatten());
                if labels.iter().any(|(_, value)| value.len() > MAX_VALUE) {
                    records().for_each(|_| self.appended.reject(RejectReason::BadLabels, || labels.to_string()));
                    return Ok(());
                }
                let allowed = || self.store.logs.len() < self.store.config.max_streams;
                let Some(stream) = open_stream(self.store, &labels, allowed) else {
                    return self.refuse(resource, &labels);
                };
                let known = Known { stream, set: set.into() };
                self.cache.known.insert(hash, known.clone());
                known
            }
        };
        for scope in resource.scopes() {
            self.scope(&known, &scope.map_err(malformed)?)?;
        }
        Ok(())
    }

    /// Counts the records of a stream that is one too many; those that would not be stored anyway as what they are.
    fn refuse(&mut self, resource: &ResourceLogs<'_>, labels: &Labels) -> Result<(), Error> {
        for scope in resource.scopes() {
            let scope = scope.map_err(malformed)?;
            let key = file(&scope.scope);
            for record in scope.records() {
                let record = record.map_err(malformed)?;
                if let (Some(key), Some(range)) = (key, range(&record.attributes)) {
                    if self.delivered.get(self.store, key).missing(range.clone()).is_empty() && !range.is_empty() {
                        self.appended.duplicates += 1;
                        continue;
                    }
                    self.delivered.cover(self.store, self.group, key, [range]);
                }
                let time = instant(&record, self.now);
                let reason = self.store.admit_record(time, self.now).err().unwrap_or(RejectReason::Cardinality);
                self.appended.reject(reason, || labels.to_string());
            }
        }
        Ok(())
    }

    fn scope(&mut self, known: &Known, scope: &ScopeLogs<'_>) -> Result<(), Error> {
        let key = file(&scope.scope);
        // A copy of what was delivered, so that the store is not asked for each record.
        let mut held = key.map(|key| self.delivered.get(self.store, key).clone());
        let run = Run::begin(self.group, known);
        let (mut count, mut bytes) = (0_u32, 0);
        let mut last = (0_i64, 0_u64);
        for record in scope.records() {
            let record = record.map_err(malformed)?;
            let body = record.body.text().map_err(malformed)?;
            let (mut line, mut offset) = (&*body, 0);
            if let Some(range) = range(&record.attributes) {
                offset = range.start;
                if let Some(held) = &mut held {
                    match records::share(held, &range, line) {
                        Share::Whole => {}
                        Share::Nothing => {
                            self.appended.duplicates += 1;
                            continue;
                        }
                        Share::Part(part, at) => {
                            line = line.get(part).unwrap_or_default();
                            offset = at;
                        }
                    }
                    held.insert(range);
                }
            }
            let time = instant(&record, self.now);
            if let Err(reason) = self.store.admit_record(time, self.now) {
                self.appended.reject(reason, || known.stream.labels.to_string());
                continue;
            }
            own_fields(&record, &mut self.fields)?;
            let new = New {
                order: self.group.sequence * PER_GROUP + self.group.record_count,
                time: time.0,
                offset,
                severity: records::severity(i32::from(record.severity_number), record.severity_text),
                line: line.as_bytes(),
                fields: &self.fields,
            };
            self.group.record(known, &new, &mut last);
            bytes += new.line.len() + new.fields.len() + size_of::<super::head::Record>();
            count += 1;
        }
        self.store.logs.bytes.fetch_add(bytes, Relaxed);
        run.end(self.group, known, count, self.now);
        self.appended.accepted += u64::from(count);
        if let (Some(key), Some(held)) = (key, held) {
            self.delivered.replace(self.group, key, held);
        }
        Ok(())
    }
}

/// A run of records of one stream and resource in the group's encoded records.
struct Run {
    start: usize,
    count: usize,
}

impl Run {
    fn begin(group: &mut Group, known: &Known) -> Self {
        let start = group.records.len();
        group.records.extend_from_slice(&known.stream.id.to_le_bytes());
        put_block(&mut group.records, &known.set);
        let count = group.records.len();
        group.records.extend_from_slice(&[0; 4]);
        Self { start, count }
    }

    fn end(self, group: &mut Group, known: &Known, count: u32, now: Timestamp) {
        if count == 0 {
            group.records.truncate(self.start);
            return;
        }
        if let Some(slot) = group.records.get_mut(self.count..self.count + 4) {
            slot.copy_from_slice(&count.to_le_bytes());
        }
        known.stream.with(|head| head.used = now);
        group.streams.push(Arc::clone(&known.stream));
    }
}

impl Group {
    #[inline]
    fn record(&mut self, known: &Known, new: &New<'_>, last: &mut (i64, u64)) {
        let day = Day::of_millis(new.time.div_euclid(1_000_000));
        let new_day = known.stream.with(|head| {
            head.push(new, &known.set);
            head.new_in(day)
        });
        if new_day {
            self.new_streams.push((day, Arc::clone(&known.stream)));
        }
        let out = &mut self.records;
        // The place in the group is written too: records before it may be of other streams.
        put_varint(out, self.record_count);
        put_signed(out, new.time.wrapping_sub(last.0));
        put_signed(out, new.offset.wrapping_sub(last.1).cast_signed());
        out.push(new.severity.number());
        put_block(out, new.line);
        put_block(out, new.fields);
        *last = (new.time, new.offset);
        self.record_count += 1;
    }
}

/// A run of records as it is read back from the inbox.
#[derive(Debug)]
pub(in crate::storage::embedded) struct StoredRun<'a> {
    pub(in crate::storage::embedded) stream: u64,
    pub(in crate::storage::embedded) set: &'a [u8],
    pub(in crate::storage::embedded) records: Vec<New<'a>>,
}

/// The next run of a group's encoded records; `None` when they are damaged.
pub(in crate::storage::embedded) fn stored_run<'a>(input: &mut Input<'a>, sequence: u64) -> Option<StoredRun<'a>> {
    let (stream, set) = (input.word()?, input.block()?);
    let count = u32::from_le_bytes(input.bytes(4)?.try_into().ok()?);
    let mut records = Vec::new();
    let (mut time, mut offset) = (0_i64, 0_u64);
    for _ in 0..count {
        let place = input.varint().filter(|place| *place < PER_GROUP)?;
        time = time.wrapping_add(input.signed()?);
        offset = offset.wrapping_add(input.signed()?.cast_unsigned());
        records.push(New {
            order: sequence.wrapping_mul(PER_GROUP).wrapping_add(place),
            time,
            offset,
            severity: Severity::from_number(input.byte()?),
            line: input.block()?,
            fields: input.block()?,
        });
    }
    Some(StoredRun { stream, set, records })
}

#[inline]
fn instant(record: &Record<'_>, now: Timestamp) -> Nanos {
    [record.time, record.observed].into_iter().find(|time| time.0 != 0).unwrap_or(now.to_nanos())
}

#[inline]
fn range(attributes: &Attributes<'_>) -> Option<Range<u64>> {
    let (mut start, mut end) = (None, None);
    for (name, value) in attributes.iter().flatten() {
        let AnyValue::Int(number) = value else { continue };
        match name {
            delivery::RANGE_START => start = u64::try_from(number).ok(),
            delivery::RANGE_END => end = u64::try_from(number).ok(),
            _ => {}
        }
    }
    Some(start?..end?)
}

/// A resource's labels, and its other attributes as encoded fields.
fn describe(attributes: &Attributes<'_>) -> Result<(Labels, Vec<u8>), Error> {
    let mut ranked: BTreeMap<&'static str, (usize, Cow<'_, str>)> = BTreeMap::new();
    let mut fields = BTreeMap::new();
    for attribute in attributes.iter() {
        let (name, value) = attribute.map_err(malformed)?;
        let value = value.text().map_err(malformed)?;
        match (records::label_rank(name), names::resource_label(name)) {
            (Some(rank), Some(label)) if !value.is_empty() => {
                if ranked.get(label).is_none_or(|(held, _)| rank < *held) {
                    ranked.insert(label, (rank, value));
                }
            }
            (Some(_), _) => {}
            (None, _) if records::is_delivery(name) => {}
            (None, _) => drop(fields.insert(names::sanitize_label(name), value)),
        }
    }
    let mut builder = labels::Builder::default();
    for (label, (_, value)) in &ranked {
        builder.set(label, value);
    }
    let mut set = Vec::new();
    fields.iter().for_each(|(name, value)| put_field(&mut set, name, value));
    Ok((builder.build(), set))
}

/// A record's own fields, sorted by name, into `out`.
#[inline]
fn own_fields(record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    out.clear();
    let mut all: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    if !record.event_name.is_empty() {
        all.push(("event".into(), record.event_name.into()));
    }
    if let Some(id) = record.trace_id {
        all.push(("trace_id".into(), id.to_string().into()));
    }
    if let Some(id) = record.span_id {
        all.push(("span_id".into(), id.to_string().into()));
    }
    for attribute in record.attributes.iter() {
        let (name, value) = attribute.map_err(malformed)?;
        if records::is_delivery(name) {
            continue;
        }
        let legal = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit());
        let name = if legal { Cow::Borrowed(name) } else { Cow::Owned(names::sanitize_label(name)) };
        all.push((name, value.text().map_err(malformed)?));
    }
    // Of two with one name the later wins; the sort is stable.
    all.sort_by(|one, other| one.0.cmp(&other.0));
    for (place, (name, value)) in all.iter().enumerate() {
        if all.get(place + 1).is_none_or(|(next, _)| next != name) {
            put_field(out, name, value);
        }
    }
    Ok(())
}

/// The active stream with these labels, woken from disk or new; `None` when a new one is not `allowed`.
pub(in crate::storage::embedded) fn open_stream(
    store: &Store,
    labels: &Labels,
    allowed: impl FnOnce() -> bool,
) -> Option<Arc<Stream>> {
    let mut bytes = Vec::new();
    put_labels(&mut bytes, labels);
    let mut id = xxh3_64(&bytes);
    loop {
        match store.logs.get(id) {
            Some(stream) if stream.labels == *labels => return Some(stream),
            Some(_) => id = id.wrapping_add(1),
            None if taken(store, id, labels) => id = id.wrapping_add(1),
            None => break,
        }
    }
    if !allowed() {
        return None;
    }
    let mark = get(&store.keyspaces.marks, id_key(b'l', id), &store.counters);
    let sealed = mark.and_then(|mark| sealed_order(&mark)).unwrap_or(0);
    let stream = Arc::new(Stream::new(id, labels.clone(), sealed));
    store.logs.insert(Arc::clone(&stream));
    Some(stream)
}

/// The order of the newest record that blocks hold, from a stream's mark.
pub(in crate::storage::embedded) fn sealed_order(mark: &[u8]) -> Option<u64> {
    let mut input = Input(mark);
    input.signed()?;
    input.varint()
}

/// Whether an idle stream of other labels has this id in the newest day.
fn taken(store: &Store, id: u64, labels: &Labels) -> bool {
    let newest = store.keyspaces.days(Kind::Logs).last().and_then(|day| store.keyspaces.day(Kind::Logs, *day));
    newest.and_then(|newest| labels_of(&newest, id, &store.counters)).is_some_and(|known| known != *labels)
}

/// The change that makes a day know a stream.
pub(in crate::storage::embedded) fn record(day: Day, id: u64, labels: &Labels) -> Change {
    let mut value = Vec::new();
    put_labels(&mut value, labels);
    Change::put(Space::Day(Kind::Logs, day), id_key(b's', id), value)
}
