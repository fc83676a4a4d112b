//! From a file's bytes to records in a batch, and which byte ranges the batch answers for.

use std::{io, time::Duration};

use memchr::memchr;
use yagura_model::Nanos;

use super::{
    batch::{Part, Writer},
    chain::{Chained, Log},
    checkpoint::{self, Checkpoints},
    cri,
    join::{Joins, Limits, Line, Piece, Spot},
    json_file,
    line::{Format, Fragment, PerStream, Stream},
    stamp::StampReader,
};

/// How much of a file is read at once: small enough for the cache and for fairness.
const CHUNK: usize = 128 * 1024;

/// A line of a file longer than this is taken in pieces of this length, wherever reading starts: the rule must give
/// the same records each time.
const LONGEST_LINE: usize = 1024 * 1024;

/// What is reused from file to file.
#[derive(Debug)]
pub(crate) struct Scratch {
    chunk: usize,
    buffer: Vec<u8>,
    /// The texts of `lines`.
    text: Vec<u8>,
    lines: PerStream<Vec<Line>>,
    /// Streams of which something was read.
    touched: PerStream<bool>,
    stamps: StampReader,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::with_chunk(CHUNK)
    }
}

impl Scratch {
    /// One that reads so much at once.
    pub(crate) fn with_chunk(chunk: usize) -> Self {
        Self {
            chunk,
            buffer: vec![0; chunk],
            text: Vec::new(),
            lines: PerStream::default(),
            touched: PerStream::default(),
            stamps: StampReader::default(),
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(4 * self.chunk);
        for stream in Stream::ALL {
            self.lines.get_mut(stream).clear();
        }
        self.touched = PerStream::default();
        self.buffer.truncate(self.chunk);
        self.buffer.shrink_to(self.chunk);
    }
}

/// What ends a line although its writer did not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// A joined line is cut at this many bytes.
    pub(crate) line: usize,
    /// An open line is cut when nothing came for so long.
    pub(crate) patience: Duration,
}

/// An open line of a container that has ended is cut sooner: nobody is left who could end it.
const PATIENCE_AFTER_END: Duration = Duration::from_secs(1);

impl Log {
    /// Reads one chunk of the oldest file that is not read to its end; what it holds is in `scratch` for
    /// [`Self::seal`]. Says whether anything was read.
    pub(crate) fn read_chunk(&mut self, scratch: &mut Scratch, bounds: Bounds, now: Duration) -> io::Result<bool> {
        scratch.clear();
        let Some(index) = self.reading() else { return Ok(false) };
        let Some(file) = self.files.get_mut(index).filter(|file| file.generation.is_some()) else { return Ok(false) };
        let mut read = file.file.read_at(file.read, &mut scratch.buffer)?;
        file.failures = 0;
        if !file.still_the_same()? {
            // Truncated: what was read may be of the new content. The next look at the directory sorts it out.
            return Ok(false);
        }
        while read == scratch.buffer.len() && memchr(b'\n', &scratch.buffer).is_none() && read < LONGEST_LINE {
            scratch.buffer.resize((read * 2).min(LONGEST_LINE), 0);
            read = file.file.read_at(file.read, &mut scratch.buffer)?;
        }
        let at_end = read < scratch.buffer.len();
        let limits = Limits { format: self.place.format(), line: bounds.line, now };
        let mut reader = LineReader { scratch, joins: &mut self.joins, limits, malformed: 0 };
        let consumed = reader.take_lines(file, read, at_end && file.closing.is_some_and(|at| now >= at));
        self.account.malformed += reader.malformed;
        file.read += consumed as u64;
        self.account.seen += file.read.saturating_sub(file.seen);
        file.seen = file.seen.max(file.read);
        self.account.read += consumed as u64;
        let ended = at_end && file.closing.is_some_and(|at| now >= at);
        if ended {
            file.end = Some(file.read);
        }
        Ok(consumed > 0 || ended)
    }

    /// Ends open lines for whose rest nobody has waited in vain long enough; what they hold is in `scratch` for
    /// [`Self::seal`]. The cut is on the disk when this returns.
    pub(crate) fn cut_overdue(
        &mut self,
        scratch: &mut Scratch,
        bounds: Bounds,
        checkpoints: &mut Checkpoints,
        now: Duration,
    ) -> Result<bool, checkpoint::Error> {
        scratch.clear();
        let patience = if self.running == Some(false) || !self.directory_exists {
            PATIENCE_AFTER_END.min(bounds.patience)
        } else {
            bounds.patience
        };
        if self.has_work(now) {
            return Ok(false);
        }
        let mut due = Vec::new();
        for stream in Stream::ALL {
            if let Some(open) = self.joins.open(stream).filter(|open| open.waiting(now) >= patience) {
                due.push((stream, open.to));
            }
        }
        if due.is_empty() {
            return Ok(false);
        }
        for (stream, spot) in &due {
            if let Some(file) = self.files.iter_mut().find(|file| file.number == spot.file) {
                if !file.cuts.contains(&(*stream, spot.offset)) {
                    file.cuts.push((*stream, spot.offset));
                }
                file.remember(checkpoints);
            }
        }
        checkpoints.write(true)?;
        for (stream, _) in due {
            let line = self.joins.cut(stream, &mut scratch.text);
            scratch.lines.get_mut(stream).extend(line);
            *scratch.touched.get_mut(stream) = true;
        }
        Ok(true)
    }

    /// Writes what `scratch` holds as part of the batch `ticket`. Says whether anything had to be written; where not,
    /// what was read is settled as it is.
    pub(crate) fn seal(&mut self, scratch: &Scratch, writer: &mut Writer, ticket: u64, observed: Nanos) -> bool {
        let Some(resource) = &self.resource else { return false };
        let mut written = false;
        let mut frontiers = Vec::with_capacity(self.files.len());
        for file in &mut self.files {
            let mut to = file.frontier;
            for stream in Stream::ALL {
                let target = file.answered(stream, &self.joins);
                *to.get_mut(stream) = target;
                let lines = of_file(scratch.lines.get(stream), file.number);
                let covered = *file.said.get(stream)..target;
                let speaks = !lines.is_empty() || *scratch.touched.get(stream);
                let Some(generation) = file.generation.as_deref().filter(|_| speaks && !covered.is_empty()) else {
                    continue;
                };
                let part = Part { generation, stream, covered, lines, end: file.read };
                writer.put(resource, &part, &scratch.text, observed);
                *file.said.get_mut(stream) = target;
                self.account.records += lines.len() as u64;
                written = true;
            }
            frontiers.push(to);
        }
        for (file, to) in self.files.iter_mut().zip(frontiers) {
            if to == file.frontier {
                continue;
            }
            if written {
                file.send(ticket, to);
            } else {
                file.frontier = to;
            }
        }
        written
    }
}

impl Chained {
    /// Whether the file that is written now still has the content that was begun. A file with another name is not
    /// truncated any more.
    fn still_the_same(&mut self) -> io::Result<bool> {
        match self.head {
            Some(head) if self.age == 0 && self.unlinked.is_none() => self.file.begins_with(head),
            _ => Ok(true),
        }
    }

    /// Up to where a batch that holds all finished lines answers for a stream.
    fn answered(&self, stream: Stream, joins: &Joins) -> u64 {
        let frontier = *self.frontier.get(stream);
        let target = match joins.open(stream) {
            Some(open) if open.from.file < self.number => frontier,
            Some(open) if open.from.file == self.number => open.from.offset,
            _ => self.read,
        };
        target.max(frontier)
    }
}

/// Those of `lines`, which are in the order of the files they begin in, that begin in one file.
fn of_file(lines: &[Line], number: u64) -> &[Line] {
    let from = lines.partition_point(|line| line.from.file < number);
    let to = lines.partition_point(|line| line.from.file <= number);
    lines.get(from..to).unwrap_or_default()
}

struct LineReader<'a> {
    scratch: &'a mut Scratch,
    joins: &'a mut Joins,
    limits: Limits,
    malformed: u64,
}

impl LineReader<'_> {
    /// Takes the lines in the first `read` bytes of the buffer; what follows the last newline is a line only at a
    /// final end, or when it is too long. Gives how many bytes were taken.
    fn take_lines(&mut self, file: &Chained, read: usize, last: bool) -> usize {
        let buffer = std::mem::take(&mut self.scratch.buffer);
        let bytes = buffer.get(..read).unwrap_or_default();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (length, taken) = match memchr(b'\n', rest) {
                Some(newline) => (newline, newline + 1),
                None if last || rest.len() >= LONGEST_LINE => (rest.len(), rest.len()),
                None => break,
            };
            let start = file.read + at as u64;
            self.take_line(file, rest.get(..length).unwrap_or_default(), start, start + taken as u64);
            at += taken;
        }
        self.scratch.buffer = buffer;
        at
    }

    fn take_line(&mut self, file: &Chained, line: &[u8], start: u64, end: u64) {
        // A machine that lost its power leaves holes of zeros before the next line.
        let zeros = line.iter().take_while(|byte| **byte == 0).count();
        let line = line.get(zeros..).unwrap_or_default();
        let text = &mut self.scratch.text;
        let before = text.len();
        let parsed = match self.limits.format {
            Format::JsonFile => json_file::parse(line, text, &mut self.scratch.stamps),
            Format::Cri => cri::parse(line, text, &mut self.scratch.stamps),
            Format::Plain => None,
        };
        let fragment = match parsed {
            Some(fragment) => fragment,
            None if line.is_empty() => return,
            None => {
                self.malformed += u64::from(self.limits.format != Format::Plain);
                text.extend_from_slice(line);
                Fragment { stream: Stream::Unknown, time: Nanos(0), complete: true }
            }
        };
        let stream = fragment.stream;
        if start < *file.frontier.get(stream) {
            // Answered for already; another stream of the file is behind.
            text.truncate(before);
            return;
        }
        *self.scratch.touched.get_mut(stream) = true;
        let spot = |offset| Spot { file: file.number, offset };
        let piece = Piece { fragment, text: before..text.len(), from: spot(start), to: spot(end) };
        let lines = self.scratch.lines.get_mut(stream);
        self.joins.take(piece, text, self.limits, lines);
        if self.joins.open(stream).is_some() && file.cuts.contains(&(stream, end)) {
            lines.extend(self.joins.cut(stream, text));
        }
    }
}
