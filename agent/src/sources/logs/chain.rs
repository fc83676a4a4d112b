//! One log: the chain of its files from the oldest to the one that is written now, and what is answered for in each.

use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};

use super::{
    accounting::{Account, Reason},
    batch::Resource,
    checkpoint::{Checkpoints, Position},
    discover::Place,
    file::{Head, LogFile},
    join::Joins,
    line::{PerStream, Stream},
};
use crate::inventory::Hold;

/// So many failed readings in a row, about one a second, end a file.
const FAILURES: u32 = 30;

/// A log that is followed.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) place: Place,
    /// What its generations begin with.
    pub(crate) key: Arc<str>,
    /// From the oldest to the newest; those that are answered for to their end have left.
    pub(crate) files: VecDeque<Chained>,
    pub(crate) next_number: u64,
    pub(crate) joins: Joins,
    /// Attributes of its records; absent until its container is known, or for two seconds.
    pub(crate) resource: Option<Resource>,
    /// Keeps the container in the inventory until the last byte is delivered.
    pub(crate) hold: Option<Hold>,
    /// When it was found, on the monotonic clock.
    pub(crate) since: Duration,
    /// Whether its directory is there.
    pub(crate) directory_exists: bool,
    /// Whether there is a file under the name that is written.
    pub(crate) written_exists: bool,
    /// Whether its container runs, as far as is known.
    pub(crate) running: Option<bool>,
    /// The age of the oldest file on disk, answered for or not: what rotation deletes next.
    pub(crate) oldest_age: u64,
    /// Whether it has been listed at all.
    pub(crate) listed: bool,
    /// Whether its container is to be left alone.
    pub(crate) left_alone: bool,
    /// Whether what is read goes to the disk buffer for now.
    pub(crate) spooling: bool,
    pub(crate) account: Account,
}

/// One file of a chain.
#[derive(Debug)]
pub(crate) struct Chained {
    /// Its number in the chain, never used twice.
    pub(crate) number: u64,
    pub(crate) file: LogFile,
    pub(crate) path: PathBuf,
    /// 0 while it is the one that is written.
    pub(crate) age: u64,
    /// Since when it has no name any more.
    pub(crate) unlinked: Option<Duration>,
    /// Whether it was truncated under us; what was not read by then may be in a copy.
    pub(crate) emptied: bool,
    /// Its first line, or what there is of it.
    pub(crate) head: Option<Head>,
    /// Which content this is; unknown until its first line is whole.
    pub(crate) generation: Option<Arc<str>>,
    /// Everything before this offset was cut into lines.
    pub(crate) read: u64,
    /// Up to where batches answer for each stream.
    pub(crate) frontier: PerStream<u64>,
    /// Up to where batches said so; a stream that had nothing to say is said with its next record.
    pub(crate) said: PerStream<u64>,
    /// Up to where that is settled.
    pub(crate) done: PerStream<u64>,
    /// Batches under way, oldest first.
    pub(crate) sent: VecDeque<Sent>,
    /// From when on its end is final, once it is not written any more.
    pub(crate) closing: Option<Duration>,
    /// Its final length.
    pub(crate) end: Option<u64>,
    /// Its length when last looked at.
    pub(crate) seen: u64,
    pub(crate) cuts: Vec<(Stream, u64)>,
    /// Readings in a row that failed.
    pub(crate) failures: u32,
}

/// What one batch answers for in one file.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) ticket: u64,
    pub(crate) to: PerStream<u64>,
    pub(crate) settled: bool,
}

impl Log {
    pub(crate) fn new(place: Place, now: Duration) -> Self {
        Self {
            key: place.key(),
            place,
            files: VecDeque::new(),
            next_number: 0,
            joins: Joins::default(),
            resource: None,
            hold: None,
            since: now,
            directory_exists: true,
            written_exists: false,
            running: None,
            oldest_age: 0,
            listed: false,
            left_alone: false,
            spooling: false,
            account: Account::default(),
        }
    }

    /// The file to read from: the oldest that is not read to its end.
    pub(crate) fn reading(&self) -> Option<usize> {
        self.files.iter().position(|file| file.end.is_none_or(|end| file.read < end))
    }

    /// Whether there is something to read now, or an end to find.
    pub(crate) fn has_work(&self, now: Duration) -> bool {
        let Some(file) = self.reading().and_then(|index| self.files.get(index)) else { return false };
        file.generation.is_some()
            && (file.seen > file.read || file.file.is_compressed() || file.closing.is_some_and(|at| now >= at))
    }

    /// Bytes that are on disk and not delivered.
    pub(crate) fn lag(&self) -> u64 {
        self.files.iter().map(Chained::unsettled).sum()
    }

    /// Bytes of deleted files that only our descriptor keeps.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.files.iter().filter(|file| file.unlinked.is_some()).map(|file| file.seen).sum()
    }

    /// Marks a batch as answered for; moves positions as far as no gap is left.
    pub(crate) fn settle(&mut self, ticket: u64, checkpoints: &mut Checkpoints) -> u64 {
        let mut moved = 0;
        for file in &mut self.files {
            for sent in file.sent.iter_mut().filter(|sent| sent.ticket == ticket) {
                sent.settled = true;
            }
            moved += file.advance(checkpoints);
        }
        self.files.retain(|file| !file.is_finished());
        self.account.delivered += moved;
        moved
    }

    /// Goes back to what is settled: what was sent since then is sent again, and its answers do not count.
    pub(crate) fn rewind(&mut self) {
        self.joins.clear();
        // What was emptied cannot be read again; the batches under way are all there is of it.
        for file in self.files.iter_mut().filter(|file| !file.emptied) {
            file.sent.clear();
            file.frontier = file.done;
            file.said = file.done;
            let again = file.read.saturating_sub(file.done.least());
            self.account.read = self.account.read.saturating_sub(again);
            file.read = file.done.least();
        }
    }

    /// Gives up the oldest file: what is not settled of it is lost.
    pub(crate) fn give_up_oldest(&mut self, reason: Reason, checkpoints: &mut Checkpoints) -> Option<(Chained, u64)> {
        let file = self.files.pop_front()?;
        let lost = file.unsettled();
        self.account.give_up(reason, lost);
        self.joins.clear();
        if let Some(generation) = &file.generation {
            checkpoints.forget(generation);
        }
        Some((file, lost))
    }

    /// Moves positions over what was read and had nothing to send.
    pub(crate) fn advance(&mut self, checkpoints: &mut Checkpoints) {
        let moved: u64 = self.files.iter_mut().map(|file| file.advance(checkpoints)).sum();
        self.files.retain(|file| !file.is_finished());
        self.account.delivered += moved;
    }

    /// Its container is to be left alone: nothing of it is read, and it is only watched for its end.
    pub(crate) fn leave_alone(&mut self) {
        self.left_alone = true;
        self.listed = true;
        self.written_exists = self.place.path().exists();
        self.files.clear();
        self.joins.clear();
        self.hold = None;
    }

    /// A reading failed. A compressed file stays as it is, and a disk that fails so often will not mend: the rest of
    /// the file is given up, so that the next one is read. Gives where the gap begins, and its end if it is known.
    pub(crate) fn reading_failed(&mut self, checkpoints: &mut Checkpoints) -> Option<(Arc<str>, u64, Option<u64>)> {
        let index = self.reading()?;
        let file = self.files.get_mut(index)?;
        file.failures += 1;
        if !file.file.is_compressed() && file.failures < FAILURES {
            return None;
        }
        let to = (!file.file.is_compressed()).then_some(file.seen);
        file.end = Some(file.read);
        let gap = (file.generation.clone()?, file.read, to);
        self.account.give_up(Reason::Unreadable, file.seen.saturating_sub(file.read));
        self.advance(checkpoints);
        Some(gap)
    }

    /// Whether nothing is left of it: no file to be written, none that is not delivered.
    pub(crate) fn is_over(&self) -> bool {
        self.listed && !self.written_exists && self.files.is_empty()
    }
}

impl Chained {
    /// A file that is read from its beginning.
    pub(crate) fn new(number: u64, file: LogFile, path: PathBuf, age: u64) -> Self {
        Self {
            number,
            file,
            path,
            age,
            unlinked: None,
            emptied: false,
            head: None,
            generation: None,
            read: 0,
            frontier: PerStream::default(),
            said: PerStream::default(),
            done: PerStream::default(),
            sent: VecDeque::new(),
            closing: None,
            end: None,
            seen: 0,
            cuts: Vec::new(),
            failures: 0,
        }
    }

    /// Takes up where a position left it.
    pub(crate) fn resume(&mut self, position: &Position) {
        self.done = position.done;
        self.frontier = position.done;
        self.said = position.done;
        self.read = position.done.least();
        self.cuts.clone_from(&position.cuts);
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            done: self.done,
            finished: self.is_finished(),
            seen: self.seen.max(self.read),
            device: self.file.id.device,
            inode: self.file.id.inode,
            cuts: self.cuts.clone(),
        }
    }

    /// Bytes that are not answered for.
    pub(crate) fn unsettled(&self) -> u64 {
        self.end.unwrap_or(self.seen.max(self.read)).saturating_sub(self.done.least())
    }

    /// Whether it is read to its final end and all of it is answered for.
    pub(crate) fn is_finished(&self) -> bool {
        self.sent.is_empty() && self.end.is_some_and(|end| self.done.least() >= end)
    }

    /// Notes what a batch answers for.
    pub(crate) fn send(&mut self, ticket: u64, to: PerStream<u64>) {
        self.frontier = to;
        match self.sent.back_mut() {
            Some(last) if last.ticket == ticket => last.to = to,
            _ => self.sent.push_back(Sent { ticket, to, settled: false }),
        }
    }

    /// Moves `done` over what is settled without a gap; gives by how much.
    pub(crate) fn advance(&mut self, checkpoints: &mut Checkpoints) -> u64 {
        let before = self.done.least();
        let mut any = false;
        while self.sent.front().is_some_and(|sent| sent.settled) {
            self.done = self.sent.pop_front().map_or(self.done, |sent| sent.to);
            any = true;
        }
        if self.sent.is_empty() && self.done != self.frontier {
            // What was read since and had nothing to send.
            self.done = self.frontier;
            any = true;
        }
        if any {
            let done = self.done;
            self.cuts.retain(|(stream, offset)| offset > done.get(*stream));
        }
        // Its end may have become final since the last answer.
        if any || self.is_finished() {
            self.remember(checkpoints);
        }
        self.done.least().saturating_sub(before)
    }

    /// Puts its position into the checkpoint.
    pub(crate) fn remember(&self, checkpoints: &mut Checkpoints) {
        if let Some(generation) = &self.generation {
            checkpoints.set_position(generation, self.position());
        }
    }
}
