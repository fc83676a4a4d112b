//! The owner of all followed logs. It does no waiting: [`Tailer::turn`] looks, reads what there is within its budget
//! and gives batches; [`Tailer::settle`] takes their answers. The loop around it is in the module itself, another one
//! in the tests.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use yagura_model::Nanos;

use super::{
    accounting::{Account, Reason},
    batch::{Resource, Writer},
    chain::Log,
    checkpoint::Checkpoints,
    discover::{self, Owner, Place},
    read::{Bounds, Scratch},
    rotate::Gap,
    watch::{Changes, Watcher},
};
use crate::{
    buffer::Batch,
    inventory::{Container, ContainerId, Inventory, LogPlace, State},
    sources::Node,
};

/// How often everything is looked at, told or not.
pub(crate) const SCAN: Duration = Duration::from_secs(1);

/// How long the first records of a container wait for its tags.
const TAGS: Duration = Duration::from_secs(2);

/// A batch of this size is sent; with the last chunk it stays below 1 MiB.
const BATCH: usize = 640 * 1024;

/// Batches of one turn; then answers are taken, so that no turn is long.
const BATCHES_PER_TURN: usize = 4;

/// All open lines together; past that the log that is read loses its patience.
const OPEN_BYTES: usize = 8 * 1024 * 1024;

/// How many gaps are remembered for the status.
const GAPS: usize = 32;

/// What the tailer follows and how much it may hold.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) docker: Vec<PathBuf>,
    pub(crate) pods: Vec<PathBuf>,
    pub(crate) files: Vec<Files>,
    /// Bytes of batches without an answer.
    pub(crate) read_ahead: usize,
    pub(crate) bounds: Bounds,
    /// Bytes of deleted files that are held open.
    pub(crate) held_bytes: u64,
    /// How long a deleted file is held open.
    pub(crate) held_age: Duration,
    pub(crate) node: Arc<Node>,
}

/// Plain files by pattern.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) path: String,
    pub(crate) exclude: Vec<String>,
    pub(crate) tags: Arc<[(Arc<str>, Arc<str>)]>,
}

/// The time, by two clocks: the wall's for records, a steady one for waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) wall: Nanos,
    pub(crate) steady: Duration,
}

/// A batch to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// What its answer names.
    pub(crate) ticket: u64,
    pub(crate) batch: Batch,
    /// Whether it goes to the disk buffer, because its file is about to be deleted.
    pub(crate) durable: bool,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The collector or the disk buffer answers for it.
    Delivered,
    /// The collector will never take it.
    Refused,
    /// Nobody answers for it: it is read again.
    Lost,
}

/// What a turn came to.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) batches: Vec<Outgoing>,
    /// There is more to read at once.
    pub(crate) more: bool,
}

/// See the module's doc.
#[derive(Debug)]
pub(crate) struct Tailer {
    pub(crate) settings: Settings,
    pub(crate) checkpoints: Checkpoints,
    /// Told apart plain files with the same first line when no checkpoint is left.
    salt: Option<u64>,
    pub(crate) logs: BTreeMap<Arc<str>, Log>,
    watcher: Option<Watcher>,
    /// Logs that have something to read; each takes its turn.
    ready: VecDeque<Arc<str>>,
    queued: HashSet<Arc<str>>,
    pub(crate) scratch: Scratch,
    writer: Writer,
    writing: BTreeSet<Arc<str>>,
    pub(crate) flights: HashMap<u64, Flight>,
    next_ticket: u64,
    pub(crate) flying: usize,
    /// The batch that the disk buffer has not answered for; there is one at a time.
    pub(crate) spooling: Option<u64>,
    last_scan: Option<Duration>,
    /// Logs that are over, summed up.
    pub(crate) past: Account,
    pub(crate) gaps: VecDeque<Gap>,
    /// Directories that cannot be read, and why.
    pub(crate) unreadable: BTreeMap<PathBuf, String>,
    /// Why new files are found by looking only.
    pub(crate) unwatched: Option<String>,
    /// Why the checkpoint cannot be written.
    pub(crate) unwritten: Option<String>,
    /// The agent stops: only what would be gone afterwards is read, into the disk buffer.
    pub(crate) stopping: bool,
}

/// A batch without an answer.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) bytes: usize,
    pub(crate) logs: Vec<Arc<str>>,
    pub(crate) durable: bool,
}

impl Tailer {
    /// A tailer that takes up where `checkpoints` left off. `salt` is a random number, for plain files.
    pub(crate) fn new(settings: Settings, checkpoints: Checkpoints, watcher: Option<Watcher>, salt: u64) -> Self {
        let salt = checkpoints.is_empty().then_some(salt);
        Self {
            settings,
            checkpoints,
            salt,
            logs: BTreeMap::new(),
            watcher,
            ready: VecDeque::new(),
            queued: HashSet::new(),
            scratch: Scratch::default(),
            writer: Writer::default(),
            writing: BTreeSet::new(),
            flights: HashMap::new(),
            next_ticket: 0,
            flying: 0,
            spooling: None,
            last_scan: None,
            past: Account::default(),
            gaps: VecDeque::new(),
            unreadable: BTreeMap::new(),
            unwatched: None,
            unwritten: None,
            stopping: false,
        }
    }

    /// Looks at what has changed, reads within the budget, gives batches. `stalled` says that delivery gets nowhere.
    pub(crate) fn turn(&mut self, now: Now, stalled: bool, inventory: &Inventory) -> Turn {
        let changes = self.changes();
        let scan = changes.overflow || self.last_scan.is_none_or(|last| now.steady.saturating_sub(last) >= SCAN);
        let followed: HashSet<&PathBuf> = self.logs.values().map(|log| &log.place.directory).collect();
        if scan || changes.directories.iter().any(|directory| !followed.contains(directory)) {
            self.discover(now, inventory);
        }
        if scan {
            self.last_scan = Some(now.steady);
        }
        self.refresh(now, scan, &changes, inventory);
        let mut turn = Turn::default();
        self.spool(now, stalled, &mut turn);
        if !self.stopping {
            self.read(now, &mut turn);
            self.cut_overdue(now);
            self.flush(&mut turn);
        }
        if scan {
            self.tidy(now);
        }
        self.write_checkpoint(scan);
        turn.more = !self.stopping && !self.ready.is_empty() && self.has_room();
        turn
    }

    /// Writes the checkpoint for the last time.
    pub(crate) fn close(&mut self) {
        self.write_checkpoint(true);
    }

    /// Whether something waits to be read and may be.
    pub(crate) fn waits_for_room(&self) -> bool {
        !self.ready.is_empty() && self.has_room()
    }

    /// Bytes on disk that nobody answers for.
    pub(crate) fn lag(&self) -> u64 {
        self.logs.values().map(Log::lag).sum()
    }

    /// Why logs that should be there cannot be seen; a directory that does not exist is none.
    pub(crate) fn cannot_see(&self) -> Option<String> {
        let (path, why) = self.unreadable.iter().find(|(path, _)| path.exists())?;
        Some(format!("cannot read {}: {why}", path.display()))
    }

    /// Takes the answer to a batch.
    pub(crate) fn settle(&mut self, ticket: u64, fate: Fate) {
        let Some(flight) = self.flights.remove(&ticket) else { return };
        self.flying = self.flying.saturating_sub(flight.bytes);
        if self.spooling == Some(ticket) {
            self.spooling = None;
        }
        for key in &flight.logs {
            let Some(log) = self.logs.get_mut(key) else { continue };
            if fate == Fate::Lost {
                log.rewind();
                continue;
            }
            let bytes = log.settle(ticket, &mut self.checkpoints);
            if fate == Fate::Refused {
                log.account.delivered = log.account.delivered.saturating_sub(bytes);
                log.account.give_up(Reason::Refused, bytes);
            }
            if flight.durable {
                log.account.spooled += bytes;
            }
        }
    }

    /// Whether more may be read before an answer comes.
    pub(crate) fn has_room(&self) -> bool {
        self.flying + self.writer.len() < self.settings.read_ahead
    }

    /// What the logs that are followed and those that are over come to.
    pub(crate) fn total(&self) -> Account {
        let mut total = self.past.clone();
        self.logs.values().for_each(|log| total.add(&log.account));
        total
    }

    fn changes(&mut self) -> Changes {
        let Some(watcher) = &mut self.watcher else { return Changes::default() };
        match watcher.drain() {
            Ok(changes) => changes,
            Err(error) => {
                self.unwatched = Some(format!("cannot read inotify events: {error}"));
                self.watcher = None;
                Changes { overflow: true, ..Changes::default() }
            }
        }
    }

    /// Whether a container's log is read from its files.
    pub(crate) fn follows(&self, id: &ContainerId) -> bool {
        self.logs.contains_key(&*discover::docker_key(id))
    }

    /// Finds logs that are not followed yet, and watches their directories.
    fn discover(&mut self, now: Now, inventory: &Inventory) {
        let mut places = self.known_places(inventory);
        self.unreadable.clear();
        for root in self.settings.docker.clone() {
            self.watch(&root);
            match discover::docker_logs(&root) {
                Ok(found) => places.extend(found),
                Err(error) => self.cannot_read(root, &error),
            }
        }
        for root in self.settings.pods.clone() {
            for directory in discover::pod_directories(&root) {
                self.watch(&directory);
            }
            match discover::pod_logs(&root) {
                Ok(found) => places.extend(found),
                Err(error) => self.cannot_read(root, &error),
            }
        }
        for files in &self.settings.files {
            places.extend(discover::plain_logs(&files.path, &files.exclude, &files.tags));
        }
        for place in places {
            self.watch(&place.directory);
            self.follow(place, now, inventory);
        }
        if let Some(error) = self.watcher.as_mut().and_then(Watcher::take_refused) {
            self.unwatched = Some(format!("cannot watch every directory: {error}"));
        }
    }

    /// Logs of containers that are kept elsewhere than in docker's usual directory.
    fn known_places(&mut self, inventory: &Inventory) -> Vec<Place> {
        let mut places = Vec::new();
        for container in inventory.all() {
            let LogPlace::JsonFile(path) = &container.log else { continue };
            let directory = Path::new(&**path).parent();
            let Some(place) = directory.and_then(discover::docker_place) else { continue };
            let root = place.directory.parent();
            if place.path() == Path::new(&**path)
                && root.is_none_or(|root| !self.settings.docker.iter().any(|known| known == root))
            {
                // New containers will be kept there too.
                self.settings.docker.extend(root.map(Path::to_owned));
                places.push(place);
            }
        }
        places
    }

    fn watch(&mut self, directory: &Path) {
        if let Some(watcher) = &mut self.watcher {
            watcher.add(directory);
        }
    }

    fn cannot_read(&mut self, root: PathBuf, error: &std::io::Error) {
        self.unreadable.insert(root, error.to_string());
    }

    fn follow(&mut self, place: Place, now: Now, inventory: &Inventory) {
        let key = place.key();
        if self.logs.contains_key(&key) {
            return;
        }
        // A container of docker's whose driver writes no file has a directory all the same.
        let known = self.checkpoints.positions(&key).next().is_some();
        if !known && matches!(place.owner, Owner::Docker(_)) && !place.path().exists() {
            return;
        }
        let mut log = Log::new(place, now.steady);
        if let Owner::Docker(id) = &log.place.owner {
            log.hold = Some(inventory.hold(id));
        }
        self.logs.insert(key, log);
    }

    /// Looks at the files of the logs in which something happened, or of all.
    fn refresh(&mut self, now: Now, scan: bool, changes: &Changes, inventory: &Inventory) {
        let mut gaps = Vec::new();
        for (key, log) in &mut self.logs {
            let told = changes.directories.contains(&log.place.directory);
            if scan || told || !log.listed {
                let found = container(&log.place.owner, inventory);
                log.running = found.as_ref().map(|container| runs(container.state));
                if found.is_some_and(|container| container.skip.logs) {
                    log.leave_alone();
                    continue;
                }
                if let Err(error) = log.refresh(&mut self.checkpoints, self.salt, now.steady, &mut gaps) {
                    self.unreadable.insert(log.place.path(), error.to_string());
                }
            }
            if log.resource.is_none() && !log.left_alone {
                let found = container(&log.place.owner, inventory);
                let waited = now.steady.saturating_sub(log.since) >= TAGS;
                if found.is_some() || waited || matches!(log.place.owner, Owner::Plain(_)) {
                    log.resource = Some(Resource::new(&log.place.owner, found.as_deref(), &self.settings.node));
                }
            }
            if log.resource.is_some() && log.has_work(now.steady) && self.queued.insert(Arc::clone(key)) {
                self.ready.push_back(Arc::clone(key));
            }
        }
        self.remember_gaps(gaps);
    }

    pub(crate) fn remember_gaps(&mut self, gaps: Vec<Gap>) {
        for gap in gaps {
            tracing::warn!(
                generation = gap.generation,
                from = gap.from,
                to = gap.to,
                reason = gap.reason.name(),
                "part of a log is lost"
            );
            self.gaps.push_back(gap);
        }
        while self.gaps.len() > GAPS {
            self.gaps.pop_front();
        }
    }

    /// Reads from the ready logs in turns, one chunk each, as long as the budget lasts.
    fn read(&mut self, now: Now, turn: &mut Turn) {
        while self.has_room() && turn.batches.len() < BATCHES_PER_TURN {
            let Some(key) = self.ready.pop_front() else { break };
            self.queued.remove(&key);
            let Some(log) = self.logs.get_mut(&key).filter(|log| !log.spooling) else { continue };
            match log.read_chunk(&mut self.scratch, self.settings.bounds, now.steady) {
                Ok(true) => self.seal(&key, now),
                Ok(false) => continue,
                // It takes its next turn when it is looked at again.
                Err(error) => {
                    self.reading_failed(&key, &error);
                    continue;
                }
            }
            if self.logs.get(&key).is_some_and(|log| log.has_work(now.steady)) && self.queued.insert(Arc::clone(&key)) {
                self.ready.push_back(key);
            }
            if self.writer.len() >= BATCH {
                self.flush(turn);
            }
        }
    }

    pub(crate) fn reading_failed(&mut self, key: &Arc<str>, error: &std::io::Error) {
        let Some(log) = self.logs.get_mut(key) else { return };
        self.unreadable.insert(log.place.path(), error.to_string());
        if let Some((generation, from, to)) = log.reading_failed(&mut self.checkpoints) {
            let generation = generation.to_string();
            self.remember_gaps(vec![Gap { generation, from, to, reason: Reason::Unreadable }]);
        }
    }

    /// Writes what was just read into the open batch.
    fn seal(&mut self, key: &Arc<str>, now: Now) {
        let Some(log) = self.logs.get_mut(key) else { return };
        if log.seal(&self.scratch, &mut self.writer, self.next_ticket, now.wall) {
            self.writing.insert(Arc::clone(key));
        } else {
            log.advance(&mut self.checkpoints);
        }
    }

    /// Ends the open batch.
    fn flush(&mut self, turn: &mut Turn) {
        if self.writer.len() > 0 {
            let batch = self.writer.finish();
            let logs = std::mem::take(&mut self.writing).into_iter().collect();
            self.launch(batch, logs, false, turn);
        }
    }

    /// Gives a batch away under the ticket that its logs have noted.
    pub(crate) fn launch(&mut self, batch: Batch, logs: Vec<Arc<str>>, durable: bool, turn: &mut Turn) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        // The disk buffer's batch comes on top of the budget, which is used up when it is needed.
        let bytes = if durable { 0 } else { batch.body.len() };
        self.flying += bytes;
        self.flights.insert(ticket, Flight { bytes, logs, durable });
        turn.batches.push(Outgoing { ticket, batch, durable });
    }

    /// The ticket that the batch being written will have.
    pub(crate) fn ticket(&self) -> u64 {
        self.next_ticket
    }

    /// Ends lines whose rest does not come.
    fn cut_overdue(&mut self, now: Now) {
        let open: usize = self.logs.values().map(|log| log.joins.bytes()).sum();
        let mut bounds = self.settings.bounds;
        if open > OPEN_BYTES {
            bounds.patience = Duration::ZERO;
        }
        let waiting: Vec<Arc<str>> = self
            .logs
            .iter()
            .filter(|(_, log)| log.joins.bytes() > 0 && log.resource.is_some() && !log.spooling)
            .map(|(key, _)| Arc::clone(key))
            .collect();
        for key in waiting {
            let Some(log) = self.logs.get_mut(&key) else { continue };
            match log.cut_overdue(&mut self.scratch, bounds, &mut self.checkpoints, now.steady) {
                Ok(true) => self.seal(&key, now),
                Ok(false) => {}
                Err(error) => self.unwritten = Some(error.to_string()),
            }
        }
    }

    /// Lets go of what is over, and of what was held for too long.
    fn tidy(&mut self, now: Now) {
        self.give_up_held(now);
        let past = &mut self.past;
        let checkpoints = &mut self.checkpoints;
        self.logs.retain(|key, log| {
            let over = log.is_over();
            if over {
                past.add(&log.account);
                let left: Vec<Arc<str>> = checkpoints.positions(key).map(|(key, _)| Arc::clone(key)).collect();
                left.iter().for_each(|generation| checkpoints.forget(generation));
            }
            !over
        });
    }

    fn write_checkpoint(&mut self, sync: bool) {
        match self.checkpoints.write(sync) {
            Ok(()) => self.unwritten = None,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                self.unwritten = Some(format!("{error}: {cause}"));
            }
        }
    }
}

/// What is known of the container that writes a log.
fn container(owner: &Owner, inventory: &Inventory) -> Option<Arc<Container>> {
    match owner {
        Owner::Docker(id) => inventory.get(id),
        Owner::Pod(pod) => inventory.all().into_iter().find(|container| {
            container.name == pod.container && container.pod.as_ref().is_some_and(|known| known.uid == pod.uid)
        }),
        Owner::Plain(_) => None,
    }
}

/// Whether a container's log must be asked of its runtime: it has no file, or not one that we may read.
pub(crate) fn needs_api(container: &Container) -> bool {
    if container.skip.logs || container.state == State::Created {
        return false;
    }
    match &container.log {
        LogPlace::Api => true,
        LogPlace::JsonFile(path) => std::fs::File::open(&**path).is_err(),
        LogPlace::Unreadable(_) => false,
    }
}

fn runs(state: State) -> bool {
    !matches!(state, State::Exited | State::Dead)
}
