//! Docker's events: which matter, what they say to a person, and how they become log records.
//!
//! A record's place is its time in nanoseconds, its generation the daemon: a second reading of an event, after a
//! restart of either side, is the same record to the store ([`yagura_model::delivery`]).

use std::{collections::HashMap, ops::Range};

use bollard::models::{EventMessage, EventMessageTypeEnum};
use yagura_codec::{
    AnyValue,
    attributes::{RecordAttributes, ScopeAttributes},
    logs::{Encoder, NewRecord},
};
use yagura_model::{Nanos, Severity, delivery};

use crate::inventory::{Container, resource};

/// An event of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The container's id.
    pub id: String,
    /// What happened.
    pub action: Action,
    /// When.
    pub time: Nanos,
    /// The container's labels, name, image, and what belongs to the action.
    pub attributes: HashMap<String, String>,
}

/// What can happen to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was made.
    Create,
    /// It was started.
    Start,
    /// It was restarted by somebody.
    Restart,
    /// Its main process ended.
    Die,
    /// Something in it was killed for want of memory.
    Oom,
    /// It was sent a signal.
    Kill,
    /// It was frozen.
    Pause,
    /// It goes on.
    Unpause,
    /// Its health changed to this.
    Health(String),
    /// Its name or its limits changed.
    Change,
    /// It was removed.
    Destroy,
}

impl Event {
    /// An event of a container that matters; `exec_…`, `attach`, `top` and the like do not.
    #[must_use]
    pub fn parse(message: EventMessage) -> Option<Self> {
        if message.typ != Some(EventMessageTypeEnum::CONTAINER) {
            return None;
        }
        let actor = message.actor?;
        let word = message.action?;
        let action = match word.as_str() {
            "create" => Action::Create,
            "start" => Action::Start,
            "restart" => Action::Restart,
            // Podman says `died` and `remove`.
            "die" | "died" => Action::Die,
            "oom" => Action::Oom,
            "kill" => Action::Kill,
            "pause" => Action::Pause,
            "unpause" => Action::Unpause,
            "rename" | "update" => Action::Change,
            "destroy" | "remove" => Action::Destroy,
            word => Action::Health(health(word, actor.attributes.as_ref())?),
        };
        let seconds = message.time.map(|seconds| seconds.saturating_mul(1_000_000_000));
        let time = Nanos(message.time_nano.or(seconds)?);
        Some(Self { id: actor.id?, action, time, attributes: actor.attributes.unwrap_or_default() })
    }

    /// An attribute's text.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// The exit code of one that ended.
    #[must_use]
    pub fn exit_code(&self) -> Option<i64> {
        self.attribute("exitCode").or_else(|| self.attribute("containerExitCode"))?.parse().ok()
    }

    /// What is logged of it: the name of the event, the severity and a sentence. `None` for what only changes the
    /// inventory.
    fn told(&self, name: &str) -> Option<(&'static str, Severity, String)> {
        Some(match &self.action {
            Action::Start => ("docker.container.start", Severity::Info, format!("container {name} started")),
            Action::Restart => ("docker.container.restart", Severity::Info, format!("container {name} was restarted")),
            Action::Die => {
                let code = self.exit_code();
                let severity = if code == Some(0) { Severity::Info } else { Severity::Warn };
                let with = code.map_or_else(String::new, |code| format!(" with code {code}"));
                ("docker.container.die", severity, format!("container {name} exited{with}"))
            }
            Action::Oom => ("docker.container.oom", Severity::Error, format!("container {name} ran out of memory")),
            Action::Kill => {
                let signal = self.attribute("signal").map_or_else(String::new, |signal| format!(" {signal}"));
                ("docker.container.kill", Severity::Info, format!("container {name} was sent signal{signal}"))
            }
            Action::Pause => ("docker.container.pause", Severity::Info, format!("container {name} was paused")),
            Action::Unpause => ("docker.container.unpause", Severity::Info, format!("container {name} goes on")),
            Action::Health(status) => {
                let severity = if status == "unhealthy" { Severity::Warn } else { Severity::Info };
                ("docker.container.health_status", severity, format!("container {name} is {status}"))
            }
            Action::Create | Action::Change | Action::Destroy => return None,
        })
    }
}

/// The status in `health_status: healthy`; Podman has it in an attribute.
fn health(word: &str, attributes: Option<&HashMap<String, String>>) -> Option<String> {
    let status = word.strip_prefix("health_status")?.trim_start_matches(':').trim();
    if !status.is_empty() {
        return Some(status.to_owned());
    }
    attributes?.get("health_status").cloned()
}

/// The generation of a daemon's events.
#[must_use]
pub fn generation(daemon: &str) -> String {
    format!("docker-events/{daemon}")
}

/// Events as log records.
#[derive(Debug)]
pub struct Writer<'a> {
    encoder: Encoder,
    records: u64,
    generation: String,
    node: &'a str,
    cluster: Option<&'a str>,
}

impl<'a> Writer<'a> {
    /// A request with no records yet.
    #[must_use]
    pub fn new(daemon: &str, node: &'a str, cluster: Option<&'a str>) -> Self {
        Self { encoder: Encoder::default(), records: 0, generation: generation(daemon), node, cluster }
    }

    /// Adds an event of a container, unless it is nothing to log or the container's log is left alone.
    pub fn add(&mut self, event: &Event, container: &Container, now: Nanos) {
        if container.skip.logs {
            return;
        }
        let Some((event_name, severity, body)) = event.told(&container.name) else { return };
        let Some(range) = place(event.time) else { return };
        self.encoder.begin_resource(&resource::attributes(container, Some("docker"), self.node, self.cluster));
        self.encoder.begin_scope();
        let mut scope = ScopeAttributes::new();
        scope.put_str(delivery::GENERATION, &self.generation);
        scope.put_str(delivery::STREAM, "");
        let covered = delivery::encode_ranges(std::slice::from_ref(&range));
        scope.put(delivery::COVERED, AnyValue::Bytes(&covered));
        self.encoder.scope(delivery::SCOPE, "", &scope);
        let mut attributes = RecordAttributes::new();
        attributes.put_str("event", event_name);
        if let Some(code) = event.exit_code() {
            attributes.put_int("exit_code", code);
        }
        if let Some(signal) = event.attribute("signal") {
            attributes.put_str("signal", signal);
        }
        self.encoder.record(&NewRecord {
            time: event.time,
            observed: now,
            severity_number: severity.number(),
            severity_text: severity.level(),
            body: AnyValue::Str(&body),
            attributes: &[&attributes],
            range: Some(range),
            event_name,
            ..NewRecord::default()
        });
        self.records += 1;
    }

    /// The request and how many records are in it; `None` when there are none.
    #[must_use]
    pub fn finish(mut self) -> Option<(Vec<u8>, u64)> {
        (self.records > 0).then(|| (self.encoder.finish(), self.records))
    }
}

/// The place of an event: its nanosecond.
fn place(time: Nanos) -> Option<Range<u64>> {
    let start = u64::try_from(time.0).ok()?;
    Some(start..start.checked_add(1)?)
}
