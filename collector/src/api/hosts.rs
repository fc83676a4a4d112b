//! `GET /api/hosts`: every node in one compact answer, from node_exporter's series.

use std::{collections::BTreeMap, time::Duration};

use axum::{Router, extract::State, response::Response, routing::get};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use yagura_model::{Labels, Timestamp};

use super::{
    answer,
    containers::{Level, spoken},
    live::{Feed, feed},
    reading::{self, History, Reading, rounded},
};
use crate::query::promql::Engine;

/// How often those who look are told.
const EVERY: Duration = Duration::from_secs(5);
/// From here a disk needs somebody soon.
const DISK_FILLING: f64 = 0.9;
/// From here it needs somebody now.
const DISK_FULL: f64 = 0.95;
/// Less memory than this share available: the kernel is about to choose a victim.
const MEMORY_LOW: f64 = 0.05;
/// Two intervals and some delay.
const SILENT_AFTER: Duration = Duration::from_secs(30);

const QUERIES: &[(&str, &str)] = &[
    ("name", "node_uname_info"),
    ("system", "node_os_info"),
    (
        "CPU",
        "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[1m]) \
         or rate(node_cpu_seconds_total{mode=\"idle\"}[5m]))",
    ),
    ("cores", "count by (instance) (node_cpu_seconds_total{mode=\"idle\"})"),
    ("load", "node_load1"),
    ("memory", "node_memory_MemTotal_bytes"),
    ("available", "node_memory_MemAvailable_bytes"),
    (
        "disk",
        "topk by (instance) (1, 1 - node_filesystem_avail_bytes{fstype!~\"tmpfs|ramfs|efivarfs|iso9660|squashfs\"} \
         / node_filesystem_size_bytes)",
    ),
    (
        "received",
        "sum by (instance) (rate(node_network_receive_bytes_total{device!~\"lo|veth.*|docker.*|br-.*\"}[1m]))",
    ),
    ("sent", "sum by (instance) (rate(node_network_transmit_bytes_total{device!~\"lo|veth.*|docker.*|br-.*\"}[1m]))"),
    ("waits for cpu", "rate(node_pressure_cpu_waiting_seconds_total[1m])"),
    ("waits for memory", "rate(node_pressure_memory_waiting_seconds_total[1m])"),
    ("waits for io", "rate(node_pressure_io_waiting_seconds_total[1m])"),
    ("boot", "node_boot_time_seconds"),
    ("time", "node_time_seconds"),
    ("silent", "up{job=\"node-exporter\"} == 0"),
];

const HISTORY_QUERY: &str = "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[1m]))";

/// All hosts, as they are answered.
#[derive(Clone, Debug, Serialize)]
pub struct Hosts {
    /// When this was put together.
    pub at: Timestamp,
    /// By name.
    pub hosts: Vec<Host>,
    /// What could not be read, and why.
    pub partial: Vec<String>,
}

/// One node; what is not known is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Host {
    /// Its name.
    pub node: String,
    /// The operating system, as it calls itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// The kernel's release.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kernel: String,
    /// The share of all cores in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Logical cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<f64>,
    /// Load over one minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// Memory that is not available, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<f64>,
    /// All memory, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<f64>,
    /// The used share of the fullest filesystem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_used: Option<f64>,
    /// Where that filesystem is mounted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub disk_mount: String,
    /// Bytes received a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_rx: Option<f64>,
    /// Bytes sent a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_tx: Option<f64>,
    /// The share of time in which somebody waited, by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pressure: BTreeMap<&'static str, f64>,
    /// When it was booted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booted: Option<Timestamp>,
    /// Its clock at the newest scrape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
    /// How it does.
    pub level: Level,
    /// What is wrong, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// CPU over the last quarter of an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
}

/// `GET /hosts`.
pub fn router(engine: Engine) -> Router {
    Router::new().route("/hosts", get(answer_list)).with_state(engine)
}

/// The feed `hosts`.
#[must_use]
pub fn live(engine: Engine) -> Feed {
    feed("hosts", EVERY, move || {
        let engine = engine.clone();
        async move { list(&engine, yagura_daemon::clock::now()).await }
    })
}

/// The time of the newest sample, for the feed `pulse`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pulse {
    /// When this was read.
    pub at: Timestamp,
    /// The newest scrape of any host.
    pub newest: Option<Timestamp>,
}

/// The feed `pulse`: how old the newest data is.
#[must_use]
pub fn pulse(engine: Engine) -> Feed {
    feed("pulse", EVERY, move || {
        let engine = engine.clone();
        async move {
            let now = yagura_daemon::clock::now();
            let reading = Reading::ask(&engine, &[("time", "max(node_time_seconds)")], now).await;
            if reading.failed() {
                return Err(reading.partial.join("; "));
            }
            let newest = reading.of("time").first().map(|(_, seconds)| reading::instant(*seconds));
            Ok(Pulse { at: now, newest })
        }
    })
}

async fn answer_list(State(engine): State<Engine>, request: HeaderMap) -> Response {
    match list(&engine, yagura_daemon::clock::now()).await {
        Ok(hosts) => answer::json(&request, &hosts),
        Err(reason) => answer::failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &reason),
    }
}

/// Every host that is known at `now`.
pub async fn list(engine: &Engine, now: Timestamp) -> Result<Hosts, String> {
    let reading = Reading::ask(engine, QUERIES, now).await;
    if reading.failed() {
        return Err(reading.partial.join("; "));
    }
    let mut partial = reading.partial.clone();
    let mut found = assemble(&reading);
    match reading::histories(engine, HISTORY_QUERY, now).await {
        Ok(histories) => {
            for (labels, history) in histories {
                if let Some(one) = labels.get("instance").and_then(|node| found.get_mut(node)) {
                    one.history = Some(history);
                }
            }
        }
        Err(error) => partial.push(format!("history: {error}")),
    }
    let mut hosts: Vec<Host> = found.into_values().collect();
    for host in &mut hosts {
        judge(host, now);
    }
    Ok(Hosts { at: now, hosts, partial })
}

fn assemble(reading: &Reading) -> BTreeMap<String, Host> {
    let mut found = BTreeMap::new();
    let text = |labels: &Labels, name: &str| labels.get(name).unwrap_or_default().to_owned();
    each(reading, "name", &mut found, |one, labels, _| one.kernel = text(labels, "release"));
    each(reading, "system", &mut found, |one, labels, _| one.os = text(labels, "pretty_name"));
    each(reading, "CPU", &mut found, |one, _, value| one.cpu = Some(rounded(value.clamp(0.0, 1.0))));
    each(reading, "cores", &mut found, |one, _, value| one.cores = Some(value));
    each(reading, "load", &mut found, |one, _, value| one.load = Some(value));
    each(reading, "memory", &mut found, |one, _, value| one.memory_total = Some(value));
    each(reading, "available", &mut found, |one, _, value| {
        one.memory_used = one.memory_total.map(|total| total - value);
    });
    each(reading, "disk", &mut found, |one, labels, value| {
        one.disk_used = Some(rounded(value));
        one.disk_mount = text(labels, "mountpoint");
    });
    each(reading, "received", &mut found, |one, _, value| one.net_rx = Some(rounded(value)));
    each(reading, "sent", &mut found, |one, _, value| one.net_tx = Some(rounded(value)));
    for (name, resource) in [("waits for cpu", "cpu"), ("waits for memory", "memory"), ("waits for io", "io")] {
        each(reading, name, &mut found, |one, _, value| {
            one.pressure.insert(resource, rounded(value));
        });
    }
    each(reading, "boot", &mut found, |one, _, value| one.booted = Some(reading::instant(value)));
    each(reading, "time", &mut found, |one, _, value| one.seen = Some(reading::instant(value)));
    // Of a silent host only this is left; it is listed all the same.
    each(reading, "silent", &mut found, |one, _, _| one.level = Level::NoData);
    found
}

fn each(
    reading: &Reading,
    name: &str,
    found: &mut BTreeMap<String, Host>,
    mut put: impl FnMut(&mut Host, &Labels, f64),
) {
    for (labels, value) in reading.of(name) {
        let Some(node) = labels.get("instance") else { continue };
        let one = found.entry(node.to_owned()).or_insert_with(|| Host { node: node.to_owned(), ..Host::default() });
        put(one, labels, *value);
    }
}

fn judge(one: &mut Host, now: Timestamp) {
    let mut found: Vec<(Level, String)> = Vec::new();
    if let Some(used) = one.disk_used.filter(|used| *used >= DISK_FILLING) {
        let level = if used >= DISK_FULL { Level::Critical } else { Level::Warning };
        found.push((level, format!("disk {} is {:.0} % full", one.disk_mount, used * 100.0)));
    }
    if let (Some(used), Some(total)) = (one.memory_used, one.memory_total)
        && total - used < total * MEMORY_LOW
    {
        found.push((Level::Critical, format!("has {:.0} % of its memory left", (total - used) / total * 100.0)));
    }
    match one.seen.map(|seen| now.since(seen)) {
        Some(age) if age > SILENT_AFTER => {
            found.push((Level::NoData, format!("has sent no data for {}", spoken(age))));
        }
        None if one.level == Level::NoData => found.push((Level::NoData, "sends no data".to_owned())),
        _ => {}
    }
    found.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    one.level = found.first().map_or(Level::Ok, |(level, _)| *level);
    one.why = found.into_iter().map(|(_, why)| why).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn judged(mut host: Host) -> (Level, String) {
        judge(&mut host, NOW);
        (host.level, host.why.join(", "))
    }

    #[test]
    fn a_host_is_judged_by_disk_memory_and_silence() {
        let well =
            Host { disk_used: Some(0.89), memory_used: Some(95.0), memory_total: Some(100.0), ..Host::default() };
        assert_eq!(judged(Host { seen: Some(NOW), ..well.clone() }), (Level::Ok, String::new()));
        let full = Host { disk_used: Some(0.96), disk_mount: "/var".to_owned(), ..Host::default() };
        assert_eq!(judged(full), (Level::Critical, "disk /var is 96 % full".to_owned()));
        let low = Host { memory_used: Some(97.0), ..well.clone() };
        assert_eq!(judged(low), (Level::Critical, "has 3 % of its memory left".to_owned()));
        let old = Host { seen: Some(Timestamp(NOW.0 - 31_000)), ..well };
        assert_eq!(judged(old), (Level::NoData, "has sent no data for 31 s".to_owned()));
    }

    #[test]
    fn a_host_of_which_only_the_silence_is_left_says_so() {
        let gone = Host { level: Level::NoData, ..Host::default() };
        assert_eq!(judged(gone), (Level::NoData, "sends no data".to_owned()));
    }
}
