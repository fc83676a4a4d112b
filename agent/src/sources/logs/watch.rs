//! Which directories something happened in, told by inotify. Only a hint: everything is found by looking, so that a
//! lost event costs a second, not a line.

use std::{
    collections::{HashMap, HashSet},
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};

/// What was told since the last time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Directories with a file that was written, made, renamed or deleted.
    pub(crate) directories: HashSet<PathBuf>,
    /// More happened than the kernel remembered.
    pub(crate) overflow: bool,
}

/// An inotify instance.
#[derive(Debug)]
pub(crate) struct Watcher {
    fd: OwnedFd,
    by_descriptor: HashMap<i32, PathBuf>,
    by_path: HashMap<PathBuf, i32>,
    /// Why some directory is not watched.
    refused: Option<io::Error>,
}

const BUFFER: usize = 32 * 1024;

impl Watcher {
    /// A watcher of nothing yet.
    pub(crate) fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { fd, by_descriptor: HashMap::new(), by_path: HashMap::new(), refused: None })
    }

    /// A descriptor that is readable when there is something to tell.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.fd.as_fd().try_clone_to_owned()
    }

    /// Watches a directory, once. A directory that is gone again is no failure.
    pub(crate) fn add(&mut self, directory: &Path) {
        if self.by_path.contains_key(directory) {
            return;
        }
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(&self.fd, directory, flags) {
            Ok(descriptor) => {
                self.by_descriptor.insert(descriptor, directory.to_owned());
                self.by_path.insert(directory.to_owned(), descriptor);
            }
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(error) => self.refused = Some(error.into()),
        }
    }

    /// Why some directory is not watched, as far as was tried since the last call.
    pub(crate) fn take_refused(&mut self) -> Option<io::Error> {
        self.refused.take()
    }

    /// What happened since the last call; does not wait.
    pub(crate) fn drain(&mut self) -> io::Result<Changes> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        let mut changes = Changes::default();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(changes),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                changes.overflow = true;
            }
            let Some(directory) = self.by_descriptor.get(&event.wd()) else { continue };
            if !changes.directories.contains(directory) {
                changes.directories.insert(directory.clone());
            }
            if event.events().contains(ReadFlags::IGNORED)
                && let Some(directory) = self.by_descriptor.remove(&event.wd())
            {
                self.by_path.remove(&directory);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn writing_renaming_and_deleting_are_told() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a");
        fs::create_dir(&directory).unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.add(&directory);
        watcher.add(&directory);
        watcher.add(&root.path().join("not-there"));
        assert!(watcher.take_refused().is_none());
        assert_eq!(watcher.drain().unwrap(), Changes::default());
        let told = |watcher: &mut Watcher| watcher.drain().unwrap().directories.contains(&directory);
        fs::write(directory.join("x"), "1").unwrap();
        assert!(told(&mut watcher));
        fs::rename(directory.join("x"), directory.join("y")).unwrap();
        assert!(told(&mut watcher));
        fs::remove_dir_all(&directory).unwrap();
        assert!(told(&mut watcher));
        fs::create_dir(&directory).unwrap();
        watcher.add(&directory);
        fs::write(directory.join("x"), "1").unwrap();
        assert!(told(&mut watcher), "a new directory of the same name is watched anew");
    }
}
