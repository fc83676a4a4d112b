//! The schema: which keyspaces there are, and their keys.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `inbox` | sequence | what a group commit accepted (see `group`), until blocks hold it |
//! | `ranges` | `f` file hash, or `q` queue hash | the day it was last touched, the ranges delivered ([`super::delivered`]) |
//! | `marks` | `m` series id | its day, the newest sample that is in a chunk |
//! | | `l` stream id | its day, the order of the newest record that is in a block |
//! | `meta` | `version` | this format's number |
//! | | `d` metric name | its description |
//! | | `floor` | the first sequence of the inbox that may be there |
//! | `state` | area `\0` key | what rules and notifiers remember |
//! | `metrics-YYYYMMDD` | `s` series id | its labels |
//! | | `c` series id, first time | chunk ([`super::metrics::chunk`]) |
//! | | `t` hash | column of times |
//! | `logs-YYYYMMDD` | `s` stream id | its labels |
//! | | `m`, `f`, `b` stream id, first time, first order | head, token filter and body of a block ([`super::logs::block`]) |
//!
//! Numbers in keys are big-endian, times with their sign flipped, so that keys sort as they count. Series and stream
//! ids are hashes of their labels, and mean something only within one day: a day can be dropped whole.
//!
//! Invariants:
//! * a sample or record is in the inbox or in a chunk or block, or in both; never in neither after it was
//!   acknowledged and before retention;
//! * a (series, time) is in one chunk at most; the order of a record in one block at most;
//! * series and streams of a day are recorded in the batch that first holds something of them for that day;
//! * only the committer writes, makes and drops keyspaces; everybody may read.
//!
//! Values are compressed already, so fjall compresses nothing; memtables are small because there is one for each
//! keyspace.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, UserValue, config::BlockSizePolicy};
use jiff::{Span, civil::Date};
use yagura_model::{Labels, Timestamp};

use super::{
    coding::{self, Input, put_key_time},
    counters::Counters,
};
use crate::storage::Error;

/// The number of this format.
pub(super) const FORMAT: u8 = 1;
const MILLIS_OF_DAY: i64 = 24 * 60 * 60 * 1000;
const EPOCH: Date = Date::constant(1970, 1, 1);
/// One for each keyspace; see above.
const MEMTABLE: u64 = 8 << 20;
const SMALL_MEMTABLE: u64 = 2 << 20;
/// The inbox is where everything passes through.
const INBOX_MEMTABLE: u64 = 16 << 20;

/// Days since 1970-01-01, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Day(pub(super) i32);

impl Day {
    pub(super) fn of(time: Timestamp) -> Self {
        Self::of_millis(time.0)
    }

    pub(super) fn of_millis(millis: i64) -> Self {
        Self(i32::try_from(millis.div_euclid(MILLIS_OF_DAY)).unwrap_or(if millis < 0 { i32::MIN } else { i32::MAX }))
    }

    /// The first millisecond after it.
    pub(super) fn end(self) -> Timestamp {
        Timestamp((i64::from(self.0) + 1).saturating_mul(MILLIS_OF_DAY))
    }

    fn from_text(text: &str) -> Option<Self> {
        let date = Date::strptime("%Y%m%d", text).ok()?;
        Some(Self(EPOCH.until(date).ok()?.get_days()))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match EPOCH.checked_add(Span::new().days(self.0.clamp(-700_000, 2_900_000))) {
            Ok(date) => write!(f, "{:04}{:02}{:02}", date.year(), date.month(), date.day()),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

/// What a day's keyspace holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Metrics,
    Logs,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// A keyspace, by its place in the schema; all but the inbox, which only the committer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    Ranges,
    Marks,
    Meta,
    State,
    Day(Kind, Day),
}

/// One change of a batch; no value deletes.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) space: Space,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

impl Change {
    pub(super) fn put(space: Space, key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { space, key, value: Some(value) }
    }

    pub(super) fn delete(space: Space, key: Vec<u8>) -> Self {
        Self { space, key, value: None }
    }
}

/// The open database and its keyspaces.
pub(super) struct Keyspaces {
    pub(super) db: Database,
    pub(super) inbox: Keyspace,
    pub(super) ranges: Keyspace,
    pub(super) marks: Keyspace,
    pub(super) meta: Keyspace,
    pub(super) state: Keyspace,
    days: RwLock<BTreeMap<(Kind, Day), Keyspace>>,
    path: PathBuf,
}

impl fmt::Debug for Keyspaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyspaces").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Keyspaces {
    /// The keyspaces of an open database; those that are missing are made.
    pub(super) fn open(db: Database, path: &Path) -> Result<Self, fjall::Error> {
        let small = || options(SMALL_MEMTABLE);
        let inbox = db.keyspace("inbox", || options(INBOX_MEMTABLE))?;
        let [ranges, marks, meta, state] = ["ranges", "marks", "meta", "state"].map(|name| db.keyspace(name, small));
        let (ranges, marks, meta, state) = (ranges?, marks?, meta?, state?);
        let mut days = BTreeMap::new();
        for name in db.list_keyspace_names() {
            if let Some(key) = parse_name(&name) {
                days.insert(key, db.keyspace(&name, || day_options(key.0))?);
            }
        }
        let opened = Self { db, inbox, ranges, marks, meta, state, days: RwLock::new(days), path: path.to_owned() };
        opened.write_names();
        Ok(opened)
    }

    /// The keyspace of a day, if it is there.
    pub(super) fn day(&self, kind: Kind, day: Day) -> Option<Keyspace> {
        self.days.read().unwrap_or_else(PoisonError::into_inner).get(&(kind, day)).cloned()
    }

    /// The days that are there, oldest first.
    pub(super) fn days(&self, kind: Kind) -> Vec<Day> {
        let days = self.days.read().unwrap_or_else(PoisonError::into_inner);
        days.keys().filter(|(known, _)| *known == kind).map(|(_, day)| *day).collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Keyspace> {
        let days = self.days.read().unwrap_or_else(PoisonError::into_inner);
        let fixed = [&self.inbox, &self.ranges, &self.marks, &self.meta, &self.state];
        fixed.into_iter().chain(days.values()).cloned().collect()
    }

    /// The keyspace of a change; a day is made when it is not there. For the committer only.
    pub(super) fn resolve(&self, space: Space) -> Result<Keyspace, fjall::Error> {
        let (kind, day) = match space {
            Space::Ranges => return Ok(self.ranges.clone()),
            Space::Marks => return Ok(self.marks.clone()),
            Space::Meta => return Ok(self.meta.clone()),
            Space::State => return Ok(self.state.clone()),
            Space::Day(kind, day) => (kind, day),
        };
        if let Some(keyspace) = self.day(kind, day) {
            return Ok(keyspace);
        }
        let keyspace = self.db.keyspace(&format!("{}-{day}", kind.word()), || day_options(kind))?;
        self.days.write().unwrap_or_else(PoisonError::into_inner).insert((kind, day), keyspace.clone());
        self.write_names();
        Ok(keyspace)
    }

    /// Drops a day with everything in it. For the committer only.
    pub(super) fn drop_day(&self, kind: Kind, day: Day) -> Result<(), fjall::Error> {
        let keyspace = self.days.write().unwrap_or_else(PoisonError::into_inner).remove(&(kind, day));
        if let Some(keyspace) = keyspace {
            self.db.delete_keyspace(keyspace)?;
            self.write_names();
        }
        Ok(())
    }

    /// Notes which directory is which keyspace, so that damage can be named. Not needed for anything else, hence
    /// neither synced nor required to succeed.
    fn write_names(&self) {
        let line = |keyspace: &Keyspace| format!("{} {}\n", keyspace.id(), &**keyspace.name());
        let lines: String = self.all().iter().map(line).collect();
        drop(std::fs::write(self.path.join(NAMES), lines));
    }
}

/// The file that says which directory is which keyspace.
pub(super) const NAMES: &str = "names.txt";

/// The names of keyspaces by their directory, as last noted.
pub(super) fn names(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path.join(NAMES)).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(' ')).map(|(id, name)| (id.to_owned(), name.to_owned())).collect()
}

fn parse_name(name: &str) -> Option<(Kind, Day)> {
    let (word, day) = name.split_once('-')?;
    let kind = [Kind::Metrics, Kind::Logs].into_iter().find(|kind| kind.word() == word)?;
    Some((kind, Day::from_text(day)?))
}

fn options(memtable: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable)
        .manual_journal_persist(true)
        .data_block_size_policy(BlockSizePolicy::all(16 << 10))
}

fn day_options(kind: Kind) -> KeyspaceCreateOptions {
    match kind {
        Kind::Metrics => options(MEMTABLE),
        // The bodies of log blocks are tens of kilobytes; kept apart they are not written again by compaction.
        Kind::Logs => {
            options(MEMTABLE).with_kv_separation(Some(KvSeparationOptions::default().separation_threshold(4 << 10)))
        }
    }
}

/// A key of a tag and an id.
pub(super) fn id_key(tag: u8, id: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.push(tag);
    key.extend_from_slice(&id.to_be_bytes());
    key
}

/// A key of a tag, an id and a time.
pub(super) fn time_key(tag: u8, id: u64, time: i64) -> Vec<u8> {
    let mut key = Vec::with_capacity(25);
    key.push(tag);
    key.extend_from_slice(&id.to_be_bytes());
    put_key_time(&mut key, time);
    key
}

/// A value, or none when it cannot be read: what is damaged is counted and taken for absent.
pub(super) fn get(keyspace: &Keyspace, key: impl AsRef<[u8]>, counters: &Counters) -> Option<UserValue> {
    keyspace.get(key).unwrap_or_else(|_| {
        counters.damage();
        None
    })
}

/// The labels of a series or stream in a day.
pub(super) fn labels_of(keyspace: &Keyspace, id: u64, counters: &Counters) -> Option<Labels> {
    let value = get(keyspace, id_key(b's', id), counters)?;
    coding::labels(&mut Input(&value))
}

/// All series or streams of a day; those that cannot be read are left out.
pub(super) fn all_series(keyspace: &Keyspace, counters: &Counters) -> Vec<(u64, Labels)> {
    let mut series = Vec::new();
    for item in keyspace.prefix(b"s") {
        let Ok((key, value)) = item.into_inner() else {
            counters.damage();
            break;
        };
        let id = Input(key.get(1..).unwrap_or_default()).key_word();
        match (id, coding::labels(&mut Input(&value))) {
            (Some(id), Some(labels)) => series.push((id, labels)),
            _ => counters.damage(),
        }
    }
    series
}

/// The engine's error for one of fjall's.
#[expect(clippy::needless_pass_by_value, reason = "used as a function of errors")]
pub(super) fn failed(error: fjall::Error) -> Error {
    Error::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_by_their_date() {
        let day = Day::of(Timestamp(1_795_132_800_000));
        assert_eq!(day.to_string(), "20261120");
        assert_eq!(Day::from_text("20261120"), Some(day));
        assert_eq!(parse_name("logs-20261120"), Some((Kind::Logs, day)));
        assert_eq!(parse_name("inbox"), None);
        assert_eq!(Day::of(Timestamp(-1)).to_string(), "19691231");
    }
}
