//! The config as Alertmanager's status page shows it: what is in force, with every secret blotted out.
//!
//! It is made anew from what was read rather than copied from the file, so that no secret can slip through. JSON is
//! YAML, which is what readers (amtool, Grafana) expect.

use serde_json::{Map, Value, json};
use yagura_daemon::config::DurationText;

use super::{
    file::{Config, InhibitRule, Integration, Receiver},
    matcher::Matcher,
};

const SECRET: &str = "<secret>";

/// The text of the config.
pub(super) fn text(config: &Config) -> String {
    let value = json!({
        "global": {"resolve_timeout": DurationText(config.resolve_timeout)},
        "route": route(config, 0),
        "receivers": config.receivers.iter().map(receiver).collect::<Vec<_>>(),
        "inhibit_rules": config.inhibit.iter().map(inhibit).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn route(config: &Config, place: usize) -> Value {
    let Some(route) = config.routes.get(place) else { return Value::Null };
    let mut shown = Map::new();
    shown.insert("receiver".to_owned(), route.receiver.as_str().into());
    shown.insert("group_by".to_owned(), json!(route.group_by));
    for (name, duration) in [
        ("group_wait", route.timing.group_wait),
        ("group_interval", route.timing.group_interval),
        ("repeat_interval", route.timing.repeat_interval),
    ] {
        shown.insert(name.to_owned(), json!(DurationText(duration)));
    }
    if !route.matchers.is_empty() {
        shown.insert("matchers".to_owned(), texts(&route.matchers));
    }
    if route.goes_on {
        shown.insert("continue".to_owned(), true.into());
    }
    if !route.children.is_empty() {
        let children = route.children.iter().map(|child| self::route(config, *child));
        shown.insert("routes".to_owned(), children.collect());
    }
    shown.into()
}

fn texts(matchers: &[Matcher]) -> Value {
    matchers.iter().map(|matcher| Value::from(matcher.to_string())).collect()
}

fn receiver(receiver: &Receiver) -> Value {
    let (mut slack, mut webhook) = (Vec::new(), Vec::new());
    for integration in &receiver.integrations {
        match integration {
            Integration::Slack(one) => {
                let channel = one.channel.as_deref().unwrap_or_default();
                slack.push(json!({"api_url": SECRET, "send_resolved": one.send_resolved, "channel": channel}));
            }
            Integration::Webhook(one) => {
                webhook.push(json!({"url": SECRET, "send_resolved": one.send_resolved, "max_alerts": one.max_alerts}));
            }
        }
    }
    let mut shown = Map::new();
    shown.insert("name".to_owned(), receiver.name.as_str().into());
    for (name, list) in [("slack_configs", slack), ("webhook_configs", webhook)] {
        if !list.is_empty() {
            shown.insert(name.to_owned(), list.into());
        }
    }
    shown.into()
}

fn inhibit(rule: &InhibitRule) -> Value {
    json!({
        "source_matchers": texts(&rule.source),
        "target_matchers": texts(&rule.target),
        "equal": rule.equal,
    })
}
