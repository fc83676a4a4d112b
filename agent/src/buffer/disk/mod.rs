//! What waits on disk: a queue of batches in segment files that are only ever appended to.
//!
//! # Format, version 1
//!
//! A folder holds
//!
//! * `<20 digits>.segment`: a header, then records. Header, 16 bytes: `YAGURABF`, version (u32), the low half of the
//!   XXH3 of these 12 bytes (u32). Record: length of its payload (u32), signal (u8: 0 metrics, 1 logs, 2 traces),
//!   three zero bytes, items (u64), XXH3 of these 16 bytes and the payload, seeded with the segment's number (u64),
//!   payload: the batch's body compressed with zstd. All numbers are little-endian.
//! * `cursor`: `YAGURABC`, version (u32), four zero bytes, segment (u64), offset (u64), XXH3 of these 32 bytes (u64).
//!   Every record before that place has been delivered. Replaced as a whole, by renaming.
//! * `<20 digits>.damaged`: what recovery cut off; only the latest is kept.
//! * `lock`: locked by the agent that uses the folder.
//!
//! # Invariants
//!
//! * Numbers of segments only grow; a file is appended to only by the run that made it.
//! * Records leave in the order they came. They are delivered in any order; the cursor stands before the first that is
//!   not delivered, and a segment is deleted when all of it is.
//! * The cursor may lag behind after a crash. Records are then sent again, which the collector knows by their numbers.
//! * The files never exceed the budget: the oldest segment is dropped, and what nobody has read of it counted, before
//!   a record is written that would not fit.
//! * After a failed write the segment is cut back to the end of its last whole record.
//! * A bad record ends its segment: what comes after it cannot be trusted to begin where it seems to.

mod cursor;
mod record;
mod recovery;
mod segment;
mod worker;

use std::{
    collections::VecDeque,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::Batch;
pub(super) use recovery::Recovery;
use segment::{Segment, Taken};
pub use worker::Worker;
pub(super) use worker::{Command, channel};

/// A record's payload is at most this long; a batch is at most 4 MiB before it is compressed.
const MAX_PAYLOAD: usize = 8 * 1024 * 1024;
/// Segments end soon after this many bytes.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// However small the budget, it holds about this many segments, so that dropping one does not drop everything.
const SEGMENTS: u64 = 8;

/// The place of a record in the disk's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// Batches that were lost, and the items in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) batches: u64,
    pub(super) items: u64,
}

/// Why a folder cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("cannot use the buffer folder {path}: {source}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("the buffer folder {0} is in use by another agent")]
    Locked(PathBuf),
}

/// The queue. Every call may block on the disk.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    budget: u64,
    segment_bytes: u64,
    /// Oldest first. The last one is written to when it was made by this run.
    segments: VecDeque<Segment>,
    /// Whether the last segment may be appended to.
    writing: bool,
    next_number: u64,
    saved: Option<Position>,
    unsynced: bool,
    scratch: Vec<u8>,
    /// Held for its lock.
    _lock: File,
}

impl Disk {
    /// Opens the queue in `folder`, or begins one. Damage is cut off and told; it never keeps the queue from opening.
    pub(super) fn open(folder: &Path, budget: u64) -> Result<(Self, Recovery), OpenError> {
        recovery::open(folder, budget)
    }

    /// Appends a batch; tells what had to be dropped for it. The batch survives a crash of the machine only after
    /// [`Disk::sync`].
    pub(super) fn push(&mut self, batch: &Batch) -> io::Result<Lost> {
        let mut bytes = std::mem::take(&mut self.scratch);
        let result = self.push_with(batch, &mut bytes);
        // One large batch must not keep its memory for ever.
        bytes.shrink_to(256 * 1024);
        self.scratch = bytes;
        result
    }

    fn push_with(&mut self, batch: &Batch, bytes: &mut Vec<u8>) -> io::Result<Lost> {
        let mut lost = Lost::default();
        if self.segments.back().is_some_and(|last| last.len() >= self.segment_bytes) {
            self.writing = false;
        }
        if !self.writing {
            self.roll()?;
        }
        self.encode(batch, bytes)?;
        let needed = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if needed.saturating_add(segment::HEADER) > self.budget {
            return Err(io::Error::other(format!("a batch of {needed} bytes is larger than the disk budget")));
        }
        while self.bytes().saturating_add(needed) > self.budget {
            let Some(oldest) = self.segments.pop_front() else { break };
            lost.add(oldest.unread());
            oldest.delete()?;
        }
        if self.segments.is_empty() {
            self.roll()?;
            self.encode(batch, bytes)?;
        }
        if let Some(last) = self.segments.back_mut() {
            last.append(bytes, batch.items)?;
            self.unsynced = true;
        }
        Ok(lost)
    }

    /// The next batch that nobody has taken yet, and what was found damaged on the way to it.
    pub(super) fn next(&mut self) -> (Option<(Position, Batch)>, Lost) {
        let mut lost = Lost::default();
        for segment in &mut self.segments {
            match segment.take(&mut self.scratch) {
                Taken::Batch(offset, batch) => {
                    return (Some((Position { segment: segment.number(), offset }, batch)), lost);
                }
                Taken::End => {}
                Taken::Damaged(unread) => lost.add(unread),
            }
        }
        (None, lost)
    }

    /// A batch has been delivered, or will never be.
    pub(super) fn settle(&mut self, at: Position) {
        // A segment that was dropped meanwhile has nothing more to say.
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number() == at.segment) {
            segment.settle(at.offset);
        }
    }

    /// Makes everything appended so far survive a crash of the machine.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(last) = self.segments.back().filter(|_| self.unsynced) {
            last.sync()?;
        }
        self.unsynced = false;
        Ok(())
    }

    /// Deletes segments that are delivered as a whole, and writes the cursor down when it has moved.
    pub(super) fn tidy(&mut self) -> io::Result<()> {
        while self.segments.front().is_some_and(Segment::is_done) {
            let done = self.segments.pop_front();
            if self.segments.is_empty() {
                self.writing = false;
            }
            done.map_or(Ok(()), Segment::delete)?;
        }
        // With nothing left the cursor stands before the segment that will be next, so that its number is kept.
        let place =
            self.segments.front().map_or(Position { segment: self.next_number, offset: segment::HEADER }, |segment| {
                Position { segment: segment.number(), offset: segment.first_open() }
            });
        if self.saved != Some(place) {
            cursor::save(&self.folder, place)?;
            self.saved = Some(place);
        }
        Ok(())
    }

    /// Bytes in all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::len).sum()
    }

    fn encode(&self, batch: &Batch, bytes: &mut Vec<u8>) -> io::Result<()> {
        record::encode(self.segments.back().map_or(0, Segment::number), batch, bytes)
    }

    /// Ends the last segment and begins another.
    fn roll(&mut self) -> io::Result<()> {
        self.sync()?;
        let segment = Segment::create(&self.folder, self.next_number)?;
        self.next_number += 1;
        self.segments.push_back(segment);
        self.writing = true;
        Ok(())
    }
}

impl Lost {
    pub(super) fn add(&mut self, other: Self) {
        self.batches += other.batches;
        self.items += other.items;
    }
}

#[cfg(test)]
mod tests;
