//! Spans in a map of traces with a budget: the oldest traces go first. Other engines use this one too until they
//! keep spans on disk, so a restart forgets traces.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Mutex,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use yagura_model::{Timestamp, TraceId, names};

use super::{lock, otlp};
use crate::storage::{Appended, Error, RejectReason, TraceStore};

/// All spans.
#[derive(Debug)]
pub(in crate::storage) struct Traces {
    budget: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    traces: HashMap<u128, Trace>,
    /// Traces in the order of their first span.
    order: VecDeque<u128>,
    bytes: usize,
    spans: u64,
}

#[derive(Debug, Default)]
struct Trace {
    /// (span id, kind, service) of what is there.
    known: HashSet<(Vec<u8>, i32, String)>,
    parts: Vec<ResourceSpans>,
    bytes: usize,
}

impl Traces {
    /// An empty store for at most `budget` bytes of encoded spans.
    pub(in crate::storage) fn new(budget: usize) -> Self {
        Self { budget, inner: Mutex::default() }
    }

    /// How many spans were stored.
    pub(in crate::storage) fn spans(&self) -> u64 {
        lock(&self.inner).spans
    }

    fn append_now(&self, request: &[u8]) -> Result<Appended, Error> {
        let request =
            ExportTraceServiceRequest::decode(request).map_err(|error| Error::Malformed(error.to_string()))?;
        let mut appended = Appended::default();
        let mut inner = lock(&self.inner);
        for resource in &request.resource_spans {
            let attributes = otlp::attributes(resource.resource.as_ref());
            let service = attributes.iter().find(|pair| pair.key == names::SERVICE_NAME);
            let service = service.map(|pair| otlp::text(pair.value.as_ref())).unwrap_or_default();
            for scope in &resource.scope_spans {
                for span in &scope.spans {
                    inner.span(&service, resource, scope, span, &mut appended);
                }
            }
        }
        inner.spans += appended.accepted;
        while inner.bytes > self.budget {
            let Some(oldest) = inner.order.pop_front() else { break };
            let bytes = inner.traces.remove(&oldest).map_or(0, |trace| trace.bytes);
            inner.bytes = inner.bytes.saturating_sub(bytes);
        }
        Ok(appended)
    }
}

impl Inner {
    fn span(
        &mut self,
        service: &str,
        resource: &ResourceSpans,
        scope: &ScopeSpans,
        span: &Span,
        appended: &mut Appended,
    ) {
        let id = <[u8; 16]>::try_from(span.trace_id.as_slice()).map(u128::from_be_bytes).unwrap_or(0);
        if id == 0 || span.span_id.len() != 8 {
            appended.reject(RejectReason::BadLabels, || format!("span {:?} has no trace or span id", span.name));
            return;
        }
        if !self.traces.contains_key(&id) {
            self.order.push_back(id);
        }
        let trace = self.traces.entry(id).or_default();
        if !trace.known.insert((span.span_id.clone(), span.kind, service.to_owned())) {
            appended.duplicates += 1;
            return;
        }
        let part = ResourceSpans {
            resource: resource.resource.clone(),
            scope_spans: vec![ScopeSpans {
                scope: scope.scope.clone(),
                spans: vec![span.clone()],
                ..Default::default()
            }],
            ..Default::default()
        };
        let bytes = part.encoded_len();
        trace.bytes += bytes;
        self.bytes += bytes;
        trace.parts.push(part);
        appended.accepted += 1;
    }
}

impl TraceStore for Traces {
    fn append(&self, request: Bytes, _now: Timestamp) -> BoxFuture<'_, Result<Appended, Error>> {
        Box::pin(async move { self.append_now(&request) })
    }

    fn trace(&self, id: TraceId) -> BoxFuture<'_, Result<Option<Bytes>, Error>> {
        Box::pin(async move {
            let inner = lock(&self.inner);
            let found = inner.traces.get(&id.0);
            Ok(found.map(|trace| {
                let request = ExportTraceServiceRequest { resource_spans: trace.parts.clone() };
                Bytes::from(request.encode_to_vec())
            }))
        })
    }
}
