//! One attempt of an HTTP check: request, redirects, answer, judgement.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use yagura_daemon::http_client::causes;
use yagura_model::Timestamp;

use super::{
    connect,
    file::Check,
    run::{Failure, FailureClass, Run},
    trace::Trace,
};

const USER_AGENT: &str = concat!("Yagura/", env!("CARGO_PKG_VERSION"), " (synthetic check)");
/// Larger heads of an answer are refused.
const MAX_HEAD: usize = 64 * 1024;

/// How far an attempt got, for the text of a timeout.
#[derive(Debug, Default)]
struct Phase(Mutex<&'static str>);

impl Phase {
    fn enter(&self, phase: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
    fn reached(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes one attempt. The run says what was found, whatever became of it.
pub(super) async fn attempt(check: &Check, now: Timestamp) -> Run {
    let trace = Trace::begin();
    let mut run = Run { started: now, attempts: 1, trace_id: trace.trace.to_string(), ..Run::default() };
    let phase = Phase::default();
    let began = Instant::now();
    let timeout = check.timeout();
    let result = tokio::time::timeout(timeout, follow(check, trace, &mut run, &phase)).await;
    run.duration_seconds = began.elapsed().as_secs_f64();
    let judged = match result {
        Err(_) => Err(Failure::timeout(timeout, phase.reached())),
        Ok(Err(failure)) => Err(failure),
        Ok(Ok((headers, body))) => check.expect.judge(&run, &headers, &body, now),
    };
    run.success = match &judged {
        Err(failure) if failure.class == FailureClass::Checker => None,
        judged => Some(judged.is_ok()),
    };
    run.failure = judged.err();
    run
}

/// What is asked, hop by hop.
struct Hop {
    uri: Uri,
    method: Method,
    body: Bytes,
    /// The check's own headers and its secrets go only to the host that the check names.
    own_headers: bool,
}

async fn follow(check: &Check, trace: Trace, run: &mut Run, phase: &Phase) -> Result<(HeaderMap, Bytes), Failure> {
    let own = |text: String| Failure::new(FailureClass::Checker, text);
    let uri: Uri = check.url.parse().map_err(|error| own(format!("the url cannot be read: {error}")))?;
    let method = Method::from_bytes(check.method.as_bytes()).map_err(|error| own(error.to_string()))?;
    let body = Bytes::from(check.body.clone().unwrap_or_default());
    let mut hop = Hop { uri, method, body, own_headers: true };
    loop {
        let answer = ask(check, &hop, trace, run, phase).await?;
        let target = redirect(&answer);
        let Some(target) = target.filter(|_| check.max_redirects > 0) else {
            return read(check, answer, run, phase).await;
        };
        if run.redirects >= check.max_redirects {
            let reason = format!("more than {} redirects; the last one to {target}", check.max_redirects);
            return Err(Failure::new(FailureClass::TooManyRedirects, reason));
        }
        run.redirects += 1;
        hop = next_hop(hop, answer.status(), &target)?;
    }
}

/// Where an answer sends us.
fn redirect(answer: &Response<Incoming>) -> Option<String> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let location = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    redirects.contains(&answer.status()).then(|| location.to_owned())
}

fn next_hop(hop: Hop, status: StatusCode, target: &str) -> Result<Hop, Failure> {
    let bad = || Failure::new(FailureClass::MalformedResponse, format!("redirect to `{target}`, which is not a URL"));
    let uri = join(&hop.uri, target).ok_or_else(bad)?;
    let same_host = uri.authority() == hop.uri.authority() && uri.scheme() == hop.uri.scheme();
    // As browsers do: 303 always becomes GET, 301 and 302 unless it was HEAD; 307 and 308 keep the method.
    let keeps =
        matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) || hop.method == Method::HEAD;
    let (method, body) = if keeps { (hop.method, hop.body) } else { (Method::GET, Bytes::new()) };
    Ok(Hop { uri, method, body, own_headers: hop.own_headers && same_host })
}

/// The target of a redirect, which may be relative to the page.
fn join(base: &Uri, target: &str) -> Option<Uri> {
    let target = target.split('#').next().unwrap_or(target);
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let absolute = if target.contains("://") {
        target.to_owned()
    } else if let Some(rest) = target.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if target.starts_with('/') {
        format!("{scheme}://{authority}{target}")
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{target}")
    };
    let uri: Uri = absolute.parse().ok()?;
    (uri.authority().is_some() && matches!(uri.scheme_str(), Some("http" | "https"))).then_some(uri)
}

/// Sends one request over a fresh connection: a reused one would hide a rotated certificate.
async fn ask(
    check: &Check,
    hop: &Hop,
    trace: Trace,
    run: &mut Run,
    phase: &Phase,
) -> Result<Response<Incoming>, Failure> {
    let https = hop.uri.scheme_str() == Some("https");
    let host = hop.uri.host().unwrap_or_default();
    let port = hop.uri.port_u16().unwrap_or(if https { 443 } else { 80 });
    phase.enter("resolve");
    let address = connect::resolve(host, port, check, run).await?;
    phase.enter("connect");
    let stream = connect::connect(address, run).await?;
    if !https {
        phase.enter("processing");
        return send(check, hop, trace, stream, false, run).await;
    }
    phase.enter("tls");
    let stream = connect::handshake(host, stream, check, run).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    phase.enter("processing");
    send(check, hop, trace, stream, http2, run).await
}

async fn send<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    check: &Check,
    hop: &Hop,
    trace: Trace,
    stream: S,
    http2: bool,
    run: &mut Run,
) -> Result<Response<Incoming>, Failure> {
    let request = request(check, hop, trace, http2)?;
    let began = Instant::now();
    let stream = TokioIo::new(stream);
    let answer = if http2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .map_err(|error| broken(&error))?;
        drop(tokio::spawn(connection));
        sender.send_request(request).await
    } else {
        let mut builder = hyper::client::conn::http1::Builder::new();
        let (mut sender, connection) =
            builder.max_buf_size(MAX_HEAD).handshake(stream).await.map_err(|error| broken(&error))?;
        drop(tokio::spawn(connection));
        sender.send_request(request).await
    };
    run.phases.processing += began.elapsed().as_secs_f64();
    let answer = answer.map_err(|error| broken(&error))?;
    run.status = Some(answer.status().as_u16());
    run.http_version = Some(if http2 { 2.0 } else { 1.1 });
    Ok(answer)
}

fn request(check: &Check, hop: &Hop, trace: Trace, http2: bool) -> Result<Request<Full<Bytes>>, Failure> {
    let own = |text: String| Failure::new(FailureClass::Checker, text);
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.extend(trace.headers());
    if hop.own_headers {
        for (name, value) in &check.headers {
            let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) else {
                continue;
            };
            headers.insert(name, value);
        }
        if let Some(secret) = check.authorization().map_err(|error| own(error.to_string()))? {
            let mut value =
                HeaderValue::from_str(secret.expose()).map_err(|_| own("the secret is no header".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
    }
    let mut uri = hop.uri.clone();
    if !http2 {
        let authority = hop.uri.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = HeaderValue::from_str(host).map_err(|error| own(error.to_string()))?;
        headers.entry(header::HOST).or_insert(host);
        let path = hop.uri.path_and_query().map_or("/", |path| path.as_str());
        uri = path.parse().map_err(|_| own(format!("`{path}` is not a path")))?;
    }
    let mut request = Request::new(Full::new(hop.body.clone()));
    *request.method_mut() = hop.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

fn broken(error: &hyper::Error) -> Failure {
    let class = if error.is_parse() || error.is_parse_too_large() {
        FailureClass::MalformedResponse
    } else {
        FailureClass::ConnectionReset
    };
    Failure::new(class, format!("no whole answer: {}", causes(error)))
}

/// Reads the body up to the cap. A body beyond it is a failure only when the body is to be judged.
async fn read(
    check: &Check,
    answer: Response<Incoming>,
    run: &mut Run,
    phase: &Phase,
) -> Result<(HeaderMap, Bytes), Failure> {
    phase.enter("transfer");
    let began = Instant::now();
    let (parts, mut incoming) = answer.into_parts();
    let header = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    run.content_length = header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    run.last_modified = header(header::LAST_MODIFIED).and_then(http_date);
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        if body.len() + data.len() > check.max_body.bytes() {
            if check.expect.looks_at_body() {
                let reason = format!("the body is larger than max_body, {} bytes", check.max_body.0);
                return Err(Failure::new(FailureClass::BodyTooLarge, reason));
            }
            break;
        }
        body.extend_from_slice(data);
    }
    run.body_bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
    run.phases.transfer += began.elapsed().as_secs_f64();
    Ok((parts.headers, body.freeze()))
}

/// The time of an HTTP date (RFC 9110 section 5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    let parsed = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp(parsed.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: &str, target: &str, expected: Option<&str>) {
        let joined = join(&base.parse().unwrap(), target).map(|uri| uri.to_string());
        assert_eq!(joined.as_deref(), expected, "{base} → {target}");
    }

    #[test]
    fn redirects_may_be_relative() {
        check("http://a/x/y?z", "/b", Some("http://a/b"));
        check("http://a/x/y", "z?q", Some("http://a/x/z?q"));
        check("https://a/x", "//c/d#e", Some("https://c/d"));
        check("http://a/x", "https://b:8443/y", Some("https://b:8443/y"));
        check("http://a/x", "file:///etc/passwd", None);
        check("http://a/x", "gopher://b/", None);
    }

    #[test]
    fn secrets_do_not_follow_to_another_host() {
        let hop =
            |uri: &str| Hop { uri: uri.parse().unwrap(), method: Method::POST, body: "b".into(), own_headers: true };
        let next = next_hop(hop("http://a/"), StatusCode::FOUND, "http://b/").unwrap();
        assert!(!next.own_headers);
        assert_eq!((next.method, next.body), (Method::GET, Bytes::new()));
        let next = next_hop(hop("http://a/"), StatusCode::PERMANENT_REDIRECT, "/c").unwrap();
        assert!(next.own_headers);
        assert_eq!((next.method, next.body), (Method::POST, Bytes::from("b")));
    }

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Timestamp(784_111_777_000)));
        assert_eq!(http_date("yesterday"), None);
    }
}
