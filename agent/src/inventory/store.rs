//! The inventory itself: one map behind a short lock, read as snapshots, with a stream of changes.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use tokio::{sync::broadcast, time::Instant};
use yagura_model::Timestamp;

use super::{Container, ContainerId, Pod};

/// How many changes a slow subscriber may fall behind; past that it is told so and reads [`Inventory::all`] anew.
/// A node starts some hundred containers at once when it boots; one change is a pointer.
const CHANGES: usize = 1024;

/// How long an ended container is remembered although nobody holds it: a reader that is told of the container by its
/// log file, or a batch that waits for tags, must still find it.
pub const REMEMBERED: Duration = Duration::from_secs(120);

/// How many ended containers are remembered at most, those held aside; a crash loop must not fill the memory.
const REMEMBERED_MOST: usize = 4096;

/// What changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// A container is new, or something about it is.
    Updated(Arc<Container>),
    /// The runtime has removed a container. It is still known for a while, and as long as it is held.
    Ended(ContainerId),
    /// Nothing is known of it any more.
    Forgotten(ContainerId),
}

/// Every container known on this node; a cheap handle to one shared store.
#[derive(Clone, Debug)]
pub struct Inventory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    entries: RwLock<HashMap<ContainerId, Entry>>,
    changes: broadcast::Sender<Change>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Absent when it was only held so far: a log file may be found before its container is.
    container: Option<Arc<Container>>,
    holds: usize,
    ended: Option<Timestamp>,
}

impl Default for Inventory {
    fn default() -> Self {
        Self::new()
    }
}

impl Inventory {
    /// An empty inventory.
    #[must_use]
    pub fn new() -> Self {
        let changes = broadcast::Sender::new(CHANGES);
        Self { shared: Arc::new(Shared { entries: RwLock::default(), changes }) }
    }

    /// What is known of a container, running or ended.
    #[must_use]
    pub fn get(&self, id: &ContainerId) -> Option<Arc<Container>> {
        self.shared.read().get(id)?.container.clone()
    }

    /// What is known of a container, waiting up to `patience` for something to be known.
    pub async fn wait(&self, id: &ContainerId, patience: Duration) -> Option<Arc<Container>> {
        let deadline = Instant::now() + patience;
        let mut changes = self.subscribe();
        loop {
            if let Some(container) = self.get(id) {
                return Some(container);
            }
            match tokio::time::timeout_at(deadline, changes.recv()).await {
                // Whatever changed, and also when changes were missed: look again.
                Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => {}
                Ok(Err(broadcast::error::RecvError::Closed)) | Err(_) => return self.get(id),
            }
        }
    }

    /// Puts in what is known of a container, in place of what was known.
    pub fn upsert(&self, container: Container) {
        let container = Arc::new(container);
        {
            let mut entries = self.shared.write();
            let entry = entries.entry(container.id.clone()).or_default();
            entry.container = Some(Arc::clone(&container));
            entry.ended = None;
        }
        self.shared.tell(Change::Updated(container));
    }

    /// Says that the runtime has removed a container; `at` starts the time for which it is remembered.
    pub fn end(&self, id: &ContainerId, at: Timestamp) {
        {
            let mut entries = self.shared.write();
            let Some(entry) = entries.get_mut(id) else { return };
            if entry.ended.is_some() {
                return;
            }
            entry.ended = Some(at);
        }
        self.shared.tell(Change::Ended(id.clone()));
    }

    /// Forgets ended containers whose time is over and that nobody holds. Whoever writes the inventory calls this
    /// now and then.
    pub fn sweep(&self, now: Timestamp) {
        let forgotten = self.shared.write_sweep(now);
        for id in forgotten {
            self.shared.tell(Change::Forgotten(id));
        }
    }

    /// Every container that has not ended.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Container>> {
        let entries = self.shared.read();
        entries.values().filter(|entry| entry.ended.is_none()).filter_map(|entry| entry.container.clone()).collect()
    }

    /// The pod with this uid (with dashes, as in [`Pod::uid`]), as far as one of its containers told.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<Arc<Pod>> {
        let entries = self.shared.read();
        let containers = entries.values().filter_map(|entry| entry.container.as_ref());
        containers.filter_map(|container| container.pod.as_ref()).find(|pod| &*pod.uid == uid).cloned()
    }

    /// Changes from now on. A receiver that falls behind is told [`broadcast::error::RecvError::Lagged`] and should
    /// read [`Inventory::all`] again.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.shared.changes.subscribe()
    }

    /// Keeps what is known (or will be) of a container until the hold is dropped: until its last log byte is shipped.
    #[must_use]
    pub fn hold(&self, id: &ContainerId) -> Hold {
        self.shared.write().entry(id.clone()).or_default().holds += 1;
        Hold { id: id.clone(), shared: Arc::clone(&self.shared) }
    }
}

/// Keeps one container's entry in the inventory while it lives.
#[derive(Debug)]
pub struct Hold {
    id: ContainerId,
    shared: Arc<Shared>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut entries = self.shared.write();
        let Some(entry) = entries.get_mut(&self.id) else { return };
        entry.holds = entry.holds.saturating_sub(1);
        if entry.holds == 0 && entry.container.is_none() {
            entries.remove(&self.id);
        }
    }
}

impl Shared {
    /// A panic while the lock was held cannot leave an entry half written: each is replaced as a whole.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<ContainerId, Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<ContainerId, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: Change) {
        // An error only means that nobody listens.
        drop(self.changes.send(change));
    }

    fn write_sweep(&self, now: Timestamp) -> Vec<ContainerId> {
        let mut entries = self.write();
        let free = |entry: &Entry| entry.ended.filter(|_| entry.holds == 0);
        let mut ended: Vec<_> =
            entries.iter().filter_map(|(id, entry)| free(entry).map(|at| (at, id.clone()))).collect();
        ended.sort_unstable();
        let excess = ended.len().saturating_sub(REMEMBERED_MOST);
        let over = |place: usize, at: Timestamp| place < excess || now.since(at) >= REMEMBERED;
        let forgotten: Vec<_> =
            ended.into_iter().enumerate().filter(|(place, (at, _))| over(*place, *at)).map(|(_, (_, id))| id).collect();
        for id in &forgotten {
            entries.remove(id);
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::container, *};

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_container_is_known_or_patience_is_over() {
        let inventory = Inventory::new();
        let known = container("a", "web");
        let id = known.id.clone();
        assert!(inventory.wait(&id, Duration::from_secs(2)).await.is_none());

        let other = inventory.clone();
        let waiting = tokio::spawn(async move { other.wait(&id, Duration::from_secs(2)).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        inventory.upsert(known);
        let found = waiting.await.unwrap().unwrap();
        assert_eq!(&*found.name, "web");
    }

    #[test]
    fn an_ended_container_is_remembered_while_held_and_for_a_while_after() {
        let inventory = Inventory::new();
        let (held, free) = (container("a", "held"), container("b", "free"));
        let ids = [held.id.clone(), free.id.clone()];
        inventory.upsert(held);
        inventory.upsert(free);
        let hold = inventory.hold(&ids[0]);
        for id in &ids {
            inventory.end(id, Timestamp(0));
        }
        assert!(inventory.all().is_empty());
        let known = || ids.each_ref().map(|id| inventory.get(id).is_some());
        assert_eq!(known(), [true, true]);
        let over = Timestamp(0).plus(REMEMBERED);
        inventory.sweep(Timestamp(over.0 - 1));
        assert_eq!(known(), [true, true]);
        inventory.sweep(over);
        assert_eq!(known(), [true, false]);
        drop(hold);
        assert_eq!(known(), [true, false], "dropping a hold leaves it to the next sweep");
        inventory.sweep(over);
        assert_eq!(known(), [false, false]);
    }

    #[test]
    fn a_container_may_be_held_before_it_is_known() {
        let inventory = Inventory::new();
        let early = container("a", "early");
        let id = early.id.clone();
        let hold = inventory.hold(&id);
        assert!(inventory.get(&id).is_none());
        inventory.upsert(early);
        inventory.end(&id, Timestamp(0));
        inventory.sweep(Timestamp(i64::MAX));
        assert!(inventory.get(&id).is_some());
        drop(hold);
        inventory.sweep(Timestamp(i64::MAX));
        assert!(inventory.get(&id).is_none());
        drop(inventory.hold(&id));
        assert!(inventory.shared.read().is_empty(), "a hold on nothing leaves nothing");
    }

    #[test]
    fn a_crash_loop_does_not_fill_the_memory() {
        let inventory = Inventory::new();
        for number in 0..=REMEMBERED_MOST {
            let mut one = container("a", "loop");
            one.id = ContainerId::parse(&format!("{number:064x}")).unwrap();
            let id = one.id.clone();
            inventory.upsert(one);
            inventory.end(&id, Timestamp(i64::try_from(number).unwrap()));
        }
        inventory.sweep(Timestamp(5000));
        let first = ContainerId::parse(&format!("{:064x}", 0)).unwrap();
        let second = ContainerId::parse(&format!("{:064x}", 1)).unwrap();
        assert!(inventory.get(&first).is_none(), "the oldest goes");
        assert!(inventory.get(&second).is_some());
    }

    #[tokio::test]
    async fn subscribers_hear_of_every_change() {
        let inventory = Inventory::new();
        let mut changes = inventory.subscribe();
        let one = container("a", "web");
        let id = one.id.clone();
        inventory.upsert(one);
        inventory.end(&id, Timestamp(0));
        inventory.end(&id, Timestamp(1));
        inventory.sweep(Timestamp(i64::MAX));
        assert!(matches!(changes.recv().await.unwrap(), Change::Updated(found) if found.id == id));
        assert!(matches!(changes.recv().await.unwrap(), Change::Ended(ended) if ended == id));
        assert!(matches!(changes.recv().await.unwrap(), Change::Forgotten(gone) if gone == id), "ended only once");
    }
}
