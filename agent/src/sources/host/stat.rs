//! `/proc/stat` but for the CPUs: interrupts, switches, processes, boot time.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Field, Sampler, counter, find, gauge, metrics},
};

const FIELDS: &[Field; 6] = &[
    ("intr", counter("node_intr_total", "", "Interrupts served.")),
    ("ctxt", counter("node_context_switches_total", "", "Switches from one task to another.")),
    ("btime", gauge("node_boot_time_seconds", "s", "When the machine was booted, as Unix time.")),
    ("processes", counter("node_forks_total", "", "Processes and threads started.")),
    ("procs_running", gauge("node_procs_running", "", "Tasks that run or could run.")),
    ("procs_blocked", gauge("node_procs_blocked", "", "Tasks that wait for I/O to end.")),
];

pub(super) const METRICS: &[Metric] = &metrics(FIELDS);

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    for line in host.proc("stat")?.lines() {
        let mut words = line.split_ascii_whitespace();
        if let Some(metric) = words.next().and_then(|word| find(FIELDS, word)) {
            // Of interrupts the first number is the sum of the others.
            sampler.put_word(metric, &[], words.next());
        }
    }
    Ok(())
}
