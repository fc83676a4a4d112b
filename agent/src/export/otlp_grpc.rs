//! A batch as a gRPC request, and an answer as what to do next.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use yagura_codec::{
    compress,
    grpc::{self, Code, Frame, Status},
    response::PartialSuccess,
};
use yagura_daemon::{http_client::causes, secret::Secret};

use crate::buffer::{Batch, Signal};

/// zstd's fastest level: it is three times quicker than the next and a little larger.
const LEVEL: i32 = 1;
/// An answer is a few bytes; a proxy's error page is not wanted whole.
const MAX_ANSWER: usize = 64 * 1024;

/// What an answer means for its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The collector has it, all but `rejected` items.
    Delivered { rejected: u64, message: String },
    /// Not now: send it again.
    Retry { kind: Failure, after: Option<Duration>, reason: String },
    /// The collector will never take it.
    Refused { code: Code, reason: String },
}

/// Why a request failed; also the value of the label `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Failure {
    /// The connection broke, or the request took too long: nobody knows whether the batch was stored.
    Connection,
    /// The collector asked to be left alone for a while.
    Throttled,
    /// The agent is not let in, or knocks at the wrong door.
    NotAllowed,
}

fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    }
}

/// The framed, compressed body of a batch's request.
pub(super) fn frame(batch: &Batch) -> Result<Bytes, compress::Error> {
    let mut out = vec![0; grpc::HEADER];
    compress::zstd_compress(LEVEL, &batch.body, &mut out)?;
    let header = grpc::header(true, out.len() - grpc::HEADER);
    if let Some((place, _)) = out.split_first_chunk_mut() {
        *place = header;
    }
    // The buffer was made for the worst case; what waits for an answer should cost what it is.
    out.shrink_to_fit();
    Ok(out.into())
}

/// A request that carries `frame`.
pub(super) fn request(
    endpoint: &Uri,
    signal: Signal,
    frame: Bytes,
    token: Option<&Secret>,
) -> Option<Request<Full<Bytes>>> {
    let mut parts = endpoint.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static(path(signal)));
    let mut request = Request::new(Full::new(frame));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert("grpc-encoding", HeaderValue::from_static("zstd"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("yagura-agent/", env!("CARGO_PKG_VERSION"))));
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Some(request)
}

/// Reads an answer to its end.
pub(super) async fn answer(response: Result<Response<Incoming>, hyper::Error>) -> Answer {
    let broken = |reason| Answer::Retry { kind: Failure::Connection, after: None, reason };
    let response = match response {
        Ok(response) => response,
        Err(error) => return broken(causes(&error)),
    };
    let (parts, body) = response.into_parts();
    let body = match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(body) => body,
        Err(error) => return broken(causes(&*error)),
    };
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = status_of(&trailers).or_else(|| status_of(&parts.headers));
    judge(parts.status, &parts.headers, status, &body.to_bytes())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn status_of(headers: &HeaderMap) -> Option<Status> {
    let code = text(headers, "grpc-status")?.parse().unwrap_or(2);
    Some(Status::from_headers(code, text(headers, "grpc-message"), text(headers, "grpc-status-details-bin")))
}

/// What to do with the batch, by OTLP's rules.
fn judge(http: StatusCode, headers: &HeaderMap, status: Option<Status>, body: &[u8]) -> Answer {
    // Without a gRPC status it was something on the way that answered.
    let status = status.unwrap_or_else(|| Status {
        retry_after: text(headers, "retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs),
        ..Status::new(code_of(http), format!("HTTP status {}", http.as_u16()))
    });
    let reason = if status.message.is_empty() { format!("{:?}", status.code) } else { status.message.clone() };
    match status.code {
        Code::Ok => delivered(body),
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => {
            Answer::Retry { kind: Failure::NotAllowed, after: status.retry_after, reason }
        }
        _ if status.is_retryable() => Answer::Retry { kind: Failure::Throttled, after: status.retry_after, reason },
        code => Answer::Refused { code, reason },
    }
}

/// How gRPC reads an HTTP status that comes without its own.
fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

fn delivered(body: &[u8]) -> Answer {
    // An answer that cannot be read is no reason to send the batch again: its status was good.
    let message = Frame::unary(body, MAX_ANSWER).ok().filter(|frame| !frame.compressed).map(|frame| frame.payload);
    let partial = message.and_then(|message| PartialSuccess::parse(message).ok().flatten());
    partial.map_or_else(
        || Answer::Delivered { rejected: 0, message: String::new() },
        |partial| Answer::Delivered {
            rejected: u64::try_from(partial.rejected).unwrap_or(0),
            message: partial.message.to_owned(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(http: u16, headers: &[(&'static str, &str)], expected: &Answer) {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect();
        let found = judge(StatusCode::from_u16(http).unwrap(), &headers, status_of(&headers), &[]);
        assert_eq!(found, *expected, "{http} {headers:?}");
    }

    fn retry(kind: Failure, after: Option<u64>, reason: &str) -> Answer {
        Answer::Retry { kind, after: after.map(Duration::from_secs), reason: reason.into() }
    }

    #[test]
    fn answers_are_judged_as_otlp_says() {
        let delivered = Answer::Delivered { rejected: 0, message: String::new() };
        check(200, &[("grpc-status", "0")], &delivered);
        check(200, &[("grpc-status", "14")], &retry(Failure::Throttled, None, "Unavailable"));
        let unavailable = Status { retry_after: Some(Duration::from_secs(7)), ..Status::new(Code::Unavailable, "") };
        let details = unavailable.details_header();
        check(
            200,
            &[("grpc-status", "14"), ("grpc-message", "full"), ("grpc-status-details-bin", &details)],
            &retry(Failure::Throttled, Some(7), "full"),
        );
        let refused = |code, reason: &str| Answer::Refused { code, reason: reason.into() };
        check(200, &[("grpc-status", "8")], &refused(Code::ResourceExhausted, "ResourceExhausted"));
        check(
            200,
            &[("grpc-status", "3"), ("grpc-message", "bad%20bytes")],
            &refused(Code::InvalidArgument, "bad bytes"),
        );
        check(200, &[("grpc-status", "16")], &retry(Failure::NotAllowed, None, "Unauthenticated"));
    }

    #[test]
    fn what_stands_between_may_answer_without_a_grpc_status() {
        check(503, &[("retry-after", "5")], &retry(Failure::Throttled, Some(5), "HTTP status 503"));
        check(404, &[], &retry(Failure::NotAllowed, None, "HTTP status 404"));
        check(500, &[], &Answer::Refused { code: Code::Unknown, reason: "HTTP status 500".into() });
    }

    #[test]
    fn a_partial_success_is_delivered_with_its_count() {
        let mut body = Vec::new();
        grpc::put_frame(&mut body, false, &PartialSuccess { rejected: 3, message: "too_old" }.encode());
        assert_eq!(delivered(&body), Answer::Delivered { rejected: 3, message: "too_old".into() });
        assert_eq!(delivered(b"rubbish"), Answer::Delivered { rejected: 0, message: String::new() });
    }

    #[test]
    fn a_frame_is_what_it_says() {
        let batch = Batch { signal: Signal::Logs, body: vec![7; 10_000].into(), items: 1 };
        let framed = frame(&batch).unwrap();
        let read = Frame::unary(&framed, 10_000).unwrap();
        assert!(read.compressed);
        let body = compress::decompress(compress::Encoding::Zstd, read.payload, 10_000).unwrap();
        assert_eq!(body, batch.body);
    }
}
