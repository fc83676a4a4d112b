//! The agent's config: one field for each stage, whose module owns and checks it.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::Deserialize;
use yagura_daemon::{
    auth::{self, Guard},
    config::{Faults, Validate},
    logging, tls,
};

use crate::{
    buffer, export, sources,
    tags::{RuleConfig, RuleError, Rules},
};

/// Everything in `agent.yaml`, or under `agent:` in `yagura.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The node's name; the kernel's when absent.
    pub node_name: Option<String>,
    /// The cluster's name, when there are several.
    pub cluster: Option<String>,
    /// Tags on everything from this node.
    pub tags: BTreeMap<String, String>,
    /// Tags for containers whose teams gave none.
    pub rules: Vec<RuleConfig>,
    /// What is watched.
    pub sources: sources::Config,
    /// What may wait for the collector.
    pub buffer: buffer::Config,
    /// Where everything goes.
    pub export: export::Config,
    /// Where the agent's own pages are.
    pub admin: SocketAddr,
    /// A file with the bearer token that the pages ask for, all but `/live` and `/ready`.
    pub admin_token_file: Option<PathBuf>,
    /// TLS of the pages.
    pub admin_tls: Option<tls::ServerFiles>,
    /// Lets the pages be read from other machines without token and TLS.
    pub insecure: bool,
    /// What the agent says on stderr.
    pub log: logging::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node_name: None,
            cluster: None,
            tags: BTreeMap::new(),
            rules: Vec::new(),
            sources: sources::Config::default(),
            buffer: buffer::Config::default(),
            export: export::Config::default(),
            admin: SocketAddr::from(([127, 0, 0, 1], 7401)),
            admin_token_file: None,
            admin_tls: None,
            insecure: false,
            log: logging::Config::default(),
        }
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        if self.node_name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            faults.add("node_name", "expected a name; leave the key out to use the kernel's");
        }
        match Rules::new(&self.tags, &self.rules) {
            Ok(_) => {}
            Err(RuleError::Pattern { rule, key, reason }) => {
                faults.add(
                    format!("rules[{rule}].match.{key}"),
                    format!("expected a regular expression: {}", one_line(&reason)),
                );
            }
            Err(RuleError::SetsNothing { rule }) => {
                faults.add(format!("rules[{rule}].set"), "expected at least one tag");
            }
        }
        faults.check("sources", &self.sources);
        faults.check("buffer", &self.buffer);
        faults.check("export", &self.export);
        faults.check("log", &self.log);
        let guard =
            Guard { token: self.admin_token_file.is_some(), tls: self.admin_tls.is_some(), insecure: self.insecure };
        auth::check_listener("admin", self.admin, guard, faults);
    }
}

/// What is wrong with a pattern, without the drawing of where: one fault is one line.
fn one_line(reason: &regex::Error) -> String {
    let text = reason.to_string();
    text.lines().last().unwrap_or(&text).trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use yagura_daemon::config::parse;

    fn said(text: &str) -> String {
        match parse::<Config>("agent.yaml", text, &HashMap::new()) {
            Ok(_) => "good".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn everything_has_a_default() {
        assert_eq!(said(""), "good");
        assert_eq!(said("sources: {cgroup: null}"), "good");
    }

    #[test]
    fn bad_configs_say_where_and_what() {
        for (text, expected) in [
            ("nod_name: x", "agent.yaml:1:1: nod_name: unknown key, expected one of node_name, cluster,"),
            (
                "sources:\n  cgroup: {intervall: 10s}\n",
                "agent.yaml:2:12: sources.cgroup.intervall: unknown key, expected one of interval, root, proc; \
                 did you mean interval?",
            ),
            ("admin: here", "agent.yaml:1:8: admin: invalid socket address syntax"),
            ("admin: 0.0.0.0:7401", "agent.yaml:1:1: admin: expected a loopback address: 0.0.0.0:7401 can be reached"),
            ("buffer: {memory: 1KiB}", "agent.yaml:1:10: buffer.memory: expected at least 1MiB"),
            (
                "export:\n  endpoints:\n    - https://a\n    - nonsense",
                "agent.yaml:4:7: export.endpoints[1]: expected an address such as https://collector:7417",
            ),
            (
                "rules:\n  - match: {image: '('}\n    set: {env: x}",
                "agent.yaml:2:13: rules[0].match.image: expected a regular expression: unclosed group",
            ),
            ("log: {level: \"a=b=c\"}", "agent.yaml:1:7: log.level: expected a level such as info"),
        ] {
            let found = said(text);
            assert!(found.starts_with(expected), "{text:?} says\n{found}\nand not\n{expected}");
        }
    }
}
