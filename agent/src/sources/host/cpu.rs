//! CPU time by mode, from `/proc/stat`.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, counter},
};

const SECONDS: Metric = counter("node_cpu_seconds_total", "s", "Time each CPU spent in each mode.");
const GUEST: Metric = counter(
    "node_cpu_guest_seconds_total",
    "s",
    "Time each CPU ran virtual machines; it counts in the modes user and nice as well.",
);

pub(super) const METRICS: &[Metric] = &[SECONDS, GUEST];

/// In the order of the columns.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const GUEST_MODES: [&str; 2] = ["user", "nice"];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let ticks = u32::try_from(procfs::ticks_per_second()).unwrap_or(100);
    for line in host.proc("stat")?.lines() {
        let mut words = line.split_ascii_whitespace();
        // The line without a number is the sum of the others.
        let Some(cpu) = words.next().and_then(|word| word.strip_prefix("cpu")).filter(|cpu| !cpu.is_empty()) else {
            continue;
        };
        for mode in MODES {
            sampler.put_scaled(&SECONDS, &[("cpu", cpu), ("mode", mode)], words.next(), ticks);
        }
        for mode in GUEST_MODES {
            sampler.put_scaled(&GUEST, &[("cpu", cpu), ("mode", mode)], words.next(), ticks);
        }
    }
    Ok(())
}
