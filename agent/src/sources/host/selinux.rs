//! Whether SELinux is on.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, gauge},
};

const ENABLED: Metric = gauge("node_selinux_enabled", "", "Whether SELinux is on.");
const MODE: Metric =
    gauge("node_selinux_current_mode", "", "1 when SELinux enforces its policy, 0 when it only warns.");
const CONFIG: Metric =
    gauge("node_selinux_config_mode", "", "What the config asks for: 1 enforcing, 0 permissive, -1 off.");

pub(super) const METRICS: &[Metric] = &[ENABLED, MODE, CONFIG];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let mode = host.sys("fs/selinux/enforce").ok().and_then(|text| text.parse::<i64>().ok());
    sampler.put(&ENABLED, &[], i64::from(mode.is_some()));
    let Some(mode) = mode else { return Ok(()) };
    sampler.put(&MODE, &[], mode);
    let config = host.root("etc/selinux/config").unwrap_or_default();
    let config = match config.lines().find_map(|line| line.trim().strip_prefix("SELINUX=")) {
        Some("enforcing") => 1_i64,
        Some("permissive") => 0,
        _ => -1,
    };
    sampler.put(&CONFIG, &[], config);
    Ok(())
}
