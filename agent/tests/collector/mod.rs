//! A small OTLP/gRPC collector on loopback that does what a test tells it, and remembers what it got.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinHandle};
use yagura_codec::{
    compress::{Encoding, decompress},
    grpc::{self, Frame, Status},
    response::PartialSuccess,
};
use yagura_daemon::tls;

const LIMIT: usize = 16 * 1024 * 1024;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The method's path.
    pub(crate) path: String,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// The decompressed message.
    pub(crate) message: Bytes,
}

/// What the collector does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Takes it.
    Ok,
    /// Takes all but some items.
    Partial(i64, &'static str),
    /// Refuses it.
    Status(Status),
    /// Never answers.
    Silence,
}

type Script = Arc<dyn Fn(usize, &Received) -> Reply + Send + Sync>;

/// The collector; dropping it ends it and cuts its connections.
pub(crate) struct Fake {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    taken: Arc<Mutex<Vec<Received>>>,
    asked: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Fake {
    /// A collector that takes everything.
    pub(crate) async fn start() -> Self {
        Self::scripted("127.0.0.1:0".parse().unwrap(), |_, _| Reply::Ok).await
    }

    /// A collector at `address`; `script` gets the number of the request, from 0, and the request.
    pub(crate) async fn scripted(
        address: SocketAddr,
        script: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::serve(address, None, script).await
    }

    /// A collector that shows a certificate.
    pub(crate) async fn with_tls(files: &tls::ServerFiles) -> Self {
        Self::serve("127.0.0.1:0".parse().unwrap(), Some(files), |_, _| Reply::Ok).await
    }

    async fn serve(
        address: SocketAddr,
        files: Option<&tls::ServerFiles>,
        script: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let acceptor = files.map(|files| tls::server(files).unwrap());
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::new(Mutex::new(0));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(script);
        let state = (Arc::clone(&taken), Arc::clone(&asked), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            let (taken, asked, connections) = state;
            while let Ok((stream, _)) = listener.accept().await {
                let (taken, asked, script) = (Arc::clone(&taken), Arc::clone(&asked), Arc::clone(&script));
                let service = service_fn(move |request| {
                    let (taken, asked, script) = (Arc::clone(&taken), Arc::clone(&asked), Arc::clone(&script));
                    async move { Ok::<_, Infallible>(answer(request, &taken, &asked, &script).await) }
                });
                let (builder, acceptor) = (http2::Builder::new(TokioExecutor::new()), acceptor.clone());
                connections.lock().unwrap().push(tokio::spawn(async move {
                    match acceptor {
                        None => drop(builder.serve_connection(TokioIo::new(stream), service).await),
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            drop(builder.serve_connection(TokioIo::new(stream), service).await);
                        }
                    }
                }));
            }
        });
        Self { address, taken, asked, task, connections }
    }

    /// `http://address`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request that was taken, in the order of arrival.
    pub(crate) fn taken(&self) -> Vec<Received> {
        self.taken.lock().unwrap().clone()
    }

    /// How many requests came, refused ones included.
    pub(crate) fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    taken: &Mutex<Vec<Received>>,
    asked: &Mutex<usize>,
    script: &Script,
) -> Response<BoxBody<Bytes, Infallible>> {
    let (parts, body) = request.into_parts();
    // The sender may go away in the middle; then nobody waits for this.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let Ok(frame) = Frame::unary(&body, LIMIT) else { return status(&Status::new(grpc::Code::Internal, "cut")) };
    assert!(frame.compressed, "requests are compressed");
    assert_eq!(parts.headers["grpc-encoding"], "zstd");
    assert_eq!(parts.headers["content-type"], "application/grpc");
    let message = decompress(Encoding::Zstd, frame.payload, LIMIT).unwrap();
    let received = Received { path: parts.uri.path().into(), headers: parts.headers, message: message.into() };
    let number = {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        *asked - 1
    };
    let reply = script(number, &received);
    match reply {
        Reply::Ok | Reply::Partial(..) => {
            taken.lock().unwrap().push(received);
            let message = match reply {
                Reply::Partial(rejected, message) => PartialSuccess { rejected, message }.encode(),
                _ => Vec::new(),
            };
            let mut body = Vec::new();
            grpc::put_frame(&mut body, false, &message);
            with_trailers(body, &Status::new(grpc::Code::Ok, ""))
        }
        Reply::Status(refusal) => status(&refusal),
        Reply::Silence => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            status(&Status::new(grpc::Code::Cancelled, ""))
        }
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-status", status.code.number().into());
    headers.insert("grpc-message", status.message_header().parse().unwrap());
    headers.insert("grpc-status-details-bin", status.details_header().parse().unwrap());
    headers
}

fn with_trailers(body: Vec<u8>, status: &Status) -> Response<BoxBody<Bytes, Infallible>> {
    let trailers = trailers(status);
    let body = Full::new(Bytes::from(body)).with_trailers(async move { Some(Ok(trailers)) });
    Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap()
}

/// An answer without a body: the status is in the headers.
fn status(status: &Status) -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Full::default().boxed());
    *response.headers_mut() = trailers(status);
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    response
}
