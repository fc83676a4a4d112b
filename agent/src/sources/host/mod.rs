//! The machine itself, in node_exporter's place: its names, labels, units and exclusions.
//!
//! One file for each of its collectors, each a `METRICS` table and a `collect` that reads files of `/proc` or `/sys`
//! through [`files::Host`] and says samples through [`sampler::Sampler`]. [`COLLECTORS`] names them all, and
//! `node_scrape_collector_success` says of each whether it found its files. What of node_exporter's default
//! collectors is not here, and why, is in `README.md` beside this file.
//!
//! To add one: a file with `METRICS` and `collect`, a `mod` line and an entry in [`COLLECTORS`].

mod arp;
mod bonding;
mod conntrack;
mod cpu;
mod cpufreq;
mod diskstats;
mod entropy;
mod filefd;
mod files;
mod filesystem;
mod loadavg;
mod meminfo;
mod netclass;
mod netdev;
mod netstat;
mod os;
mod pressure;
mod sampler;
mod schedstat;
mod selinux;
mod sockstat;
mod softnet;
mod stat;
mod statfs;
mod thermal;
mod time;
mod udp_queues;
mod uname;
mod vmstat;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use tokio::time::Instant;
use yagura_daemon::config::DurationText;
use yagura_model::{Metric, Timestamp};

use self::{
    files::{Failure, Host},
    sampler::{Sampler, gauge, joined},
};
use super::{Context, Page, poll::Ticks};
use crate::{
    series::{ScopeId, Table},
    tags,
};

/// The `sources.host` block.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often to scrape.
    pub interval: DurationText,
    /// The host's `/proc`.
    pub proc: PathBuf,
    /// The host's `/sys`.
    pub sys: PathBuf,
    /// The host's root directory: its filesystems, `/etc/os-release` and `/run/udev`.
    pub rootfs: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: DurationText(Duration::from_secs(10)),
            proc: "/proc".into(),
            sys: "/sys".into(),
            rootfs: "/".into(),
        }
    }
}

/// Why the source ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A scrape panicked.
    #[error("the scrape of the host ended early")]
    Scrape(#[from] tokio::task::JoinError),
}

/// One part of the scrape.
struct Collector {
    /// The name node_exporter has for it.
    name: &'static str,
    metrics: &'static [Metric],
    collect: fn(&mut Host, &mut Sampler<'_>) -> Result<(), Failure>,
}

/// Every part, in the order of a scrape.
const COLLECTORS: &[Collector] = &[
    Collector { name: "arp", metrics: arp::METRICS, collect: arp::collect },
    Collector { name: "bonding", metrics: bonding::METRICS, collect: bonding::collect },
    Collector { name: "conntrack", metrics: conntrack::METRICS, collect: conntrack::collect },
    Collector { name: "cpu", metrics: cpu::METRICS, collect: cpu::collect },
    Collector { name: "cpufreq", metrics: cpufreq::METRICS, collect: cpufreq::collect },
    Collector { name: "diskstats", metrics: diskstats::METRICS, collect: diskstats::collect },
    Collector { name: "entropy", metrics: entropy::METRICS, collect: entropy::collect },
    Collector { name: "filefd", metrics: filefd::METRICS, collect: filefd::collect },
    Collector { name: "filesystem", metrics: filesystem::METRICS, collect: filesystem::collect },
    Collector { name: "loadavg", metrics: loadavg::METRICS, collect: loadavg::collect },
    Collector { name: "meminfo", metrics: meminfo::METRICS, collect: meminfo::collect },
    Collector { name: "netclass", metrics: netclass::METRICS, collect: netclass::collect },
    Collector { name: "netdev", metrics: netdev::METRICS, collect: netdev::collect },
    Collector { name: "netstat", metrics: netstat::METRICS, collect: netstat::collect },
    Collector { name: "os", metrics: os::METRICS, collect: os::collect },
    Collector { name: "pressure", metrics: pressure::METRICS, collect: pressure::collect },
    Collector { name: "schedstat", metrics: schedstat::METRICS, collect: schedstat::collect },
    Collector { name: "selinux", metrics: selinux::METRICS, collect: selinux::collect },
    Collector { name: "sockstat", metrics: sockstat::METRICS, collect: sockstat::collect },
    Collector { name: "softnet", metrics: softnet::METRICS, collect: softnet::collect },
    Collector { name: "stat", metrics: stat::METRICS, collect: stat::collect },
    Collector { name: "thermal_zone", metrics: thermal::METRICS, collect: thermal::collect },
    Collector { name: "time", metrics: time::METRICS, collect: time::collect },
    Collector { name: "udp_queues", metrics: udp_queues::METRICS, collect: udp_queues::collect },
    Collector { name: "uname", metrics: uname::METRICS, collect: uname::collect },
    Collector { name: "vmstat", metrics: vmstat::METRICS, collect: vmstat::collect },
];

/// Every Linux has the files of these; where they are missing, it is not the host's `/proc` that is read.
const ESSENTIAL: &[&str] = &["cpu", "loadavg", "meminfo", "stat"];

const SUCCESS: Metric = gauge("node_scrape_collector_success", "", "Whether this part of the scrape found its files.");
const DURATION: Metric = gauge("node_scrape_collector_duration_seconds", "s", "How long this part of the scrape took.");
const BUILD_INFO: Metric = gauge(
    "node_exporter_build_info",
    "",
    "Which program these series are from; dashboards find machines by this series. The version is the agent's.",
);

const OWN: &[Metric] = &[SUCCESS, DURATION, BUILD_INFO];

/// Every metric this source can emit.
pub const METRICS: &[Metric] = &joined::<{ count(TABLES) }>(TABLES);

/// The table of each collector, and that of the scrape itself.
const TABLES: &[&[Metric]] = &{
    let mut tables = [OWN; COLLECTORS.len() + 1];
    let mut rest: (&[Collector], &mut [&[Metric]]) = (COLLECTORS, &mut tables);
    while let ([collector, collectors @ ..], [table, others @ ..]) = rest {
        *table = collector.metrics;
        rest = (collectors, others);
    }
    tables
};

const fn count(mut tables: &[&[Metric]]) -> usize {
    let mut count = 0;
    while let [table, others @ ..] = tables {
        count += table.len();
        tables = others;
    }
    count
}

/// Scrapes the machine until told to stop.
///
/// # Errors
///
/// Only when a scrape panics.
pub async fn run(config: Config, context: Context) -> Result<(), Error> {
    let mut ticks = Ticks::new(config.interval.0);
    let table = Arc::new(Mutex::new(Table::new("node-exporter", &context.node.name)));
    let tags = tags::of_node("host", &context.node.rules);
    let scope = lock(&table).add_scope(&[], &tags, context.node.boot);
    context.out.page(Page::Node, Arc::clone(&table));
    let mut host = Some(Host::new(config.proc, config.sys, config.rootfs));
    while let Some(now) = ticks.next(&context).await {
        let Some(mut taken) = host.take() else { break };
        let target = Arc::clone(&table);
        // A hundred small files take some milliseconds, and a dead mount up to its timeout: too long for an async thread.
        let work = tokio::task::spawn_blocking(move || {
            let report = scrape(&mut taken, &target, scope, now);
            (taken, report)
        });
        let (back, report) = work.await?;
        host = Some(back);
        tell(&context, &report);
        context.out.publish(&table).await;
    }
    Ok(())
}

/// What a scrape could not do.
#[derive(Debug, Default)]
struct Report {
    /// Collectors that failed although their files are there, or should be.
    failed: Vec<String>,
    /// Fields that could not be read as numbers.
    unparsed: u64,
    /// Mounts that do not answer.
    hanging: usize,
}

/// Reads everything once. The table is locked only while samples are written into it, not while a mount hangs.
fn scrape(host: &mut Host, table: &Mutex<Table>, scope: ScopeId, now: Timestamp) -> Report {
    host.refresh_mounts();
    let mut table = lock(table);
    table.begin(now);
    let mut sampler = Sampler::new(&mut table, scope, now);
    let mut report = Report { hanging: host.hanging_mounts(), ..Report::default() };
    for collector in COLLECTORS {
        let begin = Instant::now();
        let result = (collector.collect)(host, &mut sampler);
        let labels = &[("collector", collector.name)];
        sampler.put(&SUCCESS, labels, i64::from(result.is_ok()));
        sampler.put(&DURATION, labels, begin.elapsed().as_secs_f64());
        match result {
            Err(Failure::Broken(reason)) => report.failed.push(format!("{}: {reason}", collector.name)),
            Err(Failure::Absent) if ESSENTIAL.contains(&collector.name) => {
                report.failed.push(format!("{}: its file is not there", collector.name));
            }
            Ok(()) | Err(Failure::Absent) => {}
        }
    }
    sampler.put(&BUILD_INFO, &[("branch", "yagura"), ("version", env!("CARGO_PKG_VERSION"))], 1_i64);
    report.unparsed = sampler.unparsed();
    table.finish();
    report
}

fn tell(context: &Context, report: &Report) {
    context.status.set("unparsed_fields", report.unparsed);
    context.status.set("hanging_mounts", report.hanging);
    if !report.failed.is_empty() {
        let hint = "mount the host's /proc and /sys and set sources.host.proc and sources.host.sys to where they are";
        context.status.degraded(report.failed.join("; "), hint);
    } else if report.hanging > 0 {
        let reason = format!("{} filesystems do not answer (node_filesystem_device_error)", report.hanging);
        context.status.degraded(reason, "see to the servers of network filesystems, or unmount them");
    } else {
        context.status.ok();
    }
}

fn lock(table: &Mutex<Table>) -> std::sync::MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
