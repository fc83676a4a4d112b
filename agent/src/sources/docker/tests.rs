//! The source against a small daemon of our own that answers with recorded answers, and can be told to misbehave.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path as InPath, Query, State as InState},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{net::UnixListener, sync::broadcast, task::JoinHandle};
use yagura_model::Timestamp;

use super::*;
use crate::{
    buffer::{Buffer, Outcome},
    inventory::{Container, ContainerId, Health, LogPlace, State},
    sources::testing::context_with,
    status::{self, Board},
    tags::Rules,
};

fn recorded(name: &str) -> String {
    let packed = include_bytes!("fixtures/docker-api.tar.zst");
    let mut archive = tar::Archive::new(zstd::stream::read::Decoder::new(&packed[..]).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap() == Path::new(name) {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            return text;
        }
    }
    panic!("{name}");
}

fn answer(name: &str) -> Value {
    serde_json::from_str(&recorded(name)).unwrap()
}

/// What the daemon holds.
#[derive(Debug)]
struct Held {
    containers: Mutex<BTreeMap<String, Value>>,
    events: Mutex<Vec<Value>>,
    live: broadcast::Sender<Option<Value>>,
    /// Inspections running, and the most there ever were.
    running: AtomicUsize,
    most: AtomicUsize,
    lists: AtomicUsize,
}

struct Daemon {
    held: Arc<Held>,
    socket: PathBuf,
    server: Option<JoinHandle<()>>,
}

impl Daemon {
    fn new(folder: &Path) -> Self {
        let held = Held {
            containers: Mutex::default(),
            events: Mutex::default(),
            live: broadcast::Sender::new(64),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            lists: AtomicUsize::new(0),
        };
        Self { held: Arc::new(held), socket: folder.join("docker.sock"), server: None }
    }

    fn start(&mut self) {
        let listener = UnixListener::bind(&self.socket).unwrap();
        let router = Router::new()
            .route("/info", get(|| async { Json(answer("info.json")) }))
            .route("/containers/json", get(list))
            .route("/containers/{id}/json", get(inspect))
            .route("/events", get(events))
            .with_state(Arc::clone(&self.held));
        self.server = Some(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }));
    }

    /// Closes every stream and the socket, as a daemon that is stopped.
    fn stop(&mut self) {
        self.server.take().unwrap().abort();
        std::fs::remove_file(&self.socket).unwrap();
        let _listeners = self.held.live.send(None);
    }

    /// A running container like the recorded one.
    fn add(&self, digit: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut container = answer("inspect-docker-web.json");
        container["Id"] = digit.repeat(64).into();
        container["Name"] = format!("/{name}").into();
        change(&mut container);
        self.held.containers.lock().unwrap().insert(digit.repeat(64), container);
    }

    fn remove(&self, digit: &str) {
        self.held.containers.lock().unwrap().remove(&digit.repeat(64));
    }

    fn say(&self, digit: &str, action: &str, nanos: i64, attributes: &[(&str, &str)]) {
        let attributes: BTreeMap<_, _> = attributes.iter().copied().collect();
        let actor = json!({"ID": digit.repeat(64), "Attributes": attributes});
        let event = json!({"Type": "container", "Action": action, "Actor": actor, "scope": "local",
            "time": nanos / 1_000_000_000, "timeNano": nanos});
        self.held.events.lock().unwrap().push(event.clone());
        let _listeners = self.held.live.send(Some(event));
    }
}

async fn list(InState(held): InState<Arc<Held>>) -> Json<Value> {
    held.lists.fetch_add(1, Ordering::SeqCst);
    let containers = held.containers.lock().unwrap();
    let entries = containers.values().map(|container| {
        json!({"Id": container["Id"], "Names": [container["Name"]], "Image": container["Config"]["Image"],
            "State": container["State"]["Status"], "Labels": container["Config"]["Labels"]})
    });
    Json(entries.collect())
}

async fn inspect(InState(held): InState<Arc<Held>>, InPath(id): InPath<String>) -> Response {
    let running = held.running.fetch_add(1, Ordering::SeqCst) + 1;
    held.most.fetch_max(running, Ordering::SeqCst);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    held.running.fetch_sub(1, Ordering::SeqCst);
    let found = held.containers.lock().unwrap().get(&id).cloned();
    match found {
        Some(container) => Json(container).into_response(),
        None => (http::StatusCode::NOT_FOUND, Json(json!({"message": "No such container"}))).into_response(),
    }
}

#[derive(Deserialize)]
struct Since {
    since: Option<String>,
}

/// The events since then, and then the live ones until the daemon is stopped.
async fn events(InState(held): InState<Arc<Held>>, Query(query): Query<Since>) -> Response {
    let live = held.live.subscribe();
    let since = query.since.unwrap();
    let (seconds, nanos) = since.split_once('.').unwrap();
    let since = seconds.parse::<i64>().unwrap() * 1_000_000_000 + nanos.parse::<i64>().unwrap();
    let past: Vec<Value> =
        held.events.lock().unwrap().iter().filter(|event| event["timeNano"].as_i64() >= Some(since)).cloned().collect();
    let known: Vec<Value> = past.clone();
    let live = stream::unfold(live, |mut live| async { Some((live.recv().await.ok().flatten()?, live)) });
    let live = live.filter(move |event| std::future::ready(!known.contains(event)));
    let lines = stream::iter(past).chain(live).map(|event| Ok::<_, std::io::Error>(Bytes::from(format!("{event}\n"))));
    Body::from_stream(lines).into_response()
}

/// A running source.
struct Source {
    context: Context,
    board: Board,
    task: JoinHandle<Result<(), Error>>,
}

impl Source {
    fn start(daemon: &Daemon, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { socket: Some(daemon.socket.display().to_string()), ..Config::default() };
        change(&mut config);
        let board = Board::default();
        let context = context_with("docker", Buffer::in_memory(1 << 20));
        let context = Context { status: board.handle("docker"), ..context };
        let task = tokio::spawn(run(config, context.clone()));
        Self { context, board, task }
    }

    fn get(&self, digit: &str) -> Option<Arc<Container>> {
        self.context.inventory.get(&ContainerId::parse(&digit.repeat(64)).unwrap())
    }

    async fn wait(&self, digit: &str, is_so: impl Fn(&Container) -> bool) -> Arc<Container> {
        let mut found = None;
        until(|| {
            found = self.get(digit).filter(|container| is_so(container));
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Takes log batches away until there are `count` records: their text, and generation and place of each.
    async fn logged(&self, count: usize) -> Vec<(String, String)> {
        let mut found = Vec::new();
        while found.len() < count {
            let ticket = self.context.out.buffer().next().await;
            if ticket.batch.signal == crate::buffer::Signal::Logs {
                found.extend(records(&ticket.batch.body));
            }
            self.context.out.buffer().settle(ticket, Outcome::Delivered);
        }
        found
    }

    async fn stop(self) {
        self.context.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn records(body: &[u8]) -> Vec<(String, String)> {
    use opentelemetry_proto::tonic::{
        collector::logs::v1::ExportLogsServiceRequest,
        common::v1::{KeyValue, any_value::Value},
    };
    let request: ExportLogsServiceRequest = prost::Message::decode(body).unwrap();
    let get = |attributes: &[KeyValue], name: &str| {
        let found = attributes.iter().find(|attribute| attribute.key == name)?;
        match found.value.clone()?.value? {
            Value::StringValue(text) => Some(text),
            Value::IntValue(number) => Some(number.to_string()),
            _ => None,
        }
    };
    let mut found = Vec::new();
    for resource in request.resource_logs {
        let name = resource.resource.map(|resource| get(&resource.attributes, "service.name").unwrap_or_default());
        for scope in resource.scope_logs {
            let generation = get(&scope.scope.unwrap().attributes, "yagura.generation").unwrap();
            for record in scope.log_records {
                let body = record.body.unwrap().value.unwrap();
                let Value::StringValue(body) = body else { panic!("{body:?}") };
                let start = get(&record.attributes, "yagura.range.start").unwrap();
                let line = format!("{} {}: {body}", record.severity_text, name.clone().unwrap_or_default());
                found.push((line, format!("{generation} {start}")));
            }
        }
    }
    found
}

/// Waits until something is so.
async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("it never was so");
}

/// A time after the recorded `SystemTime` of the daemon, in nanoseconds.
fn later(seconds: i64) -> i64 {
    let now: jiff::Timestamp = answer("info.json")["SystemTime"].as_str().unwrap().parse().unwrap();
    now.as_second() * 1_000_000_000 + 1_000_000_000 + seconds * 1_000_000_000
}

const ID: &str = "docker-events/ZMPZ:K2UJ:RKEY:AKV4:HQQ5:RMND:L5SE:37D4:JCN6:LXR7:JPKS:XDNM";

#[tokio::test]
async fn listed_containers_are_known_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::new(folder.path());
    daemon.add("a", "web", |_| {});
    daemon.start();
    let source = Source::start(&daemon, |_| {});
    let web = source.wait("a", |_| true).await;
    assert_eq!((&*web.name, &*web.image, web.state), ("web", "registry.example.com/shop/web:1.4.2", State::Running));
    assert_eq!((&*web.tags.service, &*web.tags.source, &*web.tags.version), ("web", "web", "1.4.2"));
    assert_eq!(*web.ports, ["0.0.0.0:8088->8080/tcp".to_owned(), "[::]:8088->8080/tcp".to_owned()]);
    assert_eq!((web.pid, web.exit_code, web.finished), (Some(29071), None, None));
    assert_eq!(web.started, Some(Timestamp(1_795_163_645_073)));
    assert!(matches!(&web.log, LogPlace::JsonFile(path) if path.ends_with("-json.log")));
    source.stop().await;
}

#[tokio::test]
async fn a_container_that_was_gone_before_it_could_be_asked_for_is_known_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::new(folder.path());
    daemon.start();
    let source = Source::start(&daemon, |_| {});
    until(|| daemon.held.live.receiver_count() > 0).await;
    let attributes = [("name", "blink"), ("image", "shop/job:2"), ("service", "jobs"), ("role", "batch")];
    let died: Vec<_> = attributes.iter().copied().chain([("exitCode", "3")]).collect();
    daemon.say("b", "create", later(0), &attributes);
    daemon.say("b", "start", later(1), &attributes);
    daemon.say("b", "die", later(2), &died);
    daemon.say("b", "destroy", later(3), &attributes);
    let expected = [
        ("info jobs: container blink started".to_owned(), format!("{ID} {}", later(1))),
        ("warn jobs: container blink exited with code 3".to_owned(), format!("{ID} {}", later(2))),
    ];
    assert_eq!(source.logged(2).await, expected);
    let blink = source.wait("b", |_| true).await;
    assert_eq!((blink.state, blink.exit_code, &*blink.tags.role), (State::Exited, Some(3), "batch"));
    assert!(blink.labels.iter().all(|(name, _)| &**name != "exitCode"));
    until(|| source.context.inventory.all().is_empty()).await;
    assert!(source.get("b").is_some(), "its log may still be read");
    source.stop().await;
}

#[tokio::test]
async fn what_happens_while_the_list_is_made_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::new(folder.path());
    // An event after the session's beginning, of a container that no list has any more.
    daemon.say("c", "oom", later(0), &[("name", "early"), ("image", "x")]);
    daemon.start();
    let source = Source::start(&daemon, |_| {});
    assert_eq!(source.logged(1).await[0].0, "error x: container early ran out of memory");
    assert!(source.wait("c", |_| true).await.oom_killed);
    source.stop().await;
}

#[tokio::test]
async fn a_daemon_that_comes_back_is_listed_anew_and_nothing_is_logged_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::new(folder.path());
    daemon.add("a", "web", |_| {});
    daemon.add("b", "db", |_| {});
    daemon.start();
    let source = Source::start(&daemon, |_| {});
    source.wait("b", |_| true).await;
    daemon.say("a", "pause", later(1), &[]);
    assert_eq!(source.logged(1).await[0].0, "info web: container web was paused");
    daemon.stop();
    let state = |source: &Source| source.board.sources()[0].clone();
    until(|| state(&source).state != status::State::Ok).await;
    daemon.remove("b");
    daemon.add("c", "new", |_| {});
    daemon.say("a", "unpause", later(2), &[]);
    daemon.start();
    source.wait("c", |_| true).await;
    assert_eq!(source.logged(1).await[0].0, "info web: container web goes on");
    let names = || {
        let mut names: Vec<_> = source.context.inventory.all().iter().map(|one| one.name.to_string()).collect();
        names.sort_unstable();
        names
    };
    until(|| names() == ["new", "web"]).await;
    until(|| state(&source).state == status::State::Ok).await;
    source.stop().await;
}

#[tokio::test]
async fn a_restarted_agent_goes_on_after_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::new(folder.path());
    daemon.add("a", "web", |_| {});
    daemon.start();
    let state = Some(folder.path().to_owned());
    let source = Source::start(&daemon, |config| config.state.clone_from(&state));
    source.wait("a", |_| true).await;
    daemon.say("a", "start", later(1), &[]);
    source.logged(1).await;
    until(|| folder.path().join("docker-events.json").exists()).await;
    source.stop().await;
    daemon.say("a", "kill", later(2), &[("signal", "15")]);
    let source = Source::start(&daemon, |config| config.state.clone_from(&state));
    let expected = [("info web: container web was sent signal 15".to_owned(), format!("{ID} {}", later(2)))];
    assert_eq!(source.logged(1).await, expected);
    source.stop().await;
}

#[tokio::test]
async fn an_oom_is_remembered_until_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::new(folder.path());
    daemon.add("a", "web", |_| {});
    daemon.start();
    let source = Source::start(&daemon, |_| {});
    source.wait("a", |_| true).await;
    daemon.say("a", "oom", later(1), &[]);
    source.wait("a", |web| web.oom_killed).await;
    daemon.add("a", "web", |web| {
        web["State"]["Status"] = "exited".into();
        web["State"]["ExitCode"] = 137.into();
    });
    daemon.say("a", "die", later(2), &[("exitCode", "137")]);
    let web = source.wait("a", |web| web.state == State::Exited).await;
    assert_eq!((web.oom_killed, web.exit_code), (true, Some(137)));
    daemon.add("a", "web", |web| web["State"]["StartedAt"] = "2026-11-20T09:34:05.07318518Z".into());
    daemon.say("a", "start", later(3), &[]);
    let web = source.wait("a", |web| web.state == State::Running).await;
    assert!(!web.oom_killed);
    source.stop().await;
}

#[tokio::test]
async fn health_is_told_and_what_is_excluded_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::new(folder.path());
    daemon
        .add("a", "web", |web| web["State"]["Health"] = json!({"Status": "unhealthy", "FailingStreak": 3, "Log": []}));
    daemon.add("b", "quiet", |quiet| quiet["Config"]["Labels"]["yagura.logs.exclude"] = "true".into());
    daemon.start();
    let source = Source::start(&daemon, |_| {});
    source.wait("b", |_| true).await;
    daemon.say("b", "start", later(1), &[]);
    daemon.say("a", "health_status: unhealthy", later(2), &[]);
    daemon.say("a", "exec_start: sh", later(3), &[]);
    assert_eq!(source.logged(1).await[0].0, "warn web: container web is unhealthy");
    assert_eq!(source.wait("a", |_| true).await.health, Some(Health::Unhealthy));
    assert!(source.get("b").unwrap().skip.logs);
    source.stop().await;
}

#[tokio::test]
async fn the_daemon_is_asked_by_four_at_once_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::new(folder.path());
    for digit in "0123456789abcdef".chars() {
        daemon.add(&digit.to_string(), &format!("c{digit}"), |_| {});
    }
    daemon.start();
    let source = Source::start(&daemon, |_| {});
    until(|| source.context.inventory.all().len() == 16).await;
    let most = daemon.held.most.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most}");
    source.stop().await;
}

#[tokio::test]
async fn a_container_that_cannot_be_read_is_known_from_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::new(folder.path());
    daemon.add("a", "odd", |odd| odd["State"]["Pid"] = "none".into());
    daemon.add("b", "web", |_| {});
    daemon.start();
    let source = Source::start(&daemon, |_| {});
    assert_eq!(source.wait("b", |_| true).await.pid, Some(29071));
    let odd = source.wait("a", |_| true).await;
    assert_eq!((&*odd.name, odd.state, odd.pid), ("odd", State::Running, None));
    source.stop().await;
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new(folder.path());
    let source = Source::start(&daemon, |_| {});
    let line = || source.board.sources()[0].clone();
    until(|| line().state == status::State::Missing).await;
    assert_eq!(line().reason, format!("there is no docker socket at {}", daemon.socket.display()));
    assert_eq!(line().hint, "start docker, or say where its socket is: sources.docker.socket");
    source.stop().await;
}

#[test]
fn every_recorded_event_is_understood_or_passed_over() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in recorded("events.jsonl").lines() {
        let message = serde_json::from_str(line).unwrap();
        let word =
            events::Event::parse(message).map_or_else(|| "none".to_owned(), |event| format!("{:?}", event.action));
        *counts.entry(word).or_default() += 1;
    }
    assert!(counts["Oom"] > 100 && counts["Start"] > 5 && counts["Die"] > 0, "{counts:?}");
    assert_eq!(counts.keys().filter(|word| word.starts_with("Health")).count(), 0);
}

#[test]
fn an_exited_container_is_read_from_its_recorded_inspection() {
    let (rules, filter) = (Rules::default(), Filter::default());
    let endpoint = connect::Endpoint::Tcp("h:1".into());
    let converter = convert::Converter { rules: &rules, filter: &filter, endpoint: &endpoint };
    let exited = serde_json::from_value(answer("inspect-docker-oom-exit.json")).unwrap();
    let exited = converter.inspected(exited).unwrap();
    assert_eq!((exited.state, exited.exit_code, exited.pid), (State::Exited, Some(137), None));
    assert!(exited.finished > exited.started);
    assert_eq!(exited.log, LogPlace::Api, "a daemon elsewhere has its files elsewhere");
}

#[test]
fn state_is_said_and_ends_with_the_daemon() {
    let inventory = crate::inventory::Inventory::new();
    let mut web = crate::inventory::testing::container("a", "web");
    web.labels = [("com.docker.compose.project".into(), "shop".into())].into();
    web.ports = ["0.0.0.0:80->80/tcp".to_owned()].into();
    (web.health, web.exit_code) = (Some(Health::Starting), Some(7));
    inventory.upsert(web);
    let mut reporter = Reporter::default();
    let mut table = Table::new("docker", "n1");
    assert_eq!(reporter.scrape(Timestamp(1), &inventory, true, &mut table), 1);
    let said = |table: &Table| {
        let entries = table.entries().iter();
        let shown = |entry: &crate::series::Entry| {
            let labels: Vec<_> = entry.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}{{{}}}", entry.metric.name.trim_start_matches("yagura_container_"), labels.join(","))
        };
        entries.map(shown).collect::<Vec<_>>()
    };
    let expected = [
        "info{compose_project=shop,ports=0.0.0.0:80->80/tcp}",
        "state{state=running}",
        "health{status=starting}",
        "restarts_total{}",
        "exit_code{}",
        "oom_killed{}",
        "start_time_seconds{}",
    ];
    assert_eq!(said(&table), expected);
    assert_eq!(reporter.scrape(Timestamp(2), &inventory, false, &mut table), 0);
    assert_eq!((table.entries().len(), table.ended().len()), (0, 7));
}
