//! Each check at its own interval, spread by its name so that a hundred checks do not start together.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;
use yagura_daemon::clock;
use yagura_model::Timestamp;

use super::{
    file::Check,
    http,
    registry::Registry,
    run::{FailureClass, Run},
    series,
};
use crate::{series::append, storage::MetricStore};

/// The first run comes within this time after the start, so that a new check is seen at once.
const FIRST_RUN: Duration = Duration::from_secs(2);

/// Runs one check until told to stop.
pub(super) async fn repeat(
    check: Arc<Check>,
    registry: Arc<Registry>,
    metrics: Arc<dyn MetricStore>,
    stop: CancellationToken,
) {
    let mut ticks = interval_at(Instant::now() + spread(&check), check.interval.0);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let Some(run) = stop.run_until_cancelled(Box::pin(run(&check))).await else { return };
        let now = clock::now();
        let samples = series::samples(&check, registry.location(), &run);
        if let Err(error) = append(&*metrics, &samples, series::METRICS, now).await {
            tracing::warn!(check = check.name, %error, "the samples of a check could not be stored");
        }
        registry.record(&check.name, run).await;
    }
}

/// When in its interval a check runs: by a hash of its name, the same after every restart.
fn spread(check: &Check) -> Duration {
    let window = check.interval.0.min(FIRST_RUN);
    let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(xxh3_64(check.name.as_bytes()) % window)
}

/// One run: attempts until one succeeds or there are no more.
async fn run(check: &Check) -> Run {
    let began = Instant::now();
    let started: Timestamp = clock::now();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let mut run = http::attempt(check, clock::now()).await;
        let own_fault = run.failure.as_ref().is_some_and(|failure| failure.class == FailureClass::Checker);
        if run.success == Some(true) || own_fault || attempts > check.retries {
            run.attempts = attempts;
            run.started = started;
            if attempts > 1 {
                run.duration_seconds = began.elapsed().as_secs_f64();
            }
            return run;
        }
        tokio::time::sleep(check.retry_after.0).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_do_not_start_together() {
        let starts: std::collections::HashSet<_> =
            (0..50).map(|number| spread(&Check { name: format!("c{number}"), ..Check::default() })).collect();
        assert!(starts.len() > 40);
        assert!(starts.iter().all(|start| *start < FIRST_RUN));
    }
}
