//! Writes an `ExportLogsServiceRequest`.

use std::ops::Range;

use yagura_model::{Nanos, SpanId, TraceId, delivery};

use crate::{
    AnyValue,
    attributes::{RecordAttributes, ResourceAttributes, ScopeAttributes},
    pb::{self, Mark},
};

/// Writes a request in one pass; each `begin_…` ends what stands open at its level and below.
///
/// Requests written one after the other and put together are one request, as protobuf has it: streams whose records
/// come mixed are written by an encoder each.
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
    resource: Option<Mark>,
    scope: Option<Mark>,
}

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewRecord<'a> {
    /// When it happened; 0 when unknown.
    pub time: Nanos,
    /// When it was read; 0 when unknown.
    pub observed: Nanos,
    /// OpenTelemetry's number, 0 to 24.
    pub severity_number: u8,
    /// The word that the writer used.
    pub severity_text: &'a str,
    /// What it says; [`AnyValue::Empty`] leaves it out.
    pub body: AnyValue<'a>,
    /// Its other fields, in parts that are written one after the other.
    pub attributes: &'a [&'a RecordAttributes],
    /// Its place in its file: the attributes [`delivery::RANGE_START`] and [`delivery::RANGE_END`].
    pub range: Option<Range<u64>>,
    /// W3C trace flags in the low byte.
    pub flags: u32,
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to.
    pub span_id: Option<SpanId>,
    /// The kind of event, when it is one.
    pub event_name: &'a str,
}

impl Encoder {
    /// Writes into `buffer`, which is emptied first.
    #[must_use]
    pub fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { out: buffer, ..Self::default() }
    }

    /// Begins what one resource tells.
    pub fn begin_resource(&mut self, attributes: &ResourceAttributes) {
        self.end_resource();
        self.resource = Some(pb::open(&mut self.out, 1));
        pb::put_message(&mut self.out, 1, attributes.as_bytes());
    }

    /// Begins what one scope tells; needs an open resource.
    pub fn begin_scope(&mut self) {
        self.end_scope();
        self.scope = Some(pb::open(&mut self.out, 2));
    }

    /// Says what the open scope is, once; before, between or after its records, for the ranges that a message covers
    /// are known only at its end.
    pub fn scope(&mut self, name: &str, version: &str, attributes: &ScopeAttributes) {
        let length = pb::bytes_len(name.len()) + pb::bytes_len(version.len()) + attributes.as_bytes().len();
        pb::put_key(&mut self.out, 1, pb::BYTES);
        pb::put_varint(&mut self.out, length as u64);
        pb::put_bytes(&mut self.out, 1, name.as_bytes());
        pb::put_bytes(&mut self.out, 2, version.as_bytes());
        self.out.extend_from_slice(attributes.as_bytes());
    }

    /// Writes a record; needs an open scope.
    #[inline]
    pub fn record(&mut self, record: &NewRecord<'_>) {
        let body = record.body.encoded_len();
        let length = record.encoded_len(body);
        let out = &mut self.out;
        out.reserve(pb::message_len(length));
        out.push(2 << 3 | 2);
        pb::put_varint(out, length as u64);
        record.put(body, out);
    }

    /// How many bytes are written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing is written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Ends all that stands open and gives the request; the encoder starts again with an empty buffer.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        self.end_resource();
        std::mem::take(&mut self.out)
    }

    fn end_scope(&mut self) {
        if let Some(scope) = self.scope.take() {
            pb::close(&mut self.out, scope);
        }
    }

    fn end_resource(&mut self) {
        self.end_scope();
        if let Some(resource) = self.resource.take() {
            pb::close(&mut self.out, resource);
        }
    }
}

impl NewRecord<'_> {
    #[inline]
    fn encoded_len(&self, body: usize) -> usize {
        let attributes: usize = self.attributes.iter().map(|part| part.as_bytes().len()).sum();
        let range = self.range.as_ref().map_or(0, |range| {
            int_attribute_len(delivery::RANGE_START, range.start) + int_attribute_len(delivery::RANGE_END, range.end)
        });
        9 + if self.severity_number == 0 { 0 } else { 2 }
            + pb::bytes_len(self.severity_text.len())
            + if body == 0 { 0 } else { pb::message_len(body) }
            + attributes
            + range
            + if self.flags == 0 { 0 } else { 5 }
            + if self.trace_id.is_some() { 18 } else { 0 }
            + if self.span_id.is_some() { 10 } else { 0 }
            + if self.observed.0 == 0 { 0 } else { 9 }
            + pb::bytes_len(self.event_name.len())
    }

    #[inline]
    fn put(&self, body: usize, out: &mut Vec<u8>) {
        pb::put_fixed64(out, 1, pb::unsigned(self.time));
        if self.severity_number != 0 {
            out.extend_from_slice(&[2 << 3, self.severity_number & 0x7f]);
        }
        pb::put_bytes(out, 3, self.severity_text.as_bytes());
        if body != 0 {
            out.push(5 << 3 | 2);
            pb::put_varint(out, body as u64);
            self.body.put(out);
        }
        self.attributes.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        if let Some(range) = &self.range {
            put_int_attribute(delivery::RANGE_START, range.start, out);
            put_int_attribute(delivery::RANGE_END, range.end, out);
        }
        if self.flags != 0 {
            out.push(8 << 3 | 5);
            out.extend_from_slice(&self.flags.to_le_bytes());
        }
        if let Some(id) = self.trace_id {
            out.extend_from_slice(&[9 << 3 | 2, 16]);
            out.extend_from_slice(&id.0.to_be_bytes());
        }
        if let Some(id) = self.span_id {
            out.extend_from_slice(&[10 << 3 | 2, 8]);
            out.extend_from_slice(&id.0.to_be_bytes());
        }
        if self.observed.0 != 0 {
            pb::put_fixed64(out, 11, pb::unsigned(self.observed));
        }
        pb::put_bytes(out, 12, self.event_name.as_bytes());
    }
}

/// How many bytes the `KeyValue` field of a short name and a number takes.
#[inline]
fn int_attribute_len(name: &str, value: u64) -> usize {
    // Key and length of the field, of the name, of the value; the number's key.
    2 + 2 + name.len() + 2 + 1 + pb::varint_len(value)
}

/// Writes such a field; every length in it is below 128.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the two names are short, and a varint has at most ten bytes")]
fn put_int_attribute(name: &str, value: u64, out: &mut Vec<u8>) {
    let number = 1 + pb::varint_len(value);
    out.extend_from_slice(&[6 << 3 | 2, (4 + name.len() + number) as u8, 1 << 3 | 2, name.len() as u8]);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&[2 << 3 | 2, number as u8, 3 << 3]);
    pb::put_varint(out, value);
}
