//! Which kernel runs.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, gauge},
};

const INFO: Metric = gauge("node_uname_info", "", "Kernel and name of the machine, in its labels; always 1.");

pub(super) const METRICS: &[Metric] = &[INFO];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let release = word(host, "osrelease")?;
    let mut optional = |name: &str| word(host, name).unwrap_or_default();
    let (domain, node, system) = (optional("domainname"), optional("hostname"), optional("ostype"));
    let (version, machine) = (optional("version"), optional("arch"));
    // Kernels before 6.1 do not tell; then it is what this program was made for.
    let machine = if machine.is_empty() { std::env::consts::ARCH } else { &machine };
    let labels = [
        ("domainname", &*domain),
        ("machine", machine),
        ("nodename", &*node),
        ("release", &*release),
        ("sysname", &*system),
        ("version", &*version),
    ];
    sampler.put_info(&INFO, &labels);
    Ok(())
}

fn word(host: &mut Host, name: &str) -> Result<String, Failure> {
    host.proc(&format!("sys/kernel/{name}")).map(|text| text.trim().to_owned())
}
