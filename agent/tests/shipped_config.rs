//! The reference config that people copy says what the code does, and the README describes every key of it.
#![expect(clippy::string_slice, reason = "helpers of tests")]

use std::collections::HashMap;

use yagura_agent::config::Config;
use yagura_daemon::config::parse;

const REFERENCE: &str = include_str!("../../deploy/config/agent.yaml");
const README: &str = include_str!("../README.md");

#[test]
fn the_reference_config_is_the_default() {
    let mut loaded: Config = parse("agent.yaml", REFERENCE, &HashMap::new()).unwrap();
    assert_eq!(loaded.node_name.take().as_deref(), Some("docker-host"));
    assert_eq!(std::mem::take(&mut loaded.export.endpoints), ["http://127.0.0.1:7417"]);
    assert_eq!(format!("{loaded:#?}"), format!("{:#?}", Config::default()));
}

#[test]
fn the_examples_in_its_comments_are_good_too() {
    let rules = REFERENCE.lines().skip_while(|line| *line != "# rules:").take_while(|line| !line.is_empty());
    let rules: String = rules.map(|line| format!("{}\n", &line[2..])).collect();
    let loaded: Config = parse("agent.yaml", &rules, &HashMap::new()).unwrap();
    assert_eq!(loaded.rules.len(), 1);
    for (key, indent) in [("include", "  docker: "), ("exclude", "  docker: "), ("files", "  logs: ")] {
        let line = REFERENCE.lines().find(|line| line.trim_start().starts_with(&format!("{key}: []"))).unwrap();
        let example = line.split_once("# ").unwrap().1;
        let text = format!("sources:\n{indent}\n    {key}: {example}\n");
        assert!(parse::<Config>("agent.yaml", &text, &HashMap::new()).is_ok(), "{text}");
    }
}

#[test]
fn the_readme_describes_every_key() {
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut keys = Vec::new();
    for line in REFERENCE.lines().filter(|line| !line.trim_start().starts_with('#') && line.contains(':')) {
        let indent = line.len() - line.trim_start().len();
        path.retain(|(depth, _)| *depth < indent);
        let (key, rest) = line.trim().split_once(':').unwrap();
        path.push((indent, key.to_owned()));
        let whole = path.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>().join(".");
        let rest = rest.split('#').next().unwrap().trim();
        if let Some(inner) = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).filter(|i| !i.is_empty()) {
            keys.extend(inner.split(", ").map(|pair| format!("{whole}.{}", pair.split(':').next().unwrap())));
        } else if !rest.is_empty() {
            keys.push(whole);
        }
    }
    assert!(keys.len() > 30, "{keys:?}");
    let missing: Vec<_> = keys.iter().filter(|key| !README.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "agent/README.md does not describe {missing:?}");
}
