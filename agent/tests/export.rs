//! The exporter against a collector that takes, throttles, refuses, hangs and goes away.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod collector;

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use collector::{Fake, Reply};
use tokio::task::JoinHandle;
use yagura_agent::{
    buffer::{Batch, Buffer, Outcome, Signal},
    export::{self, Config, Metrics, State, StatusCell},
};
use yagura_codec::grpc::{Code, Status};
use yagura_daemon::{
    config::DurationText,
    shutdown::CancellationToken,
    tls::{ClientFiles, ServerFiles},
};

struct Exporter {
    buffer: Buffer,
    status: StatusCell,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn export(config: Config) -> Exporter {
    let (buffer, status, stop) = (Buffer::in_memory(1 << 20), StatusCell::default(), CancellationToken::new());
    let running = export::run(config, buffer.clone(), status.clone(), Metrics::default(), stop.clone());
    let task = tokio::spawn(async move {
        let Ok(()) = Box::pin(running).await;
    });
    Exporter { buffer, status, stop, task }
}

fn to(endpoint: String) -> Config {
    Config { endpoints: vec![endpoint], timeout: DurationText::seconds(1), ..Config::default() }
}

fn batch(text: &str) -> Batch {
    Batch { signal: Signal::Logs, body: text.to_owned().into(), items: 1 }
}

/// Polls until `condition` holds; the limit only ends a test that has failed.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

fn nowhere() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn batches_arrive_as_they_are_and_their_senders_are_told() {
    let fake = Fake::start().await;
    let exporter = export(to(fake.url()));
    let receipt = exporter.buffer.send(batch("hello")).await;
    assert_eq!(receipt.await, Ok(Outcome::Delivered));
    exporter.buffer.keep(Batch { signal: Signal::Metrics, ..batch("sample") }, false).await.unwrap();
    exporter.buffer.keep(Batch { signal: Signal::Traces, ..batch("span") }, false).await.unwrap();
    until("three requests", || fake.taken().len() == 3).await;
    let taken = fake.taken();
    assert_eq!(taken[0].message, "hello");
    assert_eq!(taken[0].headers.get("authorization"), None);
    let mut paths: Vec<_> = taken.iter().map(|request| request.path.split('.').nth(3).unwrap().to_owned()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["logs", "metrics", "trace"]);
    let status = exporter.status.current();
    assert_eq!((status.state, status.reason.as_str()), (State::Ok, ""));
    assert!(status.last_success.is_some());
}

#[tokio::test]
async fn what_is_retryable_is_sent_again_when_the_collector_said() {
    let fake = Fake::scripted("127.0.0.1:0".parse().unwrap(), |number, _| match number {
        0 => Reply::Status(Status::new(Code::Unavailable, "busy")),
        1 => Reply::Status(Status {
            retry_after: Some(Duration::from_millis(700)),
            ..Status::new(Code::ResourceExhausted, "disk is full")
        }),
        _ => Reply::Ok,
    });
    let fake = fake.await;
    let exporter = export(to(fake.url()));
    let receipt = exporter.buffer.send(batch("again")).await;
    until("two refusals", || fake.asked() == 2).await;
    let refused = tokio::time::Instant::now();
    assert_eq!(receipt.await, Ok(Outcome::Delivered));
    assert!(refused.elapsed() >= Duration::from_millis(600), "only after {:?}", refused.elapsed());
    assert_eq!(fake.asked(), 3);
}

#[tokio::test]
async fn what_the_collector_will_never_take_is_dropped_and_the_rest_goes_on() {
    let fake = Fake::scripted("127.0.0.1:0".parse().unwrap(), |_, request| match &request.message[..] {
        b"bad" => Reply::Status(Status::new(Code::InvalidArgument, "malformed")),
        b"half" => Reply::Partial(1, "too_old: 1"),
        _ => Reply::Ok,
    });
    let fake = fake.await;
    let exporter = export(to(fake.url()));
    let [bad, half, good] = ["bad", "half", "good"];
    let (bad, half) = (exporter.buffer.send(batch(bad)).await, exporter.buffer.send(batch(half)).await);
    let good = exporter.buffer.send(batch(good)).await;
    assert_eq!(bad.await, Ok(Outcome::Refused("malformed".into())));
    assert_eq!((half.await, good.await), (Ok(Outcome::Delivered), Ok(Outcome::Delivered)));
    assert_eq!(fake.asked(), 3);
}

#[tokio::test]
async fn a_silent_collector_costs_a_timeout_not_a_batch() {
    let fake =
        Fake::scripted("127.0.0.1:0".parse().unwrap(), |number, _| if number < 2 { Reply::Silence } else { Reply::Ok });
    let fake = fake.await;
    let exporter = export(to(fake.url()));
    let receipts = [exporter.buffer.send(batch("one")).await, exporter.buffer.send(batch("two")).await];
    for receipt in receipts {
        assert_eq!(receipt.await, Ok(Outcome::Delivered));
    }
}

#[tokio::test]
async fn the_backlog_drains_when_a_collector_comes_and_comes_back() {
    let address = nowhere();
    let exporter = export(to(format!("http://{address}")));
    let first = exporter.buffer.send(batch("first")).await;
    until("no connection", || exporter.status.current().state == State::Missing).await;
    let fake = Fake::scripted(address, |_, _| Reply::Ok).await;
    assert_eq!(first.await, Ok(Outcome::Delivered));
    drop(fake);
    until("the connection broke", || exporter.status.current().state == State::Missing).await;
    let mut receipts = Vec::new();
    for number in 0..50 {
        receipts.push(exporter.buffer.send(batch(&format!("{number}"))).await);
    }
    let fake = Fake::scripted(address, |_, _| Reply::Ok).await;
    for receipt in receipts {
        assert_eq!(receipt.await, Ok(Outcome::Delivered));
    }
    assert_eq!(fake.taken().len(), 50);
}

#[tokio::test]
async fn another_endpoint_is_used_when_the_first_is_away() {
    let fake = Fake::start().await;
    let away = format!("http://{}", nowhere());
    let exporter = export(Config { endpoints: vec![away, fake.url()], ..Config::default() });
    assert_eq!(exporter.buffer.send(batch("x")).await.await, Ok(Outcome::Delivered));
    assert_eq!(exporter.status.current().endpoint.trim_end_matches('/'), fake.url());
}

#[tokio::test]
async fn a_wrong_token_holds_batches_until_it_is_replaced() {
    let fake = Fake::scripted("127.0.0.1:0".parse().unwrap(), |_, request| {
        match request.headers.get("authorization").map(|value| value.as_bytes()) {
            Some(b"Bearer right") => Reply::Ok,
            _ => Reply::Status(Status::new(Code::Unauthenticated, "who are you")),
        }
    });
    let fake = fake.await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "wrong-one").unwrap();
    let exporter = export(Config { token_file: Some(token.clone()), ..to(fake.url()) });
    let receipt = exporter.buffer.send(batch("secret")).await;
    until("degraded", || exporter.status.current().state == State::Degraded).await;
    assert_eq!(exporter.status.current().reason, "who are you");
    fs::write(&token, "right").unwrap();
    assert_eq!(receipt.await, Ok(Outcome::Delivered));
}

#[tokio::test]
async fn over_tls_only_a_trusted_collector_is_told_anything() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let certify = |name: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (
            write(&format!("{name}.pem"), made.cert.pem()),
            write(&format!("{name}.key"), made.signing_key.serialize_pem()),
        )
    };
    let (cert_file, key_file) = certify("collector");
    let (stranger, _) = certify("stranger");
    let fake = Fake::with_tls(&ServerFiles { cert_file: cert_file.clone(), key_file, client_ca_file: None }).await;
    let trusting = |ca_file: PathBuf| Config {
        endpoints: vec![format!("https://localhost:{}", fake.address.port())],
        tls: ClientFiles { ca_file: Some(ca_file), ..ClientFiles::default() },
        ..Config::default()
    };
    let wary = export(trusting(stranger));
    until("no trust", || wary.status.current().state == State::Missing).await;
    assert!(wary.status.current().reason.contains("no TLS with localhost"), "{}", wary.status.current().reason);
    let exporter = export(trusting(cert_file));
    assert_eq!(exporter.buffer.send(batch("secret")).await.await, Ok(Outcome::Delivered));
    assert_eq!(fake.taken().len(), 1);
}

#[tokio::test]
async fn memory_is_emptied_at_the_end_and_what_has_no_answer_is_given_back() {
    let fake = Fake::scripted("127.0.0.1:0".parse().unwrap(), |_, request| {
        if request.message.ends_with(b"silence") { Reply::Silence } else { Reply::Ok }
    });
    let fake = fake.await;
    let exporter = export(Config { timeout: DurationText::seconds(60), ..to(fake.url()) });
    exporter.buffer.keep(batch("silence"), false).await.unwrap();
    until("it was asked", || fake.asked() == 1).await;
    for _ in 0..20 {
        exporter.buffer.keep(batch("last words"), false).await.unwrap();
    }
    exporter.stop.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(10), exporter.task).await;
    assert!(stopped.is_ok(), "the exporter ends although a request hangs");
    assert_eq!(fake.taken().len(), 20);
    let left = exporter.buffer.try_next_live().unwrap();
    assert!(left.batch.body.ends_with(b"silence"));
}
