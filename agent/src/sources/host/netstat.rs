//! `/proc/net/netstat`, `/proc/net/snmp` and `/proc/net/snmp6`: the fields that node_exporter keeps.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Field, Sampler, find, metrics, untyped},
};

const FIELDS: &[Field; 46] = &[
    ("Icmp6_InErrors", untyped("node_netstat_Icmp6_InErrors", "", "ICMPv6 messages received with an error.")),
    ("Icmp6_InMsgs", untyped("node_netstat_Icmp6_InMsgs", "", "ICMPv6 messages received.")),
    ("Icmp6_OutMsgs", untyped("node_netstat_Icmp6_OutMsgs", "", "ICMPv6 messages sent.")),
    ("Icmp_InErrors", untyped("node_netstat_Icmp_InErrors", "", "ICMP messages received with an error.")),
    ("Icmp_InMsgs", untyped("node_netstat_Icmp_InMsgs", "", "ICMP messages received.")),
    ("Icmp_OutMsgs", untyped("node_netstat_Icmp_OutMsgs", "", "ICMP messages sent.")),
    ("Ip6_InOctets", untyped("node_netstat_Ip6_InOctets", "By", "Bytes received in IPv6 packets.")),
    ("Ip6_OutOctets", untyped("node_netstat_Ip6_OutOctets", "By", "Bytes sent in IPv6 packets.")),
    ("IpExt_InOctets", untyped("node_netstat_IpExt_InOctets", "By", "Bytes received in IPv4 packets.")),
    ("IpExt_OutOctets", untyped("node_netstat_IpExt_OutOctets", "By", "Bytes sent in IPv4 packets.")),
    ("Ip_Forwarding", untyped("node_netstat_Ip_Forwarding", "", "1 when the machine forwards IPv4 packets, else 2.")),
    (
        "TcpExt_ListenDrops",
        untyped("node_netstat_TcpExt_ListenDrops", "", "Connections to listening sockets that were dropped."),
    ),
    (
        "TcpExt_ListenOverflows",
        untyped("node_netstat_TcpExt_ListenOverflows", "", "Connections dropped because a listen queue was full."),
    ),
    ("TcpExt_SyncookiesFailed", untyped("node_netstat_TcpExt_SyncookiesFailed", "", "SYN cookies that were wrong.")),
    ("TcpExt_SyncookiesRecv", untyped("node_netstat_TcpExt_SyncookiesRecv", "", "SYN cookies that came back.")),
    ("TcpExt_SyncookiesSent", untyped("node_netstat_TcpExt_SyncookiesSent", "", "SYN cookies sent.")),
    (
        "TcpExt_TCPOFOQueue",
        untyped("node_netstat_TcpExt_TCPOFOQueue", "", "Segments that came too early and were kept."),
    ),
    (
        "TcpExt_TCPRcvQDrop",
        untyped("node_netstat_TcpExt_TCPRcvQDrop", "", "Segments dropped because a receive buffer was full."),
    ),
    ("TcpExt_TCPSynRetrans", untyped("node_netstat_TcpExt_TCPSynRetrans", "", "SYN and SYN-ACK segments sent again.")),
    ("TcpExt_TCPTimeouts", untyped("node_netstat_TcpExt_TCPTimeouts", "", "Timeouts while waiting for an answer.")),
    ("Tcp_ActiveOpens", untyped("node_netstat_Tcp_ActiveOpens", "", "Connections opened from here.")),
    ("Tcp_CurrEstab", untyped("node_netstat_Tcp_CurrEstab", "", "Connections that are open.")),
    ("Tcp_InErrs", untyped("node_netstat_Tcp_InErrs", "", "Segments received with an error.")),
    ("Tcp_InSegs", untyped("node_netstat_Tcp_InSegs", "", "Segments received.")),
    ("Tcp_OutRsts", untyped("node_netstat_Tcp_OutRsts", "", "Resets sent.")),
    ("Tcp_OutSegs", untyped("node_netstat_Tcp_OutSegs", "", "Segments sent, without those sent again.")),
    ("Tcp_PassiveOpens", untyped("node_netstat_Tcp_PassiveOpens", "", "Connections opened from elsewhere.")),
    ("Tcp_RetransSegs", untyped("node_netstat_Tcp_RetransSegs", "", "Segments sent again.")),
    ("Udp6_InDatagrams", untyped("node_netstat_Udp6_InDatagrams", "", "UDP datagrams received over IPv6.")),
    (
        "Udp6_InErrors",
        untyped("node_netstat_Udp6_InErrors", "", "UDP datagrams over IPv6 that could not be delivered."),
    ),
    ("Udp6_NoPorts", untyped("node_netstat_Udp6_NoPorts", "", "UDP datagrams over IPv6 to a port nobody listens on.")),
    ("Udp6_OutDatagrams", untyped("node_netstat_Udp6_OutDatagrams", "", "UDP datagrams sent over IPv6.")),
    ("Udp6_RcvbufErrors", untyped("node_netstat_Udp6_RcvbufErrors", "", "UDP datagrams over IPv6 that found no room.")),
    (
        "Udp6_SndbufErrors",
        untyped("node_netstat_Udp6_SndbufErrors", "", "UDP datagrams over IPv6 not sent for want of room."),
    ),
    (
        "UdpLite6_InErrors",
        untyped("node_netstat_UdpLite6_InErrors", "", "UDP-Lite datagrams over IPv6 that could not be delivered."),
    ),
    (
        "UdpLite_InErrors",
        untyped("node_netstat_UdpLite_InErrors", "", "UDP-Lite datagrams over IPv4 that could not be delivered."),
    ),
    ("Udp_InDatagrams", untyped("node_netstat_Udp_InDatagrams", "", "UDP datagrams received over IPv4.")),
    ("Udp_InErrors", untyped("node_netstat_Udp_InErrors", "", "UDP datagrams over IPv4 that could not be delivered.")),
    ("Udp_NoPorts", untyped("node_netstat_Udp_NoPorts", "", "UDP datagrams over IPv4 to a port nobody listens on.")),
    ("Udp_OutDatagrams", untyped("node_netstat_Udp_OutDatagrams", "", "UDP datagrams sent over IPv4.")),
    ("Udp_RcvbufErrors", untyped("node_netstat_Udp_RcvbufErrors", "", "UDP datagrams over IPv4 that found no room.")),
    (
        "Udp_SndbufErrors",
        untyped("node_netstat_Udp_SndbufErrors", "", "UDP datagrams over IPv4 not sent for want of room."),
    ),
    ("MPTcpExt_InErrors", untyped("node_netstat_MPTcpExt_InErrors", "", "Multipath TCP segments with an error.")),
    ("Sctp_InErrors", untyped("node_netstat_Sctp_InErrors", "", "SCTP packets received with an error.")),
    ("Ip_InErrors", untyped("node_netstat_Ip_InErrors", "", "IPv4 packets received with an error.")),
    ("Ip6_InErrors", untyped("node_netstat_Ip6_InErrors", "", "IPv6 packets received with an error.")),
];

pub(super) const METRICS: &[Metric] = &metrics(FIELDS);

/// Protocols whose name is at the start of a name in `snmp6`, the longer before the shorter.
const PROTOCOLS_6: &[&str] = &["UdpLite6", "Udp6", "Icmp6", "Ip6"];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    pairs_of_lines(host.proc("net/netstat")?, sampler);
    pairs_of_lines(host.proc("net/snmp")?, sampler);
    // Not there without IPv6.
    if let Ok(text) = host.proc("net/snmp6") {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let Some(name) = words.next() else { continue };
            let Some(protocol) = PROTOCOLS_6.iter().find(|protocol| name.starts_with(**protocol)) else { continue };
            let field = name.get(protocol.len()..).unwrap_or_default();
            put(protocol, field, words.next(), sampler);
        }
    }
    Ok(())
}

/// `Tcp: names …` and below it `Tcp: numbers …`.
fn pairs_of_lines(text: &str, sampler: &mut Sampler<'_>) {
    let mut lines = text.lines();
    while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
        let (Some((protocol, names)), Some((same, numbers))) = (names.split_once(':'), numbers.split_once(':')) else {
            sampler.bad();
            continue;
        };
        if protocol != same {
            sampler.bad();
            continue;
        }
        for (name, number) in names.split_ascii_whitespace().zip(numbers.split_ascii_whitespace()) {
            put(protocol, name, Some(number), sampler);
        }
    }
}

fn put(protocol: &str, name: &str, number: Option<&str>, sampler: &mut Sampler<'_>) {
    let wanted = FIELDS.iter().find(|(field, _)| {
        field.strip_prefix(protocol).and_then(|rest| rest.strip_prefix('_')).is_some_and(|rest| rest == name)
    });
    if let Some(metric) = wanted.and_then(|(field, _)| find(FIELDS, field)) {
        sampler.put_word(metric, &[], number);
    }
}
