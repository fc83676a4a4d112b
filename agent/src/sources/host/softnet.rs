//! `/proc/net/softnet_stat`: packets on their way from the driver to the stack, by CPU.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, counter, gauge},
};

/// In the order of the columns; those from the fourth to the eighth are always zero.
const COLUMNS: &[Metric; 7] = &[
    counter("node_softnet_processed_total", "", "Packets that were taken."),
    counter("node_softnet_dropped_total", "", "Packets dropped because too many waited."),
    counter("node_softnet_times_squeezed_total", "", "How often a CPU had to stop with packets left."),
    counter("node_softnet_cpu_collision_total", "", "How often a device was taken by another CPU."),
    counter("node_softnet_received_rps_total", "", "How often another CPU handed packets over."),
    counter("node_softnet_flow_limit_count_total", "", "Packets dropped because their flow took too much."),
    gauge("node_softnet_backlog_len", "", "Packets that wait for a CPU."),
];

pub(super) const METRICS: &[Metric] = COLUMNS;

/// Where the columns stand.
const PLACES: [usize; 7] = [0, 1, 2, 8, 9, 10, 11];

/// Where newer kernels tell the CPU's number; CPUs that are off have no line.
const CPU_COLUMN: usize = 12;

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    for (line_number, line) in host.proc("net/softnet_stat")?.lines().enumerate() {
        let cell = |column: usize| {
            let word = line.split_ascii_whitespace().nth(column)?;
            Some(u64::from_str_radix(word, 16))
        };
        let cpu = match cell(CPU_COLUMN) {
            Some(Ok(cpu)) => cpu.to_string(),
            _ => line_number.to_string(),
        };
        for (column, metric) in PLACES.into_iter().zip(COLUMNS) {
            match cell(column) {
                Some(Ok(value)) => sampler.put(metric, &[("cpu", &cpu)], value),
                Some(Err(_)) => sampler.bad(),
                None => {}
            }
        }
    }
    Ok(())
}
