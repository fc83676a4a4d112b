//! The collector's config: one field per stage, every key with a default that works.
//!
//! [`Config`] is what is written; [`Config::read_files`] reads the files it names (rules, routes, checks) and gives
//! what `app` starts from. What is wrong with any of them is one line with file, line, column and key.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    path::PathBuf,
};

use serde::{Deserialize, Deserializer, de};
use yagura_daemon::{
    auth::{self, Guard},
    config::{ConfigError, DurationText, Faults, Validate},
    logging,
    secret::Secret,
    tls,
};

use crate::{
    files, notifiers, probes,
    query::promql,
    rules::{self, file::is_label_name},
    storage,
};

/// Set to a Slack incoming webhook's URL, it is where alerts go when the config names nobody.
pub const SLACK_VARIABLE: &str = "YAGURA_SLACK_WEBHOOK";

/// The half of the config under `collector:`, or the whole of `collector.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the UI, the HTTP APIs and OTLP over HTTP are served. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where OTLP over gRPC is taken.
    pub otlp: SocketAddr,
    /// How people reach the UI, for links in notifications; `http://` and `listen` when absent.
    pub external_url: Option<String>,
    /// Allows listening to other machines without token and TLS.
    pub insecure: bool,
    /// Tokens besides the admin token, which the first start writes into the data directory.
    pub tokens: Vec<Token>,
    /// TLS of both ports.
    pub tls: Option<tls::ServerFiles>,
    /// Where and how long data is kept.
    pub storage: storage::config::Config,
    /// What one query may cost.
    pub query: Query,
    /// Rule files; when absent the built-in rules are used, and none with an empty list.
    pub rules: Option<Vec<String>>,
    /// How often rule groups without an interval of their own are evaluated.
    pub evaluation_interval: DurationText,
    /// Labels on every alert that leaves, and `$externalLabels` in templates.
    pub external_labels: BTreeMap<String, String>,
    /// Who is told: a file in Alertmanager's format, or a Slack webhook.
    pub notify: Option<Notify>,
    /// Files with synthetic checks.
    pub checks: Vec<String>,
    /// Where checks run from, as the label `location` says it.
    pub location: String,
    /// What the collector says on stderr.
    pub log: logging::Config,
}

/// The `query` block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Samples one query may read and hold.
    pub max_samples: u64,
    /// How long it may take.
    pub timeout: DurationText,
    /// How old the latest sample of a series may be.
    pub lookback: DurationText,
}

/// A bearer token and what it may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The file that holds the token.
    pub token_file: PathBuf,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// What a token may do; `admin` includes the others.
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

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notify {
    /// A file in Alertmanager's format.
    File(String),
    /// One Slack channel is told everything.
    Slack {
        /// The file with the incoming webhook's URL.
        webhook_file: PathBuf,
    },
}

/// The map form of `notify`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotifySlack {
    slack_webhook_file: PathBuf,
}

impl<'de> Deserialize<'de> for Notify {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Notify;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a file in Alertmanager's format, or {slack_webhook_file: …}")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<Notify, E> {
                Ok(Notify::File(path.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Notify, A::Error> {
                let slack = NotifySlack::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Notify::Slack { webhook_file: slack.slack_webhook_file })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
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
            query: Query::default(),
            rules: None,
            evaluation_interval: DurationText::seconds(15),
            external_labels: BTreeMap::new(),
            notify: None,
            checks: Vec::new(),
            location: "collector".to_owned(),
            log: logging::Config::default(),
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        let limits = promql::Limits::default();
        Self {
            max_samples: limits.max_samples,
            timeout: DurationText(limits.timeout),
            lookback: DurationText(limits.lookback),
        }
    }
}

impl Query {
    /// The budget of a PromQL query.
    #[must_use]
    pub fn limits(&self) -> promql::Limits {
        promql::Limits {
            max_samples: self.max_samples,
            timeout: self.timeout.0,
            lookback: self.lookback.0,
            ..promql::Limits::default()
        }
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        let guard = Guard { token: !self.tokens.is_empty(), tls: self.tls.is_some(), insecure: self.insecure };
        auth::check_listener("listen", self.listen, guard, faults);
        auth::check_listener("otlp", self.otlp, guard, faults);
        if let Some(url) = &self.external_url {
            let good = url.parse::<http::Uri>().is_ok_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some() && uri.query().is_none()
            });
            if !good {
                faults.add("external_url", "expected a URL such as https://yagura.example.com");
            }
        }
        for (index, token) in self.tokens.iter().enumerate() {
            if token.scopes.is_empty() {
                faults.add(format_args!("tokens[{index}].scopes"), "expected at least one of ingest, read, admin");
            }
        }
        faults.check("storage", &self.storage);
        faults.check("log", &self.log);
        for (key, duration) in [
            ("evaluation_interval", self.evaluation_interval),
            ("query.timeout", self.query.timeout),
            ("query.lookback", self.query.lookback),
        ] {
            if duration.0.is_zero() {
                faults.add(key, "expected more than 0s");
            }
        }
        for label in self.external_labels.keys().filter(|label| !is_label_name(label)) {
            faults.add(format_args!("external_labels.{label}"), "expected letters, digits and `_`");
        }
        if self.location.is_empty() {
            faults.add("location", "expected a name for the place that checks run from");
        }
    }
}

/// What the files that a config names say.
#[derive(Debug)]
pub struct Files {
    /// Groups of rules.
    pub rules: Vec<rules::file::Group>,
    /// Who is told.
    pub notify: notifiers::file::Config,
    /// Synthetic checks.
    pub checks: Vec<probes::Check>,
}

impl Config {
    /// Reads every file the config names; the errors are of all of them.
    pub fn read_files(&self, environment: &HashMap<String, String>) -> Result<Files, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let rules = match &self.rules {
            None => rules::shipped::groups().map_err(|error| vec![error]),
            Some(patterns) => rules::file::load(patterns),
        };
        let rules = rules.unwrap_or_else(|found| {
            errors.extend(found);
            Vec::new()
        });
        let notify = self.notifiers(environment).unwrap_or_else(|error| {
            errors.push(error);
            notifiers::file::Config::nobody()
        });
        let mut paths = Vec::new();
        for pattern in &self.checks {
            match files::find(pattern) {
                Ok(found) => paths.extend(found.into_iter().map(PathBuf::from)),
                Err(error) => errors.push(error),
            }
        }
        let checks = probes::file::load(&paths).unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        });
        if errors.is_empty() { Ok(Files { rules, notify, checks }) } else { Err(errors) }
    }

    fn notifiers(&self, environment: &HashMap<String, String>) -> Result<notifiers::file::Config, ConfigError> {
        use notifiers::file::{Config as Routes, SecretText};
        match (&self.notify, environment.get(SLACK_VARIABLE)) {
            (Some(Notify::File(path)), _) => notifiers::file::load(path),
            (Some(Notify::Slack { webhook_file }), _) => Ok(Routes::slack(SecretText::File(webhook_file.clone()))),
            (None, Some(url)) if !url.is_empty() => {
                // The variable's value is a secret and must not be shown in the error.
                let good =
                    url.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.authority().is_some());
                if !good {
                    return Err(files::fault(SLACK_VARIABLE, "expected the URL of a Slack incoming webhook"));
                }
                Ok(Routes::slack(SecretText::Inline(Secret::new(url.as_str()))))
            }
            (None, _) => Ok(Routes::nobody()),
        }
    }
}

#[cfg(test)]
mod tests {
    use yagura_daemon::config::parse;

    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        parse("collector.yaml", text, &HashMap::new()).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        assert_eq!(read(text).unwrap_err(), expected);
    }

    #[test]
    fn the_defaults_are_good() {
        let config = read("# nothing\n").unwrap();
        assert_eq!(config.listen.port(), 7400);
        config.read_files(&HashMap::new()).unwrap();
    }

    #[test]
    fn the_reference_config_is_good() {
        let config = read(include_str!("../../deploy/config/collector.yaml")).unwrap();
        assert_eq!(config.tokens.len(), 2);
        let checks = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/config/checks.yaml");
        assert_eq!(probes::file::load(&[PathBuf::from(checks)]).unwrap().len(), 3);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        refused(
            "listen: 0.0.0.0:7400\n",
            "collector.yaml:1:1: listen: expected a loopback address: 0.0.0.0:7400 can be reached from other \
             machines, which needs a token file and TLS (or `insecure: true`)",
        );
        refused(
            "external_url: yagura\n",
            "collector.yaml:1:1: external_url: expected a URL such as https://yagura.example.com",
        );
        refused(
            "tokens: [{token_file: /t, scopes: []}]\n",
            "collector.yaml:1:27: tokens[0].scopes: expected at least one of ingest, read, admin",
        );
        refused("evaluation_interval: 0s\n", "collector.yaml:1:1: evaluation_interval: expected more than 0s");
        refused(
            "external_labels: {a-b: c}\n",
            "collector.yaml:1:19: external_labels.a-b: expected letters, digits and `_`",
        );
        let error = read("notify: {slack_webhook: x}\n").unwrap_err();
        assert!(error.starts_with("collector.yaml:1:10: notify.slack_webhook: unknown key"), "{error}");
    }

    #[test]
    fn notify_is_a_file_or_a_webhook() {
        assert_eq!(read("notify: a.yaml\n").unwrap().notify, Some(Notify::File("a.yaml".to_owned())));
        let slack = Notify::Slack { webhook_file: PathBuf::from("/w") };
        assert_eq!(read("notify: {slack_webhook_file: /w}\n").unwrap().notify, Some(slack));
    }

    #[test]
    fn the_environment_names_slack_when_the_config_names_nobody() {
        let with = |url: &str| HashMap::from([(SLACK_VARIABLE.to_owned(), url.to_owned())]);
        let files = Config::default().read_files(&with("https://hooks.slack.com/services/T/B/verysecret")).unwrap();
        assert_eq!(files.notify.receivers[0].name, "slack");
        let errors = Config::default().read_files(&with("verysecret")).unwrap_err();
        assert_eq!(errors[0].to_string(), "YAGURA_SLACK_WEBHOOK: expected the URL of a Slack incoming webhook");
    }

    #[test]
    fn faults_of_every_file_are_told() {
        let config = read("rules: [/nowhere/a.yaml, /nowhere/b.yaml]\nnotify: /nowhere/n.yaml\n").unwrap();
        let errors = config.read_files(&HashMap::new()).unwrap_err();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert_eq!(errors[0], "/nowhere/a.yaml: no such file");
    }
}
