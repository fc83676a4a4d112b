//! Neighbours known by their hardware address: `/proc/net/arp`.

use std::collections::BTreeMap;

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, gauge},
};

const ENTRIES: Metric = gauge("node_arp_entries", "", "Neighbours that are known, by network device.");

pub(super) const METRICS: &[Metric] = &[ENTRIES];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let mut entries = BTreeMap::<&str, i64>::new();
    // The device is the last of six columns; a heading comes first.
    for device in host.proc("net/arp")?.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().nth(5)) {
        *entries.entry(device).or_default() += 1;
    }
    for (device, count) in entries {
        sampler.put(&ENTRIES, &[("device", device)], count);
    }
    Ok(())
}
