//! Up to which event the daemon was listened to: one small file, replaced as a whole.

use std::{fs, io, path::PathBuf};

use serde::{Deserialize, Serialize};
use yagura_model::Nanos;

/// What the file says. The time of one daemon's last event means nothing to another daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Saved {
    daemon: String,
    last_event: Nanos,
}

/// Remembers the last event that the buffer answers for.
#[derive(Debug)]
pub struct Checkpoint {
    /// Without a path it is remembered only while the agent runs.
    path: Option<PathBuf>,
    saved: Option<Saved>,
}

impl Checkpoint {
    /// What the file says; nothing when it is not there or damaged, which costs at most what happened meanwhile.
    #[must_use]
    pub fn open(path: Option<PathBuf>) -> Self {
        let text = path.as_ref().and_then(|path| fs::read(path).ok());
        let saved = text.and_then(|text| match serde_json::from_slice(&text) {
            Ok(saved) => Some(saved),
            Err(error) => {
                tracing::warn!(%error, "the checkpoint of docker's events is damaged and was set aside");
                None
            }
        });
        Self { path, saved }
    }

    /// The last event of this daemon.
    #[must_use]
    pub fn last(&self, daemon: &str) -> Option<Nanos> {
        self.saved.as_ref().filter(|saved| saved.daemon == daemon).map(|saved| saved.last_event)
    }

    /// Moves on to a later event.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; the time is remembered all the same.
    pub fn advance(&mut self, daemon: &str, event: Nanos) -> io::Result<()> {
        if self.last(daemon).is_some_and(|last| last >= event) {
            return Ok(());
        }
        let saved = Saved { daemon: daemon.to_owned(), last_event: event };
        let text = serde_json::to_vec(&saved)?;
        self.saved = Some(saved);
        let Some(path) = &self.path else { return Ok(()) };
        // A crash leaves the old file or the new one. Losing the last move costs a second reading of an event,
        // which the store knows by its time, so nothing is synced.
        let fresh = path.with_extension("new");
        fs::write(&fresh, text)?;
        fs::rename(fresh, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_a_restart_and_belongs_to_one_daemon() {
        let directory = tempfile::tempdir().unwrap();
        let path = Some(directory.path().join("docker-events.json"));
        let mut one = Checkpoint::open(path.clone());
        assert_eq!(one.last("d1"), None);
        one.advance("d1", Nanos(7)).unwrap();
        one.advance("d1", Nanos(5)).unwrap();
        let other = Checkpoint::open(path);
        assert_eq!((other.last("d1"), other.last("d2")), (Some(Nanos(7)), None));
    }

    #[test]
    fn a_damaged_file_is_no_checkpoint_and_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker-events.json");
        for damaged in [&b""[..], b"{", b"{\"daemon\":\"d1\"}", &[0xff; 9]] {
            fs::write(&path, damaged).unwrap();
            let mut checkpoint = Checkpoint::open(Some(path.clone()));
            assert_eq!(checkpoint.last("d1"), None);
            checkpoint.advance("d1", Nanos(7)).unwrap();
            assert_eq!(Checkpoint::open(Some(path.clone())).last("d1"), Some(Nanos(7)));
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_does_not_stop_anything() {
        let mut checkpoint = Checkpoint::open(Some("/nonexistent/docker-events.json".into()));
        assert!(checkpoint.advance("d1", Nanos(7)).is_err());
        assert_eq!(checkpoint.last("d1"), Some(Nanos(7)));
    }
}
