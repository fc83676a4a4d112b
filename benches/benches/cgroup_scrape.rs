//! What one container costs at a scrape, against a bare loop of `pread` over the same files.
//!
//! `cargo bench -p yagura-benches --bench cgroup_scrape` writes a v2 tree of 200 containers to `/dev/shm`;
//! with `-- --real` (as root) it makes 24 empty groups in the real tree of this machine and removes them again.
//! CPU time of this process is measured, not the clock: other work on the machine does not count.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    fs::{self, File},
    hint::black_box,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};
use yagura_agent::{
    inventory::{Container, ContainerId, Inventory, LogPlace, Skip, State},
    series::Table,
    sources::cgroup::{group::Machinery, hierarchy::Hierarchy, machine::Machine, scrape::Scraper},
};
use yagura_benches::cgroup_tree;
use yagura_model::{Tags, Timestamp};

/// Containers of the made-up tree.
const CONTAINERS: usize = 200;
/// Groups made in the real one.
const REAL: usize = 24;
/// Scrapes measured at once; the fastest of several such runs counts.
const ROUNDS: u32 = 50;
const RUNS: usize = 9;

fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == "--real") { real() } else { made_up() }
}

fn made_up() -> anyhow::Result<()> {
    let directory = tempfile::Builder::new().prefix("yagura-bench-").tempdir_in("/dev/shm")?;
    cgroup_tree::write(directory.path(), CONTAINERS)?;
    let tree = directory.path().join("cgroup");
    let mut files = Vec::new();
    for number in 0..CONTAINERS {
        let group = tree.join("system.slice").join(format!("docker-{}.scope", cgroup_tree::id(number)));
        files.extend(cgroup_tree::V2_FILES.iter().map(|(name, _)| group.join(name)));
        files.push(directory.path().join("proc").join((1000 + number).to_string()).join("net/dev"));
    }
    compare("made-up v2 tree on /dev/shm", &tree, &directory.path().join("proc"), CONTAINERS, &files)
}

/// Groups in every v1 controller, or in the one v2 tree; no process is ever in them.
fn real() -> anyhow::Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    let found = Hierarchy::detect(root)?;
    let v1 = &found.v1;
    let mut trees: Vec<&PathBuf> =
        [&v1.cpu, &v1.cpuacct, &v1.memory, &v1.blkio, &v1.pids].into_iter().flatten().collect();
    trees.extend(found.v2.as_ref().map(|(tree, _)| tree));
    trees.dedup();
    let groups: Vec<PathBuf> = trees
        .iter()
        .flat_map(|tree| (0..REAL).map(|number| tree.join("yagura-bench").join(cgroup_tree::id(number))))
        .collect();
    for group in &groups {
        fs::create_dir_all(group).with_context(|| format!("cannot make {}", group.display()))?;
    }
    let names = [
        "cpuacct.usage",
        "cpuacct.stat",
        "memory.usage_in_bytes",
        "memory.oom_control",
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_serviced_recursive",
        "cpu.stat",
        "memory.current",
        "memory.stat",
        "memory.events",
        "io.stat",
        "pids.current",
        "cpu.pressure",
        "memory.pressure",
        "io.pressure",
    ];
    // v1 has `cpu.stat` too, which is read only under a quota.
    let is_read = |path: &PathBuf| path.exists() && !(v1.cpu.is_some() && path.ends_with("cpu.stat"));
    let files: Vec<PathBuf> =
        groups.iter().flat_map(|group| names.map(|name| group.join(name))).filter(is_read).collect();
    let result = compare(&format!("{REAL} real {} groups", found.version()), root, Path::new("/proc"), REAL, &files);
    for group in &groups {
        fs::remove_dir(group).with_context(|| format!("cannot remove {}", group.display()))?;
    }
    for tree in trees {
        fs::remove_dir(tree.join("yagura-bench"))?;
    }
    result
}

fn compare(what: &str, tree: &Path, proc: &Path, containers: usize, files: &[PathBuf]) -> anyhow::Result<()> {
    let inventory = Inventory::new();
    for number in 0..containers {
        inventory.upsert(container(number)?);
    }
    let mut scraper = Scraper::new(Machinery {
        hierarchy: Hierarchy::detect(tree)?,
        proc: proc.to_owned(),
        inventory,
        node_tags: Tags::default(),
        boot: Timestamp(0),
        machine: Machine::default(),
    });
    let mut table = Table::new("cadvisor", "n1");
    let report = scraper.scrape(Timestamp(1_000), &mut table);
    anyhow::ensure!(report.containers >= containers, "only {} containers were read", report.containers);

    let opened: Vec<File> = files.iter().map(File::open).collect::<Result<_, _>>()?;
    let mut buffer = vec![0; 16 * 1024];
    let mut bare = || {
        for file in &opened {
            black_box(file.read_at(&mut buffer, 0).unwrap_or_default());
        }
    };
    let mut scrape = || {
        black_box(scraper.scrape(Timestamp(2_000), &mut table));
    };
    // In turns, so that a change of the machine's speed meets both.
    let (mut bare_best, mut scrape_best) = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        bare_best = bare_best.min(cpu_time(&mut bare));
        scrape_best = scrape_best.min(cpu_time(&mut scrape));
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(ROUNDS) / containers as f64;
    let (bare, scrape) = (each(bare_best), each(scrape_best));
    let (series, open) = (table.entries().len(), report.open_files);
    println!("{what}: {containers} containers, {series} series, {open} files open, {} read bare", files.len());
    println!("  bare pread  {bare:6.2} µs CPU per container");
    println!("  scrape      {scrape:6.2} µs CPU per container, {:.2} × bare", scrape / bare);
    Ok(())
}

fn cpu_time(work: &mut impl FnMut()) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
    let start = now();
    for _ in 0..ROUNDS {
        work();
    }
    now().saturating_sub(start)
}

fn container(number: usize) -> anyhow::Result<Container> {
    let tags = Tags { service: "shop".into(), env: "prod".into(), source: "web".into(), ..Tags::default() };
    Ok(Container {
        id: ContainerId::parse(&cgroup_tree::id(number)).context("not an id")?,
        name: format!("web-{number}").into(),
        image: "registry.example.com/shop/web:1.5.0".into(),
        labels: [].into(),
        tags: tags.into(),
        pod: None,
        state: State::Running,
        health: None,
        restarts: 0,
        exit_code: None,
        oom_killed: false,
        started: Some(Timestamp(0)),
        finished: None,
        ports: [].into(),
        pid: None,
        log: LogPlace::Api,
        skip: Skip::default(),
    })
}
