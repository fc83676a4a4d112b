//! Network devices bound together.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, gauge},
};

const SLAVES: Metric = gauge("node_bonding_slaves", "", "Devices that a bond has.");
const ACTIVE: Metric = gauge("node_bonding_active", "", "Devices of a bond whose line is up.");

pub(super) const METRICS: &[Metric] = &[SLAVES, ACTIVE];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let masters: Vec<String> = words(host.sys("class/net/bonding_masters")?);
    for master in &masters {
        let Ok(slaves) = host.sys(&format!("class/net/{master}/bonding/slaves")).map(words) else { continue };
        let mut active = 0;
        for slave in &slaves {
            // The link is called `slave_…` by kernels before 3.19.
            let status = ["lower_", "slave_"].into_iter().find_map(|kind| {
                let path = format!("class/net/{master}/{kind}{slave}/bonding_slave/mii_status");
                host.sys(&path).ok().map(|status| status == "up")
            });
            active += i64::from(status == Some(true));
        }
        let labels = &[("master", master.as_str())];
        sampler.put(&SLAVES, labels, i64::try_from(slaves.len()).unwrap_or(i64::MAX));
        sampler.put(&ACTIVE, labels, active);
    }
    Ok(())
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}
