//! How full the filesystems are. A mount whose server is gone may hang whoever asks, for ever: each is asked on a
//! thread of its own kind, with a timeout, and one that hangs is not asked again before its answer has come.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    time::Duration,
};

use super::files::Failure;

/// How long one filesystem may take.
const TIMEOUT: Duration = Duration::from_millis(500);
/// How many may run into that in one scrape; the others behind them are asked in the next.
const TIMEOUTS_PER_SCRAPE: usize = 3;
/// How many threads may hang at once; then mounts that were never asked have to wait.
const MAX_HANGING: usize = 32;

/// What a filesystem says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) size: u64,
    pub(super) free: u64,
    pub(super) available: u64,
    pub(super) files: u64,
    pub(super) files_free: u64,
}

/// One filesystem in the list of mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) device: String,
    pub(super) mountpoint: String,
    pub(super) fstype: String,
    pub(super) readonly: bool,
    /// `None` when it did not answer, or not in time.
    pub(super) usage: Option<Usage>,
}

type Answer = io::Result<Usage>;
type Ask = fn(&Path) -> Answer;

/// The filesystems worth watching.
#[derive(Debug)]
pub(super) struct Mounts {
    rootfs: PathBuf,
    ask: Ask,
    worker: Option<Worker>,
    /// Threads that have not come back, by what they asked.
    hanging: HashMap<PathBuf, Receiver<Answer>>,
    list: Result<Vec<Mount>, Failure>,
}

/// The thread that asks; it waits for the next path, and ends when nobody will send one.
#[derive(Debug)]
struct Worker {
    paths: SyncSender<PathBuf>,
    answers: Receiver<Answer>,
}

impl Mounts {
    pub(super) fn new(rootfs: PathBuf) -> Self {
        Self::asking(rootfs, statfs)
    }

    fn asking(rootfs: PathBuf, ask: Ask) -> Self {
        Self { rootfs, ask, worker: None, hanging: HashMap::new(), list: Err(Failure::Absent) }
    }

    /// Takes the list of mounts (the text of `/proc/1/mounts`) and asks each that counts.
    pub(super) fn refresh(&mut self, mounts: Result<&str, Failure>) {
        let mut timeouts = 0;
        self.list = mounts.map(|text| {
            let mut list: Vec<Mount> = Vec::new();
            for mut mount in text.lines().filter_map(parse).filter(is_wanted) {
                // What is mounted over the same place later hides what was there.
                list.retain(|known| known.mountpoint != mount.mountpoint || known.device != mount.device);
                let path = below(&self.rootfs, &mount.mountpoint);
                mount.usage = self.usage(path, &mut timeouts);
                list.push(mount);
            }
            list
        });
    }

    pub(super) fn list(&self) -> Result<&[Mount], Failure> {
        match &self.list {
            Ok(list) => Ok(list),
            Err(Failure::Absent) => Err(Failure::Absent),
            Err(Failure::Broken(reason)) => Err(Failure::Broken(reason.clone())),
        }
    }

    pub(super) fn hanging(&self) -> usize {
        self.hanging.len()
    }

    fn usage(&mut self, path: PathBuf, timeouts: &mut usize) -> Option<Usage> {
        if let Some(answer) = self.hanging.get(&path) {
            match answer.try_recv() {
                Err(TryRecvError::Empty) => return None,
                // It woke up; what it said is old, ask again.
                Ok(_) | Err(TryRecvError::Disconnected) => drop(self.hanging.remove(&path)),
            }
        }
        if *timeouts >= TIMEOUTS_PER_SCRAPE || self.hanging.len() >= MAX_HANGING {
            return None;
        }
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start(self.ask).ok()?,
        };
        worker.paths.send(path.clone()).ok()?;
        match worker.answers.recv_timeout(TIMEOUT) {
            Ok(answer) => {
                self.worker = Some(worker);
                answer.ok()
            }
            Err(RecvTimeoutError::Timeout) => {
                *timeouts += 1;
                self.hanging.insert(path, worker.answers);
                None
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}

impl Worker {
    fn start(ask: Ask) -> io::Result<Self> {
        // One path at a time: the next is sent when the answer has come.
        let (paths, asked) = sync_channel::<PathBuf>(1);
        let (answer, answers) = sync_channel(1);
        let work = move || {
            while let Ok(path) = asked.recv() {
                if answer.send(ask(&path)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("statfs".into()).stack_size(64 * 1024).spawn(work)?;
        Ok(Self { paths, answers })
    }
}

fn statfs(path: &Path) -> Answer {
    let found = rustix::fs::statfs(path)?;
    let block = u64::try_from(found.f_bsize).unwrap_or(0);
    Ok(Usage {
        size: found.f_blocks.saturating_mul(block),
        free: found.f_bfree.saturating_mul(block),
        available: found.f_bavail.saturating_mul(block),
        files: found.f_files,
        files_free: found.f_ffree,
    })
}

/// `mountpoint`, an absolute path of the host, below the directory where the host's root is mounted.
fn below(rootfs: &Path, mountpoint: &str) -> PathBuf {
    rootfs.join(mountpoint.trim_start_matches('/'))
}

/// A line of `/proc/mounts`: device, mount point, type, options.
fn parse(line: &str) -> Option<Mount> {
    let mut words = line.split(' ');
    // node_exporter leaves the device as it is written.
    let (device, mountpoint) = (words.next()?.to_owned(), unescape(words.next()?));
    let fstype = words.next()?.to_owned();
    let readonly = words.next()?.split(',').any(|option| option == "ro");
    Some(Mount { device, mountpoint, fstype, readonly, usage: None })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(word: &str) -> String {
    let mut parts = word.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                text.push(char::from(code));
                text.push_str(part.get(3..).unwrap_or_default());
            }
            None => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

/// node_exporter's exclusions: what is no filesystem of its own, and what belongs to containers.
fn is_wanted(mount: &Mount) -> bool {
    const TYPES: &[&str] = &[
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "fusectl",
        "hugetlbfs",
        "iso9660",
        "mqueue",
        "nsfs",
        "overlay",
        "proc",
        "procfs",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "squashfs",
        "erofs",
        "sysfs",
        "tracefs",
    ];
    const PLACES: &[&str] = &["/dev", "/proc", "/sys"];
    const PLACES_BELOW: &[&str] = &["/run/credentials/", "/var/lib/docker/", "/var/lib/containers/storage/"];
    let place = mount.mountpoint.as_str();
    let inside = |root: &str| place.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let below = |root: &str| place.strip_prefix(root).is_some_and(|rest| !rest.is_empty());
    !TYPES.contains(&mount.fstype.as_str())
        && !PLACES.iter().any(|root| inside(root))
        && !PLACES_BELOW.iter().any(|root| below(root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn mount(line: &str) -> Mount {
        parse(line).unwrap()
    }

    #[test]
    fn filesystems_that_node_exporter_leaves_out_are_left_out() {
        let wanted = |mountpoint: &str, fstype: &str| is_wanted(&mount(&format!("d {mountpoint} {fstype} rw 0 0")));
        for (place, fstype) in [("/", "ext4"), ("/run", "tmpfs"), ("/var/lib/docker", "ext4"), ("/devices", "xfs")] {
            assert!(wanted(place, fstype), "{place} {fstype}");
        }
        for (place, fstype) in [
            ("/merged", "overlay"),
            ("/dev/shm", "tmpfs"),
            ("/dev", "devtmpfs"),
            ("/var/lib/docker/overlay2/x", "ext4"),
            ("/run/credentials/x", "ramfs"),
            ("/snap/x", "squashfs"),
        ] {
            assert!(!wanted(place, fstype), "{place} {fstype}");
        }
    }

    #[test]
    fn escaped_characters_are_read() {
        let mount = mount("//nas/a\\040b /mnt/c\\011d\\134e cifs ro,nosuid 0 0");
        assert_eq!((mount.device.as_str(), mount.mountpoint.as_str()), ("//nas/a\\040b", "/mnt/c\td\\e"));
        assert!(mount.readonly);
        assert_eq!(unescape("a\\9zz\\"), "a\\9zz\\");
    }

    static SERVER_IS_BACK: AtomicBool = AtomicBool::new(false);

    fn fake(path: &Path) -> Answer {
        while path.ends_with("dead") && !SERVER_IS_BACK.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Ok(Usage { size: 1, free: 1, available: 1, files: 1, files_free: 1 })
    }

    #[test]
    fn a_mount_that_hangs_costs_one_timeout_and_comes_back() {
        let text = "s:/x /dead nfs rw 0 0\n/dev/sda / ext4 rw 0 0\n";
        let mut mounts = Mounts::asking("/".into(), fake);
        let answered = |mounts: &Mounts| -> Vec<bool> {
            mounts.list().unwrap().iter().map(|mount| mount.usage.is_some()).collect()
        };
        mounts.refresh(Ok(text));
        assert_eq!((answered(&mounts), mounts.hanging()), (vec![false, true], 1));
        mounts.refresh(Ok(text));
        assert_eq!((answered(&mounts), mounts.hanging()), (vec![false, true], 1), "it is not asked a second time");
        SERVER_IS_BACK.store(true, Ordering::SeqCst);
        while answered(&mounts) != [true, true] {
            mounts.refresh(Ok(text));
        }
        assert_eq!(mounts.hanging(), 0);
    }
}
