//! The only file that knows all stages: builds them, joins them, stops them in order.

use std::net::SocketAddr;

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// Why the collector could not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port is taken, or may not be used.
    #[error("cannot listen on {address} (key `{key}`): {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The key of the config that names it.
        key: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The server failed.
    #[error("the HTTP server failed: {0}")]
    Serve(std::io::Error),
}

/// The addresses that were bound, with port 0 resolved.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// UI, APIs, OTLP over HTTP.
    pub http: SocketAddr,
}

/// A collector that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Waits until the collector has stopped.
    pub async fn join(self) -> Result<(), Error> {
        self.task.await.unwrap_or_else(|error| Err(Error::Serve(std::io::Error::other(error))))
    }
}

/// Starts a collector. It listens when this returns, and stops when `shutdown` is cancelled.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<Running, Error> {
    let listen = |source| Error::Listen { address: config.listen, key: "listen", source };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let addresses = Addresses { http: listener.local_addr().map_err(listen)? };
    let router = router();
    let task = tokio::spawn(async move {
        axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await.map_err(Error::Serve)
    });
    Ok(Running { addresses, task })
}

fn router() -> Router {
    Router::new().route("/live", get(|| async { "ok\n" })).fallback(not_found)
}

async fn not_found() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, Json(serde_json::json!({ "error": "no such path" })))
}
