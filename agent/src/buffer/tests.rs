use std::{fs, path::Path};

use super::*;
use crate::status::{Board, State};

fn batch(size: usize) -> Batch {
    Batch { signal: Signal::Metrics, body: vec![7; size].into(), items: 1 }
}

/// The size of the number in front of a kept batch depends on the queue's name.
fn stamped(buffer: &Buffer, size: usize) -> usize {
    buffer.shared.numbers.stamp(&vec![7; size]).len()
}

fn on_disk(folder: &Path, memory: usize, disk: u64) -> (Buffer, tokio::task::JoinHandle<()>, StatusHandle) {
    let config = Config { memory: SizeText(u64::try_from(memory).unwrap()), disk: SizeText(disk), path: folder.into() };
    let status = Board::default().handle("buffer");
    let (buffer, worker) = Buffer::open(&config, "n1", Metrics::default(), status.clone());
    let worker = worker.unwrap();
    (buffer, tokio::spawn(async move { worker.run().await.unwrap() }), status)
}

async fn take_all(buffer: &Buffer, count: usize) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    while tickets.len() < count {
        tickets.push(buffer.next().await);
    }
    tickets
}

#[tokio::test]
async fn log_batches_wait_for_room_and_get_their_receipt() {
    let buffer = Buffer::in_memory(2000);
    let receipt = buffer.send(batch(800)).await;
    let second = tokio::time::timeout(Duration::from_millis(20), buffer.send(batch(800))).await;
    assert!(second.is_err(), "the second does not fit");
    let ticket = buffer.next().await;
    let (sender, receiver) = oneshot::channel();
    let other = buffer.clone();
    tokio::spawn(async move { sender.send(other.send(batch(800)).await).unwrap() });
    buffer.settle(ticket, Outcome::Delivered);
    assert_eq!(receipt.await, Ok(Outcome::Delivered));
    let receipt = receiver.await.unwrap();
    let ticket = buffer.next().await;
    buffer.settle(ticket, Outcome::Refused("malformed".into()));
    assert_eq!(receipt.await, Ok(Outcome::Refused("malformed".into())));
    assert_eq!(buffer.memory_bytes(), 0);
}

#[tokio::test]
async fn a_batch_larger_than_memory_is_taken_when_it_is_alone() {
    let buffer = Buffer::in_memory(1000);
    let _receipt = buffer.send(batch(5000)).await;
    buffer.keep(batch(5000), false).await.unwrap();
    assert_eq!(take_all(&buffer, 2).await.len(), 2);
}

#[tokio::test]
async fn neither_logs_nor_samples_nor_the_backlog_starve() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, _worker, _) = on_disk(folder.path(), 1 << 20, 1 << 20);
    for _ in 0..6 {
        drop(buffer.send(batch(10)).await);
        buffer.keep(batch(20), false).await.unwrap();
    }
    buffer.keep(batch(30), true).await.unwrap();
    let mut lanes = Vec::new();
    for _ in 0..6 {
        let ticket = buffer.next().await;
        lanes.push(match ticket.origin {
            Origin::Log { .. } => "log",
            Origin::Kept => "kept",
            Origin::Disk(_) => "disk",
        });
    }
    assert_eq!(lanes, ["log", "kept", "disk", "log", "kept", "log"]);
}

#[tokio::test]
async fn without_a_disk_the_oldest_goes_and_is_counted() {
    let buffer = Buffer::in_memory(4000);
    for _ in 0..20 {
        buffer.keep(batch(900), false).await.unwrap();
        assert!(buffer.memory_bytes() <= 2000);
    }
    assert_eq!(buffer.metrics().dropped(), 18);
    assert!(matches!(buffer.keep(batch(1), true).await, Err(KeepError::Disk(_))));
}

#[tokio::test]
async fn a_sender_does_not_hang_while_all_of_memory_is_being_sent() {
    let buffer = Buffer::in_memory(2000);
    buffer.keep(batch(900), false).await.unwrap();
    let sent = buffer.next().await;
    for _ in 0..10 {
        buffer.keep(batch(900), false).await.unwrap();
        assert!(buffer.memory_bytes() < 2 * 1000, "one batch more than fits, not ten");
    }
    assert_eq!(buffer.metrics().dropped(), 9);
    buffer.settle(sent, Outcome::Delivered);
    assert!(buffer.memory_bytes() < 1000);
}

#[tokio::test]
async fn what_memory_cannot_hold_waits_on_disk_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, _worker, _) = on_disk(folder.path(), 4000, 1 << 20);
    for _ in 0..50 {
        buffer.keep(batch(900), false).await.unwrap();
        assert!(buffer.memory_bytes() <= 4000 + 1000, "memory stays flat: {}", buffer.memory_bytes());
    }
    for ticket in take_all(&buffer, 50).await {
        assert!(ticket.batch.body.ends_with(&[7; 900]));
        buffer.settle(ticket, Outcome::Delivered);
    }
    assert_eq!((buffer.metrics().dropped(), buffer.memory_bytes()), (0, 0));
}

#[tokio::test]
async fn what_was_not_delivered_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, worker, _) = on_disk(folder.path(), 1 << 20, 1 << 20);
    for size in [10, 20, 30] {
        buffer.keep(batch(size), false).await.unwrap();
    }
    buffer.keep(batch(40), true).await.unwrap();
    let sizes = [10, 20, 30, 40].map(|size| stamped(&buffer, size));
    let ticket = buffer.next().await;
    assert_eq!(ticket.batch.body.len(), sizes[0]);
    buffer.give_back(ticket);
    buffer.close().await;
    worker.await.unwrap();
    assert!(matches!(buffer.keep(batch(1), false).await, Err(KeepError::Stopping)));

    let (buffer, _worker, _) = on_disk(folder.path(), 1 << 20, 1 << 20);
    let mut found: Vec<usize> = take_all(&buffer, 4).await.iter().map(|ticket| ticket.batch.body.len()).collect();
    found.sort_unstable();
    assert_eq!(found, sizes);
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_reported_and_memory_goes_on() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let status = Board::default().handle("buffer");
    let config = Config { path: file.path().join("below-a-file"), ..Config::default() };
    let (buffer, worker) = Buffer::open(&config, "n1", Metrics::default(), status.clone());
    assert!(worker.is_none());
    assert_eq!(status.current().unwrap().state, State::Degraded);
    buffer.keep(batch(10), false).await.unwrap();
    assert_eq!(buffer.next().await.batch.items, 1);
}

#[tokio::test]
async fn a_disk_that_stops_taking_writes_is_reported_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, _worker, status) = on_disk(folder.path(), 1 << 20, 1 << 20);
    let files = folder.path().join("buffer");
    fs::remove_dir_all(&files).unwrap();
    let error = buffer.keep(batch(10), true).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot write the batch to disk"), "{error}");
    assert_eq!(status.current().unwrap().state, State::Degraded);
    fs::create_dir(&files).unwrap();
    buffer.keep(batch(10), true).await.unwrap();
    assert_eq!(status.current().unwrap().state, State::Ok);
}

#[tokio::test(start_paused = true)]
async fn delivery_stalls_when_log_batches_get_nowhere() {
    let buffer = Buffer::in_memory(10_000);
    assert!(!buffer.stalled());
    drop((buffer.send(batch(10)).await, buffer.send(batch(10)).await));
    tokio::time::advance(Duration::from_secs(4)).await;
    assert!(!buffer.stalled());
    tokio::time::advance(Duration::from_secs(4)).await;
    assert!(buffer.stalled());
    let ticket = buffer.next().await;
    buffer.settle(ticket, Outcome::Delivered);
    assert!(!buffer.stalled(), "one got through");
    tokio::time::advance(Duration::from_secs(8)).await;
    let ticket = buffer.next().await;
    buffer.give_back(ticket);
    assert!(buffer.stalled(), "the other does not");
    let ticket = buffer.next().await;
    buffer.settle(ticket, Outcome::Delivered);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(!buffer.stalled(), "nothing waits any more");
}

#[tokio::test]
async fn an_agent_without_a_collector_keeps_nothing() {
    let buffer = Buffer::without_collector();
    buffer.keep(batch(10), true).await.unwrap();
    let receipt = buffer.send(batch(10)).await;
    assert!(receipt.await.is_err(), "nothing is known of it");
    assert_eq!(buffer.memory_bytes(), 0);
}
