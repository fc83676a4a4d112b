//! Series with their newest samples, in memory until chunks hold them.
//!
//! A sample is first *pending*: it is there for the sake of telling duplicates, but readers do not see it. When its
//! group commit is durable it becomes a *row*, sorted by time. Rows that are being written to a chunk are *sealing*;
//! readers see them there until the chunk is durable.

use std::sync::{Arc, Mutex};

use yagura_model::{Labels, Timestamp};

use super::{super::keyspaces::Day, chunk::MAX_SPAN};
use crate::storage::{Sample, memory::lock};

/// A chunk ends where such a window of the clock ends, if it has enough samples: the series of one scrape then have
/// the same times in their chunks, and share one column.
const WINDOW: i64 = 40 * 60 * 1000;
/// Enough samples to end a chunk.
const ENOUGH: usize = 120;
/// A chunk never has more.
pub(in crate::storage::embedded) const MOST: usize = 240;

/// One active series.
#[derive(Debug)]
pub(in crate::storage::embedded) struct Series {
    pub(in crate::storage::embedded) id: u64,
    pub(in crate::storage::embedded) labels: Labels,
    head: Mutex<Head>,
}

/// A sample and the group commit that brought it.
#[derive(Clone, Copy, Debug)]
struct Row {
    sample: Sample,
    sequence: u64,
}

#[derive(Debug, Default)]
pub(in crate::storage::embedded) struct Head {
    rows: Vec<Row>,
    pending: Vec<Row>,
    sealing: Option<Arc<[Sample]>>,
    /// The newest sample of all, wherever it is.
    pub(in crate::storage::embedded) newest: Option<Sample>,
    /// The newest sample in chunks.
    pub(in crate::storage::embedded) newest_sealed: Option<Sample>,
    /// The days that know this series, newest last.
    days: Vec<Day>,
    /// Waits for the sealer.
    queued: bool,
    /// When something was last appended.
    pub(in crate::storage::embedded) used: Timestamp,
}

impl Series {
    /// A series of which chunks hold samples up to `newest_sealed`.
    pub(in crate::storage::embedded) fn new(id: u64, labels: Labels, newest_sealed: Option<Sample>) -> Self {
        let head = Head { newest: newest_sealed, newest_sealed, ..Head::default() };
        Self { id, labels, head: Mutex::new(head) }
    }

    /// Runs `work` on the head.
    pub(in crate::storage::embedded) fn with<T>(&self, work: impl FnOnce(&mut Head) -> T) -> T {
        work(&mut lock(&self.head))
    }
}

impl Head {
    /// The value at an instant, if it is in memory.
    pub(in crate::storage::embedded) fn value_at(&self, time: Timestamp) -> Option<f64> {
        if let Ok(found) = self.rows.binary_search_by_key(&time, |row| row.sample.time) {
            return self.rows.get(found).map(|row| row.sample.value);
        }
        let sealing = self.sealing.as_deref().unwrap_or_default();
        if let Ok(found) = sealing.binary_search_by_key(&time, |sample| sample.time) {
            return sealing.get(found).map(|sample| sample.value);
        }
        self.pending.iter().find(|row| row.sample.time == time).map(|row| row.sample.value)
    }

    /// Adds a sample whose time is free.
    pub(in crate::storage::embedded) fn push(&mut self, sample: Sample, sequence: u64) {
        self.pending.push(Row { sample, sequence });
        if self.newest.is_none_or(|newest| newest.time < sample.time) {
            self.newest = Some(sample);
        }
    }

    /// Whether `day` does not know the series yet; from now on it does.
    pub(in crate::storage::embedded) fn new_in(&mut self, day: Day) -> bool {
        let new = !self.days.contains(&day);
        if new {
            self.days.push(day);
        }
        new
    }

    /// Makes the pending samples of group commits up to `sequence` visible. True when the sealer should come.
    pub(in crate::storage::embedded) fn promote(&mut self, sequence: u64) -> bool {
        let mut kept = 0;
        for place in 0..self.pending.len() {
            let Some(row) = self.pending.get(place).copied() else { break };
            if row.sequence > sequence {
                if let Some(slot) = self.pending.get_mut(kept) {
                    *slot = row;
                }
                kept += 1;
            } else if self.rows.last().is_none_or(|last| last.sample.time < row.sample.time) {
                self.rows.push(row);
            } else {
                let place = self.rows.partition_point(|held| held.sample.time < row.sample.time);
                self.rows.insert(place, row);
            }
        }
        self.pending.truncate(kept);
        let ready = !self.queued && self.may_cut() && self.cut().is_some();
        self.queued |= ready;
        ready
    }

    /// A cheap look at whether [`Self::cut`] is worth asking: it is done for every sample.
    fn may_cut(&self) -> bool {
        let last = self.rows.last_chunk::<2>();
        self.rows.len() > MOST
            || self.rows.len() > ENOUGH && last.is_some_and(|[one, next]| window(one) != window(next))
    }

    /// How many rows make a chunk now.
    fn cut(&self) -> Option<usize> {
        if self.rows.len() <= ENOUGH {
            return None;
        }
        if self.rows.len() > 2 * MOST {
            return Some(self.rows.len() - self.rows.len() % MOST);
        }
        let most = self.rows.len().min(MOST + 1);
        let head = self.rows.get(..most)?;
        let ends = head.windows(2).rposition(|pair| matches!(pair, [one, next] if window(one) != window(next)));
        match ends {
            Some(end) if end + 1 >= ENOUGH => Some(end + 1),
            _ if self.rows.len() > MOST => Some(MOST),
            _ => None,
        }
    }

    /// Takes rows to be written: a chunk's worth, or with `all` everything. `None` while others are being written.
    pub(in crate::storage::embedded) fn take(&mut self, all: bool) -> Option<Arc<[Sample]>> {
        if self.sealing.is_some() {
            return None;
        }
        self.queued = false;
        let cut = if all { self.rows.len() } else { self.cut()? };
        if cut == 0 {
            return None;
        }
        let samples: Arc<[Sample]> = self.rows.drain(..cut).map(|row| row.sample).collect();
        self.rows.shrink_to(MOST.min(self.rows.len().max(8) * 4));
        self.sealing = Some(Arc::clone(&samples));
        Some(samples)
    }

    /// What was taken is in chunks now. True when the sealer should come again.
    pub(in crate::storage::embedded) fn sealed(&mut self) -> bool {
        if let Some(last) = self.sealing.take().and_then(|samples| samples.last().copied())
            && self.newest_sealed.is_none_or(|newest| newest.time < last.time)
        {
            self.newest_sealed = Some(last);
        }
        self.queued = self.cut().is_some();
        self.queued
    }

    /// The newest sample that chunks will hold when what is being written is there.
    pub(in crate::storage::embedded) fn mark(&self) -> Option<Sample> {
        let sealing = self.sealing.as_deref().and_then(|samples| samples.last().copied());
        [self.newest_sealed, sealing].into_iter().flatten().max_by_key(|sample| sample.time)
    }

    /// The oldest group commit that brought something not yet taken.
    pub(in crate::storage::embedded) fn oldest_sequence(&self) -> Option<u64> {
        self.rows.iter().chain(&self.pending).map(|row| row.sequence).min()
    }

    /// Whether nothing is in memory.
    pub(in crate::storage::embedded) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.pending.is_empty() && self.sealing.is_none()
    }

    /// Appends what readers see between two instants; sorted, but for what is being written standing first.
    pub(in crate::storage::embedded) fn read(&self, from: Timestamp, to: Timestamp, out: &mut Vec<Sample>) {
        let within = |time: Timestamp| from <= time && time <= to;
        let sealing = self.sealing.as_deref().unwrap_or_default();
        out.extend(sealing.iter().filter(|sample| within(sample.time)));
        let start = self.rows.partition_point(|row| row.sample.time < from);
        out.extend(self.rows.iter().skip(start).take_while(|row| row.sample.time <= to).map(|row| row.sample));
    }

    /// How many samples are in memory.
    pub(in crate::storage::embedded) fn len(&self) -> usize {
        self.rows.len() + self.pending.len() + self.sealing.as_deref().map_or(0, <[Sample]>::len)
    }
}

fn window(row: &Row) -> i64 {
    row.sample.time.0.div_euclid(WINDOW)
}

/// Sorted samples cut into chunks: at the end of a day, at [`MAX_SPAN`] and at [`MOST`] samples.
pub(in crate::storage::embedded) fn pieces(samples: &[Sample]) -> Vec<&[Sample]> {
    let mut pieces = Vec::new();
    let mut rest = samples;
    while let Some(first) = rest.first() {
        let day = Day::of(first.time);
        let fits = |sample: &Sample| Day::of(sample.time) == day && sample.time.0 - first.time.0 <= MAX_SPAN;
        let end = rest.iter().take(MOST).take_while(|sample| fits(sample)).count().max(1);
        let Some((piece, after)) = rest.split_at_checked(end) else { break };
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time: i64) -> Sample {
        Sample { time: Timestamp(time), value: 1.0 }
    }

    fn filled(count: i64, step: i64) -> (Head, bool) {
        let mut head = Head::default();
        let mut ready = false;
        for place in 0..count {
            head.push(sample(place * step), place.cast_unsigned());
            ready |= head.promote(place.cast_unsigned());
        }
        (head, ready)
    }

    fn read(head: &Head) -> Vec<i64> {
        let mut out = Vec::new();
        head.read(Timestamp(i64::MIN), Timestamp(i64::MAX), &mut out);
        out.iter().map(|sample| sample.time.0).collect()
    }

    #[test]
    fn readers_see_only_what_is_durable() {
        let mut head = Head::default();
        head.push(sample(5), 1);
        head.push(sample(3), 2);
        assert_eq!(read(&head), [0_i64; 0]);
        assert_eq!(head.value_at(Timestamp(3)), Some(1.0), "but a duplicate is told");
        head.promote(1);
        assert_eq!(read(&head), [5]);
        head.promote(2);
        assert_eq!(read(&head), [3, 5]);
        assert_eq!(head.newest.unwrap().time.0, 5);
    }

    #[test]
    fn a_chunk_ends_with_its_window() {
        let (mut head, ready) = filled(241, 10_000);
        assert!(ready);
        assert_eq!(head.take(false).unwrap().len(), 240, "forty minutes of ten seconds");
        assert_eq!(read(&head).len(), 241, "still seen while it is written");
        assert_eq!(head.oldest_sequence(), Some(240));
        head.sealed();
        assert_eq!(read(&head), [2_400_000]);
    }

    #[test]
    fn a_slow_series_waits_for_enough_samples() {
        let (mut head, ready) = filled(119, 60_000);
        assert!(!ready && head.take(false).is_none());
        assert_eq!(head.take(true).unwrap().len(), 119);
    }

    #[test]
    fn pieces_end_with_the_day_and_after_two_hours() {
        let day = 24 * 60 * 60 * 1000;
        let samples: Vec<Sample> = [day - 2, day - 1, day, day + 1, day + MAX_SPAN + 1].map(sample).into();
        let lengths: Vec<usize> = pieces(&samples).iter().map(|piece| piece.len()).collect();
        assert_eq!(lengths, [2, 2, 1]);
    }
}
