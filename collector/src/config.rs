//! The collector's config: one field per stage, every key with a default that works.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use yagura_daemon::config::DurationText;

use crate::storage;

/// The half of the config under `collector:`, or the whole of `collector.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the UI, the HTTP APIs and OTLP over HTTP are served. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where OTLP over gRPC is taken.
    pub otlp: SocketAddr,
    /// How people reach the UI; for links in notifications. Default: `http://` and `listen`.
    pub external_url: Option<String>,
    /// Allows a `listen` or `otlp` off the loopback without token or TLS.
    pub insecure: bool,
    /// Tokens besides the admin token that the first start writes.
    pub tokens: Vec<Token>,
    /// Certificate of both ports.
    pub tls: Option<Tls>,
    /// Where and how long data is kept.
    pub storage: storage::config::Config,
    /// Rule files; left out, the built-in rules are used.
    pub rules: Option<Vec<String>>,
    /// How often rule groups without an interval of their own are evaluated.
    pub evaluation_interval: DurationText,
    /// Labels for `$externalLabels` in templates, and on every alert that leaves.
    pub external_labels: BTreeMap<String, String>,
    /// Files with synthetic checks.
    pub checks: Vec<String>,
}

/// A bearer token and what it may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The file that holds the token.
    pub token_file: PathBuf,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<Scope>,
}

/// What a token may do; each includes nothing of the others but `admin`, which includes all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Send data.
    Ingest,
    /// Query.
    Read,
    /// Everything, silences included.
    Admin,
}

/// The `tls` block.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate chain.
    pub cert_file: PathBuf,
    /// PEM file with the private key.
    pub key_file: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
            otlp: SocketAddr::from(([127, 0, 0, 1], 7417)),
            external_url: None,
            insecure: false,
            tokens: Vec::new(),
            tls: None,
            storage: storage::config::Config::default(),
            rules: None,
            evaluation_interval: DurationText(std::time::Duration::from_secs(15)),
            external_labels: BTreeMap::new(),
            checks: Vec::new(),
        }
    }
}
