//! One HTTP/2 connection to a collector.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use yagura_daemon::{http_client::causes, tls};

/// Bounds name, TCP, TLS and HTTP/2 together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A collector that went away without a word is noticed after this and the next.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// What may wait in one stream to be written; more only costs memory.
const SEND_BUFFER: usize = 256 * 1024;

/// A connection that is up, as far as is known.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) requests: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

/// Why a collector cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot find {host}: {source}")]
    Name { host: String, source: io::Error },
    #[error("cannot connect to {host}: {source}")]
    Tcp { host: String, source: io::Error },
    #[error(transparent)]
    TlsFiles(#[from] tls::Error),
    #[error("no TLS with {host}: {source}")]
    Tls { host: String, source: io::Error },
    #[error("no HTTP/2 with {host}: {reason}")]
    Http { host: String, reason: String },
    #[error("{host} did not answer within {}s", CONNECT_TIMEOUT.as_secs())]
    Timeout { host: String },
}

impl Connection {
    /// Connects to `endpoint`.
    pub(super) async fn open(endpoint: &Uri, files: &tls::ClientFiles) -> Result<Self, Error> {
        let host = endpoint.host().unwrap_or_default().to_owned();
        match timeout(CONNECT_TIMEOUT, Self::open_in_time(endpoint, &host, files)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { host }),
        }
    }

    async fn open_in_time(endpoint: &Uri, host: &str, files: &tls::ClientFiles) -> Result<Self, Error> {
        let encrypted = endpoint.scheme_str() == Some("https");
        let port = endpoint.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = tcp(bare, port).await?;
        if !encrypted {
            return Self::handshake(stream, host).await;
        }
        // Read each time, for certificates are replaced under a running process; the system's are many.
        let files = files.clone();
        let config = tokio::task::spawn_blocking(move || tls::client(&files, &[b"h2"]));
        let config = config.await.map_err(|error| Error::Http { host: host.into(), reason: error.to_string() })??;
        let stream = tls::connect(Arc::new(config), bare, stream).await;
        Self::handshake(stream.map_err(|source| Error::Tls { host: host.into(), source })?, host).await
    }

    async fn handshake(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        host: &str,
    ) -> Result<Self, Error> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .max_send_buf_size(SEND_BUFFER);
        let (requests, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Error::Http { host: host.into(), reason: causes(&error) })?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = causes(&error), "connection to the collector ended");
            }
        });
        Ok(Self { requests, driver })
    }

    /// Resolves when the connection has ended.
    pub(super) async fn ended(&mut self) {
        if !self.driver.is_finished()
            && let Err(error) = (&mut self.driver).await
        {
            tracing::debug!(%error, "connection task ended");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The first address of a name that takes the connection.
async fn tcp(host: &str, port: u16) -> Result<TcpStream, Error> {
    let addresses = tokio::net::lookup_host((host, port)).await;
    let addresses = addresses.map_err(|source| Error::Name { host: host.into(), source })?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let nodelay = stream.set_nodelay(true);
                return nodelay.map(|()| stream).map_err(|source| Error::Tcp { host: host.into(), source });
            }
            Err(error) => last = error,
        }
    }
    Err(Error::Tcp { host: host.into(), source: last })
}
