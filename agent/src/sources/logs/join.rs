//! Fragments of long lines become whole lines again, for each stream of a log.
//!
//! State belongs to the log, not to the file: a line may begin in one file and end in the next. What decides where a
//! line ends must be the same at a second reading:
//!
//! * the fragment says so (docker's newline, CRI's `F`);
//! * with docker, another time: all fragments of one line have the time of the first;
//! * the size: a line is cut after the fragment that reaches the limit, counted from the line's start;
//! * a cut by time (the program never ended its line), which is in the checkpoint before the line is sent.

use std::{ops::Range, time::Duration};

use yagura_model::Nanos;

use super::line::{Format, Fragment, PerStream, Stream};

/// Why a record ends before its line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The line was longer than the limit.
    Size,
    /// The rest did not come.
    Time,
}

impl Cut {
    /// As the record's attribute says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Time => "time",
        }
    }
}

/// A place in a log: a file of its chain, and an offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) file: u64,
    pub(crate) offset: u64,
}

/// A finished line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) time: Nanos,
    /// Where its text is in the caller's buffer.
    pub(crate) text: Range<usize>,
    pub(crate) from: Spot,
    pub(crate) to: Spot,
    pub(crate) cut: Option<Cut>,
}

/// A line whose end has not come.
#[derive(Debug)]
pub(crate) struct Open {
    text: Vec<u8>,
    time: Nanos,
    pub(crate) from: Spot,
    pub(crate) to: Spot,
    /// When its last fragment came, on the monotonic clock.
    since: Duration,
}

/// The open lines of one log.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    open: PerStream<Option<Open>>,
}

/// A fragment and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) fragment: Fragment,
    /// Its text in the caller's buffer.
    pub(crate) text: Range<usize>,
    pub(crate) from: Spot,
    pub(crate) to: Spot,
}

/// What decides where lines end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) format: Format,
    /// A line that reaches this many bytes is cut.
    pub(crate) line: usize,
    pub(crate) now: Duration,
}

impl Joins {
    /// Takes the next fragment; finished lines go to `lines`, their text is at the end of `text`.
    pub(crate) fn take(&mut self, piece: Piece, text: &mut Vec<u8>, limits: Limits, lines: &mut Vec<Line>) {
        let open = self.open.get_mut(piece.fragment.stream);
        let other_line = |open: &Open| limits.format == Format::JsonFile && open.time != piece.fragment.time;
        if open.as_ref().is_some_and(other_line) {
            lines.extend(open.take().map(|open| open.close(None, text)));
        }
        match open {
            None if piece.fragment.complete => {
                let Piece { fragment, text, from, to } = piece;
                lines.push(Line { time: fragment.time, text, from, to, cut: None });
            }
            None => {
                let own = text.get(piece.text.clone()).unwrap_or_default().to_vec();
                let (time, from, to) = (piece.fragment.time, piece.from, piece.to);
                *open = Some(Open { text: own, time, from, to, since: limits.now });
            }
            Some(held) => {
                held.text.extend_from_slice(text.get(piece.text.clone()).unwrap_or_default());
                held.to = piece.to;
                held.since = limits.now;
                if piece.fragment.complete {
                    lines.extend(open.take().map(|open| open.close(None, text)));
                }
            }
        }
        if open.as_ref().is_some_and(|open| open.text.len() >= limits.line) {
            lines.extend(open.take().map(|open| open.close(Some(Cut::Size), text)));
        }
    }

    /// Ends the open line of a stream.
    pub(crate) fn cut(&mut self, stream: Stream, text: &mut Vec<u8>) -> Option<Line> {
        self.open.get_mut(stream).take().map(|open| open.close(Some(Cut::Time), text))
    }

    /// The open line of a stream.
    pub(crate) fn open(&self, stream: Stream) -> Option<&Open> {
        self.open.get(stream).as_ref()
    }

    /// Forgets all; the files will be read again.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.open.values().iter().flatten().map(|open| open.text.capacity()).sum()
    }
}

impl Open {
    /// For how long nothing has come.
    pub(crate) fn waiting(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since)
    }

    fn close(self, cut: Option<Cut>, text: &mut Vec<u8>) -> Line {
        let start = text.len();
        text.extend_from_slice(&self.text);
        Line { time: self.time, text: start..text.len(), from: self.from, to: self.to, cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 10;

    /// Joins fragments of 10 bytes of file each: `o` and `e` for the stream, a time, `.` at the end of a line.
    fn check(format: Format, fragments: &[(&str, i64)], expected: &[(&str, u64, u64, Option<Cut>)]) {
        let (mut joins, mut text, mut lines) = (Joins::default(), Vec::new(), Vec::new());
        for (index, (fragment, time)) in fragments.iter().enumerate() {
            let stream = if fragment.starts_with('o') { Stream::Stdout } else { Stream::Stderr };
            let complete = fragment.ends_with('.');
            let own = fragment.trim_start_matches(['o', 'e']).trim_end_matches('.');
            let start = text.len();
            text.extend_from_slice(own.as_bytes());
            let spot = |offset| Spot { file: 0, offset };
            let piece = Piece {
                fragment: Fragment { stream, time: Nanos(*time), complete },
                text: start..text.len(),
                from: spot(index as u64 * 10),
                to: spot(index as u64 * 10 + 10),
            };
            joins.take(piece, &mut text, Limits { format, line: LIMIT, now: Duration::ZERO }, &mut lines);
        }
        let found: Vec<_> = lines
            .iter()
            .map(|line| {
                (std::str::from_utf8(&text[line.text.clone()]).unwrap(), line.from.offset, line.to.offset, line.cut)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn streams_are_joined_apart() {
        let fragments = [("oab", 1), ("exy", 2), ("ocd", 1), ("ez.", 2), ("ogh.", 1), ("oself.", 3)];
        let expected = [("xyz", 10, 40, None), ("abcdgh", 0, 50, None), ("self", 50, 60, None)];
        check(Format::Cri, &fragments, &expected);
        check(Format::JsonFile, &fragments, &expected);
    }

    #[test]
    fn with_docker_another_time_is_another_line() {
        let fragments = [("olast", 1), ("onext.", 2), ("oa", 3), ("ob", 4), ("oc.", 4)];
        check(
            Format::JsonFile,
            &fragments,
            &[("last", 0, 10, None), ("next", 10, 20, None), ("a", 20, 30, None), ("bc", 30, 50, None)],
        );
        check(Format::Cri, &fragments, &[("lastnext", 0, 20, None), ("abc", 20, 50, None)]);
    }

    #[test]
    fn a_line_is_cut_by_size_wherever_reading_starts_anew() {
        let whole = [("o12345", 1), ("o67890", 1), ("oabcde", 1), ("ofg.", 1)];
        check(Format::Cri, &whole, &[("1234567890", 0, 20, Some(Cut::Size)), ("abcdefg", 20, 40, None)]);
        check(Format::Cri, &whole[2..], &[("abcdefg", 0, 20, None)]);
        check(Format::Cri, &[("o123456789012.", 1)], &[("123456789012", 0, 10, None)]);
    }

    #[test]
    fn a_cut_by_time_ends_the_open_line() {
        let (mut joins, mut text, mut lines) = (Joins::default(), b"half".to_vec(), Vec::new());
        let spot = Spot { file: 3, offset: 7 };
        let fragment = Fragment { stream: Stream::Stdout, time: Nanos(1), complete: false };
        let limits = Limits { format: Format::Cri, line: 99, now: Duration::from_secs(5) };
        joins.take(Piece { fragment, text: 0..4, from: spot, to: spot }, &mut text, limits, &mut lines);
        assert!(lines.is_empty());
        let open = joins.open(Stream::Stdout).unwrap();
        assert_eq!(open.waiting(Duration::from_secs(9)), Duration::from_secs(4));
        let line = joins.cut(Stream::Stdout, &mut text).unwrap();
        assert_eq!((&text[line.text.clone()], line.cut), (&b"half"[..], Some(Cut::Time)));
        assert!(joins.cut(Stream::Stdout, &mut text).is_none());
        assert_eq!(joins.bytes(), 0);
    }
}
