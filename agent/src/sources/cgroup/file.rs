//! Kernel files that are read again and again: opened once, read at offset 0 into one reused buffer, parsed by hand.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::Path,
};

/// Room for the largest file read in one piece; `memory.stat` has about 2 kB, and more lines come with each kernel.
const ROOM: usize = 16 * 1024;

/// Most bytes ever read of one file: some thousand processes, network devices or disks.
const MOST: usize = 1024 * 1024;

/// What the kernel hands out at once of a file with a line per thing: the smallest page there is.
const PIECE: usize = 4096;

/// The reused buffer.
#[derive(Debug)]
pub struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Self {
        Self(vec![0; ROOM])
    }
}

/// A file kept open.
#[derive(Debug)]
pub struct Kept(File);

impl Kept {
    /// Opens a file; `None` when this kernel does not have it, or not for this group.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be opened.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self(file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the file says now. The kernel hands out a cgroup's file in one piece.
    ///
    /// # Errors
    ///
    /// When it cannot be read; see [`is_gone`].
    pub fn read<'b>(&self, buffer: &'b mut Buffer) -> io::Result<&'b [u8]> {
        let mut length = self.0.read_at(&mut buffer.0, 0)?;
        while length == buffer.0.len() && length < MOST {
            buffer.0.resize(length * 2, 0);
            length = self.0.read_at(&mut buffer.0, 0)?;
        }
        Ok(buffer.0.get(..length).unwrap_or_default())
    }

    /// The same for a file with a line per thing, which the kernel hands out in pieces of about a page.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read_lines<'b>(&self, buffer: &'b mut Buffer) -> io::Result<&'b [u8]> {
        let mut length = 0;
        loop {
            if length == buffer.0.len() && length < MOST {
                buffer.0.resize(length * 2, 0);
            }
            let room = buffer.0.get_mut(length..).unwrap_or_default();
            let offset = u64::try_from(length).unwrap_or(u64::MAX);
            let enough = room.len().min(PIECE / 4);
            let more = self.0.read_at(room, offset)?;
            length += more;
            // Lines are added to a piece until no more fits a page; one with less than a quarter of that is the last.
            if more == 0 || more < enough {
                return Ok(buffer.0.get(..length).unwrap_or_default());
            }
        }
    }
}

/// The text of a file that is read seldom; `None` when it is not there.
///
/// # Errors
///
/// When it is there and cannot be read.
pub fn read_once<'b>(path: &Path, buffer: &'b mut Buffer) -> io::Result<Option<&'b [u8]>> {
    Kept::open(path)?.map(|file| file.read_lines(buffer)).transpose()
}

/// Whether an error means that the group or process has ended, which is no error.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    const ESRCH: i32 = 3;
    const ENODEV: i32 = 19;
    error.kind() == ErrorKind::NotFound || matches!(error.raw_os_error(), Some(ESRCH | ENODEV))
}

/// The number at the start of `text`, after blanks, and what follows it. `None` when there is none or it does not fit.
#[must_use]
pub fn take_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = text.trim_ascii_start();
    let mut value: Option<u64> = None;
    while let Some((digit, after)) = rest.split_first().filter(|(byte, _)| byte.is_ascii_digit()) {
        let digit = u64::from(digit - b'0');
        value = Some(value.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
        rest = after;
    }
    Some((value?, rest))
}

/// The number that `text` is.
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    let (value, rest) = take_number(text)?;
    rest.trim_ascii_start().is_empty().then_some(value)
}

/// A limit: its number, or `u64::MAX` for `max`.
#[must_use]
pub fn limit(text: &[u8]) -> Option<u64> {
    if text.trim_ascii() == b"max" { Some(u64::MAX) } else { number(text) }
}

/// Name and value of each line `name value`; lines of another form are passed over.
pub fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    Lines(text).filter_map(|line| {
        let space = memchr::memchr(b' ', line)?;
        let (name, value) = line.split_at_checked(space)?;
        Some((name, number(value)?))
    })
}

/// The lines of a text, without their ends.
#[derive(Clone, Debug)]
pub struct Lines<'a>(pub &'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', self.0).unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..).unwrap_or_default();
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_whole_or_not_at_all() {
        assert_eq!(number(b" 42\n"), Some(42));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616"), None);
        assert_eq!(number(b"-1"), None);
        assert_eq!(number(b"12x"), None);
        assert_eq!(number(b""), None);
        assert_eq!(limit(b"max\n"), Some(u64::MAX));
        assert_eq!(limit(b"maximum"), None);
        assert_eq!(take_number(b"  7 8"), Some((7, &b" 8"[..])));
    }

    #[test]
    fn pairs_pass_over_what_is_none() {
        let found: Vec<_> = pairs(b"a 1\nbroken\nb x\n\nc 3").collect();
        assert_eq!(found, [(&b"a"[..], 1), (&b"c"[..], 3)]);
    }

    #[test]
    fn a_file_longer_than_the_buffer_is_read_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("long");
        let text = "0123456789abcde\n".repeat(3000);
        std::fs::write(&path, &text).unwrap();
        let kept = Kept::open(&path).unwrap().unwrap();
        let mut buffer = Buffer::default();
        assert_eq!(kept.read(&mut buffer).unwrap(), text.as_bytes());
        let mut buffer = Buffer::default();
        assert_eq!(kept.read_lines(&mut buffer).unwrap(), text.as_bytes());
        assert_eq!(read_once(&directory.path().join("none"), &mut buffer).unwrap(), None);
    }
}
