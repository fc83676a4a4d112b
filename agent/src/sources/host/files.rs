//! The host's files: where they are, and one buffer to read them with.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::statfs::Mounts;

/// No file that is read here is larger; `/proc/net/udp` of a busy resolver may be.
const MAX_FILE: u64 = 8 << 20;

/// Why a collector has nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// This machine does not have what it reads.
    Absent,
    /// It is there and cannot be read.
    Broken(String),
}

/// The machine as its files show it.
#[derive(Debug)]
pub(super) struct Host {
    proc: PathBuf,
    sys: PathBuf,
    rootfs: PathBuf,
    /// The filesystems and their fill.
    pub(super) mounts: Mounts,
    path: PathBuf,
    text: String,
    /// The files of `/sys` that are lists of others.
    names: Vec<String>,
}

impl Host {
    pub(super) fn new(proc: PathBuf, sys: PathBuf, rootfs: PathBuf) -> Self {
        let mounts = Mounts::new(rootfs.clone());
        Self { proc, sys, rootfs, mounts, path: PathBuf::new(), text: String::new(), names: Vec::new() }
    }

    /// The text of a file below `/proc`.
    pub(super) fn proc(&mut self, path: &str) -> Result<&str, Failure> {
        Self::read(&mut self.path, &mut self.text, &self.proc, path)
    }

    /// The text of a file below `/sys`, without white space around it.
    pub(super) fn sys(&mut self, path: &str) -> Result<&str, Failure> {
        Self::read(&mut self.path, &mut self.text, &self.sys, path).map(str::trim)
    }

    /// The text of a file of the host.
    pub(super) fn root(&mut self, path: &str) -> Result<&str, Failure> {
        Self::read(&mut self.path, &mut self.text, &self.rootfs, path)
    }

    /// The names in a directory below `/sys`, sorted; put them back with [`Self::put_back`].
    pub(super) fn sys_names(&mut self, path: &str) -> Result<Vec<String>, Failure> {
        let mut names = std::mem::take(&mut self.names);
        names.clear();
        let entries = std::fs::read_dir(self.sys.join(path)).map_err(|error| failure(path, &error))?;
        names.extend(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()));
        names.sort_unstable();
        Ok(names)
    }

    /// Gives back the list of [`Self::sys_names`], whose memory the next one uses.
    pub(super) fn put_back(&mut self, names: Vec<String>) {
        self.names = names;
    }

    /// Whether something is below `/sys`.
    pub(super) fn sys_has(&self, path: &str) -> bool {
        self.sys.join(path).exists()
    }

    /// Asks the filesystems for their fill, before the table is locked: some may take their time.
    pub(super) fn refresh_mounts(&mut self) {
        // The mounts of the first process are the host's, if /proc is; without the right to see them, our own.
        let text = match Self::read(&mut self.path, &mut self.text, &self.proc, "1/mounts") {
            Err(_) => Self::read(&mut self.path, &mut self.text, &self.proc, "mounts"),
            read => read,
        };
        self.mounts.refresh(text);
    }

    /// How many mounts do not answer.
    pub(super) fn hanging_mounts(&self) -> usize {
        self.mounts.hanging()
    }

    fn read<'t>(path: &mut PathBuf, text: &'t mut String, root: &Path, file: &str) -> Result<&'t str, Failure> {
        path.clear();
        path.push(root);
        path.push(file);
        text.clear();
        let read = File::open(&*path).and_then(|open| open.take(MAX_FILE).read_to_string(text));
        match read {
            Ok(_) => Ok(text),
            Err(error) => Err(failure(file, &error)),
        }
    }
}

fn failure(path: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Failure::Absent,
        // A network device that is down refuses to tell its carrier or speed this way.
        io::ErrorKind::InvalidInput => Failure::Absent,
        _ => Failure::Broken(format!("cannot read {path}: {error}")),
    }
}
