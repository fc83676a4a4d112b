//! Fill of the mounted filesystems.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, gauge},
};

const AVAILABLE: Metric = gauge("node_filesystem_avail_bytes", "By", "Space that is left for users who are not root.");
const ERROR: Metric = gauge("node_filesystem_device_error", "", "Whether the filesystem failed to say how full it is.");
const FILES: Metric = gauge("node_filesystem_files", "", "Files and directories there can be, used and free.");
const FILES_FREE: Metric = gauge("node_filesystem_files_free", "", "Files and directories that can still be made.");
const FREE: Metric = gauge("node_filesystem_free_bytes", "By", "Space that is left, that reserved for root included.");
const READONLY: Metric = gauge("node_filesystem_readonly", "", "Whether it is mounted read-only.");
const SIZE: Metric = gauge("node_filesystem_size_bytes", "By", "Size of the filesystem.");

pub(super) const METRICS: &[Metric] = &[AVAILABLE, ERROR, FILES, FILES_FREE, FREE, READONLY, SIZE];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    for mount in host.mounts.list()? {
        let labels = &[("device", &*mount.device), ("fstype", &*mount.fstype), ("mountpoint", &*mount.mountpoint)];
        sampler.put(&ERROR, labels, i64::from(mount.usage.is_none()));
        if let Some(usage) = mount.usage {
            sampler.put(&READONLY, labels, i64::from(mount.readonly));
            sampler.put(&SIZE, labels, usage.size);
            sampler.put(&FREE, labels, usage.free);
            sampler.put(&AVAILABLE, labels, usage.available);
            sampler.put(&FILES, labels, usage.files);
            sampler.put(&FILES_FREE, labels, usage.files_free);
        }
    }
    Ok(())
}
