//! One file of the queue: appended to at its end, read from its start, deleted when all of it is delivered.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::{Lost, record};
use crate::buffer::Batch;

/// Length of a segment's header.
pub(super) const HEADER: u64 = 16;
const MAGIC: &[u8; 8] = b"YAGURABF";
const VERSION: u32 = 1;

#[derive(Debug)]
pub(super) struct Segment {
    number: u64,
    path: PathBuf,
    file: File,
    len: u64,
    /// Where the next record to be taken begins.
    read: u64,
    /// What lies from there to the end.
    unread: Lost,
    /// Offsets of records that were taken and have no fate yet.
    open: BTreeSet<u64>,
}

/// What was found where the next record should be.
#[derive(Debug)]
pub(super) enum Taken {
    /// A batch, at its offset.
    Batch(u64, Batch),
    /// Nothing more for now.
    End,
    /// Bytes that are no record; the rest of the segment is given up.
    Damaged(Lost),
}

/// The name of a segment's file.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:020}.segment")
}

/// The header that every segment begins with.
pub(super) fn header() -> [u8; 16] {
    let mut header = [0; 16];
    let (described, checksum) = header.split_at_mut(12);
    let (magic, version) = described.split_at_mut(8);
    magic.copy_from_slice(MAGIC);
    version.copy_from_slice(&VERSION.to_le_bytes());
    let [a, b, c, d, ..] = xxh3_64(described).to_le_bytes();
    checksum.copy_from_slice(&[a, b, c, d]);
    header
}

impl Segment {
    /// A new, empty segment; it is on disk with its name when this returns.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = folder.join(file_name(number));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        if let Err(error) = file.write_all_at(&header(), 0).and_then(|()| File::open(folder)?.sync_all()) {
            fs::remove_file(&path)?;
            return Err(error);
        }
        Ok(Self::new(number, path, file, HEADER, HEADER, Lost::default()))
    }

    /// A segment of an earlier run: `len` bytes are good, those before `read` delivered.
    pub(super) fn new(number: u64, path: PathBuf, file: File, len: u64, read: u64, unread: Lost) -> Self {
        Self { number, path, file, len, read, unread, open: BTreeSet::new() }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// What nobody has taken yet.
    pub(super) fn unread(&self) -> Lost {
        self.unread
    }

    pub(super) fn append(&mut self, record: &[u8], items: u64) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(record, self.len) {
            // Half a record would end the segment for the next reader.
            self.file.set_len(self.len)?;
            return Err(error);
        }
        self.len += u64::try_from(record.len()).unwrap_or(0);
        self.unread.add(Lost { batches: 1, items });
        Ok(())
    }

    pub(super) fn take(&mut self, payload: &mut Vec<u8>) -> Taken {
        let offset = self.read;
        let found = record::read(&self.file, self.number, offset, self.len, payload)
            .and_then(|header| header.map(|header| Ok((header, record::batch(header, payload)?))).transpose());
        match found {
            Ok(None) => Taken::End,
            Ok(Some((header, batch))) => {
                self.read = header.end;
                self.unread.batches = self.unread.batches.saturating_sub(1);
                self.unread.items = self.unread.items.saturating_sub(header.items);
                self.open.insert(offset);
                Taken::Batch(offset, batch)
            }
            Err(error) => {
                tracing::warn!(file = %self.path.display(), offset, %error, "the rest of a buffer file is given up");
                self.read = self.len;
                Taken::Damaged(std::mem::take(&mut self.unread))
            }
        }
    }

    pub(super) fn settle(&mut self, offset: u64) {
        self.open.remove(&offset);
    }

    /// Where the first record without a fate begins.
    pub(super) fn first_open(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.read)
    }

    /// Whether every record has been taken and has its fate; a segment without records is not done.
    pub(super) fn is_done(&self) -> bool {
        self.open.is_empty() && self.read >= self.len && self.len > HEADER
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub(super) fn delete(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}
