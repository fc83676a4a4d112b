//! Clock rates of the CPUs, where the kernel tells them.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Field, Sampler, gauge, metrics},
};

const FIELDS: &[Field; 6] = &[
    ("cpuinfo_cur_freq", gauge("node_cpu_frequency_hertz", "Hz", "Clock rate that the hardware tells.")),
    ("cpuinfo_min_freq", gauge("node_cpu_frequency_min_hertz", "Hz", "Lowest clock rate the CPU is made for.")),
    ("cpuinfo_max_freq", gauge("node_cpu_frequency_max_hertz", "Hz", "Highest clock rate the CPU is made for.")),
    ("scaling_cur_freq", gauge("node_cpu_scaling_frequency_hertz", "Hz", "Clock rate that the kernel has set.")),
    ("scaling_min_freq", gauge("node_cpu_scaling_frequency_min_hertz", "Hz", "Lowest clock rate the kernel may set.")),
    ("scaling_max_freq", gauge("node_cpu_scaling_frequency_max_hertz", "Hz", "Highest clock rate the kernel may set.")),
];

pub(super) const METRICS: &[Metric] = &metrics(FIELDS);

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let names = host.sys_names("devices/system/cpu")?;
    for name in &names {
        let Some(cpu) = name.strip_prefix("cpu").filter(|cpu| cpu.parse::<u32>().is_ok()) else { continue };
        if !host.sys_has(&format!("devices/system/cpu/{name}/cpufreq")) {
            continue;
        }
        for (file, metric) in FIELDS {
            let Ok(text) = host.sys(&format!("devices/system/cpu/{name}/cpufreq/{file}")) else { continue };
            if let Some(kilohertz) = sampler.number(Some(text)) {
                sampler.put(metric, &[("cpu", cpu)], kilohertz.saturating_mul(1000));
            }
        }
    }
    host.put_back(names);
    Ok(())
}
