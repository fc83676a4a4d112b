//! `notify.yaml`: Alertmanager's format, as far as it is built in. Unknown keys are errors.
//!
//! In: the text of the file. Out: [`Config`], checked: receivers exist, matchers and templates are good. The format:
//! <https://prometheus.io/docs/alerting/latest/configuration/>.

mod raw;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use yagura_daemon::{
    config::{self, ConfigError, DurationText},
    secret::Secret,
    tls::ClientFiles,
};

use self::raw::{RawFile, RawGlobal, RawInhibit, RawReceiver, RawRoute, RawSlack, RawWebhook};
use super::{
    interval,
    matcher::{self, Matcher},
    route::{Route, Timing},
};
use crate::{
    files::{self, Checked},
    rules::template::Template,
};

/// Everything that says who is told what, and when.
#[derive(Debug)]
pub struct Config {
    /// The tree of routes, flattened; the first is the root.
    pub routes: Vec<Route>,
    /// Who can be told.
    pub receivers: Vec<Receiver>,
    /// What keeps other alerts quiet.
    pub inhibit: Vec<InhibitRule>,
    /// Named times.
    pub intervals: BTreeMap<String, Vec<interval::Checked>>,
    /// When an alert that came over the API without an end is taken for resolved.
    pub resolve_timeout: Duration,
}

/// A name and the ways it is told.
#[derive(Debug)]
pub struct Receiver {
    /// The name that routes use.
    pub name: String,
    /// Ways, in the order of the file.
    pub integrations: Vec<Integration>,
}

/// One way to tell people.
#[derive(Debug)]
pub enum Integration {
    /// Slack's incoming webhook.
    Slack(Box<Slack>),
    /// Alertmanager's payload over HTTP.
    Webhook(Box<Webhook>),
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretText {
    /// It stands in the config.
    Inline(Secret),
    /// It stands in a file, which may be replaced while we run.
    File(PathBuf),
}

/// A Slack incoming webhook.
#[derive(Debug)]
pub struct Slack {
    /// The webhook's URL; its path is the secret.
    pub url: SecretText,
    /// Whether the end of an alert is told too.
    pub send_resolved: bool,
    /// Overrides the webhook's own channel where the workspace allows it.
    pub channel: Option<String>,
    /// Templates of the message; those left out take our own form.
    pub templates: SlackTemplates,
}

/// The templates of a Slack message that the config may set.
#[derive(Debug, Default)]
pub struct SlackTemplates {
    /// The bold first line.
    pub title: Option<Template>,
    /// Where it leads.
    pub title_link: Option<Template>,
    /// The text below.
    pub text: Option<Template>,
    /// Above the coloured bar.
    pub pretext: Option<Template>,
    /// The bar's colour.
    pub color: Option<Template>,
    /// The small line below.
    pub footer: Option<Template>,
    /// The preview.
    pub fallback: Option<Template>,
    /// The name shown as the sender.
    pub username: Option<String>,
    /// The emoji shown as the sender.
    pub icon_emoji: Option<String>,
    /// The picture shown as the sender.
    pub icon_url: Option<String>,
}

impl SlackTemplates {
    /// Whether the message's form is the config's rather than ours.
    #[must_use]
    pub fn sets_form(&self) -> bool {
        self.title.is_some() || self.text.is_some()
    }
}

/// A webhook that takes Alertmanager's payload.
#[derive(Debug)]
pub struct Webhook {
    /// Where it goes.
    pub url: SecretText,
    /// Whether the end of an alert is told too.
    pub send_resolved: bool,
    /// At most this many alerts in one message; 0 for all.
    pub max_alerts: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// The `Authorization` header.
    pub authorization: Option<Authorization>,
    /// What TLS trusts and shows.
    pub tls: ClientFiles,
}

/// An `Authorization` header's making.
#[derive(Debug)]
pub enum Authorization {
    /// A scheme (`Bearer`) and credentials.
    Token(String, SecretText),
    /// A user and a password.
    Basic(String, SecretText),
}

/// Alerts that keep others quiet.
#[derive(Clone, Debug)]
pub struct InhibitRule {
    /// Which alerts keep quiet.
    pub source: Vec<Matcher>,
    /// Which alerts are kept quiet.
    pub target: Vec<Matcher>,
    /// Labels that must be the same on both.
    pub equal: Vec<String>,
}

impl Config {
    /// Tells nobody; alerts are still grouped and shown.
    #[must_use]
    pub fn nobody() -> Self {
        Self::with_receiver(Receiver { name: "nobody".to_owned(), integrations: Vec::new() })
    }

    /// Tells one Slack channel everything, the end of an alert too.
    #[must_use]
    pub fn slack(url: SecretText) -> Self {
        let slack = Slack { url, send_resolved: true, channel: None, templates: SlackTemplates::default() };
        let integrations = vec![Integration::Slack(Box::new(slack))];
        Self::with_receiver(Receiver { name: "slack".to_owned(), integrations })
    }

    fn with_receiver(receiver: Receiver) -> Self {
        let timing = Timing { group_wait: Duration::from_secs(10), ..Timing::default() };
        let root = Route::root(&receiver.name, &["alertname", "env"], timing);
        Self {
            routes: vec![root],
            receivers: vec![receiver],
            inhibit: Vec::new(),
            intervals: BTreeMap::new(),
            resolve_timeout: Duration::from_secs(300),
        }
    }
}

/// Reads a file.
pub fn load(file: &str) -> Result<Config, ConfigError> {
    parse(file, &files::read(file)?)
}

/// Reads the text of a file; `file` is for messages, and for finding templates beside it.
pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    let raw: RawFile = config::parse_verbatim(file, text)?;
    let mut reader = Reader {
        checked: Checked::new(file, text),
        definitions: String::new(),
        receivers: raw.receivers.iter().map(|receiver| receiver.name.clone()).collect(),
        intervals: BTreeMap::new(),
        global: raw.global,
        routes: Vec::new(),
    };
    reader.read_definitions(&raw.templates);
    for (key, named) in [("time_intervals", raw.time_intervals), ("mute_time_intervals", raw.mute_time_intervals)] {
        reader.read_intervals(key, &named);
    }
    let receivers = raw.receivers.into_iter().enumerate();
    let receivers = receivers.map(|(index, raw)| reader.receiver(index, raw)).collect();
    match raw.route {
        Some(route) => {
            if !route.matchers.is_empty() || !route.equal.is_empty() || !route.match_re.is_empty() {
                reader.checked.fault("route", "the first route takes every alert and has no matchers");
            }
            reader.route(route, "route", None);
        }
        None => reader.checked.fault("", "expected `route`: who is told"),
    }
    let inhibit = raw.inhibit_rules.into_iter().enumerate();
    let inhibit = inhibit.map(|(index, raw)| reader.inhibit(index, raw)).collect();
    let config = Config {
        routes: reader.routes,
        receivers,
        inhibit,
        intervals: reader.intervals,
        resolve_timeout: reader.global.resolve_timeout.map_or(Duration::from_secs(300), |timeout| timeout.0),
    };
    reader.checked.finish(config)
}

struct Reader<'a> {
    checked: Checked<'a>,
    /// Text of the template files: their `define` blocks stand in front of each template.
    definitions: String,
    receivers: Vec<String>,
    intervals: BTreeMap<String, Vec<interval::Checked>>,
    global: RawGlobal,
    routes: Vec<Route>,
}

impl Reader<'_> {
    fn read_definitions(&mut self, patterns: &[String]) {
        for (index, pattern) in patterns.iter().enumerate() {
            let key = format!("templates[{index}]");
            let texts = files::find(pattern).and_then(|found| found.iter().map(|file| files::read(file)).collect());
            match texts {
                Ok::<Vec<String>, _>(texts) => self.definitions.extend(texts),
                Err(error) => self.checked.fault(&key, error.to_string()),
            }
        }
        if let Err(error) = Template::parse(&self.definitions) {
            self.checked.fault("templates", format!("bad template: {error}"));
            self.definitions.clear();
        }
    }

    fn read_intervals(&mut self, key: &str, named: &[interval::Named]) {
        for (index, named) in named.iter().enumerate() {
            let mut intervals = Vec::with_capacity(named.time_intervals.len());
            for (place, interval) in named.time_intervals.iter().enumerate() {
                match interval.check() {
                    Ok(interval) => intervals.push(interval),
                    Err((field, text)) => {
                        self.checked.fault(&format!("{key}[{index}].time_intervals[{place}].{field}"), text);
                    }
                }
            }
            if self.intervals.insert(named.name.clone(), intervals).is_some() {
                self.checked.fault(&format!("{key}[{index}].name"), format!("`{}` is given twice", named.name));
            }
        }
    }

    /// Adds a route and its children; the answer is its place.
    fn route(&mut self, raw: RawRoute, key: &str, parent: Option<usize>) -> usize {
        let above = parent.and_then(|parent| self.routes.get(parent)).cloned();
        if let Some(name) = &raw.receiver
            && !self.receivers.contains(name)
        {
            self.checked.fault(&format!("{key}.receiver"), format!("no receiver is called `{name}`"));
        }
        if raw.receiver.is_none() && above.is_none() {
            self.checked.fault(&format!("{key}.receiver"), "expected the name of a receiver");
        }
        let mut matchers = self.matchers(&raw.matchers, &format!("{key}.matchers"));
        matchers.extend(self.classic(&raw.equal, false, &format!("{key}.match")));
        matchers.extend(self.classic(&raw.match_re, true, &format!("{key}.match_re")));
        let mut route = match &above {
            Some(above) => above.child(matchers),
            None => Route::root("", &[], Timing::default()),
        };
        if let Some(receiver) = raw.receiver {
            route.receiver = receiver;
        }
        if let Some(group_by) = raw.group_by {
            route.group_by_all = group_by.iter().any(|name| name == "...");
            route.group_by = group_by;
        }
        self.timing(&mut route.timing, [raw.group_wait, raw.group_interval, raw.repeat_interval], key);
        route.goes_on = raw.goes_on;
        for (field, names) in [("mute", &raw.mute_time_intervals), ("active", &raw.active_time_intervals)] {
            for name in names.iter().filter(|name| !self.intervals.contains_key(*name)) {
                let key = format!("{key}.{field}_time_intervals");
                self.checked.fault(&key, format!("no time interval is called `{name}`"));
            }
        }
        route.mute = raw.mute_time_intervals;
        route.active = raw.active_time_intervals;
        let place = self.routes.len();
        self.routes.push(route);
        let mut children = Vec::with_capacity(raw.routes.len());
        for (index, child) in raw.routes.into_iter().enumerate() {
            children.push(self.route(child, &format!("{key}.routes[{index}]"), Some(place)));
        }
        if let Some(route) = self.routes.get_mut(place) {
            route.children = children;
        }
        place
    }

    fn timing(&mut self, timing: &mut Timing, given: [Option<DurationText>; 3], key: &str) {
        let [wait, interval, repeat] = given;
        if let Some(wait) = wait {
            timing.group_wait = wait.0;
        }
        for (given, held, field) in [
            (interval, &mut timing.group_interval, "group_interval"),
            (repeat, &mut timing.repeat_interval, "repeat_interval"),
        ] {
            if let Some(given) = given {
                if given.0.is_zero() {
                    self.checked.fault(&format!("{key}.{field}"), "expected more than 0s");
                }
                *held = given.0;
            }
        }
    }

    fn matchers(&mut self, texts: &[String], key: &str) -> Vec<Matcher> {
        let mut matchers = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match matcher::parse(text) {
                Ok(parsed) => matchers.extend(parsed),
                Err(error) => self.checked.fault(&format!("{key}[{index}]"), error.to_string()),
            }
        }
        matchers
    }

    fn classic(&mut self, pairs: &BTreeMap<String, String>, is_regex: bool, key: &str) -> Vec<Matcher> {
        let mut matchers = Vec::new();
        for (name, value) in pairs {
            match Matcher::new(name, value, is_regex, true) {
                Ok(matcher) => matchers.push(matcher),
                Err(error) => self.checked.fault(&format!("{key}.{name}"), error.to_string()),
            }
        }
        matchers
    }

    fn inhibit(&mut self, index: usize, raw: RawInhibit) -> InhibitRule {
        let key = format!("inhibit_rules[{index}]");
        let mut source = self.matchers(&raw.source_matchers, &format!("{key}.source_matchers"));
        source.extend(self.classic(&raw.source_match, false, &format!("{key}.source_match")));
        source.extend(self.classic(&raw.source_match_re, true, &format!("{key}.source_match_re")));
        let mut target = self.matchers(&raw.target_matchers, &format!("{key}.target_matchers"));
        target.extend(self.classic(&raw.target_match, false, &format!("{key}.target_match")));
        target.extend(self.classic(&raw.target_match_re, true, &format!("{key}.target_match_re")));
        InhibitRule { source, target, equal: raw.equal }
    }

    fn receiver(&mut self, index: usize, raw: RawReceiver) -> Receiver {
        let key = format!("receivers[{index}]");
        if self.receivers.iter().take(index).any(|name| *name == raw.name) {
            self.checked.fault(&format!("{key}.name"), format!("receiver `{}` is given twice", raw.name));
        }
        let mut integrations = Vec::new();
        for (place, slack) in raw.slack_configs.into_iter().enumerate() {
            let slack = self.slack(slack, &format!("{key}.slack_configs[{place}]"));
            integrations.extend(slack.map(|slack| Integration::Slack(Box::new(slack))));
        }
        for (place, webhook) in raw.webhook_configs.into_iter().enumerate() {
            let webhook = self.webhook(webhook, &format!("{key}.webhook_configs[{place}]"));
            integrations.extend(webhook.map(|webhook| Integration::Webhook(Box::new(webhook))));
        }
        Receiver { name: raw.name, integrations }
    }

    fn slack(&mut self, raw: RawSlack, key: &str) -> Option<Slack> {
        let url = match self.secret(raw.api_url, raw.api_url_file, &format!("{key}.api_url"), true) {
            Some(url) => Some(url),
            None => {
                let global = (self.global.slack_api_url.clone(), self.global.slack_api_url_file.clone());
                self.secret(global.0, global.1, "global.slack_api_url", true)
            }
        };
        if url.is_none() {
            self.checked.fault(key, "expected `api_url_file` (or `api_url`), or `global.slack_api_url_file`");
        }
        let mut template = |text: Option<String>, field: &str| self.template(text, &format!("{key}.{field}"));
        let templates = SlackTemplates {
            title: template(raw.title, "title"),
            title_link: template(raw.title_link, "title_link"),
            text: template(raw.text, "text"),
            pretext: template(raw.pretext, "pretext"),
            color: template(raw.color, "color"),
            footer: template(raw.footer, "footer"),
            fallback: template(raw.fallback, "fallback"),
            username: raw.username,
            icon_emoji: raw.icon_emoji,
            icon_url: raw.icon_url,
        };
        Some(Slack { url: url?, send_resolved: raw.send_resolved.unwrap_or(false), channel: raw.channel, templates })
    }

    fn template(&mut self, text: Option<String>, key: &str) -> Option<Template> {
        let text = text?;
        match self.with_definitions(&text) {
            Ok(template) => Some(template),
            Err(error) => {
                self.checked.fault(key, format!("bad template: {error}"));
                None
            }
        }
    }

    fn with_definitions(&self, text: &str) -> Result<Template, crate::rules::template::Error> {
        let own = Template::parse(text)?;
        let definitions = Template::parse(&self.definitions)?;
        Ok(own.with_definitions(&definitions))
    }

    fn webhook(&mut self, raw: RawWebhook, key: &str) -> Option<Webhook> {
        let given = raw.url.is_some() || raw.url_file.is_some();
        let url = self.secret(raw.url, raw.url_file, &format!("{key}.url"), true);
        if !given {
            self.checked.fault(key, "expected `url` or `url_file`");
        }
        let http = raw.http_config;
        if http.authorization.is_some() && http.basic_auth.is_some() {
            self.checked.fault(&format!("{key}.http_config"), "expected only one of `authorization` and `basic_auth`");
        }
        let mut authorization = None;
        if let Some(raw) = http.authorization {
            let key = format!("{key}.http_config.authorization");
            let secret = self.secret(raw.credentials, raw.credentials_file, &format!("{key}.credentials"), false);
            match secret {
                Some(secret) => {
                    let scheme = raw.scheme.unwrap_or_else(|| "Bearer".to_owned());
                    authorization = Some(Authorization::Token(scheme, secret));
                }
                None => self.checked.fault(&key, "expected `credentials_file` or `credentials`"),
            }
        }
        if let Some(raw) = http.basic_auth {
            let key = format!("{key}.http_config.basic_auth");
            match self.secret(raw.password, raw.password_file, &format!("{key}.password"), false) {
                Some(secret) => authorization = Some(Authorization::Basic(raw.username, secret)),
                None => self.checked.fault(&key, "expected `password_file` or `password`"),
            }
        }
        Some(Webhook {
            url: url?,
            send_resolved: raw.send_resolved.unwrap_or(true),
            max_alerts: raw.max_alerts,
            timeout: raw.timeout.map_or(Duration::from_secs(10), |timeout| timeout.0),
            authorization,
            tls: http.tls_config,
        })
    }

    /// A secret given inline or by file. One in a file is read when it is used, so that it can be replaced.
    fn secret(&mut self, inline: Option<String>, file: Option<PathBuf>, key: &str, is_url: bool) -> Option<SecretText> {
        match (inline, file) {
            (Some(_), Some(_)) => {
                let name = key.rsplit('.').next().unwrap_or(key);
                self.checked.fault(key, format!("expected only one of `{name}` and `{name}_file`"));
                None
            }
            (Some(text), None) => {
                let http = text
                    .parse::<http::Uri>()
                    .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some());
                if is_url && !http {
                    self.checked.fault(key, "expected a URL that begins with https://");
                }
                Some(SecretText::Inline(Secret::new(text)))
            }
            (None, Some(path)) => Some(SecretText::File(path)),
            (None, None) => None,
        }
    }
}

impl SecretText {
    /// The secret as it is now.
    pub fn current(&self) -> Result<Secret, yagura_daemon::secret::Error> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => yagura_daemon::secret::read(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_files_are_read_and_bad_ones_refused_with_their_faults() {
        files::check_fixtures("src/notifiers/fixtures", |file, text| parse(file, text).map(drop));
    }

    #[test]
    fn the_reference_config_is_good() {
        let text = include_str!("../../../../deploy/config/notify.yaml");
        let config = parse("notify.yaml", text).unwrap();
        assert!(config.receivers.len() > 1);
    }
}
