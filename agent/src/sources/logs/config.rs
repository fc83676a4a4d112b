//! The `sources.logs` block.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::Deserialize;
use yagura_daemon::config::{DurationText, Faults, SizeText, Validate};

use super::{
    read::Bounds,
    tail::{Files, Settings},
};
use crate::sources::Context;

/// The `sources.logs` block.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Docker's directory of containers.
    pub docker: PathBuf,
    /// The kubelet's directory of pod logs.
    pub pods: PathBuf,
    /// Plain files.
    pub files: Vec<FilesConfig>,
    /// How much is read ahead and held.
    pub limits: LimitsConfig,
    /// Where positions are kept; `logs.checkpoint` beside the disk buffer when absent.
    pub checkpoint: Option<PathBuf>,
    /// The runtime's socket, for logs that have no file; not in the file: it is that of `sources.docker`.
    #[serde(skip)]
    pub socket: Option<String>,
}

/// Plain files, by pattern.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesConfig {
    /// An absolute path; `*` and `?` stand for characters of one name.
    pub path: String,
    /// Paths to leave out, in the same manner; here `*` also stands for `/`.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Tags of their records.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// How much is read ahead and held.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Bytes of batches that wait for the collector's answer.
    pub read_ahead: SizeText,
    /// A line joined from fragments is cut at this size.
    pub line: SizeText,
    /// A line whose end does not come is cut after this time.
    pub partial: DurationText,
    /// Bytes of deleted files that are held open until they are delivered.
    pub held: SizeText,
    /// How long a deleted file is held open.
    pub held_for: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            docker: "/var/lib/docker/containers".into(),
            pods: "/var/log/pods".into(),
            files: Vec::new(),
            limits: LimitsConfig::default(),
            checkpoint: None,
            socket: None,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            read_ahead: SizeText::mib(4),
            line: SizeText(256 * 1024),
            partial: DurationText::seconds(5),
            held: SizeText::mib(1024),
            held_for: DurationText::seconds(3600),
        }
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        for (index, files) in self.files.iter().enumerate() {
            if !files.path.starts_with('/') {
                faults.add(format!("files[{index}].path"), "an absolute path");
            }
        }
        if self.limits.line.0 < 1024 || self.limits.line.0 > 1024 * 1024 {
            faults.add("limits.line", "a size between 1KiB and 1MiB");
        }
        if self.limits.read_ahead.0 < 1024 * 1024 {
            faults.add("limits.read_ahead", "a size of at least 1MiB");
        }
    }
}

impl Config {
    /// Where positions are kept.
    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        self.checkpoint.clone().unwrap_or_else(|| "/var/lib/yagura/agent/logs.checkpoint".into())
    }

    /// What the tailer needs of it.
    pub(crate) fn settings(&self, context: &Context) -> Settings {
        let files = |files: &FilesConfig| Files {
            path: files.path.clone(),
            exclude: files.exclude.clone(),
            tags: files.tags.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect(),
        };
        Settings {
            docker: vec![self.docker.clone()],
            pods: vec![self.pods.clone()],
            files: self.files.iter().map(files).collect(),
            read_ahead: self.limits.read_ahead.bytes(),
            bounds: Bounds { line: self.limits.line.bytes(), patience: self.limits.partial.0 },
            held_bytes: self.limits.held.0,
            held_age: self.limits.held_for.0,
            node: Arc::clone(&context.node),
        }
    }
}
