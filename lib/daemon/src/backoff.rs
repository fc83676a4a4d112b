//! When to try again: exponential, jittered, capped.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

/// The waits between the attempts of one thing.
///
/// Each wait is drawn evenly from the upper half of a span that doubles up to the cap, so that many daemons that lost
/// the same collector do not come back at the same instant.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    attempt: u32,
    random: RandomState,
}

impl Backoff {
    /// Waits of about `first`, doubling up to `cap`.
    #[must_use]
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, attempt: 0, random: RandomState::new() }
    }

    /// How long to wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(self.attempt.min(31)).unwrap_or(u32::MAX));
        let span = doubled.min(self.cap);
        self.attempt = self.attempt.saturating_add(1);
        span.mul_f64(0.5 + self.unit() / 2.0)
    }

    /// The next wait, but at least what the other side asked for.
    pub fn next_wait_at_least(&mut self, asked: Option<Duration>) -> Duration {
        let wait = self.next_wait();
        asked.map_or(wait, |asked| wait.max(asked))
    }

    /// An attempt succeeded: the next failure waits briefly again.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// How many attempts failed in a row.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempt
    }

    /// A number in 0..1 from the process's hash seed, which is random enough to spread retries.
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit a float exactly")]
    fn unit(&self) -> f64 {
        let mut hasher = self.random.build_hasher();
        hasher.write_u32(self.attempt);
        (hasher.finish() >> 32) as f64 / 4_294_967_296.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for expected in [100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.next_wait().as_millis();
            assert!((expected / 2..=expected).contains(&wait), "{wait} for {expected}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }

    #[test]
    fn two_daemons_do_not_wait_alike() {
        let waits = |mut backoff: Backoff| (0..4).map(|_| backoff.next_wait()).collect::<Vec<_>>();
        let new = || Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        assert_ne!(waits(new()), waits(new()));
    }

    #[test]
    fn the_other_side_may_ask_for_more_time_but_not_for_less() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8));
        assert_eq!(backoff.next_wait_at_least(Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert!(backoff.next_wait_at_least(Some(Duration::ZERO)) >= Duration::from_millis(500));
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for _ in 0..100 {
            assert!(backoff.next_wait() <= Duration::from_secs(60));
        }
    }
}
