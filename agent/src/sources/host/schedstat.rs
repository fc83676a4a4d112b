//! `/proc/schedstat`: how long tasks ran and waited, by CPU.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, counter},
};

const RUNNING: Metric = counter("node_schedstat_running_seconds_total", "s", "Time in which a CPU ran a task.");
const WAITING: Metric = counter("node_schedstat_waiting_seconds_total", "s", "Time that tasks waited for a CPU.");
const TIMESLICES: Metric = counter("node_schedstat_timeslices_total", "", "How often a CPU began to run a task.");

pub(super) const METRICS: &[Metric] = &[RUNNING, WAITING, TIMESLICES];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    for line in host.proc("schedstat")?.lines() {
        let Some(rest) = line.strip_prefix("cpu") else { continue };
        let mut words = rest.split_ascii_whitespace();
        let Some(cpu) = words.next() else { continue };
        let labels = &[("cpu", cpu)];
        // Six numbers of no interest come first; then two times in nanoseconds.
        sampler.put_scaled(&RUNNING, labels, words.nth(6), 1_000_000_000);
        sampler.put_scaled(&WAITING, labels, words.next(), 1_000_000_000);
        sampler.put_word(&TIMESLICES, labels, words.next());
    }
    Ok(())
}
