//! Synthetic checks: is it up from outside?
//!
//! [`mod@file`] reads what to check, [`schedule`] runs each check at its interval, [`http`] makes one attempt, [`expect`]
//! judges the answer, [`ssrf`] says where a check may connect, [`series`] turns a run into samples under
//! blackbox_exporter's names, [`registry`] remembers runs and verdicts.
//!
//! A failure of the checker itself (no file descriptors left, say) is never the target's: the run is `unknown`.
//!
//! To add a kind of probe: a file here with its `run`, and its block in [`file::Check`].

mod connect;
mod expect;
pub mod file;
mod http;
pub mod registry;
pub mod run;
mod schedule;
mod series;
pub mod ssrf;
#[cfg(test)]
mod tests;
mod trace;
mod verify;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use yagura_daemon::tasks::Tasks;

pub use self::{
    file::Check,
    registry::Registry,
    run::{Failure, FailureClass, Run},
    series::METRICS,
};
use crate::storage::MetricStore;

/// Runs every check of the registry until told to stop.
pub async fn run(
    registry: Arc<Registry>,
    metrics: Arc<dyn MetricStore>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut tasks = Tasks::new();
    for check in registry.checks() {
        let name = format!("check {}", check.name);
        let task = schedule::repeat(check, Arc::clone(&registry), Arc::clone(&metrics), stop.clone());
        tasks.spawn(name, async move {
            task.await;
            Ok::<(), std::convert::Infallible>(())
        });
    }
    stop.cancelled().await;
    // A run in flight ends with its own timeout; nobody waits that long for a stop.
    tasks.join(std::time::Duration::from_millis(500)).await.or_else(|_| Ok(()))
}
