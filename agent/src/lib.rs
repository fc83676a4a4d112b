//! The per-node daemon: sources → tags → buffer → export.

pub mod admin;
pub mod buffer;
pub mod export;
pub mod inventory;
pub mod series;
pub mod sources;
pub mod status;
pub mod tags;
