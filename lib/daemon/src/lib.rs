//! How both daemons start, report and stop.

pub mod clock;
