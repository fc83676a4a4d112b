//! Names of block devices: cgroups know only their numbers, dashboards only their names.

use std::{collections::HashMap, path::PathBuf};

use super::{
    file::{Buffer, Lines, number, read_once},
    reading::Number,
};

/// A device as the labels of a series have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// `/dev/vda`; `/dev/block/254:0` when nobody knows its name.
    pub device: Box<str>,
    /// `254`.
    pub major: Box<str>,
    /// `0`.
    pub minor: Box<str>,
}

/// Names by number, from `/proc/diskstats`, read again when an unknown number turns up.
#[derive(Debug)]
pub struct Devices {
    diskstats: PathBuf,
    names: HashMap<Number, Names>,
}

impl Devices {
    /// Knows no names yet.
    #[must_use]
    pub fn new(diskstats: PathBuf) -> Self {
        Self { diskstats, names: HashMap::new() }
    }

    /// Makes sure that `number` has a name. A number that `/proc/diskstats` does not have keeps its number for a
    /// name; it is asked for only once.
    pub fn learn(&mut self, number: Number, buffer: &mut Buffer) {
        if self.names.contains_key(&number) {
            return;
        }
        if let Ok(Some(text)) = read_once(&self.diskstats, buffer) {
            let disks = Lines(text).filter_map(parse);
            self.names.extend(disks.map(|(number, name)| (number, names(number, &format!("/dev/{name}")))));
        }
        let Number { major, minor } = number;
        self.names.entry(number).or_insert_with(|| names(number, &format!("/dev/block/{major}:{minor}")));
    }

    /// The name of a device that was learned.
    #[must_use]
    pub fn get(&self, number: Number) -> Option<&Names> {
        self.names.get(&number)
    }
}

fn names(number: Number, device: &str) -> Names {
    Names { device: device.into(), major: number.major.to_string().into(), minor: number.minor.to_string().into() }
}

/// Lines ` 254       0 vda 48791 …`.
fn parse(line: &[u8]) -> Option<(Number, &str)> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut part = || u32::try_from(number(words.next()?)?).ok();
    let number = Number { major: part()?, minor: part()? };
    Some((number, std::str::from_utf8(words.next()?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_names_and_new_disks_are_learned() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("diskstats");
        std::fs::write(&path, " 254       0 vda 1 2 3\nbroken\n").unwrap();
        let mut devices = Devices::new(path.clone());
        let mut buffer = Buffer::default();
        let mut check = |major, minor, expected: &str| {
            let number = Number { major, minor };
            devices.learn(number, &mut buffer);
            assert_eq!(&*devices.get(number).unwrap().device, expected);
        };
        check(254, 0, "/dev/vda");
        check(9, 7, "/dev/block/9:7");
        std::fs::write(&path, " 254       0 vda 1 2 3\n 259       1 nvme0n1p1 1 2 3\n").unwrap();
        check(259, 1, "/dev/nvme0n1p1");
    }
}
