//! The central daemon: receive → store → query → rules → notify.
//!
//! ```text
//! agents, OTLP senders ─► receivers ─► presence ─► storage ◄─ probes (checks), rules (records), presence (up)
//!                                                    │
//!                        api, web ◄─ query ◄─────────┤
//!                                      │             │
//!                                    rules ─► notifiers ─► Slack, webhooks
//! ```
//!
//! [`app`] is the only module that knows all the others; it builds them, joins them and stops them in order.

pub mod api;
pub mod app;
pub(crate) mod auth;
pub mod config;
pub(crate) mod figures;
pub(crate) mod files;
pub mod history;
pub mod notifiers;
pub mod presence;
pub mod probes;
pub mod query;
pub(crate) mod random;
pub mod receivers;
pub mod rules;
pub(crate) mod series;
pub mod storage;
pub mod web;

pub use config::Config;
