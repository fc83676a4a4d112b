//! `AnyValue`: what an attribute or a log body holds.

use std::borrow::Cow;

use crate::{
    Attributes, DecodeError, json,
    pb::{self, Reader},
};

/// Keys of the hot message, so that a field costs one comparison.
mod key {
    use crate::pb::{self, FIXED64, VARINT, key};

    pub(super) const STR: u32 = key(1, pb::BYTES);
    pub(super) const BOOL: u32 = key(2, VARINT);
    pub(super) const INT: u32 = key(3, VARINT);
    pub(super) const DOUBLE: u32 = key(4, FIXED64);
    pub(super) const ARRAY: u32 = key(5, pb::BYTES);
    pub(super) const KEY_VALUES: u32 = key(6, pb::BYTES);
    pub(super) const BYTES: u32 = key(7, pb::BYTES);
}

/// A value, borrowed from the message it came in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum AnyValue<'a> {
    /// No value at all.
    #[default]
    Empty,
    /// Text.
    Str(&'a str),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any number.
    Double(f64),
    /// A list.
    Array(Array<'a>),
    /// Names with values.
    KeyValues(Attributes<'a>),
    /// Raw bytes.
    Bytes(&'a [u8]),
}

impl<'a> AnyValue<'a> {
    /// The value in an `AnyValue` message; nothing below it is looked at yet.
    pub fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut value = Self::Empty;
        let mut reader = Reader::new(message);
        while let Some(key) = reader.next_key()? {
            value = match key {
                key::STR => Self::Str(reader.text()?),
                key::BOOL => Self::Bool(reader.varint()? != 0),
                key::INT => Self::Int(reader.varint()?.cast_signed()),
                key::DOUBLE => Self::Double(reader.double()?),
                key::ARRAY => Self::Array(Array { message: reader.bytes()? }),
                key::KEY_VALUES => Self::KeyValues(Attributes::new(reader.bytes()?, 1)),
                key::BYTES => Self::Bytes(reader.bytes()?),
                _ => {
                    reader.skip(key)?;
                    continue;
                }
            };
        }
        Ok(value)
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// As text: a string as it is, nothing as the empty string, everything else as JSON (bytes in base64), which is
    /// how OpenTelemetry wants values written where only text fits.
    pub fn text(&self) -> Result<Cow<'a, str>, DecodeError> {
        match self {
            Self::Str(text) => Ok(Cow::Borrowed(text)),
            Self::Empty => Ok(Cow::Borrowed("")),
            Self::Bytes(bytes) => Ok(Cow::Owned(json::base64(bytes))),
            _ => {
                let mut text = String::new();
                json::write(self, &mut text)?;
                Ok(Cow::Owned(text))
            }
        }
    }

    /// How many bytes [`Self::put`] writes.
    #[inline]
    pub(crate) fn encoded_len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Str(text) => pb::message_len(text.len()),
            Self::Bool(_) => 2,
            Self::Int(number) => 1 + pb::varint_len(number.cast_unsigned()),
            Self::Double(_) => 9,
            Self::Array(array) => pb::message_len(array.message.len()),
            Self::KeyValues(values) => pb::message_len(values.len_as(1)),
            Self::Bytes(bytes) => pb::message_len(bytes.len()),
        }
    }

    /// Appends the fields of an `AnyValue` message.
    #[inline]
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Empty => {}
            Self::Str(text) => pb::put_message(out, 1, text.as_bytes()),
            Self::Bool(yes) => out.extend_from_slice(&[2 << 3, u8::from(*yes)]),
            Self::Int(number) => {
                out.push(3 << 3);
                pb::put_varint(out, number.cast_unsigned());
            }
            Self::Double(number) => pb::put_fixed64(out, 4, number.to_bits()),
            Self::Array(array) => pb::put_message(out, 5, array.message),
            Self::KeyValues(values) => {
                pb::put_key(out, 6, pb::BYTES);
                pb::put_varint(out, values.len_as(1) as u64);
                values.put_as(1, out);
            }
            Self::Bytes(bytes) => pb::put_message(out, 7, bytes),
        }
    }
}

/// The values of a list, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    message: &'a [u8],
}

impl<'a> Array<'a> {
    /// A list from its encoded `ArrayValue` message.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { message }
    }

    /// Each value.
    pub fn iter(&self) -> impl Iterator<Item = Result<AnyValue<'a>, DecodeError>> + use<'a> {
        Messages::new(self.message, 1).map(|message| AnyValue::parse(message?))
    }
}

/// The occurrences of one message field; ends after the first error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages<'a> {
    reader: Reader<'a>,
    field: u32,
}

impl<'a> Messages<'a> {
    #[inline]
    pub(crate) fn new(message: &'a [u8], field: u32) -> Self {
        Self { reader: Reader::new(message), field }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], DecodeError>;

    // Not inlined: callers are compiled for size, this crate for speed.
    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.reader.next_bytes(self.field);
        if next.is_err() {
            self.reader = Reader::new(&[]);
        }
        next.transpose()
    }
}
