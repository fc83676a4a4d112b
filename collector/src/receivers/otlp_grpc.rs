//! OTLP over gRPC: the three `Export` methods, by hand over HTTP/2.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use yagura_codec::{
    compress::Encoding,
    grpc::{self, Code, Frame, FrameError, Status},
    response::PartialSuccess,
};

use super::{Receiver, Refusal, Signal, counters::Protocol, rejected_message};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The services; everything else answers that it is not implemented, as gRPC wants it.
pub fn router(receiver: Receiver) -> Router {
    let export = |signal| post(move |state, request| export(signal, state, request));
    Router::new()
        .route("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", export(Signal::Metrics))
        .route("/opentelemetry.proto.collector.logs.v1.LogsService/Export", export(Signal::Logs))
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", export(Signal::Traces))
        .fallback(|request: Request| async move {
            if !is_grpc(request.headers()) {
                return (StatusCode::NOT_FOUND, "OTLP over gRPC only; OTLP over HTTP has a port of its own\n")
                    .into_response();
            }
            failed(&Status::new(Code::Unimplemented, format!("no such method: {}", request.uri().path())))
        })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")]) })
        .with_state(receiver)
}

async fn export(signal: Signal, State(receiver): State<Receiver>, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected content-type application/grpc\n").into_response();
    }
    match take(signal, &receiver, request).await {
        Ok(response) => answered(response),
        Err(refusal) => {
            receiver.refused(signal, Protocol::Grpc, &refusal);
            failed(&refusal.status())
        }
    }
}

/// The whole of a call but for its headers and trailers; gives the encoded response.
async fn take(signal: Signal, receiver: &Receiver, request: Request) -> Result<Vec<u8>, Refusal> {
    let headers = request.headers();
    receiver.authenticate(headers)?;
    let encoding = header(headers, &ENCODING);
    let encoding = Encoding::from_name(encoding).ok_or_else(|| Refusal::Encoding(encoding.to_owned()))?;
    let length = header(headers, &CONTENT_LENGTH).parse().ok();
    let budget = &receiver.inner.budget;
    let body = budget.read(request.into_body(), length).await?;
    let frame = Frame::unary(&body.bytes, receiver.inner.settings.limits.body).map_err(refused_frame)?;
    let encoding = if frame.compressed { encoding } else { Encoding::Identity };
    let message = budget.decompress(body.map(|bytes| bytes.slice(grpc::HEADER..)), encoding).await?;
    receiver.received(signal, Protocol::Grpc, message.bytes.len());
    let appended = receiver.append(signal, message.bytes.clone()).await?;
    let (rejected, message) = rejected_message(&appended);
    Ok(if rejected == 0 { Vec::new() } else { PartialSuccess { rejected, message: &message }.encode() })
}

fn refused_frame(error: FrameError) -> Refusal {
    match error {
        FrameError::TooLong { limit, .. } => Refusal::TooLarge { limit, when: "" },
        FrameError::Truncated | FrameError::BadFlag(_) | FrameError::Trailing => Refusal::Malformed(error.to_string()),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = header(headers, &CONTENT_TYPE);
    let kind = kind.split_once(';').map_or(kind, |(kind, _)| kind).trim();
    kind == "application/grpc" || kind == "application/grpc+proto"
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn answered(response: Vec<u8>) -> Response {
    let mut frame = Vec::new();
    grpc::put_frame(&mut frame, false, &response);
    let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers))));
    ([(CONTENT_TYPE, GRPC)], Body::new(body)).into_response()
}

/// An answer without a message has its trailers among its headers.
fn failed(status: &Status) -> Response {
    let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, GRPC),
        (STATUS, HeaderValue::from(status.code.number())),
        (MESSAGE, value(status.message_header())),
    ]);
    if status.retry_after.is_some() {
        headers.insert(DETAILS, value(status.details_header()));
    }
    if status.code == Code::Unimplemented {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity,gzip,zstd"));
    }
    (headers, Body::empty()).into_response()
}
