//! Trace requests.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span},
};
use proptest::{collection::vec, prelude::*};
use prost::Message as _;
use yagura_codec::{self as ours, DecodeError};

use crate::{
    damage,
    values::{attributes, resource, scope, their_attributes},
};

fn span() -> impl Strategy<Value = Span> {
    let ids = (vec(1_u8.., 16), vec(1_u8.., 8), prop_oneof![Just(vec![]), vec(1_u8.., 8)]);
    let times = (0..=i64::MAX as u64, 0..=i64::MAX as u64);
    (ids, times, ".{0,8}", 0..=5, attributes(), prop::option::of((".{0,4}", 0..=2))).prop_map(
        |((trace_id, span_id, parent_span_id), (start, end), name, kind, attributes, status)| Span {
            trace_id,
            span_id,
            parent_span_id,
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            events: vec![span::Event { attributes: attributes.clone(), ..span::Event::default() }],
            attributes,
            status: status.map(|(message, code)| Status { message, code }),
            ..Span::default()
        },
    )
}

fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scopes =
        (scope(), vec(span(), 0..3)).prop_map(|(scope, spans)| ScopeSpans { scope, spans, ..ScopeSpans::default() });
    let resources = (resource(), vec(scopes, 0..3)).prop_map(|(resource, scope_spans)| ResourceSpans {
        resource,
        scope_spans,
        ..ResourceSpans::default()
    });
    vec(resources, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// Takes a request apart and puts it together again; gives the spans' own fields beside it.
fn again(bytes: &[u8]) -> Result<(Vec<u8>, Vec<Span>), DecodeError> {
    let mut encoder = ours::traces::Encoder::default();
    let mut spans = Vec::new();
    for resource in ours::traces::Request::new(bytes).resources() {
        let resource = resource?;
        encoder.begin_resource(resource.resource.raw);
        for scope in resource.scopes() {
            let scope = scope?;
            encoder.begin_scope(scope.scope.raw);
            for span in scope.spans() {
                let span = span?;
                encoder.span(span.raw);
                spans.push(their_span(&span)?);
            }
        }
    }
    Ok((encoder.finish(), spans))
}

fn their_span(span: &ours::traces::Span<'_>) -> Result<Span, DecodeError> {
    let status = Status { message: span.status_message.to_owned(), code: span.status_code as i32 };
    Ok(Span {
        trace_id: span.trace_id.map(|id| id.0.to_be_bytes().to_vec()).unwrap_or_default(),
        span_id: span.span_id.map(|id| id.0.to_be_bytes().to_vec()).unwrap_or_default(),
        parent_span_id: span.parent_span_id.map(|id| id.0.to_be_bytes().to_vec()).unwrap_or_default(),
        name: span.name.to_owned(),
        kind: span.kind as i32,
        start_time_unix_nano: span.start.0 as u64,
        end_time_unix_nano: span.end.0 as u64,
        attributes: their_attributes(&span.attributes)?,
        status: (status != Status::default()).then_some(status),
        ..Span::default()
    })
}

proptest! {
    #[test]
    fn spans_are_read_and_put_together_again(request in request()) {
        let (bytes, spans) = again(&request.encode_to_vec()).unwrap();
        prop_assert_eq!(ExportTraceServiceRequest::decode(&*bytes).unwrap().encode_to_vec(), request.encode_to_vec());
        let expected = request.resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans);
        for (span, mut expected) in spans.into_iter().zip(expected) {
            expected.events.clear();
            expected.status = expected.status.filter(|status| *status != Status::default());
            prop_assert_eq!(span.encode_to_vec(), expected.encode_to_vec());
        }
    }

    #[test]
    fn damage_is_an_error_at_worst(bytes in damage(request().prop_map(|request| request.encode_to_vec()))) {
        let ours = again(&bytes);
        prop_assert!(ours.is_ok() || ExportTraceServiceRequest::decode(&*bytes).is_err());
    }
}
