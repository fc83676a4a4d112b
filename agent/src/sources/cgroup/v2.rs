//! cgroup v2: one tree with all controllers. Arithmetic where v2 and v1 differ:
//!
//! * the root has no `memory.current`: memory is `anon` + `file` of its `memory.stat`, as runc reckons;
//! * `memory.events` counts its children's events too; `max` is what v1 calls `failcnt`;
//! * `cpu.weight` is turned back into v1's shares, as the kubelet turned shares into a weight;
//! * `io.stat` of a group that did no I/O is empty, and a line of a device may have no fields.

use std::{io, path::Path};

use super::{
    file::{Buffer, Kept, Lines, limit, number, pairs, read_once, take_number},
    reading::{Limits, Number, Pressure, Reading},
};

/// Which controllers are in the v2 tree; the others are in v1's on a hybrid machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controllers {
    /// `cpu`; in v2 the CPU time is there without it too.
    pub cpu: bool,
    /// `memory`.
    pub memory: bool,
    /// `io`.
    pub io: bool,
    /// `pids`.
    pub pids: bool,
}

/// The files of one group that are read at every scrape, at most nine.
#[derive(Debug)]
pub struct Files {
    is_root: bool,
    cpu: Option<Kept>,
    memory: Option<Kept>,
    memory_stat: Option<Kept>,
    memory_events: Option<Kept>,
    io: Option<Kept>,
    tasks: Option<Kept>,
    pressure: [Option<Kept>; 3],
}

impl Files {
    /// Opens the group at `directory`.
    ///
    /// # Errors
    ///
    /// When it is gone or may not be read.
    pub fn open(directory: &Path, has: Controllers, is_root: bool) -> io::Result<Self> {
        let open = |wanted: bool, name: &str| if wanted { Kept::open(&directory.join(name)) } else { Ok(None) };
        let pressure = |name: &str| open(true, name).ok().flatten();
        Ok(Self {
            is_root,
            cpu: open(has.cpu, "cpu.stat")?,
            memory: open(has.memory, "memory.current")?,
            memory_stat: open(has.memory, "memory.stat")?,
            memory_events: open(has.memory, "memory.events")?,
            io: open(has.io, "io.stat")?,
            tasks: open(has.pids, "pids.current")?,
            pressure: ["cpu.pressure", "memory.pressure", "io.pressure"].map(pressure),
        })
    }

    /// How many files are open.
    #[must_use]
    pub fn open_files(&self) -> usize {
        let one = [&self.cpu, &self.memory, &self.memory_stat, &self.memory_events, &self.io, &self.tasks];
        one.into_iter().chain(&self.pressure).flatten().count()
    }

    /// Reads them all.
    ///
    /// # Errors
    ///
    /// When the group is gone.
    pub fn read(&self, buffer: &mut Buffer, reading: &mut Reading) -> io::Result<()> {
        if let Some(file) = &self.cpu {
            cpu(file.read(buffer)?, reading);
        }
        if let Some(file) = &self.memory {
            reading.memory = number(file.read(buffer)?);
        }
        if let Some(file) = &self.memory_stat {
            memory(file.read(buffer)?, reading);
            if self.is_root && self.memory.is_none() {
                reading.memory = reading.rss.zip(reading.cache).map(|(anon, file)| anon + file);
            }
        }
        if let Some(file) = &self.memory_events {
            events(file.read(buffer)?, reading);
        }
        if let Some(file) = &self.io {
            devices(file.read(buffer)?, reading);
        }
        if let Some(file) = &self.tasks {
            reading.tasks = number(file.read(buffer)?);
        }
        for (file, place) in self.pressure.iter().zip(&mut reading.pressure) {
            // A kernel booted with `psi=0` has the files and refuses to read them.
            if let Some(Ok(text)) = file.as_ref().map(|file| file.read(buffer)) {
                *place = pressure(text);
            }
        }
        Ok(())
    }
}

/// The limits of the group at `directory`.
///
/// # Errors
///
/// When the group is gone.
pub fn limits(directory: &Path, has: Controllers, buffer: &mut Buffer, limits: &mut Limits) -> io::Result<()> {
    let mut read = |wanted: bool, name: &str, parse: fn(&[u8]) -> Option<u64>| -> io::Result<Option<u64>> {
        Ok(if wanted { read_once(&directory.join(name), buffer)?.and_then(parse) } else { None })
    };
    if has.cpu {
        limits.cpu_quota = read(true, "cpu.max", |text| Some(take_number(text)?.0))?;
        limits.cpu_period = read(true, "cpu.max", |text| number(text.split(|byte| *byte == b' ').nth(1)?))?;
        limits.cpu_shares = read(true, "cpu.weight", |text| number(text).map(shares))?;
    }
    if has.memory {
        limits.memory = read(true, "memory.max", limit)?;
        limits.reservation = read(true, "memory.low", limit)?;
        limits.swap = read(true, "memory.swap.max", limit)?;
        limits.memory_peak = read(true, "memory.peak", number)?;
    }
    limits.tasks = read(has.pids, "pids.max", limit)?.or(limits.tasks);
    Ok(())
}

/// The swap a group uses; asked for only on machines with swap.
///
/// # Errors
///
/// When the group is gone.
pub fn swap(directory: &Path, buffer: &mut Buffer) -> io::Result<Option<u64>> {
    Ok(read_once(&directory.join("memory.swap.current"), buffer)?.and_then(number))
}

/// v1 shares (2 to 262144) of a v2 weight (1 to 10000).
fn shares(weight: u64) -> u64 {
    2 + weight.saturating_sub(1).saturating_mul(262_142) / 9_999
}

fn cpu(text: &[u8], reading: &mut Reading) {
    for (name, value) in pairs(text) {
        let nanoseconds = || Some(value.saturating_mul(1000));
        match name {
            b"usage_usec" => reading.cpu_usage = nanoseconds(),
            b"user_usec" => reading.cpu_user = nanoseconds(),
            b"system_usec" => reading.cpu_system = nanoseconds(),
            b"nr_periods" => reading.periods = Some(value),
            b"nr_throttled" => reading.throttled_periods = Some(value),
            b"throttled_usec" => reading.throttled = nanoseconds(),
            b"nr_bursts" => reading.burst_periods = Some(value),
            b"burst_usec" => reading.burst = nanoseconds(),
            _ => {}
        }
    }
}

fn memory(text: &[u8], reading: &mut Reading) {
    // Of some fifty lines eight matter, and the last of them comes long before the last of all.
    let mut wanted = 8;
    for line in Lines(text).filter(|line| matches!(line.first(), Some(b'a' | b'f' | b'i' | b'k' | b'p'))) {
        let Some((name, value)) = memchr::memchr(b' ', line).and_then(|space| line.split_at_checked(space)) else {
            continue;
        };
        let place = match name {
            b"anon" => &mut reading.rss,
            b"file" => &mut reading.cache,
            b"kernel" => &mut reading.kernel,
            b"file_mapped" => &mut reading.mapped_file,
            b"inactive_file" => &mut reading.inactive_file,
            b"active_file" => &mut reading.active_file,
            b"pgfault" => &mut reading.page_faults.hierarchy,
            b"pgmajfault" => &mut reading.major_faults.hierarchy,
            _ => continue,
        };
        *place = number(value);
        wanted -= 1;
        if wanted == 0 {
            break;
        }
    }
    reading.page_faults.own = reading.page_faults.hierarchy;
    reading.major_faults.own = reading.major_faults.hierarchy;
}

fn events(text: &[u8], reading: &mut Reading) {
    for (name, value) in pairs(text) {
        match name {
            b"max" => reading.failures = Some(value),
            b"oom_kill" => reading.oom_kills = Some(value),
            _ => {}
        }
    }
}

/// Lines `254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn devices(text: &[u8], reading: &mut Reading) {
    for line in Lines(text) {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let Some(number) = words.next().and_then(device_number) else { continue };
        for word in words {
            let Some((name, value)) = memchr::memchr(b'=', word).and_then(|equals| word.split_at_checked(equals))
            else {
                continue;
            };
            let Some(value) = value.get(1..).and_then(self::number) else { continue };
            let Some(device) = reading.device(number) else { continue };
            match name {
                b"rbytes" => device.read_bytes = Some(value),
                b"wbytes" => device.written_bytes = Some(value),
                b"rios" => device.reads = Some(value),
                b"wios" => device.writes = Some(value),
                _ => {}
            }
        }
    }
}

/// `254:0`.
pub(super) fn device_number(word: &[u8]) -> Option<Number> {
    let (major, rest) = take_number(word)?;
    let minor = number(rest.strip_prefix(b":")?)?;
    Some(Number { major: u32::try_from(major).ok()?, minor: u32::try_from(minor).ok()? })
}

/// Lines `some avg10=0.00 avg60=0.00 avg300=0.00 total=0` and `full …`.
pub(super) fn pressure(text: &[u8]) -> Pressure {
    let mut found = Pressure::default();
    for line in Lines(text) {
        let total = memchr::memmem::rfind(line, b"total=").and_then(|place| number(line.get(place + 6..)?));
        match line.first() {
            Some(b's') => found.waiting = total,
            Some(b'f') => found.stalled = total,
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{super::reading::Device, *};

    #[test]
    fn io_lines_may_be_empty_or_cut() {
        let mut reading = Reading::default();
        devices(b"7:7 \n254:0 rbytes=10 wbytes=x rios=3 wios=4 dbytes=0\n8:1\nnonsense rbytes=1\n", &mut reading);
        let number = Number { major: 254, minor: 0 };
        let expected = Device { number, read_bytes: Some(10), written_bytes: None, reads: Some(3), writes: Some(4) };
        assert_eq!(reading.devices, [expected]);
    }

    #[test]
    fn pressure_is_the_total_of_each_line() {
        let text = b"some avg10=49.20 avg60=49.42 avg300=45.47 total=370257790\nfull avg10=0.00 total=7\n";
        assert_eq!(pressure(text), Pressure { waiting: Some(370_257_790), stalled: Some(7) });
        assert_eq!(pressure(b"some avg10=1\n"), Pressure::default());
    }

    #[test]
    fn weights_become_the_shares_they_were() {
        assert_eq!([1, 2, 20, 39, 100, 10_000].map(shares), [2, 28, 500, 998, 2597, 262_144]);
    }

    #[test]
    fn a_number_that_cannot_be_read_is_absent() {
        let mut reading = Reading::default();
        cpu(b"usage_usec 5\nuser_usec -3\nsystem_usec 99999999999999999999999\n", &mut reading);
        assert_eq!((reading.cpu_usage, reading.cpu_user, reading.cpu_system), (Some(5000), None, None));
    }
}
