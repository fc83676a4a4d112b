//! Network counters of a container: not in its cgroup but in the network namespace of its processes, which several
//! containers (a pod) may share and which may be the host's.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use super::file::{Buffer, Kept, Lines, take_number};

/// Prefixes of devices whose other end is in another namespace, where it is counted.
const LEFT_OUT: &[&str] = &["veth", "docker", "nerdctl"];

/// Counters of one device, in the order of [`super::metrics`]' network series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Bytes, packets, errors, drops received.
    pub received: [u64; 4],
    /// The same sent.
    pub sent: [u64; 4],
}

/// A network namespace, by its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Namespace(u64);

impl Namespace {
    /// The namespace of a process; `None` when it is gone or we may not look (which takes `CAP_SYS_PTRACE`).
    #[must_use]
    pub fn of(proc: &Path, pid: &str) -> Option<Self> {
        fs::metadata(proc.join(pid).join("ns/net")).ok().map(|found| Self(found.ino()))
    }
}

/// The counters of a process's network namespace.
///
/// # Errors
///
/// When they may not be read.
pub fn open(proc: &Path, pid: &str) -> io::Result<Option<Kept>> {
    Kept::open(&proc.join(pid).join("net/dev"))
}

/// Calls `each` with the name and counters of every device that counts.
///
/// # Errors
///
/// When the namespace is gone.
pub fn read(file: &Kept, buffer: &mut Buffer, each: impl FnMut(&str, Counters)) -> io::Result<()> {
    parse(file.read_lines(buffer)?, each);
    Ok(())
}

/// Lines `  eth0: <8 received> <8 sent>` after two lines of headings.
fn parse(text: &[u8], mut each: impl FnMut(&str, Counters)) {
    for line in Lines(text) {
        let Some((name, values)) = memchr::memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) else {
            continue;
        };
        let Ok(name) = std::str::from_utf8(name.trim_ascii()) else { continue };
        if name == "lo" || LEFT_OUT.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        if let Some(counters) = counters(values.get(1..).unwrap_or_default()) {
            each(name, counters);
        }
    }
}

fn counters(mut text: &[u8]) -> Option<Counters> {
    let mut values = [0; 12];
    for value in &mut values {
        (*value, text) = take_number(text)?;
    }
    let [r0, r1, r2, r3, _, _, _, _, s0, s1, s2, s3] = values;
    Some(Counters { received: [r0, r1, r2, r3], sent: [s0, s1, s2, s3] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, [u64; 4], [u64; 4])]) {
        let mut found = Vec::new();
        parse(text.as_bytes(), |name, counters| found.push((name.to_owned(), counters.received, counters.sent)));
        let found: Vec<_> = found.iter().map(|(name, received, sent)| (name.as_str(), *received, *sent)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn only_devices_of_its_own_count() {
        let values = "1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0";
        let text = format!(
            "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n    lo: {values}\n  eth0: {values}\n\
             veth12: {values}\ndocker0: {values}\nnerdctl0:{values}\n  lora:{values}\nbroken: 1 2\n"
        );
        check(&text, &[("eth0", [1, 2, 3, 4], [5, 6, 7, 8]), ("lora", [1, 2, 3, 4], [5, 6, 7, 8])]);
        check("", &[]);
    }
}
