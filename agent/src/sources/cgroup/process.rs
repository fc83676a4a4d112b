//! Processes of a group, their open files and sockets: dear to count, so only once a minute, and bounded.

use std::{fs, path::Path};

use super::file::{Buffer, Lines, number, read_once};

/// A group with more processes than this has no file counts; a part of them would be a lie.
const PROCESSES: usize = 64;

/// The same for open files.
const FILES: usize = 4096;

/// What is known of a group's processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes {
    /// How many there are.
    pub count: Option<u64>,
    /// The first one; absent when there are none, or in another namespace of process ids.
    pub first: Option<u64>,
    /// Open files of all of them.
    pub files: Option<u64>,
    /// How many of those are sockets.
    pub sockets: Option<u64>,
    /// How many files the first one may open.
    pub file_limit: Option<u64>,
}

/// Looks at the processes in `list` (a `cgroup.procs`). `preferred` is the one to take for the first if it is there:
/// a runtime knows which process is the container's main one.
#[must_use]
pub fn read(list: &Path, proc: &Path, preferred: Option<i32>, buffer: &mut Buffer) -> Processes {
    let Ok(Some(text)) = read_once(list, buffer) else { return Processes::default() };
    let mut pids: Vec<u64> = Lines(text).filter_map(number).collect();
    // cgroup v1 lists a process once per thread that moved; a process of an outer namespace is `0`.
    pids.sort_unstable();
    pids.dedup();
    let count = u64::try_from(pids.len()).ok();
    pids.retain(|pid| *pid != 0);
    let preferred = preferred.and_then(|pid| u64::try_from(pid).ok()).filter(|pid| pids.contains(pid));
    let first = preferred.or_else(|| pids.first().copied());
    let mut found = Processes { count, first, ..Processes::default() };
    if let Some((files, sockets)) = open_files(&pids, proc) {
        (found.files, found.sockets) = (Some(files), Some(sockets));
    }
    found.file_limit = first.and_then(|pid| {
        let text = read_once(&proc.join(pid.to_string()).join("limits"), buffer).ok()??;
        let line = Lines(text).find_map(|line| line.strip_prefix(b"Max open files"))?;
        number(line.trim_ascii_start().split(|byte| *byte == b' ').next()?)
    });
    found
}

/// Open files and sockets of all processes; `None` when one may not be looked at or there are too many. A process
/// that ends meanwhile has none.
fn open_files(pids: &[u64], proc: &Path) -> Option<(u64, u64)> {
    if pids.len() > PROCESSES {
        return None;
    }
    let (mut files, mut sockets) = (0, 0);
    for pid in pids {
        let process = proc.join(pid.to_string());
        let entries = match fs::read_dir(process.join("fd")) {
            Ok(entries) => entries,
            Err(_) if !process.exists() => continue,
            Err(_) => return None,
        };
        for entry in entries.flatten() {
            files += 1;
            if files > FILES {
                return None;
            }
            let target = fs::read_link(entry.path()).unwrap_or_default();
            sockets += u64::from(target.to_str().is_some_and(|target| target.starts_with("socket:")));
        }
    }
    Some((u64::try_from(files).ok()?, sockets))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_and_sockets_of_all_processes_are_counted() {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path().join("proc");
        for (pid, targets) in [("7", &["/dev/null", "socket:[1]"][..]), ("8", &["pipe:[2]"])] {
            fs::create_dir_all(proc.join(pid).join("fd")).unwrap();
            for (number, target) in targets.iter().enumerate() {
                symlink(target, proc.join(pid).join("fd").join(number.to_string())).unwrap();
            }
        }
        let limits =
            "Limit           Soft Limit   Hard Limit   Units\nMax open files            20000      30000     files\n";
        fs::write(proc.join("8/limits"), limits).unwrap();
        let list = root.path().join("cgroup.procs");
        fs::write(&list, "8\n7\n8\n0\n9\n").unwrap();
        let mut buffer = Buffer::default();
        let found = read(&list, &proc, Some(8), &mut buffer);
        let expected =
            Processes { count: Some(4), first: Some(8), files: Some(3), sockets: Some(1), file_limit: Some(20000) };
        assert_eq!(found, expected, "process 9 has ended, 0 is another namespace's");
        let other = read(&list, &proc, Some(1234), &mut buffer);
        assert_eq!((other.first, other.file_limit), (Some(7), None), "a process of another machine is not ours");
    }

    #[test]
    fn what_may_not_be_looked_at_is_absent() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("7")).unwrap();
        let list = root.path().join("cgroup.procs");
        fs::write(&list, "7\n").unwrap();
        let found = read(&list, root.path(), None, &mut Buffer::default());
        assert_eq!((found.count, found.files, found.sockets), (Some(1), None, None));
        assert_eq!(read(&root.path().join("none"), root.path(), None, &mut Buffer::default()), Processes::default());
    }
}
