//! Cgroup trees of made-up containers, with files of the size a real kernel writes.

use std::{fs, io, path::Path};

/// The files of a container in a v2 tree that are read at every scrape, with what they say.
pub const V2_FILES: &[(&str, &str)] = &[
    (
        "cpu.stat",
        "usage_usec 94515572\nuser_usec 88986325\nsystem_usec 5529247\nnr_periods 7403\nnr_throttled 4280\n\
         throttled_usec 198437462\nnr_bursts 0\nburst_usec 0\n",
    ),
    ("memory.current", "23117824\n"),
    ("memory.stat", MEMORY_STAT),
    ("memory.events", "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n"),
    ("io.stat", "254:0 rbytes=6199976960 wbytes=4691709952 rios=48791 wios=42802 dbytes=0 dios=0\n"),
    ("pids.current", "7\n"),
    ("cpu.pressure", PRESSURE),
    ("memory.pressure", PRESSURE),
    ("io.pressure", PRESSURE),
];

const PRESSURE: &str = "some avg10=49.20 avg60=49.42 avg300=45.47 total=370257790\n\
                        full avg10=49.20 avg60=49.42 avg300=45.47 total=370223713\n";

const MEMORY_STAT: &str = "anon 61440\nfile 10240000\nkernel 258048\nkernel_stack 16384\npagetables 20480\n\
    sec_pagetables 0\npercpu 1328\nsock 0\nvmalloc 8192\nshmem 0\nfile_mapped 409600\nfile_dirty 0\nfile_writeback 0\n\
    swapcached 0\nanon_thp 0\nfile_thp 0\nshmem_thp 0\ninactive_anon 57344\nactive_anon 4096\ninactive_file 8192000\n\
    active_file 2048000\nunevictable 0\nslab_reclaimable 66752\nslab_unreclaimable 125440\nslab 192192\n\
    workingset_refault_anon 0\nworkingset_refault_file 0\nworkingset_activate_anon 0\nworkingset_activate_file 0\n\
    workingset_restore_anon 0\nworkingset_restore_file 0\nworkingset_nodereclaim 0\npgscan 0\npgsteal 0\n\
    pgscan_kswapd 0\npgscan_direct 0\npgsteal_kswapd 0\npgsteal_direct 0\npgfault 782\npgmajfault 3\npgrefill 0\n\
    pgactivate 0\npgdeactivate 0\npglazyfree 0\npglazyfreed 0\nthp_fault_alloc 1\nthp_collapse_alloc 0\n";

const LIMITS: &[(&str, &str)] = &[
    ("cpu.max", "50000 100000\n"),
    ("cpu.weight", "100\n"),
    ("memory.max", "67108864\n"),
    ("memory.low", "0\n"),
    ("memory.swap.max", "max\n"),
    ("memory.peak", "33117824\n"),
    ("pids.max", "3555\n"),
];

const NETWORK: &str = "Inter-|   Receive                                                |  Transmit\n face |bytes    \
    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
    lo:  491507    6296    0    0    0     0          0         0   491507    6296    0    0    0     0       0          0\n  \
    eth0:   1532123      18    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n";

/// The id of container `number`.
#[must_use]
pub fn id(number: usize) -> String {
    format!("{number:064x}")
}

/// Writes a v2 tree of `containers` docker containers under `root/cgroup`, and `root/proc` with a process for each.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(root: &Path, containers: usize) -> io::Result<()> {
    let tree = root.join("cgroup");
    fs::create_dir_all(&tree)?;
    fs::write(tree.join("cgroup.controllers"), "cpuset cpu io memory pids\n")?;
    let proc = root.join("proc");
    fs::create_dir_all(&proc)?;
    fs::write(
        proc.join("diskstats"),
        " 254       0 vda 48791 429 12109330 37570 42787 28820 9147448 101047 0 62648 141501\n",
    )?;
    fs::write(proc.join("meminfo"), "MemTotal:       16384000 kB\nSwapTotal:             0 kB\n")?;
    for number in 0..containers {
        let group = tree.join("system.slice").join(format!("docker-{}.scope", id(number)));
        fs::create_dir_all(&group)?;
        for (name, text) in V2_FILES.iter().chain(LIMITS) {
            fs::write(group.join(name), text)?;
        }
        let pid = 1000 + number;
        fs::write(group.join("cgroup.procs"), format!("{pid}\n"))?;
        let process = proc.join(pid.to_string());
        fs::create_dir_all(process.join("net"))?;
        fs::create_dir_all(process.join("fd"))?;
        fs::write(process.join("net/dev"), NETWORK)?;
    }
    Ok(())
}
