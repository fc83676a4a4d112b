//! Where data comes from: one folder for each source, each a function that runs until it is told to stop.
//!
//! A source gets a [`Context`]: where its tables, records and events go ([`Output`]), what runs on this node, the node
//! itself, the token that stops it and its line on the status board. A source that cannot see something says so on
//! the board and goes on with the rest; only a bug ends it early.
//!
//! To add one: a folder with `Config`, `METRICS` and `run(config, context)`; here the `mod`, one field of [`Config`]
//! and one line in [`spawn`].

pub mod cgroup;
pub mod logs;
pub mod host;
pub mod output;
pub mod poll;

use std::{collections::BTreeMap, sync::Arc};

pub use output::{Output, Page};
use tokio_util::sync::CancellationToken;
use yagura_model::Timestamp;

pub use crate::status::StatusHandle;
use crate::{inventory::Inventory, tags::Rules};

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
