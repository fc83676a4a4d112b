//! The machine's own series beside those of its containers: cores and memory.

use std::{collections::BTreeSet, path::Path};

use super::file::{Buffer, Lines, number, pairs, read_once, take_number};

/// What the machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Logical CPUs.
    pub cores: Option<u64>,
    /// Physical cores; absent where the kernel does not tell (ARM).
    pub physical_cores: Option<u64>,
    /// Sockets; the same.
    pub sockets: Option<u64>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Swap in bytes.
    pub swap: Option<u64>,
}

/// Reads `/proc/cpuinfo`, `/proc/meminfo`.
#[must_use]
pub fn read(proc: &Path, buffer: &mut Buffer) -> Machine {
    let mut machine = Machine::default();
    if let Ok(Some(text)) = read_once(&proc.join("meminfo"), buffer) {
        let kilobytes = |name: &[u8]| {
            let value = Lines(text).find_map(|line| line.strip_prefix(name))?;
            Some(take_number(value)?.0.saturating_mul(1024))
        };
        machine.memory = kilobytes(b"MemTotal:");
        machine.swap = kilobytes(b"SwapTotal:");
    }
    if let Ok(Some(text)) = read_once(&proc.join("cpuinfo"), buffer) {
        cpus(text, &mut machine);
    }
    if machine.cores.is_none()
        && let Ok(Some(text)) = read_once(&proc.join("stat"), buffer)
    {
        let is_cpu = |line: &&[u8]| {
            line.strip_prefix(b"cpu").is_some_and(|rest| take_number(rest).is_some_and(|_| !rest.starts_with(b" ")))
        };
        machine.cores = u64::try_from(Lines(text).filter(is_cpu).count()).ok().filter(|cores| *cores > 0);
    }
    machine
}

fn cpus(text: &[u8], machine: &mut Machine) {
    let mut cores = 0;
    let (mut sockets, mut physical) = (BTreeSet::new(), BTreeSet::new());
    let mut socket = None;
    for line in Lines(text) {
        let Some((name, value)) = memchr::memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) else {
            continue;
        };
        let value = value.get(1..).and_then(number);
        match name.trim_ascii() {
            b"processor" => cores += 1,
            b"physical id" => {
                socket = value;
                sockets.extend(value);
            }
            b"core id" => physical.extend(value.map(|core| (socket, core))),
            _ => {}
        }
    }
    let count = |number: usize| u64::try_from(number).ok().filter(|count| *count > 0);
    machine.cores = count(cores);
    machine.sockets = count(sockets.len());
    machine.physical_cores = count(physical.len());
}

/// Whether the machine has swap at all, from a [`Machine`] or, when that is unknown, to be safe, yes.
#[must_use]
pub fn has_swap(machine: &Machine) -> bool {
    machine.swap != Some(0)
}

/// Since when the machine runs, in seconds since the epoch: `btime` of `/proc/stat`.
#[must_use]
pub fn boot_seconds(proc: &Path, buffer: &mut Buffer) -> Option<u64> {
    let text = read_once(&proc.join("stat"), buffer).ok()??;
    pairs(text).find(|(name, _)| *name == b"btime").map(|(_, seconds)| seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_threads_and_sockets_are_told_apart() {
        let mut text = String::new();
        for (processor, socket, core) in [(0, 0, 0), (1, 0, 0), (2, 0, 1), (3, 1, 0)] {
            text += &format!("processor\t: {processor}\nphysical id\t: {socket}\ncore id\t\t: {core}\n\n");
        }
        let mut machine = Machine::default();
        cpus(text.as_bytes(), &mut machine);
        assert_eq!((machine.cores, machine.physical_cores, machine.sockets), (Some(4), Some(3), Some(2)));
    }

    #[test]
    fn a_kernel_that_tells_less_leaves_the_rest_absent() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::write(proc.path().join("stat"), "cpu  1 2\ncpu0 1 2\ncpu1 1 2\nbtime 1795160758\n").unwrap();
        std::fs::write(proc.path().join("meminfo"), "MemTotal:       3056148 kB\nSwapTotal: 0 kB\n").unwrap();
        let machine = read(proc.path(), &mut Buffer::default());
        let expected = Machine { cores: Some(2), memory: Some(3_129_495_552), swap: Some(0), ..Machine::default() };
        assert_eq!(machine, expected);
        assert_eq!(boot_seconds(proc.path(), &mut Buffer::default()), Some(1_795_160_758));
    }
}
