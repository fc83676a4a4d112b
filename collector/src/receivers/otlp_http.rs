//! OTLP over HTTP: `POST /v1/metrics`, `/v1/logs` and `/v1/traces`, in protobuf or in JSON.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message;
use serde_json::json;
use yagura_codec::{compress::Encoding, grpc::Status, response::PartialSuccess};

use super::{Receiver, Refusal, Signal, counters::Protocol, rejected_message};

/// What a body is written in; the answer is written in the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Protobuf,
    Json,
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let given = text(headers.get(CONTENT_TYPE));
        match given.split_once(';').map_or(given, |(kind, _)| kind).trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Refusal::MediaType {
                given: given.to_owned(),
                expected: "application/x-protobuf or application/json",
            }),
        }
    }

    fn name(self) -> HeaderValue {
        match self {
            Self::Protobuf => HeaderValue::from_static("application/x-protobuf"),
            Self::Json => HeaderValue::from_static("application/json"),
        }
    }
}

/// The three paths.
pub fn router(receiver: Receiver) -> Router {
    let export = |signal| post(move |state, request| export(signal, state, request));
    Router::new()
        .route("/v1/metrics", export(Signal::Metrics))
        .route("/v1/logs", export(Signal::Logs))
        .route("/v1/traces", export(Signal::Traces))
        .with_state(receiver)
}

async fn export(signal: Signal, State(receiver): State<Receiver>, request: Request) -> Response {
    let format = Format::of(request.headers());
    // Whoever sends something unknown can at least read this one.
    let answer = *format.as_ref().unwrap_or(&Format::Json);
    let taken = match format {
        Ok(format) => take(signal, format, &receiver, request).await,
        Err(refusal) => Err(refusal),
    };
    match taken {
        Ok((rejected, message)) => taken_response(answer, signal, rejected, &message),
        Err(refusal) => {
            receiver.refused(signal, Protocol::Http, &refusal);
            refused_response(answer, &refusal)
        }
    }
}

/// The whole of a request but for its answer; gives how many items were refused, and why.
async fn take(signal: Signal, format: Format, receiver: &Receiver, request: Request) -> Result<(i64, String), Refusal> {
    let headers = request.headers();
    receiver.authenticate(headers)?;
    let encoding = text(headers.get(CONTENT_ENCODING));
    let encoding = Encoding::from_name(encoding).ok_or_else(|| Refusal::Encoding(encoding.to_owned()))?;
    let length = text(headers.get(CONTENT_LENGTH)).parse().ok();
    let budget = &receiver.inner.budget;
    let body = budget.read(request.into_body(), length).await?;
    let message = budget.decompress(body, encoding).await?;
    receiver.received(signal, Protocol::Http, message.bytes.len());
    let request = match format {
        Format::Protobuf => message.bytes.clone(),
        Format::Json => from_json(signal, &message.bytes)?,
    };
    let appended = receiver.append(signal, request).await?;
    Ok(rejected_message(&appended))
}

/// JSON is for small senders and for people; it takes the long way round.
fn from_json(signal: Signal, json: &[u8]) -> Result<Bytes, Refusal> {
    fn encode<M: Message + serde::de::DeserializeOwned>(json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::from_slice::<M>(json).map(|message| message.encode_to_vec())
    }
    let encoded = match signal {
        Signal::Metrics => encode::<ExportMetricsServiceRequest>(json),
        Signal::Logs => encode::<ExportLogsServiceRequest>(json),
        Signal::Traces => encode::<ExportTraceServiceRequest>(json),
    };
    encoded.map(Bytes::from).map_err(|error| Refusal::Malformed(format!("malformed OTLP request: {error}")))
}

fn text(value: Option<&HeaderValue>) -> &str {
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn taken_response(format: Format, signal: Signal, rejected: i64, message: &str) -> Response {
    let body = match (format, rejected) {
        (Format::Protobuf, 0) => Vec::new(),
        (Format::Protobuf, _) => PartialSuccess { rejected, message }.encode(),
        (Format::Json, 0) => b"{}".to_vec(),
        (Format::Json, _) => {
            let name = match signal {
                Signal::Metrics => "rejectedDataPoints",
                Signal::Logs => "rejectedLogRecords",
                Signal::Traces => "rejectedSpans",
            };
            // Protobuf's JSON writes 64-bit numbers as strings.
            let partial = json!({ "partialSuccess": { name: rejected.to_string(), "errorMessage": message } });
            partial.to_string().into_bytes()
        }
    };
    ([(CONTENT_TYPE, format.name())], Body::from(body)).into_response()
}

fn refused_response(format: Format, refusal: &Refusal) -> Response {
    let status = refusal.status();
    let body = match format {
        Format::Protobuf => status.encode(),
        Format::Json => json_status(&status).to_string().into_bytes(),
    };
    let mut response = (http_status(refusal), [(CONTENT_TYPE, format.name())], Body::from(body)).into_response();
    if let Some(after) = refusal.retry_after() {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn json_status(status: &Status) -> serde_json::Value {
    let details: Vec<_> = status
        .retry_after
        .iter()
        .map(|after| {
            let delay = format!("{}s", after.as_secs_f64());
            json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay })
        })
        .collect();
    json!({ "code": status.code.number(), "message": status.message, "details": details })
}

/// The status of an answer over plain HTTP; OTLP retries 429 and 503 only, of these.
pub(super) fn http_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Unauthenticated => StatusCode::UNAUTHORIZED,
        Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Encoding(_) | Refusal::MediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        Refusal::Slow(_) => StatusCode::REQUEST_TIMEOUT,
        Refusal::Busy => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
    }
}
