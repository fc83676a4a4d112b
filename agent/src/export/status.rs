//! How delivery does, for `/status`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use yagura_model::Timestamp;

/// How delivery does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The collector that is used or tried.
    pub endpoint: String,
    /// Whether batches get through.
    pub state: State,
    /// When one last did, in milliseconds since 1970.
    pub last_success: Option<Timestamp>,
    /// Why none does; empty when they do.
    pub reason: String,
}

/// Whether batches get through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No collector is configured.
    #[default]
    None,
    /// They do.
    Ok,
    /// The collector can be reached, but does not take them now.
    Degraded,
    /// No collector can be reached.
    Missing,
}

/// The status as the exporter last told it; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct StatusCell(Arc<Mutex<Option<Status>>>);

impl StatusCell {
    /// What the exporter last told.
    #[must_use]
    pub fn current(&self) -> Status {
        self.lock().clone().unwrap_or_else(|| Status {
            endpoint: String::new(),
            state: State::None,
            last_success: None,
            reason: "no collector is configured".into(),
        })
    }

    /// Tells a change; the first of a kind is logged, its repetition is not.
    pub(super) fn tell(&self, endpoint: &str, state: State, reason: &str) {
        let mut held = self.lock();
        let before = held.as_ref().map(|status| status.state);
        let last_success = held.as_ref().and_then(|status| status.last_success);
        *held = Some(Status { endpoint: endpoint.to_owned(), state, last_success, reason: reason.to_owned() });
        drop(held);
        if before == Some(state) {
            return;
        }
        match state {
            State::Ok => tracing::info!(endpoint, "the collector takes batches"),
            State::None => {}
            State::Degraded => tracing::warn!(endpoint, reason, "the collector does not take batches now"),
            State::Missing => tracing::warn!(endpoint, reason, "the collector cannot be reached"),
        }
    }

    pub(super) fn succeeded(&self, endpoint: &str, now: Timestamp) {
        if self.lock().as_ref().is_none_or(|status| status.state != State::Ok) {
            self.tell(endpoint, State::Ok, "");
        }
        if let Some(status) = self.lock().as_mut() {
            status.last_success = Some(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Status>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
