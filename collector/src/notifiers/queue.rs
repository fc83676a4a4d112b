//! Messages that wait to be sent, one queue per channel. Kept in the state store with what was told, in one write.
//!
//! A newer message about a group takes the place of an older one that was not sent yet, so that what is sent is how
//! things stand and not how they stood.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use yagura_model::Timestamp;

use super::{message::Notification, silence::Writes};

/// Groups that wait at once; the oldest are dropped beyond it, counted. A thousand unsent pages are not read anyway.
const MAX_WAITING: usize = 1000;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Item {
    /// The message.
    pub(super) notification: Notification,
    /// The place of the way within its receiver.
    pub(super) integration: usize,
    /// Its turn; lower goes first.
    turn: u64,
    /// Grows when a newer message takes its place.
    version: u64,
    /// When it was first put here.
    pub(super) since: Timestamp,
}

/// Which message, as it was when it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    key: String,
    version: u64,
}

/// All queues.
#[derive(Debug, Default)]
pub(super) struct Queue {
    items: BTreeMap<String, Item>,
    next_turn: u64,
}

impl Queue {
    /// Reads what was kept; `known` says whether a receiver's way still exists. Those whose way is gone, and those
    /// that cannot be read, are given back to be deleted.
    pub(super) fn restore(stored: Vec<(String, Vec<u8>)>, known: impl Fn(&Item) -> bool) -> (Self, Writes) {
        let (mut queue, mut dropped) = (Self::default(), Writes::new());
        for (key, bytes) in stored {
            match serde_json::from_slice::<Item>(&bytes) {
                Ok(item) if known(&item) => {
                    queue.next_turn = queue.next_turn.max(item.turn + 1);
                    queue.items.insert(key, item);
                }
                _ => dropped.push((key, None)),
            }
        }
        (queue, dropped)
    }

    /// What putting a message here would write; nothing has changed until [`Queue::put`].
    pub(super) fn prepare(&self, integration: usize, notification: Notification, now: Timestamp) -> (String, Item) {
        let key = format!("queue/{}\n{integration}\n{}", notification.receiver, notification.group_key);
        let old = self.items.get(&key);
        let item = Item {
            integration,
            turn: old.map_or(self.next_turn, |old| old.turn),
            version: old.map_or(0, |old| old.version + 1),
            since: old.map_or(now, |old| old.since),
            notification,
        };
        (key, item)
    }

    /// Puts what was prepared and written. The answer is what had to give way.
    pub(super) fn put(&mut self, key: String, item: Item) -> Option<(String, Item)> {
        self.next_turn = self.next_turn.max(item.turn + 1);
        self.items.insert(key, item);
        if self.items.len() <= MAX_WAITING {
            return None;
        }
        let oldest = self.items.iter().min_by_key(|(_, item)| item.turn).map(|(key, _)| key.clone())?;
        self.items.remove_entry(&oldest)
    }

    /// The message whose turn it is among those for which `mine` is true.
    pub(super) fn next(&self, mine: impl Fn(&Item) -> bool) -> Option<(Ticket, Item)> {
        let (key, item) = self.items.iter().filter(|(_, item)| mine(item)).min_by_key(|(_, item)| item.turn)?;
        Some((Ticket { key: key.clone(), version: item.version }, item.clone()))
    }

    /// Takes a message out, unless a newer one has taken its place meanwhile. The answer is the key to delete.
    pub(super) fn done(&mut self, ticket: &Ticket) -> Option<String> {
        let same = self.items.get(&ticket.key).is_some_and(|item| item.version == ticket.version);
        same.then(|| {
            self.items.remove(&ticket.key);
            ticket.key.clone()
        })
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

impl Item {
    /// Its bytes in the state store.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }
}

#[cfg(test)]
mod tests {
    use yagura_model::Labels;

    use super::*;

    fn notification(group: &str, created: i64) -> Notification {
        Notification {
            group_key: group.to_owned(),
            receiver: "r".to_owned(),
            group_labels: Labels::empty(),
            alerts: Vec::new(),
            created_at: Timestamp(created),
        }
    }

    fn put(queue: &mut Queue, group: &str, created: i64) -> Option<(String, Item)> {
        let (key, item) = queue.prepare(0, notification(group, created), Timestamp(created));
        queue.put(key, item)
    }

    fn next(queue: &Queue) -> Option<(Ticket, String, i64)> {
        let (ticket, item) = queue.next(|_| true)?;
        Some((ticket, item.notification.group_key, item.notification.created_at.0))
    }

    #[test]
    fn a_newer_message_takes_the_place_of_an_older_one() {
        let mut queue = Queue::default();
        put(&mut queue, "a", 1);
        put(&mut queue, "b", 2);
        put(&mut queue, "a", 3);
        let (ticket, group, created) = next(&queue).unwrap();
        assert_eq!((group.as_str(), created), ("a", 3));
        assert!(queue.done(&ticket).is_some());
        assert_eq!(next(&queue).unwrap().1, "b");
    }

    #[test]
    fn a_message_that_changed_while_it_was_sent_is_sent_again() {
        let mut queue = Queue::default();
        put(&mut queue, "a", 1);
        let (ticket, ..) = next(&queue).unwrap();
        put(&mut queue, "a", 2);
        assert_eq!(queue.done(&ticket), None);
        assert_eq!(next(&queue).unwrap().2, 2);
    }

    #[test]
    fn the_queue_survives_a_restart_in_order() {
        let mut queue = Queue::default();
        put(&mut queue, "b", 1);
        put(&mut queue, "a", 2);
        let mut stored: Vec<_> = queue.items.iter().map(|(key, item)| (key.clone(), item.bytes().unwrap())).collect();
        stored.push(("queue/bad".to_owned(), b"{}".to_vec()));
        let (restored, dropped) = Queue::restore(stored, |item| item.notification.receiver == "r");
        assert_eq!(dropped, [("queue/bad".to_owned(), None)]);
        assert_eq!(next(&restored).unwrap().1, "b");
        assert_eq!(restored.next_turn, 2);
    }

    #[test]
    fn the_oldest_gives_way_when_too_many_wait() {
        let mut queue = Queue::default();
        for index in 0..MAX_WAITING {
            assert!(put(&mut queue, &format!("g{index}"), 0).is_none());
        }
        let (_, dropped) = put(&mut queue, "new", 0).unwrap();
        assert_eq!(dropped.notification.group_key, "g0");
        assert_eq!(queue.len(), MAX_WAITING);
    }
}
