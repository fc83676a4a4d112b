//! Prometheus' remote write, version 1: `POST /prom/api/v1/write`, snappy over protobuf. Samples become an OTLP
//! request, so that there is one way into storage.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use yagura_codec::{
    DecodeError,
    attributes::{PointAttributes, ResourceAttributes, ScopeAttributes},
    metrics::{Encoder, MetricKind, NewNumber, Number, Temporality},
    pb::{Reader, Wire},
};
use yagura_model::{Nanos, Timestamp, labels, metric::is_stale};

use super::{Receiver, Refusal, Signal, counters::Protocol, otlp_http::http_status, rejected_message};

/// Names whose type is remembered; a sender repeats them every minute.
const MAX_KNOWN: usize = 20_000;

/// The path `/api/v1/write`, to be nested under `/prom`.
pub fn router(receiver: Receiver) -> Router {
    let state = Writer { receiver, known: Arc::default() };
    Router::new().route("/api/v1/write", post(write)).with_state(state)
}

#[derive(Clone)]
struct Writer {
    receiver: Receiver,
    known: Arc<Mutex<HashMap<String, Description>>>,
}

/// What a sender said of a metric; it comes in requests of its own.
#[derive(Clone, Debug, Default)]
struct Description {
    counter: bool,
    help: String,
    unit: String,
}

async fn write(State(writer): State<Writer>, request: Request) -> Response {
    match take(&writer, request).await {
        Ok((0, _)) => StatusCode::NO_CONTENT.into_response(),
        // Samples that can never be taken must not be sent again; the good ones are stored.
        Ok((_, message)) => (StatusCode::BAD_REQUEST, message + "\n").into_response(),
        Err(refusal) => {
            writer.receiver.refused(Signal::Metrics, Protocol::RemoteWrite, &refusal);
            let mut response = (http_status(&refusal), format!("{refusal}\n")).into_response();
            if let Some(after) = refusal.retry_after() {
                response.headers_mut().insert(RETRY_AFTER, after.as_secs().max(1).into());
            }
            response
        }
    }
}

async fn take(writer: &Writer, request: Request) -> Result<(i64, String), Refusal> {
    let receiver = &writer.receiver;
    let headers = request.headers();
    receiver.authenticate(headers)?;
    check_headers(headers)?;
    let length = text(headers, CONTENT_LENGTH.as_str()).parse().ok();
    let body = receiver.inner.budget.read(request.into_body(), length).await?;
    let limit = receiver.inner.settings.limits.message;
    let message = decompress(&body.bytes, limit)?;
    receiver.received(Signal::Metrics, Protocol::RemoteWrite, message.len());
    let malformed = |error: DecodeError| Refusal::Malformed(format!("malformed remote-write request: {error}"));
    let converted = {
        let mut known = writer.known.lock().unwrap_or_else(PoisonError::into_inner);
        remember(&message, &mut known).map_err(malformed)?;
        convert(&message, &known).map_err(malformed)?
    };
    drop(message);
    let Some(converted) = converted else { return Ok((0, String::new())) };
    let appended = receiver.append(Signal::Metrics, Bytes::from(converted)).await?;
    Ok(rejected_message(&appended))
}

fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = text(headers, CONTENT_TYPE.as_str());
    let (kind, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    if kind.trim() != "application/x-protobuf" || parameters.contains("io.prometheus.write.v2") {
        let given = text(headers, CONTENT_TYPE.as_str()).to_owned();
        return Err(Refusal::MediaType { given, expected: "application/x-protobuf with remote write 1.0" });
    }
    match text(headers, CONTENT_ENCODING.as_str()) {
        "snappy" => Ok(()),
        other => Err(Refusal::Malformed(format!("expected content-encoding snappy, got `{other}`"))),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
    let damaged = |error: snap::Error| Refusal::Malformed(format!("cannot decompress snappy body: {error}"));
    if snap::raw::decompress_len(body).map_err(damaged)? > limit {
        return Err(Refusal::TooLarge { limit, when: " when decompressed" });
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(damaged)
}

/// Notes the types of metrics that the request tells (field 3: type 1, name 2, help 4, unit 5).
fn remember(request: &[u8], known: &mut HashMap<String, Description>) -> Result<(), DecodeError> {
    let mut reader = Reader::new(request);
    while let Some(message) = reader.next_bytes(3)? {
        let (mut name, mut description) = ("", Description::default());
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            match field {
                // 1 is a counter; buckets, counts and sums of histograms (3) and summaries (5) only grow as well,
                // but their names are not the one that is described.
                (1, Wire::Varint(kind)) => description.counter = kind == 1,
                (2, Wire::Bytes(bytes)) => name = utf8(bytes)?,
                (4, Wire::Bytes(bytes)) => utf8(bytes)?.clone_into(&mut description.help),
                (5, Wire::Bytes(bytes)) => utf8(bytes)?.clone_into(&mut description.unit),
                _ => {}
            }
        }
        if known.len() < MAX_KNOWN || known.contains_key(name) {
            known.insert(name.to_owned(), description);
        }
    }
    Ok(())
}

/// The samples as an `ExportMetricsServiceRequest`; `None` when there are none.
fn convert(request: &[u8], known: &HashMap<String, Description>) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut encoder = Encoder::new(Vec::with_capacity(request.len()));
    encoder.begin_resource(&ResourceAttributes::new());
    encoder.begin_scope("prometheus-remote-write", "", &ScopeAttributes::new());
    let mut attributes = PointAttributes::new();
    let mut any = false;
    let unknown = Description::default();
    let mut reader = Reader::new(request);
    while let Some(series) = reader.next_bytes(1)? {
        attributes.clear();
        let name = read_labels(series, &mut attributes)?;
        let described = known.get(name).unwrap_or(&unknown);
        let counter = MetricKind::Sum { temporality: Temporality::Cumulative, monotonic: true };
        let kind = if described.counter { counter } else { MetricKind::Gauge };
        encoder.begin_metric(name, &described.help, &described.unit, kind);
        let mut samples = Reader::new(series);
        while let Some(sample) = samples.next_bytes(2)? {
            let (time, value) = read_sample(sample)?;
            let value = if is_stale(value) { Number::None } else { Number::Double(value) };
            encoder.number(&NewNumber { attributes: &[&attributes], start: Nanos(0), time: time.to_nanos(), value });
            any = true;
        }
    }
    let encoded = encoder.finish();
    Ok(any.then_some(encoded))
}

/// Appends the labels of a series (field 1: name 1, value 2) and gives the metric's name.
fn read_labels<'a>(series: &'a [u8], attributes: &mut PointAttributes) -> Result<&'a str, DecodeError> {
    let mut metric = "";
    let mut reader = Reader::new(series);
    while let Some(label) = reader.next_bytes(1)? {
        let (mut name, mut value) = ("", "");
        let mut reader = Reader::new(label);
        while let Some(field) = reader.next_field()? {
            match field {
                (1, Wire::Bytes(bytes)) => name = utf8(bytes)?,
                (2, Wire::Bytes(bytes)) => value = utf8(bytes)?,
                _ => {}
            }
        }
        if name == labels::NAME {
            metric = value;
        } else {
            attributes.put_str(name, value);
        }
    }
    Ok(metric)
}

/// A sample: value 1 (double), time 2 (milliseconds).
fn read_sample(sample: &[u8]) -> Result<(Timestamp, f64), DecodeError> {
    let (mut time, mut value) = (Timestamp(0), 0.0);
    let mut reader = Reader::new(sample);
    while let Some(field) = reader.next_field()? {
        match field {
            (1, Wire::Fixed64(bits)) => value = f64::from_bits(bits),
            (2, Wire::Varint(millis)) => time = Timestamp(millis.cast_signed()),
            _ => {}
        }
    }
    Ok((time, value))
}

fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use yagura_codec::{metrics, pb};
    use yagura_model::metric::stale_nan;

    #[test]
    fn the_mark_of_an_end_becomes_a_point_without_a_value() {
        let mut series = Vec::new();
        for value in [f64::NAN, stale_nan()] {
            let mut sample = Vec::new();
            pb::put_fixed64(&mut sample, 1, value.to_bits());
            pb::put_uint(&mut sample, 2, 5);
            pb::put_message(&mut series, 2, &sample);
        }
        let mut request = Vec::new();
        pb::put_message(&mut request, 1, &series);
        let otlp = convert(&request, &HashMap::new()).unwrap().unwrap();
        let resource = metrics::Request::new(&otlp).resources().next().unwrap().unwrap();
        let metric = resource.scopes().next().unwrap().unwrap().metrics().next().unwrap().unwrap();
        let metrics::Data::Gauge(points) = metric.data else { panic!("{metric:?}") };
        let ended: Vec<bool> = points.iter().map(|point| point.unwrap().is_stale()).collect();
        assert_eq!(ended, [false, true]);
    }

    #[test]
    fn a_request_of_descriptions_alone_has_nothing_to_store() {
        let mut known = HashMap::new();
        let mut description = Vec::new();
        pb::put_uint(&mut description, 1, 1);
        pb::put_bytes(&mut description, 2, b"requests_total");
        let mut request = Vec::new();
        pb::put_message(&mut request, 3, &description);
        remember(&request, &mut known).unwrap();
        assert!(known["requests_total"].counter);
        assert_eq!(convert(&request, &known), Ok(None));
    }
}
