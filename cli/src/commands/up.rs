//! `yagura up`: the agent and the collector on this machine, joined by OTLP over the loopback.

use std::{
    collections::HashMap,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use serde::Deserialize;
use tokio::time::Instant;
use yagura_agent::{
    app::Agent,
    status::{Board, Source, State},
};
use yagura_collector::app::{Collector, StartError};
use yagura_daemon::{
    config::{self, ConfigError, Faults, Validate},
    http_client::causes,
    logging, shutdown,
};

use crate::args::Up;

/// How long the first words wait for every source to have looked once.
const FIRST_LOOK: Duration = Duration::from_millis(1500);
/// How long each daemon may take to stop.
const STOP: Duration = Duration::from_millis(4500);

/// A whole `yagura.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// The agent's half.
    agent: yagura_agent::config::Config,
    /// The collector's half.
    collector: yagura_collector::Config,
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        faults.check("agent", &self.agent);
        faults.check("collector", &self.collector);
    }
}

#[expect(clippy::print_stderr, reason = "what is said before there is a log goes to the terminal")]
pub(crate) fn run(args: Up) -> ExitCode {
    let config = match load(&args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(config::EXIT_CODE);
        }
    };
    if let Err(error) = logging::init(&config.agent.log) {
        eprintln!("{error}");
        return ExitCode::from(config::EXIT_CODE);
    }
    let Err(error) = start(config) else { return ExitCode::SUCCESS };
    eprintln!("yagura: {}", causes(error.as_ref()));
    match error.downcast_ref() {
        Some(StartError::Files(_)) => ExitCode::from(config::EXIT_CODE),
        _ => ExitCode::FAILURE,
    }
}

/// The config with what was typed, and with what makes one machine of both halves.
fn load(args: &Up) -> Result<Config, ConfigError> {
    let settle = |config: &mut Config| settle(config, args);
    match &args.config {
        Some(path) => config::load_with(path, settle),
        None => {
            let mut config: Config = config::parse("defaults", "", &HashMap::new())?;
            settle(&mut config);
            let mut faults = Faults::default();
            config.validate(&mut faults);
            match faults.texts().as_slice() {
                [] => Ok(config),
                texts => Err(ConfigError {
                    file: "the options".to_owned(),
                    faults: texts
                        .iter()
                        .map(|text| config::Fault { place: None, key: String::new(), text: text.clone() })
                        .collect(),
                }),
            }
        }
    }
}

fn settle(config: &mut Config, args: &Up) {
    let defaults = Config::default();
    if let Some(listen) = args.listen {
        config.collector.listen = listen;
    }
    config.collector.insecure |= args.insecure;
    config.agent.insecure |= args.insecure;
    // What a config file says of places counts; `--data` is for what it leaves open.
    if config.collector.storage.path == defaults.collector.storage.path {
        config.collector.storage.path = args.data.join("collector");
    }
    if config.agent.buffer.path == defaults.agent.buffer.path {
        config.agent.buffer.path = args.data.join("agent");
    }
    if config.agent.admin == defaults.agent.admin {
        config.agent.admin = free_or_any(config.agent.admin);
    }
    if config.collector.otlp == defaults.collector.otlp {
        config.collector.otlp = free_or_any(config.collector.otlp);
    }
}

/// A default port when nobody has it, else any: a second `yagura up` on one machine should just run.
fn free_or_any(address: SocketAddr) -> SocketAddr {
    match TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

fn start(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("yagura").build()?;
    let result = runtime.block_on(both(config));
    // A thread that hangs in a dead mount must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

async fn both(config: Config) -> anyhow::Result<()> {
    let Config { agent: mut agent_config, collector: collector_config } = config;
    let stop = shutdown::on_signal()?;
    let (stop_agent, stop_collector) = (stop.child_token(), shutdown::CancellationToken::new());
    let data = collector_config.storage.path.clone();
    let collector = Collector::start(collector_config).await?;
    let addresses = collector.addresses();
    let ui = collector.login_url().filter(|_| !addresses.http.ip().is_loopback()).unwrap_or(collector.url()).to_owned();
    if agent_config.export.endpoints.is_empty() {
        agent_config.export.endpoints = vec![format!("http://{}", addresses.otlp)];
    }
    let pages = agent_config.admin;
    let agent = Agent::start(agent_config).await.context("the agent did not start")?;
    let board = agent.board().clone();
    let mut agent = tokio::spawn(agent.run(stop_agent.clone()));
    let mut collector = tokio::spawn(collector.run(stop_collector.clone()));
    say_what_is_watched(&board, &Places { ui: &ui, http: addresses.http, otlp: addresses.otlp, pages, data: &data })
        .await;

    let ended = tokio::select! {
        () = stop.cancelled() => None,
        ended = &mut agent => Some(flatten(ended).context("the agent ended")),
        ended = &mut collector => Some(flatten(ended).context("the collector ended")),
    };
    // The agent first: what it still has goes to a collector that still listens.
    stop_agent.cancel();
    let began = Instant::now();
    if !agent.is_finished() {
        wait("the agent", &mut agent, STOP).await;
    }
    stop_collector.cancel();
    if !collector.is_finished() {
        wait("the collector", &mut collector, STOP.saturating_sub(began.elapsed()).max(Duration::from_secs(1))).await;
    }
    ended.unwrap_or(Ok(()))
}

fn flatten(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Result<()> {
    ended.map_err(Into::into).and_then(|result| result)
}

async fn wait<T>(who: &str, task: &mut tokio::task::JoinHandle<T>, patience: Duration) {
    if tokio::time::timeout(patience, task).await.is_err() {
        tracing::warn!(who, seconds = patience.as_secs_f64(), "did not stop in time");
    }
}

/// Where everything is.
struct Places<'a> {
    ui: &'a str,
    http: SocketAddr,
    otlp: SocketAddr,
    pages: SocketAddr,
    data: &'a Path,
}

/// The first words: what is watched, what is not and why, and where to look.
async fn say_what_is_watched(board: &Board, places: &Places<'_>) {
    let mut changes = board.changes();
    let until = Instant::now() + FIRST_LOOK;
    while tokio::time::timeout_at(until, changes.changed()).await.is_ok_and(|changed| changed.is_ok()) {}
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; that is no reason to stop watching.
    drop(out.write_all(first_words(&board.sources(), places).as_bytes()).and_then(|()| out.flush()));
}

fn first_words(sources: &[Source], places: &Places<'_>) -> String {
    let mut text = String::from("Yagura watches this machine.\n\n");
    for source in sources {
        let mark = match source.state {
            State::Ok => "●",
            State::Degraded => "▲",
            State::Missing => "◌",
        };
        let detail: Vec<String> = source
            .detail
            .iter()
            .filter(|(_, value)| !value.is_object() && !value.is_array())
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value)))
            .collect();
        let said = if source.reason.is_empty() { detail.join(", ") } else { source.reason.clone() };
        text.push_str(&format!("  {mark} {:<8} {said}\n", source.name));
        if !source.hint.is_empty() {
            text.push_str(&format!("    {:<8} → {}\n", "", source.hint));
        }
    }
    let lines = [
        ("look", places.ui.to_owned()),
        ("send", format!("OTLP over gRPC to {}, over HTTP to http://{}/v1/…", places.otlp, places.http)),
        ("scrape", format!("http://{}/metrics", places.pages)),
        ("data", places.data.parent().unwrap_or(places.data).display().to_string()),
    ];
    text.push('\n');
    for (name, value) in lines {
        text.push_str(&format!("  {name:<8} {value}\n"));
    }
    text.push_str("\nCtrl-C stops it; everything it has seen is kept.\n");
    text
}

/// A detail of a source as a person reads it.
fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_first_words_name_what_is_missing_and_what_to_do() {
        let source = |name, state, reason: &str, hint| Source {
            name,
            state,
            reason: reason.to_owned(),
            hint,
            detail: BTreeMap::from([("hierarchy", serde_json::json!("cgroup v1"))]),
        };
        let sources = [
            source("cgroup", State::Ok, "", ""),
            source("docker", State::Missing, "cannot connect to /var/run/docker.sock", "mount the socket"),
        ];
        let address: SocketAddr = "127.0.0.1:7400".parse().unwrap();
        let places = Places {
            ui: "http://127.0.0.1:7400",
            http: address,
            otlp: address,
            pages: address,
            data: Path::new("yagura-data/collector"),
        };
        let text = first_words(&sources, &places);
        assert!(text.contains("● cgroup   hierarchy cgroup v1\n"), "{text}");
        assert!(text.contains("◌ docker   cannot connect to /var/run/docker.sock\n"), "{text}");
        assert!(text.contains("→ mount the socket\n") && text.contains("look     http://127.0.0.1:7400\n"), "{text}");
        assert!(text.contains("data     yagura-data\n"), "{text}");
    }

    #[test]
    fn what_a_config_says_of_places_counts_more_than_the_data_folder() {
        let mut config = Config::default();
        config.agent.buffer.path = "/elsewhere".into();
        let args = Up { data: "d".into(), listen: Some("127.0.0.1:1".parse().unwrap()), config: None, insecure: false };
        settle(&mut config, &args);
        assert_eq!(config.agent.buffer.path, Path::new("/elsewhere"));
        assert_eq!(config.collector.storage.path, Path::new("d/collector"));
        assert_eq!(config.collector.listen.port(), 1);
    }
}
