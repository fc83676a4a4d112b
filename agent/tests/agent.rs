//! The built agent as a black box, with a small collector that comes and goes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

#[expect(dead_code, reason = "each test file uses a part of it")]
mod collector;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use bytes::Bytes;
use collector::{Fake, Received, Reply};
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest},
    common::v1::{KeyValue, any_value::Value},
};
use prost::Message as _;
use tempfile::TempDir;
use yagura_daemon::{
    http_client::{Client, Limits},
    tls::ClientFiles,
};
use yagura_model::delivery::{QUEUE, RANGE_START, SEQUENCE};

const CONTAINER: &str = "4f66ad9a0b2e4f66ad9a0b2e4f66ad9a0b2e4f66ad9a0b2e4f66ad9a0b2e4f66";

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A folder with an agent's config, its buffer and one container's log.
struct Place {
    folder: TempDir,
    admin: SocketAddr,
    collector: SocketAddr,
    /// Options of the host source.
    host: &'static str,
    /// Options of the buffer, its path aside.
    buffer: &'static str,
}

impl Place {
    fn new(host: &'static str, buffer: &'static str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            admin: free_address(),
            collector: free_address(),
            host,
            buffer,
        };
        fs::create_dir_all(place.log().parent().unwrap()).unwrap();
        place
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("containers").join(CONTAINER).join(format!("{CONTAINER}-json.log"))
    }

    /// Appends numbered lines, as docker writes them.
    fn write_lines(&self, numbers: std::ops::Range<u32>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        for number in numbers {
            let time = format!("2026-01-02T03:04:05.{number:09}Z");
            writeln!(file, r#"{{"log":"line {number}\n","stream":"stdout","time":"{time}"}}"#).unwrap();
        }
    }

    fn config(&self, endpoints: &str) -> PathBuf {
        let path = self.folder.path().join("agent.yaml");
        let root = self.folder.path().display();
        let text = format!(
            "node_name: box\nadmin: {}\nsources:\n  host: {{{}}}\n  cgroup: null\n  docker: null\n  \
             logs: {{docker: {root}/containers, pods: {root}/pods}}\n\
             buffer: {{path: {root}/buffer, {}}}\nexport: {{endpoints: [{endpoints}], timeout: 2s}}\n",
            self.admin, self.host, self.buffer,
        );
        fs::write(&path, text).unwrap();
        path
    }

    fn start(&self) -> Agent {
        self.start_to(&format!("'http://{}'", self.collector))
    }

    fn start_to(&self, endpoints: &str) -> Agent {
        let config = self.config(endpoints);
        let log = OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_yagura-agent"))
            .arg("--config")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Agent { child, admin: self.admin, client: Client::new(&ClientFiles::default()).unwrap() }
    }

    async fn collector(&self) -> Fake {
        Fake::scripted(self.collector, |_, _| Reply::Ok).await
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

struct Agent {
    child: Child,
    admin: SocketAddr,
    client: Client,
}

impl Agent {
    async fn get(&self, path: &str) -> Option<(u16, String)> {
        let request = http::Request::get(format!("http://{}{path}", self.admin)).body(Bytes::new()).unwrap();
        let answer = self.client.request(request, Limits::default()).await.ok()?;
        Some((answer.status().as_u16(), String::from_utf8(answer.into_body().to_vec()).unwrap()))
    }

    async fn status(&self) -> serde_json::Value {
        let (_, text) = self.get("/status").await.unwrap_or((0, "null".into()));
        serde_json::from_str(&text).unwrap()
    }

    /// Polls the status until `condition` holds.
    async fn until(&self, what: &str, condition: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        for _ in 0..600 {
            let status = self.status().await;
            if condition(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}: {:#}", self.status().await);
    }

    fn resident_bytes(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    /// SIGKILL, as the kernel or an impatient person sends it.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; the exit status.
    async fn stop(&mut self) -> Option<i32> {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        for _ in 0..200 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the agent does not stop within 5 s");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..600 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}");
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|pair| pair.key == name)?.value.as_ref()?;
    match value.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn number(attributes: &[KeyValue], name: &str) -> Option<i64> {
    let value = attributes.iter().find(|pair| pair.key == name)?.value.as_ref()?;
    match value.value.as_ref()? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

/// The container's lines by their place in its file: what a store keeps, which knows a second delivery.
fn lines(requests: &[Received]) -> Vec<String> {
    let mut lines = BTreeMap::new();
    for request in requests.iter().filter(|request| request.path.contains("LogsService")) {
        let request = ExportLogsServiceRequest::decode(request.message.clone()).unwrap();
        for record in
            request.resource_logs.iter().flat_map(|resource| &resource.scope_logs).flat_map(|s| &s.log_records)
        {
            let Some(start) = number(&record.attributes, RANGE_START) else { continue };
            let Some(Value::StringValue(body)) = record.body.as_ref().and_then(|body| body.value.clone()) else {
                panic!("a line without text")
            };
            let before = lines.insert(start, body.clone());
            assert!(before.is_none_or(|before| before == body), "another line at {start}");
        }
    }
    lines.into_values().collect()
}

/// The numbers of kept batches by queue.
fn sequences(requests: &[Received]) -> BTreeMap<String, BTreeSet<i64>> {
    let mut queues: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for request in requests {
        let resource = if request.path.contains("MetricsService") {
            let request = ExportMetricsServiceRequest::decode(request.message.clone()).unwrap();
            request.resource_metrics[0].resource.clone()
        } else {
            let request = ExportLogsServiceRequest::decode(request.message.clone()).unwrap();
            request.resource_logs[0].resource.clone()
        };
        let attributes = resource.unwrap().attributes;
        if let Some((queue, sequence)) = text(&attributes, QUEUE).zip(number(&attributes, SEQUENCE)) {
            queues.entry(queue.to_owned()).or_default().insert(sequence);
        }
    }
    queues
}

fn expected(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

#[tokio::test]
async fn while_the_collector_is_away_nothing_is_lost_and_memory_stays_flat() {
    let place = Place::new("interval: 100ms", "memory: 1MiB, disk: 64MiB");
    place.write_lines(0..1000);
    let mut agent = place.start();
    agent.until("the disk is used", |status| status["buffer"]["disk_bytes"].as_u64() > Some(50_000)).await;
    place.write_lines(1000..20_000);
    let before = agent.resident_bytes();
    let spilled = |status: &serde_json::Value| status["buffer"]["disk_bytes"].as_u64() > Some(500_000);
    let status = agent.until("more of the disk is used", spilled).await;
    assert!(status["buffer"]["memory_bytes"].as_u64() < Some(2 << 20), "{status:#}");
    assert_eq!(status["buffer"]["dropped_batches"], 0);
    assert_eq!(status["export"]["state"], "missing");
    let grown = agent.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more while the collector is away");
    assert_eq!(agent.get("/ready").await.unwrap().0, 200, "an agent is ready without its collector");

    let fake = place.collector().await;
    until("every line arrives", || lines(&fake.taken()).len() == 20_000).await;
    assert_eq!(lines(&fake.taken()), expected(0..20_000));
    agent.until("the backlog drains", |status| status["buffer"]["disk_bytes"].as_u64() == Some(0)).await;
    assert_eq!(agent.stop().await, Some(0));
    let queues = sequences(&fake.taken());
    assert_eq!(queues.len(), 1);
    let sequences = queues.values().next().unwrap();
    assert!(sequences.len() > 10);
    assert_eq!(sequences.iter().copied().collect::<Vec<_>>(), (1..=sequences.len() as i64).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_on_disk_survives_a_kill_and_lines_are_neither_lost_nor_changed() {
    let place = Place::new("interval: 100ms", "memory: 1MiB, disk: 64MiB");
    place.write_lines(0..500);
    let agent = place.start();
    agent.until("the disk is used", |status| status["buffer"]["disk_bytes"].as_u64() > Some(200_000)).await;
    let (_, page) = agent.get("/metrics/self").await.unwrap();
    let spilled = page.lines().find(|line| line.starts_with("yagura_agent_buffer_spilled_batches_total")).unwrap();
    let spilled: usize = spilled.rsplit(' ').next().unwrap().parse().unwrap();
    agent.kill();

    let fake = place.collector().await;
    for turn in 1..4_u32 {
        place.write_lines(turn * 500..(turn + 1) * 500);
        let agent = place.start();
        until("some lines arrive", || lines(&fake.taken()).len() > turn as usize * 400).await;
        agent.kill();
    }
    let mut agent = place.start();
    until("every line arrives", || lines(&fake.taken()).len() == 2000).await;
    assert_eq!(lines(&fake.taken()), expected(0..2000));
    agent.until("the backlog drains", |status| status["buffer"]["disk_bytes"].as_u64() == Some(0)).await;
    assert_eq!(agent.stop().await, Some(0));
    // The queue of the first run: all that was on disk came, from the first on.
    let most = sequences(&fake.taken()).into_values().max_by_key(BTreeSet::len).unwrap();
    assert!(most.len() >= spilled, "{} of {spilled} spilled batches", most.len());
    assert_eq!(most.iter().copied().collect::<Vec<_>>(), (1..=most.len() as i64).collect::<Vec<_>>());
}

#[tokio::test]
async fn without_a_collector_there_are_the_pages() {
    let place = Place::new("", "disk: 0");
    let mut agent = place.start_to("");
    agent.until("the agent runs", |status| status["node"] == "box").await;
    for _ in 0..100 {
        if agent.get("/metrics/node").await.unwrap().1.contains("node_cpu_seconds_total") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (_, all) = agent.get("/metrics").await.unwrap();
    assert!(all.contains("# TYPE node_cpu_seconds_total counter\n"), "{all}");
    assert!(all.contains("yagura_agent_info{"), "{all}");
    assert_eq!(agent.get("/live").await.unwrap().0, 200);
    assert_eq!(agent.get("/ready").await.unwrap().0, 200);
    assert_eq!(agent.get("/nothing").await.unwrap().0, 404);
    assert_eq!(agent.stop().await, Some(0));
    let said = place.said();
    assert!(!said.contains("ERROR") && !said.contains("panicked"), "{said}");
}

async fn refused(text: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.yaml");
    fs::write(&path, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_yagura-agent"));
    command.arg("--config").arg(&path);
    let ended = tokio::task::spawn_blocking(move || command.output());
    let Output { status, stderr, .. } = ended.await.unwrap().unwrap();
    let said = String::from_utf8(stderr).unwrap().replace(&folder.path().display().to_string(), "");
    (status.code(), said)
}

#[tokio::test]
async fn a_bad_config_ends_with_78_and_says_where() {
    let (code, said) = refused("node_name: a\nsources:\n  host: {intervall: 10s}\n").await;
    assert_eq!(code, Some(78));
    assert!(said.starts_with("/agent.yaml:3:10: sources.host.intervall: unknown key"), "{said}");
    assert!(said.contains("did you mean interval?"), "{said}");
}

#[tokio::test]
async fn a_taken_port_ends_with_1_and_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (code, said) = refused(&format!("admin: {address}\n")).await;
    assert_eq!(code, Some(1));
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
}
