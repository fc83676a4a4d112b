//! What one run of a check found.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use yagura_model::Timestamp;

/// One run of a check from one location, as it is kept and served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When it began.
    pub started: Timestamp,
    /// How long it took, attempts included.
    pub duration_seconds: f64,
    /// Whether every expectation was met; absent when the checker itself failed.
    pub success: Option<bool>,
    /// Why not.
    pub failure: Option<Failure>,
    /// Seconds in each phase, summed over redirects.
    pub phases: Phases,
    /// The address that was connected to last.
    pub address: Option<IpAddr>,
    /// The last answer's status.
    pub status: Option<u16>,
    /// The last answer's protocol: 1.1 or 2.0.
    pub http_version: Option<f64>,
    /// How many redirects were followed.
    pub redirects: u32,
    /// The answer's `content-length`.
    pub content_length: Option<u64>,
    /// Bytes of the body that were read.
    pub body_bytes: u64,
    /// `last-modified` of the answer.
    pub last_modified: Option<Timestamp>,
    /// What TLS showed, when there was any.
    pub tls: Option<Tls>,
    /// Attempts made, the first included.
    pub attempts: u32,
    /// The trace id that was sent along.
    pub trace_id: String,
}

/// Seconds spent in each phase; blackbox_exporter's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Looking the name up.
    pub resolve: f64,
    /// TCP connect.
    pub connect: f64,
    /// TLS handshake.
    pub tls: f64,
    /// From the request sent to the first byte of the answer.
    pub processing: f64,
    /// Reading the body.
    pub transfer: f64,
}

impl Phases {
    /// Name and seconds of each phase.
    #[must_use]
    pub fn each(&self) -> [(&'static str, f64); 5] {
        [
            ("resolve", self.resolve),
            ("connect", self.connect),
            ("tls", self.tls),
            ("processing", self.processing),
            ("transfer", self.transfer),
        ]
    }
}

/// What the server's certificates said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tls {
    /// `TLS 1.3`.
    pub version: String,
    /// The cipher suite.
    pub cipher: String,
    /// The first certificate of the chain sent to end.
    pub earliest_expiry: Option<Timestamp>,
    /// Subject of the leaf.
    pub subject: String,
    /// Issuer of the leaf.
    pub issuer: String,
    /// Names the leaf is for.
    pub names: Vec<String>,
    /// Why the chain is not trusted, if it is not.
    pub untrusted: Option<String>,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure, for labels and filters.
    pub class: FailureClass,
    /// What happened, for a person.
    pub reason: String,
}

impl Failure {
    /// A failure.
    pub fn new(class: FailureClass, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into() }
    }

    /// The run did not end in time; `phase` is how far it got.
    #[must_use]
    pub fn timeout(timeout: Duration, phase: &str) -> Self {
        Self::new(
            FailureClass::Timeout,
            format!("no result within {} ms; it was in phase {phase}", timeout.as_millis()),
        )
    }
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The name has no address.
    Dns,
    /// Nobody listens.
    ConnectionRefused,
    /// The connection broke.
    ConnectionReset,
    /// No way there.
    Unreachable,
    /// The handshake failed or the certificate is not trusted.
    Tls,
    /// It took too long.
    Timeout,
    /// The answer is not HTTP.
    MalformedResponse,
    /// More redirects than allowed.
    TooManyRedirects,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The address is one that checks may not reach.
    Blocked,
    /// An expectation was not met.
    Assertion,
    /// The checker's own fault; says nothing about the target.
    Checker,
}

impl FailureClass {
    /// The word in labels and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionReset => "connection_reset",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::MalformedResponse => "malformed_response",
            Self::TooManyRedirects => "too_many_redirects",
            Self::BodyTooLarge => "body_too_large",
            Self::Blocked => "blocked",
            Self::Assertion => "assertion",
            Self::Checker => "checker",
        }
    }
}
