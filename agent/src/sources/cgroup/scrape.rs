//! One scrape: every known group read through its open files, new groups found, ended ones let go.

use std::{collections::HashMap, io, time::Duration};

use tokio::sync::broadcast::{self, error::TryRecvError};
use yagura_model::Timestamp;

use super::{
    devices::Devices,
    file::{Buffer, is_gone},
    group::{Group, Machinery, State},
    hierarchy::Search,
    machine,
    metrics::Writer,
    network,
    path::Kind,
    reading::Reading,
};
use crate::{
    inventory::Change,
    series::{ScopeId, Table},
};

/// How often limits, processes and what else is dear are read again.
const SLOWLY: Duration = Duration::from_secs(60);

/// What a scrape met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Containers whose series were said.
    pub containers: usize,
    /// Groups that could not be read although they are there.
    pub failed: usize,
    /// Groups left out because there were too many.
    pub left_out: usize,
    /// Files kept open.
    pub open_files: usize,
}

/// Reads the cgroups of a machine.
#[derive(Debug)]
pub struct Scraper {
    shared: Machinery,
    search: Search,
    changes: broadcast::Receiver<Change>,
    groups: Vec<Group>,
    /// The labels of what is the machine's and no group's.
    machine_scope: Option<ScopeId>,
    devices: Devices,
    /// When the trees were last searched.
    searched: Option<Timestamp>,
    buffer: Buffer,
    reading: Reading,
    failure: Option<(String, io::Error)>,
}

impl Scraper {
    /// A scraper that has not looked at anything yet.
    #[must_use]
    pub fn new(shared: Machinery) -> Self {
        Self {
            search: Search::new(shared.hierarchy.searched.clone()),
            changes: shared.inventory.subscribe(),
            devices: Devices::new(shared.proc.join("diskstats")),
            shared,
            groups: Vec::new(),
            machine_scope: None,
            searched: None,
            buffer: Buffer::default(),
            reading: Reading::default(),
            failure: None,
        }
    }

    /// Reads every group into `table`.
    pub fn scrape(&mut self, now: Timestamp, table: &mut Table) -> Report {
        table.begin(now);
        let has_news = self.has_news();
        for group in &mut self.groups {
            if has_news || group.is_unknown() {
                group.find_owner(&self.shared, now, table);
            }
        }
        let mut report = Report::default();
        self.read_all(State::Live, now, table, &mut report);
        let has_gone = self.groups.iter().any(|group| group.state == State::Gone);
        let is_due = self.searched.is_none_or(|last| now.since(last) >= SLOWLY);
        if has_gone || is_due || self.search.has_changed() {
            self.find(now, table, &mut report);
            self.read_all(State::New, now, table, &mut report);
        }
        self.say_machine(table);
        table.finish();
        report.left_out = self.search.left_out;
        report.open_files = self.groups.iter().map(Group::open_count).sum();
        report
    }

    /// The last group that could not be read, and why.
    pub fn take_failure(&mut self) -> Option<(String, io::Error)> {
        self.failure.take()
    }

    fn say_machine(&mut self, table: &mut Table) {
        let Machinery { node_tags, boot, machine, .. } = &self.shared;
        let scope = *self.machine_scope.get_or_insert_with(|| table.add_scope(&[], node_tags, *boot));
        Writer { table, scope }.machine(machine);
    }

    /// Whether anything changed in the inventory since the last scrape.
    fn has_news(&mut self) -> bool {
        let mut has_news = false;
        loop {
            match self.changes.try_recv() {
                Ok(_) | Err(TryRecvError::Lagged(_)) => has_news = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return has_news,
            }
        }
    }

    /// Searches the trees; ends what is gone, keeps what is there, opens what is new. A group that came back under
    /// the same path (a container started again) keeps its labels.
    fn find(&mut self, now: Timestamp, table: &mut Table, report: &mut Report) {
        self.searched = Some(now);
        self.shared.machine = machine::read(&self.shared.proc, &mut self.buffer);
        let mut missing: HashMap<String, Kind> = self.search.find().into_iter().collect();
        for group in &mut self.groups {
            let is_there = missing.remove(&group.path).is_some();
            match (group.state, is_there) {
                (_, false) => group.state = State::Gone,
                (State::Gone, true) => group.state = State::New,
                (State::New | State::Live, true) => {}
            }
        }
        self.groups.retain_mut(|group| {
            let stays = group.state != State::Gone;
            if !stays {
                group.leave(table);
            }
            stays
        });
        // Sorted, so that parents and pods stand together on the page, and alike at every start.
        let mut missing: Vec<_> = missing.into_iter().collect();
        missing.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.groups.extend(missing.into_iter().map(|(path, kind)| Group::new(path, kind, now)));
        let (shared, buffer) = (&self.shared, &mut self.buffer);
        for group in self.groups.iter_mut().filter(|group| group.state == State::New) {
            if let Err(error) = group.open(shared, buffer, now) {
                group.state = State::Gone;
                note(&mut self.failure, report, group, error);
            }
            group.find_owner(shared, now, table);
        }
    }

    /// Reads all groups in `state` that have labels.
    fn read_all(&mut self, state: State, now: Timestamp, table: &mut Table, report: &mut Report) {
        for place in 0..self.groups.len() {
            if self.groups.get(place).is_some_and(|group| group.state == state && group.is_due(now)) {
                self.read_slowly(place, now, report);
            }
            let Some(group) = self.groups.get_mut(place).filter(|group| group.state == state) else { continue };
            group.state = State::Live;
            let Some(scope) = group.scope else { continue };
            if let Err(error) = group.read(&self.shared, &mut self.buffer, &mut self.reading) {
                group.state = State::Gone;
                note(&mut self.failure, report, group, error);
                continue;
            }
            report.containers += usize::from(matches!(group.kind, Kind::Container(..)));
            for device in &self.reading.devices {
                self.devices.learn(device.number, &mut self.buffer);
            }
            let mut writer = Writer { table, scope };
            writer.reading(&self.reading, &group.limits, &self.devices);
            writer.limits(&group.limits, &group.processes);
            writer.times(group.start(&self.shared), now);
            let each = |name: &str, counters| writer.network(name, counters);
            if let Some(Err(_)) = group.network.as_ref().map(|file| network::read(file, &mut self.buffer, each)) {
                // The process through which the namespace was reached has ended; another may be there.
                (group.network, group.due) = (None, now);
            }
        }
    }

    /// Reads what is read once a minute, and settles who of those that share a network namespace counts it.
    fn read_slowly(&mut self, place: usize, now: Timestamp, report: &mut Report) {
        let Some(group) = self.groups.get_mut(place) else { return };
        if let Err(error) = group.read_slowly(&self.shared, &mut self.buffer) {
            note(&mut self.failure, report, group, error);
        }
        group.due = now.plus(SLOWLY);
        group.open_network(&self.shared);
        let (namespace, is_sandbox) = (group.namespace, group.is_sandbox());
        if namespace.is_none() {
            return;
        }
        let others = self.groups.iter_mut().enumerate().filter(|(other, _)| *other != place);
        let mut is_taken = false;
        for (_, other) in others.filter(|(_, other)| other.namespace == namespace && other.network.is_some()) {
            if is_sandbox {
                other.network = None;
            } else {
                is_taken = true;
            }
        }
        if is_taken && let Some(group) = self.groups.get_mut(place) {
            group.network = None;
        }
    }
}

/// Counts a group that is there and cannot be read; one that has ended is none.
fn note(failure: &mut Option<(String, io::Error)>, report: &mut Report, group: &Group, error: io::Error) {
    if !is_gone(&error) {
        report.failed += 1;
        *failure = Some((group.path.clone(), error));
    }
}
