//! The source as it runs: with inotify, threads and a buffer.

use std::{collections::HashSet, fs, path::Path, time::Duration};

use yagura_codec::{AnyValue, logs::Request};

use super::super::{Config, run};
use crate::{
    buffer::{Batch, Buffer, Outcome, Signal},
    inventory::testing::container,
    sources::{Context, testing},
    status::State,
};

fn config(root: &Path) -> Config {
    let checkpoint = Some(root.join("state/logs.checkpoint"));
    Config { docker: root.join("docker"), pods: root.join("pods"), checkpoint, ..Config::default() }
}

/// A container that is known, so that nothing waits for its tags.
fn known(context: &Context, root: &Path) -> std::path::PathBuf {
    let one = container("a", "web");
    let id = one.id.clone();
    let directory = root.join("docker").join(id.as_str());
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join(format!("{id}-json.log"));
    context.inventory.upsert(crate::inventory::Container {
        log: crate::inventory::LogPlace::JsonFile(path.display().to_string().into()),
        ..one
    });
    path
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    let line = |number| {
        format!("{{\"log\":\"{number}\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01.{number:09}Z\"}}\n")
    };
    numbers.map(line).collect()
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

fn bodies(batch: &Batch) -> Vec<String> {
    let mut bodies = Vec::new();
    for resource in Request::new(&batch.body).resources() {
        for scope in resource.unwrap().scopes() {
            for record in scope.unwrap().records() {
                if let AnyValue::Str(body) = record.unwrap().body {
                    bodies.push(body.to_owned());
                }
            }
        }
    }
    bodies
}

/// Answers for log batches until so many lines have come.
async fn receive(buffer: &Buffer, count: usize) -> HashSet<String> {
    let mut found = HashSet::new();
    while found.len() < count {
        let ticket = buffer.next().await;
        // The source's own series come the same way.
        if ticket.batch.signal == Signal::Logs {
            found.extend(bodies(&ticket.batch));
        }
        buffer.settle(ticket, Outcome::Delivered);
    }
    found
}

#[tokio::test]
async fn lines_are_delivered_as_they_are_written_and_once_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let buffer = Buffer::in_memory(8 << 20);
    let context = testing::context_with("logs", buffer.clone());
    let path = known(&context, root.path());
    fs::write(&path, lines(0..3)).unwrap();
    let running = tokio::spawn(run(config(root.path()), context.clone()));
    assert_eq!(receive(&buffer, 3).await.len(), 3);
    append(&path, &lines(3..5));
    assert_eq!(receive(&buffer, 2).await, HashSet::from(["3".to_owned(), "4".to_owned()]));
    context.stop.cancel();
    running.await.unwrap().unwrap();

    let again = testing::context_with("logs", buffer.clone());
    known(&again, root.path());
    append(&path, &lines(5..6));
    let running = tokio::spawn(run(config(root.path()), again.clone()));
    assert_eq!(receive(&buffer, 1).await, HashSet::from(["5".to_owned()]));
    assert_eq!(again.status.current().unwrap().state, State::Ok);
    again.stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn it_stops_when_told_although_nobody_takes_its_batches() {
    let root = tempfile::tempdir().unwrap();
    let context = testing::context_with("logs", Buffer::in_memory(4096));
    let path = known(&context, root.path());
    fs::write(&path, lines(0..50_000)).unwrap();
    let running = tokio::spawn(run(config(root.path()), context.clone()));
    while context.out.buffer().memory_bytes() == 0 {
        tokio::task::yield_now().await;
    }
    context.stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_damaged_checkpoint_is_named_and_everything_is_sent_again() {
    let root = tempfile::tempdir().unwrap();
    let buffer = Buffer::in_memory(8 << 20);
    let context = testing::context_with("logs", buffer.clone());
    let path = known(&context, root.path());
    fs::write(&path, lines(0..3)).unwrap();
    fs::create_dir_all(root.path().join("state")).unwrap();
    fs::write(root.path().join("state/logs.checkpoint"), "not a checkpoint").unwrap();
    let running = tokio::spawn(run(config(root.path()), context.clone()));
    assert_eq!(receive(&buffer, 3).await.len(), 3);
    let status = context.status.current().unwrap();
    assert_eq!(status.state, State::Degraded);
    assert!(status.reason.contains("logs.checkpoint.damaged-1"), "{}", status.reason);
    context.stop.cancel();
    running.await.unwrap().unwrap();
}
