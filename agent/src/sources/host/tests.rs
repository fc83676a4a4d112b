//! Recorded machines, against what node_exporter says of the same files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Mutex,
};

use yagura_model::{Kind, Tags, Timestamp};

use super::*;
use crate::series::{Value, text};

/// Name, labels with a value.
type Key = (String, BTreeMap<String, String>);

fn unpack() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let packed: &[u8] = include_bytes!("fixtures/machines.tar.zst");
    tar::Archive::new(zstd::Decoder::new(packed).unwrap()).unpack(directory.path()).unwrap();
    directory
}

fn host(machine: &Path) -> Host {
    Host::new(machine.join("proc"), machine.join("sys"), machine.join("root"))
}

fn scraped(machine: &Path) -> (Table, Report) {
    let mut table = Table::new("node-exporter", "n1");
    let scope = table.add_scope(&[], &Tags::default(), Timestamp(0));
    let table = Mutex::new(table);
    let report = scrape(&mut host(machine), &table, scope, Timestamp(1_700_000_000_500));
    (table.into_inner().unwrap(), report)
}

/// The series and the types of a page in the Prometheus text format.
fn parse(page: &str) -> (BTreeMap<Key, f64>, BTreeMap<String, String>) {
    let (mut series, mut types) = (BTreeMap::new(), BTreeMap::new());
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            types.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let (key, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
            let labels = labels.strip_suffix('}').unwrap().trim_end_matches(',');
            let pairs = labels.split("\",").filter(|pair| !pair.is_empty()).map(|pair| pair.split_once("=\"").unwrap());
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
            let labels = pairs.filter(|(_, value)| !value.is_empty()).collect();
            series.insert((name.to_owned(), labels), value.parse().unwrap());
        }
    }
    (series, types)
}

/// What we have that 1.5.0 has not: it is in later versions, or (the second half) the page was made without.
const ONLY_OURS: &[&str] = &[
    "node_netstat_TcpExt_TCPOFOQueue",
    "node_netstat_TcpExt_TCPRcvQDrop",
    "node_pressure_irq_stalled_seconds_total",
    "node_softnet_backlog_len",
    "node_softnet_cpu_collision_total",
    "node_softnet_flow_limit_count_total",
    "node_softnet_received_rps_total",
    "node_exporter_build_info",
    "node_filesystem_avail_bytes",
    "node_filesystem_files",
    "node_filesystem_files_free",
    "node_filesystem_free_bytes",
    "node_filesystem_size_bytes",
    "node_network_receive_nohandler_total",
    "node_scrape_collector_duration_seconds",
    "node_scrape_collector_success",
    "node_time_seconds",
    "node_time_zone_offset_seconds",
    "node_uname_info",
];

fn check(machine: &str) {
    let directory = unpack();
    let machine: PathBuf = directory.path().join(machine);
    let (table, report) = scraped(&machine);
    assert_eq!((report.failed, report.unparsed, report.hanging), (vec![], 0, 0));
    let (ours, our_types) = parse(&text::encode(&[&table]));
    let (mut theirs, their_types) = parse(&std::fs::read_to_string(machine.join("node_exporter.txt")).unwrap());
    // A device without a speed says -1 Mbit/s, which later versions leave out as we do.
    theirs.retain(|(name, _), value| name != "node_network_speed_bytes" || *value >= 0.0);

    let names = |series: &BTreeMap<Key, f64>| series.keys().map(|key| key.0.clone()).collect::<BTreeSet<_>>();
    let lacking: Vec<_> = theirs.keys().filter(|key| !ours.contains_key(key)).collect();
    assert!(lacking.is_empty(), "we lack {lacking:#?}");
    let added = ours.keys().filter(|key| !theirs.contains_key(key) && !ONLY_OURS.contains(&key.0.as_str()));
    let added: Vec<_> = added.collect();
    assert!(added.is_empty(), "we have more of {added:#?}");
    for (key, value) in &theirs {
        let off = (ours[key] - value).abs();
        assert!(off <= value.abs() * 1e-12, "{key:?}: {} instead of {value}", ours[key]);
    }
    for name in names(&theirs) {
        assert_eq!(our_types[&name], their_types[&name], "{name}");
    }
}

#[test]
fn a_node_with_cgroup_v1_reads_as_node_exporter_reads_it() {
    check("v1");
}

#[test]
fn a_node_with_cgroup_v2_reads_as_node_exporter_reads_it() {
    check("v2");
}

#[test]
fn a_virtual_machine_reads_as_node_exporter_reads_it() {
    check("vm");
}

#[test]
fn a_machine_with_rare_parts_reads_as_node_exporter_reads_it() {
    check("made");
}

fn value(table: &Table, name: &str, labels: &[(&str, &str)]) -> Option<Value> {
    let same = |entry: &&crate::series::Entry| {
        let own: Vec<_> = entry.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        entry.metric.name == name && own == labels
    };
    table.entries().iter().find(same).map(|entry| entry.value)
}

#[test]
fn what_node_exporter_takes_from_its_own_machine_is_read_from_files() {
    let directory = unpack();
    let (table, _) = scraped(&directory.path().join("made"));
    assert_eq!(value(&table, "node_time_seconds", &[]), Some(Value::Float(1_700_000_000.5)));
    assert_eq!(value(&table, "node_pressure_irq_stalled_seconds_total", &[]), Some(Value::Float(1.234_567)));
    let uname = table.entries().iter().find(|entry| entry.metric.name == "node_uname_info").unwrap();
    let labels: Vec<_> = uname.labels.iter().map(|(name, value)| (&**name, &**value)).take(3).collect();
    assert_eq!(labels, [("domainname", "(none)"), ("machine", "x86_64"), ("nodename", "vm")]);
    let handler = value(&table, "node_network_receive_nohandler_total", &[("device", "eth0")]);
    assert_eq!(handler, Some(Value::Int(0)));
    let mount = [("device", "//nas/a\\040b"), ("fstype", "cifs"), ("mountpoint", "/mnt/with space")];
    assert_eq!(value(&table, "node_filesystem_device_error", &mount), Some(Value::Int(1)));
    assert_eq!(value(&table, "node_filesystem_size_bytes", &mount), None, "what does not answer has no size");
}

#[test]
fn a_machine_without_files_has_parts_that_failed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (table, report) = scraped(directory.path());
    assert_eq!((report.failed.len(), report.unparsed), (ESSENTIAL.len(), 0), "{:?}", report.failed);
    assert_eq!(value(&table, "node_scrape_collector_success", &[("collector", "cpu")]), Some(Value::Int(0)));
    assert_eq!(value(&table, "node_load1", &[]), None);
}

#[test]
fn damaged_numbers_are_left_out_and_counted() {
    let directory = unpack();
    let proc = directory.path().join("vm/proc");
    std::fs::write(proc.join("stat"), "cpu0 1 x 3\nctxt 12\nbtime \nprocesses -1\n").unwrap();
    std::fs::write(proc.join("meminfo"), "MemTotal: many kB\nMemFree: 2 kB\nMemFree\nCached:\n").unwrap();
    std::fs::write(proc.join("diskstats"), "8 0 sda 1 2\n").unwrap();
    std::fs::write(proc.join("net/snmp"), "Tcp: InSegs OutSegs\nUdp: 1 2\nTcp: InSegs\n").unwrap();
    let (table, report) = scraped(&directory.path().join("vm"));
    assert_eq!(value(&table, "node_cpu_seconds_total", &[("cpu", "0"), ("mode", "nice")]), None);
    assert_eq!(value(&table, "node_context_switches_total", &[]), Some(Value::Int(12)));
    assert_eq!(value(&table, "node_memory_MemTotal_bytes", &[]), None);
    assert_eq!(value(&table, "node_memory_MemFree_bytes", &[]), Some(Value::Int(2048)));
    assert_eq!((report.failed, report.unparsed), (vec![], 5));
}

#[test]
fn every_metric_is_described_once_and_only_those_are_emitted() {
    let mut names = BTreeSet::new();
    for metric in METRICS {
        assert!(names.insert(metric.name), "{} is there twice", metric.name);
        assert!(metric.help.ends_with('.') && metric.name.starts_with("node_"), "{metric:?}");
        assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
    }
    let directory = unpack();
    for machine in ["v1", "v2", "vm", "made"] {
        for entry in scraped(&directory.path().join(machine)).0.entries() {
            assert!(METRICS.contains(entry.metric), "{}", entry.metric.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_publishes_at_once_and_stops_when_told() {
    let directory = unpack();
    let machine = directory.path().join("v1");
    let config = Config {
        proc: machine.join("proc"),
        sys: machine.join("sys"),
        rootfs: machine.join("root"),
        ..Config::default()
    };
    let context = crate::sources::testing::context("host");
    let (out, stop) = (context.out.clone(), context.stop.clone());
    let running = tokio::spawn(run(config, context));
    let scraped = || out.tables(Some(Page::Node)).iter().any(|table| !lock(table).entries().is_empty());
    while !scraped() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}
