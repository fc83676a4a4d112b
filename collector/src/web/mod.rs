//! The web UI: files built into the binary, served compressed.
//!
//! In: a request for `/`, for a page below `/ui/`, or for a file below `/assets/<build>/`. Out: bytes that were
//! compressed once, when the router was made. There is no build step and no request to anywhere else: the browser is
//! told so by the content security policy.
//!
//! Files are served under a path that carries a hash of all of them, so that a browser keeps them for ever and still
//! sees a new version at once; only the small index page is asked for again, and answered by its `ETag`.
//!
//! To add a file: put it below `assets/` and name it in [`files::FILES`]; a test says which are missing.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

mod files;

/// What a page may do: nothing that this server did not serve.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// Stands for the hash of all files in the index page.
const BUILD_MARK: &str = "@BUILD@";

/// The pages and their files. Serves `/`, `/ui/…`, `/graph` (where Prometheus' own links to an expression point) and
/// `/assets/…`, and nothing else.
pub fn router() -> Router {
    let site = Arc::new(Site::build());
    Router::new()
        .route("/", get(index))
        .route("/ui/{*page}", get(index))
        .route("/graph", get(index))
        .route("/assets/{build}/{*path}", get(asset))
        .with_state(site)
}

/// Everything that is served, ready to be sent.
#[derive(Debug)]
struct Site {
    build: String,
    index: File,
    files: HashMap<&'static str, File>,
}

/// One file, as it is and compressed.
#[derive(Debug)]
struct File {
    content_type: &'static str,
    plain: Bytes,
    gzip: Option<Bytes>,
    etag: HeaderValue,
}

impl Site {
    fn build() -> Self {
        let build = build_hash(files::FILES);
        let index = String::from_utf8_lossy(files::INDEX).replace(BUILD_MARK, &build);
        let mut served = HashMap::new();
        for (path, content) in files::FILES {
            served.insert(*path, File::new(content_type(path), Bytes::from_static(content)));
        }
        Self { index: File::new("text/html; charset=utf-8", Bytes::from(index)), build, files: served }
    }
}

impl File {
    fn new(content_type: &'static str, plain: Bytes) -> Self {
        // Compressing into memory cannot fail; were it to, the file would be sent as it is.
        let gzip = gzip(&plain).ok().filter(|packed| packed.len() < plain.len()).map(Bytes::from);
        let etag = format!("\"{:016x}\"", xxhash_rust::xxh3::xxh3_64(&plain));
        let etag = HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\""));
        Self { content_type, plain, gzip, etag }
    }

    fn respond(&self, request: &HeaderMap, cache: &'static str) -> Response {
        let known = request.get(header::IF_NONE_MATCH).is_some_and(|held| mentions(held, self.etag.as_bytes()));
        let zipped = request.get(header::ACCEPT_ENCODING).is_some_and(|accepted| mentions(accepted, b"gzip"));
        let (encoding, body) = match (&self.gzip, zipped) {
            (Some(packed), true) => (Some("gzip"), packed.clone()),
            _ => (None, self.plain.clone()),
        };
        let mut response = Response::new(if known { Body::empty() } else { Body::from(body) });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(header::ETAG, self.etag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let (Some(encoding), false) = (encoding, known) {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        harden(headers);
        response
    }
}

async fn index(State(site): State<Arc<Site>>, request: HeaderMap) -> Response {
    site.index.respond(&request, "no-cache")
}

async fn asset(
    State(site): State<Arc<Site>>,
    Path((build, path)): Path<(String, String)>,
    request: HeaderMap,
) -> Response {
    let Some(file) = site.files.get(path.as_str()) else {
        let mut response = Response::new(Body::from("no such file\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        harden(response.headers_mut());
        return response;
    };
    // A tab opened before an upgrade asks under the old hash: it gets what there is, but must not keep it.
    let cache = if build == site.build { "public, max-age=31536000, immutable" } else { "no-store" };
    file.respond(&request, cache)
}

fn harden(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}

/// Whether a comma-separated header names `wanted`, parameters such as `;q=0.5` and a weak `W/` aside.
fn mentions(value: &HeaderValue, wanted: &[u8]) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|part| {
        let name = part.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let refused = part.windows(3).any(|window| window == b"q=0") && !part.windows(4).any(|w| w == b"q=0.");
        !refused && name.strip_prefix(b"W/").unwrap_or(name).eq_ignore_ascii_case(wanted)
    })
}

fn build_hash(files: &[(&str, &[u8])]) -> String {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for (path, content) in files {
        hasher.update(path.as_bytes());
        hasher.update(content);
    }
    format!("{:012x}", hasher.digest() >> 16)
}

fn gzip(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain)?;
    encoder.finish()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "webmanifest") => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}
