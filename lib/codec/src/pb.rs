//! Protobuf's primitives: varints, fields, and lengths that are filled in afterwards.

use crate::DecodeError;

/// Deepest nesting of values and of unknown groups that is followed.
pub const MAX_DEPTH: usize = 64;

/// What stands behind a field's number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wire<'a> {
    /// `int32`, `int64`, `uint32`, `uint64`, `sint32`, `sint64`, `bool`, `enum`.
    Varint(u64),
    /// `fixed64`, `sfixed64`, `double`.
    Fixed64(u64),
    /// `string`, `bytes`, messages, packed numbers.
    Bytes(&'a [u8]),
    /// `fixed32`, `sfixed32`, `float`.
    Fixed32(u32),
}

/// The fields of one message, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The fields of `message`.
    #[must_use]
    #[inline]
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What has not been read yet.
    #[must_use]
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The key of the next field, to be compared with [`key`]; `None` at the end. Its value must be read next.
    #[inline]
    pub fn next_key(&mut self) -> Result<Option<u32>, DecodeError> {
        match self.rest {
            [] => Ok(None),
            // Fields 1 to 15.
            [byte @ 0x08..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(Some(u32::from(*byte)))
            }
            _ => self.long_key().map(Some),
        }
    }

    /// The number and the value of the next field; `None` at the end. Unknown groups are passed over.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<(u32, Wire<'a>)>, DecodeError> {
        while let Some(key) = self.next_key()? {
            let value = match key & 7 {
                VARINT => Wire::Varint(self.varint()?),
                FIXED64 => Wire::Fixed64(self.fixed64()?),
                BYTES => Wire::Bytes(self.bytes()?),
                FIXED32 => Wire::Fixed32(self.fixed32()?),
                _ => {
                    self.skip(key)?;
                    continue;
                }
            };
            return Ok(Some((key >> 3, value)));
        }
        Ok(None)
    }

    /// Passes over the value of a field with this key.
    #[inline]
    pub fn skip(&mut self, key: u32) -> Result<(), DecodeError> {
        match key & 7 {
            VARINT => drop(self.varint()?),
            FIXED64 => drop(self.fixed64()?),
            BYTES => drop(self.bytes()?),
            FIXED32 => drop(self.fixed32()?),
            GROUP => self.skip_group(key >> 3, 0)?,
            _ => return Err(DecodeError::BadKey),
        }
        Ok(())
    }

    /// The next occurrence of a bytes field; what comes before it is passed over.
    #[inline]
    pub fn next_bytes(&mut self, field: u32) -> Result<Option<&'a [u8]>, DecodeError> {
        while let Some(found) = self.next_key()? {
            if found == key(field, BYTES) {
                return self.bytes().map(Some);
            }
            self.skip(found)?;
        }
        Ok(None)
    }

    /// A varint.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    /// A `fixed64`.
    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, DecodeError> {
        self.chunk().map(u64::from_le_bytes)
    }

    /// A `fixed32`.
    #[inline]
    pub fn fixed32(&mut self) -> Result<u32, DecodeError> {
        self.chunk().map(u32::from_le_bytes)
    }

    /// A `double`.
    #[inline]
    pub fn double(&mut self) -> Result<f64, DecodeError> {
        self.chunk().map(f64::from_le_bytes)
    }

    /// What has a length: `string`, `bytes`, a message.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A `string`.
    #[inline]
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        text(self.bytes()?)
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
            self.rest = rest;
            if shift == 63 && *byte > 1 {
                return Err(DecodeError::LongVarint);
            }
            value |= u64::from(*byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::LongVarint)
    }

    #[cold]
    fn long_key(&mut self) -> Result<u32, DecodeError> {
        match u32::try_from(self.varint()?) {
            Ok(key) if key >= 8 => Ok(key),
            _ => Err(DecodeError::BadKey),
        }
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*chunk)
    }

    #[cold]
    fn skip_group(&mut self, group: u32, depth: usize) -> Result<(), DecodeError> {
        if depth == MAX_DEPTH {
            return Err(DecodeError::TooDeep);
        }
        loop {
            let key = self.next_key()?.ok_or(DecodeError::Truncated)?;
            match key & 7 {
                GROUP => self.skip_group(key >> 3, depth + 1)?,
                END_GROUP if key >> 3 == group => return Ok(()),
                _ => self.skip(key)?,
            }
        }
    }
}

/// A protobuf `string`.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)
}

/// The low half of a varint: how `int32`, `uint32` and `enum` are read.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "protobuf defines a 32-bit field as the low bits of its varint")]
pub(crate) fn low32(value: u64) -> u32 {
    value as u32
}

/// An OTLP time; one past the year 2262 becomes the last instant there is.
#[inline]
pub(crate) fn nanos(value: u64) -> yagura_model::Nanos {
    yagura_model::Nanos(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A time as OTLP writes it; one before 1970 becomes 0, which OTLP calls unknown.
#[inline]
pub(crate) fn unsigned(time: yagura_model::Nanos) -> u64 {
    u64::try_from(time.0).unwrap_or(0)
}

/// How `sint32` is read.
#[inline]
pub(crate) fn zigzag32(value: u64) -> i32 {
    let value = low32(value);
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Wire type of numbers of variable length.
pub const VARINT: u32 = 0;
/// Wire type of 8-byte numbers.
pub const FIXED64: u32 = 1;
/// Wire type of what has a length.
pub const BYTES: u32 = 2;
/// Wire type of 4-byte numbers.
pub const FIXED32: u32 = 5;
const GROUP: u32 = 3;
const END_GROUP: u32 = 4;

/// A field's number and wire type in one, as they stand before its value.
#[must_use]
#[inline]
pub const fn key(field: u32, wire: u32) -> u32 {
    field << 3 | wire
}

/// How many bytes [`put_varint`] writes.
#[must_use]
#[inline]
pub fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    (bits * 9 + 64) / 64
}

/// Appends a varint.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field's number and wire type.
#[inline]
pub fn put_key(out: &mut Vec<u8>, field: u32, wire: u32) {
    put_varint(out, u64::from(key(field, wire)));
}

/// Appends a varint field; a zero is left out, as proto3 does.
#[inline]
pub fn put_uint(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_key(out, field, VARINT);
        put_varint(out, value);
    }
}

/// Appends an 8-byte field, a zero too.
#[inline]
pub fn put_fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    put_key(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a `string` or `bytes` field; an empty one is left out, as proto3 does.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_message(out, field, bytes);
    }
}

/// Appends an encoded message, an empty one too.
#[inline]
pub fn put_message(out: &mut Vec<u8>, field: u32, message: &[u8]) {
    put_key(out, field, BYTES);
    put_varint(out, message.len() as u64);
    out.extend_from_slice(message);
}

/// How many bytes [`put_message`] writes for a message of `length` bytes in a field below 16.
#[must_use]
#[inline]
pub fn message_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

/// How many bytes [`put_bytes`] writes for `length` bytes in a field below 16.
#[must_use]
#[inline]
pub fn bytes_len(length: usize) -> usize {
    if length == 0 { 0 } else { message_len(length) }
}

/// The place where the length of an open message will be written.
///
/// The length is a varint of five bytes, whatever its value: longer than needed, which protobuf allows, so that
/// nothing has to be measured or moved when the message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

const MARK: usize = 5;

/// Begins a message whose length is not known yet.
#[inline]
pub fn open(out: &mut Vec<u8>, field: u32) -> Mark {
    put_key(out, field, BYTES);
    out.extend_from_slice(&[0; MARK]);
    Mark(out.len())
}

/// Ends the message that [`open`] began.
#[inline]
pub fn close(out: &mut [u8], mark: Mark) {
    let length = out.len().saturating_sub(mark.0) as u64;
    let digit = |at: u32| (length >> (7 * at) & 0x7f).to_le_bytes()[0];
    let bytes = [digit(0) | 0x80, digit(1) | 0x80, digit(2) | 0x80, digit(3) | 0x80, digit(4)];
    if let Some(place) = mark.0.checked_sub(MARK).and_then(|start| out.get_mut(start..mark.0)) {
        place.copy_from_slice(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_every_length_survive() {
        for bit in 0..64 {
            for value in [1_u64 << bit, (1_u64 << bit) - 1, u64::MAX >> bit] {
                let mut bytes = Vec::new();
                put_varint(&mut bytes, value);
                assert_eq!(bytes.len(), varint_len(value), "{value}");
                let mut reader = Reader::new(&bytes);
                assert_eq!(reader.varint(), Ok(value));
                assert!(reader.rest().is_empty());
            }
        }
    }

    #[test]
    fn damaged_bytes_are_named() {
        let check = |bytes: &[u8], error| {
            let mut reader = Reader::new(bytes);
            let found = loop {
                match reader.next_field() {
                    Ok(Some(_)) => {}
                    other => break other,
                }
            };
            assert_eq!(found, Err(error), "{bytes:?}");
        };
        check(&[0x08], DecodeError::Truncated);
        check(&[0x08, 0x80], DecodeError::Truncated);
        check(&[0x0a, 5, 1], DecodeError::Truncated);
        check(&[0x09, 1, 2, 3], DecodeError::Truncated);
        check(&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], DecodeError::LongVarint);
        check(&[0x00, 1], DecodeError::BadKey);
        check(&[0x0e], DecodeError::BadKey);
        check(&[0x0c], DecodeError::BadKey);
        check(&[0x0b, 0x14], DecodeError::BadKey);
        check(&[0x0b, 0x10, 1], DecodeError::Truncated);
        check(&[0x0b; 100], DecodeError::TooDeep);
    }

    #[test]
    fn groups_are_passed_over() {
        // Group 1 holds a varint, a nested group 2 and bytes; then field 3 comes.
        let bytes = [0x0b, 0x08, 1, 0x13, 0x14, 0x12, 1, 9, 0x0c, 0x18, 7];
        assert_eq!(Reader::new(&bytes).next_field(), Ok(Some((3, Wire::Varint(7)))));
    }

    #[test]
    fn a_length_filled_in_later_is_read_like_any_other() {
        for length in [0, 1, 127, 128, 70_000] {
            let mut out = vec![0x08, 1];
            let mark = open(&mut out, 4);
            out.resize(out.len() + length, 7);
            close(&mut out, mark);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.next_bytes(4), Ok(Some(vec![7; length].as_slice())));
            assert_eq!(reader.next_field(), Ok(None));
        }
    }

    #[test]
    fn zigzag_is_undone() {
        for (wire, value) in [(0, 0), (1, -1), (2, 1), (4_294_967_295, i32::MIN), (4_294_967_294, i32::MAX)] {
            assert_eq!(zigzag32(wire), value);
        }
    }
}
