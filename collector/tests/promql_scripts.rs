//! Prometheus' own test scripts, and ours in the same language, against the evaluator.
//!
//! Theirs are data of another project and lie outside this one: the folder that the environment variable
//! `PROMQL_TESTS` names, else `../shared/reference/promql-tests` beside the workspace.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    unreachable_pub,
    reason = "helpers of tests beside them"
)]

#[path = "promql/script.rs"]
mod script;
#[path = "promql/store.rs"]
mod store;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use yagura_collector::query::promql::{Engine, Limits};

use crate::{script::Case, store::ListStore};

/// The cases of Prometheus' scripts that fail today: file, line of the `eval`, and why. All others must pass, and
/// these must fail, so that a case that starts to pass is taken off.
const FAILING: &[(&str, &[usize], &str)] = &[
    (
        "aggregators.test",
        &[
            239, 244, 252, 257, 370, 374, 378, 382, 386, 390, 396, 400, 404, 408, 412, 416, 447, 453, 459, 467, 474,
            520, 528, 573, 805, 809, 814, 817, 820, 825, 837, 841, 845, 850,
        ],
        "native histograms are not held by our store",
    ),
    (
        "functions.test",
        &[
            47, 52, 92, 97, 245, 249, 256, 260, 264, 267, 271, 290, 295, 300, 328, 332, 339, 343, 347, 350, 353, 384,
            388, 445, 449, 551, 660, 663, 666, 906, 1061, 1065, 1070, 1073, 1076, 1253, 1261, 1315, 1343, 1365, 1442,
            1597, 1617, 1625, 1637, 1649, 1750, 1752, 1845, 1847, 2020,
        ],
        "native histograms are not held by our store",
    ),
    (
        "limit.test",
        &[34, 44, 49, 52, 56, 61, 66, 69, 72, 75, 79, 110, 114, 118, 123, 131, 139, 146, 154, 166, 169, 173],
        "native histograms are not held by our store",
    ),
    ("range_queries.test", &[93], "native histograms are not held by our store"),
];

async fn run(path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path).unwrap();
    let store = ListStore::default();
    let engine = Engine::new(Arc::new(store.clone()), Limits::default());
    script::run(&text, &store, &engine).await
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "test")).collect();
    scripts.sort();
    scripts
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[tokio::test]
async fn our_own_scripts_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/query/promql/fixtures");
    let mut faults = Vec::new();
    let mut cases = 0;
    for path in scripts(&folder) {
        for case in run(&path).await {
            cases += 1;
            if let Some(fault) = case.fault {
                faults.push(format!("{}:{}: {}\n    {fault}", file_name(&path), case.line, case.query));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(cases > 50, "only {cases} cases were found");
}

#[tokio::test]
async fn the_scripts_of_prometheus_pass_save_those_listed() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference/promql-tests");
    let folder = std::env::var_os("PROMQL_TESTS").map_or(default, PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: {} is not there; set PROMQL_TESTS to a folder of *.test files", folder.display());
        return;
    }
    let mut faults = Vec::new();
    for path in scripts(&folder) {
        let name = file_name(&path);
        let listed: Vec<usize> =
            FAILING.iter().filter(|(file, ..)| *file == name).flat_map(|(_, lines, _)| lines.to_vec()).collect();
        let cases = run(&path).await;
        let failed = cases.iter().filter(|case| case.fault.is_some()).count();
        println!("{name}: {} passed, {failed} failed", cases.len() - failed);
        for case in cases {
            match (&case.fault, listed.contains(&case.line)) {
                (Some(fault), false) => faults.push(format!("{name}:{}: {}\n    {fault}", case.line, case.query)),
                (None, true) => faults.push(format!("{name}:{}: passes now; take it off the list", case.line)),
                _ => {}
            }
        }
    }
    assert!(faults.is_empty(), "{} cases:\n{}", faults.len(), faults.join("\n"));
}
