//! `ExportTraceServiceRequest`: borrowed views for reading, and an [`Encoder`] that puts spans together again.

use yagura_model::{Nanos, SpanId, TraceId};

use crate::{
    Attributes, DecodeError,
    attributes::Finder,
    logs::{span_id, trace_id},
    pb::{self, Mark, Reader, Wire},
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
    pub fn resources(&self) -> impl Iterator<Item = Result<ResourceSpans<'a>, DecodeError>> + use<'a> {
        Messages::new(self.message, 1).map(|message| ResourceSpans::parse(message?))
    }
}

/// What one resource tells.
#[derive(Clone, Copy, Debug)]
pub struct ResourceSpans<'a> {
    /// Who tells.
    pub resource: Resource<'a>,
    message: &'a [u8],
}

impl<'a> ResourceSpans<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { resource: Resource::parse(head(message)?)?, message })
    }

    /// Its parts, one for each scope.
    pub fn scopes(&self) -> impl Iterator<Item = Result<ScopeSpans<'a>, DecodeError>> + use<'a> {
        Messages::new(self.message, 2).map(|message| ScopeSpans::parse(message?))
    }
}

/// What one scope tells.
#[derive(Clone, Copy, Debug)]
pub struct ScopeSpans<'a> {
    /// Which library tells.
    pub scope: Scope<'a>,
    message: &'a [u8],
}

impl<'a> ScopeSpans<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { scope: Scope::parse(head(message)?)?, message })
    }

    /// Its spans; the iteration ends after the first error in what surrounds them.
    pub fn spans(&self) -> impl Iterator<Item = Result<Span<'a>, DecodeError>> + use<'a> {
        Messages::new(self.message, 2).map(|message| Span::parse(message?))
    }
}

/// One span; events and links stay in `raw`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span<'a> {
    /// The encoded `Span` message, to be kept or passed on.
    pub raw: &'a [u8],
    /// Its trace; an id of a wrong length or all zeros is none.
    pub trace_id: Option<TraceId>,
    /// Its own id, in the same manner.
    pub span_id: Option<SpanId>,
    /// The span that caused it.
    pub parent_span_id: Option<SpanId>,
    /// What is done.
    pub name: &'a str,
    /// OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u32,
    /// When it began.
    pub start: Nanos,
    /// When it ended.
    pub end: Nanos,
    /// Its attributes.
    pub attributes: Attributes<'a>,
    /// OTLP's number: 1 ok, 2 error.
    pub status_code: u32,
    /// What went wrong.
    pub status_message: &'a str,
}

impl<'a> Span<'a> {
    fn parse(raw: &'a [u8]) -> Result<Self, DecodeError> {
        let mut span = Self { raw, ..Self::default() };
        let mut finder = Finder::new(raw, 9);
        let mut reader = Reader::new(raw);
        loop {
            let before = reader.rest();
            match reader.next_field()? {
                Some((1, Wire::Bytes(id))) => span.trace_id = trace_id(id),
                Some((2, Wire::Bytes(id))) => span.span_id = span_id(id),
                Some((4, Wire::Bytes(id))) => span.parent_span_id = span_id(id),
                Some((5, Wire::Bytes(bytes))) => span.name = pb::text(bytes)?,
                Some((6, Wire::Varint(kind))) => span.kind = pb::low32(kind),
                Some((7, Wire::Fixed64(time))) => span.start = pb::nanos(time),
                Some((8, Wire::Fixed64(time))) => span.end = pb::nanos(time),
                Some((9, Wire::Bytes(_))) => finder.found(before, reader.rest()),
                Some((15, Wire::Bytes(bytes))) => (span.status_code, span.status_message) = status(bytes)?,
                Some(_) => {}
                None => return Ok(Self { attributes: finder.attributes(), ..span }),
            }
        }
    }
}

fn status(message: &[u8]) -> Result<(u32, &str), DecodeError> {
    let (mut code, mut text) = (0, "");
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next_field()? {
        match field {
            (2, Wire::Bytes(bytes)) => text = pb::text(bytes)?,
            (3, Wire::Varint(number)) => code = pb::low32(number),
            _ => {}
        }
    }
    Ok((code, text))
}

/// Puts messages that were taken apart together again.
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
    resource: Option<Mark>,
    scope: Option<Mark>,
}

impl Encoder {
    /// Begins what one resource tells; takes [`Resource::raw`] or encoded attributes.
    pub fn begin_resource(&mut self, raw: &[u8]) {
        self.end_resource();
        self.resource = Some(pb::open(&mut self.out, 1));
        pb::put_message(&mut self.out, 1, raw);
    }

    /// Begins what one scope tells; takes [`Scope::raw`], needs an open resource.
    pub fn begin_scope(&mut self, raw: &[u8]) {
        self.end_scope();
        self.scope = Some(pb::open(&mut self.out, 2));
        pb::put_message(&mut self.out, 1, raw);
    }

    /// Writes a span; takes [`Span::raw`], needs an open scope.
    pub fn span(&mut self, raw: &[u8]) {
        pb::put_message(&mut self.out, 2, raw);
    }

    /// Ends all that stands open and gives the request.
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
