//! Which cgroup trees this machine has, and which groups are in them.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    path::{self, Kind},
    v1::Mounts,
    v2::Controllers,
};

/// How deep the trees are searched; the deepest known shape (rootless podman in a user's session) has 8 levels.
const DEPTH: usize = 12;

/// Most groups ever watched; each container keeps up to ten files open and has some forty series.
const GROUPS: usize = 4096;

/// Why the cgroups cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing like a cgroup tree.
    #[error("no cgroup controllers are mounted at {}", .0.display())]
    NotMounted(PathBuf),
}

/// The trees of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchy {
    /// v1's mounts, by controller.
    pub v1: Mounts,
    /// v2's tree and the controllers in it.
    pub v2: Option<(PathBuf, Controllers)>,
    /// The tree in which groups are searched.
    pub searched: PathBuf,
}

impl Hierarchy {
    /// Looks at what is mounted at `root`: v2 has its files there, v1 a directory per controller (or several with
    /// commas between), a hybrid machine both, with v2 in `unified`.
    ///
    /// # Errors
    ///
    /// When there is no controller at all.
    pub fn detect(root: &Path) -> Result<Self, Error> {
        if let Some(controllers) = controllers(root) {
            let v2 = Some((root.to_owned(), controllers));
            return Ok(Self { v1: Mounts::default(), v2, searched: root.to_owned() });
        }
        let mount = |name: &str| find_mount(root, name);
        let mut v1 = Mounts {
            cpu: mount("cpu"),
            cpuacct: mount("cpuacct"),
            memory: mount("memory"),
            blkio: mount("blkio"),
            pids: mount("pids"),
        };
        let unified = root.join("unified");
        let v2 = controllers(&unified).filter(|has| *has != Controllers::default()).map(|has| (unified, has));
        if let Some((_, has)) = &v2 {
            // A controller is in one of the trees; a v1 mount of it is empty then.
            let keep = |mount: Option<PathBuf>, in_v2: bool| mount.filter(|_| !in_v2);
            v1.cpu = keep(v1.cpu, has.cpu);
            v1.memory = keep(v1.memory, has.memory);
            v1.blkio = keep(v1.blkio, has.io);
            v1.pids = keep(v1.pids, has.pids);
        }
        let any = [&v1.memory, &v1.cpuacct, &v1.cpu, &v1.pids, &v1.blkio].into_iter().flatten().next().cloned();
        let searched = any.or_else(|| v2.as_ref().map(|(tree, _)| tree.clone()));
        let searched = searched.ok_or_else(|| Error::NotMounted(root.to_owned()))?;
        Ok(Self { v1, v2, searched })
    }

    /// `v1`, `v2` or `hybrid`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        match (&self.v2, self.v1 == Mounts::default()) {
            (None, _) => "v1",
            (Some(_), true) => "v2",
            (Some(_), false) => "hybrid",
        }
    }

    /// Controllers that are off: their series will be missing.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let v2 = self.v2.as_ref().map(|(_, has)| *has).unwrap_or_default();
        // v2 counts CPU time without the controller `cpu`.
        let has_cpu_time = self.v2.is_some() || self.v1.cpuacct.is_some();
        let have = [
            ("cpu", has_cpu_time && (v2.cpu || self.v1.cpu.is_some())),
            ("memory", v2.memory || self.v1.memory.is_some()),
            ("io", v2.io || self.v1.blkio.is_some()),
            ("pids", v2.pids || self.v1.pids.is_some()),
        ];
        have.into_iter().filter(|(_, have)| !have).map(|(name, _)| name).collect()
    }
}

/// The controllers of a v2 tree; `None` when there is none at `tree`.
fn controllers(tree: &Path) -> Option<Controllers> {
    let text = fs::read_to_string(tree.join("cgroup.controllers")).ok()?;
    let has = |name: &str| text.split_ascii_whitespace().any(|word| word == name);
    Some(Controllers { cpu: has("cpu"), memory: has("memory"), io: has("io"), pids: has("pids") })
}

/// The v1 mount with a controller: `<root>/cpu`, or `<root>/cpu,cpuacct` where nobody made a link.
fn find_mount(root: &Path, controller: &str) -> Option<PathBuf> {
    let direct = root.join(controller);
    if direct.is_dir() {
        return Some(direct);
    }
    let entries = fs::read_dir(root).ok()?.flatten();
    let joint = |name: &str| name.split(',').any(|part| part == controller);
    entries.filter(|entry| entry.file_name().to_str().is_some_and(joint)).map(|entry| entry.path()).next()
}

/// Finds groups, and tells cheaply whether there may be new ones.
#[derive(Debug)]
pub struct Search {
    root: PathBuf,
    /// The directories searched and their numbers of links, which count their children: a stat instead of reading
    /// a hundred names of files.
    searched: HashMap<PathBuf, u64>,
    /// Groups left out because there were too many.
    pub left_out: usize,
}

impl Search {
    /// A search that has found nothing yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, searched: HashMap::new(), left_out: 0 }
    }

    /// Whether a group came or went since the last [`Search::find`]. One that came while another one went in the
    /// same directory is not noticed here, but the reader of the latter notices.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        let changed = |directory: &Path, links: u64| links < 2 || links_of(directory) != Some(links);
        self.searched.is_empty() || self.searched.iter().any(|(directory, links)| changed(directory, *links))
    }

    /// All groups that matter: the root, pods and their parents, containers. In no order.
    pub fn find(&mut self) -> Vec<(String, Kind)> {
        self.searched.clear();
        self.left_out = 0;
        let mut found = vec![("/".to_owned(), Kind::Root)];
        let root = self.root.clone();
        self.search(&root, "", 0, &mut found);
        self.left_out = found.len().saturating_sub(GROUPS);
        found.truncate(GROUPS);
        found
    }

    fn search(&mut self, directory: &Path, path: &str, depth: usize, found: &mut Vec<(String, Kind)>) {
        let Some(links) = links_of(directory) else { return };
        self.searched.insert(directory.to_owned(), links);
        // Two links are `.` and the name: no children. A file system that does not count says 1.
        if links == 2 || depth == DEPTH {
            return;
        }
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let name = entry.file_name();
            // What cannot be written in UTF-8 was made by no runtime.
            let Some(name) = name.to_str() else { continue };
            let below = format!("{path}/{name}");
            match path::parse(&below) {
                Kind::Root => {}
                container @ Kind::Container(..) => found.push((below, container)),
                Kind::Other if !path::may_hold_containers(name) => {}
                Kind::Other => self.search(&entry.path(), &below, depth + 1, found),
                parent @ (Kind::Pod(_) | Kind::Pods) => {
                    found.push((below.clone(), parent));
                    self.search(&entry.path(), &below, depth + 1, found);
                }
            }
        }
    }
}

fn links_of(directory: &Path) -> Option<u64> {
    fs::metadata(directory).ok().map(|found| found.nlink())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(root: &Path, directories: &[&str], files: &[(&str, &str)]) {
        for directory in directories {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        for (file, text) in files {
            fs::write(root.join(file), text).unwrap();
        }
    }

    fn check(directories: &[&str], files: &[(&str, &str)], version: &str, missing: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), directories, files);
        let found = Hierarchy::detect(root.path()).unwrap();
        assert_eq!((found.version(), found.missing().as_slice()), (version, missing), "{directories:?} {files:?}");
    }

    #[test]
    fn the_version_is_what_is_mounted() {
        check(&[], &[("cgroup.controllers", "cpuset cpu io memory pids\n")], "v2", &[]);
        check(&[], &[("cgroup.controllers", "cpuset cpu io pids\n")], "v2", &["memory"]);
        let all = ["cpu,cpuacct", "memory", "blkio", "pids"];
        check(&all, &[], "v1", &[]);
        check(
            &["cpu", "cpuacct", "memory", "blkio", "pids", "unified"],
            &[("unified/cgroup.controllers", "")],
            "v1",
            &[],
        );
        let files = [("unified/cgroup.controllers", "memory pids\n")];
        check(&["cpu", "cpuacct", "blkio", "unified"], &files, "hybrid", &[]);
        check(&["cpu", "cpuacct"], &[], "v1", &["memory", "io", "pids"]);
    }

    #[test]
    fn nothing_mounted_is_an_error_that_names_the_place() {
        let root = tempfile::tempdir().unwrap();
        let error = Hierarchy::detect(root.path()).unwrap_err();
        assert_eq!(error.to_string(), format!("no cgroup controllers are mounted at {}", root.path().display()));
    }

    #[test]
    fn a_joint_mount_without_links_is_found() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), &["cpu,cpuacct", "memory"], &[]);
        let found = Hierarchy::detect(root.path()).unwrap();
        assert_eq!(found.v1.cpuacct, Some(root.path().join("cpu,cpuacct")));
    }

    #[test]
    fn groups_are_found_but_not_below_containers() {
        let root = tempfile::tempdir().unwrap();
        let id = "a".repeat(64);
        let docker = format!("docker/{id}/docker/{id}");
        let scope = format!("system.slice/docker-{id}.scope");
        let pod = "kubepods/burstable/podb940ae57ef9dcf3977a5c87523789ad5";
        make(root.path(), &[&docker, &scope, &format!("{pod}/{id}"), "system.slice/session-1.scope/kubepods"], &[]);
        let mut search = Search::new(root.path().to_owned());
        let mut found: Vec<_> = search.find().into_iter().map(|(path, _)| path.replace(&id, "ID")).collect();
        found.sort_unstable();
        let pod = format!("/{pod}");
        let expected = [
            "/",
            "/docker/ID",
            "/kubepods",
            "/kubepods/burstable",
            &pod,
            &format!("{pod}/ID"),
            "/system.slice/docker-ID.scope",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_new_group_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), &["docker/x"], &[]);
        let mut search = Search::new(root.path().to_owned());
        assert!(search.has_changed(), "nothing was searched yet");
        search.find();
        // On a file system that does not count links every look is a search.
        assert_eq!(search.has_changed(), links_of(root.path()) == Some(1));
        make(root.path(), &["docker/y"], &[]);
        assert!(search.has_changed());
    }
}
