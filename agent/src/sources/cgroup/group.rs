//! One group that is watched: its open files, what is read of it seldom, and whose it is.

use std::{
    fs, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use yagura_model::{Tags, Timestamp};

use super::{
    file::{Buffer, Kept},
    hierarchy::Hierarchy,
    machine::Machine,
    network::{self, Namespace},
    path::Kind,
    process::{self, Processes},
    reading::{Limits, Reading},
    v1, v2,
};
use crate::{
    inventory::{Container, ContainerId, Inventory, Pod},
    series::{ScopeId, Table},
};

/// How long a new container's series wait for somebody to know its name and tags.
const PATIENCE: Duration = Duration::from_secs(2);

/// What all groups of a machine share.
#[derive(Debug)]
pub struct Machinery {
    /// The cgroup trees.
    pub hierarchy: Hierarchy,
    /// The host's `/proc`.
    pub proc: PathBuf,
    /// Who knows containers.
    pub inventory: Inventory,
    /// Tags of what is no container's.
    pub node_tags: Tags,
    /// Since when the root group counts.
    pub boot: Timestamp,
    /// Cores, memory, swap.
    pub machine: Machine,
}

/// A group.
#[derive(Debug)]
pub struct Group {
    /// Its path from the root of the tree.
    pub path: String,
    /// What its path says.
    pub kind: Kind,
    /// Whether it is to be read.
    pub state: State,
    /// Its labels in the table.
    pub scope: Option<ScopeId>,
    /// Limits, as last read.
    pub limits: Limits,
    /// Processes, as last looked at.
    pub processes: Processes,
    /// The counters of its network namespace, if they are its to say.
    pub network: Option<Kept>,
    /// That namespace.
    pub namespace: Option<Namespace>,
    /// When what is read seldom is due again.
    pub due: Timestamp,
    owner: Owner,
    v1: Option<v1::Files>,
    v2: Option<v2::Files>,
    found: Timestamp,
    created: Timestamp,
}

/// Where a group is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Found and not read yet.
    New,
    /// Read at every scrape.
    Live,
    /// The kernel has no such group any more.
    Gone,
}

/// Whose a group is, as far as known; its labels are made of this.
#[derive(Clone, Debug)]
enum Owner {
    /// Nobody knows, and there is still hope.
    Unknown,
    /// A container that is to be left alone.
    LeftAlone,
    /// A container.
    Container(Arc<Container>),
    /// A pod.
    Pod(Arc<Pod>),
    /// The root, the parents of pods, and what nobody knows.
    Nobody,
}

impl Group {
    /// A group that was found; it has no open files yet.
    #[must_use]
    pub fn new(path: String, kind: Kind, now: Timestamp) -> Self {
        Self {
            path,
            kind,
            state: State::New,
            scope: None,
            limits: Limits::default(),
            processes: Processes::default(),
            network: None,
            namespace: None,
            due: now,
            owner: Owner::Unknown,
            v1: None,
            v2: None,
            found: now,
            created: now,
        }
    }

    /// Opens the group's files, and again when another group has taken the place of one that was gone.
    ///
    /// # Errors
    ///
    /// When it is gone or may not be read.
    pub fn open(&mut self, shared: &Machinery, buffer: &mut Buffer, now: Timestamp) -> io::Result<()> {
        let made = fs::metadata(self.directory(&shared.hierarchy.searched)).and_then(|found| found.modified())?;
        let since = made.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        self.created = Timestamp(i64::try_from(since).unwrap_or(now.0));
        (self.network, self.namespace, self.due) = (None, None, now);
        self.read_limits(shared, buffer)?;
        self.open_files(shared)
    }

    fn open_files(&mut self, shared: &Machinery) -> io::Result<()> {
        let Hierarchy { v1: mounts, v2: tree, .. } = &shared.hierarchy;
        let is_root = self.kind == Kind::Root;
        self.v1 = if *mounts == v1::Mounts::default() {
            None
        } else {
            Some(v1::Files::open(mounts, &self.path, self.limits.cpu_quota.is_some())?)
        };
        self.v2 = match tree {
            Some((tree, has)) => Some(v2::Files::open(&self.directory(tree), *has, is_root)?),
            None => None,
        };
        Ok(())
    }

    /// Reads counters and gauges.
    ///
    /// # Errors
    ///
    /// When the group is gone.
    pub fn read(&self, shared: &Machinery, buffer: &mut Buffer, reading: &mut Reading) -> io::Result<()> {
        reading.clear();
        if let Some(files) = &self.v1 {
            files.read(buffer, reading)?;
        }
        if let Some(files) = &self.v2 {
            files.read(buffer, reading)?;
            self.read_swap(shared, buffer, reading)?;
        }
        Ok(())
    }

    /// Swap has a file of its own in v2, worth a read only where there is any.
    fn read_swap(&self, shared: &Machinery, buffer: &mut Buffer, reading: &mut Reading) -> io::Result<()> {
        let Some((tree, _)) = shared.hierarchy.v2.as_ref().filter(|(_, has)| has.memory) else { return Ok(()) };
        reading.swap = match shared.machine.swap {
            Some(0) => Some(0),
            _ => v2::swap(&self.directory(tree), buffer)?,
        };
        Ok(())
    }

    /// Reads limits and looks at the processes, once a minute.
    ///
    /// # Errors
    ///
    /// When the group is gone.
    pub fn read_slowly(&mut self, shared: &Machinery, buffer: &mut Buffer) -> io::Result<()> {
        let had_quota = self.limits.cpu_quota.is_some();
        self.read_limits(shared, buffer)?;
        if self.limits.cpu_quota.is_some() != had_quota {
            self.open_files(shared)?;
        }
        let list = self.directory(&shared.hierarchy.searched).join("cgroup.procs");
        let preferred = match &self.owner {
            Owner::Container(container) => container.pid,
            _ => None,
        };
        self.processes = process::read(&list, &shared.proc, preferred, buffer);
        Ok(())
    }

    fn read_limits(&mut self, shared: &Machinery, buffer: &mut Buffer) -> io::Result<()> {
        let mut limits = Limits::default();
        v1::limits(&shared.hierarchy.v1, &self.path, buffer, &mut limits)?;
        if let Some((tree, has)) = &shared.hierarchy.v2 {
            v2::limits(&self.directory(tree), *has, buffer, &mut limits)?;
        }
        if self.kind == Kind::Root {
            limits.memory = shared.machine.memory;
        }
        self.limits = limits;
        Ok(())
    }

    /// Opens the counters of its network namespace, unless that is the host's or unknown in a pod, where every
    /// container would say the same. `proc/1` is the host's.
    pub fn open_network(&mut self, shared: &Machinery) {
        let first = self.processes.first.map(|pid| pid.to_string());
        let (pid, namespace) = match (&self.kind, &first) {
            (Kind::Root, _) => ("1", None),
            (Kind::Container(..), Some(pid)) => (pid.as_str(), Namespace::of(&shared.proc, pid)),
            _ => return,
        };
        let is_host = namespace.is_some() && namespace == Namespace::of(&shared.proc, "1");
        let is_unclear = namespace.is_none() && matches!(self.kind, Kind::Container(_, Some(_))) && !self.is_sandbox();
        self.namespace = namespace;
        self.network = if is_host || is_unclear { None } else { network::open(&shared.proc, pid).ok().flatten() };
    }

    /// Whether this is the container that only holds a pod's namespaces.
    #[must_use]
    pub fn is_sandbox(&self) -> bool {
        matches!(&self.owner, Owner::Container(container) if container.pod.is_some() && container.name.is_empty())
    }

    /// Whether somebody may still know it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.owner, Owner::Unknown)
    }

    /// Whether what is read seldom is due.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.due
    }

    /// How many files it keeps open.
    #[must_use]
    pub fn open_count(&self) -> usize {
        let groups =
            self.v1.as_ref().map_or(0, v1::Files::open_files) + self.v2.as_ref().map_or(0, v2::Files::open_files);
        groups + usize::from(self.network.is_some())
    }

    /// Since when its counters count.
    #[must_use]
    pub fn start(&self, shared: &Machinery) -> Timestamp {
        match (&self.kind, &self.owner) {
            (Kind::Root, _) => shared.boot,
            (_, Owner::Container(container)) => container.started.unwrap_or(self.created),
            _ => self.created,
        }
    }

    /// Asks the inventory whose this is, and makes or renews its labels. Series whose labels change end; a container
    /// that was only started again keeps them.
    pub fn find_owner(&mut self, shared: &Machinery, now: Timestamp, table: &mut Table) {
        let owner = self.look_up(shared, now);
        let is_same = self.owner.has_same_labels(&owner);
        self.owner = owner;
        let start = self.start(shared);
        match (&self.owner, self.scope.filter(|_| is_same)) {
            (Owner::Unknown | Owner::LeftAlone, _) => self.leave(table),
            (_, Some(scope)) => table.set_start(scope, start),
            (_, None) => {
                self.leave(table);
                self.scope = Some(self.owner.scope(&self.path, shared, start, table));
            }
        }
    }

    /// Ends its series.
    pub fn leave(&mut self, table: &mut Table) {
        if let Some(scope) = self.scope.take() {
            table.remove_scope(scope);
        }
    }

    fn look_up(&self, shared: &Machinery, now: Timestamp) -> Owner {
        let is_over = now.since(self.found) >= PATIENCE;
        let unknown = if is_over { Owner::Nobody } else { Owner::Unknown };
        let of_container = |id: &ContainerId| match shared.inventory.get(id) {
            Some(container) if container.skip.metrics => Owner::LeftAlone,
            Some(container) => Owner::Container(container),
            None => unknown.clone(),
        };
        match &self.kind {
            Kind::Container(id, _) => of_container(id),
            Kind::Pod(uid) => shared.inventory.pod(uid).map_or(unknown, Owner::Pod),
            Kind::Root | Kind::Pods | Kind::Other => Owner::Nobody,
        }
    }

    fn directory(&self, tree: &std::path::Path) -> PathBuf {
        tree.join(self.path.trim_start_matches('/'))
    }
}

impl Owner {
    /// Whether both make the same labels.
    fn has_same_labels(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Container(one), Self::Container(other)) => {
                Arc::ptr_eq(one, other)
                    || (one.name == other.name
                        && one.image == other.image
                        && one.tags == other.tags
                        && one.pod == other.pod)
            }
            (Self::Pod(one), Self::Pod(other)) => one == other,
            (Self::Nobody, Self::Nobody) => true,
            _ => false,
        }
    }

    /// cAdvisor's labels, as the kubelet serves them for pods and cAdvisor itself for docker.
    fn scope(&self, path: &str, shared: &Machinery, start: Timestamp, table: &mut Table) -> ScopeId {
        match self {
            Self::Container(container) => {
                let (name, image) = (&*container.name, &*container.image);
                let Some(pod) = &container.pod else {
                    return table.add_scope(&[("id", path), ("name", name), ("image", image)], &container.tags, start);
                };
                let labels = [
                    ("id", path),
                    ("name", container.id.as_str()),
                    ("image", image),
                    ("namespace", &pod.namespace),
                    ("pod", &pod.name),
                    ("container", name),
                ];
                table.add_scope(&labels, &container.tags, start)
            }
            Self::Pod(pod) => {
                let labels = [("id", path), ("namespace", &*pod.namespace), ("pod", &*pod.name)];
                table.add_scope(&labels, &Tags::default(), start)
            }
            Self::Unknown | Self::LeftAlone | Self::Nobody => {
                let tags = if path == "/" { &shared.node_tags } else { &Tags::default() };
                table.add_scope(&[("id", path)], tags, start)
            }
        }
    }
}
