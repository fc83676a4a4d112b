//! What the daemon says of a container, as the inventory has it. Pure.

use std::{collections::HashMap, sync::Arc};

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, ContainerSummary, HealthStatusEnum,
    PortMap,
};
use yagura_model::{Tags, Timestamp};

use super::{connect::Endpoint, filter::Filter};
use crate::{
    inventory::{Container, ContainerId, Health, LogPlace, Skip, State},
    tags::{self, Evidence, Rules},
};

/// Log drivers that keep nothing that could be read back.
const UNREADABLE: &[&str] = &["none", "syslog", "gelf", "fluentd", "splunk", "awslogs", "gcplogs", "etwlogs"];

/// What turning an answer into a container takes.
#[derive(Debug)]
pub struct Converter<'a> {
    /// The agent's tags and rules.
    pub rules: &'a Rules,
    /// Which containers are left alone.
    pub filter: &'a Filter,
    /// Whose daemon it is; files and processes of another machine are not ours.
    pub endpoint: &'a Endpoint,
}

type Labels = Arc<[(Arc<str>, Arc<str>)]>;

impl Converter<'_> {
    /// From an inspection, which says all there is.
    #[must_use]
    pub fn inspected(&self, answer: ContainerInspectResponse) -> Option<Container> {
        let id = ContainerId::parse(answer.id.as_deref()?)?;
        let config = answer.config.unwrap_or_default();
        let state = answer.state.unwrap_or_default();
        let name: Arc<str> = answer.name.as_deref().unwrap_or_default().trim_start_matches('/').into();
        let image: Arc<str> = config.image.or(answer.image).unwrap_or_default().into();
        let labels = sorted(config.labels.unwrap_or_default());
        let (tags, skip) = self.judge(&name, &image, &labels, &config.env.unwrap_or_default());
        let driver = answer.host_config.and_then(|host| host.log_config).and_then(|log| log.typ);
        let is_here = matches!(self.endpoint, Endpoint::Unix(_));
        let pid = state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0 && is_here);
        let run = state_of(&state);
        let has_ended = matches!(run, State::Exited | State::Dead | State::Restarting);
        Some(Container {
            id,
            name,
            image,
            labels,
            tags,
            pod: None,
            state: run,
            health: health_of(&state),
            restarts: answer.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
            exit_code: state.exit_code.filter(|_| has_ended),
            oom_killed: state.oom_killed.unwrap_or(false),
            started: instant(state.started_at.as_deref()),
            finished: instant(state.finished_at.as_deref()).filter(|_| has_ended),
            ports: ports_of(answer.network_settings.and_then(|network| network.ports).unwrap_or_default()),
            pid,
            log: log_place(driver.as_deref().unwrap_or_default(), answer.log_path.as_deref(), is_here),
            skip,
        })
    }

    /// From an entry of the list, when the inspection cannot be read.
    #[must_use]
    pub fn listed(&self, entry: &ContainerSummary) -> Option<Container> {
        let names = entry.names.as_deref().unwrap_or_default();
        let name = names.first().map(String::as_str).unwrap_or_default();
        let labels = entry.labels.clone().unwrap_or_default();
        let image = entry.image.as_deref().unwrap_or_default();
        let mut container = self.sketch(entry.id.as_deref()?, name, image, labels)?;
        container.state = entry.state.and_then(|state| parse_state(state.as_ref())).unwrap_or(State::Created);
        Some(container)
    }

    /// From the attributes of an event, when the container was gone before it could be asked for.
    #[must_use]
    pub fn from_event(&self, id: &str, attributes: &HashMap<String, String>) -> Option<Container> {
        let text = |name: &str| attributes.get(name).map(String::as_str).unwrap_or_default();
        // The attributes are the labels, and a few more.
        let is_label = |name: &str| !matches!(name, "name" | "image" | "exitCode" | "signal" | "execDuration");
        let labels = attributes.iter().filter(|(name, _)| is_label(name));
        let labels = labels.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.sketch(id, text("name"), text("image"), labels)
    }

    fn sketch(&self, id: &str, name: &str, image: &str, labels: HashMap<String, String>) -> Option<Container> {
        let name: Arc<str> = name.trim_start_matches('/').into();
        let labels = sorted(labels);
        let (tags, skip) = self.judge(&name, image, &labels, &[]);
        Some(Container {
            id: ContainerId::parse(id)?,
            name,
            image: image.into(),
            labels,
            tags,
            pod: None,
            state: State::Created,
            health: None,
            restarts: 0,
            exit_code: None,
            oom_killed: false,
            started: None,
            finished: None,
            ports: [].into(),
            pid: None,
            log: LogPlace::Api,
            skip,
        })
    }

    fn judge(&self, name: &str, image: &str, labels: &Labels, env: &[String]) -> (Arc<Tags>, Skip) {
        let evidence = Evidence { container: name, image, labels, env, pod: None };
        (Arc::new(tags::resolve(&evidence, self.rules)), self.filter.skip(&evidence))
    }
}

fn sorted(labels: HashMap<String, String>) -> Labels {
    let mut labels: Vec<(Arc<str>, Arc<str>)> =
        labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    labels.sort_unstable();
    labels.into()
}

fn state_of(state: &ContainerState) -> State {
    let flag = |flag: Option<bool>| flag.unwrap_or(false);
    match state.status {
        Some(status) if status != Status::EMPTY => parse_state(status.as_ref()).unwrap_or(State::Running),
        // Daemons before 1.21 have only flags.
        _ if flag(state.dead) => State::Dead,
        _ if flag(state.restarting) => State::Restarting,
        _ if flag(state.paused) => State::Paused,
        _ if flag(state.running) => State::Running,
        _ if instant(state.started_at.as_deref()).is_some() => State::Exited,
        _ => State::Created,
    }
}

fn parse_state(word: &str) -> Option<State> {
    Some(match word {
        "created" => State::Created,
        "running" | "stopping" => State::Running,
        "paused" => State::Paused,
        "restarting" => State::Restarting,
        "exited" => State::Exited,
        "removing" | "dead" => State::Dead,
        _ => return None,
    })
}

fn health_of(state: &ContainerState) -> Option<Health> {
    match state.health.as_ref()?.status? {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}

/// A time as the daemon writes it; what never happened is in the year 1.
fn instant(text: Option<&str>) -> Option<Timestamp> {
    let instant: jiff::Timestamp = text?.parse().ok()?;
    Some(Timestamp(instant.as_millisecond())).filter(|time| time.0 > 0)
}

/// As `docker ps` shows them, published ones only.
fn ports_of(ports: PortMap) -> Arc<[String]> {
    let mut shown: Vec<String> = Vec::new();
    for (inner, bindings) in ports {
        for binding in bindings.unwrap_or_default() {
            let host = binding.host_ip.filter(|host| !host.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            shown.push(format!("{host}:{}->{inner}", binding.host_port.unwrap_or_default()));
        }
    }
    shown.sort_unstable();
    shown.into()
}

fn log_place(driver: &str, path: Option<&str>, is_here: bool) -> LogPlace {
    match path.filter(|path| !path.is_empty() && is_here) {
        Some(path) if driver == "json-file" => LogPlace::JsonFile(path.into()),
        _ if UNREADABLE.contains(&driver) => LogPlace::Unreadable(driver.into()),
        _ => LogPlace::Api,
    }
}
