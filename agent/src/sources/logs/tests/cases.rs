//! Single cases of rotation, deletion and damage.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;

use super::{
    super::{
        accounting::Reason,
        tail::{Fate, Files},
    },
    Agent, settings,
};

const SECOND: Duration = Duration::from_secs(1);

/// A docker container's directory, and an agent that has looked at it.
struct Case {
    root: TempDir,
    agent: Agent,
}

impl Case {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(log(root.path()).parent().unwrap()).unwrap();
        let agent = Agent::new(settings(root.path()), root.path());
        Self { root, agent }
    }

    /// With a log that is followed and empty; nobody knows its container, and the wait for its tags is over.
    fn followed() -> Self {
        let mut case = Self::new();
        case.write(0..0);
        case.agent.turn(Duration::ZERO, false);
        case.agent.turn(Duration::from_secs(3), false);
        case
    }

    fn log(&self, suffix: &str) -> PathBuf {
        let mut path = log(self.root.path()).into_os_string();
        path.push(suffix);
        path.into()
    }

    /// Appends docker's line for each number.
    fn write(&self, numbers: std::ops::Range<u32>) {
        let lines: String = numbers.map(|number| line(number, number)).collect();
        self.write_raw(lines.as_bytes());
    }

    fn write_raw(&self, bytes: &[u8]) {
        OpenOptions::new().append(true).create(true).open(self.log("")).unwrap().write_all(bytes).unwrap();
    }

    fn bodies(&self) -> Vec<String> {
        self.agent.store.bodies("stdout").into_iter().map(str::to_owned).collect()
    }

    fn check(&self, numbers: impl Iterator<Item = u32>) {
        let mut found: Vec<u32> = self.bodies().iter().map(|body| body.parse().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, numbers.collect::<Vec<_>>());
    }
}

fn log(root: &Path) -> PathBuf {
    let id = "d".repeat(64);
    root.join("docker").join(&id).join(format!("{id}-json.log"))
}

fn line(number: u32, second: u32) -> String {
    let time = format!("1970-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
    format!("{{\"log\":\"{number}\\n\",\"stream\":\"stdout\",\"time\":\"{time}\"}}\n")
}

#[test]
fn a_file_deleted_with_its_directory_is_read_to_its_end() {
    let mut case = Case::new();
    case.write(0..5);
    case.agent.turn(SECOND, false);
    case.write(5..9);
    fs::remove_dir_all(case.log("").parent().unwrap()).unwrap();
    case.agent.drain();
    case.check(0..9);
    assert!(case.agent.tailer.logs.is_empty(), "nothing is left to follow");
    assert!(case.agent.tailer.checkpoints.is_empty(), "nothing is left to remember");
}

#[test]
fn a_file_deleted_by_hand_is_read_on_while_its_container_may_write() {
    let mut case = Case::new();
    let mut file = OpenOptions::new().append(true).create(true).open(case.log("")).unwrap();
    file.write_all(line(0, 0).as_bytes()).unwrap();
    case.agent.turn(SECOND, false);
    fs::remove_file(case.log("")).unwrap();
    case.agent.drain();
    file.write_all(line(1, 1).as_bytes()).unwrap();
    case.agent.drain();
    case.check(0..2);
}

#[test]
fn equal_first_lines_are_two_files() {
    let mut case = Case::new();
    // Two fragments of one long line, alike to the last byte, each the first of its file.
    let fragment = line(7, 7).replace("\\n", "");
    case.write_raw(fragment.as_bytes());
    case.agent.drain();
    fs::rename(case.log(""), case.log(".1")).unwrap();
    case.write_raw(fragment.as_bytes());
    case.write_raw(line(7, 7).as_bytes());
    case.agent.drain();
    assert_eq!(case.bodies().concat(), "777");
    case.agent.kill();
    case.agent.drain();
    assert_eq!(case.bodies().concat(), "777", "and each is known again");
}

#[test]
fn an_equal_first_line_after_truncation_is_a_new_file() {
    let mut case = Case::new();
    let path = case.root.path().join("app.log");
    case.agent.settings.files = vec![Files {
        path: path.display().to_string(),
        exclude: vec![],
        tags: Arc::from([("service".into(), "app".into())]),
    }];
    case.agent.kill();
    fs::write(&path, "start\none\n").unwrap();
    case.agent.drain();
    fs::write(&path, "start\n").unwrap();
    case.agent.drain();
    fs::write(&path, "start\ntwo\nthree\n").unwrap();
    case.agent.drain();
    let bodies = case.agent.store.bodies("");
    assert_eq!(bodies.iter().filter(|body| **body == "start").count(), 2, "{bodies:?}");
    for body in ["one", "two", "three"] {
        assert_eq!(bodies.iter().filter(|found| **found == body).count(), 1, "{bodies:?}");
    }
    let (_, records) = case.agent.store.records("").next().unwrap();
    assert_eq!(records[0].resource["service.name"], "app");
}

#[test]
fn holes_and_torn_lines_lose_nothing_around_them() {
    let mut case = Case::new();
    case.write(0..2);
    case.write_raw(&[0; 3000]);
    case.write(2..3);
    case.write_raw(b"\n{\"log\":\"torn");
    case.write(3..4);
    case.write(4..5);
    case.agent.drain();
    case.check([0, 1, 2, 4].into_iter());
    let odd = case.agent.store.bodies("");
    assert_eq!(odd.len(), 1);
    assert!(odd[0].starts_with("{\"log\":\"torn{\"log\":\"3"));
    assert_eq!(case.agent.tailer.total().malformed, 1);
}

#[test]
fn what_rotation_deletes_next_goes_to_disk_when_delivery_stalls() {
    let mut case = Case::followed();
    case.write(0..5);
    case.agent.turn(SECOND, false);
    assert!(!case.agent.flying.is_empty(), "sent, and never answered");
    case.agent.turn(SECOND, true);
    assert!(case.agent.flying.iter().all(|outgoing| !outgoing.durable), "the written file is safe where it is");
    fs::rename(case.log(""), case.log(".1")).unwrap();
    case.write(5..8);
    case.agent.turn(SECOND, true);
    case.agent.turn(SECOND, true);
    let durable = case.agent.flying.iter().position(|outgoing| outgoing.durable).unwrap();
    case.agent.deliver(durable);
    case.check(0..5);
    assert!(case.agent.tailer.total().spooled > 0);
    fs::remove_file(case.log(".1")).unwrap();
    // Nobody ever answers for what was in memory, and the file is gone: the disk has it.
    case.agent.turn(SECOND, true);
    case.agent.kill();
    case.agent.drain();
    case.check(0..8);
    assert!(case.agent.tailer.total().given_up.is_empty());
}

#[test]
fn a_deleted_file_goes_to_disk_at_once_when_delivery_stalls() {
    let mut case = Case::followed();
    case.write(0..500);
    case.agent.turn(SECOND, false);
    fs::remove_file(case.log("")).unwrap();
    case.write(500..510);
    for _ in 0..4 {
        case.agent.turn(SECOND, true);
        while let Some(durable) = case.agent.flying.iter().position(|outgoing| outgoing.durable) {
            case.agent.deliver(durable);
            case.agent.turn(SECOND, true);
        }
    }
    case.check(0..500);
}

#[test]
fn a_deleted_file_is_not_held_for_ever() {
    let mut case = Case::followed();
    case.agent.tailer.settings.held_age = Duration::from_secs(60);
    case.write(0..5);
    case.agent.turn(SECOND, false);
    fs::remove_file(case.log("")).unwrap();
    case.write(5..6);
    case.agent.turn(SECOND, false);
    case.agent.turn(Duration::from_secs(70), false);
    let lost = case.agent.tailer.total().given_up;
    assert_eq!(lost.get(&Reason::HeldTooLong), Some(&(5 * line(0, 0).len() as u64)));
    assert_eq!(
        case.agent.tailer.gaps.back().map(|gap| (gap.from, gap.to)),
        Some((0, Some(5 * line(0, 0).len() as u64)))
    );
    case.agent.flying.clear();
    case.agent.kill();
    case.agent.drain();
    case.check(5..6);
}

#[test]
fn what_is_gone_after_a_restart_is_a_reported_gap() {
    let mut case = Case::new();
    case.write(0..5);
    case.agent.turn(Duration::from_secs(3), false);
    case.agent.turn(Duration::from_secs(3), false);
    fs::remove_file(case.log("")).unwrap();
    case.write(5..6);
    case.agent.kill();
    case.agent.drain();
    case.check(5..6);
    let gap = case.agent.tailer.gaps.back().unwrap();
    assert_eq!((gap.from, gap.to, gap.reason), (0, None, Reason::GoneWhileAway));
    assert!(case.agent.tailer.total().given_up.contains_key(&Reason::GoneWhileAway));
}

#[test]
fn a_refused_batch_is_given_up_and_counted() {
    let mut case = Case::followed();
    case.write(0..3);
    case.agent.turn(SECOND, false);
    let refused = case.agent.flying.remove(0);
    case.agent.tailer.settle(refused.ticket, Fate::Refused);
    case.write(3..5);
    case.agent.drain();
    case.check(3..5);
    assert_eq!(case.agent.tailer.total().given_up.get(&Reason::Refused), Some(&(3 * line(0, 0).len() as u64)));
}

#[test]
fn one_loud_log_does_not_keep_another_waiting() {
    let mut case = Case::new();
    let other = case.root.path().join("docker").join("e".repeat(64));
    fs::create_dir_all(&other).unwrap();
    case.write(0..2000);
    fs::write(other.join(format!("{}-json.log", "e".repeat(64))), line(9999, 1)).unwrap();
    case.agent.turn(SECOND, false);
    case.agent.turn(Duration::from_secs(2), false);
    while !case.agent.flying.is_empty() {
        case.agent.deliver(0);
    }
    let bodies = case.bodies();
    assert!(bodies.contains(&"9999".to_owned()) && bodies.len() < 2000, "{} lines", bodies.len());
}

#[test]
fn what_waits_for_an_answer_is_bounded() {
    let mut case = Case::new();
    case.write(0..3000);
    for _ in 0..10 {
        case.agent.turn(Duration::from_secs(2), false);
    }
    let flying: usize = case.agent.flying.iter().map(|outgoing| outgoing.batch.body.len()).sum();
    assert_eq!(flying, case.agent.tailer.flying);
    assert!(flying < 3 * case.agent.settings.read_ahead, "{flying}");
    case.agent.drain();
    case.check(0..3000);
}

#[test]
fn a_damaged_compressed_file_does_not_keep_the_next_from_being_read() {
    let mut case = Case::new();
    let lines: String = (0..2000).map(|number| line(number, 1)).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(lines.as_bytes()).unwrap();
    let mut packed = encoder.finish().unwrap();
    let middle = packed.len() / 2;
    packed[middle..].fill(0xff);
    fs::write(case.log(".1.gz"), packed).unwrap();
    case.write_raw((line(5000, 2) + &line(5001, 3)).as_bytes());
    case.agent.drain();
    let bodies = case.bodies();
    assert!(["5000", "5001"].iter().all(|next| bodies.iter().any(|body| body == next)));
    assert_eq!(case.agent.tailer.gaps.back().map(|gap| (gap.to, gap.reason)), Some((None, Reason::Unreadable)));
    case.agent.kill();
    case.agent.drain();
    assert!(case.agent.tailer.gaps.is_empty(), "it is said once");
}
