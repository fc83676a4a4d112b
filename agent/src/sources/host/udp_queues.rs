//! Bytes that wait in UDP sockets: `/proc/net/udp` and `udp6`.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, gauge},
};

const QUEUES: Metric = gauge("node_udp_queues", "By", "Bytes in the queues of all UDP sockets together.");

pub(super) const METRICS: &[Metric] = &[QUEUES];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let mut found = false;
    for (file, ip) in [("net/udp", "v4"), ("net/udp6", "v6")] {
        let Ok(text) = host.proc(file) else { continue };
        found = true;
        let (mut tx, mut rx) = (0_u64, 0_u64);
        for line in text.lines().skip(1) {
            // The fifth column is `tx_queue:rx_queue`, hexadecimal.
            let queues = line.split_ascii_whitespace().nth(4).and_then(|cell| cell.split_once(':'));
            let sizes = queues.and_then(|(tx, rx)| hexadecimal(tx).zip(hexadecimal(rx)));
            match sizes {
                Some((more_tx, more_rx)) => (tx, rx) = (tx.saturating_add(more_tx), rx.saturating_add(more_rx)),
                None => sampler.bad(),
            }
        }
        sampler.put(&QUEUES, &[("ip", ip), ("queue", "tx")], tx);
        sampler.put(&QUEUES, &[("ip", ip), ("queue", "rx")], rx);
    }
    if found { Ok(()) } else { Err(Failure::Absent) }
}

fn hexadecimal(word: &str) -> Option<u64> {
    u64::from_str_radix(word, 16).ok()
}
