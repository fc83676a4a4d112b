//! Ships batches to a collector: OTLP over gRPC, several requests in flight on one connection, until each is answered.
//!
//! ```text
//! buffer ─next─► compress ─► request ─► answer ─settle─► buffer
//!    ▲                          ▲          │ try again later
//!    └──give back at the end────┴──────────┘
//! ```
//!
//! * `connection`: TCP, TLS and HTTP/2 to the first endpoint that can be reached;
//! * `otlp_grpc`: a batch as a request, an answer as what to do next.
//!
//! What OTLP calls retryable is sent again after a jittered, growing wait, or when the collector said. A batch that
//! the collector will never take is dropped, counted, and named once. That the agent is not let in (wrong token,
//! wrong port) is no fault of a batch: it is held and sent again, too.

mod connection;
mod metrics;
mod otlp_grpc;
mod sender;
mod status;

use std::{path::PathBuf, time::Duration};

use http::Uri;
use serde::Deserialize;
use yagura_daemon::{
    auth,
    config::{DurationText, Faults, Validate},
    tls,
};

pub use metrics::{METRICS, Metrics};
pub use sender::run;
pub use status::{State, Status, StatusCell};

/// The `export` block.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Collectors that share one store: the first that can be reached is used. None means that this agent only shows
    /// its pages.
    pub endpoints: Vec<String>,
    /// A file with the bearer token; read again when it changes.
    pub token_file: Option<PathBuf>,
    /// Whom to trust, and what to show, when an endpoint is `https`.
    pub tls: tls::ClientFiles,
    /// Lets the token leave this machine without TLS.
    pub insecure: bool,
    /// How long one request may take.
    pub timeout: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            token_file: None,
            tls: tls::ClientFiles::default(),
            insecure: false,
            timeout: DurationText::seconds(10),
        }
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        for (number, endpoint) in self.endpoints.iter().enumerate() {
            let key = format!("endpoints[{number}]");
            match parse_endpoint(endpoint) {
                Some(uri) => auth::check_endpoint(&key, &uri, self.token_file.is_some(), self.insecure, faults),
                None => faults.add(key, "expected an address such as https://collector:7417"),
            }
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            faults.add("tls", "expected cert_file and key_file together");
        }
        if self.timeout.0 < Duration::from_secs(1) {
            faults.add("timeout", "expected at least 1s");
        }
    }
}

/// An endpoint is a scheme, a host and perhaps a port; the paths are gRPC's.
fn parse_endpoint(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    (known && bare && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(config: &Config) -> Vec<String> {
        let mut faults = Faults::default();
        config.validate(&mut faults);
        faults.texts()
    }

    #[test]
    fn endpoints_are_addresses_without_a_path() {
        for good in ["http://127.0.0.1:7417", "https://collector", "http://[::1]:7417/"] {
            assert_eq!(faults(&Config { endpoints: vec![good.into()], ..Config::default() }), Vec::<String>::new());
        }
        for bad in ["collector:7417", "ftp://collector", "https://collector/v1/logs", "", "http://"] {
            let found = faults(&Config { endpoints: vec![bad.into()], ..Config::default() });
            assert_eq!(found, ["endpoints[0]: expected an address such as https://collector:7417"], "{bad}");
        }
    }

    #[test]
    fn a_token_does_not_leave_the_machine_in_the_clear() {
        let open = Config {
            endpoints: vec!["http://collector:7417".into()],
            token_file: Some("/etc/token".into()),
            ..Config::default()
        };
        assert_eq!(faults(&open).len(), 1);
        assert!(faults(&Config { insecure: true, ..open }).is_empty());
    }
}
