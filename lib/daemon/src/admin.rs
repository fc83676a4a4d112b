//! What every daemon answers about itself: `/live`, `/ready` and its own `/metrics`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::registry::Registry;

/// `Content-Type` of the Prometheus text format.
pub const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether the daemon can do its work, and if not, why: shared with the parts that know.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Vec<(&'static str, String)>>>);

impl Readiness {
    /// Waits for each of `parts` to say [`Readiness::ready`].
    #[must_use]
    pub fn waiting_for(parts: &[&'static str]) -> Self {
        Self(Arc::new(Mutex::new(parts.iter().map(|part| (*part, "starting".to_owned())).collect())))
    }

    /// `part` can do its work.
    pub fn ready(&self, part: &'static str) {
        self.lock().retain(|(name, _)| *name != part);
    }

    /// `part` cannot do its work, because of `reason`.
    pub fn not_ready(&self, part: &'static str, reason: impl Into<String>) {
        let mut waiting = self.lock();
        waiting.retain(|(name, _)| *name != part);
        waiting.push((part, reason.into()));
    }

    /// What is missing; empty when the daemon is ready.
    #[must_use]
    pub fn missing(&self) -> Vec<(&'static str, String)> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(&'static str, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `/live` and `/ready`; always open to everybody.
pub fn health(readiness: Readiness) -> Router {
    Router::new().route("/live", get(|| async { "ok\n" })).route("/ready", get(move || ready(readiness.clone())))
}

async fn ready(readiness: Readiness) -> Response {
    let missing = readiness.missing();
    if missing.is_empty() {
        return "ok\n".into_response();
    }
    let lines: String = missing.iter().map(|(part, reason)| format!("{part}: {reason}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
}

/// A page in the Prometheus text format.
#[must_use]
pub fn text_page(text: String) -> Response {
    ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response()
}

/// A registry in the Prometheus text format 0.0.4.
///
/// `prometheus-client` writes OpenMetrics, in which a counter is announced without the `_total` that its samples have;
/// readers of 0.0.4 would take such samples for another, untyped metric.
#[must_use]
pub fn encode(registry: &Registry) -> String {
    let mut open_metrics = String::new();
    if prometheus_client::encoding::text::encode(&mut open_metrics, registry).is_err() {
        // Writing to a string does not fail.
        return String::new();
    }
    to_text_format(&open_metrics)
}

fn to_text_format(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help: Option<&str> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = Some(rest);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, text)) = help.take().and_then(|rest| rest.split_once(' ')) {
                out.push_str(&format!("# HELP {name}{suffix} {text}\n"));
            }
            out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

    #[test]
    fn counters_are_announced_under_the_name_their_samples_have() {
        let mut registry = Registry::default();
        let counter: Counter = Counter::default();
        counter.inc_by(3);
        registry.register("yagura_lines", "Lines read", counter);
        let gauge: Gauge = Gauge::default();
        registry.register("yagura_files", "Open files", gauge);
        assert_eq!(
            encode(&registry),
            "# HELP yagura_lines_total Lines read.\n# TYPE yagura_lines_total counter\nyagura_lines_total 3\n\
             # HELP yagura_files Open files.\n# TYPE yagura_files gauge\nyagura_files 0\n"
        );
    }

    #[test]
    fn a_daemon_is_ready_when_nothing_is_missing() {
        let readiness = Readiness::waiting_for(&["buffer", "sources"]);
        readiness.ready("buffer");
        readiness.not_ready("sources", "docker is away");
        assert_eq!(readiness.missing(), [("sources", "docker is away".to_owned())]);
        readiness.ready("sources");
        assert!(readiness.missing().is_empty());
    }
}
