//! What is known of this machine before anything is read: its name and when it was booted.

use std::{fs, path::Path, sync::Arc};

use yagura_daemon::clock;
use yagura_model::Timestamp;

use crate::{
    config::Config,
    sources::Node,
    tags::{RuleError, Rules},
};

/// The node as the config and the kernel describe it.
pub fn describe(config: &Config, proc: &Path) -> Result<Node, RuleError> {
    // The cluster is a label of every series, like any other tag of the node.
    let mut tags = config.tags.clone();
    if let Some(cluster) = &config.cluster {
        tags.insert("cluster".into(), cluster.clone());
    }
    Ok(Node {
        name: name(config.node_name.as_deref(), proc),
        cluster: config.cluster.clone(),
        tags: config.tags.clone(),
        rules: Arc::new(Rules::new(&tags, &config.rules)?),
        boot: boot(proc),
    })
}

/// The configured name, else what the kernel calls this machine.
fn name(configured: Option<&str>, proc: &Path) -> String {
    let configured = configured.map(str::to_owned);
    let kernel = || fs::read_to_string(proc.join("sys/kernel/hostname")).ok();
    let named = configured.or_else(kernel).map(|name| name.trim().to_owned());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".into())
}

/// When the machine was booted; now, when the kernel does not tell, so that no counter seems older than it is.
fn boot(proc: &Path) -> Timestamp {
    let stat = fs::read_to_string(proc.join("stat")).unwrap_or_default();
    parse_boot(&stat).unwrap_or_else(clock::now)
}

fn parse_boot(stat: &str) -> Option<Timestamp> {
    let seconds: i64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    seconds.checked_mul(1000).map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_name_wins_over_the_kernels() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir_all(proc.path().join("sys/kernel")).unwrap();
        assert_eq!(name(None, proc.path()), "localhost");
        fs::write(proc.path().join("sys/kernel/hostname"), "box\n").unwrap();
        assert_eq!(name(None, proc.path()), "box");
        assert_eq!(name(Some("n1"), proc.path()), "n1");
        assert_eq!(name(Some(""), proc.path()), "localhost");
    }

    #[test]
    fn the_cluster_is_a_tag_of_everything() {
        let config = Config { cluster: Some("tokyo-1".into()), ..Config::default() };
        let node = describe(&config, Path::new("/nonexistent")).unwrap();
        let tags = crate::tags::of_node("host", &node.rules);
        assert!(tags.labels().any(|label| label == ("cluster", "tokyo-1")));
    }

    #[test]
    fn the_boot_time_is_read_in_milliseconds() {
        assert_eq!(parse_boot("cpu 1 2\nbtime 1700000000\nprocesses 5\n"), Some(Timestamp(1_700_000_000_000)));
        assert_eq!(parse_boot("cpu 1 2\nbtime soon\n"), None);
    }
}
