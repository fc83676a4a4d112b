//! The server and the client of this crate against each other: TLS, limits, stopping.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fs, path::PathBuf, time::Duration};

use axum::{Router, extract::Path, routing::get};
use bytes::Bytes;
use http::Request;
use tempfile::TempDir;
use tokio::{sync::Notify, task::JoinHandle};
use yagura_daemon::{
    http_client::{Client, Error, Limits},
    serve,
    shutdown::CancellationToken,
    tls::{self, ClientFiles, ServerFiles},
};

struct Server {
    port: u16,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn serve(router: Router, files: Option<&ServerFiles>) -> Server {
    let listener = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (acceptor, stop) = (files.map(|files| tls::server(files).unwrap()), CancellationToken::new());
    let running = serve::run(listener, router, acceptor, stop.clone());
    Server { port, stop, task: tokio::spawn(async move { running.await.unwrap() }) }
}

fn pages() -> Router {
    Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/bytes/{count}", get(|Path(count): Path<usize>| async move { "x".repeat(count) }))
        .route("/never", get(|| async { std::future::pending::<String>().await }))
}

async fn ask(client: &Client, url: String, limits: Limits) -> Result<String, Error> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let answer = client.request(request, limits).await?;
    Ok(String::from_utf8(answer.into_body().to_vec()).unwrap())
}

fn certificate(folder: &TempDir, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join(format!("{name}.pem")), folder.path().join(format!("{name}.key")));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert, key)
}

#[tokio::test]
async fn an_answer_is_bounded_in_size_and_time() {
    let server = serve(pages(), None).await;
    let client = Client::new(&ClientFiles::default()).unwrap();
    let at = |path: &str| format!("http://127.0.0.1:{}{path}", server.port);
    let limits = Limits { timeout: Duration::from_millis(300), max_body: 1000 };
    assert_eq!(ask(&client, at("/bytes/1000"), limits).await.unwrap().len(), 1000);
    assert!(matches!(ask(&client, at("/bytes/1001"), limits).await, Err(Error::Body { .. })));
    let late = ask(&client, at("/never?secret=1"), limits).await.unwrap_err().to_string();
    assert_eq!(
        late, "127.0.0.1 did not answer within 300ms",
        "the text has no path, for webhooks have their secret there"
    );
}

#[tokio::test]
async fn tls_needs_trust_on_the_side_that_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (server_cert, server_key) = certificate(&folder, "server");
    let (client_cert, client_key) = certificate(&folder, "client");
    let files =
        ServerFiles { cert_file: server_cert.clone(), key_file: server_key, client_ca_file: Some(client_cert.clone()) };
    let server = serve(pages(), Some(&files)).await;
    let url = format!("https://localhost:{}/hello", server.port);
    let known = ClientFiles {
        ca_file: Some(server_cert.clone()),
        cert_file: Some(client_cert.clone()),
        key_file: Some(client_key),
    };
    let hello = ask(&Client::new(&known).unwrap(), url.clone(), Limits::default()).await;
    assert_eq!(hello.unwrap(), "hello");
    let anonymous = ClientFiles { ca_file: Some(server_cert), ..ClientFiles::default() };
    assert!(ask(&Client::new(&anonymous).unwrap(), url.clone(), Limits::default()).await.is_err());
    let wary = ClientFiles { ca_file: Some(client_cert), ..known };
    let error = ask(&Client::new(&wary).unwrap(), url, Limits::default()).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
}

#[test]
fn bad_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, _) = certificate(&folder, "a");
    let half = ClientFiles { cert_file: Some(cert.clone()), ..ClientFiles::default() };
    assert!(matches!(tls::client(&half, &[]), Err(tls::Error::Half)));
    let missing = ServerFiles { cert_file: cert.clone(), key_file: cert.clone(), client_ca_file: None };
    let error = tls::server(&missing).err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot read a private key from {}", cert.display())), "{error}");
}

#[tokio::test]
async fn a_server_that_stops_lets_requests_finish_and_takes_no_more() {
    let (started, go) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
    let (tell, wait) = (started.clone(), go.clone());
    let slow = Router::new().route(
        "/slow",
        get(move || {
            let (tell, wait) = (tell.clone(), wait.clone());
            async move {
                tell.notify_one();
                wait.notified().await;
                "done"
            }
        }),
    );
    let server = serve(slow, None).await;
    let client = Client::new(&ClientFiles::default()).unwrap();
    let url = format!("http://127.0.0.1:{}/slow", server.port);
    let asking = tokio::spawn({
        let (client, url) = (client.clone(), url.clone());
        async move { ask(&client, url, Limits::default()).await.map_err(|error| error.to_string()) }
    });
    started.notified().await;
    server.stop.cancel();
    go.notify_one();
    assert_eq!(asking.await.unwrap(), Ok("done".to_owned()));
    server.task.await.unwrap();
    assert!(matches!(ask(&client, url, Limits::default()).await, Err(Error::Connect { .. })));
}
