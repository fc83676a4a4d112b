//! Files that docker and containerd wrote.

use std::{fs, path::Path, time::Duration};

use tempfile::TempDir;
use yagura_model::Severity;

use super::{Agent, settings, store::Kept};

const ODD: &str = "298584e2d3b61fc3ea814ef06660fcb4250cba3d9bba97d065652e58f76a6205";
const CHATTY: &str = "68a6bc234d5d99337f2bd03a57657c1a635e81ea205e66124e6652ebb7f99a6c";

fn unpacked() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let packed = include_bytes!("../fixtures/recorded.tar.zst");
    tar::Archive::new(zstd::Decoder::new(&packed[..]).unwrap()).unpack(directory.path()).unwrap();
    directory
}

fn agent(root: &Path) -> Agent {
    let mut agent = Agent::new(settings(root), root);
    agent.drain();
    agent
}

/// The records of the generations that begin so, in the order of their time.
fn records<'a>(agent: &'a Agent, generation: &str, stream: &'a str) -> Vec<&'a Kept> {
    let chosen = agent.store.records(stream).filter(|(found, _)| found.starts_with(generation));
    let mut records: Vec<&Kept> = chosen.flat_map(|(_, records)| records).collect();
    records.sort_by_key(|record| record.time);
    records
}

/// The unusual lines. A character that lies across the runtime's limit is broken by docker, which makes text of each
/// half.
fn check_odd(stdout: &[&Kept], stderr: &[&Kept], docker: bool) {
    let odd: Vec<&str> = stdout.iter().map(|record| record.body.as_str()).collect();
    assert_eq!(odd[0], "BEGIN cycle 1");
    assert!(odd[1].starts_with("héllo wörld — naïve café 日本語テスト"));
    let lengths: Vec<usize> = odd[2..6].iter().map(|line| line.len()).collect();
    assert_eq!(lengths, [16383, 16384, 16385, 40_020]);
    assert!(odd[5].starts_with("LONG-START d") && odd[5].ends_with("d LONG-END"));
    let broken = odd[6].matches('\u{fffd}').count();
    assert!(odd[6].ends_with("日本語END"));
    assert_eq!(broken > 0, docker);
    assert_eq!(stdout[7].severity, Severity::Info.number());
    assert!(odd[7].starts_with("{\"level\":\"info\"") && odd[7].ends_with('}'));
    assert_eq!(odd[8], "\u{1b}[31mERROR\u{1b}[0m coloured \u{1b}[1;32mtext\u{1b}[0m");
    assert_eq!(stdout[8].severity, Severity::Error.number());
    assert_eq!(odd[9].trim_end_matches('\r'), "carriage return line");
    assert_eq!(odd[10], "progress 10%\rprogress 50%\rprogress 100%");
    assert_eq!(odd[11..14], ["", "   leading and trailing spaces   ", "tab\tseparated\tvalues"]);
    assert_eq!(odd[14], "not utf-8: \u{fffd}\u{fffd} latin1 caf\u{fffd}");
    assert_eq!(odd[15], "nul byte: [\0]");
    assert_eq!(odd[16], "<13>1 2026-01-02T03:04:05Z host app 1 - - syslog inside");
    assert_eq!(odd.last(), Some(&"last line without newline"));
    assert_eq!(stdout.last().unwrap().cut.as_deref(), Some("time"));
    assert!(stdout.iter().rev().skip(1).all(|record| record.cut.is_none()));
    let errors: Vec<&str> = stderr.iter().map(|record| record.body.as_str()).collect();
    assert!(errors[0].starts_with("stderr long g") && errors[0].len() > 16_384);
    assert_eq!(errors[1..3], ["panic: runtime error: index out of range [5] with length 3", ""]);
    assert_eq!(errors.last(), Some(&"ValueError: bad value"));
}

#[test]
fn unusual_lines_come_whole_from_docker() {
    let root = unpacked();
    let agent = agent(root.path());
    let (stdout, stderr) = (records(&agent, ODD, "stdout"), records(&agent, ODD, "stderr"));
    check_odd(&stdout, &stderr, true);
    assert_eq!(stdout[0].time, 1_795_164_514_461_181_320);
    assert_eq!(stdout[0].resource["container.id"], ODD);
    assert_eq!(stdout[0].resource["log.iostream"], "stdout");
    assert_eq!(stdout[0].resource["host.name"], "n1");
    assert_eq!(stderr[0].resource["log.iostream"], "stderr");
}

#[test]
fn unusual_lines_come_whole_from_cri() {
    let root = unpacked();
    let agent = agent(root.path());
    let generation = "e0d1a277-e477-448d-89fd-ef4624ceb67d/odd/0:";
    let (stdout, stderr) = (records(&agent, generation, "stdout"), records(&agent, generation, "stderr"));
    check_odd(&stdout, &stderr, false);
    let resource = &stdout[0].resource;
    let of = |name: &str| resource[name].as_str();
    assert_eq!((of("k8s.namespace.name"), of("k8s.pod.name")), ("shop", "odd-once"));
    assert_eq!((of("k8s.container.name"), of("k8s.container.restart_count")), ("odd", "0"));
}

#[test]
fn rotated_files_are_read_from_the_oldest() {
    let root = unpacked();
    let agent = agent(root.path());
    let chatty = records(&agent, CHATTY, "stdout");
    assert_eq!(chatty.len(), 553);
    let number = |record: &&Kept| {
        let (cycle, line) =
            record.body.strip_prefix("seq=").unwrap().split_once(' ').unwrap().0.split_once('.').unwrap();
        cycle.parse::<u32>().unwrap() * 50 + line.parse::<u32>().unwrap()
    };
    let numbers: Vec<u32> = chatty.iter().map(number).collect();
    assert!(numbers.is_sorted_by(|one, other| one + 1 == *other), "in order and without a gap");
}

#[test]
fn what_the_kubelet_compressed_is_read_too() {
    let root = unpacked();
    let agent = agent(root.path());
    let lines = records(&agent, "e1f5adef-b93f-4ce8-b1ae-f2c9020f696b/chatty/0:", "stdout");
    assert_eq!(lines.len(), 80 * 100);
    assert!(lines[0].body.starts_with("seq=1600.1 ") && lines.last().unwrap().body.starts_with("seq=1759.50 "));
}

#[test]
fn a_stopped_read_goes_on_inside_the_compressed_file() {
    let root = unpacked();
    let directory = root.path().join("docker").join(CHATTY);
    let file = |suffix: &str| directory.join(format!("{CHATTY}-json.log{suffix}"));
    let mut agent = Agent::new(settings(root.path()), root.path());
    // Some of the oldest file is delivered.
    agent.turn(Duration::ZERO, false);
    agent.turn(Duration::from_secs(2), false);
    agent.deliver(0);
    let delivered = records(&agent, CHATTY, "stdout").len();
    assert!((1..262).contains(&delivered), "{delivered}");
    agent.turn(Duration::from_secs(1), false);
    // While the agent is down the file is compressed.
    let mut encoder =
        flate2::write::GzEncoder::new(fs::File::create(file(".2.gz")).unwrap(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &fs::read(file(".2")).unwrap()).unwrap();
    encoder.finish().unwrap();
    fs::remove_file(file(".2")).unwrap();
    agent.kill();
    agent.drain();
    assert_eq!(records(&agent, CHATTY, "stdout").len(), 553);
    let generations = agent.store.records("stdout").filter(|(generation, _)| generation.starts_with(CHATTY)).count();
    assert_eq!(generations, 3, "the compressed file is the same generation");
    let read_again = agent.tailer.total().given_up;
    assert!(read_again.is_empty(), "{read_again:?}");
}
