//! The table of connections that the kernel's firewall follows.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Field, Sampler, gauge, joined, metrics},
};

const ENTRIES: Metric = gauge("node_nf_conntrack_entries", "", "Connections that are followed.");
const LIMIT: Metric = gauge("node_nf_conntrack_entries_limit", "", "Connections that can be followed.");

/// Columns of `/proc/net/stat/nf_conntrack`, hexadecimal, a line for each CPU. They only grow, and yet node_exporter
/// has them as gauges.
const COLUMNS: &[Field; 8] = &[
    ("found", gauge("node_nf_conntrack_stat_found", "", "Look-ups that found their connection.")),
    ("invalid", gauge("node_nf_conntrack_stat_invalid", "", "Packets that cannot belong to a connection.")),
    ("ignore", gauge("node_nf_conntrack_stat_ignore", "", "Packets that were not followed on purpose.")),
    ("insert", gauge("node_nf_conntrack_stat_insert", "", "Connections entered.")),
    ("insert_failed", gauge("node_nf_conntrack_stat_insert_failed", "", "Connections that were there already.")),
    ("drop", gauge("node_nf_conntrack_stat_drop", "", "Packets dropped because a connection could not be entered.")),
    ("early_drop", gauge("node_nf_conntrack_stat_early_drop", "", "Connections given up to make room.")),
    ("search_restart", gauge("node_nf_conntrack_stat_search_restart", "", "Look-ups begun again, for the table grew.")),
];

pub(super) const METRICS: &[Metric] = &joined::<10>(&[&metrics(COLUMNS), &[ENTRIES, LIMIT]]);

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    sampler.put_word(&ENTRIES, &[], Some(host.proc("sys/net/netfilter/nf_conntrack_count")?.trim()));
    sampler.put_word(&LIMIT, &[], Some(host.proc("sys/net/netfilter/nf_conntrack_max")?.trim()));
    let Ok(text) = host.proc("net/stat/nf_conntrack") else { return Ok(()) };
    let mut lines = text.lines();
    let names = lines.next().unwrap_or_default();
    for (name, metric) in COLUMNS {
        let Some(column) = names.split_ascii_whitespace().position(|known| known == *name) else { continue };
        let cells = lines.clone().filter_map(|line| line.split_ascii_whitespace().nth(column));
        let numbers = cells.map(|cell| u64::from_str_radix(cell, 16));
        match numbers.sum::<Result<u64, _>>() {
            Ok(sum) => sampler.put(metric, &[], sum),
            Err(_) => sampler.bad(),
        }
    }
    Ok(())
}
