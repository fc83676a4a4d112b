//! Retention, a full disk, a broken write, closing.

use bytes::Bytes;
use prost::Message;
use yagura_daemon::config::{DurationText, SizeText};
use yagura_model::Timestamp;

use super::{super::open, open_in};
use crate::storage::{
    Error, Selection, Storage,
    config::{Config, Retention},
    conformance::{
        NOW,
        requests::{everything, gauge, line, logs, metrics, point, texts},
    },
};

const DAY: i64 = 86_400_000;

fn samples(after: i64) -> Bytes {
    Bytes::from(metrics(vec![], vec![gauge("g", vec![point(&[], after, 1.0)])]).encode_to_vec())
}

fn lines(after: i64) -> Bytes {
    Bytes::from(logs(texts(&[("service.name", "app")]), None, vec![line(after, "a line")]).encode_to_vec())
}

async fn times(storage: &Storage) -> Vec<i64> {
    let all = Selection { matchers: vec![], from: Timestamp(0), to: Timestamp(i64::MAX), max_samples: 1000 };
    let series = storage.metrics.select(all).await.unwrap();
    series.iter().flat_map(|series| &series.samples).map(|sample| (sample.time.0 - NOW.0) / DAY).collect()
}

#[tokio::test]
async fn days_past_retention_are_dropped_whole() {
    let folder = tempfile::tempdir().unwrap();
    let day = DurationText::seconds(24 * 3600);
    let retention = Retention { metrics: DurationText(day.0 * 3), logs: day, traces: day };
    let config = Config { retention, ..Config::default() };
    let storage = open_in(folder.path(), &config);
    for ago in [0, 1, 2] {
        storage.metrics.append(samples(-ago * DAY), NOW).await.unwrap();
    }
    storage.logs.append(lines(-DAY + 1000), NOW).await.unwrap();
    storage.engine.settle().await.unwrap();
    assert_eq!(times(&storage).await, [-2, -1, 0]);
    // Two days later; the time comes with what is appended.
    let later = Timestamp(NOW.0 + 2 * DAY);
    storage.metrics.append(samples(2 * DAY), later).await.unwrap();
    for after in [1000, 2000] {
        // Retention runs behind the commit that made it due, so it has run when the next one is acknowledged.
        storage.metrics.append(samples(2 * DAY + after), Timestamp(later.0 + 120_000)).await.unwrap();
    }
    assert_eq!(times(&storage).await, [-1, 0, 2, 2, 2]);
    assert_eq!(storage.logs.select(everything()).await.unwrap(), []);
    assert_eq!(storage.engine.figures().dropped_days, 2);
    storage.engine.close().await.unwrap();
    let storage = open_in(folder.path(), &config);
    assert_eq!(times(&storage).await, [-1, 0, 2, 2, 2]);
    storage.engine.close().await.unwrap();
}

#[tokio::test]
async fn the_oldest_days_go_when_the_store_is_over_its_size() {
    let folder = tempfile::tempdir().unwrap();
    // An empty store has a journal of 64 MiB already, so any size below is always too much.
    let config = Config { size: SizeText::mib(1), ..Config::default() };
    let storage = open_in(folder.path(), &config);
    for ago in [3, 2, 1, 0] {
        storage.metrics.append(samples(-ago * DAY), NOW).await.unwrap();
    }
    for after in [60_000, 61_000] {
        storage.metrics.append(samples(after), Timestamp(NOW.0 + 120_000)).await.unwrap();
    }
    assert_eq!(times(&storage).await, [0, 0, 0], "the newest day stays");
    let refused = storage.metrics.append(samples(-2 * DAY), NOW).await.unwrap();
    assert_eq!(refused.rejected.len(), 1, "what was dropped does not come back");
    storage.engine.close().await.unwrap();
}

#[tokio::test]
async fn writes_are_refused_while_only_the_reserve_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { path: folder.path().to_owned(), reserve: SizeText(u64::MAX), ..Config::default() };
    let (storage, _) = open(&config, NOW).unwrap();
    // The committer looks at the disk as soon as it runs; until then something may pass.
    let refused = loop {
        if let Err(error) = storage.metrics.append(samples(0), NOW).await {
            break error;
        }
    };
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    assert!(refused.to_string().contains("free some, or lower storage.size"), "{refused}");
    assert!(times(&storage).await.len() <= 1, "reading goes on");
    storage.state.write("rules", vec![("a".to_owned(), Some(vec![1]))]).await.unwrap();
    storage.engine.close().await.unwrap();
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open_in(folder.path(), &Config::default());
    storage.engine.close().await.unwrap();
    let refused = storage.metrics.append(samples(0), NOW).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    assert!(storage.logs.select(everything()).await.is_err());
}

#[tokio::test]
async fn a_store_that_broke_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { path: folder.path().to_owned(), reserve: SizeText(0), ..Config::default() };
    let (storage, store) = super::super::open_for_test(&config, NOW);
    storage.metrics.append(samples(0), NOW).await.unwrap();
    store.upgrade().unwrap().break_down("a test".to_owned());
    let mut refused = 0;
    while let Err(error) = storage.metrics.append(samples(1), NOW).await {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        refused += 1;
        tokio::task::yield_now().await;
    }
    assert!(refused > 0);
    assert_eq!(times(&storage).await.len(), 2, "what was acknowledged before is there");
    storage.engine.close().await.unwrap();
}
