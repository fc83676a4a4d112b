//! One log file read to its end as the tailer reads it, without a checkpoint or a collector: for measuring, and for
//! seeing what would be sent.

use std::{io, path::Path, sync::Arc, time::Duration};

use yagura_model::{Nanos, Timestamp};

use super::{
    batch::{Resource, Writer},
    chain::{Chained, Log},
    config::LimitsConfig,
    discover::{Owner, Place, PodContainer},
    file::LogFile,
    line::Format,
    read::{Bounds, Scratch},
};
use crate::{buffer::Batch, inventory::ContainerId, sources::Node};

/// A batch of this size is given away, as by the tailer.
const BATCH: usize = 640 * 1024;

/// What a file came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes read.
    pub bytes: u64,
    /// Records made.
    pub records: u64,
    /// Lines that are not in the file's format.
    pub malformed: u64,
}

/// Reads a file whose lines are in `format` and gives each batch of its records to `sink`.
pub fn read_through(path: &Path, format: Format, mut sink: impl FnMut(Batch)) -> io::Result<Summary> {
    let node = Node {
        name: "probe".into(),
        cluster: None,
        tags: std::collections::BTreeMap::new(),
        rules: Arc::default(),
        boot: Timestamp(0),
    };
    let mut log = Log::new(place(path, format), Duration::ZERO);
    log.resource = Some(Resource::new(&log.place.owner, None, &node));
    let compressed = path.extension().is_some_and(|extension| extension == "gz");
    let mut file = Chained::new(0, LogFile::open(path, compressed)?, path.to_owned(), 1);
    file.generation = Some("probe".into());
    file.closing = Some(Duration::ZERO);
    log.files.push_back(file);
    let limits = LimitsConfig::default();
    let bounds = Bounds { line: limits.line.bytes(), patience: limits.partial.0 };
    let (mut scratch, mut writer) = (Scratch::default(), Writer::default());
    while log.read_chunk(&mut scratch, bounds, Duration::ZERO)? {
        log.seal(&scratch, &mut writer, 0, Nanos(1));
        if writer.len() >= BATCH {
            sink(writer.finish());
        }
    }
    if writer.len() > 0 {
        sink(writer.finish());
    }
    let account = &log.account;
    Ok(Summary { bytes: account.read, records: account.records, malformed: account.malformed })
}

fn place(path: &Path, format: Format) -> Place {
    let [directory, name] = [path.parent().map(Path::as_os_str), path.file_name()].map(Option::unwrap_or_default);
    let owner = match (format, ContainerId::parse(&"0".repeat(64))) {
        (Format::JsonFile, Some(id)) => Owner::Docker(id),
        (Format::Cri, _) => {
            let [namespace, pod, uid, container] = ["probe"; 4].map(Arc::from);
            Owner::Pod(PodContainer { namespace, pod, uid, container, run: 0 })
        }
        _ => Owner::Plain(Arc::from([])),
    };
    Place { directory: directory.into(), name: name.to_string_lossy().into_owned(), owner }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn a_file_is_read_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let mut text = String::new();
        for number in 0..20_000 {
            writeln!(text, "1970-01-01T00:00:01Z stdout F line {number}").unwrap();
        }
        std::fs::write(&path, format!("{text}nonsense\n")).unwrap();
        let mut items = 0;
        let mut batches = 0;
        let summary = read_through(&path, Format::Cri, |batch| {
            items += batch.items;
            batches += 1;
            assert!(batch.body.len() < 1 << 20);
        });
        let bytes = text.len() as u64 + 9;
        assert_eq!(summary.unwrap(), Summary { bytes, records: 20_001, malformed: 1 });
        assert_eq!(items, 20_001);
        assert!(batches > 1);
    }
}
