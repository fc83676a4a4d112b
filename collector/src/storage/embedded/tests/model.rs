//! Random appends, seals and crashes, against the reference engine.

use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use yagura_model::Timestamp;

use super::open_in;
use crate::storage::{
    LogSelection, Selection, Storage,
    config::Config,
    conformance::{
        NOW,
        requests::{everything, file, gauge, logs, metrics, point, sum, tailed, texts},
    },
    memory,
};

#[derive(Clone, Debug)]
enum Step {
    /// Samples: (series, minutes before now, value).
    Samples(Vec<(u8, i64, u8)>),
    /// The same as deltas.
    Deltas(Vec<(u8, i64, u8)>),
    /// Lines of a file: (file, first line, number of lines).
    Lines(u8, u64, u64),
    Settle,
    /// The directory as it is on disk right after the last acknowledgement is opened.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let samples = || proptest::collection::vec((0_u8..4, 0_i64..4000, 0_u8..3), 1..30);
    let step = prop_oneof![
        4 => samples().prop_map(Step::Samples),
        1 => samples().prop_map(Step::Deltas),
        4 => (0_u8..3, 0_u64..40, 1_u64..12).prop_map(|(file, first, count)| Step::Lines(file, first, count)),
        2 => Just(Step::Settle),
        2 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..14)
}

fn request(step: &Step) -> Option<(bool, Bytes)> {
    let points = |all: &[(u8, i64, u8)]| {
        all.iter()
            .map(|(series, ago, value)| point(&[("n", &series.to_string())], -ago * 60_000, f64::from(*value)))
            .collect()
    };
    match step {
        Step::Samples(all) => Some((true, Bytes::from(metrics(vec![], vec![gauge("g", points(all))]).encode_to_vec()))),
        Step::Deltas(all) => Some((true, Bytes::from(metrics(vec![], vec![sum("d", 1, points(all))]).encode_to_vec()))),
        Step::Lines(name, first, count) => {
            let record = |n: u64| tailed(n * 10..n * 10 + 10, &format!("line {n:04}"));
            let name = format!("file{name}");
            let range = first * 10..(first + count) * 10;
            let records = (*first..first + count).map(record).collect();
            let request = logs(texts(&[("service.name", &name)]), file(&name, std::slice::from_ref(&range)), records);
            Some((false, Bytes::from(request.encode_to_vec())))
        }
        Step::Settle | Step::Crash => None,
    }
}

/// Everything that can be read.
async fn all(storage: &Storage) -> String {
    let selection = Selection { matchers: vec![], from: Timestamp(0), to: NOW, max_samples: u64::MAX };
    let series = storage.metrics.select(selection).await.unwrap();
    let entries = storage.logs.select(LogSelection { limit: usize::MAX, ..everything() }).await.unwrap();
    let counts = storage.logs.count(everything(), std::time::Duration::from_secs(86_400)).await.unwrap();
    format!("{series:#?}\n{entries:#?}\n{counts:?}")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn run(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let mut place = folder.path().join("0");
    let mut storage = open_in(&place, &Config::default());
    let model = memory::open_with(&Config::default());
    for (number, step) in steps.iter().enumerate() {
        if let Some((is_metrics, request)) = request(step) {
            let (held, expected) = match is_metrics {
                true => (storage.metrics.append(request.clone(), NOW).await, model.metrics.append(request, NOW).await),
                false => (storage.logs.append(request.clone(), NOW).await, model.logs.append(request, NOW).await),
            };
            assert_eq!(held.unwrap(), expected.unwrap(), "step {number} of {steps:?}");
        }
        match step {
            Step::Settle => storage.engine.settle().await.unwrap(),
            Step::Crash => {
                // Copied while it is at work: what a crash leaves, half a batch at the journal's end included. So
                // little is written here that nothing is flushed meanwhile.
                let crashed = std::mem::replace(&mut place, folder.path().join((number + 1).to_string()));
                copy(&crashed, &place);
                storage.engine.close().await.unwrap();
                storage = open_in(&place, &Config::default());
            }
            _ => {}
        }
        assert_eq!(all(&storage).await, all(&model).await, "after step {number} of {steps:?}");
    }
    storage.engine.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn it_agrees_with_the_reference_engine(steps in steps()) {
        tokio::runtime::Runtime::new().unwrap().block_on(run(steps));
    }
}
