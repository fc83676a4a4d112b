//! A process that is killed in the middle of it: everything acknowledged is there afterwards, exactly once.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use yagura_daemon::config::SizeText;
use yagura_model::Timestamp;

use super::open_in;
use crate::storage::{
    Selection,
    config::Config,
    conformance::{
        NOW,
        requests::{everything, file, gauge, logs, metrics, point, tailed, texts},
    },
};

/// Set for the child; its value is the directory, and the number it goes on from.
const CHILD: &str = "YAGURA_STORE_KILL_TEST";
const LINES: u64 = 20;
const SERIES: i64 = 15;

fn config() -> Config {
    // A small inbox: blocks and chunks are written all the time.
    Config { inbox: SizeText(20_000), log_head: SizeText(20_000), ..Config::default() }
}

#[expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
fn log_batch(number: u64) -> Bytes {
    let start = number * LINES * 10;
    let line = |n: u64| tailed(start + n * 10..start + n * 10 + 10, &format!("{:09}", number * LINES + n));
    let request = logs(
        texts(&[("service.name", "app")]),
        file("g", &[start..start + LINES * 10]),
        (0..LINES).map(line).collect(),
    );
    Bytes::from(request.encode_to_vec())
}

fn sample_batch(number: u64) -> Bytes {
    let after = i64::try_from(number).unwrap() * 100 - 3_000_000;
    let series = |n: i64| point(&[("n", &n.to_string())], after, n as f64 + number as f64);
    Bytes::from(metrics(vec![], vec![gauge("g", (0..SERIES).map(series).collect())]).encode_to_vec())
}

/// The child: appends, says the number of each batch that was acknowledged, and goes on until it is killed.
#[tokio::test]
async fn child() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let (path, first) = place.rsplit_once(' ').unwrap();
    let storage = open_in(path.as_ref(), &config());
    let mut out = std::io::stdout();
    for number in first.parse::<u64>().unwrap().. {
        let both = tokio::join!(
            storage.logs.append(log_batch(number), NOW),
            storage.metrics.append(sample_batch(number), NOW)
        );
        both.0.unwrap();
        both.1.unwrap();
        writeln!(out, "acknowledged {number}").unwrap();
        out.flush().unwrap();
    }
}

/// Runs the child from a batch on and kills it after some acknowledgements; the last one that was seen.
fn run_and_kill(path: &std::path::Path, first: u64, acknowledged: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "storage::embedded::tests::kill::child", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{} {first}", path.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let numbers = lines.filter_map(|line| line.rsplit_once("acknowledged ").map(|(_, number)| number.parse().unwrap()));
    let last = numbers.take(acknowledged).last().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    last
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_or_doubled_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = 0;
    for acknowledged in [37, 1, 80] {
        let last = run_and_kill(folder.path(), first, acknowledged);
        // As an agent does: what was not acknowledged is sent again, and to be sure some of what was.
        first = last.saturating_sub(3);
        let storage = open_in(folder.path(), &config());
        check(&storage, last).await;
        storage.engine.settle().await.unwrap();
        check(&storage, last).await;
        storage.engine.close().await.unwrap();
    }
}

async fn check(storage: &crate::storage::Storage, last: u64) {
    let entries =
        storage.logs.select(crate::storage::LogSelection { limit: usize::MAX, ..everything() }).await.unwrap();
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    for entry in &entries {
        *seen.entry(entry.line.parse().unwrap()).or_default() += 1;
    }
    assert!(seen.values().all(|count| *count == 1), "a line is there twice");
    let expected: Vec<u64> = (0..(last + 1) * LINES).collect();
    let held: Vec<u64> = seen.keys().copied().take(expected.len()).collect();
    assert_eq!(held, expected, "a line is missing");
    let from = NOW.minus(Duration::from_secs(4000));
    let selection = Selection { matchers: vec![], from, to: Timestamp(i64::MAX), max_samples: u64::MAX };
    let series = storage.metrics.select(selection).await.unwrap();
    assert_eq!(series.len(), usize::try_from(SERIES).unwrap());
    for series in series {
        let number: f64 = series.labels.get("n").unwrap().parse().unwrap();
        let values: Vec<f64> = series.samples.iter().map(|sample| sample.value).collect();
        let expected: Vec<f64> = (0..=last).map(|batch| number + batch as f64).collect();
        assert_eq!(values[..expected.len()], expected, "{}", series.labels);
    }
}
