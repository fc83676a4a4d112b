//! The kernel's random numbers.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Field, Sampler, gauge, metrics},
};

const FIELDS: &[Field; 2] = &[
    ("sys/kernel/random/entropy_avail", gauge("node_entropy_available_bits", "bit", "Randomness that is gathered.")),
    ("sys/kernel/random/poolsize", gauge("node_entropy_pool_size_bits", "bit", "Randomness that can be gathered.")),
];

pub(super) const METRICS: &[Metric] = &metrics(FIELDS);

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    for (file, metric) in FIELDS {
        sampler.put_word(metric, &[], Some(host.proc(file)?.trim()));
    }
    Ok(())
}
