//! Damaged directories: the engine starts, says what is wrong, and serves the rest.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use prost::Message;
use yagura_daemon::config::SizeText;

use super::{super::open, open_in};
use crate::storage::{
    Storage,
    config::Config,
    conformance::{
        NOW,
        requests::{everything, gauge, line, logs, metrics, point, texts},
    },
};

fn bytes(message: &impl Message) -> Bytes {
    Bytes::from(message.encode_to_vec())
}

/// Days with something in chunks and blocks, and something in the inbox only.
pub(super) async fn filled(path: &Path) {
    let storage = open_in(path, &Config::default());
    for day in (0_i64..3).rev() {
        append(&storage, day * 86_400_000).await;
        if day > 0 {
            storage.engine.settle().await.unwrap();
        }
    }
    let value = Some(b"remembered".to_vec());
    storage.state.write("rules", vec![("one".to_owned(), value)]).await.unwrap();
    storage.engine.close().await.unwrap();
}

async fn append(storage: &Storage, ago: i64) {
    let series = |n: i64| (0..30).map(move |step| point(&[("n", &n.to_string())], step * 100 - ago, (n * step) as f64));
    let request = metrics(vec![], vec![gauge("g", (0..20).flat_map(series).collect())]);
    storage.metrics.append(bytes(&request), NOW).await.unwrap();
    let lines = (0..200).map(|n| line(n - ago, &format!("line {n} of the day"))).collect();
    storage.logs.append(bytes(&logs(texts(&[("service.name", "app")]), None, lines)), NOW).await.unwrap();
}

/// How many samples and records can be read.
pub(super) async fn held(storage: &Storage) -> (usize, usize) {
    let selection = crate::storage::Selection {
        matchers: vec![],
        from: NOW.minus(std::time::Duration::from_secs(9 * 86_400)),
        to: NOW.plus(std::time::Duration::from_secs(60)),
        max_samples: u64::MAX,
    };
    let series = storage.metrics.select(selection).await.unwrap();
    let samples = series.iter().map(|series| series.samples.len()).sum();
    (samples, storage.logs.select(everything()).await.unwrap().len())
}

pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Opens a damaged copy, reads and writes; what is wrong, in words, and what could be read.
async fn survives(path: &Path) -> (String, (usize, usize)) {
    let config = Config { path: path.to_owned(), reserve: SizeText(0), ..Config::default() };
    let (storage, recovery) = open(&config, NOW).unwrap_or_else(|error| panic!("{error}"));
    let read = held(&storage).await;
    append(&storage, 50_000).await;
    let (samples, records) = held(&storage).await;
    assert!(samples >= 600 && records >= 200, "{samples} samples and {records} records after {recovery}");
    let damaged = storage.engine.figures().damaged;
    storage.engine.close().await.unwrap();
    (format!("{recovery}; {damaged} damaged"), read)
}

pub(super) const ALL: (usize, usize) = (1800, 600);

#[tokio::test]
async fn any_file_may_be_cut_or_changed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    filled(&whole).await;
    assert_eq!(survives(&duplicate(&whole, "untouched")).await.1, ALL);
    let mut noticed = 0;
    for file in files(&whole.join("db")) {
        let name = file.strip_prefix(&whole).unwrap().to_owned();
        let length = used(&file);
        if length == 0 || name.ends_with("names.txt") {
            continue;
        }
        for (how, damage) in [("cut", None), ("changed", Some(length / 2)), ("changed at its end", Some(length - 1))] {
            let copy = duplicate(&whole, "copy");
            let target = copy.join(&name);
            match damage {
                None => fs::OpenOptions::new().write(true).open(&target).unwrap().set_len(length / 2).unwrap(),
                Some(at) => {
                    let mut content = fs::read(&target).unwrap();
                    content[usize::try_from(at).unwrap()] ^= 0x10;
                    fs::write(&target, content).unwrap();
                }
            }
            println!("{} {how}", name.display());
            let (said, read) = survives(&copy).await;
            println!("    {said}: {read:?}");
            let silent = said.ends_with(" 0 damaged");
            // Half a batch at the end of a journal is what a crash leaves, and is not told from it.
            let journal = name.extension().is_some_and(|extension| extension == "jnl");
            assert!(read == ALL || !silent || journal, "{} {how} lost something without a word", name.display());
            noticed += usize::from(!silent);
        }
    }
    assert!(noticed > 10, "{noticed}");
}

fn duplicate(whole: &Path, name: &str) -> PathBuf {
    let target = whole.with_file_name(name);
    if target.exists() {
        fs::remove_dir_all(&target).unwrap();
    }
    copy(whole, &target);
    target
}

/// The length of a file without the zeros at its end.
pub(super) fn used(path: &Path) -> u64 {
    let content = fs::read(path).unwrap();
    content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_named_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let config = Config { path: file.join("store"), ..Config::default() };
    let error = open(&config, NOW).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot use {} as storage.path: ", config.path.display())), "{error}");
    assert!(error.ends_with("; make it writable for this user, or name another directory"), "{error}");
}

#[tokio::test]
async fn a_directory_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open_in(folder.path(), &Config::default());
    let config = Config { path: folder.path().to_owned(), ..Config::default() };
    let error = open(&config, NOW).unwrap_err().to_string();
    assert!(error.contains("is in use by another process"), "{error}");
    storage.engine.close().await.unwrap();
}
