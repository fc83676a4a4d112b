//! Opening a folder that an earlier run left, perhaps in the middle of a write: what is good is kept, what is not is
//! set aside, and everything lost is told.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{
    Disk, Lost, OpenError, Position, SEGMENT_BYTES, SEGMENTS, cursor,
    record::{self, Bad},
    segment::{self, Segment},
};

/// What was found in the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Recovery {
    /// Batches that wait to be delivered.
    pub(in super::super) waiting: Lost,
    /// Bytes that were cut off because they are not what was written.
    pub(in super::super) damaged_bytes: u64,
    /// What was damaged, one line each.
    pub(in super::super) damage: Vec<String>,
}

/// Shortest segment: even a tiny budget gets some batches into one.
const MIN_SEGMENT: u64 = 4 * 1024;

pub(super) fn open(folder: &Path, budget: u64) -> Result<(Disk, Recovery), OpenError> {
    let failed = |source| OpenError::Folder { path: folder.into(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let lock = OpenOptions::new().create(true).append(true).open(folder.join("lock")).map_err(failed)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(OpenError::Locked(folder.into())),
        Err(error) => return Err(failed(error.into())),
    }

    let mut recovery = Recovery::default();
    let delivered = cursor::load(folder).unwrap_or_else(|error| {
        recovery.damage.push(format!("cursor: {error}; batches may be sent a second time"));
        None
    });
    let mut segments = VecDeque::new();
    let mut next_number = delivered.map_or(0, |at| at.segment).saturating_add(1);
    for (number, path) in list(folder).map_err(failed)? {
        next_number = next_number.max(number.saturating_add(1));
        match recover(folder, number, &path, delivered, &mut recovery) {
            Ok(Some(segment)) => segments.push_back(segment),
            Ok(None) => {}
            Err(error) => recovery.damage.push(format!("{}: {error}", path.display())),
        }
    }
    let disk = Disk {
        folder: folder.into(),
        budget,
        segment_bytes: (budget / SEGMENTS).clamp(MIN_SEGMENT, SEGMENT_BYTES),
        segments,
        writing: false,
        next_number,
        saved: delivered,
        unsynced: false,
        scratch: Vec::new(),
        _lock: lock,
    };
    Ok((disk, recovery))
}

/// Every segment with its number, oldest first.
fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == "segment");
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let Some(number) = number.filter(|_| is_segment) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Opens one segment; `None` when nothing of it is left to deliver, and then its file is gone.
fn recover(
    folder: &Path,
    number: u64,
    path: &Path,
    delivered: Option<Position>,
    recovery: &mut Recovery,
) -> io::Result<Option<Segment>> {
    let start = match delivered {
        Some(at) if number < at.segment => {
            fs::remove_file(path)?;
            return Ok(None);
        }
        Some(at) if number == at.segment => at.offset.max(segment::HEADER),
        _ => segment::HEADER,
    };
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    let mut header = [0; 16];
    if file.read_exact_at(&mut header, 0).is_err() || header != segment::header() {
        // A crash between making the file and writing its header leaves it empty, which is no damage.
        if len > 0 {
            recovery.damaged_bytes += len;
            recovery.damage.push(format!("{}: its header is damaged", path.display()));
        }
        set_aside(folder, number, &file, 0, len)?;
        fs::remove_file(path)?;
        return Ok(None);
    }
    let (good, unread) = scan(&file, number, len, start, |at, bad| {
        recovery.damaged_bytes += len.saturating_sub(at);
        recovery.damage.push(format!("{}: at byte {at}: {bad}", path.display()));
        if !matches!(bad, Bad::Cut) { set_aside(folder, number, &file, at, len) } else { Ok(()) }
    })?;
    if good < len {
        file.set_len(good)?;
    }
    if good <= start {
        fs::remove_file(path)?;
        return Ok(None);
    }
    recovery.waiting.add(unread);
    Ok(Some(Segment::new(number, path.into(), file, good, start, unread)))
}

/// Reads every record from `start` on: up to where they are good, and what there is.
fn scan(
    file: &File,
    number: u64,
    len: u64,
    start: u64,
    mut bad: impl FnMut(u64, Bad) -> io::Result<()>,
) -> io::Result<(u64, Lost)> {
    let (mut at, mut unread, mut payload) = (start, Lost::default(), Vec::new());
    loop {
        match record::read(file, number, at, len, &mut payload) {
            Ok(None) => return Ok((at, unread)),
            Ok(Some(header)) => {
                unread.add(Lost { batches: 1, items: header.items });
                at = header.end;
            }
            Err(error) => {
                bad(at, error)?;
                return Ok((at, unread));
            }
        }
    }
}

/// Keeps damaged bytes for whoever wants to look at them, instead of those kept before.
fn set_aside(folder: &Path, number: u64, file: &File, from: u64, to: u64) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "damaged") {
            fs::remove_file(path)?;
        }
    }
    let mut target = File::create(folder.join(format!("{number:020}.damaged")))?;
    let mut source = file.try_clone()?;
    io::Seek::seek(&mut source, io::SeekFrom::Start(from))?;
    io::copy(&mut io::Read::take(source, to.saturating_sub(from)), &mut target)?;
    Ok(())
}
