//! The per-node daemon: what runs on this machine, told to a collector and on pages that Prometheus can scrape.
//!
//! ```text
//! sources ──────────► series ──────► buffer ──────► export ──► collector
//!  host cgroup docker   tables with    memory,        OTLP/gRPC
//!  logs own             their tags     then disk
//!     │    ▲               │
//!     ▼    │               └──► admin: /metrics /live /ready /status
//!   inventory ◄── tags
//! ```
//!
//! Reading order: [`app`] joins all stages and [`config`] configures them; [`node`] is the machine, [`sources`] what
//! is watched, [`inventory`] and [`tags`] what it is called, [`series`] what metric sources write, [`buffer`] what
//! waits, [`export`] what is sent; [`admin`], [`report`] and [`status`] tell how the agent does.

pub mod admin;
pub mod app;
pub mod buffer;
pub mod config;
pub mod export;
pub mod inventory;
pub mod node;
pub mod report;
pub mod series;
pub mod sources;
pub mod status;
pub mod tags;
