//! The `storage` block of the collector's config.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use yagura_daemon::config::{DurationText, Faults, SizeText, Validate};

const DAY: u64 = 24 * 60 * 60;

/// The `storage` block.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The directory that holds everything; made if it is not there.
    pub path: PathBuf,
    /// How long things are kept.
    pub retention: Retention,
    /// How many bytes the directory may take; the oldest days go first.
    pub size: SizeText,
    /// The least time between two syncs of the disk; what arrives between them is committed together.
    pub commit_interval: DurationText,
    /// The most series that may be active at once; samples of further ones are refused and counted.
    pub max_series: usize,
    /// The most log streams that may be active at once.
    pub max_streams: usize,
    /// The most bytes of log records held in memory before they are sealed into blocks.
    pub log_head: SizeText,
    /// The most bytes of what was acknowledged but is not yet in blocks; a start replays them.
    pub inbox: SizeText,
    /// Bytes of the file system that are never used, so that a full disk can still be cleaned up.
    pub reserve: SizeText,
}

/// How long each kind of data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Samples.
    pub metrics: DurationText,
    /// Log records.
    pub logs: DurationText,
    /// Spans.
    pub traces: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::from("/var/lib/yagura/collector"),
            retention: Retention::default(),
            size: SizeText::mib(50 << 10),
            commit_interval: DurationText(Duration::from_millis(5)),
            max_series: 1_000_000,
            max_streams: 100_000,
            log_head: SizeText::mib(64),
            inbox: SizeText::mib(256),
            reserve: SizeText::mib(256),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            metrics: DurationText::seconds(15 * DAY),
            logs: DurationText::seconds(7 * DAY),
            traces: DurationText::seconds(3 * DAY),
        }
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        if self.path.as_os_str().is_empty() {
            faults.add("path", "expected a directory");
        }
        faults.check("retention", &self.retention);
        if self.size < SizeText::mib(512) {
            faults.add("size", "expected at least 512MiB");
        }
        if !(1..=1000).contains(&self.commit_interval.0.as_millis()) {
            faults.add("commit_interval", "expected 1ms to 1s");
        }
        for (key, value) in [("max_series", self.max_series), ("max_streams", self.max_streams)] {
            if value == 0 {
                faults.add(key, "expected at least 1");
            }
        }
        for (key, value) in [("log_head", self.log_head), ("inbox", self.inbox)] {
            if value < SizeText::mib(1) {
                faults.add(key, "expected at least 1MiB");
            }
        }
    }
}

impl Validate for Retention {
    fn validate(&self, faults: &mut Faults) {
        for (key, value) in [("metrics", self.metrics), ("logs", self.logs), ("traces", self.traces)] {
            if value < DurationText::seconds(3600) {
                faults.add(key, "expected at least 1h");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(config: &Config) -> Vec<String> {
        let mut faults = Faults::default();
        config.validate(&mut faults);
        faults.texts()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(faults(&Config::default()), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_named_with_its_key() {
        let retention = Retention { logs: DurationText::seconds(1), ..Retention::default() };
        let config = Config { retention, size: SizeText(1), max_series: 0, ..Config::default() };
        let expected = [
            "retention.logs: expected at least 1h",
            "size: expected at least 512MiB",
            "max_series: expected at least 1",
        ];
        assert_eq!(faults(&config), expected);
    }
}
