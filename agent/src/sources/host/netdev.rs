//! `/proc/net/dev`: what each network device received and sent.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, counter, joined},
};

/// In the order of the columns.
const COLUMNS: &[Metric; 16] = &[
    counter("node_network_receive_bytes_total", "By", "Bytes received."),
    counter("node_network_receive_packets_total", "", "Packets received."),
    counter("node_network_receive_errs_total", "", "Packets received damaged."),
    counter("node_network_receive_drop_total", "", "Good packets received and dropped."),
    counter("node_network_receive_fifo_total", "", "Packets lost because the device's buffer was full."),
    counter("node_network_receive_frame_total", "", "Packets received with a broken frame."),
    counter("node_network_receive_compressed_total", "", "Compressed packets received."),
    counter("node_network_receive_multicast_total", "", "Multicast packets received."),
    counter("node_network_transmit_bytes_total", "By", "Bytes sent."),
    counter("node_network_transmit_packets_total", "", "Packets sent."),
    counter("node_network_transmit_errs_total", "", "Packets that could not be sent."),
    counter("node_network_transmit_drop_total", "", "Packets dropped on the way out."),
    counter("node_network_transmit_fifo_total", "", "Packets not sent because of errors of the device's buffer."),
    counter("node_network_transmit_colls_total", "", "Collisions while sending."),
    counter("node_network_transmit_carrier_total", "", "Packets not sent because the line was lost."),
    counter("node_network_transmit_compressed_total", "", "Compressed packets sent."),
];

const NO_HANDLER: Metric = counter("node_network_receive_nohandler_total", "", "Packets received that nobody wanted.");

pub(super) const METRICS: &[Metric] = &joined::<17>(&[COLUMNS, &[NO_HANDLER]]);

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let mut devices = Vec::new();
    for line in host.proc("net/dev")?.lines().skip(2) {
        // No space need stand after the colon.
        let Some((device, numbers)) = line.split_once(':') else { continue };
        let device = device.trim();
        for (metric, word) in COLUMNS.iter().zip(numbers.split_ascii_whitespace()) {
            sampler.put_word(metric, &[("device", device)], Some(word));
        }
        devices.push(device.to_owned());
    }
    for device in &devices {
        if let Ok(text) = host.sys(&format!("class/net/{device}/statistics/rx_nohandler")) {
            sampler.put_word(&NO_HANDLER, &[("device", device)], Some(text));
        }
    }
    Ok(())
}
