//! The collector as a whole: the only file that knows all stages, builds them, joins them, and stops them in order.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, routing::get};
use http::StatusCode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use yagura_daemon::{
    admin::{self, Readiness},
    clock,
    config::ConfigError,
    secret::{self, Secret},
    serve,
    tasks::{Ended, Tasks},
    tls,
};
use yagura_model::{Labels, Timestamp};

use crate::{
    api,
    auth::{self, Access},
    config::{Config, Files, Scope},
    figures,
    notifiers::{self, Notifier},
    presence::{self, Presence},
    probes, query, random,
    receivers::{self, Receiver},
    rules::{self, Manager},
    storage::{self, Storage},
    web,
};

/// The file in the data directory that holds the admin token.
const TOKEN_FILE: &str = "admin-token";
/// How long each part may take to stop: requests under way have 3 s of their own.
const STOPPING: Duration = Duration::from_millis(3500);

/// Why a collector could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file that the config names cannot be used.
    #[error("{}", join(.0))]
    Files(Vec<ConfigError>),
    /// A port, the data directory or a certificate cannot be used.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

fn join(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The addresses that were bound, with port 0 resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// UI, APIs, OTLP over HTTP.
    pub http: SocketAddr,
    /// OTLP over gRPC.
    pub otlp: SocketAddr,
}

/// A collector that has its ports and its data, and does not serve yet.
#[derive(Debug)]
pub struct Collector {
    config: Config,
    addresses: Addresses,
    url: String,
    login: Option<String>,
    http: TcpListener,
    otlp: TcpListener,
    parts: Parts,
    readiness: Readiness,
    registry: Registry,
    access: Arc<Access>,
    started: Timestamp,
}

/// What stores, decides and tells.
#[derive(Debug)]
struct Parts {
    /// The engine, with presence in front of its samples.
    storage: Storage,
    presence: Presence,
    promql: query::promql::Engine,
    logql: query::logql::Engine,
    notifier: Notifier,
    manager: Manager,
    checks: Arc<probes::Registry>,
    receiver: Receiver,
}

/// Runs a collector until told to stop. An error means that it could not start, or that a part failed.
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    Collector::start(config).await?.run(stop).await
}

impl Collector {
    /// Reads what the config names, takes the ports and opens the data directory.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let files = config.read_files(&yagura_daemon::config::environment()).map_err(StartError::Files)?;
        let started = clock::now();
        // The ports first: a second collector must not touch the data of the first.
        let http = serve::bind(config.listen).await.context("cannot serve the UI and the APIs (key `listen`)")?;
        let otlp = serve::bind(config.otlp).await.context("cannot take OTLP over gRPC (key `otlp`)")?;
        let address = |listener: &TcpListener| listener.local_addr().context("cannot learn the port");
        let addresses = Addresses { http: address(&http)?, otlp: address(&otlp)? };
        let storage = open_storage(&config, started).await?;
        let (token, is_new) = admin_token(&config.storage.path)?;
        let access = Arc::new(access(&config, token.clone())?);
        let url = url(&config, addresses.http);
        let login = is_new.then(|| format!("{url}/login?token={}", token.expose()));
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix("yagura_collector");
        figures::register(own, Arc::clone(&storage.engine));
        let parts = Parts::build(&config, files, storage, &url, &access, &mut registry, started).await?;
        let readiness = Readiness::waiting_for(&["listeners"]);
        Ok(Self { config, addresses, url, login, http, otlp, parts, readiness, registry, access, started })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// How people reach the UI, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address that logs a browser in; only on the first start, which made the admin token.
    #[must_use]
    pub fn login_url(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// Serves until told to stop.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let acceptor = self.config.tls.as_ref().map(tls::server).transpose().context("cannot use tls")?;
        let (stop_work, stop_serving) = (CancellationToken::new(), CancellationToken::new());
        let live = api::live::Live::new(feeds(&self.parts.promql), stop_serving.clone());
        let grpc = receivers::otlp_grpc::router(self.parts.receiver.clone());
        let Self { config, addresses, url, http, otlp, parts, readiness, registry, access, started, .. } = self;
        let tail = api::tail::router(parts.logql.clone(), stop_serving.clone());
        let pages = router(&parts, live.router().merge(tail), &config, readiness.clone(), Arc::new(registry), started);

        let mut serving = Tasks::new();
        let pages = auth::guard(pages, access);
        serving.spawn("http", serve::run(http, pages, acceptor.clone(), stop_serving.clone()));
        serving.spawn("otlp grpc", serve::run(otlp, grpc, acceptor, stop_serving.clone()));
        let mut work = Tasks::new();
        let metrics = Arc::clone(&parts.storage.metrics);
        steady(&mut work, "live feeds", live.run());
        steady(&mut work, "rules", parts.manager.run(stop_work.clone()));
        steady(&mut work, "notifiers", parts.notifier.run(stop_work.clone()));
        steady(&mut work, "presence", presence::run(parts.presence, Arc::clone(&metrics), stop_work.clone()));
        work.spawn("checks", probes::run(parts.checks, metrics, stop_work.clone()));
        readiness.ready("listeners");
        let data = config.storage.path.display();
        tracing::info!(http = %addresses.http, otlp = %addresses.otlp, url, %data, "the collector runs");

        let failure = tokio::select! {
            () = stop.cancelled() => None,
            ended = serving.ended() => Some(early(ended)),
            ended = work.ended() => Some(early(ended)),
        };
        // First nothing new is taken, then what decides stops, and last the store, which holds what both wrote.
        stop_serving.cancel();
        stop_work.cancel();
        let (served, worked) = tokio::join!(serving.join(STOPPING), work.join(STOPPING));
        for late in [served, worked].into_iter().filter_map(Result::err) {
            tracing::warn!(error = %late, "did not stop in time");
        }
        if let Err(error) = parts.storage.engine.close().await {
            tracing::error!(%error, "the store could not be closed; the next start replays what it has not written");
        }
        failure.map_or(Ok(()), Err)
    }
}

impl Parts {
    async fn build(
        config: &Config,
        files: Files,
        mut storage: Storage,
        url: &str,
        access: &Access,
        registry: &mut Registry,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let presence =
            Presence::open(Arc::clone(&storage.state), now).context("cannot read what is known of agents")?;
        storage.metrics = presence.watch(Arc::clone(&storage.metrics));
        let promql = query::promql::Engine::new(Arc::clone(&storage.metrics), config.query.limits());
        let logql = query::logql::Engine::new(Arc::clone(&storage.logs), query::logql::Limits::default());
        let own = registry.sub_registry_with_prefix("yagura_collector");
        let counters = notifiers::Metrics::register(own);
        let notifier = Notifier::open(files.notify, url.to_owned(), Arc::clone(&storage.state), counters)
            .await
            .context("cannot read what was notified")?;
        let settings = rules::Settings {
            groups: files.rules,
            interval: config.evaluation_interval.0,
            external_labels: Labels::from_pairs(&config.external_labels),
            external_url: url.to_owned(),
        };
        let connections = rules::Connections {
            queries: rules::query::Queries {
                promql: rules::query::ask_promql(promql.clone()),
                logql: rules::query::ask_logql(logql.clone()),
            },
            store: Arc::clone(&storage.metrics),
            state: Arc::clone(&storage.state),
            notifier: notifier.clone(),
            presence: presence.clone(),
        };
        let manager = Manager::open(settings, connections, own, now).await.context("cannot read the alerts' states")?;
        let checks = probes::Registry::new(files.checks, &config.location, Arc::clone(&storage.state))
            .context("cannot read the runs of checks")?;
        let settings = receivers::Settings { tokens: access.ingest_tokens(), ..receivers::Settings::default() };
        let receiver = Receiver::new(storage.clone(), settings, registry);
        Ok(Self { storage, presence, promql, logql, notifier, manager, checks: Arc::new(checks), receiver })
    }
}

/// What is pushed to browsers that look.
fn feeds(promql: &query::promql::Engine) -> Vec<api::live::Feed> {
    vec![api::containers::live(promql.clone()), api::hosts::live(promql.clone()), api::hosts::pulse(promql.clone())]
}

/// Every path of the HTTP port.
fn router(
    parts: &Parts,
    live: Router,
    config: &Config,
    readiness: Readiness,
    registry: Arc<Registry>,
    started: Timestamp,
) -> Router {
    let external = Labels::from_pairs(&config.external_labels);
    let metrics_store = &parts.storage.metrics;
    let prometheus = receivers::remote_write::router(parts.receiver.clone())
        .merge(api::prometheus::router(Arc::clone(metrics_store), parts.promql.clone()))
        .merge(api::alerts::prometheus_router(parts.manager.clone()));
    let own = api::agents::router(Arc::clone(&parts.storage.logs))
        .merge(api::checks::router(Arc::clone(&parts.checks)))
        .merge(api::alerts::history_router(parts.manager.clone(), parts.notifier.clone(), external))
        .merge(api::containers::router(parts.promql.clone()))
        .merge(api::hosts::router(parts.promql.clone()))
        .merge(live);
    let metrics = get(move || {
        let registry = Arc::clone(&registry);
        async move { admin::text_page(admin::encode(&registry)) }
    });
    admin::health(readiness)
        .route("/metrics", metrics)
        .merge(receivers::otlp_http::router(parts.receiver.clone()))
        .merge(web::router())
        .merge(api::federate::router(Arc::clone(metrics_store)))
        .nest("/prom", prometheus)
        .nest("/loki", api::loki::router(parts.logql.clone()))
        .nest("/alertmanager", api::alerts::alertmanager_router(parts.notifier.clone(), started))
        .nest("/api", own)
        .fallback(|| async {
            api::answer::failure(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
        })
}

/// A part that ends only when it is told to.
fn steady(tasks: &mut Tasks, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(name, async move {
        part.await;
        Ok::<(), std::convert::Infallible>(())
    });
}

fn early(ended: Ended) -> anyhow::Error {
    let reason = ended.result.err().unwrap_or_else(|| anyhow::anyhow!("nobody told it to"));
    reason.context(format!("{} ended", ended.name))
}

async fn open_storage(config: &Config, now: Timestamp) -> anyhow::Result<Storage> {
    let settings = config.storage.clone();
    // The replay of what was not sealed may take seconds.
    let opened =
        tokio::task::spawn_blocking(move || storage::open(&settings, now)).await.context("opening the store")?;
    let (storage, recovery) = opened?;
    if recovery.lost.is_empty() {
        tracing::info!(%recovery, "the store is open");
    } else {
        tracing::warn!(%recovery, "the store was damaged; it is open without what was lost");
    }
    Ok(storage)
}

/// The admin token, and whether it was made just now.
fn admin_token(data: &std::path::Path) -> anyhow::Result<(Secret, bool)> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let path: PathBuf = data.join(TOKEN_FILE);
    if path.exists() {
        return Ok((secret::read(&path).context("cannot read the admin token")?, false));
    }
    let token: String = random::bytes::<24>().iter().map(|byte| format!("{byte:02x}")).collect();
    // Made with its mode at once, so that nobody can read it in between.
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{token}\n").as_bytes()).and_then(|()| file.sync_all()));
    written.with_context(|| format!("cannot write the admin token to {}", path.display()))?;
    Ok((Secret::new(token), true))
}

fn access(config: &Config, admin: Secret) -> anyhow::Result<Access> {
    let mut tokens = vec![(admin, vec![Scope::Admin])];
    for token in &config.tokens {
        let secret = secret::read(&token.token_file).context("cannot use a token (key `tokens`)")?;
        tokens.push((secret, token.scopes.clone()));
    }
    let loopback = config.listen.ip().to_canonical().is_loopback();
    let own_host =
        config.external_url.as_ref().and_then(|url| url.parse::<http::Uri>().ok()?.host().map(str::to_owned));
    Ok(Access {
        open: config.tokens.is_empty() && (loopback || config.insecure),
        hosts: loopback.then(|| own_host.into_iter().collect()),
        tokens,
    })
}

/// How people reach the UI: as the config says, or by the address that is listened on.
fn url(config: &Config, http: SocketAddr) -> String {
    if let Some(url) = &config.external_url {
        return url.trim_end_matches('/').to_owned();
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let mut shown = http;
    if shown.ip().is_unspecified() {
        // Nobody can open 0.0.0.0; from this machine the loopback is right.
        shown.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    format!("{scheme}://{shown}")
}
