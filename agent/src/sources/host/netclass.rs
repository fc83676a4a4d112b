//! What `/sys/class/net` says of each network device.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Field, Sampler, counter, gauge, joined, metrics},
};

const FIELDS: &[Field; 16] = &[
    ("addr_assign_type", gauge("node_network_address_assign_type", "", "Where its address is from, by number.")),
    ("carrier", gauge("node_network_carrier", "", "Whether the line is there.")),
    ("carrier_changes", counter("node_network_carrier_changes_total", "", "How often the line came or went.")),
    ("carrier_up_count", counter("node_network_carrier_up_changes_total", "", "How often the line came.")),
    ("carrier_down_count", counter("node_network_carrier_down_changes_total", "", "How often the line went.")),
    ("dev_id", gauge("node_network_device_id", "", "Tells devices apart that share an address.")),
    ("dormant", gauge("node_network_dormant", "", "Whether it waits for something outside, such as authentication.")),
    ("flags", gauge("node_network_flags", "", "Its flags (SIOCGIFFLAGS) as a number.")),
    ("ifindex", gauge("node_network_iface_id", "", "Its number.")),
    ("iflink", gauge("node_network_iface_link", "", "The number of the device it is on; its own if on none.")),
    ("link_mode", gauge("node_network_iface_link_mode", "", "Its link mode, by number.")),
    ("mtu", gauge("node_network_mtu_bytes", "By", "Largest packet it sends.")),
    ("name_assign_type", gauge("node_network_name_assign_type", "", "Where its name is from, by number.")),
    ("netdev_group", gauge("node_network_net_dev_group", "", "The group it is in, by number.")),
    ("tx_queue_len", gauge("node_network_transmit_queue_length", "", "Packets that may wait to be sent.")),
    ("type", gauge("node_network_protocol_type", "", "Its protocol (ARPHRD), by number.")),
];

const SPEED: Metric = gauge("node_network_speed_bytes", "By/s", "Bytes it can carry in a second.");
const UP: Metric = gauge("node_network_up", "", "Whether its state is `up`.");
const INFO: Metric = gauge("node_network_info", "", "What the device is, in its labels; always 1.");

pub(super) const METRICS: &[Metric] = &joined::<19>(&[&metrics(FIELDS), &[SPEED, UP, INFO]]);

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let names = host.sys_names("class/net")?;
    for device in &names {
        // Files among the devices, `bonding_masters`, have none of these.
        if !host.sys_has(&format!("class/net/{device}/ifindex")) {
            continue;
        }
        for (file, metric) in FIELDS {
            // A device that is down does not tell all.
            let Ok(text) = host.sys(&format!("class/net/{device}/{file}")) else { continue };
            match number(text) {
                Some(value) => sampler.put(metric, &[("device", device)], value),
                None => sampler.bad(),
            }
        }
        put_speed(device, host, sampler);
        put_info(device, host, sampler);
    }
    host.put_back(names);
    Ok(())
}

/// Decimal, or hexadecimal with `0x`.
fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// In Mbit/s; a device that has no speed says -1.
fn put_speed(device: &str, host: &mut Host, sampler: &mut Sampler<'_>) {
    let speed = host.sys(&format!("class/net/{device}/speed")).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(megabits) = speed {
        sampler.put(&SPEED, &[("device", device)], megabits.saturating_mul(1_000_000 / 8));
    }
}

fn put_info(device: &str, host: &mut Host, sampler: &mut Sampler<'_>) {
    let mut text = |file: &str| host.sys(&format!("class/net/{device}/{file}")).unwrap_or_default().to_owned();
    let (address, broadcast, duplex) = (text("address"), text("broadcast"), text("duplex"));
    let (alias, state) = (text("ifalias"), text("operstate"));
    if !state.is_empty() {
        sampler.put(&UP, &[("device", device)], i64::from(state == "up"));
    }
    let labels = [
        ("address", &*address),
        ("broadcast", &*broadcast),
        ("device", device),
        ("duplex", &*duplex),
        ("ifalias", &*alias),
        ("operstate", &*state),
    ];
    sampler.put_info(&INFO, &labels);
}
