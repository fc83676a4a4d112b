//! What was read of one cgroup, in the kernel's words made one for v1 and v2. What was not there is `None`: absent is
//! not zero.

/// Counters and gauges, read at every scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// CPU time in nanoseconds.
    pub cpu_usage: Option<u64>,
    /// CPU time in user mode, nanoseconds.
    pub cpu_user: Option<u64>,
    /// CPU time in the kernel, nanoseconds.
    pub cpu_system: Option<u64>,
    /// Periods in which it could run, with a quota.
    pub periods: Option<u64>,
    /// Periods in which it was throttled.
    pub throttled_periods: Option<u64>,
    /// For how long it was throttled, nanoseconds.
    pub throttled: Option<u64>,
    /// Periods in which it used its burst.
    pub burst_periods: Option<u64>,
    /// For how long, nanoseconds.
    pub burst: Option<u64>,
    /// All memory, in bytes.
    pub memory: Option<u64>,
    /// Anonymous memory.
    pub rss: Option<u64>,
    /// Page cache.
    pub cache: Option<u64>,
    /// Swap.
    pub swap: Option<u64>,
    /// Mapped files.
    pub mapped_file: Option<u64>,
    /// Memory of the kernel for it.
    pub kernel: Option<u64>,
    /// Page cache that is easily given up.
    pub inactive_file: Option<u64>,
    /// Page cache in use.
    pub active_file: Option<u64>,
    /// Page faults of the group itself and with all below it.
    pub page_faults: Faults,
    /// Page faults that needed a disk.
    pub major_faults: Faults,
    /// How often the limit was hit.
    pub failures: Option<u64>,
    /// Processes killed for want of memory.
    pub oom_kills: Option<u64>,
    /// Tasks (threads).
    pub tasks: Option<u64>,
    /// Pressure on CPU, memory and I/O.
    pub pressure: [Pressure; 3],
    /// I/O by device; devices that did none may be missing.
    pub devices: Vec<Device>,
}

/// Page faults of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Of the group itself; v2 does not tell it apart.
    pub own: Option<u64>,
    /// Of the group and all below it.
    pub hierarchy: Option<u64>,
}

/// For how long work waited, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// At least one task waited (`some`).
    pub waiting: Option<u64>,
    /// Every task waited (`full`).
    pub stalled: Option<u64>,
}

/// I/O of a group on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub number: Number,
    /// Bytes read.
    pub read_bytes: Option<u64>,
    /// Bytes written.
    pub written_bytes: Option<u64>,
    /// Reads.
    pub reads: Option<u64>,
    /// Writes.
    pub writes: Option<u64>,
}

/// A block device's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Number {
    /// Its driver's.
    pub major: u32,
    /// Its own.
    pub minor: u32,
}

/// Limits and what is dear to read, once a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The CPU quota in a period, microseconds; `None` when there is none.
    pub cpu_quota: Option<u64>,
    /// The period, microseconds.
    pub cpu_period: Option<u64>,
    /// CPU shares, in v1's measure (1024 is one share).
    pub cpu_shares: Option<u64>,
    /// The memory limit; `u64::MAX` is none.
    pub memory: Option<u64>,
    /// The soft limit (v1) or protection (v2, `memory.low`).
    pub reservation: Option<u64>,
    /// The limit of memory and swap (v1) or of swap (v2).
    pub swap: Option<u64>,
    /// The limit of tasks.
    pub tasks: Option<u64>,
    /// The most memory it ever had.
    pub memory_peak: Option<u64>,
    /// How often the limit was hit (v1; v2 has it in a file that is read anyway).
    pub failures: Option<u64>,
    /// Memory of the kernel (v1).
    pub kernel: Option<u64>,
}

impl Reading {
    /// Forgets everything but the room for devices.
    pub fn clear(&mut self) {
        let mut devices = std::mem::take(&mut self.devices);
        devices.clear();
        *self = Self { devices, ..Self::default() };
    }

    /// Memory that would be missed: all but the page cache that is easily given up.
    #[must_use]
    pub fn working_set(&self) -> Option<u64> {
        Some(self.memory?.saturating_sub(self.inactive_file?))
    }

    /// The entry of a device, made if it is new.
    pub fn device(&mut self, number: Number) -> Option<&mut Device> {
        let place = self.devices.iter().position(|device| device.number == number);
        let place = place.unwrap_or_else(|| {
            self.devices.push(Device { number, ..Device::default() });
            self.devices.len() - 1
        });
        self.devices.get_mut(place)
    }
}
