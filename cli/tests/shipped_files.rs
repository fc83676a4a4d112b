//! What is shipped beside the binaries is true: generated documents are current, dashboards and rules ask for metrics
//! that exist, paths in the documents exist, reference configs load.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a file of the project that cannot be read is a failed test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use yagura_collector::query::promql;
use yagura_model::{Kind, Metric};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every metric there is, by the part that emits it.
fn metrics() -> Vec<(&'static str, &'static [Metric])> {
    let mut parts = yagura_agent::sources::METRICS.to_vec();
    parts.push(("checks", yagura_collector::probes::METRICS));
    parts
}

/// Series that are made from others, by the collector itself.
const MADE: [&str; 3] = ["ALERTS", "ALERTS_FOR_STATE", "up"];

#[test]
fn the_list_of_metrics_is_current() {
    let mut page = String::from(
        "# Metrics\n\nMade from the tables in the code; `UPDATE_DOCS=1 cargo test -p yagura --test shipped_files` writes \
         it anew.\nNames, labels and units are those of the exporter whose place a part takes; what begins with \
         `yagura_` is our own.\n",
    );
    for (part, metrics) in metrics() {
        write!(page, "\n## {part}\n\n| metric | type | unit | what |\n|---|---|---|---|\n").unwrap();
        for metric in metrics {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Untyped => "untyped",
            };
            let help = metric.help.replace('|', "\\|");
            writeln!(page, "| `{}` | {kind} | {} | {help} |", metric.name, metric.unit).unwrap();
        }
    }
    let path = root().join("docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/metrics.md is not current; UPDATE_DOCS=1 writes it anew");
}

#[test]
fn every_metric_says_what_it_is_and_no_name_is_taken_twice() {
    let mut names = BTreeSet::new();
    for (part, metrics) in metrics() {
        for metric in metrics {
            assert!(names.insert(metric.name), "{part}: {} stands in two tables", metric.name);
            assert!(metric.help.len() > 5, "{part}: {} has no help", metric.name);
        }
    }
}

/// Every `"expr": "…"` of a JSON document that goes to Prometheus.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            let loki =
                object.get("datasource").and_then(|source| source.get("type")).is_some_and(|kind| kind == "loki");
            if let (Some(text), false) = (object.get("expr").and_then(serde_json::Value::as_str), loki) {
                found.push(text.to_owned());
            }
            object.values().for_each(|value| expressions(value, found));
        }
        serde_json::Value::Array(array) => array.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(ending));
    files.sort();
    assert!(!files.is_empty(), "no {ending} in {folder}");
    files
}

/// An expression parses, and somebody emits every metric that it selects.
fn check_expression(file: &Path, expression: &str) {
    let known: BTreeSet<&str> =
        metrics().iter().flat_map(|(_, metrics)| metrics.iter().map(|metric| metric.name)).chain(MADE).collect();
    let plain = expression.replace("$__rate_interval", "1m").replace("$__interval", "1m").replace("$__range", "1h");
    let parsed = promql::parse(&plain).unwrap_or_else(|error| panic!("{}: {expression}: {error}", file.display()));
    for name in parsed.metric_names() {
        assert!(known.contains(name), "{}: {expression}: nobody emits {name}", file.display());
    }
}

#[test]
fn dashboards_ask_for_metrics_that_exist() {
    for file in files("dashboards", ".json") {
        let document: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let mut found = Vec::new();
        expressions(&document, &mut found);
        assert!(found.len() > 10, "{}", file.display());
        found.iter().for_each(|expression| check_expression(&file, expression));
    }
}

/// As much of a rule file as is looked at here.
#[derive(serde::Deserialize)]
struct RuleFile {
    groups: Vec<RuleGroup>,
}

#[derive(serde::Deserialize)]
struct RuleGroup {
    rules: Vec<Rule>,
}

#[derive(serde::Deserialize)]
struct Rule {
    expr: String,
}

#[test]
fn rules_ask_for_metrics_that_exist() {
    for file in files("deploy/rules", ".yaml").iter().filter(|file| !file.to_string_lossy().ends_with(".yagura.yaml")) {
        let rules: RuleFile = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let rules: Vec<_> = rules.groups.into_iter().flat_map(|group| group.rules).collect();
        assert!(!rules.is_empty(), "{}", file.display());
        rules.iter().for_each(|rule| check_expression(file, &rule.expr));
    }
}

#[test]
fn paths_in_the_documents_exist() {
    let path = regex::Regex::new(r"`((?:agent|collector|cli|lib|deploy|dashboards|benches|docs)/[\w./-]+)`").unwrap();
    for document in ["docs/architecture.md", "README.md"] {
        let text = read(document);
        for found in path.captures_iter(&text) {
            assert!(root().join(&found[1]).exists(), "{document} names {}, which is not there", &found[1]);
        }
    }
}

#[test]
fn links_in_the_readme_lead_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)#:]+)(?:#[^)]*)?\)").unwrap();
    for found in link.captures_iter(&read("README.md")) {
        assert!(root().join(&found[1]).exists(), "README.md links to {}, which is not there", &found[1]);
    }
}

/// As much of the compose file as is looked at here.
#[derive(serde::Deserialize)]
struct Compose {
    configs: BTreeMap<String, ComposeConfig>,
}

#[derive(serde::Deserialize)]
struct ComposeConfig {
    content: String,
}

#[test]
fn the_configs_in_the_compose_file_are_good() {
    let compose: Compose = serde_saphyr::from_str(&read("deploy/compose.yaml")).unwrap();
    let text = |name: &str| compose.configs[name].content.clone();
    let environment = std::collections::HashMap::new();
    let agent = yagura_daemon::config::parse::<yagura_agent::config::Config>("agent", &text("agent"), &environment);
    assert!(agent.is_ok(), "{}", agent.unwrap_err());
    let collector =
        yagura_daemon::config::parse::<yagura_collector::Config>("collector", &text("collector"), &environment);
    assert!(collector.is_ok(), "{}", collector.unwrap_err());
}
