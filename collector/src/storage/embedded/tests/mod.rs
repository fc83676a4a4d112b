//! Tests of the whole engine.

mod damage;
mod fixture;
mod kill;
mod model;
mod whole;

use std::path::Path;

use super::open;
use crate::storage::{
    Storage,
    config::Config,
    conformance::{self, Mode, NOW},
};

/// Opens the engine in a directory.
fn open_in(path: &Path, config: &Config) -> Storage {
    let config = Config { path: path.to_owned(), reserve: yagura_daemon::config::SizeText(0), ..config.clone() };
    let (storage, recovery) = open(&config, NOW).unwrap();
    assert_eq!(recovery.lost, [], "{recovery}");
    storage
}

async fn suite(mode: Mode) {
    let mut folder = tempfile::tempdir().unwrap();
    let open = &mut |config: &Config, new: bool| {
        if new {
            folder = tempfile::tempdir().unwrap();
        }
        open_in(folder.path(), config)
    };
    conformance::check_all(mode, open).await;
}

#[tokio::test]
async fn the_suite_passes() {
    suite(Mode::Plain).await;
}

#[tokio::test]
async fn the_suite_passes_when_everything_is_in_blocks() {
    suite(Mode::Settled).await;
}

#[tokio::test]
async fn the_suite_passes_when_the_inbox_is_replayed_each_time() {
    suite(Mode::Reopened).await;
}

#[tokio::test]
async fn the_suite_passes_when_everything_is_read_from_disk() {
    suite(Mode::SettledAndReopened).await;
}
