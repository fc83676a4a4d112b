//! What the agent and the collector say to each other, as plain values: no I/O, no tokio, no clock.
//!
//! Reading order: [`time`], [`labels`], [`metric`], [`names`], [`tags`], [`severity`], [`delivery`], [`trace`].

pub mod delivery;
pub mod labels;
pub mod metric;
pub mod names;
pub mod severity;
pub mod tags;
pub mod time;
pub mod trace;

pub use labels::Labels;
pub use metric::{Kind, Metric};
pub use severity::Severity;
pub use tags::Tags;
pub use time::{Nanos, Timestamp};
pub use trace::{SpanId, TraceId};
