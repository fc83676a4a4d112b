//! What is promised of every source: it stops when told although nothing is taken from it, goes on when everything is
//! refused, and emits nothing but its `METRICS`.

use std::{collections::BTreeSet, fs, path::Path, sync::PoisonError, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::buffer::{Batch, Buffer, Outcome, Signal};

/// A machine with a container that logs; the kernel's files are those recorded for `cgroup`.
fn machine() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let packed = include_bytes!("cgroup/fixtures/recorded.tar.zst");
    tar::Archive::new(zstd::stream::read::Decoder::new(&packed[..]).unwrap()).unpack(folder.path()).unwrap();
    let id = "a".repeat(64);
    let logs = folder.path().join("containers").join(&id);
    fs::create_dir_all(&logs).unwrap();
    let line = r#"{"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}"#;
    fs::write(logs.join(format!("{id}-json.log")), format!("{line}\n")).unwrap();
    folder
}

/// Every source on its own, on that machine.
fn cases(machine: &Path) -> Vec<(&'static str, Config)> {
    let none = || Config { host: None, cgroup: None, docker: None, logs: None };
    let tree = machine.join("v1/t0");
    let host = host::Config {
        proc: tree.join("proc"),
        sys: tree.join("sys"),
        rootfs: tree.clone(),
        ..host::Config::default()
    };
    let cgroup =
        cgroup::Config { proc: tree.join("proc"), root: tree.join("sys/fs/cgroup"), ..cgroup::Config::default() };
    let logs = logs::Config {
        docker: machine.join("containers"),
        pods: machine.join("pods"),
        checkpoint: Some(machine.join("checkpoint")),
        ..logs::Config::default()
    };
    // Without a daemon: what it says with one is checked beside it.
    let docker = docker::Config {
        socket: Some(machine.join("docker.sock").display().to_string()),
        state: Some(machine.into()),
        ..docker::Config::default()
    };
    vec![
        ("docker", Config { docker: Some(docker), ..none() }),
        ("host", Config { host: Some(host), ..none() }),
        ("cgroup", Config { cgroup: Some(cgroup), ..none() }),
        ("logs", Config { logs: Some(logs), ..none() }),
    ]
}

/// Runs a source for a while; its series by name.
async fn run_for_a_while(name: &'static str, config: Config, buffer: Buffer) -> BTreeSet<&'static str> {
    let context = testing::context_with(name, buffer);
    let mut tasks = Tasks::new();
    spawn(config, &mut tasks, |_| context.clone());
    assert_eq!(tasks.names(), [name]);
    let early = tokio::time::timeout(Duration::from_secs(25), tasks.ended()).await;
    assert!(early.is_err(), "{name} ended early: {early:?}");
    let mut emitted = BTreeSet::new();
    for table in context.out.tables(None) {
        let table = table.lock().unwrap_or_else(PoisonError::into_inner);
        emitted.extend(table.entries().iter().map(|entry| entry.metric.name));
    }
    context.stop.cancel();
    assert_eq!(tasks.join(Duration::from_secs(5)).await, Ok(()), "{name} does not stop");
    emitted
}

#[tokio::test(start_paused = true)]
async fn every_source_stops_although_nothing_is_taken_from_it() {
    let machine = machine();
    for (name, config) in cases(machine.path()) {
        let buffer = Buffer::in_memory(2);
        let batch = Batch { signal: Signal::Logs, body: vec![0; 10].into(), items: 1 };
        let _receipt = buffer.send(batch.clone()).await;
        buffer.keep(batch, false).await.unwrap();
        // Both lanes are full of what is being sent and never gets an answer.
        let _sending = [buffer.next().await, buffer.next().await];
        run_for_a_while(name, config, buffer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_source_goes_on_when_all_is_refused_and_emits_only_its_metrics() {
    let machine = machine();
    for (name, config) in cases(machine.path()) {
        let buffer = Buffer::in_memory(8 << 20);
        let refusing = buffer.clone();
        let refuser = tokio::spawn(async move {
            loop {
                let ticket = refusing.next().await;
                refusing.settle(ticket, Outcome::Refused("no".into()));
            }
        });
        let emitted = run_for_a_while(name, config, buffer).await;
        refuser.abort();
        let (_, metrics) = METRICS.iter().find(|(part, _)| *part == name).unwrap();
        let known: BTreeSet<&str> = metrics.iter().map(|metric| metric.name).collect();
        assert!(!emitted.is_empty() || name == "docker", "{name} emits nothing");
        let unknown: Vec<_> = emitted.difference(&known).collect();
        assert!(unknown.is_empty(), "{name} emits {unknown:?}, which its METRICS has not");
    }
}

#[test]
fn every_metric_is_described_once_and_in_a_sentence() {
    let mut names = BTreeSet::new();
    for (part, metrics) in METRICS {
        for metric in *metrics {
            assert!(names.insert(metric.name), "{} of {part} is there twice", metric.name);
            assert!(metric.help.ends_with('.') && metric.help.len() > 4, "{}: {:?}", metric.name, metric.help);
        }
    }
}
