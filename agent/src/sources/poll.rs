//! When a source scrapes: at once, after one and two seconds (so that a first chart has a line), then at its interval.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep_until};
use yagura_daemon::clock;
use yagura_model::Timestamp;

use super::Context;

/// The first scrapes, before the interval sets in.
const WARM_UP: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2)];

/// The instants at which a source scrapes.
#[derive(Debug)]
pub struct Ticks {
    start: Instant,
    interval: Duration,
    warm_up: std::slice::Iter<'static, Duration>,
    /// The last instant given, as time since the start.
    last: Duration,
    overruns: u64,
}

impl Ticks {
    /// Ticks from now on.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        let interval = interval.max(Duration::from_millis(100));
        Self { start: Instant::now(), interval, warm_up: WARM_UP.iter(), last: Duration::ZERO, overruns: 0 }
    }

    /// Waits for the next tick and tells the time; `None` once the source is to stop. Ticks that passed while the
    /// caller was busy are skipped and counted.
    pub async fn next(&mut self, context: &Context) -> Option<Timestamp> {
        let (at, missed) = self.schedule(self.start.elapsed());
        if missed > 0 {
            self.overruns = self.overruns.saturating_add(missed);
            context.status.set("overruns", self.overruns);
        }
        let wait = sleep_until(self.start + at);
        context.stop.run_until_cancelled(wait).await.map(|()| clock::now())
    }

    /// How many ticks were skipped because a scrape took longer than the interval.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.overruns
    }

    /// The next tick, `passed` after the start, and how many were missed.
    fn schedule(&mut self, passed: Duration) -> (Duration, u64) {
        if let Some(at) = self.warm_up.find(|at| **at + self.interval > passed) {
            self.last = *at;
            return (*at, 0);
        }
        let mut missed = 0;
        self.last += self.interval;
        while self.last + self.interval <= passed {
            self.last += self.interval;
            missed += 1;
        }
        (self.last, missed)
    }
}

/// Runs `scrape` at every tick until the source is to stop.
pub async fn every<F: Future<Output = ()>>(
    interval: Duration,
    context: &Context,
    mut scrape: impl FnMut(Timestamp) -> F,
) {
    let mut ticks = Ticks::new(interval);
    while let Some(now) = ticks.next(context).await {
        scrape(now).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(ticks: &mut Ticks, passed: f64) -> (f64, u64) {
        let (at, missed) = ticks.schedule(Duration::from_secs_f64(passed));
        (at.as_secs_f64(), missed)
    }

    #[tokio::test(start_paused = true)]
    async fn scrapes_come_at_0_1_and_2_seconds_and_then_at_the_interval() {
        let mut ticks = Ticks::new(Duration::from_secs(10));
        let at: Vec<f64> = [0.0, 0.1, 1.1, 2.1, 12.1].map(|passed| schedule(&mut ticks, passed).0).into();
        assert_eq!(at, [0.0, 1.0, 2.0, 12.0, 22.0]);
        assert_eq!(ticks.overruns(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_scrape_that_takes_too_long_skips_ticks() {
        let mut ticks = Ticks::new(Duration::from_secs(10));
        for passed in [0.0, 0.1, 1.1] {
            schedule(&mut ticks, passed);
        }
        assert_eq!(schedule(&mut ticks, 35.0), (32.0, 2));
        assert_eq!(schedule(&mut ticks, 35.1), (42.0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn polling_ends_when_the_source_is_to_stop() {
        let context = super::super::testing::context("poll");
        let stop = context.stop.clone();
        let mut count = 0;
        every(Duration::from_secs(5), &context, |_| {
            count += 1;
            if count == 5 {
                stop.cancel();
            }
            std::future::ready(())
        })
        .await;
        assert_eq!(count, 5);
    }
}
