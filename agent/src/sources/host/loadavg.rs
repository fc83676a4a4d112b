//! `/proc/loadavg`.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, gauge},
};

pub(super) const METRICS: &[Metric; 3] = &[
    gauge("node_load1", "", "Tasks that ran, could run or waited for a disk, averaged over a minute."),
    gauge("node_load5", "", "Tasks that ran, could run or waited for a disk, averaged over five minutes."),
    gauge("node_load15", "", "Tasks that ran, could run or waited for a disk, averaged over fifteen minutes."),
];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let words = host.proc("loadavg")?.split_ascii_whitespace();
    for (metric, word) in METRICS.iter().zip(words) {
        match word.parse::<f64>() {
            Ok(load) => sampler.put(metric, &[], load),
            Err(_) => sampler.bad(),
        }
    }
    Ok(())
}
