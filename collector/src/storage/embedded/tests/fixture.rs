//! Directories written by released formats are opened for ever. To record one, set `YAGURA_RECORD_STORE` to the path
//! of the archive and run this file's tests; `fixtures/v1/README.md` says what is in it.

use std::{fs, path::Path};

use bytes::Bytes;
use prost::Message;

use super::{damage, open_in};
use crate::storage::{
    Appended,
    config::Config,
    conformance::{
        NOW,
        requests::{file, logs, tailed, texts},
    },
};

const V1: &[u8] = include_bytes!("../fixtures/v1/store.tar.zst");

#[expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
fn batch() -> Bytes {
    let request = logs(texts(&[("service.name", "tailed")]), file("generation", &[0..20]), vec![tailed(0..20, "once")]);
    Bytes::from(request.encode_to_vec())
}

#[tokio::test]
async fn record_when_asked() {
    let Ok(target) = std::env::var("YAGURA_RECORD_STORE") else { return };
    let folder = tempfile::tempdir().unwrap();
    damage::filled(folder.path()).await;
    let storage = open_in(folder.path(), &Config::default());
    storage.logs.append(batch(), NOW).await.unwrap();
    storage.engine.close().await.unwrap();
    for journal in damage::files(&folder.path().join("db")) {
        if journal.extension().is_some_and(|extension| extension == "jnl") {
            let used = damage::used(&journal);
            fs::OpenOptions::new().write(true).open(&journal).unwrap().set_len(used).unwrap();
        }
    }
    let compressed = zstd::stream::write::Encoder::new(fs::File::create(target).unwrap(), 19).unwrap();
    let mut archive = tar::Builder::new(compressed);
    archive.append_dir_all(".", folder.path()).unwrap();
    archive.into_inner().unwrap().finish().unwrap();
}

fn unpack(archive: &[u8], target: &Path) {
    tar::Archive::new(zstd::stream::read::Decoder::new(archive).unwrap()).unpack(target).unwrap();
}

#[tokio::test]
async fn a_store_of_format_1_opens() {
    let folder = tempfile::tempdir().unwrap();
    unpack(V1, folder.path());
    let storage = open_in(folder.path(), &Config::default());
    let (samples, records) = damage::held(&storage).await;
    assert_eq!((samples, records), (damage::ALL.0, damage::ALL.1 + 1));
    assert_eq!(storage.state.get("rules", "one").unwrap().as_deref(), Some(&b"remembered"[..]));
    let again = storage.logs.append(batch(), NOW).await.unwrap();
    assert_eq!(again, Appended { duplicates: 1, ..Appended::default() });
    assert_eq!(storage.engine.figures().damaged, 0);
    storage.engine.close().await.unwrap();
}
