//! Names, types and arithmetic of cAdvisor's series, and which reading each takes.

use yagura_model::{Kind, Metric, Timestamp};

use super::{
    devices::Devices,
    machine::Machine,
    network::Counters,
    process::Processes,
    reading::{Limits, Reading},
};
use crate::series::{ScopeId, Table, Value};

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit, help }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help }
}

const CPU_USAGE: Metric = counter("container_cpu_usage_seconds_total", "s", "CPU time used.");
const CPU_USER: Metric = counter("container_cpu_user_seconds_total", "s", "CPU time used in user mode.");
const CPU_SYSTEM: Metric = counter("container_cpu_system_seconds_total", "s", "CPU time used in the kernel.");
const CFS_PERIODS: Metric =
    counter("container_cpu_cfs_periods_total", "", "Enforcement periods that have passed while it could run.");
const CFS_THROTTLED_PERIODS: Metric =
    counter("container_cpu_cfs_throttled_periods_total", "", "Enforcement periods in which it was throttled.");
const CFS_THROTTLED: Metric = counter("container_cpu_cfs_throttled_seconds_total", "s", "Time it was throttled.");
const CFS_BURST_PERIODS: Metric =
    counter("container_cpu_cfs_burst_periods_total", "", "Enforcement periods in which it used its burst.");
const CFS_BURST: Metric = counter("container_cpu_cfs_burst_seconds_total", "s", "CPU time used beyond the quota.");
const MEMORY_USAGE: Metric = gauge("container_memory_usage_bytes", "By", "Memory in use, page cache included.");
const MEMORY_WORKING_SET: Metric =
    gauge("container_memory_working_set_bytes", "By", "Memory in use without page cache that is easily given up.");
const MEMORY_RSS: Metric = gauge("container_memory_rss", "By", "Anonymous memory.");
const MEMORY_CACHE: Metric = gauge("container_memory_cache", "By", "Page cache.");
const MEMORY_SWAP: Metric = gauge("container_memory_swap", "By", "Swap in use.");
const MEMORY_MAPPED: Metric = gauge("container_memory_mapped_file", "By", "Memory of mapped files.");
const MEMORY_KERNEL: Metric = gauge("container_memory_kernel_usage", "By", "Memory the kernel uses for it.");
const MEMORY_MAX: Metric = gauge("container_memory_max_usage_bytes", "By", "The most memory it has used.");
const MEMORY_ACTIVE_FILE: Metric = gauge("container_memory_total_active_file_bytes", "By", "Page cache in active use.");
const MEMORY_INACTIVE_FILE: Metric =
    gauge("container_memory_total_inactive_file_bytes", "By", "Page cache that is easily given up.");
const MEMORY_FAILCNT: Metric = counter("container_memory_failcnt", "", "How often the memory limit was hit.");
const MEMORY_FAILURES: Metric = counter("container_memory_failures_total", "", "Page faults, by type and scope.");
const OOM_EVENTS: Metric = counter("container_oom_events_total", "", "Processes killed for want of memory.");
const FS_READ_BYTES: Metric = counter("container_fs_reads_bytes_total", "By", "Bytes read, by device.");
const FS_WRITTEN_BYTES: Metric = counter("container_fs_writes_bytes_total", "By", "Bytes written, by device.");
const FS_READS: Metric = counter("container_fs_reads_total", "", "Reads, by device.");
const FS_WRITES: Metric = counter("container_fs_writes_total", "", "Writes, by device.");
const BLKIO: Metric =
    counter("container_blkio_device_usage_total", "By", "Bytes read and written, by device and operation.");
const PRESSURE: [[Metric; 2]; 3] = [
    [
        counter("container_pressure_cpu_waiting_seconds_total", "s", "Time in which a task waited for CPU."),
        counter("container_pressure_cpu_stalled_seconds_total", "s", "Time in which every task waited for CPU."),
    ],
    [
        counter("container_pressure_memory_waiting_seconds_total", "s", "Time in which a task waited for memory."),
        counter("container_pressure_memory_stalled_seconds_total", "s", "Time in which every task waited for memory."),
    ],
    [
        counter("container_pressure_io_waiting_seconds_total", "s", "Time in which a task waited for I/O."),
        counter("container_pressure_io_stalled_seconds_total", "s", "Time in which every task waited for I/O."),
    ],
];
const NETWORK_RECEIVED: [Metric; 4] = [
    counter("container_network_receive_bytes_total", "By", "Bytes received, by interface."),
    counter("container_network_receive_packets_total", "", "Packets received, by interface."),
    counter("container_network_receive_errors_total", "", "Errors while receiving, by interface."),
    counter("container_network_receive_packets_dropped_total", "", "Packets dropped while receiving, by interface."),
];
const NETWORK_SENT: [Metric; 4] = [
    counter("container_network_transmit_bytes_total", "By", "Bytes sent, by interface."),
    counter("container_network_transmit_packets_total", "", "Packets sent, by interface."),
    counter("container_network_transmit_errors_total", "", "Errors while sending, by interface."),
    counter("container_network_transmit_packets_dropped_total", "", "Packets dropped while sending, by interface."),
];
const THREADS: Metric = gauge("container_threads", "", "Threads.");
const THREADS_MAX: Metric = gauge("container_threads_max", "", "Most threads it may have; 0 is no limit.");
const PROCESSES: Metric = gauge("container_processes", "", "Processes.");
const FILE_DESCRIPTORS: Metric = gauge("container_file_descriptors", "", "Open files of its processes.");
const SOCKETS: Metric = gauge("container_sockets", "", "Open sockets of its processes.");
const ULIMITS: Metric = gauge("container_ulimits_soft", "", "Soft limits of its main process.");
const SPEC_CPU_PERIOD: Metric = gauge("container_spec_cpu_period", "us", "The enforcement period of the CPU quota.");
const SPEC_CPU_QUOTA: Metric = gauge("container_spec_cpu_quota", "us", "CPU time it may use in a period.");
const SPEC_CPU_SHARES: Metric = gauge("container_spec_cpu_shares", "", "Its share of CPU; 1024 is one.");
const SPEC_MEMORY_LIMIT: Metric = gauge("container_spec_memory_limit_bytes", "By", "The memory limit; 0 is no limit.");
const SPEC_MEMORY_RESERVATION: Metric =
    gauge("container_spec_memory_reservation_limit_bytes", "By", "Memory kept for it; 0 is none.");
const SPEC_SWAP_LIMIT: Metric = gauge(
    "container_spec_memory_swap_limit_bytes",
    "By",
    "The limit of swap (with memory on cgroup v1); 0 is no limit.",
);
const START_TIME: Metric = gauge("container_start_time_seconds", "s", "When it was started.");
const LAST_SEEN: Metric = gauge("container_last_seen", "s", "When it was last seen.");
const MACHINE_CORES: Metric = gauge("machine_cpu_cores", "", "Logical CPUs of the machine.");
const MACHINE_PHYSICAL_CORES: Metric = gauge("machine_cpu_physical_cores", "", "Physical cores of the machine.");
const MACHINE_SOCKETS: Metric = gauge("machine_cpu_sockets", "", "CPU sockets of the machine.");
const MACHINE_MEMORY: Metric = gauge("machine_memory_bytes", "By", "Memory of the machine.");
const MACHINE_SWAP: Metric = gauge("machine_swap_bytes", "By", "Swap of the machine.");

/// Every metric this source can emit.
pub const METRICS: &[Metric] = &[
    CPU_USAGE,
    CPU_USER,
    CPU_SYSTEM,
    CFS_PERIODS,
    CFS_THROTTLED_PERIODS,
    CFS_THROTTLED,
    CFS_BURST_PERIODS,
    CFS_BURST,
    MEMORY_USAGE,
    MEMORY_WORKING_SET,
    MEMORY_RSS,
    MEMORY_CACHE,
    MEMORY_SWAP,
    MEMORY_MAPPED,
    MEMORY_KERNEL,
    MEMORY_MAX,
    MEMORY_ACTIVE_FILE,
    MEMORY_INACTIVE_FILE,
    MEMORY_FAILCNT,
    MEMORY_FAILURES,
    OOM_EVENTS,
    FS_READ_BYTES,
    FS_WRITTEN_BYTES,
    FS_READS,
    FS_WRITES,
    BLKIO,
    PRESSURE[0][0],
    PRESSURE[0][1],
    PRESSURE[1][0],
    PRESSURE[1][1],
    PRESSURE[2][0],
    PRESSURE[2][1],
    NETWORK_RECEIVED[0],
    NETWORK_RECEIVED[1],
    NETWORK_RECEIVED[2],
    NETWORK_RECEIVED[3],
    NETWORK_SENT[0],
    NETWORK_SENT[1],
    NETWORK_SENT[2],
    NETWORK_SENT[3],
    THREADS,
    THREADS_MAX,
    PROCESSES,
    FILE_DESCRIPTORS,
    SOCKETS,
    ULIMITS,
    SPEC_CPU_PERIOD,
    SPEC_CPU_QUOTA,
    SPEC_CPU_SHARES,
    SPEC_MEMORY_LIMIT,
    SPEC_MEMORY_RESERVATION,
    SPEC_SWAP_LIMIT,
    START_TIME,
    LAST_SEEN,
    MACHINE_CORES,
    MACHINE_PHYSICAL_CORES,
    MACHINE_SOCKETS,
    MACHINE_MEMORY,
    MACHINE_SWAP,
];

/// Says the series of one group into a table; what is absent is not said.
#[derive(Debug)]
pub struct Writer<'a> {
    /// Where to.
    pub table: &'a mut Table,
    /// The labels of the group.
    pub scope: ScopeId,
}

impl Writer<'_> {
    fn say(&mut self, metric: &'static Metric, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.table.sample(self.scope, metric, &[], value);
        }
    }

    fn say_with(&mut self, metric: &'static Metric, labels: &[(&str, &str)], value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.table.sample(self.scope, metric, labels, value);
        }
    }

    /// What was read at this scrape.
    pub fn reading(&mut self, reading: &Reading, limits: &Limits, devices: &Devices) {
        self.cpu(reading, limits);
        self.memory(reading, limits);
        self.io(reading, devices);
        for ([waiting, stalled], found) in
            PRESSURE.each_ref().map(|[some, full]| [some, full]).into_iter().zip(&reading.pressure)
        {
            self.say(waiting, found.waiting.map(|time| per(time, 1_000_000)));
            self.say(stalled, found.stalled.map(|time| per(time, 1_000_000)));
        }
        self.say(&THREADS, reading.tasks);
    }

    fn cpu(&mut self, reading: &Reading, limits: &Limits) {
        let seconds = |time: Option<u64>| time.map(|time| per(time, 1_000_000_000));
        self.say_with(&CPU_USAGE, &[("cpu", "total")], seconds(reading.cpu_usage));
        self.say(&CPU_USER, seconds(reading.cpu_user));
        self.say(&CPU_SYSTEM, seconds(reading.cpu_system));
        if limits.cpu_quota.is_some() {
            self.say(&CFS_PERIODS, reading.periods);
            self.say(&CFS_THROTTLED_PERIODS, reading.throttled_periods);
            self.say(&CFS_THROTTLED, seconds(reading.throttled));
            self.say(&CFS_BURST_PERIODS, reading.burst_periods);
            self.say(&CFS_BURST, seconds(reading.burst));
        }
    }

    fn memory(&mut self, reading: &Reading, limits: &Limits) {
        self.say(&MEMORY_USAGE, reading.memory);
        self.say(&MEMORY_WORKING_SET, reading.working_set());
        self.say(&MEMORY_RSS, reading.rss);
        self.say(&MEMORY_CACHE, reading.cache);
        self.say(&MEMORY_SWAP, reading.swap);
        self.say(&MEMORY_MAPPED, reading.mapped_file);
        self.say(&MEMORY_KERNEL, reading.kernel.or(limits.kernel));
        self.say(&MEMORY_ACTIVE_FILE, reading.active_file);
        self.say(&MEMORY_INACTIVE_FILE, reading.inactive_file);
        self.say(&MEMORY_FAILCNT, reading.failures.or(limits.failures));
        for (failure, faults) in [("pgfault", reading.page_faults), ("pgmajfault", reading.major_faults)] {
            let labels = |scope| [("failure_type", failure), ("scope", scope)];
            self.say_with(&MEMORY_FAILURES, &labels("container"), faults.own);
            self.say_with(&MEMORY_FAILURES, &labels("hierarchy"), faults.hierarchy);
        }
        self.say(&OOM_EVENTS, reading.oom_kills);
    }

    fn io(&mut self, reading: &Reading, devices: &Devices) {
        for device in &reading.devices {
            let Some(names) = devices.get(device.number) else { continue };
            let labels = [("device", &*names.device)];
            self.say_with(&FS_READ_BYTES, &labels, device.read_bytes);
            self.say_with(&FS_WRITTEN_BYTES, &labels, device.written_bytes);
            self.say_with(&FS_READS, &labels, device.reads);
            self.say_with(&FS_WRITES, &labels, device.writes);
            for (operation, bytes) in [("Read", device.read_bytes), ("Write", device.written_bytes)] {
                let [major, minor] = [("major", &*names.major), ("minor", &*names.minor)];
                self.say_with(&BLKIO, &[("device", &*names.device), major, minor, ("operation", operation)], bytes);
            }
        }
    }

    /// The counters of one network device.
    pub fn network(&mut self, interface: &str, counters: Counters) {
        let labels = [("interface", interface)];
        for (metric, value) in NETWORK_RECEIVED.each_ref().into_iter().zip(counters.received) {
            self.say_with(metric, &labels, Some(value));
        }
        for (metric, value) in NETWORK_SENT.each_ref().into_iter().zip(counters.sent) {
            self.say_with(metric, &labels, Some(value));
        }
    }

    /// Limits; the root's memory limit is the machine's memory.
    pub fn limits(&mut self, limits: &Limits, processes: &Processes) {
        let set = |limit: Option<u64>| limit.map(|limit| if limit == u64::MAX { 0 } else { limit });
        self.say(&SPEC_CPU_PERIOD, limits.cpu_period);
        self.say(&SPEC_CPU_QUOTA, limits.cpu_quota);
        self.say(&SPEC_CPU_SHARES, limits.cpu_shares);
        self.say(&SPEC_MEMORY_LIMIT, set(limits.memory));
        self.say(&SPEC_MEMORY_RESERVATION, set(limits.reservation));
        self.say(&SPEC_SWAP_LIMIT, set(limits.swap));
        self.say(&MEMORY_MAX, limits.memory_peak);
        self.say(&THREADS_MAX, set(limits.tasks));
        self.say(&PROCESSES, processes.count);
        self.say(&FILE_DESCRIPTORS, processes.files);
        self.say(&SOCKETS, processes.sockets);
        self.say_with(&ULIMITS, &[("ulimit", "max_open_files")], processes.file_limit);
    }

    /// Since when it runs, and that it was seen.
    pub fn times(&mut self, start: Timestamp, now: Timestamp) {
        self.say(&START_TIME, Some(start.0.div_euclid(1000)));
        self.say(&LAST_SEEN, Some(now.0.div_euclid(1000)));
    }

    /// The machine itself.
    pub fn machine(&mut self, machine: &Machine) {
        self.say(&MACHINE_CORES, machine.cores);
        self.say(&MACHINE_PHYSICAL_CORES, machine.physical_cores);
        self.say(&MACHINE_SOCKETS, machine.sockets);
        self.say(&MACHINE_MEMORY, machine.memory);
        self.say(&MACHINE_SWAP, machine.swap);
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 nanoseconds are 104 days of CPU; then the last digits go")]
fn per(time: u64, second: u64) -> f64 {
    time as f64 / second as f64
}
