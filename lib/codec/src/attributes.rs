//! Attributes: names with values, read from a message or encoded once and written many times.

use crate::{
    AnyValue, DecodeError,
    pb::{self, Reader},
    value::Messages,
};

/// The `KeyValue` fields of a message, borrowed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// From the first of them to the end of the last; other fields may lie between.
    span: &'a [u8],
    /// The number of the field in that message.
    field: u32,
    /// Whether nothing else lies between.
    whole: bool,
}

impl<'a> Attributes<'a> {
    /// The attributes in field `field` of `message`.
    #[must_use]
    #[inline]
    pub(crate) fn new(message: &'a [u8], field: u32) -> Self {
        Self { span: message, field, whole: false }
    }

    /// Each name with its value; the iteration ends after the first error.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Result<(&'a str, AnyValue<'a>), DecodeError>> + use<'a> {
        self.entries().map(|entry| key_value(entry?))
    }

    /// The value of the first attribute with this name; broken ones are passed over.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<AnyValue<'a>> {
        self.iter().filter_map(Result::ok).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The text of the first attribute with this name, if it is a string.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|value| value.as_str())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    /// The encoded attributes in one piece, to be hashed or compared; `None` when the sender wrote other fields
    /// between them. Equal bytes are equal attributes; the reverse does not hold.
    #[must_use]
    #[inline]
    pub fn raw(&self) -> Option<&'a [u8]> {
        self.whole.then_some(self.span)
    }

    /// Each encoded `KeyValue` message.
    #[inline]
    fn entries(&self) -> Messages<'a> {
        Messages::new(self.span, self.field)
    }

    /// How many bytes [`Self::put_as`] writes.
    pub(crate) fn len_as(&self, _field: u32) -> usize {
        self.entries().filter_map(Result::ok).map(|entry| pb::message_len(entry.len())).sum()
    }

    /// Appends the attributes as field `field` (below 16) of another message.
    pub(crate) fn put_as(&self, field: u32, out: &mut Vec<u8>) {
        self.entries().filter_map(Result::ok).for_each(|entry| pb::put_message(out, field, entry));
    }
}

/// Equal when they encode to the same `KeyValue` messages in the same order.
impl PartialEq for Attributes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.entries().eq(other.entries())
    }
}

/// Finds where the attributes of a message lie while the message is read once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finder<'a> {
    message: &'a [u8],
    field: u32,
    start: usize,
    end: usize,
    whole: bool,
}

impl<'a> Finder<'a> {
    #[inline]
    pub(crate) fn new(message: &'a [u8], field: u32) -> Self {
        Self { message, field, start: 0, end: 0, whole: true }
    }

    /// Notes an attribute that lies between the reader's rest before and after it was read.
    #[inline]
    pub(crate) fn found(&mut self, before: &[u8], after: &[u8]) {
        let start = self.message.len() - before.len();
        if self.end == 0 {
            self.start = start;
        } else if self.end != start {
            self.whole = false;
        }
        self.end = self.message.len() - after.len();
    }

    #[inline]
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        let span = self.message.get(self.start..self.end).unwrap_or_default();
        Attributes { span, field: self.field, whole: self.whole }
    }
}

// Not inlined: callers are compiled for size, this crate for speed.
#[inline(never)]
fn key_value(message: &[u8]) -> Result<(&str, AnyValue<'_>), DecodeError> {
    const KEY: u32 = pb::key(1, pb::BYTES);
    const VALUE: u32 = pb::key(2, pb::BYTES);
    let (mut name, mut value) = ("", AnyValue::Empty);
    let mut reader = Reader::new(message);
    while let Some(key) = reader.next_key()? {
        match key {
            KEY => name = reader.text()?,
            VALUE => value = AnyValue::parse(reader.bytes()?)?,
            _ => reader.skip(key)?,
        }
    }
    Ok((name, value))
}

/// Attributes encoded once, for the messages in which they are field `FIELD`.
///
/// A series or a stream keeps its attributes in this form, and each sample or record appends them as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encoded<const FIELD: u32> {
    bytes: Vec<u8>,
}

/// Attributes of a resource.
pub type ResourceAttributes = Encoded<1>;
/// Attributes of an instrumentation scope.
pub type ScopeAttributes = Encoded<3>;
/// Attributes of a log record.
pub type RecordAttributes = Encoded<6>;
/// Attributes of a number, histogram or summary point.
pub type PointAttributes = Encoded<7>;
/// Attributes of an exponential histogram's point; also the entries of a [`AnyValue::KeyValues`].
pub type KeyValueList = Encoded<1>;

impl<const FIELD: u32> Encoded<FIELD> {
    /// No attributes.
    #[must_use]
    pub fn new() -> Self {
        const { assert!(FIELD > 0 && FIELD < 16, "the key must fit one byte") };
        Self { bytes: Vec::new() }
    }

    /// Attributes that are all text.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut encoded = Self::new();
        for (name, value) in pairs {
            encoded.put_str(name, value);
        }
        encoded
    }

    /// Appends one.
    #[inline]
    pub fn put(&mut self, name: &str, value: AnyValue<'_>) {
        let out = &mut self.bytes;
        let value_len = value.encoded_len();
        let length = pb::bytes_len(name.len()) + pb::message_len(value_len);
        out.reserve(pb::message_len(length));
        pb::put_key(out, FIELD, pb::BYTES);
        pb::put_varint(out, length as u64);
        pb::put_bytes(out, 1, name.as_bytes());
        pb::put_key(out, 2, pb::BYTES);
        pb::put_varint(out, value_len as u64);
        value.put(out);
    }

    /// Appends one that is text.
    #[inline]
    pub fn put_str(&mut self, name: &str, value: &str) {
        self.put(name, AnyValue::Str(value));
    }

    /// Appends one that is a whole number.
    #[inline]
    pub fn put_int(&mut self, name: &str, value: i64) {
        self.put(name, AnyValue::Int(value));
    }

    /// Appends all attributes of a decoded message, as they are.
    pub fn put_all(&mut self, attributes: &Attributes<'_>) {
        attributes.put_as(FIELD, &mut self.bytes);
    }

    /// Removes all, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The encoded bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads them back.
    #[must_use]
    pub fn view(&self) -> Attributes<'_> {
        Attributes { span: &self.bytes, field: FIELD, whole: true }
    }

    /// Gives back memory that is not used.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }
}
