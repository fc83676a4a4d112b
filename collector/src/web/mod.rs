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

/// Stands for the list of modules that the first page needs: named at once, they are fetched side by side and not one
/// after the other as each names the next.
const PRELOAD_MARK: &str = "@PRELOAD@";

/// Modules below these paths are loaded when their page is opened, not before.
const LATER: &[&str] = &["js/pages/metrics", "js/pages/logs", "js/pages/alerts", "js/pages/checks", "js/pages/agents"];

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
        let index = String::from_utf8_lossy(files::INDEX).replace(PRELOAD_MARK, &preload()).replace(BUILD_MARK, &build);
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

/// A line of HTML for each module that the first page needs.
fn preload() -> String {
    let wanted = |path: &str| {
        path.starts_with("js/") && path != "js/theme.js" && !LATER.iter().any(|later| path.starts_with(later))
    };
    let line = |path: &str| format!("<link rel=\"modulepreload\" href=\"/assets/{BUILD_MARK}/{path}\">\n");
    files::FILES.iter().filter(|(path, _)| wanted(path)).map(|(path, _)| line(path)).collect()
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path as FilePath};

    use http::Request;
    use http_body_util::BodyExt;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    fn assets() -> std::path::PathBuf {
        FilePath::new(env!("CARGO_MANIFEST_DIR")).join("src/web/assets")
    }

    fn walk(folder: &FilePath, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.insert(path.strip_prefix(assets()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    async fn ask(path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let service = TowerToHyperService::new(router());
        let response = service.call(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
    }

    #[test]
    fn every_file_is_built_in_and_none_is_named_twice() {
        let mut on_disk = BTreeSet::new();
        walk(&assets(), &mut on_disk);
        on_disk.remove("index.html");
        on_disk.remove("vendor/README.md");
        let listed: Vec<String> = files::FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), on_disk);
        assert_eq!(listed.len(), on_disk.len());
    }

    #[test]
    fn every_import_names_a_file_that_is_there() {
        let import = regex::Regex::new(r#"(?:from|import\()\s*'(\.[^']+)'"#).unwrap();
        let known: BTreeSet<&str> = files::FILES.iter().map(|(path, _)| *path).collect();
        let mut imports = 0;
        for (path, content) in files::FILES.iter().filter(|(path, _)| path.starts_with("js/")) {
            for found in import.captures_iter(std::str::from_utf8(content).unwrap()) {
                let mut at: Vec<&str> = path.split('/').collect();
                at.pop();
                for part in found[1].split('/') {
                    match part {
                        "." => {}
                        ".." => drop(at.pop()),
                        name => at.push(name),
                    }
                }
                let wanted = at.join("/");
                assert!(known.contains(wanted.as_str()), "{path} imports {wanted}");
                imports += 1;
            }
        }
        assert!(imports > 100, "the expression that finds imports finds them");
    }

    #[test]
    fn nothing_is_asked_of_another_place() {
        for (path, content) in files::FILES.iter().filter(|(path, _)| !path.starts_with("vendor/")) {
            let text = std::str::from_utf8(content).unwrap();
            let outside = text.lines().find(|line| {
                (line.contains("https://") || line.contains("http://"))
                    && !["example.com", "://www.w3.org/2000/svg", "127.0.0.1", "//collector:", "https?:", "local/"]
                        .iter()
                        .any(|known| line.contains(known))
            });
            assert_eq!(outside, None, "{path}");
        }
    }

    #[test]
    fn the_whole_ui_weighs_less_than_it_may() {
        let weight: usize =
            Site::build().files.values().map(|file| file.gzip.as_ref().unwrap_or(&file.plain).len()).sum();
        assert!(weight < 300_000, "{weight} bytes compressed");
    }

    #[test]
    fn the_dark_colours_are_the_same_by_choice_and_by_system() {
        let text = fs::read_to_string(assets().join("css/tokens.css")).unwrap();
        let blocks: Vec<BTreeSet<&str>> = text
            .split('}')
            .filter_map(|block| block.rsplit_once('{').filter(|(selector, _)| selector.contains("[data-theme=")))
            .filter(|(_, body)| body.contains("--bg"))
            .map(|(_, body)| body.lines().map(str::trim).collect())
            .collect();
        let [by_system, by_choice] = &blocks[..] else { panic!("{} blocks of dark colours", blocks.len()) };
        assert_eq!(by_system, by_choice);
    }

    #[tokio::test]
    async fn pages_are_one_page_and_unknown_files_are_not_pages() {
        let (status, headers, home) = ask("/", &[]).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["content-security-policy"].to_str().unwrap(), CONTENT_SECURITY_POLICY);
        assert_eq!(ask("/ui/logs?q=a", &[]).await.2, home);
        let html = String::from_utf8(home.to_vec()).unwrap();
        assert!(!html.contains('@'), "all marks are replaced");
        assert!(html.contains("modulepreload"));
        assert_eq!(ask("/assets/x/js/nothing.js", &[]).await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_file_under_its_hash_is_kept_for_ever_and_under_another_not_at_all() {
        let build = Site::build().build;
        let (_, kept, _) = ask(&format!("/assets/{build}/js/app.js"), &[]).await;
        assert_eq!(kept["cache-control"], "public, max-age=31536000, immutable");
        let (status, old, _) = ask("/assets/0/js/app.js", &[]).await;
        assert_eq!((status, old["cache-control"].to_str().unwrap()), (StatusCode::OK, "no-store"));
    }

    #[tokio::test]
    async fn a_page_that_is_known_is_not_sent_again() {
        let (_, headers, plain) = ask("/", &[]).await;
        let etag = headers["etag"].to_str().unwrap();
        let (status, _, body) = ask("/", &[("if-none-match", etag)]).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
        let (_, headers, packed) = ask("/", &[("accept-encoding", "br, gzip")]).await;
        assert_eq!(headers["content-encoding"], "gzip");
        assert!(packed.len() < plain.len());
        let (_, headers, _) = ask("/", &[("accept-encoding", "gzip;q=0, br")]).await;
        assert!(!headers.contains_key("content-encoding"));
    }
}
