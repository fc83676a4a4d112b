//! Notifiers.
pub mod file;
mod group;
mod inhibit;
pub mod interval;
pub mod matcher;
pub mod message;
mod queue;
pub mod route;
pub mod silence;
