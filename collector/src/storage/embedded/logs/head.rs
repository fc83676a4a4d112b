//! Streams with their newest records, in memory until blocks hold them.
//!
//! Records stand in the order in which they were accepted; the first `durable` of them are visible. Their lines and
//! fields stand one after the other in one text, so that a record costs no allocation.

use std::sync::{Arc, Mutex};

use yagura_model::{Labels, Severity, Timestamp};

use super::super::keyspaces::Day;
use crate::storage::memory::lock;

/// Raw bytes that make a block.
pub(in crate::storage::embedded) const BLOCK_BYTES: usize = 256 << 10;
/// A group's records are numbered below this.
pub(in crate::storage::embedded) const PER_GROUP: u64 = 1 << 24;

/// One active stream.
#[derive(Debug)]
pub(in crate::storage::embedded) struct Stream {
    pub(in crate::storage::embedded) id: u64,
    pub(in crate::storage::embedded) labels: Labels,
    head: Mutex<Head>,
}

/// One record; its texts are in the buffer beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage::embedded) struct Record {
    /// Its group's sequence times [`PER_GROUP`], and its place in it: unique, growing, and the same after a replay.
    pub(in crate::storage::embedded) order: u64,
    pub(in crate::storage::embedded) time: i64,
    pub(in crate::storage::embedded) offset: u64,
    pub(in crate::storage::embedded) severity: Severity,
    /// Which fields of the resource it has.
    set: u32,
    start: u32,
    line: u32,
    fields: u32,
}

/// Records with their texts.
#[derive(Clone, Debug, Default)]
pub(in crate::storage::embedded) struct Batch {
    pub(in crate::storage::embedded) records: Vec<Record>,
    text: Vec<u8>,
    /// Encoded fields that many records share: those of the resource.
    pub(in crate::storage::embedded) sets: Vec<Arc<[u8]>>,
}

/// What a record says, as bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage::embedded) struct New<'a> {
    pub(in crate::storage::embedded) order: u64,
    pub(in crate::storage::embedded) time: i64,
    pub(in crate::storage::embedded) offset: u64,
    pub(in crate::storage::embedded) severity: Severity,
    pub(in crate::storage::embedded) line: &'a [u8],
    pub(in crate::storage::embedded) fields: &'a [u8],
}

impl Batch {
    /// Appends a record.
    #[inline]
    pub(in crate::storage::embedded) fn push(&mut self, new: &New<'_>, set: &Arc<[u8]>) {
        let same = |known: &Arc<[u8]>| Arc::ptr_eq(known, set) || known == set;
        let place = match self.sets.iter().rposition(same) {
            Some(place) => place,
            None => {
                self.sets.push(Arc::clone(set));
                self.sets.len() - 1
            }
        };
        let short = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        self.records.push(Record {
            order: new.order,
            time: new.time,
            offset: new.offset,
            severity: new.severity,
            set: short(place),
            start: short(self.text.len()),
            line: short(new.line.len()),
            fields: short(new.fields.len()),
        });
        self.text.extend_from_slice(new.line);
        self.text.extend_from_slice(new.fields);
    }

    /// A record's line.
    pub(in crate::storage::embedded) fn line(&self, record: &Record) -> &[u8] {
        let start = record.start as usize;
        self.text.get(start..start + record.line as usize).unwrap_or_default()
    }

    /// A record's own fields, encoded.
    pub(in crate::storage::embedded) fn fields(&self, record: &Record) -> &[u8] {
        let start = record.start as usize + record.line as usize;
        self.text.get(start..start + record.fields as usize).unwrap_or_default()
    }

    /// The fields of a record's resource, encoded.
    pub(in crate::storage::embedded) fn set(&self, record: &Record) -> &[u8] {
        self.sets.get(record.set as usize).map_or(&[], |set| &**set)
    }

    /// The number of the fields of a record's resource.
    pub(in crate::storage::embedded) fn set_number(record: &Record) -> u32 {
        record.set
    }

    /// Bytes in memory.
    pub(in crate::storage::embedded) fn bytes(&self) -> usize {
        self.text.len() + self.records.len() * size_of::<Record>()
    }

    /// Bytes of lines and fields.
    pub(in crate::storage::embedded) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// The first `count` records; the others stay.
    fn split(&mut self, count: usize) -> Self {
        let text = self.records.get(count).map_or(self.text.len(), |record| record.start as usize);
        let mut rest = self.records.split_off(count);
        let rest_text = self.text.split_off(text);
        let moved = u32::try_from(text).unwrap_or(u32::MAX);
        rest.iter_mut().for_each(|record| record.start = record.start.saturating_sub(moved));
        let rest = Self { records: rest, text: rest_text, sets: self.sets.clone() };
        std::mem::replace(self, rest)
    }
}

#[derive(Debug, Default)]
pub(in crate::storage::embedded) struct Head {
    batch: Batch,
    durable: usize,
    sealing: Option<Arc<Batch>>,
    days: Vec<Day>,
    queued: bool,
    /// The order of the newest record that is in a block; a replay skips up to it.
    pub(in crate::storage::embedded) sealed: u64,
    /// When something was last appended.
    pub(in crate::storage::embedded) used: Timestamp,
}

impl Stream {
    /// A stream of which blocks hold records up to the order `sealed`.
    pub(in crate::storage::embedded) fn new(id: u64, labels: Labels, sealed: u64) -> Self {
        Self { id, labels, head: Mutex::new(Head { sealed, ..Head::default() }) }
    }

    /// Runs `work` on the head.
    pub(in crate::storage::embedded) fn with<T>(&self, work: impl FnOnce(&mut Head) -> T) -> T {
        work(&mut lock(&self.head))
    }
}

impl Head {
    /// Adds a record that readers do not see yet.
    #[inline]
    pub(in crate::storage::embedded) fn push(&mut self, new: &New<'_>, set: &Arc<[u8]>) {
        self.batch.push(new, set);
    }

    /// Whether `day` does not know the stream yet; from now on it does.
    pub(in crate::storage::embedded) fn new_in(&mut self, day: Day) -> bool {
        let new = self.days.last() != Some(&day) && !self.days.contains(&day);
        if new {
            self.days.push(day);
        }
        new
    }

    /// Makes the records of group commits up to `sequence` visible; `show` gets each of them. True when the sealer
    /// should come.
    pub(in crate::storage::embedded) fn promote(
        &mut self,
        sequence: u64,
        mut show: impl FnMut(&Batch, &Record),
    ) -> bool {
        while let Some(record) = self.batch.records.get(self.durable)
            && record.order / PER_GROUP <= sequence
        {
            show(&self.batch, record);
            self.durable += 1;
        }
        let ready = !self.queued && self.batch.text_bytes() >= BLOCK_BYTES;
        self.queued |= ready;
        ready
    }

    /// Takes all visible records to be written. `None` when there are none, or others are being written.
    pub(in crate::storage::embedded) fn take(&mut self) -> Option<Arc<Batch>> {
        if self.sealing.is_some() || self.durable == 0 {
            return None;
        }
        self.queued = false;
        let batch = Arc::new(self.batch.split(self.durable));
        if self.batch.records.is_empty() {
            self.batch.sets.clear();
        }
        self.durable = 0;
        self.sealing = Some(Arc::clone(&batch));
        Some(batch)
    }

    /// What was taken is in blocks now. True when the sealer should come again.
    pub(in crate::storage::embedded) fn sealed(&mut self) -> bool {
        if let Some(last) = self.sealing.take().and_then(|batch| batch.records.last().map(|record| record.order)) {
            self.sealed = self.sealed.max(last);
        }
        self.queued = self.batch.text_bytes() >= BLOCK_BYTES;
        self.queued
    }

    /// The oldest group commit that brought something not yet taken.
    pub(in crate::storage::embedded) fn oldest_sequence(&self) -> Option<u64> {
        self.batch.records.first().map(|record| record.order / PER_GROUP)
    }

    /// Whether nothing is in memory.
    pub(in crate::storage::embedded) fn is_empty(&self) -> bool {
        self.batch.records.is_empty() && self.sealing.is_none()
    }

    /// Bytes in memory that could be taken.
    pub(in crate::storage::embedded) fn bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// A copy of what readers see: what is being written, and what is not.
    pub(in crate::storage::embedded) fn read(&self) -> (Option<Arc<Batch>>, Batch) {
        let mut visible = self.batch.clone();
        visible.records.truncate(self.durable);
        (self.sealing.clone(), visible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(head: &mut Head, order: u64, line: &str, set: &str) {
        let new = New { order, time: 1, offset: 0, severity: Severity::Info, line: line.as_bytes(), fields: b"fields" };
        head.push(&new, &Arc::from(set.as_bytes()));
    }

    fn lines(batch: &Batch) -> Vec<String> {
        let text = |record| {
            let parts = [batch.line(record), batch.fields(record), batch.set(record)];
            parts.map(|part| String::from_utf8_lossy(part).into_owned()).join(" ")
        };
        batch.records.iter().map(text).collect()
    }

    #[test]
    fn what_is_taken_and_what_stays_keep_their_texts() {
        let mut head = Head::default();
        push(&mut head, PER_GROUP, "one", "a");
        push(&mut head, 2 * PER_GROUP, "two", "b");
        push(&mut head, 2 * PER_GROUP + 1, "three", "a");
        head.promote(1, |_, _| {});
        assert_eq!(lines(&head.read().1), ["one fields a"], "the rest is not durable");
        let taken = head.take().unwrap();
        assert_eq!(lines(&taken), ["one fields a"]);
        assert!(head.take().is_none(), "one at a time");
        head.promote(2, |_, _| {});
        let (sealing, visible) = head.read();
        assert_eq!(lines(&sealing.unwrap()), ["one fields a"]);
        assert_eq!(lines(&visible), ["two fields b", "three fields a"]);
        head.sealed();
        assert_eq!(head.sealed, PER_GROUP);
        assert_eq!(lines(&head.take().unwrap()), ["two fields b", "three fields a"]);
    }
}
