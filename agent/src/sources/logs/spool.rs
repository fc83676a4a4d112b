//! When delivery stalls: what rotation is about to delete goes to the disk buffer, what was deleted is not held open
//! for ever.

use std::{sync::Arc, time::Duration};

use super::{
    accounting::Reason,
    batch::Writer,
    chain::{Chained, Log},
    rotate::Gap,
    tail::{Now, Tailer, Turn},
};

/// A batch for the disk buffer; one is under way at a time.
const BATCH: usize = 640 * 1024;

/// A budget is near its end at four fifths.
fn near(used: u64, limit: u64) -> bool {
    used.saturating_mul(5) >= limit.saturating_mul(4)
}

/// What decides which files are at risk.
#[derive(Clone, Copy)]
struct Risk {
    /// Delivery gets nowhere.
    stalled: bool,
    /// Deleted files that are held take nearly all they may, or end with the agent.
    held_near: bool,
    held_age: Duration,
    now: Duration,
}

impl Log {
    /// Whether bytes of a file that nobody answers for may be gone soon: a deleted file lives only as long as we do,
    /// and the oldest rotated one is deleted next.
    fn is_file_at_risk(&self, file: &Chained, risk: Risk) -> bool {
        if file.generation.is_none() || file.emptied || file.unsettled() == 0 {
            return false;
        }
        match file.unlinked {
            Some(since) => {
                let aged = near(millis(risk.now.saturating_sub(since)), millis(risk.held_age));
                risk.stalled || risk.held_near || aged
            }
            None => risk.stalled && file.age > 0 && file.age >= self.oldest_age,
        }
    }

    fn is_at_risk(&self, risk: Risk) -> bool {
        self.files.iter().any(|file| self.is_file_at_risk(file, risk))
    }

    /// Whether what is read next is at risk, or ends a line that is.
    fn reads_at_risk(&self, risk: Risk) -> bool {
        let next = self.reading().and_then(|index| self.files.get(index));
        let at_risk = next.is_some_and(|file| self.is_file_at_risk(file, risk));
        self.has_work(risk.now) && (at_risk || self.joins.bytes() > 0)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Tailer {
    /// Reads on in logs at risk, from what is settled, into a batch for the disk buffer. What was sent before and has
    /// no answer yet is in it again; the store keeps it once.
    pub(crate) fn spool(&mut self, now: Now, stalled: bool, turn: &mut Turn) {
        let held: u64 = self.logs.values().map(Log::held_bytes).sum();
        let held_near = near(held, self.settings.held_bytes);
        let risk = Risk {
            stalled,
            // When the agent stops, deleted files stop with it.
            held_near: held_near || self.stopping,
            held_age: self.settings.held_age,
            now: now.steady,
        };
        for log in self.logs.values_mut().filter(|log| log.resource.is_some()) {
            let at_risk = log.is_at_risk(risk);
            if at_risk && !log.spooling {
                log.rewind();
            }
            log.spooling = at_risk;
        }
        if self.spooling.is_some() {
            return;
        }
        let works = |log: &Log| log.spooling && (log.reads_at_risk(risk) || log.joins.bytes() > 0);
        let Some(key) = self.logs.iter().find(|(_, log)| works(log)).map(|(key, _)| Arc::clone(key)) else {
            return;
        };
        let mut writer = Writer::default();
        let ticket = self.ticket();
        let mut failed = None;
        if let Some(log) = self.logs.get_mut(&key) {
            while writer.len() < BATCH && log.reads_at_risk(risk) {
                match log.read_chunk(&mut self.scratch, self.settings.bounds, now.steady) {
                    Ok(true) => {
                        if !log.seal(&self.scratch, &mut writer, ticket, now.wall) {
                            log.advance(&mut self.checkpoints);
                        }
                    }
                    Ok(false) => break,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let bounds = self.settings.bounds;
            if let Ok(true) = log.cut_overdue(&mut self.scratch, bounds, &mut self.checkpoints, now.steady) {
                log.seal(&self.scratch, &mut writer, ticket, now.wall);
            }
        }
        if let Some(error) = failed {
            self.reading_failed(&key, &error);
        }
        if writer.len() > 0 {
            self.spooling = Some(ticket);
            self.launch(writer.finish(), vec![key], true, turn);
        }
    }

    /// Lets go of deleted files that were held for too long, or that take too much together.
    pub(crate) fn give_up_held(&mut self, now: Now) {
        let limit = self.settings.held_age;
        let aged: Vec<Arc<str>> = self.logs_that_hold(|since| now.steady.saturating_sub(since) > limit);
        for key in aged {
            self.give_up(&key, Reason::HeldTooLong);
        }
        while self.logs.values().map(Log::held_bytes).sum::<u64>() > self.settings.held_bytes {
            let largest = self.logs.iter().max_by_key(|(_, log)| log.held_bytes()).map(|(key, _)| Arc::clone(key));
            let Some(key) = largest else { return };
            if !self.give_up(&key, Reason::HeldTooMuch) {
                return;
            }
        }
    }

    fn logs_that_hold(&self, too_long: impl Fn(Duration) -> bool) -> Vec<Arc<str>> {
        let holds = |log: &Log| log.files.front().and_then(|file| file.unlinked).is_some_and(&too_long);
        self.logs.iter().filter(|(_, log)| holds(log)).map(|(key, _)| Arc::clone(key)).collect()
    }

    /// Gives up the oldest file of a log, if it is deleted.
    fn give_up(&mut self, key: &str, reason: Reason) -> bool {
        let Some(log) =
            self.logs.get_mut(key).filter(|log| log.files.front().is_some_and(|file| file.unlinked.is_some()))
        else {
            return false;
        };
        if let Some((file, lost)) = log.give_up_oldest(reason, &mut self.checkpoints)
            && lost > 0
        {
            let generation = file.generation.as_deref().unwrap_or_default().to_owned();
            let from = file.done.least();
            self.remember_gaps(vec![Gap { generation, from, to: Some(from + lost), reason }]);
        }
        true
    }
}
