//! cgroup v1: one tree per controller. Arithmetic where v1 and v2 differ:
//!
//! * `cpuacct.stat` counts in ticks of 1/100 s, `cpuacct.usage` in nanoseconds;
//! * the `total_…` lines of `memory.stat` have the children too, which the parents of containers need;
//! * a limit that nobody set is a huge number, a multiple of the page size;
//! * OOM kills are in `memory.oom_control`, and only those of the group itself.

use std::{io, path::PathBuf};

use super::{
    file::{Buffer, Kept, Lines, limit, number, pairs, read_once, take_number},
    reading::{Limits, Reading},
    v2::device_number,
};

/// Nanoseconds of a tick: the kernel shows CPU time to programs in 1/100 s on every machine Docker runs on.
const TICK: u64 = 10_000_000;

/// Where each controller is mounted, if it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    /// `cpu`.
    pub cpu: Option<PathBuf>,
    /// `cpuacct`.
    pub cpuacct: Option<PathBuf>,
    /// `memory`.
    pub memory: Option<PathBuf>,
    /// `blkio`.
    pub blkio: Option<PathBuf>,
    /// `pids`.
    pub pids: Option<PathBuf>,
}

/// The files of one group that are read at every scrape, at most nine.
#[derive(Debug)]
pub struct Files {
    usage: Option<Kept>,
    split: Option<Kept>,
    throttling: Option<Kept>,
    memory: Option<Kept>,
    memory_stat: Option<Kept>,
    oom: Option<Kept>,
    bytes: Option<Kept>,
    operations: Option<Kept>,
    tasks: Option<Kept>,
}

/// The directory of the group at `path` in one controller.
fn directory(mount: Option<&PathBuf>, path: &str) -> Option<PathBuf> {
    mount.map(|mount| mount.join(path.trim_start_matches('/')))
}

fn open(mount: Option<&PathBuf>, path: &str, name: &str) -> io::Result<Option<Kept>> {
    directory(mount, path).map_or(Ok(None), |directory| Kept::open(&directory.join(name)))
}

/// Counted with all below it where the kernel can (since 5.0, at a leaf the same).
fn open_recursive(mount: Option<&PathBuf>, path: &str, name: &str) -> io::Result<Option<Kept>> {
    let recursive = open(mount, path, &format!("{name}_recursive"))?;
    if recursive.is_some() { Ok(recursive) } else { open(mount, path, name) }
}

impl Files {
    /// Opens the group at `path`. Throttling is counted only under a quota, so its file is opened only then.
    ///
    /// # Errors
    ///
    /// When it may not be read.
    pub fn open(mounts: &Mounts, path: &str, has_quota: bool) -> io::Result<Self> {
        let [memory, blkio] = [mounts.memory.as_ref(), mounts.blkio.as_ref()];
        Ok(Self {
            usage: open(mounts.cpuacct.as_ref(), path, "cpuacct.usage")?,
            split: open(mounts.cpuacct.as_ref(), path, "cpuacct.stat")?,
            throttling: if has_quota { open(mounts.cpu.as_ref(), path, "cpu.stat")? } else { None },
            memory: open(memory, path, "memory.usage_in_bytes")?,
            memory_stat: open(memory, path, "memory.stat")?,
            oom: open(memory, path, "memory.oom_control")?,
            bytes: open_recursive(blkio, path, "blkio.throttle.io_service_bytes")?,
            operations: open_recursive(blkio, path, "blkio.throttle.io_serviced")?,
            tasks: open(mounts.pids.as_ref(), path, "pids.current")?,
        })
    }

    /// How many files are open.
    #[must_use]
    pub fn open_files(&self) -> usize {
        let cpu = [&self.usage, &self.split, &self.throttling];
        let rest = [&self.memory, &self.memory_stat, &self.oom, &self.bytes, &self.operations, &self.tasks];
        cpu.into_iter().chain(rest).flatten().count()
    }

    /// Reads them all.
    ///
    /// # Errors
    ///
    /// When the group is gone.
    pub fn read(&self, buffer: &mut Buffer, reading: &mut Reading) -> io::Result<()> {
        if let Some(file) = &self.usage {
            reading.cpu_usage = number(file.read(buffer)?);
        }
        if let Some(file) = &self.split {
            cpu(file.read(buffer)?, reading);
        }
        if let Some(file) = &self.throttling {
            throttling(file.read(buffer)?, reading);
        }
        if let Some(file) = &self.memory {
            reading.memory = number(file.read(buffer)?);
        }
        if let Some(file) = &self.memory_stat {
            memory(file.read(buffer)?, reading);
        }
        if let Some(file) = &self.oom {
            let found = pairs(file.read(buffer)?).find(|(name, _)| *name == b"oom_kill");
            reading.oom_kills = found.map(|(_, kills)| kills);
        }
        if let Some(file) = &self.bytes {
            devices(file.read(buffer)?, reading, |device, is_read, value| {
                *(if is_read { &mut device.read_bytes } else { &mut device.written_bytes }) = value;
            });
        }
        if let Some(file) = &self.operations {
            devices(file.read(buffer)?, reading, |device, is_read, value| {
                *(if is_read { &mut device.reads } else { &mut device.writes }) = value;
            });
        }
        if let Some(file) = &self.tasks {
            reading.tasks = number(file.read(buffer)?);
        }
        Ok(())
    }
}

/// The limits of the group at `path`, and counters that are rarely looked at.
///
/// # Errors
///
/// When the group may not be read.
pub fn limits(mounts: &Mounts, path: &str, buffer: &mut Buffer, limits: &mut Limits) -> io::Result<()> {
    let mut read = |mount: &Option<PathBuf>, name: &str, parse: fn(&[u8]) -> Option<u64>| {
        let Some(directory) = directory(mount.as_ref(), path) else { return Ok(None) };
        read_once(&directory.join(name), buffer).map(|text| text.and_then(parse))
    };
    let Mounts { cpu, memory, pids, .. } = mounts;
    if cpu.is_some() {
        // No quota is written `-1`, which is no number here.
        limits.cpu_quota = read(cpu, "cpu.cfs_quota_us", number)?;
        limits.cpu_period = read(cpu, "cpu.cfs_period_us", number)?;
        limits.cpu_shares = read(cpu, "cpu.shares", number)?;
    }
    if memory.is_some() {
        limits.memory = read(memory, "memory.limit_in_bytes", byte_limit)?;
        limits.reservation = read(memory, "memory.soft_limit_in_bytes", byte_limit)?;
        limits.swap = read(memory, "memory.memsw.limit_in_bytes", byte_limit)?;
        limits.memory_peak = read(memory, "memory.max_usage_in_bytes", number)?;
        limits.failures = read(memory, "memory.failcnt", number)?;
        limits.kernel = read(memory, "memory.kmem.usage_in_bytes", number)?;
    }
    limits.tasks = read(pids, "pids.max", limit)?.or(limits.tasks);
    Ok(())
}

/// A limit in bytes; past 2^62 nobody set it.
fn byte_limit(text: &[u8]) -> Option<u64> {
    number(text).map(|bytes| if bytes >= 1 << 62 { u64::MAX } else { bytes })
}

fn cpu(text: &[u8], reading: &mut Reading) {
    for (name, ticks) in pairs(text) {
        match name {
            b"user" => reading.cpu_user = Some(ticks.saturating_mul(TICK)),
            b"system" => reading.cpu_system = Some(ticks.saturating_mul(TICK)),
            _ => {}
        }
    }
}

fn throttling(text: &[u8], reading: &mut Reading) {
    for (name, value) in pairs(text) {
        match name {
            b"nr_periods" => reading.periods = Some(value),
            b"nr_throttled" => reading.throttled_periods = Some(value),
            b"throttled_time" => reading.throttled = Some(value),
            b"nr_bursts" => reading.burst_periods = Some(value),
            b"burst_time" => reading.burst = Some(value),
            _ => {}
        }
    }
}

fn memory(text: &[u8], reading: &mut Reading) {
    for line in Lines(text) {
        let Some((name, value)) = memchr::memchr(b' ', line).and_then(|space| line.split_at_checked(space)) else {
            continue;
        };
        let place = match name {
            b"total_rss" => &mut reading.rss,
            b"total_cache" => &mut reading.cache,
            b"total_swap" => &mut reading.swap,
            b"total_mapped_file" => &mut reading.mapped_file,
            b"total_inactive_file" => &mut reading.inactive_file,
            b"total_active_file" => &mut reading.active_file,
            b"pgfault" => &mut reading.page_faults.own,
            b"pgmajfault" => &mut reading.major_faults.own,
            b"total_pgfault" => &mut reading.page_faults.hierarchy,
            b"total_pgmajfault" => &mut reading.major_faults.hierarchy,
            _ => continue,
        };
        *place = number(value);
    }
}

/// Lines `254:0 Read 4096`; `Sync`, `Async`, `Discard` and `Total` are sums or parts of these.
fn devices(text: &[u8], reading: &mut Reading, mut put: impl FnMut(&mut super::reading::Device, bool, Option<u64>)) {
    for line in Lines(text) {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let Some(device) = words.next().and_then(device_number) else { continue };
        let is_read = match words.next() {
            Some(b"Read") => true,
            Some(b"Write") => false,
            _ => continue,
        };
        let value = words.next().and_then(|word| take_number(word)).map(|(value, _)| value);
        if let Some(device) = reading.device(device) {
            put(device, is_read, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::reading::{Device, Number},
        *,
    };

    #[test]
    fn io_is_by_device_and_direction() {
        let mut reading = Reading::default();
        let text = b"8:0 Read 10\n8:0 Write 20\n8:0 Sync 30\n8:0 Total 30\n253:1 Read 5\nTotal 35\n";
        devices(text, &mut reading, |device, is_read, value| {
            *(if is_read { &mut device.reads } else { &mut device.writes }) = value;
        });
        let device = |major, minor, reads, writes| Device {
            number: Number { major, minor },
            reads,
            writes,
            ..Device::default()
        };
        assert_eq!(reading.devices, [device(8, 0, Some(10), Some(20)), device(253, 1, Some(5), None)]);
    }

    #[test]
    fn a_limit_nobody_set_is_none() {
        assert_eq!(byte_limit(b"9223372036854771712\n"), Some(u64::MAX));
        assert_eq!(byte_limit(b"67108864\n"), Some(67_108_864));
        assert_eq!(byte_limit(b"-1\n"), None);
    }

    #[test]
    fn the_group_itself_and_what_is_below_it_are_told_apart() {
        let mut reading = Reading::default();
        memory(b"rss 1\npgfault 2\nhierarchical_memory_limit 9\ntotal_rss 10\ntotal_pgfault 20\n", &mut reading);
        assert_eq!(reading.rss, Some(10));
        assert_eq!((reading.page_faults.own, reading.page_faults.hierarchy), (Some(2), Some(20)));
    }
}
