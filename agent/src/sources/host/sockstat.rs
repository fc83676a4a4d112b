//! `/proc/net/sockstat` and `sockstat6`: sockets by protocol.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Field, Sampler, gauge, joined, metrics},
};

/// Protocol and field, metric.
const FIELDS: &[Field; 18] = &[
    ("sockets used", gauge("node_sockstat_sockets_used", "", "Sockets of all kinds.")),
    ("TCP inuse", gauge("node_sockstat_TCP_inuse", "", "TCP sockets over IPv4 in use.")),
    ("TCP orphan", gauge("node_sockstat_TCP_orphan", "", "TCP sockets that no process holds any more.")),
    ("TCP tw", gauge("node_sockstat_TCP_tw", "", "TCP sockets that wait for late segments (TIME_WAIT).")),
    ("TCP alloc", gauge("node_sockstat_TCP_alloc", "", "TCP sockets that were allocated.")),
    ("TCP mem", gauge("node_sockstat_TCP_mem", "", "Pages of memory that TCP sockets hold.")),
    ("UDP inuse", gauge("node_sockstat_UDP_inuse", "", "UDP sockets over IPv4 in use.")),
    ("UDP mem", gauge("node_sockstat_UDP_mem", "", "Pages of memory that UDP sockets hold.")),
    ("UDPLITE inuse", gauge("node_sockstat_UDPLITE_inuse", "", "UDP-Lite sockets over IPv4 in use.")),
    ("RAW inuse", gauge("node_sockstat_RAW_inuse", "", "Raw sockets over IPv4 in use.")),
    ("FRAG inuse", gauge("node_sockstat_FRAG_inuse", "", "IPv4 packets that wait for missing fragments.")),
    ("FRAG memory", gauge("node_sockstat_FRAG_memory", "By", "Memory that IPv4 fragments hold.")),
    ("TCP6 inuse", gauge("node_sockstat_TCP6_inuse", "", "TCP sockets over IPv6 in use.")),
    ("UDP6 inuse", gauge("node_sockstat_UDP6_inuse", "", "UDP sockets over IPv6 in use.")),
    ("UDPLITE6 inuse", gauge("node_sockstat_UDPLITE6_inuse", "", "UDP-Lite sockets over IPv6 in use.")),
    ("RAW6 inuse", gauge("node_sockstat_RAW6_inuse", "", "Raw sockets over IPv6 in use.")),
    ("FRAG6 inuse", gauge("node_sockstat_FRAG6_inuse", "", "IPv6 packets that wait for missing fragments.")),
    ("FRAG6 memory", gauge("node_sockstat_FRAG6_memory", "By", "Memory that IPv6 fragments hold.")),
];

const TCP_BYTES: Metric = gauge("node_sockstat_TCP_mem_bytes", "By", "Memory that TCP sockets hold.");
const UDP_BYTES: Metric = gauge("node_sockstat_UDP_mem_bytes", "By", "Memory that UDP sockets hold.");

pub(super) const METRICS: &[Metric] = &joined::<20>(&[&metrics(FIELDS), &[TCP_BYTES, UDP_BYTES]]);

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    lines(host.proc("net/sockstat")?, sampler);
    // Not there without IPv6.
    if let Ok(text) = host.proc("net/sockstat6") {
        lines(text, sampler);
    }
    Ok(())
}

/// `TCP: inuse 5 orphan 0 …`
fn lines(text: &str, sampler: &mut Sampler<'_>) {
    for (protocol, rest) in text.lines().filter_map(|line| line.split_once(':')) {
        let mut words = rest.split_ascii_whitespace();
        while let (Some(field), number) = (words.next(), words.next()) {
            let wanted = FIELDS.iter().find(|(known, _)| known.split_once(' ') == Some((protocol, field)));
            let Some(((_, metric), number)) = wanted.zip(sampler.number(number)) else { continue };
            sampler.put(metric, &[], number);
            let bytes = number.saturating_mul(procfs::page_size());
            match (protocol, field) {
                ("TCP", "mem") => sampler.put(&TCP_BYTES, &[], bytes),
                ("UDP", "mem") => sampler.put(&UDP_BYTES, &[], bytes),
                _ => {}
            }
        }
    }
}
