//! `/proc/vmstat`: the fields that node_exporter keeps.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Field, Sampler, find, metrics, untyped},
};

const FIELDS: &[Field; 7] = &[
    ("oom_kill", untyped("node_vmstat_oom_kill", "", "Processes killed for want of memory.")),
    ("pgfault", untyped("node_vmstat_pgfault", "", "Page faults.")),
    ("pgmajfault", untyped("node_vmstat_pgmajfault", "", "Page faults that had to read from a disk.")),
    ("pgpgin", untyped("node_vmstat_pgpgin", "KiBy", "KiB read from disks.")),
    ("pgpgout", untyped("node_vmstat_pgpgout", "KiBy", "KiB written to disks.")),
    ("pswpin", untyped("node_vmstat_pswpin", "", "Pages brought back from swap.")),
    ("pswpout", untyped("node_vmstat_pswpout", "", "Pages put into swap.")),
];

pub(super) const METRICS: &[Metric] = &metrics(FIELDS);

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    for (word, number) in host.proc("vmstat")?.lines().filter_map(|line| line.split_once(' ')) {
        if let Some(metric) = find(FIELDS, word) {
            sampler.put_word(metric, &[], Some(number));
        }
    }
    Ok(())
}
