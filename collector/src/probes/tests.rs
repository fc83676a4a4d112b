//! Checks against small real servers on the loopback.

use std::{sync::Arc, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;
use yagura_daemon::config::DurationText;
use yagura_model::Timestamp;

use super::{Check, FailureClass, Run, file, http};

/// A server that answers every connection with the same bytes, and says what it was asked.
async fn serve(answer: &'static str, tls: Option<TlsAcceptor>) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, asks) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (asked, tls) = (asked.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => talk(stream, answer, asked).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            talk(stream, answer, asked).await;
                        }
                    }
                }
            });
        }
    });
    (port, asks)
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &str, asked: mpsc::Sender<String>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    drop(asked.send(String::from_utf8(head).unwrap()).await);
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        drop(stream.shutdown().await);
    }
}

fn check(url: String) -> Check {
    Check { name: "c".to_owned(), url, allow_private: true, ..Check::default() }
}

async fn attempt(check: &Check) -> Run {
    http::attempt(check, Timestamp(1_800_000_000_000)).await
}

fn class(run: &Run) -> Option<FailureClass> {
    run.failure.as_ref().map(|failure| failure.class)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nopen";

#[tokio::test]
async fn an_answer_as_expected_is_a_success_with_its_phases() {
    let (port, mut asks) = serve(OK, None).await;
    let mut check = check(format!("http://127.0.0.1:{port}/path?q=1"));
    check.headers.insert("X-Own".to_owned(), "yes".to_owned());
    let run = attempt(&check).await;
    assert_eq!((run.success, run.failure.as_ref()), (Some(true), None));
    assert_eq!((run.status, run.content_length, run.body_bytes), (Some(200), Some(4), 4));
    assert_eq!(run.last_modified, Some(Timestamp(784_111_777_000)));
    assert!(run.phases.connect > 0.0 && run.phases.processing > 0.0 && run.phases.tls == 0.0);
    assert!(run.duration_seconds >= run.phases.each().iter().map(|(_, seconds)| seconds).sum());
    let asked = asks.recv().await.unwrap().to_lowercase();
    assert!(asked.starts_with("get /path?q=1 http/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{asked}");
    assert!(asked.contains(&format!("traceparent: 00-{}-", run.trace_id)), "{asked}");
    assert!(asked.contains("x-own: yes\r\n") && asked.contains("x-datadog-sampling-priority: 1\r\n"), "{asked}");
}

#[tokio::test]
async fn a_body_that_is_not_as_expected_fails_the_assertion() {
    let (port, _asks) = serve(OK, None).await;
    let mut check = check(format!("http://127.0.0.1:{port}/"));
    check.expect.body_contains = Some("closed".to_owned());
    let run = attempt(&check).await;
    assert_eq!((run.success, class(&run)), (Some(false), Some(FailureClass::Assertion)));
    check.max_body = yagura_daemon::config::SizeText(3);
    assert_eq!(class(&attempt(&check).await), Some(FailureClass::BodyTooLarge));
}

#[tokio::test]
async fn nobody_listening_no_name_and_no_http_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = attempt(&check(format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(class(&refused), Some(FailureClass::ConnectionRefused));
    let nameless = attempt(&check("http://no-such-name.invalid/".to_owned())).await;
    assert_eq!(class(&nameless), Some(FailureClass::Dns));
    let (port, _asks) = serve("220 smtp.example.com ESMTP\r\n", None).await;
    let smtp = attempt(&check(format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(class(&smtp), Some(FailureClass::MalformedResponse), "{:?}", smtp.failure);
}

#[tokio::test]
async fn an_address_inside_is_refused_before_anything_is_sent() {
    let (port, mut asks) = serve(OK, None).await;
    let check = Check { allow_private: false, ..check(format!("http://127.0.0.1:{port}/")) };
    let run = attempt(&check).await;
    assert_eq!(class(&run), Some(FailureClass::Blocked));
    assert!(run.failure.unwrap().reason.contains("allow_private: true"));
    assert!(asks.try_recv().is_err());
}

#[tokio::test]
async fn a_redirect_to_an_address_inside_is_refused_too() {
    let (inner, mut asks) = serve(OK, None).await;
    let location = format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2:{inner}/\r\ncontent-length: 0\r\n\r\n");
    let (outer, _asks) = serve(Box::leak(location.into_boxed_str()), None).await;
    let allow = vec!["127.0.0.1".to_owned()];
    let check = Check { allow_private: false, allow, ..check(format!("http://127.0.0.1:{outer}/")) };
    let run = attempt(&check).await;
    assert_eq!((class(&run), run.redirects), (Some(FailureClass::Blocked), 1));
    assert!(asks.try_recv().is_err());
}

#[tokio::test]
async fn redirects_are_counted_and_end() {
    let (port, _asks) = serve("HTTP/1.1 301 Moved\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n", None).await;
    let check = Check { max_redirects: 3, ..check(format!("http://127.0.0.1:{port}/")) };
    let run = attempt(&check).await;
    assert_eq!((class(&run), run.redirects), (Some(FailureClass::TooManyRedirects), 3));
    let unfollowed = Check { max_redirects: 0, ..check };
    assert_eq!(attempt(&unfollowed).await.status, Some(301));
}

#[tokio::test]
async fn a_silent_server_is_a_timeout_that_says_how_far_it_got() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let timeout = Some(DurationText(Duration::from_millis(50)));
    let run = attempt(&Check { timeout, ..check(format!("http://127.0.0.1:{port}/")) }).await;
    assert_eq!(class(&run), Some(FailureClass::Timeout));
    assert!(run.failure.unwrap().reason.contains("phase processing"));
}

/// A certificate for `localhost`, its PEM, and a server that shows it.
fn certificate() -> (String, TlsAcceptor) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private).unwrap();
    (certificate.pem(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn an_untrusted_certificate_fails_but_its_end_is_known() {
    let (pem, acceptor) = certificate();
    let (port, mut asks) = serve(OK, Some(acceptor)).await;
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, certificate().0).unwrap();
    let own = folder.path().join("own.pem");
    std::fs::write(&own, pem).unwrap();

    let mut untrusting = check(format!("https://localhost:{port}/"));
    untrusting.tls.ca_file = Some(other);
    let run = attempt(&untrusting).await;
    assert_eq!(class(&run), Some(FailureClass::Tls), "{:?}", run.failure);
    assert!(run.tls.as_ref().unwrap().earliest_expiry.is_some());
    assert!(asks.try_recv().is_err(), "nothing is sent to a server that is not trusted");

    untrusting.tls.insecure_skip_verify = true;
    assert_eq!(attempt(&untrusting).await.success, Some(true));

    let mut trusting = check(format!("https://localhost:{port}/"));
    trusting.tls.ca_file = Some(own);
    let run = attempt(&trusting).await;
    assert_eq!((run.success, run.failure.as_ref()), (Some(true), None));
    let tls = run.tls.unwrap();
    assert_eq!((tls.version.as_str(), tls.names.as_slice()), ("TLS 1.3", &["localhost".to_owned()][..]));
    assert!(run.phases.tls > 0.0);

    trusting.tls.server_name = Some("example.com".to_owned());
    assert!(attempt(&trusting).await.failure.unwrap().reason.contains("not for this name"));
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_our_own_fault() {
    let (port, _asks) = serve(OK, None).await;
    let file = Some("/nonexistent/token".into());
    let run = attempt(&Check { bearer_token_file: file, ..check(format!("http://127.0.0.1:{port}/")) }).await;
    assert_eq!((run.success, class(&run)), (None, Some(FailureClass::Checker)));
}

#[tokio::test]
async fn only_the_wanted_family_is_used() {
    let check = Check { ip_family: file::IpFamily::Ipv6, ..check("http://127.0.0.1:1/".to_owned()) };
    assert_eq!(class(&attempt(&check).await), Some(FailureClass::Dns));
}
