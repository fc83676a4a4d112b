//! Records on their way into an `ExportLogsServiceRequest`, written as soon as they are read.
//!
//! One `ResourceLogs` per (log, file, stream) and reading; put one after the other they are one request.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use yagura_codec::{
    AnyValue,
    attributes::{RecordAttributes, ResourceAttributes, ScopeAttributes},
    logs::{Encoder, NewRecord},
};
use yagura_model::{Nanos, delivery};

use super::{
    discover::Owner,
    facts,
    join::{Cut, Line},
    line::{PerStream, Stream},
};
use crate::{
    buffer::{Batch, Signal},
    inventory::{Container, resource::attributes},
    sources::Node,
};

/// Record attribute: why a record ends before its line does (`size`, `time`).
const CUT: &str = "yagura.cut";

/// A log's resource attributes, encoded once for each stream.
#[derive(Debug)]
pub(crate) struct Resource {
    streams: PerStream<ResourceAttributes>,
    cut_by_size: RecordAttributes,
    cut_by_time: RecordAttributes,
}

impl Resource {
    /// What is known of a log's owner.
    pub(crate) fn new(owner: &Owner, container: Option<&Container>, node: &Node) -> Self {
        let base = match container {
            Some(container) => attributes(container, None, &node.name, node.cluster.as_deref()),
            None => unknown(owner, node),
        };
        let stream = |stream: Stream| {
            let mut resource = base.clone();
            if let Owner::Pod(pod) = owner {
                resource.put_str("k8s.container.restart_count", &pod.run.to_string());
            }
            if !stream.name().is_empty() {
                resource.put_str("log.iostream", stream.name());
            }
            resource
        };
        let cut = |cut: Cut| RecordAttributes::from_pairs([(CUT, cut.name())]);
        Self {
            streams: PerStream::new(Stream::ALL.map(stream)),
            cut_by_size: cut(Cut::Size),
            cut_by_time: cut(Cut::Time),
        }
    }
}

/// What the path of a log says, where its container is not known, and the tags of its owner in the config.
fn unknown(owner: &Owner, node: &Node) -> ResourceAttributes {
    let mut resource = ResourceAttributes::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            resource.put_str(name, value);
        }
    };
    put("host.name", &node.name);
    put("k8s.cluster.name", node.cluster.as_deref().unwrap_or_default());
    let mut own: &[(Arc<str>, Arc<str>)] = &[];
    match owner {
        Owner::Docker(id) => put("container.id", id.as_str()),
        Owner::Pod(pod) => {
            put("k8s.namespace.name", &pod.namespace);
            put("k8s.pod.name", &pod.pod);
            put("k8s.pod.uid", &pod.uid);
            put("k8s.container.name", &pod.container);
        }
        Owner::Plain(tags) => own = tags,
    }
    for (tag, value) in own {
        put(attribute_of_tag(tag), value);
    }
    for (tag, value) in node.tags.iter().filter(|(tag, _)| !own.iter().any(|(known, _)| **known == ***tag)) {
        put(attribute_of_tag(tag), value);
    }
    resource
}

/// Our tags under OpenTelemetry's names.
fn attribute_of_tag(tag: &str) -> &str {
    match tag {
        "service" => "service.name",
        "env" => "deployment.environment.name",
        "version" => "service.version",
        other => other,
    }
}

/// What a batch says of one stream of one file.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) generation: &'a str,
    pub(crate) stream: Stream,
    /// The bytes answered for.
    pub(crate) covered: Range<u64>,
    /// The lines that begin in this file.
    pub(crate) lines: &'a [Line],
    /// Where a line ends that goes on in the next file.
    pub(crate) end: u64,
}

/// A request being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    encoder: Encoder,
    scope: ScopeAttributes,
    records: u64,
}

impl Writer {
    /// Writes one part; `text` is what its lines refer to.
    pub(crate) fn put(&mut self, resource: &Resource, part: &Part<'_>, text: &[u8], observed: Nanos) {
        self.scope.clear();
        self.scope.put_str(delivery::GENERATION, part.generation);
        self.scope.put_str(delivery::STREAM, part.stream.name());
        let covered = delivery::encode_ranges(std::slice::from_ref(&part.covered));
        self.scope.put(delivery::COVERED, AnyValue::Bytes(&covered));
        self.encoder.begin_resource(resource.streams.get(part.stream));
        self.encoder.begin_scope();
        self.encoder.scope(delivery::SCOPE, "", &self.scope);
        for line in part.lines {
            self.put_line(resource, part, line, text.get(line.text.clone()).unwrap_or_default(), observed);
        }
        self.records += part.lines.len() as u64;
    }

    fn put_line(&mut self, resource: &Resource, part: &Part<'_>, line: &Line, text: &[u8], observed: Nanos) {
        let end = if line.to.file == line.from.file { line.to.offset } else { part.end };
        let lossy;
        let body = match std::str::from_utf8(text) {
            Ok(body) => body,
            Err(_) => {
                lossy = String::from_utf8_lossy(text);
                &lossy
            }
        };
        let facts = facts::of(body);
        let cut: &[&RecordAttributes] = match line.cut {
            None => &[],
            Some(Cut::Size) => &[&resource.cut_by_size],
            Some(Cut::Time) => &[&resource.cut_by_time],
        };
        self.encoder.record(&NewRecord {
            // A plain line says no time that can be relied on.
            time: if line.time.0 == 0 { observed } else { line.time },
            observed,
            severity_number: facts.level.severity.number(),
            severity_text: facts.level.text,
            body: AnyValue::Str(body),
            attributes: cut,
            range: Some(line.from.offset..end),
            trace_id: facts.ids.trace,
            span_id: facts.ids.span,
            ..NewRecord::default()
        });
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> usize {
        self.encoder.len()
    }

    /// The finished request; the writer starts anew.
    pub(crate) fn finish(&mut self) -> Batch {
        let body = Bytes::from(self.encoder.finish());
        Batch { signal: Signal::Logs, body, items: std::mem::take(&mut self.records) }
    }
}
