//! Silences: people said that they know. Kept in the state store; an ended one is shown for five days.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use yagura_model::{Labels, Timestamp};

use super::matcher::{self, Matcher, all_match};

/// Where silences are kept.
pub(super) const AREA: &str = "silences";
/// How long an ended silence is still shown.
const RETENTION: Duration = Duration::from_secs(5 * 24 * 3600);
/// More than this is a loop of some program.
const MAX_SILENCES: usize = 10_000;

/// A silence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// Which alerts; all must pass.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSilence {
    /// The silence to change, or none for a new one.
    pub id: Option<String>,
    /// Which alerts.
    pub matchers: Vec<Matcher>,
    /// From when; the past is read as now.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Who asks.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// Where a silence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun.
    Pending,
    /// It holds.
    Active,
    /// It has ended.
    Expired,
}

impl Phase {
    /// The word of Alertmanager's API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

/// Why a silence was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
    /// There is none of that id.
    #[error("silence {0} not found")]
    NotFound(String),
}

impl Silence {
    /// Where it stands.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> Phase {
        if now < self.starts_at {
            Phase::Pending
        } else if now < self.ends_at {
            Phase::Active
        } else {
            Phase::Expired
        }
    }
}

/// What must be written down: ids and their bytes, `None` to delete.
pub(super) type Writes = Vec<(String, Option<Vec<u8>>)>;

/// All silences.
#[derive(Clone, Debug, Default)]
pub(super) struct Silences {
    held: BTreeMap<String, Silence>,
}

impl Silences {
    /// Reads what was kept; what cannot be read is left out and counted.
    pub(super) fn restore(stored: Vec<(String, Vec<u8>)>) -> (Self, usize) {
        let (mut silences, mut damaged) = (Self::default(), 0);
        for (id, bytes) in stored {
            match serde_json::from_slice(&bytes) {
                Ok(silence) => {
                    silences.held.insert(id, silence);
                }
                Err(_) => damaged += 1,
            }
        }
        (silences, damaged)
    }

    /// Ids of the silences that keep an alert quiet.
    pub(super) fn silencing(&self, labels: &Labels, now: Timestamp) -> Vec<String> {
        let active = self.held.values().filter(|silence| silence.phase(now) == Phase::Active);
        active.filter(|silence| all_match(&silence.matchers, labels)).map(|silence| silence.id.clone()).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Silence> {
        self.held.values()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Silence> {
        self.held.get(id)
    }

    /// Makes or changes one; the answer is its id. `new_id` is used when a new one is needed.
    pub(super) fn set(&mut self, new: NewSilence, new_id: String, now: Timestamp) -> Result<(String, Writes), Refused> {
        check(&new, now)?;
        let mut writes = Writes::new();
        let mut id = new_id;
        let mut starts_at = new.starts_at.max(now);
        if let Some(old_id) = &new.id {
            let old = self.held.get_mut(old_id).ok_or_else(|| Refused::NotFound(old_id.clone()))?;
            let phase = old.phase(now);
            // What was in force must stay on record as it was: only its end may change.
            let in_place = match phase {
                Phase::Pending => true,
                Phase::Active => old.matchers == new.matchers && new.starts_at <= now,
                Phase::Expired => false,
            };
            if in_place {
                id.clone_from(old_id);
                if phase == Phase::Active {
                    starts_at = old.starts_at;
                }
            } else if phase == Phase::Active {
                old.ends_at = now;
                old.updated_at = now;
                writes.extend(written(old));
            }
        } else if self.held.len() >= MAX_SILENCES {
            return Err(Refused::Invalid("there are 10000 silences already: delete some first"));
        }
        let silence = Silence {
            id: id.clone(),
            matchers: new.matchers,
            starts_at,
            ends_at: new.ends_at,
            updated_at: now,
            created_by: new.created_by,
            comment: new.comment,
        };
        writes.extend(written(&silence));
        self.held.insert(id.clone(), silence);
        Ok((id, writes))
    }

    /// Ends one now; one that has not begun is taken back.
    pub(super) fn expire(&mut self, id: &str, now: Timestamp) -> Result<Writes, Refused> {
        let silence = self.held.get_mut(id).ok_or_else(|| Refused::NotFound(id.to_owned()))?;
        match silence.phase(now) {
            Phase::Expired => return Err(Refused::Invalid("the silence has expired already")),
            Phase::Active => silence.ends_at = now,
            Phase::Pending => {
                silence.starts_at = now;
                silence.ends_at = now;
            }
        }
        silence.updated_at = now;
        Ok(written(silence).into_iter().collect())
    }

    /// Forgets those that ended long ago.
    pub(super) fn forget(&mut self, now: Timestamp) -> Writes {
        let old = |silence: &&Silence| now.since(silence.ends_at) > RETENTION;
        let ids: Vec<String> = self.held.values().filter(old).map(|silence| silence.id.clone()).collect();
        for id in &ids {
            self.held.remove(id);
        }
        ids.into_iter().map(|id| (id, None)).collect()
    }
}

fn check(new: &NewSilence, now: Timestamp) -> Result<(), Refused> {
    if new.matchers.is_empty() {
        return Err(Refused::Invalid("at least one matcher required"));
    }
    if matcher::pass_everything(&new.matchers) {
        return Err(Refused::Invalid("at least one matcher must not match the empty string"));
    }
    if new.ends_at <= new.starts_at {
        return Err(Refused::Invalid("start time must be before end time"));
    }
    if new.ends_at <= now {
        return Err(Refused::Invalid("end time can't be in the past"));
    }
    Ok(())
}

fn written(silence: &Silence) -> Option<(String, Option<Vec<u8>>)> {
    // A silence is plain text and numbers, which always can be written.
    serde_json::to_vec(silence).ok().map(|bytes| (silence.id.clone(), Some(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(id: Option<&str>, matchers: &str, starts: i64, ends: i64) -> NewSilence {
        NewSilence {
            id: id.map(str::to_owned),
            matchers: matcher::parse(matchers).unwrap(),
            starts_at: Timestamp(starts),
            ends_at: Timestamp(ends),
            created_by: "me".to_owned(),
            comment: "known".to_owned(),
        }
    }

    fn silencing(silences: &Silences, now: i64) -> Vec<String> {
        silences.silencing(&Labels::from_pairs([("a", "b")]), Timestamp(now))
    }

    #[test]
    fn a_silence_holds_from_its_start_to_its_end() {
        let mut silences = Silences::default();
        silences.set(new(None, "a=b", 100, 200), "one".to_owned(), Timestamp(0)).unwrap();
        assert_eq!(silencing(&silences, 99), Vec::<String>::new());
        assert_eq!(silencing(&silences, 100), ["one"]);
        assert_eq!(silencing(&silences, 200), Vec::<String>::new());
    }

    #[test]
    fn a_longer_end_keeps_the_id_and_other_matchers_do_not() {
        let mut silences = Silences::default();
        silences.set(new(None, "a=b", 0, 200), "one".to_owned(), Timestamp(0)).unwrap();
        let (id, _) = silences.set(new(Some("one"), "a=b", 0, 300), "two".to_owned(), Timestamp(50)).unwrap();
        assert_eq!(id, "one");
        assert_eq!(silencing(&silences, 250), ["one"]);
        let (id, writes) = silences.set(new(Some("one"), "c=d", 0, 300), "two".to_owned(), Timestamp(60)).unwrap();
        assert_eq!((id.as_str(), writes.len()), ("two", 2));
        assert_eq!(silencing(&silences, 61), Vec::<String>::new());
        let (id, _) = silences.set(new(Some("one"), "a=b", 0, 300), "three".to_owned(), Timestamp(70)).unwrap();
        assert_eq!(id, "three", "an ended silence is history");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut silences = Silences::default();
        let mut refused = |new| silences.set(new, "x".to_owned(), Timestamp(1000)).unwrap_err().to_string();
        assert_eq!(refused(new(None, "a=~.*", 0, 2000)), "at least one matcher must not match the empty string");
        assert_eq!(refused(new(None, "a=b", 0, 900)), "end time can't be in the past");
        assert_eq!(refused(new(None, "a=b", 3000, 2000)), "start time must be before end time");
        assert_eq!(refused(new(Some("no"), "a=b", 0, 2000)), "silence no not found");
    }

    #[test]
    fn silences_survive_a_restart_and_are_forgotten_in_the_end() {
        let mut silences = Silences::default();
        let (_, writes) = silences.set(new(None, "a=~\"b|c\"", 0, 200), "one".to_owned(), Timestamp(0)).unwrap();
        let stored = writes.into_iter().filter_map(|(id, bytes)| Some((id, bytes?)));
        let stored = stored.chain([("bad".to_owned(), b"{".to_vec())]).collect();
        let (mut restored, damaged) = Silences::restore(stored);
        assert_eq!(damaged, 1);
        assert_eq!(silencing(&restored, 100), ["one"]);
        assert_eq!(restored.expire("one", Timestamp(150)).unwrap().len(), 1);
        assert_eq!(silencing(&restored, 151), Vec::<String>::new());
        assert_eq!(restored.forget(Timestamp(5 * 24 * 3_600_000)), []);
        assert_eq!(restored.forget(Timestamp(5 * 24 * 3_600_000 + 151)), [("one".to_owned(), None)]);
    }
}
