//! The recorded nodes read by our scraper, against the page that the kubelet's cAdvisor served of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use tempfile::TempDir;
use yagura_model::{Tags, Timestamp};

use super::*;
use crate::{
    inventory::{Container, ContainerId, Inventory, LogPlace, Pod, Skip, State},
    series::Value,
};

/// Of cAdvisor's names, those we do not have; the reasons are in `README.md`.
const LACKING: &[&str] = &[
    "cadvisor_version_info",
    "container_cpu_load_average_10s",
    "container_cpu_load_d_average_10s",
    "container_fs_inodes_free",
    "container_fs_inodes_total",
    "container_fs_io_current",
    "container_fs_io_time_seconds_total",
    "container_fs_io_time_weighted_seconds_total",
    "container_fs_limit_bytes",
    "container_fs_read_seconds_total",
    "container_fs_reads_merged_total",
    "container_fs_sector_reads_total",
    "container_fs_sector_writes_total",
    "container_fs_usage_bytes",
    "container_fs_write_seconds_total",
    "container_fs_writes_merged_total",
    "container_health_state",
    "container_scrape_error",
    "container_tasks_state",
    "machine_cpu_books",
    "machine_cpu_drawers",
    "machine_nvm_avg_power_budget_watts",
    "machine_nvm_capacity",
    "machine_scrape_error",
];

/// Made from what was not recorded: `/proc/<pid>/fd`, `/proc/cpuinfo`.
const NOT_RECORDED: &[&str] =
    &["container_file_descriptors", "container_sockets", "machine_cpu_physical_cores", "machine_cpu_sockets"];

/// The kernel has no such files for the root group; cAdvisor says 0.
const NOT_OF_THE_ROOT: &[&str] = &["container_threads", "container_threads_max", "container_ulimits_soft"];
const NOT_OF_THE_ROOT_V2: &[&str] = &[
    "container_memory_failcnt",
    "container_memory_max_usage_bytes",
    "container_oom_events_total",
    "container_spec_cpu_period",
    "container_spec_cpu_shares",
    "container_spec_memory_reservation_limit_bytes",
    "container_spec_memory_swap_limit_bytes",
];

type Series = (String, BTreeMap<String, String>);

fn unpack() -> TempDir {
    let packed = include_bytes!("fixtures/recorded.tar.zst");
    let directory = tempfile::tempdir().unwrap();
    let decoder = zstd::stream::read::Decoder::new(&packed[..]).unwrap();
    tar::Archive::new(decoder).unpack(directory.path()).unwrap();
    directory
}

/// What cAdvisor served: values and types by name. Labels with an empty value are no labels.
fn page(path: &Path) -> (BTreeMap<Series, f64>, BTreeMap<String, String>) {
    let (mut values, mut types) = (BTreeMap::new(), BTreeMap::new());
    for line in fs::read_to_string(path).unwrap().lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            types.insert(name.to_owned(), kind.to_owned());
        }
        let Some((name, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) else { continue };
        let (labels, value) = rest.rsplit_once("} ").unwrap();
        let labels = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
        let labels = labels.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
        // The machine's ids are on cAdvisor's machine series only.
        let is_kept = |label: &str, value: &str| !value.is_empty() && !label.ends_with("_id") && label != "system_uuid";
        let labels = labels.filter(|(label, value)| is_kept(label, value)).collect();
        let value = value.split(' ').next().unwrap().parse().unwrap();
        values.insert((name.to_owned(), labels), value);
    }
    (values, types)
}

fn inventory(index: &Path) -> Inventory {
    let index: serde_json::Value = serde_json::from_str(&fs::read_to_string(index).unwrap()).unwrap();
    let inventory = Inventory::new();
    for entry in index["containers"].as_array().unwrap() {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        let pod = entry["pod"].as_str().map(|name| {
            let (namespace, uid) = (text("namespace").into(), text("pod_uid").into());
            Arc::new(Pod { namespace, name: name.into(), uid })
        });
        inventory.upsert(Container {
            id: ContainerId::parse(text("container_id")).unwrap(),
            name: text("container").into(),
            image: text("image").into(),
            labels: [].into(),
            tags: Arc::default(),
            pod,
            state: State::Running,
            health: None,
            restarts: 0,
            exit_code: None,
            oom_killed: false,
            started: Some(Timestamp(1_795_163_000_000)),
            finished: None,
            ports: [].into(),
            pid: entry["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()),
            log: LogPlace::Api,
            skip: Skip::default(),
        });
    }
    inventory
}

fn machinery(root: &Path, inventory: Inventory) -> Machinery {
    Machinery {
        hierarchy: Hierarchy::detect(&root.join("sys/fs/cgroup")).unwrap(),
        proc: root.join("proc"),
        inventory,
        node_tags: Tags::default(),
        boot: Timestamp(1_795_160_758_000),
        machine: Machine::default(),
    }
}

fn values(table: &Table) -> BTreeMap<Series, f64> {
    let series = |entry: &crate::series::Entry| {
        let own = entry.labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let shared = table.shared_labels(entry).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let value = match entry.value {
            Value::Int(value) => value as f64,
            Value::Float(value) => value,
        };
        ((entry.metric.name.to_owned(), own.chain(shared).collect()), value)
    };
    table.entries().iter().map(series).collect()
}

/// A node at both instants; what `t1` lacks did not change since `t0`.
struct Node {
    theirs: BTreeMap<Series, f64>,
    types: BTreeMap<String, String>,
    before: BTreeMap<Series, f64>,
    after: BTreeMap<Series, f64>,
    report: Report,
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn node(version: &str) -> Node {
    let directory = unpack();
    let root = directory.path().join(version);
    let mut table = Table::new("cadvisor", "n1");
    let mut scraper = Scraper::new(machinery(&root.join("t0"), inventory(&root.join("index.json"))));
    let report = scraper.scrape(Timestamp(1_795_164_358_000), &mut table);
    let before = values(&table);
    // The files are kept open, so the second instant is written into the same ones.
    copy(&root.join("t1"), &root.join("t0"));
    scraper.scrape(Timestamp(1_795_164_369_000), &mut table);
    let (theirs, types) = page(&root.join("cadvisor.txt"));
    Node { theirs, types, before, after: values(&table), report }
}

fn id(series: &Series) -> &str {
    series.1.get("id").map_or("", String::as_str)
}

/// Groups that were there when the page was made and at t0.
fn common_ids(node: &Node) -> BTreeSet<String> {
    let ids = |values: &BTreeMap<Series, f64>| values.keys().map(|key| id(key).to_owned()).collect::<BTreeSet<_>>();
    ids(&node.theirs).intersection(&ids(&node.before)).cloned().collect()
}

fn is_excused(series: &Series, version: &str) -> bool {
    let name = series.0.as_str();
    let of_root = id(series) == "/" && (NOT_OF_THE_ROOT.contains(&name) || is_of_a_mount(series, version));
    let v2 = version == "v2" && id(series) == "/" && NOT_OF_THE_ROOT_V2.contains(&name);
    of_root || v2 || LACKING.contains(&name) || NOT_RECORDED.contains(&name)
}

/// cAdvisor says filesystem series of the whole machine by mount; node_exporter's place has those.
fn is_of_a_mount(series: &Series, version: &str) -> bool {
    let is_disk = version == "v2" && series.1.get("device").is_some_and(|device| device == "/dev/vda");
    series.0.starts_with("container_fs_") && id(series) == "/" && !is_disk
}

/// Figures that did not change between cAdvisor's page and t0.
const CONSTANT: &[&str] = &[
    "container_spec_cpu_period",
    "container_spec_cpu_quota",
    "container_spec_cpu_shares",
    "container_spec_memory_limit_bytes",
    "container_spec_memory_reservation_limit_bytes",
    "container_spec_memory_swap_limit_bytes",
    "container_threads_max",
    "container_ulimits_soft",
    "machine_cpu_cores",
    "machine_memory_bytes",
    "machine_swap_bytes",
];

/// Figures that we read elsewhere or count differently on purpose; see `README.md`.
fn is_different(series: &Series, version: &str) -> bool {
    match series.0.as_str() {
        "container_start_time_seconds" | "container_last_seen" => true,
        "container_memory_kernel_usage" | "container_memory_failcnt" | "container_oom_events_total" => version == "v2",
        "container_memory_failures_total" => {
            version == "v1" && series.1.get("scope").is_some_and(|scope| scope == "hierarchy")
        }
        _ => false,
    }
}

/// Presence both ways, then values: constants equal, counters between reads before and after, gauges mostly equal,
/// for most containers were idle.
fn check(version: &str, least: usize) {
    let node = node(version);
    let ids = common_ids(&node);
    let is_compared = |series: &&Series| ids.contains(id(series)) && !is_excused(series, version);
    let missing: Vec<_> =
        node.theirs.keys().filter(is_compared).filter(|series| !node.before.contains_key(*series)).collect();
    assert!(missing.is_empty(), "{} missing: {:#?}", missing.len(), &missing[..missing.len().min(20)]);
    let extra: Vec<_> =
        node.before.keys().filter(is_compared).filter(|series| !node.theirs.contains_key(*series)).collect();
    assert!(extra.is_empty(), "{} that cAdvisor has not: {:#?}", extra.len(), &extra[..extra.len().min(20)]);

    let mut compared: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (series, theirs) in node.theirs.iter().filter(|(series, _)| !is_different(series, version)) {
        let Some(before) = node.before.get(series) else { continue };
        let after = node.after.get(series).unwrap_or(before);
        let is_counter = node.types[&series.0] == "counter";
        assert!(!is_counter || (theirs <= before && before <= after), "{series:?}: {theirs} {before} {after}");
        let is_constant = CONSTANT.contains(&series.0.as_str());
        assert!(!is_constant || theirs == before, "{series:?}: {theirs} {before}");
        let (all, equal) = compared.entry(&series.0).or_default();
        *all += 1;
        *equal += usize::from(theirs == before);
    }
    assert!(compared.values().map(|(all, _)| all).sum::<usize>() >= least, "{compared:?}");
    let gauges = compared.iter().filter(|(name, _)| node.types[**name] == "gauge");
    for (name, (all, equal)) in gauges {
        assert!(equal * 5 >= all * 2, "{name}: {equal} of {all} are equal");
    }
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    for metric in METRICS {
        assert_eq!(
            node.types.get(metric.name).map(String::as_str).unwrap_or(metric.kind.prometheus_type()),
            metric.kind.prometheus_type(),
            "{}",
            metric.name
        );
    }
    assert!(node.before.keys().all(|(name, _)| names.contains(name.as_str())));
    assert_eq!(node.report.failed, 0);
}

#[test]
fn on_v1_every_series_of_cadvisor_is_there_or_listed_and_values_agree() {
    check("v1", 1500);
}

#[test]
fn on_v2_every_series_of_cadvisor_is_there_or_listed_and_values_agree() {
    check("v2", 1200);
}

/// Name, some of the labels, and value of a series.
type Expected<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

fn of(node: &Node, id_ends: &str, expected: &[Expected<'_>]) {
    for (name, labels, value) in expected {
        let fits = |series: &&Series| {
            series.0 == *name
                && id(series).ends_with(id_ends)
                && labels.iter().all(|(name, value)| series.1.get(*name).is_some_and(|found| found == value))
        };
        let found: Vec<_> = node.before.keys().filter(fits).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
        assert_eq!(node.before[found[0]], *value, "{name} {labels:?}");
    }
}

#[test]
fn a_throttled_docker_container_on_v2_is_reckoned_as_by_hand() {
    let id = "7f878bf691541c3afb94015cfbf20718e6183b50ccb8b51c6739aa1e415ae6af";
    of(
        &node("v2"),
        &format!("docker-{id}.scope"),
        &[
            ("container_cpu_usage_seconds_total", &[("cpu", "total"), ("name", "docker-burn")], 94.515_572),
            ("container_cpu_user_seconds_total", &[], 88.986_325),
            ("container_cpu_system_seconds_total", &[], 5.529_247),
            ("container_cpu_cfs_periods_total", &[], 7403.0),
            ("container_cpu_cfs_throttled_periods_total", &[], 4280.0),
            ("container_cpu_cfs_throttled_seconds_total", &[], 198.437_462),
            ("container_pressure_cpu_waiting_seconds_total", &[], 370.257_790),
            ("container_spec_cpu_quota", &[], 15000.0),
            ("container_spec_cpu_shares", &[], 500.0),
            ("container_spec_memory_limit_bytes", &[], 0.0),
            ("container_memory_max_usage_bytes", &[], 4_993_024.0),
            ("container_memory_rss", &[], 61440.0),
            ("container_memory_kernel_usage", &[], 258_048.0),
            ("container_memory_failures_total", &[("failure_type", "pgfault"), ("scope", "hierarchy")], 782.0),
            ("container_threads_max", &[], 3555.0),
            ("container_network_receive_bytes_total", &[("interface", "eth0")], 1006.0),
        ],
    );
}

#[test]
fn a_throttled_container_of_a_pod_on_v1_is_reckoned_as_by_hand() {
    let id = "ba864004efedcc5821141a1aff8c79c76aed37169acc9cec9ca109d0656c399d";
    of(
        &node("v1"),
        &format!("/{id}"),
        &[
            (
                "container_cpu_usage_seconds_total",
                &[("pod", "static-priority"), ("container", "burn")],
                110.076_127_655,
            ),
            ("container_cpu_user_seconds_total", &[("namespace", "shop")], 106.07),
            ("container_cpu_system_seconds_total", &[("name", id)], 4.0),
            ("container_cpu_cfs_throttled_periods_total", &[], 18132.0),
            ("container_cpu_cfs_throttled_seconds_total", &[], 1_454.344_580_204),
            ("container_memory_usage_bytes", &[], 6_598_656.0),
            ("container_memory_working_set_bytes", &[], 2_396_160.0),
            ("container_memory_cache", &[], 5_640_192.0),
            ("container_memory_failures_total", &[("failure_type", "pgmajfault"), ("scope", "container")], 2.0),
            ("container_spec_memory_limit_bytes", &[], 67_108_864.0),
            ("container_spec_memory_reservation_limit_bytes", &[], 0.0),
            ("container_threads", &[], 3.0),
            ("container_threads_max", &[], 0.0),
        ],
    );
}

/// A small v2 tree that tests change.
struct Small {
    root: TempDir,
    inventory: Inventory,
    scraper: Scraper,
    table: Table,
}

fn small() -> Small {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("sys/fs/cgroup");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("cgroup.controllers"), "cpu memory io pids").unwrap();
    let inventory = Inventory::new();
    let scraper = Scraper::new(machinery(root.path(), inventory.clone()));
    Small { root, inventory, scraper, table: Table::new("cadvisor", "n1") }
}

impl Small {
    fn group(&self, digit: &str) -> PathBuf {
        self.root.path().join("sys/fs/cgroup/docker").join(digit.repeat(64))
    }

    fn write(&self, digit: &str, cpu: u64) {
        fs::create_dir_all(self.group(digit)).unwrap();
        fs::write(self.group(digit).join("cpu.stat"), format!("usage_usec {cpu}\n")).unwrap();
    }

    /// CPU seconds by name of the container (or the end of its id), and how many series ended.
    fn scrape(&mut self, second: i64) -> (String, usize) {
        self.scraper.scrape(Timestamp(second * 1000), &mut self.table);
        let cpu = values(&self.table).into_iter().filter(|(series, _)| series.0 == "container_cpu_usage_seconds_total");
        let name =
            |series: &Series| series.1.get("name").cloned().unwrap_or_else(|| id(series).chars().take(9).collect());
        let shown: Vec<_> = cpu.map(|(series, value)| format!("{}={value}", name(&series))).collect();
        (shown.join(" "), self.table.ended().len())
    }

    fn know(&self, digit: &str, name: &str) {
        self.inventory.upsert(crate::inventory::testing::container(digit, name));
    }
}

#[test]
fn a_container_comes_goes_and_comes_back() {
    let mut small = small();
    small.know("a", "web");
    assert_eq!(small.scrape(0), (String::new(), 0));
    small.write("a", 1_000_000);
    assert_eq!(small.scrape(10), ("web=1".into(), 0));
    fs::remove_dir_all(small.group("a")).unwrap();
    let (shown, ended) = small.scrape(20);
    assert_eq!(shown, "");
    assert!(ended > 0, "each of its series gets a marker");
    small.write("a", 500_000);
    assert_eq!(small.scrape(30), ("web=0.5".into(), 0));
}

#[test]
fn a_container_nobody_knows_waits_two_seconds_for_its_name() {
    let mut small = small();
    small.write("a", 1_000_000);
    small.write("b", 1_000_000);
    assert_eq!(small.scrape(0).0, "");
    small.know("a", "web");
    assert_eq!(small.scrape(1).0, "web=1");
    assert_eq!(small.scrape(2).0, "web=1 /docker/b=1", "b goes on without");
    small.know("b", "db");
    let (shown, ended) = small.scrape(12);
    assert_eq!(shown, "web=1 db=1");
    assert!(ended > 0, "the nameless series end");
}

#[test]
fn a_container_that_is_to_be_left_alone_has_no_series() {
    let mut small = small();
    small.write("a", 1_000_000);
    small.know("a", "web");
    assert_eq!(small.scrape(0).0, "web=1");
    let mut container = crate::inventory::testing::container("a", "web");
    container.skip.metrics = true;
    small.inventory.upsert(container);
    assert_eq!(small.scrape(10).0, "");
    assert_eq!(small.scrape(20).0, "");
}

#[test]
fn a_new_start_keeps_the_series_and_moves_their_beginning() {
    let mut small = small();
    small.write("a", 1_000_000);
    small.know("a", "web");
    small.scrape(0);
    let mut container = crate::inventory::testing::container("a", "web");
    container.started = Some(Timestamp(9_000));
    small.inventory.upsert(container);
    assert_eq!(small.scrape(10), ("web=1".into(), 0));
    let entry = small.table.entries().iter().find(|entry| small.table.shared_labels(entry).next().unwrap().1 != "/");
    assert_eq!(small.table.start(entry.unwrap()), Timestamp(9_000));
}

#[test]
fn of_those_who_share_a_network_one_counts_it() {
    let mut small = small();
    let proc = small.root.path().join("proc");
    let device = "  eth0: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0\n";
    for (pid, name) in [("1", "host"), ("10", "a"), ("11", "b"), ("12", "c")] {
        fs::create_dir_all(proc.join(pid).join("net")).unwrap();
        fs::create_dir_all(proc.join(pid).join("ns")).unwrap();
        fs::write(proc.join(pid).join("net/dev"), device).unwrap();
        if name == "a" || name == "host" {
            fs::write(proc.join(pid).join("ns/net"), "").unwrap();
        } else {
            // b shares a's namespace, c the host's; a namespace is told by its inode.
            let shared = if name == "b" { "10" } else { "1" };
            fs::hard_link(proc.join(shared).join("ns/net"), proc.join(pid).join("ns/net")).unwrap();
        }
        if name != "host" {
            small.write(name, 0);
            small.know(name, name);
            fs::write(small.group(name).join("cgroup.procs"), format!("{pid}\n")).unwrap();
        }
    }
    small.scrape(0);
    let received: Vec<_> = values(&small.table)
        .into_keys()
        .filter(|series| series.0 == "container_network_receive_bytes_total")
        .map(|series| series.1.get("name").cloned().unwrap_or_else(|| id(&series).to_owned()))
        .collect();
    assert_eq!(received, ["/", "a"]);
}
