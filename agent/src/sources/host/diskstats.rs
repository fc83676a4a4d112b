//! `/proc/diskstats`, without partitions, and what udev knows of each disk.

use procfs_core::DiskStat;
use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, counter, float, gauge},
};

const READS: Metric = counter("node_disk_reads_completed_total", "", "Reads that ended well.");
const READS_MERGED: Metric = counter("node_disk_reads_merged_total", "", "Reads that were joined with another.");
const READ_BYTES: Metric = counter("node_disk_read_bytes_total", "By", "Bytes read.");
const READ_TIME: Metric = counter("node_disk_read_time_seconds_total", "s", "Time that all reads took together.");
const WRITES: Metric = counter("node_disk_writes_completed_total", "", "Writes that ended well.");
const WRITES_MERGED: Metric = counter("node_disk_writes_merged_total", "", "Writes that were joined with another.");
const WRITTEN_BYTES: Metric = counter("node_disk_written_bytes_total", "By", "Bytes written.");
const WRITE_TIME: Metric = counter("node_disk_write_time_seconds_total", "s", "Time that all writes took together.");
const IO_NOW: Metric = gauge("node_disk_io_now", "", "Reads and writes under way.");
const IO_TIME: Metric = counter("node_disk_io_time_seconds_total", "s", "Time in which anything was under way.");
const IO_TIME_WEIGHTED: Metric = counter(
    "node_disk_io_time_weighted_seconds_total",
    "s",
    "Time in which anything was under way, times how much it was.",
);
const DISCARDS: Metric = counter("node_disk_discards_completed_total", "", "Discards that ended well.");
const DISCARDS_MERGED: Metric = counter("node_disk_discards_merged_total", "", "Discards joined with another.");
const DISCARDED_SECTORS: Metric = counter("node_disk_discarded_sectors_total", "", "Sectors of 512 bytes discarded.");
const DISCARD_TIME: Metric =
    counter("node_disk_discard_time_seconds_total", "s", "Time that all discards took together.");
const FLUSHES: Metric = counter("node_disk_flush_requests_total", "", "Flushes that ended well.");
const FLUSH_TIME: Metric =
    counter("node_disk_flush_requests_time_seconds_total", "s", "Time that all flushes took together.");
const INFO: Metric = gauge("node_disk_info", "", "What a disk is, in its labels; always 1.");
const FILESYSTEM_INFO: Metric =
    gauge("node_disk_filesystem_info", "", "The filesystem that is directly on a disk, in its labels; always 1.");
const MAPPER_INFO: Metric =
    gauge("node_disk_device_mapper_info", "", "What a mapped device is, in its labels; always 1.");

pub(super) const METRICS: &[Metric] = &[
    READS,
    READS_MERGED,
    READ_BYTES,
    READ_TIME,
    WRITES,
    WRITES_MERGED,
    WRITTEN_BYTES,
    WRITE_TIME,
    IO_NOW,
    IO_TIME,
    IO_TIME_WEIGHTED,
    DISCARDS,
    DISCARDS_MERGED,
    DISCARDED_SECTORS,
    DISCARD_TIME,
    FLUSHES,
    FLUSH_TIME,
    INFO,
    FILESYSTEM_INFO,
    MAPPER_INFO,
];

/// The kernel counts in these, whatever the disk's own size of sector is.
const SECTOR: u64 = 512;

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let mut disks = Vec::new();
    for line in host.proc("diskstats")?.lines() {
        match DiskStat::from_line(line) {
            Ok(disk) if is_partition(&disk.name) => {}
            Ok(disk) => disks.push(disk),
            Err(_) => sampler.bad(),
        }
    }
    for disk in &disks {
        put(disk, sampler);
        put_info(disk, host, sampler);
    }
    Ok(())
}

fn put(disk: &DiskStat, sampler: &mut Sampler<'_>) {
    let device = &[("device", disk.name.as_str())];
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
    let seconds = |millis: u64| float(millis) / 1000.0;
    sampler.put(&READS, device, disk.reads);
    sampler.put(&READS_MERGED, device, disk.merged);
    sampler.put(&READ_BYTES, device, bytes(disk.sectors_read));
    sampler.put(&READ_TIME, device, seconds(disk.time_reading));
    sampler.put(&WRITES, device, disk.writes);
    sampler.put(&WRITES_MERGED, device, disk.writes_merged);
    sampler.put(&WRITTEN_BYTES, device, bytes(disk.sectors_written));
    sampler.put(&WRITE_TIME, device, seconds(disk.time_writing));
    sampler.put(&IO_NOW, device, disk.in_progress);
    sampler.put(&IO_TIME, device, seconds(disk.time_in_progress));
    sampler.put(&IO_TIME_WEIGHTED, device, seconds(disk.weighted_time_in_progress));
    let counts = [
        (&DISCARDS, disk.discards),
        (&DISCARDS_MERGED, disk.discards_merged),
        (&DISCARDED_SECTORS, disk.sectors_discarded),
        (&FLUSHES, disk.flushes),
    ];
    for (metric, count) in counts {
        if let Some(count) = count {
            sampler.put(metric, device, count);
        }
    }
    for (metric, time) in [(&DISCARD_TIME, disk.time_discarding), (&FLUSH_TIME, disk.time_flushing)] {
        if let Some(time) = time {
            sampler.put(metric, device, seconds(time));
        }
    }
}

/// What udev wrote down; without udev only the numbers of the device are known.
fn put_info(disk: &DiskStat, host: &mut Host, sampler: &mut Sampler<'_>) {
    let (major, minor) = (disk.major.to_string(), disk.minor.to_string());
    let text = host.root(&format!("run/udev/data/b{major}:{minor}")).unwrap_or_default();
    let property = |name: &str| {
        let mut properties = text.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('='));
        properties.find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    };
    let either = |first: &str, second: &str| match property(first) {
        "" => property(second).to_owned(),
        value => value.to_owned(),
    };
    let device = disk.name.as_str();
    let serial = either("SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT");
    let labels = [
        ("device", device),
        ("major", &*major),
        ("minor", &*minor),
        ("model", property("ID_MODEL")),
        ("path", property("ID_PATH")),
        ("revision", property("ID_REVISION")),
        ("serial", &*serial),
        ("wwn", property("ID_WWN")),
    ];
    sampler.put_info(&INFO, &labels);
    if !property("ID_FS_USAGE").is_empty() {
        let labels = [
            ("device", device),
            ("type", property("ID_FS_TYPE")),
            ("usage", property("ID_FS_USAGE")),
            ("uuid", property("ID_FS_UUID")),
            ("version", property("ID_FS_VERSION")),
        ];
        sampler.put_info(&FILESYSTEM_INFO, &labels);
    }
    if !property("DM_NAME").is_empty() {
        let labels = [
            ("device", device),
            ("lv_layer", property("DM_LV_LAYER")),
            ("lv_name", property("DM_LV_NAME")),
            ("name", property("DM_NAME")),
            ("uuid", property("DM_UUID")),
            ("vg_name", property("DM_VG_NAME")),
        ];
        sampler.put_info(&MAPPER_INFO, &labels);
    }
}

/// node_exporter's exclusion, `^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`: partitions, and what is no disk.
fn is_partition(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return false;
    }
    let lettered = |kind: &str| stem.strip_prefix(kind).is_some_and(is_one_letter);
    matches!(stem, "ram" | "loop" | "fd") || ["hd", "sd", "vd", "xvd"].into_iter().any(lettered) || is_nvme_part(stem)
}

fn is_one_letter(rest: &str) -> bool {
    rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// `nvme0n1p`, what is before the number of a partition.
fn is_nvme_part(stem: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = stem.strip_prefix("nvme").and_then(|rest| rest.strip_suffix('p')).and_then(|rest| rest.split_once('n'));
    parts.is_some_and(|(controller, namespace)| digits(controller) && digits(namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_kept_and_partitions_are_not() {
        for name in ["sda", "vda", "nvme0n1", "dm-0", "md127", "mmcblk0", "zram0", "sr0", "xvda", "nvme0c0n1"] {
            assert!(!is_partition(name), "{name}");
        }
        for name in ["sda1", "vdb12", "hda3", "xvda1", "nvme0n1p2", "loop7", "ram0", "fd0"] {
            assert!(is_partition(name), "{name}");
        }
    }
}
