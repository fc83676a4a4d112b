//! Listens to the daemon and keeps the inventory true; when the daemon goes away, waits for it and begins anew.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bollard::{
    Docker,
    models::{ContainerInspectResponse, ContainerSummary, EventMessage},
    query_parameters::{EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::{sync::watch::Sender, time::timeout};
use yagura_daemon::{backoff::Backoff, clock};
use yagura_model::{Nanos, Timestamp};

use super::{
    Config,
    checkpoint::Checkpoint,
    connect::{self, Endpoint, Error, PATIENCE},
    convert::Converter,
    events::{Action, Event, Writer},
    filter::Filter,
};
use crate::{
    buffer::{Batch, Signal},
    inventory::{Container, ContainerId, State},
    sources::Context,
};

/// How many inspections run at once while the list is gone through.
const INSPECTIONS: usize = 4;

/// How many events are taken together when more are there.
const TOGETHER: usize = 64;

/// How many events are kept while the list is gone through; the daemon keeps 256 itself.
const MEANWHILE: usize = 4096;

/// How many inspections without an answer are passed over while some events are taken in.
const SLOW: usize = 2;

/// Waits between attempts to reach the daemon.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The listener.
#[derive(Debug)]
pub struct Watch {
    config: Config,
    filter: Filter,
    context: Context,
    connected: Sender<bool>,
    checkpoint: Checkpoint,
}

/// A daemon that answers.
struct Session {
    docker: Docker,
    endpoint: Endpoint,
    /// Its id, which makes its events' times unique.
    daemon: String,
}

impl Watch {
    /// A listener that has not connected yet.
    #[must_use]
    pub fn new(config: Config, filter: Filter, context: Context, connected: Sender<bool>) -> Self {
        let checkpoint = Checkpoint::open(config.state.as_ref().map(|folder| folder.join("docker-events.json")));
        Self { config, filter, context, connected, checkpoint }
    }

    /// Listens for ever.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let Err(error) = self.session(&mut backoff).await;
            self.connected.send_replace(false);
            if error.is_missing() {
                self.context.status.missing(error.to_string(), error.hint());
            } else {
                self.context.status.degraded(error.to_string(), error.hint());
                tracing::debug!(%error, "lost the docker daemon");
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }

    /// One connection, from the list to the end of the stream of events.
    async fn session(&mut self, backoff: &mut Backoff) -> Result<std::convert::Infallible, Error> {
        let (docker, endpoint) = connect::connect(&self.config).await?;
        let (daemon, now) = identify(&docker, &endpoint).await?;
        let since = self.checkpoint.last(&daemon).unwrap_or(now);
        let session = Session { docker, endpoint, daemon };
        let mut events = pin!(events_since(&session.docker, since).ready_chunks(TOGETHER));
        let mut meanwhile = Vec::new();
        {
            let mut listing = pin!(self.list(&session));
            loop {
                tokio::select! {
                    listed = &mut listing => break listed?,
                    chunk = events.next(), if meanwhile.len() < MEANWHILE => meanwhile.push(chunk.ok_or(Error::Closed)?),
                }
            }
        }
        backoff.reset();
        self.connected.send_replace(true);
        self.context.status.ok();
        let mut meanwhile = meanwhile.into_iter();
        loop {
            let chunk = match meanwhile.next() {
                Some(chunk) => chunk,
                None => events.next().await.ok_or(Error::Closed)?,
            };
            let mut failure = None;
            let mut messages = Vec::with_capacity(chunk.len());
            for message in chunk {
                match message {
                    Ok(message) => messages.push(message),
                    Err(error) => failure = Some(error),
                }
            }
            self.take(&session, messages).await?;
            if let Some(error) = failure {
                return Err(error.into());
            }
        }
    }

    /// Goes through all containers there are, and ends those that are no more.
    async fn list(&self, session: &Session) -> Result<(), Error> {
        let entries = list(&session.docker).await?;
        let ids: HashSet<ContainerId> =
            entries.iter().filter_map(|entry| ContainerId::parse(entry.id.as_deref()?)).collect();
        let converter = self.converter(session);
        let inspect = async |entry: ContainerSummary| match inspect(&session.docker, entry.id.as_deref()?).await {
            Ok(Some(answer)) => converter.inspected(answer).or_else(|| converter.listed(&entry)),
            // Removed since the list was made.
            Ok(None) => None,
            Err(error) => {
                tracing::debug!(%error, "cannot inspect a container; the list says less of it");
                converter.listed(&entry)
            }
        };
        let mut found = pin!(stream::iter(entries.into_iter().map(inspect)).buffer_unordered(INSPECTIONS));
        while let Some(container) = found.next().await {
            if let Some(container) = container {
                self.context.inventory.upsert(container);
            }
        }
        let now = clock::now();
        for known in self.context.inventory.all() {
            if known.pod.is_none() && !ids.contains(&known.id) {
                self.context.inventory.end(&known.id, now);
            }
        }
        Ok(())
    }

    /// Takes events in: first what they change, then what is logged of them, then the checkpoint.
    async fn take(&mut self, session: &Session, messages: Vec<EventMessage>) -> Result<(), Error> {
        let last = self.checkpoint.last(&session.daemon);
        let events = messages.into_iter().filter_map(Event::parse);
        let events: Vec<Event> = events.filter(|event| last.is_none_or(|last| event.time > last)).collect();
        let Some(newest) = events.iter().map(|event| event.time).max() else { return Ok(()) };
        let node = Arc::clone(&self.context.node);
        let mut writer = Writer::new(&session.daemon, &node.name, node.cluster.as_deref());
        let mut slow = 0;
        for event in &events {
            if let Some(container) = self.apply(session, event, &mut slow).await? {
                writer.add(event, &container, clock::now_nanos());
            }
        }
        if self.context.out.buffer().discards() {
            return Ok(());
        }
        if let Some((body, items)) = writer.finish() {
            self.keep(Batch { signal: Signal::Logs, body: Bytes::from(body), items }).await;
        }
        if let Err(error) = self.checkpoint.advance(&session.daemon, newest) {
            tracing::warn!(%error, "cannot write the checkpoint of docker's events");
        }
        Ok(())
    }

    /// Docker forgets events soon, so the buffer must answer for them: on disk, else at least in memory.
    async fn keep(&self, batch: Batch) {
        let buffer = self.context.out.buffer();
        if buffer.keep(batch.clone(), true).await.is_ok() {
            return;
        }
        if let Err(error) = buffer.keep(batch, false).await {
            tracing::warn!(%error, "docker's events were not kept");
        }
    }

    /// Makes the inventory say what an event says; gives the container it is about.
    async fn apply(&self, session: &Session, event: &Event, slow: &mut usize) -> Result<Option<Arc<Container>>, Error> {
        let Some(id) = ContainerId::parse(&event.id) else { return Ok(None) };
        let inventory = &self.context.inventory;
        if event.action == Action::Destroy {
            let known = inventory.get(&id);
            inventory.end(&id, event.time.to_timestamp());
            return Ok(known);
        }
        let known = inventory.get(&id);
        // A signal changes nothing by itself; what comes of it is an event of its own.
        if event.action == Action::Kill && known.is_some() {
            return Ok(known);
        }
        let converter = self.converter(session);
        let answer = match inspect(&session.docker, &event.id).await {
            Ok(answer) => answer,
            // One container may hang in the daemon, and the others need not wait; if all do, it is the daemon.
            Err(Error::Slow) if *slow < SLOW => {
                *slow += 1;
                None
            }
            Err(error @ Error::Daemon(bollard::errors::Error::JsonDataError { .. })) => {
                tracing::debug!(%error, "cannot inspect a container; its event says less of it");
                None
            }
            Err(error) => return Err(error),
        };
        let mut container = match answer.and_then(|answer| converter.inspected(answer)) {
            Some(container) => container,
            None => {
                let sketch = || converter.from_event(&event.id, &event.attributes);
                let Some(mut container) = known.as_deref().cloned().or_else(sketch) else { return Ok(None) };
                follow(&mut container, event);
                container
            }
        };
        // Docker says `OOMKilled` only once the container has ended; the kernel killed in it already.
        let same_run = known.is_some_and(|known| known.oom_killed && known.started == container.started);
        container.oom_killed |= same_run || event.action == Action::Oom;
        inventory.upsert(container);
        Ok(inventory.get(&id))
    }

    fn converter<'a>(&'a self, session: &'a Session) -> Converter<'a> {
        Converter { rules: &self.context.node.rules, filter: &self.filter, endpoint: &session.endpoint }
    }
}

/// Changes what is known of a container as an event says, when nobody can be asked any more.
fn follow(container: &mut Container, event: &Event) {
    let at: Timestamp = event.time.to_timestamp();
    match event.action {
        Action::Start | Action::Restart | Action::Unpause => {
            container.state = State::Running;
            if event.action != Action::Unpause {
                (container.started, container.finished, container.exit_code) = (Some(at), None, None);
            }
        }
        Action::Die => {
            container.state = State::Exited;
            (container.finished, container.exit_code, container.pid) = (Some(at), event.exit_code(), None);
        }
        Action::Pause => container.state = State::Paused,
        Action::Create | Action::Oom | Action::Kill | Action::Health(_) | Action::Change | Action::Destroy => {}
    }
}

/// The daemon's id and what time it is there.
async fn identify(docker: &Docker, endpoint: &Endpoint) -> Result<(String, Nanos), Error> {
    let info = match answer(docker.info()).await {
        Ok(info) => info,
        // Podman says some of it in other words; what is asked here is not worth failing for.
        Err(Error::Daemon(bollard::errors::Error::JsonDataError { .. })) => Default::default(),
        Err(error) => return Err(error),
    };
    let place = || format!("{endpoint:?}");
    let id = info.id.filter(|id| !id.is_empty()).or_else(|| info.name.filter(|name| !name.is_empty()));
    let theirs: Option<jiff::Timestamp> = info.system_time.and_then(|time| time.parse().ok());
    let theirs = theirs.and_then(|time| i64::try_from(time.as_nanosecond()).ok()).map(Nanos);
    Ok((id.unwrap_or_else(place), theirs.unwrap_or_else(clock::now_nanos)))
}

fn events_since(docker: &Docker, since: Nanos) -> impl Stream<Item = Result<EventMessage, bollard::errors::Error>> {
    let (seconds, nanoseconds) = (since.0.div_euclid(1_000_000_000), since.0.rem_euclid(1_000_000_000));
    let filters = HashMap::from([("type", vec!["container"])]);
    let since = format!("{seconds}.{nanoseconds:09}");
    docker.events(Some(EventsOptionsBuilder::new().since(&since).filters(&filters).build()))
}

/// All containers; only the running ones when the daemon has one in a state that this client does not know.
async fn list(docker: &Docker) -> Result<Vec<ContainerSummary>, Error> {
    let all = ListContainersOptionsBuilder::new().all(true).build();
    match answer(docker.list_containers(Some(all))).await {
        Err(Error::Daemon(error @ bollard::errors::Error::JsonDataError { .. })) => {
            tracing::warn!(%error, "cannot read docker's list of containers; asking for the running ones");
            answer(docker.list_containers(Some(ListContainersOptionsBuilder::new().build()))).await
        }
        answer => answer,
    }
}

/// What there is to know of a container; `None` when it is gone.
async fn inspect(docker: &Docker, id: &str) -> Result<Option<ContainerInspectResponse>, Error> {
    match answer(docker.inspect_container(id, None::<InspectContainerOptions>)).await {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Daemon(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn answer<T>(request: impl Future<Output = Result<T, bollard::errors::Error>>) -> Result<T, Error> {
    Ok(timeout(PATIENCE, request).await.map_err(|_| Error::Slow)??)
}
