//! One HTTP client for small requests: notifiers, probes' webhooks, fallbacks. Every answer is bounded in time and size.
//!
//! There are no proxies and no redirects here: where a request goes is what the config says.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::tls;

/// How long a connection may take before the host counts as away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A client with its pool of connections; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// How much an answer may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first byte sent to the last byte received.
    pub timeout: Duration,
    /// Bytes of the answer's body; more is an error.
    pub max_body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), max_body: 1024 * 1024 }
    }
}

/// Why there is no answer. The texts name the host but never the path: webhooks carry their secret there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host was not reached, or hung up.
    #[error("cannot reach {host}: {reason}")]
    Connect {
        /// Where it should have gone.
        host: String,
        /// Why, with every cause.
        reason: String,
    },
    /// The answer took too long.
    #[error("{host} did not answer within {timeout:?}")]
    Timeout {
        /// Who should have answered.
        host: String,
        /// The limit.
        timeout: Duration,
    },
    /// The answer broke off or is larger than allowed.
    #[error("the answer of {host} cannot be read: {reason}")]
    Body {
        /// Who answered.
        host: String,
        /// Why, with every cause.
        reason: String,
    },
}

impl Client {
    /// A client that trusts and shows what `files` say.
    pub fn new(files: &tls::ClientFiles) -> Result<Self, tls::Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client(files, &[])?)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(tcp);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Ok(Self { pool })
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub async fn request(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, Error> {
        let host = request.uri().authority().map(|authority| authority.host().to_owned()).unwrap_or_default();
        let answer = async {
            let response = self.pool.request(request.map(Full::new)).await;
            let response = response.map_err(|error| Error::Connect { host: host.clone(), reason: causes(&error) })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, limits.max_body).collect().await;
            let body = body.map_err(|error| Error::Body { host: host.clone(), reason: causes(&*error) })?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        match tokio::time::timeout(limits.timeout, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Timeout { host, timeout: limits.timeout }),
        }
    }
}

/// An error with all its causes in one line, without saying the same thing twice.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

/// `bytes` as text for a message: at most `max` characters, without control characters.
#[must_use]
pub fn excerpt(bytes: &[u8], max: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect();
    if text.chars().nth(max).is_some() {
        shown.push('…');
    }
    shown
}
