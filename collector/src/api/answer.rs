//! How the UI's own endpoints answer: JSON, compressed when it is worth it, errors in Prometheus' shape.

use std::io::Write;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

/// Below this size a compressed answer is not smaller on the wire by anything that matters.
const WORTH_COMPRESSING: usize = 1400;

/// An answer of JSON that is made already.
pub(crate) fn json_bytes(request: &HeaderMap, status: StatusCode, body: Bytes) -> Response {
    let accepts = request
        .get(header::ACCEPT_ENCODING)
        .and_then(|accepted| accepted.to_str().ok())
        .is_some_and(|accepted| accepted.contains("gzip"));
    let packed = if accepts && body.len() > WORTH_COMPRESSING { gzip(&body).ok() } else { None };
    let zipped = packed.is_some();
    let mut response = Response::new(Body::from(packed.map_or(body, Bytes::from)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if zipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// An answer of JSON.
pub(crate) fn json(request: &HeaderMap, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => json_bytes(request, StatusCode::OK, Bytes::from(body)),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string()),
    }
}

/// An error, in the shape that clients of Prometheus' API know.
pub(crate) fn failure(status: StatusCode, kind: &str, text: &str) -> Response {
    let body = serde_json::json!({"status": "error", "errorType": kind, "error": text}).to_string();
    json_bytes(&HeaderMap::new(), status, Bytes::from(body))
}

fn gzip(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    // Level 1: these answers are made anew every few seconds and mostly read on loopback.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain)?;
    encoder.finish()
}
