//! How a record is told from its second delivery, and how that is written in OTLP.
//!
//! A tailed record carries (generation, stream, start, end): uncompressed byte offsets in the file it was read from.
//! The file is one *generation*; a reading of the same bytes always gives the same four values, so the store can
//! skip what it has. On the wire (`ExportLogsServiceRequest`):
//!
//! * one `ScopeLogs` per (generation, stream); its scope's name is [`SCOPE`] and the scope's attributes hold
//!   [`GENERATION`] (string), [`STREAM`] (string) and [`COVERED`] (bytes, [`encode_ranges`]): every byte range that
//!   this message answers for, lines left out by a rule included;
//! * each `LogRecord` has the integer attributes [`RANGE_START`] and [`RANGE_END`].
//!
//! Batches without offsets (pushed OTLP, a source that is not a file) carry the resource attributes [`QUEUE`] and
//! [`SEQUENCE`], fixed before the first send, in their first resource; the store remembers them per agent.

use std::ops::Range;

/// Scope name of tailed records.
pub const SCOPE: &str = "yagura/logs";
/// Scope attribute: container id, number in the log's path and hash of the first line; or path and epoch.
pub const GENERATION: &str = "yagura.generation";
/// Scope attribute: `stdout`, `stderr`, or empty for plain files.
pub const STREAM: &str = "yagura.stream";
/// Scope attribute: the covered byte ranges, by [`encode_ranges`].
pub const COVERED: &str = "yagura.covered";
/// Record attribute: offset of the record's first byte.
pub const RANGE_START: &str = "yagura.range.start";
/// Record attribute: offset after the record's last byte.
pub const RANGE_END: &str = "yagura.range.end";
/// Resource attribute: the agent's queue this batch went through; its name holds the agent's own id.
pub const QUEUE: &str = "yagura.queue";
/// Resource attribute: the batch's number in that queue, from 1.
pub const SEQUENCE: &str = "yagura.sequence";

/// Sorted, disjoint, non-empty byte ranges as pairs of LEB128 numbers: the gap since the last end, then the length.
#[must_use]
pub fn encode_ranges(ranges: &[Range<u64>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ranges.len() * 4);
    let mut last = 0;
    for range in ranges {
        push_varint(&mut bytes, range.start.saturating_sub(last));
        push_varint(&mut bytes, range.end.saturating_sub(range.start));
        last = range.end;
    }
    bytes
}

/// The ranges that [`encode_ranges`] wrote; `None` when the bytes are damaged (cut short, empty range, overflow).
#[must_use]
pub fn decode_ranges(mut bytes: &[u8]) -> Option<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    let mut last: u64 = 0;
    while !bytes.is_empty() {
        let start = last.checked_add(take_varint(&mut bytes)?)?;
        let length = take_varint(&mut bytes)?;
        let end = start.checked_add(length).filter(|end| *end > start)?;
        ranges.push(start..end);
        last = end;
    }
    Some(ranges)
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_survive_the_wire() {
        let ranges = [0..1, 5..300, 300..301, u64::MAX - 1..u64::MAX];
        assert_eq!(decode_ranges(&encode_ranges(&ranges)).as_deref(), Some(&ranges[..]));
        assert_eq!(decode_ranges(&[]), Some(vec![]));
    }

    #[test]
    fn damaged_ranges_are_refused() {
        assert_eq!(decode_ranges(&[5]), None, "a start without a length");
        assert_eq!(decode_ranges(&[5, 0]), None, "an empty range");
        assert_eq!(decode_ranges(&[0x80]), None, "a number cut short");
        let overflow = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1];
        assert_eq!(decode_ranges(&overflow), None, "past the end of numbers");
    }
}
