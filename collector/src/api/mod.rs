//! The HTTP API: one file per group of paths, each with a `router` that takes what it needs.

pub mod agents;
pub mod alerts;
pub(crate) mod answer;
pub mod checks;
pub mod containers;
pub mod federate;
pub mod hosts;
pub mod live;
pub mod loki;
pub mod prometheus;
pub(crate) mod reading;
pub mod tail;
