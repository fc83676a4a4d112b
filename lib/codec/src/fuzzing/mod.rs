//! Entry points of the fuzz targets: one function for each decoder of outside bytes. Not part of the API.
//!
//! A function takes any bytes and panics where the decoder breaks its word: here, when what was decoded does not
//! survive being encoded and decoded again. `fuzz/` runs them under libFuzzer, the tests below with [`mutate::rounds`],
//! so that every toolchain runs them. To add one: a function here, a file in `fuzz/fuzz_targets/`, a line in the test.

pub mod mutate;
mod otlp;

use crate::{
    compress::{self, Encoding},
    grpc::{self, Frame, Status},
    response::PartialSuccess,
};

pub use otlp::{logs, metrics, traces};

/// Most that is decompressed, and the longest message in a frame.
const LIMIT: usize = 1 << 16;

/// The body of a unary gRPC call.
pub fn grpc_frame(bytes: &[u8]) {
    let Ok(frame) = Frame::unary(bytes, LIMIT) else { return };
    assert!(frame.payload.len() <= LIMIT, "a frame is longer than allowed");
    let mut written = Vec::new();
    grpc::put_frame(&mut written, frame.compressed, frame.payload);
    assert_eq!(written, bytes, "a frame is not written as it was read");
}

/// What a call ends with: its status, in a message and in headers, and the response.
pub fn grpc_status(bytes: &[u8]) {
    if let Ok(status) = Status::parse(bytes) {
        assert_eq!(Status::parse(&status.encode()).as_ref(), Ok(&status), "a status does not survive");
        // A longer message is cut when it becomes a header.
        if status.message.len() <= 1024 {
            let (message, details) = (status.message_header(), status.details_header());
            let read = Status::from_headers(status.code.number(), Some(&message), Some(&details));
            assert_eq!(read, status, "a status does not survive its headers");
        }
    }
    if let Ok(partial) = PartialSuccess::parse(bytes) {
        let written = partial.map(|partial| partial.encode()).unwrap_or_default();
        assert_eq!(PartialSuccess::parse(&written), Ok(partial), "a response does not survive");
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let (message, details) = text.split_once('\n').unwrap_or((text, text));
        let status = Status::from_headers(8, Some(message), Some(details));
        assert!(status.message.len() <= 3 * message.len(), "a message grew");
    }
}

/// A compressed body; its first byte says how it is compressed.
pub fn decompress(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let encoding = match first % 3 {
        0 => Encoding::Zstd,
        1 => Encoding::Gzip,
        _ => Encoding::Identity,
    };
    let Ok(plain) = compress::decompress(encoding, body, LIMIT) else { return };
    assert!(plain.len() <= LIMIT, "more came out than allowed");
    let mut again = Vec::new();
    assert!(compress::zstd_compress(1, &plain, &mut again).is_ok(), "cannot compress");
    let survived = compress::decompress(Encoding::Zstd, &again, plain.len());
    assert_eq!(survived.ok(), Some(plain), "a body does not survive");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AnyValue,
        attributes::{PointAttributes, RecordAttributes, ResourceAttributes, ScopeAttributes},
        grpc::Code,
        logs::NewRecord,
        metrics::{MetricKind, NewNumber, Number},
        pb,
    };
    use std::time::Duration;
    use yagura_model::{Nanos, SpanId, TraceId};

    const ROUNDS: u32 = 1500;

    fn values() -> RecordAttributes {
        let mut list = Vec::new();
        pb::put_message(&mut list, 1, b"\x0a\x03one");
        let mut inner = crate::attributes::KeyValueList::new();
        inner.put("deep", AnyValue::Array(crate::value::Array::new(&list)));
        let mut values = RecordAttributes::new();
        values.put_str("text", "späte \"Zeile\"");
        values.put_int("number", -3);
        values.put("yes", AnyValue::Bool(true));
        values.put("nan", AnyValue::Double(f64::NAN));
        values.put("list", AnyValue::KeyValues(inner.view()));
        values.put("raw", AnyValue::Bytes(&[0, 255]));
        values
    }

    fn metrics_request() -> Vec<u8> {
        let mut encoder = crate::metrics::Encoder::default();
        encoder.begin_resource(&ResourceAttributes::from_pairs([("host.name", "a")]));
        encoder.begin_scope("scope", "1", &ScopeAttributes::new());
        let labels = PointAttributes::from_pairs([("cpu", "0"), ("mode", "idle")]);
        for (kind, value) in [
            (MetricKind::Gauge, Number::Double(1.5)),
            (MetricKind::COUNTER, Number::Int(-7)),
            (MetricKind::Gauge, Number::None),
        ] {
            encoder.begin_metric("node_cpu_seconds_total", "time", "s", kind);
            encoder.number(&NewNumber { attributes: &[&labels], start: Nanos(5), time: Nanos(7), value });
        }
        encoder.finish()
    }

    /// A histogram, an exponential one and a summary, with packed and single numbers.
    fn histograms() -> Vec<u8> {
        let mut out = Vec::new();
        let marks = [pb::open(&mut out, 1), pb::open(&mut out, 2)];
        for kind in 9..12 {
            let marks = [pb::open(&mut out, 2), pb::open(&mut out, kind), pb::open(&mut out, 1)];
            for field in 2..6 {
                pb::put_fixed64(&mut out, field, 0x3ff0_0000_0000_0000);
            }
            pb::put_message(&mut out, 6, &[0; 16]);
            pb::put_message(&mut out, 7, &[0; 16]);
            pb::put_message(&mut out, 8, b"\x08\x01\x12\x03\x01\x02\x03");
            pb::put_uint(&mut out, 10, 1);
            marks.into_iter().rev().for_each(|mark| pb::close(&mut out, mark));
        }
        marks.into_iter().rev().for_each(|mark| pb::close(&mut out, mark));
        out
    }

    fn logs_request() -> Vec<u8> {
        let mut encoder = crate::logs::Encoder::default();
        encoder.begin_resource(&ResourceAttributes::from_pairs([("service.name", "web")]));
        encoder.begin_scope();
        let attributes = values();
        for body in [AnyValue::Str("GET /"), AnyValue::KeyValues(attributes.view()), AnyValue::Empty] {
            encoder.record(&NewRecord {
                time: Nanos(9),
                observed: Nanos(10),
                severity_number: 9,
                severity_text: "INFO",
                body,
                attributes: &[&attributes],
                range: Some(0..300),
                flags: 1,
                trace_id: Some(TraceId(1)),
                span_id: Some(SpanId(2)),
                event_name: "event",
            });
        }
        encoder.scope("file", "", &ScopeAttributes::from_pairs([("a", "b")]));
        encoder.finish()
    }

    fn traces_request() -> Vec<u8> {
        let mut span = Vec::new();
        pb::put_bytes(&mut span, 1, &[1; 16]);
        pb::put_bytes(&mut span, 2, &[2; 8]);
        pb::put_bytes(&mut span, 4, &[3; 8]);
        pb::put_bytes(&mut span, 5, b"GET /");
        pb::put_uint(&mut span, 6, 2);
        pb::put_fixed64(&mut span, 7, 1);
        pb::put_fixed64(&mut span, 8, 2);
        pb::put_bytes(&mut span, 9, b"\x0a\x01a\x12\x03\x0a\x01b");
        pb::put_bytes(&mut span, 15, b"\x12\x03bad\x18\x02");
        let mut encoder = crate::traces::Encoder::default();
        encoder.begin_resource(ResourceAttributes::from_pairs([("service.name", "web")]).as_bytes());
        encoder.begin_scope(b"\x0a\x03lib");
        encoder.span(&span);
        encoder.span(&span);
        encoder.finish()
    }

    #[test]
    fn otlp_requests_survive_any_damage() {
        mutate::rounds(&[&metrics_request(), &histograms()], ROUNDS, metrics);
        mutate::rounds(&[&logs_request()], ROUNDS, logs);
        mutate::rounds(&[&traces_request()], ROUNDS, traces);
    }

    #[test]
    fn what_a_call_ends_with_survives_any_damage() {
        let status = Status {
            retry_after: Some(Duration::from_millis(1500)),
            ..Status::new(Code::ResourceExhausted, "später")
        };
        let partial = PartialSuccess { rejected: 3, message: "too old" };
        let headers = format!("{}\n{}", status.message_header(), status.details_header());
        mutate::rounds(&[&status.encode(), &partial.encode(), headers.as_bytes()], ROUNDS, grpc_status);
    }

    #[test]
    fn frames_and_compressed_bodies_survive_any_damage() {
        let mut frame = Vec::new();
        grpc::put_frame(&mut frame, true, b"message");
        mutate::rounds(&[&frame], ROUNDS, grpc_frame);
        let mut zstd = vec![0];
        compress::zstd_compress(1, &metrics_request(), &mut zstd).unwrap();
        // `printf hello | gzip --no-name`
        let gzip = b"\x01\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";
        assert_eq!(compress::decompress(Encoding::Gzip, &gzip[1..], 5).unwrap(), b"hello");
        mutate::rounds(&[&zstd, gzip, b"\x02plain"], ROUNDS, decompress);
    }
}
