//! One log file, plain or compressed: reading at offsets, and the identity of its content.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use memchr::memchr;
use rustix::fs::{Mode, OFlags};
use xxhash_rust::xxh3::xxh3_128;

/// How much of a first line tells a file from another.
pub(crate) const HEAD: usize = 4096;

/// Device and inode: helps to find a file again while it is open, and is never its identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// What a file begins with: its first line, or its first 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Hash of those bytes.
    pub(crate) hash: u128,
    /// How many there are.
    pub(crate) length: usize,
}

/// An open log file.
#[derive(Debug)]
pub(crate) struct LogFile {
    /// Of the opened file.
    pub(crate) id: FileId,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Plain(File),
    /// Reads forward only; going back means to start again.
    Gzip {
        file: File,
        decoder: Box<MultiGzDecoder<BufReader<File>>>,
        window: Vec<u8>,
        window_start: u64,
    },
}

impl LogFile {
    /// Opens a regular file. What a `.gz` name holds is decompressed while it is read.
    pub(crate) fn open(path: &Path, compressed: bool) -> io::Result<Self> {
        // Opening a fifo would wait for its writer for ever.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let id = FileId::of(&metadata);
        let content = if compressed { Content::gzip(file)? } else { Content::Plain(file) };
        Ok(Self { id, content })
    }

    /// Reads from `offset` of the uncompressed content until `buffer` is full or the end; gives how much.
    pub(crate) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.content {
            Content::Plain(file) => read_plain(file, offset, buffer),
            Content::Gzip { .. } => self.content.read_gzip(offset, buffer),
        }
    }

    /// Up to `length` bytes from `offset`; nothing of a compressed file.
    pub(crate) fn plain_bytes(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let Content::Plain(file) = &self.content else { return Ok(Vec::new()) };
        let mut bytes = vec![0; length];
        let read = read_plain(file, offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// The length now; `None` for a compressed file, which does not say.
    pub(crate) fn length(&self) -> io::Result<Option<u64>> {
        match &self.content {
            Content::Plain(file) => Ok(Some(file.metadata()?.len())),
            Content::Gzip { .. } => Ok(None),
        }
    }

    /// Whether it is a compressed copy, which is written once and never grows.
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.content, Content::Gzip { .. })
    }

    /// What it begins with; `None` as long as its first line is not whole, unless it will never be (`last`).
    pub(crate) fn head(&mut self, last: bool) -> io::Result<Option<Head>> {
        let mut buffer = [0; HEAD];
        let read = self.read_at(0, &mut buffer)?;
        let read = buffer.get(..read).unwrap_or_default();
        let line = match memchr(b'\n', read) {
            Some(newline) => read.get(..newline),
            None if read.len() == HEAD || (last && !read.is_empty()) => Some(read),
            None => None,
        };
        Ok(line.map(|line| Head { hash: xxh3_128(line), length: line.len() }))
    }

    /// What it begins with so far, whole line or not: tells whether it was emptied since.
    pub(crate) fn beginning(&mut self) -> io::Result<Head> {
        let mut buffer = [0; HEAD];
        let length = self.read_at(0, &mut buffer)?;
        Ok(Head { hash: xxh3_128(buffer.get(..length).unwrap_or_default()), length })
    }

    /// Whether it still begins with `head`.
    pub(crate) fn begins_with(&mut self, head: Head) -> io::Result<bool> {
        let mut buffer = [0; HEAD];
        let Some(buffer) = buffer.get_mut(..head.length) else { return Ok(false) };
        let read = self.read_at(0, buffer)?;
        Ok(read == head.length && xxh3_128(buffer) == head.hash)
    }
}

fn read_plain(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Content {
    fn gzip(file: File) -> io::Result<Self> {
        let decoder = Box::new(MultiGzDecoder::new(BufReader::new(file.try_clone()?)));
        Ok(Self::Gzip { file, decoder, window: Vec::new(), window_start: 0 })
    }

    fn read_gzip(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Gzip { file, window_start, .. } = self
            && offset < *window_start
        {
            let mut file = file.try_clone()?;
            io::Seek::rewind(&mut file)?;
            *self = Self::gzip(file)?;
        }
        let Self::Gzip { decoder, window, window_start, .. } = self else { return Ok(0) };
        // What lies before `offset` is passed over, what a caller did not use is kept for the next call.
        let mut chunk = [0; 8192];
        loop {
            let skip = usize::try_from(offset - *window_start).unwrap_or(usize::MAX).min(window.len());
            window.drain(..skip);
            *window_start += skip as u64;
            if *window_start == offset && window.len() >= buffer.len() {
                break;
            }
            match decoder.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => window.extend_from_slice(chunk.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if *window_start != offset {
            return Ok(0);
        }
        let length = buffer.len().min(window.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), window.get(..length)) {
            to.copy_from_slice(from);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write};

    #[test]
    fn a_compressed_file_is_read_at_the_same_offsets() {
        let directory = tempfile::tempdir().unwrap();
        let text: Vec<u8> = (0..20_000_u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let (plain, packed) = (directory.path().join("a"), directory.path().join("a.gz"));
        fs::write(&plain, &text).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        encoder.finish().unwrap();
        let (mut plain, mut packed) = (LogFile::open(&plain, false).unwrap(), LogFile::open(&packed, true).unwrap());
        assert_eq!(plain.head(false).unwrap(), packed.head(false).unwrap());
        for offset in [0, 5, 100_000, 99_990, 3, text.len() as u64 - 1, text.len() as u64, text.len() as u64 + 9] {
            let (mut one, mut other) = ([0; 1000], [0; 1000]);
            let read = plain.read_at(offset, &mut one).unwrap();
            assert_eq!(read, packed.read_at(offset, &mut other).unwrap(), "at {offset}");
            assert_eq!(one, other, "at {offset}");
        }
        assert_eq!(packed.length().unwrap(), None);
    }

    #[test]
    fn a_head_needs_a_whole_line_or_four_kibibytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let head = |text: &[u8], last| {
            fs::write(&path, text).unwrap();
            LogFile::open(&path, false).unwrap().head(last).unwrap().map(|head| head.length)
        };
        assert_eq!(head(b"", false), None);
        assert_eq!(head(b"", true), None);
        assert_eq!(head(b"half", false), None);
        assert_eq!(head(b"half", true), Some(4));
        assert_eq!(head(b"whole\nhalf", false), Some(5));
        assert_eq!(head(&[b'x'; HEAD + 9], false), Some(HEAD));
    }

    #[test]
    fn a_changed_beginning_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, b"first\nsecond\n").unwrap();
        let mut file = LogFile::open(&path, false).unwrap();
        let head = file.head(false).unwrap().unwrap();
        assert!(file.begins_with(head).unwrap());
        fs::write(&path, b"other\nsecond\n").unwrap();
        assert!(!file.begins_with(head).unwrap());
        fs::write(&path, b"fir").unwrap();
        assert!(!file.begins_with(head).unwrap());
    }

    #[test]
    fn only_regular_files_are_opened() {
        assert!(LogFile::open(Path::new("/dev/null"), false).is_err());
        assert!(LogFile::open(Path::new("/"), false).is_err());
    }
}
