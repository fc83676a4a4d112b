//! Docker's containers: who they are, what happens to them, what state they are in.
//!
//! `connect` finds the daemon (docker, or podman's compatible socket), `watch` listens to its events and keeps the
//! inventory true, `convert` turns its answers into a [`crate::inventory::Container`], `events` what happens into log
//! records, `state` what it says of state into series. Nothing is missed between the list and the events: the stream
//! begins at an instant before the list is asked for, and at the last event known when there is one.
//!
//! The daemon is asked gently: at most four inspections at once, and one for each event that changes something.

pub mod checkpoint;
pub mod connect;
pub mod convert;
pub mod events;
pub mod filter;
pub mod state;
pub mod watch;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use tokio::sync::watch::{Receiver, channel};
use yagura_daemon::config::{DurationText, Faults, Validate};

use self::{filter::Filter, state::Reporter, watch::Watch};
use super::{Context, Page, poll::Ticks};
use crate::{series::Table, tags::MatchConfig};

pub use state::METRICS;

/// The `sources.docker` block.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The daemon's socket: a path, `unix://…`, or `tcp://host:port`. By default `DOCKER_HOST`, else the first of the
    /// usual sockets of docker and podman that is there.
    pub socket: Option<String>,
    /// How often the state of all containers is said.
    pub interval: DurationText,
    /// When there is any, only containers that match one of these are watched.
    pub include: Vec<MatchConfig>,
    /// Containers that match one of these are left alone: no series, no logs, no events.
    pub exclude: Vec<MatchConfig>,
    /// The folder for the checkpoint of events; not in the file: the agent says it.
    #[serde(skip)]
    pub state: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            socket: None,
            interval: DurationText(Duration::from_secs(10)),
            include: Vec::new(),
            exclude: Vec::new(),
            state: None,
        }
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        if let Err(error) = Filter::new(&self.include, &self.exclude) {
            faults.add(error.key(), error.reason());
        }
    }
}

/// Why the source ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lists in the config cannot be used; [`Config::validate`] says so before.
    #[error(transparent)]
    Filter(#[from] filter::FilterError),
}

/// Watches the daemon until told to stop. A daemon that is not there, or goes away, is waited for.
///
/// # Errors
///
/// Only when the config cannot be used.
pub async fn run(config: Config, context: Context) -> Result<(), Error> {
    let filter = Filter::new(&config.include, &config.exclude)?;
    let (connected, is_connected) = channel(false);
    let interval = config.interval.0;
    let watch = Box::pin(Watch::new(config, filter, context.clone(), connected).run());
    let both = async { tokio::join!(watch, report(interval, &context, is_connected)) };
    context.stop.run_until_cancelled(both).await;
    Ok(())
}

/// Says the state of all containers at each tick.
async fn report(interval: Duration, context: &Context, is_connected: Receiver<bool>) {
    let table = Arc::new(Mutex::new(Table::new("docker", &context.node.name)));
    context.out.page(Page::Docker, Arc::clone(&table));
    let mut reporter = Reporter::default();
    let mut ticks = Ticks::new(interval);
    while let Some(now) = ticks.next(context).await {
        context.inventory.sweep(now);
        let is_connected = *is_connected.borrow();
        let count = {
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            reporter.scrape(now, &context.inventory, is_connected, &mut table)
        };
        context.status.set("containers", count);
        context.out.publish(&table).await;
    }
}

#[cfg(test)]
mod tests;
