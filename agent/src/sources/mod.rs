//! Where data comes from: one folder for each source, each a function that runs until it is told to stop.
//!
//! A source gets a [`Context`]: where its tables, records and events go ([`Output`]), what runs on this node, the node
//! itself, the token that stops it and its line on the status board. A source that cannot see something says so on
//! the board and goes on with the rest; only a bug ends it early.
//!
//! To add one: a folder with `Config`, `METRICS` and `run(config, context)`; here the `mod`, one field of [`Config`]
//! and one line in [`spawn`].

pub mod cgroup;
#[cfg(test)]
mod contract;
pub mod docker;
pub mod host;
pub mod logs;
pub mod output;
pub mod own;
pub mod poll;

use std::{collections::BTreeMap, sync::Arc};

pub use output::{Output, Page};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use yagura_daemon::{
    config::{Faults, Validate},
    tasks::Tasks,
};
use yagura_model::{Metric, Timestamp};

pub use crate::status::StatusHandle;
use crate::{inventory::Inventory, tags::Rules};

/// The `sources` block. A source that is not mentioned runs with its defaults; `null` turns it off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The machine itself.
    pub host: Option<host::Config>,
    /// Containers, from the kernel.
    pub cgroup: Option<cgroup::Config>,
    /// Containers, from docker or podman: what they are called, their state, what happens to them.
    pub docker: Option<docker::Config>,
    /// Logs of containers and files.
    pub logs: Option<logs::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: Some(host::Config::default()),
            cgroup: Some(cgroup::Config::default()),
            docker: Some(docker::Config::default()),
            logs: Some(logs::Config::default()),
        }
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        if let Some(docker) = &self.docker {
            faults.check("docker", docker);
        }
        if let Some(logs) = &self.logs {
            faults.check("logs", logs);
        }
    }
}

/// Starts every source that is configured; `context` makes the context of a source from its name.
pub fn spawn(config: Config, tasks: &mut Tasks, context: impl Fn(&'static str) -> Context) {
    if let Some(config) = config.host {
        tasks.spawn("host", host::run(config, context("host")));
    }
    if let Some(config) = config.cgroup {
        tasks.spawn("cgroup", cgroup::run(config, context("cgroup")));
    }
    if let Some(config) = config.docker {
        tasks.spawn("docker", docker::run(config, context("docker")));
    }
    if let Some(config) = config.logs {
        tasks.spawn("logs", logs::run(config, context("logs")));
    }
}

/// Every metric that the agent can emit, by the part that emits it.
pub const METRICS: &[(&str, &[Metric])] = &[
    ("host", host::METRICS),
    ("cgroup", cgroup::METRICS),
    ("docker", docker::METRICS),
    ("logs", logs::METRICS),
    ("own", own::METRICS),
    ("buffer", crate::buffer::METRICS),
    ("export", crate::export::METRICS),
];

/// What every source is given.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where tables, records and events go.
    pub out: Output,
    /// What runs on this node.
    pub inventory: Inventory,
    /// The node itself.
    pub node: Arc<Node>,
    /// Cancelled when the source is to stop.
    pub stop: CancellationToken,
    /// The source's line on the status board.
    pub status: StatusHandle,
}

/// What is known of this machine.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name: `instance` of every series, `host.name` of every record.
    pub name: String,
    /// The cluster it belongs to, if there are several.
    pub cluster: Option<String>,
    /// Tags on everything from this node.
    pub tags: BTreeMap<String, String>,
    /// Rules of the config that say what containers are called.
    pub rules: Arc<Rules>,
    /// When it was booted: since when its counters count.
    pub boot: Timestamp,
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A context whose output nobody takes away: what a source published is on its pages and in the buffer.
    pub(crate) fn context(name: &'static str) -> Context {
        context_with(name, crate::buffer::Buffer::in_memory(64 * 1024 * 1024))
    }

    /// A context with this buffer.
    pub(crate) fn context_with(name: &'static str, buffer: crate::buffer::Buffer) -> Context {
        let node = Node {
            name: "n1".into(),
            cluster: None,
            tags: BTreeMap::new(),
            rules: Arc::default(),
            boot: Timestamp(1_000_000),
        };
        Context {
            out: Output::new(buffer),
            inventory: Inventory::new(),
            node: Arc::new(node),
            stop: CancellationToken::new(),
            status: crate::status::Board::default().handle(name),
        }
    }
}
