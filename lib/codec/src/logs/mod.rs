//! `ExportLogsServiceRequest`: borrowed views for reading, [`Encoder`] for writing.
//!
//! ```text
//! Request::resources ─► ResourceLogs::scopes ─► ScopeLogs::records
//! ```

mod encode;

pub use encode::{Encoder, NewRecord};

use yagura_model::{Nanos, SpanId, TraceId};

use crate::{
    AnyValue, Attributes, DecodeError,
    attributes::Finder,
    pb::{self, Reader},
    resource::{Resource, Scope, head},
    value::Messages,
};

/// A whole request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    message: &'a [u8],
}

impl<'a> Request<'a> {
    /// Views `message`; nothing is read yet.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { message }
    }

    /// Its parts, one for each resource.
    pub fn resources(&self) -> impl Iterator<Item = Result<ResourceLogs<'a>, DecodeError>> + use<'a> {
        Messages::new(self.message, 1).map(|message| ResourceLogs::parse(message?))
    }
}

/// What one resource tells.
#[derive(Clone, Copy, Debug)]
pub struct ResourceLogs<'a> {
    /// Who tells.
    pub resource: Resource<'a>,
    message: &'a [u8],
}

impl<'a> ResourceLogs<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { resource: Resource::parse(head(message)?)?, message })
    }

    /// Its parts, one for each scope.
    pub fn scopes(&self) -> impl Iterator<Item = Result<ScopeLogs<'a>, DecodeError>> + use<'a> {
        Messages::new(self.message, 2).map(|message| ScopeLogs::parse(message?))
    }
}

/// What one scope tells.
#[derive(Clone, Copy, Debug)]
pub struct ScopeLogs<'a> {
    /// Which library, or which file's generation and stream (see [`yagura_model::delivery`]).
    pub scope: Scope<'a>,
    message: &'a [u8],
}

impl<'a> ScopeLogs<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { scope: Scope::parse(head(message)?)?, message })
    }

    /// Its records; the iteration ends after the first error in what surrounds them.
    #[inline]
    pub fn records(&self) -> impl Iterator<Item = Result<Record<'a>, DecodeError>> + use<'a> {
        Messages::new(self.message, 2).map(|message| Record::parse(message?))
    }
}

/// One log record.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record<'a> {
    /// When it happened; 0 when unknown.
    pub time: Nanos,
    /// When it was first seen by a collector of any kind; 0 when unknown.
    pub observed: Nanos,
    /// OpenTelemetry's number, 0 to 24; see [`yagura_model::Severity::from_number`].
    pub severity_number: u8,
    /// The word that the writer used.
    pub severity_text: &'a str,
    /// What it says.
    pub body: AnyValue<'a>,
    /// Its other fields.
    pub attributes: Attributes<'a>,
    /// How many attributes the sender left out.
    pub dropped_attributes: u32,
    /// W3C trace flags in the low byte.
    pub flags: u32,
    /// The trace it belongs to; an id of a wrong length or all zeros is none.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to, in the same manner.
    pub span_id: Option<SpanId>,
    /// The kind of event, when it is one.
    pub event_name: &'a str,
}

/// Keys of the hot message, so that a field costs one comparison.
mod key {
    use crate::pb::{BYTES, FIXED32, FIXED64, VARINT, key};

    pub(super) const TIME: u32 = key(1, FIXED64);
    pub(super) const SEVERITY_NUMBER: u32 = key(2, VARINT);
    pub(super) const SEVERITY_TEXT: u32 = key(3, BYTES);
    pub(super) const BODY: u32 = key(5, BYTES);
    pub(super) const ATTRIBUTE: u32 = key(6, BYTES);
    pub(super) const DROPPED: u32 = key(7, VARINT);
    pub(super) const FLAGS: u32 = key(8, FIXED32);
    pub(super) const TRACE_ID: u32 = key(9, BYTES);
    pub(super) const SPAN_ID: u32 = key(10, BYTES);
    pub(super) const OBSERVED: u32 = key(11, FIXED64);
    pub(super) const EVENT_NAME: u32 = key(12, BYTES);
}

impl<'a> Record<'a> {
    // Not inlined: callers are compiled for size, this crate for speed.
    #[inline(never)]
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut record = Self::default();
        let mut finder = Finder::new(message, 6);
        let mut reader = Reader::new(message);
        loop {
            let before = reader.rest();
            let Some(key) = reader.next_key()? else { break };
            match key {
                key::TIME => record.time = pb::nanos(reader.fixed64()?),
                key::SEVERITY_NUMBER => record.severity_number = u8::try_from(reader.varint()?).unwrap_or(0),
                key::SEVERITY_TEXT => record.severity_text = reader.text()?,
                key::BODY => record.body = AnyValue::parse(reader.bytes()?)?,
                key::ATTRIBUTE => {
                    reader.bytes()?;
                    finder.found(before, reader.rest());
                }
                key::DROPPED => record.dropped_attributes = pb::low32(reader.varint()?),
                key::FLAGS => record.flags = reader.fixed32()?,
                key::TRACE_ID => record.trace_id = trace_id(reader.bytes()?),
                key::SPAN_ID => record.span_id = span_id(reader.bytes()?),
                key::OBSERVED => record.observed = pb::nanos(reader.fixed64()?),
                key::EVENT_NAME => record.event_name = reader.text()?,
                _ => reader.skip(key)?,
            }
        }
        record.attributes = finder.attributes();
        Ok(record)
    }
}

/// A trace id of 16 bytes that are not all zero.
#[inline]
pub(crate) fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    bytes.try_into().ok().map(u128::from_be_bytes).filter(|id| *id != 0).map(TraceId)
}

/// A span id of 8 bytes that are not all zero.
#[inline]
pub(crate) fn span_id(bytes: &[u8]) -> Option<SpanId> {
    bytes.try_into().ok().map(u64::from_be_bytes).filter(|id| *id != 0).map(SpanId)
}
