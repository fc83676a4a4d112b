//! Pressure stall information: `/proc/pressure`.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, counter},
};

const CPU_WAITING: Metric =
    counter("node_pressure_cpu_waiting_seconds_total", "s", "Time in which a task waited for CPU.");
const IO_WAITING: Metric =
    counter("node_pressure_io_waiting_seconds_total", "s", "Time in which a task waited for I/O.");
const IO_STALLED: Metric =
    counter("node_pressure_io_stalled_seconds_total", "s", "Time in which all tasks waited for I/O.");
const MEMORY_WAITING: Metric =
    counter("node_pressure_memory_waiting_seconds_total", "s", "Time in which a task waited for memory.");
const MEMORY_STALLED: Metric =
    counter("node_pressure_memory_stalled_seconds_total", "s", "Time in which all tasks waited for memory.");
const IRQ_STALLED: Metric =
    counter("node_pressure_irq_stalled_seconds_total", "s", "Time in which all tasks waited for interrupts to end.");

pub(super) const METRICS: &[Metric] =
    &[CPU_WAITING, IO_WAITING, IO_STALLED, MEMORY_WAITING, MEMORY_STALLED, IRQ_STALLED];

/// Of which file which line counts as what. That all tasks wait for CPU means nothing for a whole machine.
const LINES: &[(&str, &str, Metric)] = &[
    ("pressure/cpu", "some", CPU_WAITING),
    ("pressure/io", "some", IO_WAITING),
    ("pressure/io", "full", IO_STALLED),
    ("pressure/memory", "some", MEMORY_WAITING),
    ("pressure/memory", "full", MEMORY_STALLED),
    ("pressure/irq", "full", IRQ_STALLED),
];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let mut found = false;
    for (file, line, metric) in LINES {
        // Kernels may be built with it and started without: then the files are there and cannot be read.
        let Ok(text) = host.proc(file) else { continue };
        found = true;
        let words = text.lines().find_map(|text| text.strip_prefix(line));
        let total = words.and_then(|words| words.rsplit_once("total=")).map(|(_, total)| total.trim());
        sampler.put_scaled(metric, &[], total, 1_000_000);
    }
    if found { Ok(()) } else { Err(Failure::Absent) }
}
