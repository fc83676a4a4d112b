//! Generators and measurements; see `README.md` here for the figures.

pub mod cgroup_tree;
pub mod metrics;
