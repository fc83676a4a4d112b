//! The `storage` block of the collector's config.

use std::{path::PathBuf, time::Duration};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The `storage` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The directory that holds everything; made if it is not there.
    pub path: PathBuf,
    /// How long things are kept.
    pub retention: Retention,
    /// How many bytes the directory may take; the oldest days go first.
    pub size: u64,
    /// The least time between two syncs of the disk; what arrives between them is committed together.
    pub commit_interval: Duration,
    /// The most series that may be active at once; samples of further ones are refused and counted.
    pub max_series: usize,
    /// The most log streams that may be active at once.
    pub max_streams: usize,
    /// The most bytes of log records held in memory before they are sealed into blocks.
    pub log_head: u64,
    /// The most bytes of what was acknowledged but is not yet in blocks; a start replays them.
    pub inbox: u64,
    /// Bytes of the file system that are never used, so that a full disk can still be cleaned up.
    pub reserve: u64,
}

/// How long each kind of data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Samples.
    pub metrics: Duration,
    /// Log records.
    pub logs: Duration,
    /// Spans.
    pub traces: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::from("/var/lib/yagura/collector"),
            retention: Retention::default(),
            size: 50 << 30,
            commit_interval: Duration::from_millis(5),
            max_series: 1_000_000,
            max_streams: 100_000,
            log_head: 64 << 20,
            inbox: 256 << 20,
            reserve: 256 << 20,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { metrics: 15 * DAY, logs: 7 * DAY, traces: 3 * DAY }
    }
}

impl Config {
    /// What the types cannot say; one sentence for each fault, beginning with its key.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |passes: bool, fault: &str| {
            if !passes {
                faults.push(fault.to_owned());
            }
        };
        let hour = Duration::from_secs(3600);
        check(!self.path.as_os_str().is_empty(), "path: a directory is expected");
        check(self.retention.metrics >= hour, "retention.metrics: at least 1h is expected");
        check(self.retention.logs >= hour, "retention.logs: at least 1h is expected");
        check(self.retention.traces >= hour, "retention.traces: at least 1h is expected");
        check(self.size >= 512 << 20, "size: at least 512MiB is expected");
        check(
            (1..=1000).contains(&self.commit_interval.as_millis()),
            "commit_interval: between 1ms and 1s is expected",
        );
        check(self.max_series > 0, "max_series: at least 1 is expected");
        check(self.max_streams > 0, "max_streams: at least 1 is expected");
        check(self.log_head >= 1 << 20, "log_head: at least 1MiB is expected");
        check(self.inbox >= 1 << 20, "inbox: at least 1MiB is expected");
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_named_with_its_key() {
        let config = Config { size: 1, commit_interval: Duration::ZERO, max_series: 0, ..Config::default() };
        let faults = config.validate();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].starts_with("size: "), "{faults:?}");
    }
}
