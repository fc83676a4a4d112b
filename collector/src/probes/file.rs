//! Files with checks: `checks: [{name, url, …}]`.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use http::{HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;
use yagura_daemon::{
    config::{self, ConfigError, DurationText, Faults, Validate},
    secret::{self, Secret},
    tls::ClientFiles,
};

use super::{
    expect::Expect,
    ssrf::{Network, Policy},
};

/// Checks do not run more often than this.
const SHORTEST_INTERVAL: DurationText = DurationText::seconds(1);
/// No run takes longer than this.
const LONGEST_TIMEOUT: DurationText = DurationText::seconds(60);

/// A whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// The checks.
    pub checks: Vec<Check>,
}

/// One HTTP check.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Check {
    /// Its name, unique; the label `check`.
    pub name: String,
    /// What to ask: `http://…` or `https://…`.
    pub url: String,
    /// How often.
    pub interval: DurationText,
    /// When to give up on an attempt; less than the interval.
    pub timeout: Option<DurationText>,
    /// The method.
    pub method: String,
    /// Headers to send.
    pub headers: BTreeMap<String, String>,
    /// The body to send.
    pub body: Option<String>,
    /// A file with a token to send as `Authorization: Bearer`.
    pub bearer_token_file: Option<PathBuf>,
    /// A user and a file with the password to send as basic authentication.
    pub basic_auth: Option<BasicAuth>,
    /// How many redirects are followed; 0 for none.
    pub max_redirects: u32,
    /// `ipv4` or `ipv6` to use only that.
    pub ip_family: IpFamily,
    /// What to trust and to show.
    pub tls: Tls,
    /// What the answer must be.
    pub expect: Expect,
    /// The largest body that is read.
    pub max_body: config::SizeText,
    /// Attempts after a failed one, before the run counts as failed.
    pub retries: u32,
    /// How long to wait between attempts.
    pub retry_after: DurationText,
    /// Failed runs in a row until the verdict is `down`.
    pub failures: u32,
    /// Successful runs in a row until the verdict is `up` again.
    pub successes: u32,
    /// Allows addresses that are not on the public internet, the loopback included.
    pub allow_private: bool,
    /// Networks inside that are allowed, such as `10.1.0.0/16`.
    pub allow: Vec<String>,
    /// `service`, `env`, `role` and others; labels of every series of the check.
    pub tags: BTreeMap<String, String>,
}

/// The `basic_auth` block.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// A file with the password.
    pub password_file: PathBuf,
}

/// The `tls` block of a check.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PEM: the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The name the certificate must be for, instead of the URL's host.
    pub server_name: Option<String>,
    /// Accept any certificate; its end is reported all the same.
    pub insecure_skip_verify: bool,
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpFamily {
    /// The first one the resolver gives.
    #[default]
    Any,
    /// Only IPv4.
    Ipv4,
    /// Only IPv6.
    Ipv6,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            interval: DurationText::seconds(30),
            timeout: None,
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            body: None,
            bearer_token_file: None,
            basic_auth: None,
            max_redirects: 10,
            ip_family: IpFamily::Any,
            tls: Tls::default(),
            expect: Expect::default(),
            max_body: config::SizeText::mib(4),
            retries: 0,
            retry_after: DurationText::seconds(1),
            failures: 1,
            successes: 1,
            allow_private: false,
            allow: Vec::new(),
            tags: BTreeMap::new(),
        }
    }
}

impl Check {
    /// When to give up on an attempt: as asked, else the interval up to 10 s.
    #[must_use]
    pub fn timeout(&self) -> std::time::Duration {
        self.timeout.unwrap_or(DurationText::seconds(10)).0.min(self.interval.0)
    }

    /// Where it may connect.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let allow = self.allow.iter().filter_map(|network| Network::parse(network)).collect();
        Policy { allow_private: self.allow_private, allow }
    }

    /// The value of `Authorization`, if there is one; read anew for each run, so that a secret can be rotated.
    pub(super) fn authorization(&self) -> Result<Option<Secret>, secret::Error> {
        if let Some(path) = &self.bearer_token_file {
            return Ok(Some(Secret::new(format!("Bearer {}", secret::read(path)?.expose()))));
        }
        let Some(basic) = &self.basic_auth else { return Ok(None) };
        let password = secret::read(&basic.password_file)?;
        let pair = format!("{}:{}", basic.username, password.expose());
        Ok(Some(Secret::new(format!("Basic {}", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, pair)))))
    }

    /// TLS files in the shape that `yagura_daemon::tls` reads.
    pub(super) fn tls_files(&self) -> ClientFiles {
        ClientFiles { ca_file: self.tls.ca_file.clone(), ..ClientFiles::default() }
    }
}

impl Validate for File {
    fn validate(&self, faults: &mut Faults) {
        let mut names = HashSet::new();
        for (index, check) in self.checks.iter().enumerate() {
            faults.within(format!("checks[{index}]"), |faults| {
                check.validate(faults);
                if !names.insert(&check.name) {
                    faults.add("name", format!("another name; `{}` is taken by a check above", check.name));
                }
            });
        }
    }
}

impl Validate for Check {
    fn validate(&self, faults: &mut Faults) {
        if self.name.is_empty() {
            faults.add("name", "a name");
        }
        let https = self.url.parse::<Uri>().ok().and_then(|uri| {
            uri.authority()?;
            match uri.scheme_str()? {
                "https" => Some(true),
                "http" => Some(false),
                _ => None,
            }
        });
        if https.is_none() {
            faults.add("url", format!("a URL that begins with http:// or https://, not `{}`", self.url));
        }
        if self.interval < SHORTEST_INTERVAL {
            faults.add("interval", "at least 1s");
        }
        if let Some(timeout) = self.timeout
            && (timeout > self.interval || timeout > LONGEST_TIMEOUT || timeout.0.is_zero())
        {
            faults.add("timeout", "more than 0, at most the interval and at most 60s");
        }
        if Method::from_bytes(self.method.as_bytes()).is_err() {
            faults.add("method", format!("an HTTP method, not `{}`", self.method));
        }
        for (name, value) in &self.headers {
            if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err() {
                faults.add(format!("headers.{name}"), "a header's name and value without control characters");
            }
        }
        for (index, network) in self.allow.iter().enumerate().filter(|(_, network)| Network::parse(network).is_none()) {
            faults.add(format!("allow[{index}]"), format!("a network such as 10.1.0.0/16, not `{network}`"));
        }
        if self.failures == 0 || self.successes == 0 {
            faults.add(if self.failures == 0 { "failures" } else { "successes" }, "at least 1");
        }
        if self.basic_auth.is_some() && self.bearer_token_file.is_some() {
            faults.add("basic_auth", "either basic_auth or bearer_token_file, not both");
        }
        for tag in
            self.tags.keys().filter(|tag| ["check", "location", "phase", "job", "instance"].contains(&tag.as_str()))
        {
            faults.add(format!("tags.{tag}"), "another name; this one is a label of the check's own series");
        }
        faults.within("expect", |faults| self.expect.validate(https == Some(true), faults));
    }
}

/// Reads the checks of all files; a name may stand in only one of them.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Check>, ConfigError> {
    let mut checks: Vec<Check> = Vec::new();
    for path in paths {
        let file: File = config::load(path)?;
        for check in file.checks {
            if checks.iter().any(|other| other.name == check.name) {
                return Err(taken(path, &check.name));
            }
            checks.push(check);
        }
    }
    Ok(checks)
}

fn taken(path: &Path, name: &str) -> ConfigError {
    let text = format!("another name; `{name}` is taken by a check in another file");
    ConfigError {
        file: path.display().to_string(),
        faults: vec![config::Fault { place: None, key: "name".to_owned(), text }],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn refused(text: &str, expected: &str) {
        let error = config::parse::<File>("checks.yaml", text, &HashMap::new()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\ndoes not contain\n{expected}");
    }

    #[test]
    fn a_check_needs_only_a_name_and_a_url() {
        let text = "checks:\n  - {name: a, url: 'https://example.com/'}\n";
        let file: File = config::parse("checks.yaml", text, &HashMap::new()).unwrap();
        assert_eq!(file.checks[0].timeout(), std::time::Duration::from_secs(10));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        refused("checks:\n  - {name: a, url: 'ftp://x/'}\n", "checks.yaml:2:");
        refused("checks:\n  - {name: a, url: 'ftp://x/'}\n", "begins with http:// or https://");
        refused("checks:\n  - {name: a, url: 'http://x/', intervall: 3s}\n", "intervall");
        refused("checks:\n  - {name: a, url: 'http://x/', interval: 1s, timeout: 2s}\n", "at most the interval");
        refused("checks:\n  - {name: a, url: 'http://x/'}\n  - {name: a, url: 'http://y/'}\n", "is taken");
        refused("checks:\n  - {name: a, url: 'http://x/', allow: [10]}\n", "10.1.0.0/16");
        refused("checks:\n  - {name: a, url: 'http://x/', expect: {certificate_days: 3}}\n", "no certificate");
        refused("checks:\n  - {name: a, url: 'http://x/', tags: {job: x}}\n", "label of the check's own series");
        refused("checks:\n  - {name: a, url: 'http://x/', expect: {status: [999]}}\n", "a status such as 200");
    }
}
