//! Containers' CPU, memory, I/O, processes, pressure and network, from the kernel, in cAdvisor's place.
//!
//! `hierarchy` finds the trees (v1, v2 or both) and the groups in them, `path` tells from a path what a group is,
//! [`scrape`] reads them: `v1` and `v2` turn kernel files into a [`reading::Reading`], `metrics` turns that into series.
//! Who a container is comes from the inventory. A file is opened once and read at offset 0 ever after (at most ten for
//! each group), into one buffer, by parsers that allocate nothing; limits and processes are looked at once a minute.
//!
//! Which of cAdvisor's series are here, which are not, and where values differ on purpose: `README.md` beside this
//! file.
//!
//! To add a series: a field of the reading, the line that fills it in `v1` and `v2`, and a metric in `metrics`.

pub mod devices;
pub mod file;
pub mod group;
pub mod hierarchy;
pub mod machine;
pub mod metrics;
pub mod network;
pub mod path;
pub mod process;
pub mod reading;
pub mod scrape;
pub mod v1;
pub mod v2;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use yagura_daemon::config::DurationText;

use self::{
    group::Machinery,
    hierarchy::Hierarchy,
    machine::Machine,
    scrape::{Report, Scraper},
};
use super::{Context, Page, poll::Ticks};
use crate::{series::Table, tags};

pub use metrics::METRICS;

/// The `sources.cgroup` block.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often to scrape.
    pub interval: DurationText,
    /// Where the host's cgroup trees are mounted.
    pub root: PathBuf,
    /// The host's `/proc`: names of disks, network counters of containers.
    pub proc: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: DurationText(Duration::from_secs(10)), root: "/sys/fs/cgroup".into(), proc: "/proc".into() }
    }
}

/// Why the source ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A scrape panicked.
    #[error("the scrape of cgroups ended early")]
    Scrape(#[from] tokio::task::JoinError),
}

/// Scrapes every container until told to stop.
///
/// # Errors
///
/// Only when a scrape panics.
pub async fn run(config: Config, context: Context) -> Result<(), Error> {
    raise_file_limit();
    let mut ticks = Ticks::new(config.interval.0);
    let hierarchy = loop {
        match Hierarchy::detect(&config.root) {
            Ok(found) => break found,
            Err(error) => context.status.missing(
                error.to_string(),
                "mount the host's /sys/fs/cgroup and set sources.cgroup.root to where it is",
            ),
        }
        if ticks.next(&context).await.is_none() {
            return Ok(());
        }
    };
    context.status.set("cgroup", hierarchy.version());
    let missing = hierarchy.missing();
    let table = Arc::new(Mutex::new(Table::new("cadvisor", &context.node.name)));
    context.out.page(Page::Cadvisor, Arc::clone(&table));
    let mut scraper = Some(Scraper::new(Machinery {
        hierarchy,
        proc: config.proc,
        inventory: context.inventory.clone(),
        node_tags: tags::of_node("host", &context.node.rules),
        boot: context.node.boot,
        machine: Machine::default(),
    }));
    while let Some(now) = ticks.next(&context).await {
        let Some(mut taken) = scraper.take() else { break };
        let target = Arc::clone(&table);
        // Two hundred containers take some milliseconds, too long for an async thread.
        let work = tokio::task::spawn_blocking(move || {
            let report = taken.scrape(now, &mut target.lock().unwrap_or_else(PoisonError::into_inner));
            (taken, report)
        });
        let (mut back, report) = work.await?;
        tell(&context, &mut back, report, &missing);
        scraper = Some(back);
        context.out.publish(&table).await;
    }
    Ok(())
}

fn tell(context: &Context, scraper: &mut Scraper, report: Report, missing: &[&'static str]) {
    context.status.set("containers", report.containers);
    context.status.set("open_files", report.open_files);
    if let Some((path, error)) = scraper.take_failure() {
        let reason = format!("{} of the cgroups cannot be read, the last {path}: {error}", report.failed);
        context.status.degraded(reason, "run the agent as root, or raise its limit of open files");
    } else if report.left_out > 0 {
        let reason = format!("{} cgroups were left out, more than fit", report.left_out);
        context.status.degraded(reason, "spread the containers over more nodes");
    } else if !missing.is_empty() {
        let reason = format!("cgroup controllers are off: {}", missing.join(", "));
        context.status.degraded(reason, "for memory, add cgroup_enable=memory to the kernel's command line");
    } else {
        context.status.ok();
    }
}

/// Ten files for each container are soon more than the 1024 a process is given; it may have as many as its hard limit.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
mod tests;
