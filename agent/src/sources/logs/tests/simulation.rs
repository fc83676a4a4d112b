//! A random writer, random rotation, random kills and random answers: each line is stored once, and in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use super::{super::tail::Fate, Agent, settings};

#[derive(Clone, Debug)]
enum Step {
    /// A line in fragments of these lengths; the last half of its last JSON line comes with the next step's.
    Write {
        stderr: bool,
        fragments: Vec<usize>,
        torn: bool,
    },
    /// One more fragment of a line that is not ended yet, or the start of one.
    Fragment {
        stderr: bool,
        length: usize,
    },
    Rotate,
    /// The newest rotated file is compressed.
    Compress,
    /// The written file is copied and emptied.
    CopyTruncate,
    Turn {
        millis: u64,
        stalled: bool,
    },
    /// The collector takes one batch, if there is one.
    Deliver(usize),
    /// The collector takes it, and the answer is lost.
    Unanswered(usize),
    /// The batch is lost.
    Lose(usize),
    Kill,
    /// As a kill, and the end of the checkpoint did not reach the disk.
    PowerLoss(usize),
}

/// What a run may do.
#[derive(Clone, Copy, Debug)]
struct Run {
    kills: bool,
    copies: bool,
    /// Rotated files kept.
    keep: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let lengths = prop::collection::vec(1..300_usize, 1..4);
    prop_oneof![
        8 => (any::<bool>(), lengths, prop::bool::weighted(0.2))
            .prop_map(|(stderr, fragments, torn)| Step::Write { stderr, fragments, torn }),
        2 => (any::<bool>(), 1..200_usize).prop_map(|(stderr, length)| Step::Fragment { stderr, length }),
        2 => Just(Step::Rotate),
        1 => Just(Step::Compress),
        1 => Just(Step::CopyTruncate),
        6 => (0..3000_u64, prop::bool::weighted(0.2)).prop_map(|(millis, stalled)| Step::Turn { millis, stalled }),
        5 => any::<usize>().prop_map(Step::Deliver),
        1 => any::<usize>().prop_map(Step::Unanswered),
        1 => any::<usize>().prop_map(Step::Lose),
        1 => Just(Step::Kill),
        1 => (0..400_usize).prop_map(Step::PowerLoss),
    ]
}

/// A container's log as docker writes it.
struct Writer {
    path: PathBuf,
    file: File,
    time: i64,
    /// For each stream: number of the line, its text so far and its time when it is open.
    lines: [(u64, Option<i64>); 2],
    /// All text of each stream.
    text: [String; 2],
    /// The end of a torn write.
    rest: Vec<u8>,
    /// First lines of files, in the order of the files.
    order: Vec<u128>,
    fresh: bool,
    /// Lines that were in a file when it was deleted.
    deleted: BTreeSet<String>,
    keep: usize,
}

impl Writer {
    fn new(root: &Path, keep: usize) -> Self {
        let id = "c".repeat(64);
        let directory = root.join("docker").join(&id);
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{id}-json.log"));
        let file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        Self {
            path,
            file,
            time: 0,
            lines: [(0, None), (0, None)],
            text: [String::new(), String::new()],
            rest: Vec::new(),
            order: Vec::new(),
            fresh: true,
            deleted: BTreeSet::new(),
            keep,
        }
    }

    /// One JSON line: a fragment, or the end of a line.
    fn fragment(&mut self, stderr: bool, length: usize, last: bool, torn: bool) {
        let index = usize::from(stderr);
        let (number, open) = self.lines[index];
        self.time += 1;
        let time = open.unwrap_or(self.time);
        let mut text = String::new();
        if open.is_none() {
            text.push_str(&format!("{}:{number}:", if stderr { 'e' } else { 'o' }));
        }
        // Quotes and backslashes, so that escaping counts; a number, so that no two fragments are alike.
        text.push_str(&format!("{}\"", self.time));
        text.push_str(&"x\\".repeat(length / 2));
        if last {
            text.push(';');
        }
        self.text[index].push_str(&text);
        self.lines[index] = if last { (number + 1, None) } else { (number, Some(time)) };
        let log = if last { format!("{text}\n") } else { text };
        let stream = if stderr { "stderr" } else { "stdout" };
        let mut line = serde_json::json!({"log": log, "stream": stream}).to_string();
        line.pop();
        line.push_str(&format!(",\"time\":\"1970-01-01T00:{:02}:{:02}.{:09}Z\"}}\n", time / 60 % 60, time % 60, time));
        self.flush();
        if self.fresh {
            self.order.push(xxh3_128(line.trim_end().as_bytes()));
            self.fresh = false;
        }
        let (now, later) = line.as_bytes().split_at(if torn { line.len() / 2 } else { line.len() });
        self.file.write_all(now).unwrap();
        self.rest = later.to_vec();
    }

    fn flush(&mut self) {
        self.file.write_all(&std::mem::take(&mut self.rest)).unwrap();
    }

    fn rotated(&self, number: usize, compressed: bool) -> PathBuf {
        let name = format!("{}.{number}{}", self.path.display(), if compressed { ".gz" } else { "" });
        PathBuf::from(name)
    }

    /// Moves `.1` to `.2` and so on; the oldest goes.
    fn shift(&mut self) {
        self.flush();
        for compressed in [false, true] {
            let oldest = self.rotated(self.keep, compressed);
            if oldest.exists() {
                self.note_deleted(&oldest, compressed);
                fs::remove_file(&oldest).unwrap();
            }
            for number in (1..self.keep).rev() {
                if self.rotated(number, compressed).exists() {
                    fs::rename(self.rotated(number, compressed), self.rotated(number + 1, compressed)).unwrap();
                }
            }
        }
    }

    fn note_deleted(&mut self, path: &Path, compressed: bool) {
        let mut bytes = fs::read(path).unwrap();
        if compressed {
            let mut plain = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut plain).unwrap();
            bytes = plain;
        }
        for line in String::from_utf8(bytes).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            self.deleted.insert(line["time"].as_str().unwrap().to_owned());
        }
    }

    fn rotate(&mut self) {
        self.shift();
        if self.keep == 0 {
            let path = self.path.clone();
            self.note_deleted(&path, false);
            fs::remove_file(&self.path).unwrap();
        } else {
            fs::rename(&self.path, self.rotated(1, false)).unwrap();
        }
        self.file = OpenOptions::new().append(true).create(true).open(&self.path).unwrap();
        self.fresh = true;
    }

    fn copy_truncate(&mut self) {
        if self.keep == 0 {
            return;
        }
        self.shift();
        fs::copy(&self.path, self.rotated(1, false)).unwrap();
        self.file.set_len(0).unwrap();
        self.fresh = true;
    }

    fn compress(&mut self) {
        let plain = self.rotated(1, false);
        if !plain.exists() || self.keep == 0 {
            return;
        }
        let packed = File::create(self.rotated(1, true)).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        encoder.write_all(&fs::read(&plain).unwrap()).unwrap();
        encoder.finish().unwrap();
        fs::remove_file(plain).unwrap();
    }
}

fn simulate(steps: &[Step], run: Run) {
    let root = tempfile::tempdir().unwrap();
    let mut settings = settings(root.path());
    if run.kills {
        // A power loss may take a cut with it only if there is one.
        settings.bounds.patience = Duration::from_secs(1 << 40);
    }
    let mut agent = Agent::new(settings, root.path());
    let mut writer = Writer::new(root.path(), run.keep);
    agent.turn(Duration::from_secs(3), false);
    for step in steps {
        apply(step, run, &mut agent, &mut writer);
    }
    writer.flush();
    // Lines that are open stay open until their time has passed; a kill forgets how long they were waited for.
    agent.settings.bounds.patience = Duration::from_secs(5);
    agent.tailer.settings.bounds.patience = Duration::from_secs(5);
    let flying = std::mem::take(&mut agent.flying);
    for outgoing in flying {
        agent.tailer.settle(outgoing.ticket, Fate::Lost);
    }
    agent.drain();
    check(&agent, &writer, run);
}

fn apply(step: &Step, run: Run, agent: &mut Agent, writer: &mut Writer) {
    let pick = |index: usize, agent: &Agent| index.checked_rem(agent.flying.len());
    match step {
        Step::Write { stderr, fragments, torn } => {
            let (last, first) = fragments.split_last().unwrap();
            for length in first {
                writer.fragment(*stderr, *length, false, false);
            }
            writer.fragment(*stderr, *last, true, *torn);
        }
        Step::Fragment { stderr, length } => writer.fragment(*stderr, *length, false, false),
        Step::Rotate => {
            // A file that nobody has seen before it is deleted cannot be stored.
            agent.turn(Duration::from_millis(1000), false);
            writer.rotate();
        }
        Step::CopyTruncate if run.copies => {
            agent.turn(Duration::from_millis(1000), false);
            writer.copy_truncate();
        }
        Step::CopyTruncate => {}
        Step::Compress => writer.compress(),
        Step::Turn { millis, stalled } => agent.turn(Duration::from_millis(*millis), *stalled),
        Step::Deliver(index) => {
            if let Some(index) = pick(*index, agent) {
                agent.deliver(index);
            }
        }
        Step::Unanswered(index) => {
            if let Some(index) = pick(*index, agent) {
                let outgoing = agent.flying.remove(index);
                agent.store.take(&outgoing.batch.body);
                agent.tailer.settle(outgoing.ticket, Fate::Lost);
            }
        }
        Step::Lose(index) => {
            if let Some(index) = pick(*index, agent) {
                let outgoing = agent.flying.remove(index);
                agent.tailer.settle(outgoing.ticket, Fate::Lost);
            }
        }
        Step::Kill if run.kills => {
            agent.kill();
            agent.turn(Duration::from_secs(1), false);
            agent.turn(Duration::from_secs(2), false);
        }
        Step::PowerLoss(lost) if run.kills => {
            agent.flying.clear();
            let length = fs::metadata(&agent.checkpoint).unwrap().len();
            let left = length.saturating_sub(*lost as u64).max(8);
            File::options().write(true).open(&agent.checkpoint).unwrap().set_len(left).unwrap();
            // What is torn is set aside on opening; that is tested elsewhere.
            drop(super::Checkpoints::open(&agent.checkpoint).unwrap());
            agent.kill();
            agent.turn(Duration::from_secs(1), false);
            agent.turn(Duration::from_secs(2), false);
        }
        Step::Kill | Step::PowerLoss(_) => {}
    }
}

fn check(agent: &Agent, writer: &Writer, run: Run) {
    for (index, stream) in ["stdout", "stderr"].into_iter().enumerate() {
        let mut generations: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for (generation, records) in agent.store.records(stream) {
            let hash = u128::from_str_radix(generation.rsplit(':').next().unwrap(), 16).unwrap();
            let place = writer.order.iter().position(|first| *first == hash).unwrap();
            assert!(generations.insert(place, records).is_none(), "one generation for one content");
        }
        let stored: String = generations.values().flatten().map(|record| record.body.as_str()).collect();
        let written = &writer.text[index];
        if !run.kills {
            assert_eq!(&stored, written, "{stream}: once, in order, whole");
            continue;
        }
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for line in stored.split_inclusive(';') {
            *count.entry(line).or_default() += 1;
        }
        let survives = |line: &&str| !line.contains("\u{0}") && line.ends_with(';');
        for line in written.split_inclusive(';').filter(survives) {
            let times = count.get(line).copied().unwrap_or(0);
            if times != 1 {
                assert!(times == 0 && is_deleted(line, writer), "{times} times: {line}");
            }
        }
    }
}

/// Whether a part of a line was in a file that was deleted.
fn is_deleted(line: &str, writer: &Writer) -> bool {
    // A fragment begins with the time that its line would have alone; the line has that of its first.
    let first: i64 = line.split(':').nth(2).unwrap().split('"').next().unwrap().parse().unwrap();
    let time = format!("1970-01-01T00:{:02}:{:02}.{:09}Z", first / 60 % 60, first % 60, first);
    writer.deleted.contains(&time)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_stored_once_through_rotation_and_lost_answers(
        steps in prop::collection::vec(step(), 1..80), keep in 0..4_usize,
    ) {
        simulate(&steps, Run { kills: false, copies: false, keep });
    }

    #[test]
    fn every_line_is_stored_once_through_copying_and_emptying(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        simulate(&steps, Run { kills: false, copies: true, keep: 100 });
    }

    #[test]
    fn every_line_that_is_left_is_stored_once_through_kills(
        steps in prop::collection::vec(step(), 1..100), keep in 0..4_usize,
    ) {
        simulate(&steps, Run { kills: true, copies: false, keep });
    }

    #[test]
    fn nothing_is_lost_through_kills_when_nothing_is_deleted(
        steps in prop::collection::vec(step(), 1..100),
    ) {
        simulate(&steps, Run { kills: true, copies: true, keep: 1000 });
    }
}
