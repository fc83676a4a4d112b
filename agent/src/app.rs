//! The agent as a whole: the only file that knows all stages, builds them, joins them, and stops them in order.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use yagura_daemon::{
    admin::Readiness,
    auth, clock,
    secret::{self, Secret},
    serve,
    tasks::{Ended, Tasks},
    tls,
};

use crate::{
    admin,
    buffer::{self, Buffer, Worker},
    config::Config,
    export,
    inventory::Inventory,
    node,
    report::Reporter,
    sources::{self, Context, Node, Output, own},
    status::Board,
};

/// How long sources may take to stop; log tailers wait 2 s for their last answers.
const SOURCES: Duration = Duration::from_millis(2500);
/// How long each later stage may take.
const STAGE: Duration = Duration::from_millis(1500);

/// Runs an agent until told to stop. An error means that it could not start, or that a stage failed.
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    Agent::start(config).await?.run(stop).await
}

/// An agent that has its port and its buffer, and does not watch anything yet.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    node: Arc<Node>,
    listener: TcpListener,
    buffer: Buffer,
    worker: Option<Worker>,
    board: Board,
    reporter: Reporter,
    inventory: Inventory,
    export_metrics: export::Metrics,
    registry: Registry,
    readiness: Readiness,
}

impl Agent {
    /// Takes the agent's port and opens its buffer.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let started = clock::now();
        let listener = serve::bind(config.admin).await.context("cannot serve the agent's pages")?;
        let proc = config.sources.host.as_ref().map_or_else(|| PathBuf::from("/proc"), |host| host.proc.clone());
        let node = Arc::new(node::describe(&config, &proc).context("cannot use the config's rules")?);
        let (board, readiness) = (Board::default(), Readiness::waiting_for(&["buffer", "sources"]));
        let mut registry = Registry::default();
        let (buffer_metrics, export_metrics) = (buffer::Metrics::default(), export::Metrics::default());
        buffer_metrics.register(&mut registry);
        export_metrics.register(&mut registry);
        let (buffer, worker) = if config.export.endpoints.is_empty() {
            (Buffer::without_collector(), None)
        } else {
            let (settings, owner, status) = (config.buffer.clone(), node.name.clone(), board.handle("buffer"));
            let open = move || Buffer::open(&settings, &owner, buffer_metrics, status);
            tokio::task::spawn_blocking(open).await.context("the buffer was not opened")?
        };
        readiness.ready("buffer");
        let inventory = Inventory::new();
        let reporter = Reporter {
            node: Arc::clone(&node),
            started,
            board: board.clone(),
            buffer: buffer.clone(),
            export: export::StatusCell::default(),
            inventory: inventory.clone(),
        };
        Ok(Self {
            config,
            node,
            listener,
            buffer,
            worker,
            board,
            reporter,
            inventory,
            export_metrics,
            registry,
            readiness,
        })
    }

    /// How the sources do; for whoever starts an agent and wants to tell people.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The status, as `/status` shows it.
    #[must_use]
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// Watches this machine until told to stop.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let out = Output::new(self.buffer.clone());
        let status = admin::Status::new({
            let reporter = self.reporter.clone();
            move || reporter.now()
        });
        let pages = admin::router(out.clone(), self.readiness.clone(), status);
        let pages = guarded(pages, &self.config)?;
        let acceptor = self.config.admin_tls.as_ref().map(tls::server).transpose().context("cannot use admin_tls")?;

        let (stop_export, stop_pages) = (CancellationToken::new(), CancellationToken::new());
        let mut stages = Stages { export: Tasks::new(), disk: Tasks::new(), pages: Tasks::new() };
        stages.pages.spawn("pages", serve::run(self.listener, pages, acceptor, stop_pages.clone()));
        if let Some(worker) = self.worker {
            stages.disk.spawn("disk buffer", worker.run());
        }
        if !self.config.export.endpoints.is_empty() {
            let (config, cell) = (self.config.export.clone(), self.reporter.export.clone());
            let sending = export::run(config, self.buffer.clone(), cell, self.export_metrics, stop_export.clone());
            stages.export.spawn("export", Box::pin(sending));
        }

        let stop_sources = CancellationToken::new();
        let mut sources = Tasks::new();
        let context = |name: &'static str| Context {
            out: out.clone(),
            inventory: self.inventory.clone(),
            node: Arc::clone(&self.node),
            stop: stop_sources.clone(),
            status: self.board.handle(name),
        };
        sources::spawn(placed(self.config.sources, &self.config.buffer), &mut sources, context);
        let own_context = context("own");
        sources.spawn("own", own::run(self.registry, self.board.clone(), self.reporter.started, own_context.clone()));
        sources.spawn("report", self.reporter.ship(own_context));
        self.readiness.ready("sources");
        tracing::info!(node = self.node.name, pages = %self.config.admin, "the agent runs");

        let failure = watch(&mut sources, &mut stages, &self.board, &stop).await;
        stop_sources.cancel();
        let stopped = sources.join(SOURCES).await;
        stop_export.cancel();
        let shipped = stages.export.join(STAGE).await;
        self.buffer.close().await;
        let written = stages.disk.join(STAGE).await;
        stop_pages.cancel();
        let served = stages.pages.join(STAGE).await;
        for late in [stopped, shipped, written, served].into_iter().filter_map(Result::err) {
            tracing::warn!(error = %late, "did not stop in time");
        }
        failure.map_or(Ok(()), Err)
    }
}

/// The stages behind the sources, in the order in which they are stopped.
struct Stages {
    export: Tasks,
    disk: Tasks,
    pages: Tasks,
}

/// Waits until the agent is to stop. A source that ends early is told of; without a stage there is no sense in going on.
async fn watch(
    sources: &mut Tasks,
    stages: &mut Stages,
    board: &Board,
    stop: &CancellationToken,
) -> Option<anyhow::Error> {
    loop {
        let ended = tokio::select! {
            () = stop.cancelled() => return None,
            ended = sources.ended() => {
                source_ended(board, ended);
                continue;
            }
            ended = stages.export.ended() => ended,
            ended = stages.disk.ended() => ended,
            ended = stages.pages.ended() => ended,
        };
        let reason = ended.result.err().unwrap_or_else(|| anyhow::anyhow!("nobody told it to"));
        return Some(reason.context(format!("{} ended", ended.name)));
    }
}

fn source_ended(board: &Board, ended: Ended) {
    let name = board.sources().iter().map(|source| source.name).find(|name| *name == ended.name);
    let reason = match ended.result {
        Ok(()) => "it ended early".to_owned(),
        Err(error) => format!("it ended early: {error:#}"),
    };
    match name {
        Some(name) => board.handle(name).missing(reason, "look into the agent's log, and restart it"),
        None => tracing::error!(task = %ended.name, reason, "a part of the agent ended"),
    }
}

/// The sources' config with the places that follow from the buffer's.
fn placed(sources: sources::Config, buffer: &buffer::Config) -> sources::Config {
    let mut sources = sources;
    if let Some(docker) = &mut sources.docker {
        docker.state.get_or_insert_with(|| buffer.path.clone());
    }
    let socket = sources.docker.as_ref().and_then(|docker| docker.socket.clone());
    if let Some(logs) = &mut sources.logs {
        logs.socket = socket;
        logs.checkpoint.get_or_insert_with(|| buffer.path.join("logs.checkpoint"));
    }
    sources
}

/// The pages behind their token, if they have one.
fn guarded(pages: Router, config: &Config) -> anyhow::Result<Router> {
    let Some(file) = &config.admin_token_file else { return Ok(pages) };
    let token = secret::read(file).context("cannot use admin_token_file")?;
    Ok(pages.layer(middleware::from_fn_with_state(Arc::new(token), check_token)))
}

async fn check_token(State(token): State<Arc<Secret>>, request: Request, next: Next) -> Response {
    let open = matches!(request.uri().path(), "/live" | "/ready");
    if open || auth::has_bearer(request.headers(), &token) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, "this page needs a bearer token\n").into_response()
}
