//! What runs on this node: container id → container → pod → owner → tags.
//!
//! Sources of knowledge (docker, later CRI and the pod watch) write it through [`Inventory::upsert`] and
//! [`Inventory::end`]; cgroup, logs and intakes read it. An entry is replaced as a whole, so a reader's `Arc` never
//! changes under it.

pub mod resource;
mod store;

use std::{fmt, sync::Arc};

use yagura_model::{Tags, Timestamp};

pub use store::{Change, Hold, Inventory, REMEMBERED};

/// The 64 hexadecimal digits by which a runtime knows a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(Arc<str>);

impl ContainerId {
    /// The id, if `text` is one: 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(hex)).then(|| Self(text.into()))
    }

    /// All 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, as `docker ps` shows them.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything known of one container. Replaced as a whole when something changes.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without docker's leading `/`; the container's name in its pod for Kubernetes.
    pub name: Arc<str>,
    /// The image as it was asked for: `nginx:1.27`.
    pub image: Arc<str>,
    /// Labels it was started with, sorted by name.
    pub labels: Arc<[(Arc<str>, Arc<str>)]>,
    /// `source`, `service`, `env`, `role` and what else it is tagged with.
    pub tags: Arc<Tags>,
    /// The pod it belongs to, in Kubernetes.
    pub pod: Option<Arc<Pod>>,
    /// Where it is in its life.
    pub state: State,
    /// What its health check says, if it has one.
    pub health: Option<Health>,
    /// How often it was restarted by its runtime.
    pub restarts: u64,
    /// The last exit code, when it has exited.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed it (or it ended) for want of memory.
    pub oom_killed: bool,
    /// When it was last started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Published ports as docker writes them: `127.0.0.1:8080->80/tcp`.
    pub ports: Arc<[String]>,
    /// The main process on the host; used to read its network namespace.
    pub pid: Option<i32>,
    /// How its runtime keeps its log.
    pub log: LogPlace,
    /// What the agent was told to leave alone.
    pub skip: Skip,
}

/// What of a container is left alone, by the agent's config or by a label on the container. It stays in the
/// inventory, so that a reader who finds its cgroup or its log knows to pass over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skip {
    /// Its series.
    pub metrics: bool,
    /// Its log and its events.
    pub logs: bool,
}

/// A Kubernetes pod, as far as paths and the API tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Uid, as the cgroup path has it (with dashes).
    pub uid: Arc<str>,
}

/// A container's state, in docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not started yet.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed, or its removal failed.
    Dead,
}

/// What a health check says, in docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// Not decided yet.
    Starting,
    /// Passing.
    Healthy,
    /// Failing.
    Unhealthy,
}

/// How a container's log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPlace {
    /// Docker's `json-file` driver: the path of `<id>-json.log`.
    JsonFile(Arc<str>),
    /// Only the runtime's API gives it (another driver, a remote daemon).
    Api,
    /// The driver keeps nothing that can be read back (`none`, `syslog`, …): its name.
    Unreadable(Arc<str>),
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A running container whose id is `digit` 64 times.
    pub(crate) fn container(digit: &str, name: &str) -> Container {
        Container {
            id: ContainerId::parse(&digit.repeat(64)).unwrap(),
            name: name.into(),
            image: "registry.example.com/shop/web:1.5.0".into(),
            labels: [].into(),
            tags: Arc::default(),
            pod: None,
            state: State::Running,
            health: None,
            restarts: 0,
            exit_code: None,
            oom_killed: false,
            started: Some(Timestamp(1_000)),
            finished: None,
            ports: [].into(),
            pid: None,
            log: LogPlace::Api,
            skip: Skip::default(),
        }
    }
}
