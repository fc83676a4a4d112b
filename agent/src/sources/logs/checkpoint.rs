//! How far each generation has been answered for, on disk.
//!
//! One file, `logs.checkpoint` (and `logs.cursors` for what the runtime's API gives), only appended to:
//!
//! ```text
//! magic    "YGRLOGC1"
//! record   length of the payload (u32) | xxh3 of the payload (u64) | payload
//! payload  kind (u8) | length of the key (u16) | key | numbers (u64 each)
//!          kind 1: a position, as in [`Position`]; kind 2: the key is forgotten; kind 3: a cursor, as in [`Cursor`]
//! ```
//!
//! Numbers are little-endian; the last record of a key counts. Invariants:
//!
//! * A position is never ahead of what was answered for. It may be behind after a power loss: bytes are then sent
//!   again and the store skips them. So positions are synced to the disk lazily, only cuts at once.
//! * A cut is on the disk before the record that it ends is sent.
//! * Damage ends the reading; the damaged file is set aside under its own name, what came before it is kept.
//! * When four fifths of the file are outdated it is written anew beside itself and renamed.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    ops::Bound,
    path::{Path, PathBuf},
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_64;

use super::line::{PerStream, Stream};

const MAGIC: &[u8; 8] = b"YGRLOGC1";
/// Record header: length and hash.
const HEADER: usize = 12;
/// No record is longer: a key and some cuts.
const LONGEST: usize = 64 * 1024;
/// A file smaller than this is not worth compacting.
const SMALL: u64 = 256 * 1024;
/// A checkpoint larger than this is not ours.
const LARGEST: u64 = 256 * 1024 * 1024;

/// What went wrong with the checkpoint's file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can be neither read nor created.
    #[error("cannot open the checkpoint {path}")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the checkpoint {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How far one file has been answered for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Up to which byte, for each stream.
    pub(crate) done: PerStream<u64>,
    /// Whether that is all it will ever hold.
    pub(crate) finished: bool,
    /// How long it was when last looked at; tells how much is lost when it is gone.
    pub(crate) seen: u64,
    /// Device and inode, to tell it from another file with the same first line.
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Where joins were cut by time, at or after `done`.
    pub(crate) cuts: Vec<(Stream, u64)>,
}

/// How far one stream of a container has been answered for that only the runtime's API gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Time of the last line taken, in nanoseconds.
    pub(crate) time: i64,
    /// How many pieces with that time were taken.
    pub(crate) count: u64,
    /// Bytes of the stream taken.
    pub(crate) offset: u64,
    /// Hash of the stream's first line: its generation.
    pub(crate) first: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Position(Position),
    Cursor(Cursor),
}

/// What was found damaged on opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Where the damaged file lies now.
    pub(crate) set_aside: PathBuf,
    /// How many of its bytes could not be used.
    pub(crate) bytes: u64,
}

/// The checkpoint file and what it says.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    path: PathBuf,
    file: File,
    entries: BTreeMap<Arc<str>, Entry>,
    /// Not written yet.
    pending: Vec<u8>,
    /// Bytes in the file.
    size: u64,
    /// Whether something written is not synced.
    unsynced: bool,
}

impl Checkpoints {
    /// Opens the checkpoint, creating it and its directory if need be.
    pub(crate) fn open(path: &Path) -> Result<(Self, Option<Damage>), Error> {
        let failed = |source| Error::Open { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let bytes = read_all(path).map_err(failed)?;
        let (entries, good) = decode(&bytes);
        let bad = bytes.len().saturating_sub(good);
        let damage = if bad == 0 {
            None
        } else {
            let set_aside = free_name(path);
            fs::rename(path, &set_aside).map_err(failed)?;
            Some(Damage { set_aside, bytes: bad as u64 })
        };
        let (file, size) = rewrite(path, &entries).map_err(failed)?;
        Ok((Self { path: path.to_owned(), file, entries, pending: Vec::new(), size, unsynced: false }, damage))
    }

    /// Whether nothing at all is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The positions of all keys that begin with `prefix`.
    pub(crate) fn positions<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a Position)> + 'a {
        self.entries
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .filter_map(|(key, entry)| match entry {
                Entry::Position(position) => Some((key, position)),
                Entry::Cursor(_) => None,
            })
    }

    /// The position of one generation.
    pub(crate) fn position(&self, key: &str) -> Option<&Position> {
        match self.entries.get(key)? {
            Entry::Position(position) => Some(position),
            Entry::Cursor(_) => None,
        }
    }

    /// Remembers a position, in memory until the next [`Self::write`].
    pub(crate) fn set_position(&mut self, key: &Arc<str>, position: Position) {
        if self.position(key) != Some(&position) {
            self.set(key, Entry::Position(position));
        }
    }

    /// The cursor of one stream of the API.
    pub(crate) fn cursor(&self, key: &str) -> Option<&Cursor> {
        match self.entries.get(key)? {
            Entry::Cursor(cursor) => Some(cursor),
            Entry::Position(_) => None,
        }
    }

    /// Remembers a cursor, in memory until the next [`Self::write`].
    pub(crate) fn set_cursor(&mut self, key: &Arc<str>, cursor: Cursor) {
        self.set(key, Entry::Cursor(cursor));
    }

    fn set(&mut self, key: &Arc<str>, entry: Entry) {
        encode(key, Some(&entry), &mut self.pending);
        self.entries.insert(Arc::clone(key), entry);
    }

    /// Forgets a key.
    pub(crate) fn forget(&mut self, key: &str) {
        if self.entries.remove(key).is_some() {
            encode(key, None, &mut self.pending);
        }
    }

    /// Writes what has changed, and syncs it to the disk when `sync` says so. After a failure nothing is forgotten:
    /// the next call writes the whole file anew.
    pub(crate) fn write(&mut self, sync: bool) -> Result<(), Error> {
        self.try_write(sync).map_err(|source| {
            self.size = u64::MAX;
            Error::Write { path: self.path.clone(), source }
        })
    }

    fn try_write(&mut self, sync: bool) -> io::Result<()> {
        let grown = self.size.saturating_add(self.pending.len() as u64);
        // An entry takes about 150 bytes, so that this is five times what a new file would have.
        if grown > SMALL.max(self.entries.len() as u64 * 750) {
            (self.file, self.size) = rewrite(&self.path, &self.entries)?;
            self.pending.clear();
            self.unsynced = false;
            return Ok(());
        }
        if !self.pending.is_empty() {
            self.file.write_all(&self.pending)?;
            self.size = grown;
            self.pending.clear();
            self.unsynced = true;
        }
        if sync && self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }
}

fn read_all(path: &Path) -> io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `logs.checkpoint.damaged-1`, or the next number that is free.
fn free_name(path: &Path) -> PathBuf {
    let name = |number: u32| with_suffix(path, &format!(".damaged-{number}"));
    (1..=u32::MAX).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(0))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Writes a whole new file beside `path`, syncs it and puts it in its place.
fn rewrite(path: &Path, entries: &BTreeMap<Arc<str>, Entry>) -> io::Result<(File, u64)> {
    let mut bytes = MAGIC.to_vec();
    for (key, entry) in entries {
        encode(key, Some(entry), &mut bytes);
    }
    let fresh = with_suffix(path, ".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&fresh)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok((file, bytes.len() as u64))
}

fn encode(key: &str, entry: Option<&Entry>, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(128);
    payload.push(match entry {
        Some(Entry::Position(_)) => 1,
        None => 2,
        Some(Entry::Cursor(_)) => 3,
    });
    let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
    payload.extend_from_slice(&length.to_le_bytes());
    payload.extend_from_slice(key.as_bytes().get(..usize::from(length)).unwrap_or_default());
    match entry {
        Some(Entry::Position(position)) => put_position(position, &mut payload),
        Some(Entry::Cursor(cursor)) => {
            put(&mut payload, [cursor.time.cast_unsigned(), cursor.count, cursor.offset, cursor.first]);
        }
        None => {}
    }
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&xxh3_64(&payload).to_le_bytes());
    out.append(&mut payload);
}

fn put(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn put_position(position: &Position, out: &mut Vec<u8>) {
    put(out, *position.done.values());
    put(out, [u64::from(position.finished), position.seen, position.device, position.inode]);
    for (stream, offset) in &position.cuts {
        let index = Stream::ALL.iter().position(|candidate| candidate == stream).unwrap_or(0);
        put(out, [index as u64, *offset]);
    }
}

/// The entries up to the first bad record, and where that is.
fn decode(bytes: &[u8]) -> (BTreeMap<Arc<str>, Entry>, usize) {
    let mut entries = BTreeMap::new();
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else { return (entries, 0) };
    while let Some((key, entry, after)) = decode_record(rest) {
        match entry {
            Some(entry) => entries.insert(key, entry),
            None => entries.remove(&key),
        };
        rest = after;
    }
    (entries, bytes.len() - rest.len())
}

fn decode_record(bytes: &[u8]) -> Option<(Arc<str>, Option<Entry>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (hash, rest) = rest.split_first_chunk::<{ HEADER - 4 }>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= LONGEST)?;
    let (payload, rest) = rest.split_at_checked(length)?;
    if xxh3_64(payload) != u64::from_le_bytes(*hash) {
        return None;
    }
    let (kind, payload) = payload.split_first()?;
    let (length, payload) = payload.split_first_chunk::<2>()?;
    let (key, mut numbers) = payload.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let key = std::str::from_utf8(key).ok()?;
    let entry = match kind {
        1 => Some(Entry::Position(take_position(&mut numbers)?)),
        2 => None,
        3 => Some(Entry::Cursor(Cursor {
            time: take(&mut numbers)?.cast_signed(),
            count: take(&mut numbers)?,
            offset: take(&mut numbers)?,
            first: take(&mut numbers)?,
        })),
        _ => return None,
    };
    Some((key.into(), entry, rest))
}

fn take(numbers: &mut &[u8]) -> Option<u64> {
    let (number, rest) = numbers.split_first_chunk::<8>()?;
    *numbers = rest;
    Some(u64::from_le_bytes(*number))
}

fn take_position(numbers: &mut &[u8]) -> Option<Position> {
    let done = PerStream::new([take(numbers)?, take(numbers)?, take(numbers)?]);
    let finished = take(numbers)? != 0;
    let (seen, device, inode) = (take(numbers)?, take(numbers)?, take(numbers)?);
    let mut cuts = Vec::new();
    while !numbers.is_empty() {
        let stream = Stream::ALL.get(usize::try_from(take(numbers)?).ok()?)?;
        cuts.push((*stream, take(numbers)?));
    }
    Some(Position { done, finished, seen, device, inode, cuts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(done: u64) -> Position {
        Position {
            done: PerStream::new([done, done + 1, done]),
            finished: done > 5,
            seen: 99,
            device: 1,
            inode: 2,
            cuts: vec![(Stream::Stderr, 7)],
        }
    }

    fn key(text: &str) -> Arc<str> {
        text.into()
    }

    /// A checkpoint of two positions and a cursor, and its bytes.
    fn example(directory: &Path) -> (PathBuf, Vec<u8>) {
        let path = directory.join("deep/logs.checkpoint");
        let (mut checkpoints, damage) = Checkpoints::open(&path).unwrap();
        assert_eq!(damage, None);
        assert!(checkpoints.is_empty());
        checkpoints.set_position(&key("a:1"), position(1));
        checkpoints.set_position(&key("a:2"), position(9));
        checkpoints.set_position(&key("b:1"), position(3));
        checkpoints.set_cursor(&key("c"), Cursor { time: -5, count: 1, offset: 2, first: 3 });
        checkpoints.forget("b:1");
        checkpoints.write(true).unwrap();
        (path.clone(), fs::read(path).unwrap())
    }

    #[test]
    fn what_was_written_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let (path, _) = example(directory.path());
        let (checkpoints, damage) = Checkpoints::open(&path).unwrap();
        assert_eq!(damage, None);
        let found: Vec<_> = checkpoints.positions("a:").map(|(key, position)| (&**key, position.clone())).collect();
        assert_eq!(found, [("a:1", position(1)), ("a:2", position(9))]);
        assert_eq!(checkpoints.position("b:1"), None);
        assert_eq!(checkpoints.cursor("c").map(|cursor| cursor.time), Some(-5));
    }

    #[test]
    fn damage_anywhere_keeps_what_came_before_and_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let (path, whole) = example(directory.path());
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            let (checkpoints, damage) = Checkpoints::open(&path).unwrap();
            let damage = damage.unwrap_or_else(|| panic!("a flipped bit at {place} went unseen"));
            assert!(damage.bytes > 0);
            assert_eq!(fs::read(&damage.set_aside).unwrap(), damaged);
            for (_, found) in checkpoints.positions("") {
                assert!([position(1), position(9), position(3)].contains(found), "never an invented position");
            }
            fs::remove_file(damage.set_aside).unwrap();
            let (_, damage) = Checkpoints::open(&path).unwrap();
            assert_eq!(damage, None, "it is whole again");
        }
    }

    #[test]
    fn a_torn_end_is_set_aside_too() {
        let directory = tempfile::tempdir().unwrap();
        let (path, whole) = example(directory.path());
        for length in 1..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let (checkpoints, _) = Checkpoints::open(&path).unwrap();
            assert!(checkpoints.positions("").count() <= 3);
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let (checkpoints, damage) = Checkpoints::open(&path).unwrap();
        assert!(damage.is_some());
        assert_eq!(checkpoints.position("b:1"), Some(&position(3)), "its end was in the torn record");
    }

    #[test]
    fn a_long_life_does_not_grow_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs.checkpoint");
        let (mut checkpoints, _) = Checkpoints::open(&path).unwrap();
        for done in 0..10_000 {
            checkpoints.set_position(&key("a"), Position { seen: done, ..Position::default() });
            checkpoints.write(false).unwrap();
            assert!(fs::metadata(&path).unwrap().len() <= SMALL);
        }
        let (checkpoints, _) = Checkpoints::open(&path).unwrap();
        assert_eq!(checkpoints.position("a").map(|position| position.seen), Some(9_999));
    }
}
