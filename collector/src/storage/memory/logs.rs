//! Records in a map of lists.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{InstrumentationScope, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
};
use prost::Message;
use tokio::sync::broadcast;
use yagura_model::{Labels, Nanos, Timestamp, delivery, labels, names};

use super::{Limits, lock, otlp};
use crate::storage::{
    Appended, Direction, Error, Figures, LineFilter, LogCounts, LogEntry, LogSelection, LogStore, Matcher,
    RejectReason, StreamInfo, Tailed,
    ranges::RangeSet,
    records::{self, Share},
    samples::{MAX_VALUE, admit},
    tail::{self, TAIL_ENTRIES},
};

/// Which file a record is from: (generation, stream).
type FileId = (String, String);
/// What a message answers for of a file.
type Covered = (FileId, Vec<Range<u64>>);

/// All records.
#[derive(Debug)]
pub(super) struct Logs {
    limits: Limits,
    inner: Mutex<Inner>,
    tail: broadcast::Sender<Arc<LogEntry>>,
}

#[derive(Debug, Default)]
struct Inner {
    streams: BTreeMap<Labels, Vec<Arc<LogEntry>>>,
    covered: HashMap<FileId, RangeSet>,
    queues: HashMap<String, RangeSet>,
    figures: Figures,
}

impl Logs {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, inner: Mutex::default(), tail: broadcast::channel(TAIL_ENTRIES).0 }
    }

    pub(super) fn count(&self, figures: &mut Figures) {
        let inner = lock(&self.inner);
        figures.active_streams = inner.streams.len() as u64;
        figures.records = inner.figures.records;
        figures.duplicates += inner.figures.duplicates;
        for (reason, count) in &inner.figures.rejected {
            match figures.rejected.iter_mut().find(|(known, _)| known == reason) {
                Some((_, held)) => *held += count,
                None => figures.rejected.push((*reason, *count)),
            }
        }
    }

    fn append_now(&self, request: &[u8], now: Timestamp) -> Result<Appended, Error> {
        let request = ExportLogsServiceRequest::decode(request).map_err(|error| Error::Malformed(error.to_string()))?;
        let covered = covered(&request)?;
        let mut inner = lock(&self.inner);
        let mut writer =
            Writer { limits: self.limits, now, appended: Appended::default(), new: Vec::new(), inner: &mut inner };
        let first = request.resource_logs.first().and_then(|first| first.resource.as_ref());
        if let Some((queue, sequence)) = otlp::batch(first) {
            let stored = writer.inner.queues.entry(queue).or_default();
            if stored.contains(sequence) {
                let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
                writer.appended.duplicates = scopes.map(|scope| scope.log_records.len()).sum::<usize>() as u64;
                return Ok(writer.appended);
            }
            stored.insert(sequence..sequence.saturating_add(1));
        }
        for resource in &request.resource_logs {
            writer.resource(resource);
        }
        let Writer { appended, new, .. } = writer;
        // What a message answers for is covered only after all its records were looked at: one of its scopes may
        // speak for the records of another.
        for (file, ranges) in covered {
            let held = inner.covered.entry(file).or_default();
            ranges.into_iter().for_each(|range| held.insert(range));
        }
        inner.figures.records += appended.accepted;
        super::add(&mut inner.figures, &appended);
        for entry in new {
            // Nobody may be listening.
            drop(self.tail.send(entry));
        }
        Ok(appended)
    }

    /// The matching entries of a range in order of time.
    fn entries(&self, matchers: &[Matcher], range: &Range<Nanos>) -> Vec<Arc<LogEntry>> {
        let inner = lock(&self.inner);
        let streams =
            inner.streams.iter().filter(|(labels, _)| matchers.iter().all(|matcher| matcher.matches_labels(labels)));
        let mut entries: Vec<Arc<LogEntry>> =
            streams.flat_map(|(_, held)| held).filter(|entry| range.contains(&entry.time)).cloned().collect();
        entries.sort_by(|one, other| records::in_order(one, other));
        entries
    }
}

/// The ranges that each scope of a request answers for.
fn covered(request: &ExportLogsServiceRequest) -> Result<Vec<Covered>, Error> {
    let mut all = Vec::new();
    for scope in request.resource_logs.iter().flat_map(|resource| &resource.scope_logs) {
        let Some((file, attributes)) = scope.scope.as_ref().and_then(|scope| Some((file(scope)?, &scope.attributes)))
        else {
            continue;
        };
        if let Some(Value::BytesValue(bytes)) = otlp::find(attributes, delivery::COVERED) {
            let ranges = delivery::decode_ranges(bytes)
                .ok_or_else(|| Error::Malformed(format!("{} is damaged", delivery::COVERED)))?;
            all.push((file, ranges));
        }
    }
    Ok(all)
}

fn file(scope: &InstrumentationScope) -> Option<FileId> {
    if scope.name != delivery::SCOPE {
        return None;
    }
    let word = |key| match otlp::find(&scope.attributes, key) {
        Some(Value::StringValue(word)) => Some(word.clone()),
        _ => None,
    };
    Some((word(delivery::GENERATION)?, word(delivery::STREAM).unwrap_or_default()))
}

struct Writer<'a> {
    limits: Limits,
    now: Timestamp,
    appended: Appended,
    new: Vec<Arc<LogEntry>>,
    inner: &'a mut Inner,
}

impl Writer<'_> {
    fn resource(&mut self, resource: &ResourceLogs) {
        let mut ranked: BTreeMap<&'static str, (usize, String)> = BTreeMap::new();
        let mut fields = BTreeMap::new();
        for pair in otlp::attributes(resource.resource.as_ref()) {
            let value = otlp::text(pair.value.as_ref());
            match (records::label_rank(&pair.key), names::resource_label(&pair.key)) {
                (Some(rank), Some(label)) if !value.is_empty() => {
                    if ranked.get(label).is_none_or(|(held, _)| rank < *held) {
                        ranked.insert(label, (rank, value));
                    }
                }
                (Some(_), _) => {}
                (None, _) if records::is_delivery(&pair.key) => {}
                (None, _) => {
                    fields.insert(names::sanitize_label(&pair.key), value);
                }
            }
        }
        let mut builder = labels::Builder::default();
        for (label, (_, value)) in &ranked {
            builder.set(label, value);
        }
        let labels = builder.build();
        for scope in &resource.scope_logs {
            self.scope(&labels, &fields, scope);
        }
    }

    fn scope(&mut self, labels: &Labels, fields: &BTreeMap<String, String>, scope: &ScopeLogs) {
        let file = scope.scope.as_ref().and_then(file);
        for record in &scope.log_records {
            if labels.iter().any(|(_, value)| value.len() > MAX_VALUE) {
                self.appended.reject(RejectReason::BadLabels, || labels.to_string());
                continue;
            }
            let entry = self.entry(labels, fields, record);
            self.record(file.as_ref(), record, entry);
        }
    }

    fn entry(&self, labels: &Labels, fields: &BTreeMap<String, String>, record: &LogRecord) -> LogEntry {
        let mut fields = fields.clone();
        if !record.event_name.is_empty() {
            fields.insert("event".to_owned(), record.event_name.clone());
        }
        for (name, id, length) in [("trace_id", &record.trace_id, 16), ("span_id", &record.span_id, 8)] {
            if id.len() == length && id.iter().any(|byte| *byte != 0) {
                fields.insert(name.to_owned(), id.iter().map(|byte| format!("{byte:02x}")).collect());
            }
        }
        for pair in record.attributes.iter().filter(|pair| !records::is_delivery(&pair.key)) {
            fields.insert(names::sanitize_label(&pair.key), otlp::text(pair.value.as_ref()));
        }
        let time = [record.time_unix_nano, record.observed_time_unix_nano].into_iter().find(|time| *time != 0);
        LogEntry {
            time: time.map_or(self.now.to_nanos(), |time| Nanos(i64::try_from(time).unwrap_or(i64::MAX))),
            labels: labels.clone(),
            line: otlp::text(record.body.as_ref()),
            severity: records::severity(record.severity_number, &record.severity_text),
            fields: fields.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            offset: otlp::unsigned(&record.attributes, delivery::RANGE_START).unwrap_or(0),
        }
    }

    fn record(&mut self, file: Option<&FileId>, record: &LogRecord, mut entry: LogEntry) {
        let range = range(record);
        if let (Some(file), Some(range)) = (file, &range) {
            let held = self.inner.covered.entry(file.clone()).or_default();
            match records::share(held, range, &entry.line) {
                Share::Whole => {}
                Share::Nothing => {
                    self.appended.duplicates += 1;
                    return;
                }
                Share::Part(part, offset) => {
                    entry.line = entry.line.get(part).unwrap_or_default().to_owned();
                    entry.offset = offset;
                }
            }
            held.insert(range.clone());
        }
        if let Err(reason) = admit(entry.time.to_timestamp(), self.now, self.limits.retention.logs.0) {
            self.appended.reject(reason, || entry.labels.to_string());
            return;
        }
        let full = self.inner.streams.len() >= self.limits.max_streams;
        if full && !self.inner.streams.contains_key(&entry.labels) {
            self.appended.reject(RejectReason::Cardinality, || entry.labels.to_string());
            return;
        }
        let entry = Arc::new(entry);
        self.inner.streams.entry(entry.labels.clone()).or_default().push(Arc::clone(&entry));
        self.new.push(entry);
        self.appended.accepted += 1;
    }
}

fn range(record: &LogRecord) -> Option<Range<u64>> {
    let start = otlp::unsigned(&record.attributes, delivery::RANGE_START)?;
    Some(start..otlp::unsigned(&record.attributes, delivery::RANGE_END)?)
}

impl LogStore for Logs {
    fn append(&self, request: Bytes, now: Timestamp) -> BoxFuture<'_, Result<Appended, Error>> {
        Box::pin(async move { self.append_now(&request, now) })
    }

    fn select(&self, selection: LogSelection) -> BoxFuture<'_, Result<Vec<LogEntry>, Error>> {
        Box::pin(async move {
            let mut entries = self.entries(&selection.matchers, &selection.range);
            if selection.direction == Direction::Backward {
                entries.reverse();
            }
            let mut found = Vec::new();
            let mut left = selection.max_bytes;
            for entry in entries {
                if found.len() >= selection.limit {
                    break;
                }
                let too_much = Error::TooMuch { limit: selection.max_bytes, unit: "bytes" };
                left = left.checked_sub(entry.line.len() as u64).ok_or(too_much)?;
                if selection.passes(&entry) {
                    found.push(LogEntry::clone(&entry));
                }
            }
            Ok(found)
        })
    }

    fn count(&self, selection: LogSelection, step: Duration) -> BoxFuture<'_, Result<Vec<LogCounts>, Error>> {
        Box::pin(async move {
            let entries = self.entries(&selection.matchers, &selection.range);
            let mut counts: BTreeMap<Labels, Vec<(u64, u64)>> = BTreeMap::new();
            let steps = selection.steps(step)?;
            let mut left = selection.max_bytes;
            for entry in entries {
                let too_much = Error::TooMuch { limit: selection.max_bytes, unit: "bytes" };
                left = left.checked_sub(entry.line.len() as u64).ok_or(too_much)?;
                if !selection.passes(&entry) {
                    continue;
                }
                let mut builder = entry.labels.to_builder();
                builder.set("level", entry.severity.level());
                let held = counts.entry(builder.build()).or_insert_with(|| vec![(0, 0); steps]);
                if let Some((records, bytes)) = held.get_mut(selection.step_of(entry.time, step)) {
                    *records += 1;
                    *bytes += entry.line.len() as u64;
                }
            }
            Ok(counts.into_iter().map(|(labels, steps)| LogCounts { labels, steps }).collect())
        })
    }

    fn streams(&self, matchers: Vec<Matcher>, range: Range<Nanos>) -> BoxFuture<'_, Result<Vec<StreamInfo>, Error>> {
        Box::pin(async move {
            let mut streams: BTreeMap<Labels, (u64, u64)> = BTreeMap::new();
            for entry in self.entries(&matchers, &range) {
                let (entries, bytes) = streams.entry(entry.labels.clone()).or_default();
                *entries += 1;
                *bytes += entry.line.len() as u64;
            }
            let info = |(labels, (entries, bytes))| StreamInfo { labels, entries, bytes };
            Ok(streams.into_iter().map(info).collect())
        })
    }

    fn tail(&self, matchers: Vec<Matcher>, filters: Vec<LineFilter>) -> BoxStream<'static, Tailed> {
        tail::stream(self.tail.subscribe(), matchers, filters)
    }
}
