//! Open files: `/proc/sys/fs/file-nr`.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, gauge},
};

const ALLOCATED: Metric = gauge("node_filefd_allocated", "", "Files that are open.");
const MAXIMUM: Metric = gauge("node_filefd_maximum", "", "Files that may be open.");

pub(super) const METRICS: &[Metric] = &[ALLOCATED, MAXIMUM];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let mut words = host.proc("sys/fs/file-nr")?.split_ascii_whitespace();
    sampler.put_word(&ALLOCATED, &[], words.next());
    // The second number has been 0 since Linux 2.6.
    sampler.put_word(&MAXIMUM, &[], words.nth(1));
    Ok(())
}
