//! Who is told, when, and how: Alertmanager's routing, grouping, inhibition and silences, and the ways out.
//!
//! In: alerts from rules and from the API ([`Notifier::put`]). Out: messages to Slack and webhooks, at least once.
//! Nothing that was decided is lost by a restart: what was told and what waits to be sent are one write in the
//! [`StateStore`], before anything is sent.
//!
//! * `file`: `notify.yaml`; `matcher`, `interval`, `route`, `silence`, `inhibit`: its parts;
//! * `group`: the state machine that decides what must be told;
//! * `queue`: what waits; `message`: what is said; `slack`, `webhook`: the ways.
//!
//! To add a way: a file here, a variant of [`file::Integration`], and its keys in `file`.

pub mod file;
mod group;
mod inhibit;
pub mod interval;
pub mod matcher;
pub mod message;
mod queue;
pub mod route;
mod show;
pub mod silence;
mod slack;
mod view;
mod webhook;
mod worker;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use yagura_daemon::{clock, http_client::Client};
use yagura_model::Timestamp;

use self::{
    file::{Config, Integration},
    group::{Entry, Flush, Groups},
    queue::Queue,
    silence::{NewSilence, Refused, Silence, Silences},
};
use crate::{
    history::History,
    storage::{self, StateStore},
};

pub use group::Incoming;
pub use view::{AlertView, GroupView};
pub use worker::Metrics;

/// What was told and what waits to be sent.
const AREA: &str = "notify";
/// What became of messages.
const HISTORY_AREA: &str = "notify.history";
/// Messages remembered for the UI.
const MAX_HISTORY: usize = 2000;
/// The dispatcher looks at least this often, so that a clock that was set does not make it sleep for a year.
const LOOK: Duration = Duration::from_secs(60);

/// What became of one attempt to tell somebody.
#[derive(Debug)]
enum Outcome {
    /// It was taken.
    Delivered,
    /// Later, perhaps.
    Retry {
        /// What the other side asked for.
        after: Option<Duration>,
        reason: String,
    },
    /// Never.
    Permanent(String),
}

/// Why the notifiers could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A silence was not taken.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It could not be written down.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// Tells people; cheap to clone.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Arc<Config>,
    external_url: String,
    core: Mutex<Core>,
    /// Alerts came in.
    arrived: Notify,
    /// Messages were put into the queue.
    queued: Notify,
    /// Why the last message of a way was not taken, by receiver and place.
    broken: Mutex<HashMap<(String, usize), String>>,
    state: Arc<dyn StateStore>,
    history: History,
    metrics: Metrics,
}

#[derive(Debug)]
struct Core {
    groups: Groups,
    silences: Silences,
    queue: Queue,
}

impl Notifier {
    /// Reads what was told, what waits and what is silenced.
    pub async fn open(
        config: Config,
        external_url: String,
        state: Arc<dyn StateStore>,
        metrics: Metrics,
    ) -> Result<Self, storage::Error> {
        let config = Arc::new(config);
        let (mut log, mut waiting) = (HashMap::new(), Vec::new());
        for (key, bytes) in state.list(AREA)? {
            match key.strip_prefix("log/") {
                Some(name) => {
                    // A damaged entry costs one repeated message.
                    log.extend(serde_json::from_slice::<Entry>(&bytes).ok().map(|entry| (name.to_owned(), entry)));
                }
                None => waiting.push((key, bytes)),
            }
        }
        let known = |item: &queue::Item| integration(&config, &item.notification.receiver, item.integration).is_some();
        let (queue, dropped) = Queue::restore(waiting, known);
        if !dropped.is_empty() {
            tracing::warn!(messages = dropped.len(), "messages waited for receivers that are gone, or were damaged");
            state.write(AREA, dropped).await?;
        }
        let (silences, damaged) = Silences::restore(state.list(silence::AREA)?);
        if damaged > 0 {
            tracing::warn!(silences = damaged, "silences were damaged and are set aside");
        }
        let core = Core { groups: Groups::new(Arc::clone(&config), log), silences, queue };
        let history = History::open(Arc::clone(&state), HISTORY_AREA, MAX_HISTORY)?;
        Ok(Self(Arc::new(Inner {
            config,
            external_url,
            core: Mutex::new(core),
            arrived: Notify::new(),
            queued: Notify::new(),
            broken: Mutex::default(),
            state,
            history,
            metrics,
        })))
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.0.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in alerts that began, go on or ended.
    pub fn put(&self, alerts: Vec<Incoming>, now: Timestamp) {
        if alerts.is_empty() {
            return;
        }
        self.core().groups.put(alerts, now);
        self.0.arrived.notify_one();
    }

    /// Makes or changes a silence; the answer is its id. It holds at once, and survives a restart when this returns.
    pub async fn set_silence(&self, new: NewSilence, now: Timestamp) -> Result<String, Error> {
        let (id, writes) = self.core().silences.set(new, uuid(), now)?;
        self.0.state.write(silence::AREA, writes).await?;
        Ok(id)
    }

    /// Ends a silence.
    pub async fn expire_silence(&self, id: &str, now: Timestamp) -> Result<(), Error> {
        let writes = self.core().silences.expire(id, now)?;
        self.0.state.write(silence::AREA, writes).await?;
        Ok(())
    }

    /// One silence.
    #[must_use]
    pub fn silence(&self, id: &str) -> Option<Silence> {
        self.core().silences.get(id).cloned()
    }

    /// Every silence that is remembered.
    #[must_use]
    pub fn silences(&self) -> Vec<Silence> {
        self.core().silences.all().cloned().collect()
    }

    /// Names of the receivers.
    #[must_use]
    pub fn receivers(&self) -> Vec<String> {
        self.0.config.receivers.iter().map(|receiver| receiver.name.clone()).collect()
    }

    /// What became of messages, newest first.
    pub fn history(&self, limit: usize) -> Result<Vec<serde_json::Value>, storage::Error> {
        self.0.history.newest(limit)
    }

    /// The config in force, with secrets blotted out.
    #[must_use]
    pub fn config_text(&self) -> String {
        show::text(&self.0.config)
    }

    /// When an alert without an end, taken from the API, is thought resolved.
    #[must_use]
    pub fn resolve_timeout(&self) -> Duration {
        self.0.config.resolve_timeout
    }

    /// Decides and sends until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks = tokio::task::JoinSet::new();
        for channel in worker::channels(&self.0.config) {
            match Client::new(&channel.tls(&self.0.config)) {
                Ok(client) => {
                    tasks.spawn(worker::run(self.clone(), channel, client, stop.clone()));
                }
                Err(error) => {
                    tracing::error!(receiver = channel.receiver(), %error, "TLS cannot be set up: nobody is told")
                }
            }
        }
        self.dispatch(&stop).await;
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a channel's worker ended; its messages wait for the next start");
            }
        }
    }

    async fn dispatch(&self, stop: &CancellationToken) {
        let mut cleaned = clock::now();
        loop {
            let now = clock::now();
            self.tick(now).await;
            if now.since(cleaned) > Duration::from_secs(3600) {
                cleaned = now;
                self.forget(now).await;
            }
            let due = self.core().groups.next_due();
            let wait = due.map_or(LOOK, |due| due.since(clock::now()).min(LOOK));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.arrived.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Writes down what must be told now, and hands it to the workers.
    async fn tick(&self, now: Timestamp) {
        let flushes = {
            let core = &mut *self.core();
            core.groups.tick(&core.silences, now)
        };
        for flush in flushes {
            let written = self.write(&flush, now).await;
            self.core().groups.flushed(flush, written, now);
        }
    }

    async fn write(&self, flush: &Flush, now: Timestamp) -> bool {
        let mut changes = Vec::new();
        for (key, entry) in &flush.entries {
            if let Ok(bytes) = serde_json::to_vec(entry) {
                changes.push((format!("log/{key}"), Some(bytes)));
            }
        }
        let mut prepared = Vec::new();
        for (integration, notification) in &flush.notifications {
            let (key, item) = self.core().queue.prepare(*integration, notification.clone(), now);
            changes.push((key.clone(), item.bytes()));
            prepared.push((key, item));
        }
        if changes.is_empty() {
            return true;
        }
        if let Err(error) = self.0.state.write(AREA, changes).await {
            tracing::warn!(%error, "a notification could not be written down; trying again");
            return false;
        }
        let mut given_up = Vec::new();
        {
            let mut core = self.core();
            for (key, item) in prepared {
                given_up.extend(core.queue.put(key, item));
            }
        }
        self.0.queued.notify_waiters();
        for (key, item) in given_up {
            self.settle(vec![(key, None)]).await;
            self.record(&item, "dropped", "too many messages wait", now).await;
        }
        true
    }

    async fn settle(&self, changes: silence::Writes) {
        if let Err(error) = self.0.state.write(AREA, changes).await {
            tracing::warn!(%error, "a message that was sent may be sent again after a restart");
        }
    }

    async fn forget(&self, now: Timestamp) {
        let (entries, silences) = {
            let mut core = self.core();
            (core.groups.forget(now), core.silences.forget(now))
        };
        let entries = entries.into_iter().map(|key| (format!("log/{key}"), None)).collect();
        for (area, writes) in [(AREA, entries), (silence::AREA, silences)] {
            if let Err(error) = self.0.state.write(area, writes).await {
                tracing::warn!(%error, "old entries could not be removed");
            }
        }
    }
}

fn integration<'a>(config: &'a Config, receiver: &str, place: usize) -> Option<&'a Integration> {
    config.receivers.iter().find(|candidate| candidate.name == receiver)?.integrations.get(place)
}

/// A random (version 4) UUID.
fn uuid() -> String {
    let mut bytes = crate::random::bytes::<16>();
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
