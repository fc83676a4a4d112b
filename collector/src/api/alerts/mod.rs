//! Alerts over HTTP: Prometheus' `rules` and `alerts`, Alertmanager's API v2, and the history for our own UI.

mod alertmanager;
mod history;
mod prometheus;

pub use alertmanager::router as alertmanager_router;
pub use history::router as history_router;
pub use prometheus::router as prometheus_router;
