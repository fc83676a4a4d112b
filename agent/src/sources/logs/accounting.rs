//! What became of every byte of a log: seen, read, delivered, given up and why.

use std::collections::BTreeMap;

/// Why bytes were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reason {
    /// The file was gone when the agent came back.
    GoneWhileAway,
    /// The file was cut short before its end was read.
    Truncated,
    /// It was deleted, and held open for longer than the limit.
    HeldTooLong,
    /// It was deleted, and the files held open took more than the limit.
    HeldTooMuch,
    /// The collector will never take it.
    Refused,
    /// It cannot be read (an I/O error, a damaged `.gz`).
    Unreadable,
}

impl Reason {
    pub(crate) const ALL: [Self; 6] =
        [Self::GoneWhileAway, Self::Truncated, Self::HeldTooLong, Self::HeldTooMuch, Self::Refused, Self::Unreadable];

    /// The label's value.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GoneWhileAway => "gone_while_away",
            Self::Truncated => "truncated",
            Self::HeldTooLong => "held_too_long",
            Self::HeldTooMuch => "held_too_much",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Counts of one log, or of all; in bytes of its files where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Found in its files.
    pub(crate) seen: u64,
    /// Read and cut into records.
    pub(crate) read: u64,
    /// Records made.
    pub(crate) records: u64,
    /// Answered for by the collector or by the disk buffer.
    pub(crate) delivered: u64,
    /// Of the delivered ones, those that the disk buffer took before rotation could delete them.
    pub(crate) spooled: u64,
    /// Lines that are no lines of their format, passed on as they are.
    pub(crate) malformed: u64,
    /// Lost, and why.
    pub(crate) given_up: BTreeMap<Reason, u64>,
}

impl Account {
    pub(crate) fn give_up(&mut self, reason: Reason, bytes: u64) {
        if bytes > 0 {
            *self.given_up.entry(reason).or_default() += bytes;
        }
    }

    /// Adds the counts of another.
    pub(crate) fn add(&mut self, other: &Self) {
        self.seen += other.seen;
        self.read += other.read;
        self.records += other.records;
        self.delivered += other.delivered;
        self.spooled += other.spooled;
        self.malformed += other.malformed;
        for (reason, bytes) in &other.given_up {
            self.give_up(*reason, *bytes);
        }
    }
}
