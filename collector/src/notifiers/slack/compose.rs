//! A notification → Slack's JSON, built against budgets rather than cut afterwards.
//!
//! Slack's limits: a section's text 3,000 characters, 50 blocks, and, observed but not documented, about 13,200
//! characters for all blocks of a message. Ours are below them. What does not fit is left out alert by alert, and
//! counted with a link to the rest.

use serde_json::{Value, json};
use yagura_daemon::config::DurationText;
use yagura_model::{Labels, Timestamp};

use super::text::{cut, escape, escaped, link};
use crate::{
    notifiers::{
        file::Slack,
        message::{Notification, Told, rfc3339},
    },
    rules::template::{self, Expand, Template},
};

const MAX_HEADLINE: usize = 150;
const MAX_SECTION: usize = 2900;
const MAX_BLOCKS: usize = 45;
/// All blocks as JSON; room is kept for the last line.
const MAX_PAYLOAD: usize = 11_500;
const MAX_SUMMARY: usize = 300;
const MAX_DESCRIPTION: usize = 1200;
const MAX_LABEL: usize = 120;
/// Alertmanager's own limit of a title.
const MAX_TITLE: usize = 1024;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::notifiers) enum Form {
    /// Each alert.
    Full,
    /// The headline and how many.
    Short,
}

/// The message, by the config's templates if it has some.
pub(super) fn message(
    slack: &Slack,
    notification: &Notification,
    external_url: &str,
    form: Form,
) -> Result<Value, template::Error> {
    if slack.templates.sets_form() {
        templated(slack, notification, external_url)
    } else {
        Ok(message_without_templates(slack, notification, external_url, form))
    }
}

/// The message in our own form.
pub(super) fn message_without_templates(
    slack: &Slack,
    notification: &Notification,
    external_url: &str,
    form: Form,
) -> Value {
    let headline = headline(notification);
    let more = link(&format!("{external_url}/ui/alerts"), "all alerts");
    let blocks = match form {
        Form::Full => blocks(notification, &more),
        Form::Short => {
            let count = format!("{} alerts; {more}", notification.alerts.len());
            vec![section(&count)]
        }
    };
    let attachment = json!({
        "color": color(notification),
        "fallback": headline,
        "blocks": blocks,
    });
    // With blocks inside an attachment the text stands above the coloured bar, and is the preview too.
    addressed(slack, json!({ "text": format!("*{headline}*"), "attachments": [attachment] }))
}

fn addressed(slack: &Slack, mut message: Value) -> Value {
    let templates = &slack.templates;
    for (name, value) in [
        ("channel", &slack.channel),
        ("username", &templates.username),
        ("icon_emoji", &templates.icon_emoji),
        ("icon_url", &templates.icon_url),
    ] {
        if let (Some(value), Some(fields)) = (value, message.as_object_mut()) {
            fields.insert(name.to_owned(), value.as_str().into());
        }
    }
    message
}

/// `[FIRING:2] ShopDown · shop · prod`.
fn headline(notification: &Notification) -> String {
    let firing = notification.firing().count();
    let state = if firing > 0 { format!("[FIRING:{firing}]") } else { "[RESOLVED]".to_owned() };
    let common = notification.common_labels();
    let name = common.get("alertname").or_else(|| notification.group_labels.get("alertname"));
    let tags = ["service", "env", "cluster"].into_iter().filter_map(|tag| common.get(tag));
    let parts: Vec<&str> = name.into_iter().chain(tags).collect();
    let parts = if parts.is_empty() { notification.group_labels.to_string() } else { parts.join(" · ") };
    escaped(&format!("{state} {parts}"), MAX_HEADLINE)
}

fn color(notification: &Notification) -> &'static str {
    let mut firing = notification.firing().peekable();
    if firing.peek().is_none() {
        return "good";
    }
    let mild = |alert: &Told| matches!(alert.labels.get("severity"), Some("warning" | "info" | "none"));
    if firing.all(mild) { "warning" } else { "danger" }
}

fn blocks(notification: &Notification, more: &str) -> Vec<Value> {
    let common = notification.common_labels();
    let mut blocks = Vec::new();
    let mut size = 0;
    for alert in &notification.alerts {
        let block = section(&alert_text(alert, notification, &common));
        let length = block.to_string().chars().count();
        if blocks.len() >= MAX_BLOCKS || size + length > MAX_PAYLOAD {
            break;
        }
        size += length;
        blocks.push(block);
    }
    let left = notification.alerts.len().saturating_sub(blocks.len());
    let rest = if left > 0 { format!("and {left} more · ") } else { String::new() };
    let shared = shown_labels(&notification.group_labels, &Labels::empty());
    let shared = if shared.is_empty() { shared } else { format!("{shared} · ") };
    let footer = cut(&format!("{rest}{shared}{more}"), 400);
    blocks.push(json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": footer }] }));
    blocks
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

/// What is said of one alert: what, how bad, where, since when, and where to look.
fn alert_text(alert: &Told, notification: &Notification, common: &Labels) -> String {
    let annotation = |name: &str| alert.annotations.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let name = alert.labels.get("alertname").unwrap_or("alert");
    let summary = annotation("summary").or_else(|| annotation("message")).unwrap_or(name);
    let state = match (alert.ends_at.is_some(), alert.labels.get("severity")) {
        (true, _) => "resolved",
        (false, Some(severity)) => severity,
        (false, None) => "firing",
    };
    let mut lines = vec![format!("*{}* · {}", escaped(summary, MAX_SUMMARY), escaped(state, MAX_LABEL))];
    // What was wrong is of no interest any more once it is over.
    if let Some(description) = annotation("description").filter(|_| alert.ends_at.is_none()) {
        lines.push(escaped(description, MAX_DESCRIPTION));
    }
    let labels = shown_labels(&alert.labels, &notification.group_labels);
    let alone = notification.alerts.len() == 1;
    let labels = if labels.is_empty() && alone { shown_labels(common, &Labels::empty()) } else { labels };
    if !labels.is_empty() {
        lines.push(labels);
    }
    lines.push(when(alert));
    let links = links(alert);
    if !links.is_empty() {
        lines.push(links);
    }
    fit(lines)
}

/// Lines within a section: a line that does not fit is left out whole, so that no link is cut.
fn fit(lines: Vec<String>) -> String {
    let mut text = String::new();
    for line in lines {
        if text.chars().count() + 1 + line.chars().count() > MAX_SECTION {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}

/// `service=shop env=prod …`: our tags first, then the others, without those that are said elsewhere.
fn shown_labels(labels: &Labels, without: &Labels) -> String {
    const FIRST: [&str; 8] = ["service", "env", "role", "node", "instance", "namespace", "pod", "container"];
    let said = |name: &str| matches!(name, "alertname" | "severity") || without.get(name).is_some();
    let first = FIRST.into_iter().filter_map(|name| labels.get(name).map(|value| (name, value)));
    let rest = labels.iter().filter(|(name, _)| !FIRST.contains(name));
    let shown = first.chain(rest).filter(|(name, _)| !said(name)).take(12);
    shown.map(|(name, value)| format!("{name}={}", escaped(value, MAX_LABEL))).collect::<Vec<_>>().join(" ")
}

fn when(alert: &Told) -> String {
    match alert.ends_at {
        Some(ends) => format!("ended {}, lasted {}", date(ends), lasted(alert.starts_at, ends)),
        None => format!("since {}", date(alert.starts_at)),
    }
}

/// Slack shows it in each reader's own time.
fn date(time: Timestamp) -> String {
    format!("<!date^{}^{{date_short_pretty}} {{time_secs}}|{}>", time.0.div_euclid(1000), rfc3339(time))
}

fn lasted(start: Timestamp, end: Timestamp) -> String {
    let seconds = std::time::Duration::from_secs(end.since(start).as_secs());
    DurationText(seconds).to_string()
}

fn links(alert: &Told) -> String {
    let mut links = Vec::new();
    if !alert.generator_url.is_empty() {
        links.push(link(&alert.generator_url, "query"));
    }
    for (name, value) in alert.annotations.iter().filter(|(_, value)| value.starts_with("http")) {
        let label = name.strip_suffix("_url").unwrap_or(name).replace('_', " ");
        links.push(link(value, &escaped(&label, 40)));
    }
    links.join(" · ")
}

/// The config's own form: an attachment, as Alertmanager makes it.
fn templated(slack: &Slack, notification: &Notification, external_url: &str) -> Result<Value, template::Error> {
    let mut safe = notification.clone();
    for alert in &mut safe.alerts {
        // The template's author writes links and mentions; a label's value must not.
        let labels = alert.labels.iter().map(|(name, value)| (name.to_owned(), escape(value)));
        alert.labels = Labels::from_pairs(labels.collect::<Vec<_>>());
        for value in alert.annotations.values_mut() {
            *value = value.replace("<!", "&lt;!").replace("<@", "&lt;@");
        }
    }
    let scope = safe.scope(external_url);
    let expand = |template: &Option<Template>, max: usize| -> Result<Option<String>, template::Error> {
        let Some(template) = template else { return Ok(None) };
        match template.expand(&scope) {
            Ok(text) => Ok(Some(cut(&text, max)).filter(|text| !text.is_empty())),
            Err(Expand::Failed(error)) => Err(error),
            Err(Expand::NeedsQuery(_)) => Err(template::Error::new("query cannot be used in a notification")),
        }
    };
    let templates = &slack.templates;
    let headline = headline(notification);
    let title = expand(&templates.title, MAX_TITLE)?.unwrap_or_else(|| headline.clone());
    let fields = [
        ("title_link", expand(&templates.title_link, 2000)?.or_else(|| Some(format!("{external_url}/ui/alerts")))),
        ("text", expand(&templates.text, MAX_SECTION)?),
        ("pretext", expand(&templates.pretext, MAX_SECTION)?),
        ("footer", expand(&templates.footer, 300)?),
        ("color", expand(&templates.color, 20)?.or_else(|| Some(color(notification).to_owned()))),
        ("fallback", expand(&templates.fallback, MAX_TITLE)?.or_else(|| Some(title.clone()))),
        ("title", Some(title)),
    ];
    let mut attachment = serde_json::Map::new();
    for (name, value) in fields {
        if let Some(value) = value {
            attachment.insert(name.to_owned(), value.into());
        }
    }
    attachment.insert("mrkdwn_in".to_owned(), json!(["fallback", "pretext", "text"]));
    Ok(addressed(slack, json!({ "attachments": [attachment] })))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use yagura_daemon::secret::Secret;

    use super::*;
    use crate::notifiers::{
        file::{SecretText, SlackTemplates},
        message::fingerprint,
    };

    fn slack() -> Slack {
        let url = SecretText::Inline(Secret::new("http://127.0.0.1/"));
        Slack { url, send_resolved: true, channel: None, templates: SlackTemplates::default() }
    }

    fn alert(index: usize, ended: bool, summary: &str) -> Told {
        let index = index.to_string();
        let labels = [("alertname", "ShopDown"), ("severity", "critical"), ("service", "shop"), ("instance", &index)];
        let labels = Labels::from_pairs(labels);
        let annotations =
            [("summary", summary), ("description", "<!channel> is not pinged"), ("runbook_url", "https://run/book")];
        Told {
            fingerprint: fingerprint(&labels),
            labels,
            annotations: annotations.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            starts_at: Timestamp(1_700_000_000_000),
            ends_at: ended.then_some(Timestamp(1_700_000_303_000)),
            generator_url: "http://yagura/graph?g0.expr=up".to_owned(),
        }
    }

    fn notification(alerts: Vec<Told>) -> Notification {
        Notification {
            group_key: "{}:{alertname=\"ShopDown\"}".to_owned(),
            receiver: "slack".to_owned(),
            group_labels: Labels::from_pairs([("alertname", "ShopDown")]),
            alerts,
            created_at: Timestamp(1_700_000_000_000),
        }
    }

    fn full(notification: &Notification) -> Value {
        message(&slack(), notification, "http://yagura", Form::Full).unwrap()
    }

    #[test]
    fn a_message_says_what_where_since_when_and_where_to_look() {
        let told =
            notification(vec![alert(1, false, "shop does not answer"), alert(2, true, "shop 2 does not answer")]);
        insta::assert_snapshot!(serde_json::to_string_pretty(&full(&told)).unwrap());
    }

    #[test]
    fn the_colour_is_that_of_the_worst() {
        let mut mild = alert(1, false, "a");
        mild.labels = Labels::from_pairs([("severity", "warning")]);
        let color = |alerts| full(&notification(alerts))["attachments"][0]["color"].clone();
        assert_eq!(color(vec![mild.clone()]), "warning");
        assert_eq!(color(vec![mild, alert(2, false, "b")]), "danger");
        assert_eq!(color(vec![alert(2, true, "b")]), "good");
    }

    #[test]
    fn hundreds_of_alerts_stay_within_every_limit() {
        let long = "&".repeat(5000);
        let alerts: Vec<Told> = (0..500).map(|index| alert(index, false, &long)).collect();
        let message = full(&notification(alerts));
        let blocks = message["attachments"][0]["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 46, "{}", blocks.len());
        assert!(serde_json::to_string(blocks).unwrap().chars().count() <= 12_000);
        for block in blocks {
            let text = block.pointer("/text/text").or(block.pointer("/elements/0/text")).unwrap();
            assert!(text.as_str().unwrap().chars().count() <= 2900);
        }
        let last = blocks.last().unwrap().pointer("/elements/0/text").unwrap().as_str().unwrap();
        let shown = blocks.len() - 1;
        assert!(last.starts_with(&format!("and {} more · ", 500 - shown)), "{last}");
        assert!(message["text"].as_str().unwrap().chars().count() <= 152);
    }

    #[test]
    fn the_short_form_is_one_section() {
        let alerts: Vec<Told> = (0..50).map(|index| alert(index, false, "x")).collect();
        let message = message(&slack(), &notification(alerts), "http://yagura", Form::Short).unwrap();
        assert_eq!(message["text"], "*[FIRING:50] ShopDown · shop*");
        let blocks = message["attachments"][0]["blocks"].as_array().unwrap();
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0]["text"]["text"], "50 alerts; <http://yagura/ui/alerts|all alerts>");
    }

    #[test]
    fn the_configs_templates_make_the_message_but_labels_ping_nobody() {
        let mut slack = slack();
        slack.templates.title = Some(Template::parse("{{ .Status | toUpper }} {{ .CommonLabels.alertname }}").unwrap());
        let text = "{{ range .Alerts.Firing }}<{{ .GeneratorURL }}|{{ .Labels.instance }}>: {{ .Annotations.summary }}\n{{ end }}";
        slack.templates.text = Some(Template::parse(text).unwrap());
        slack.channel = Some("#ops".to_owned());
        let mut one = alert(1, false, "<!here> see <https://x|this>");
        one.labels = Labels::from_pairs([("alertname", "A"), ("instance", "<!channel>")]);
        let message = message(&slack, &notification(vec![one]), "http://yagura", Form::Full).unwrap();
        let attachment = &message["attachments"][0];
        assert_eq!(attachment["title"], "FIRING A");
        assert_eq!(
            attachment["text"],
            "<http://yagura/graph?g0.expr=up|&lt;!channel&gt;>: &lt;!here> see <https://x|this>\n"
        );
        assert_eq!(message["channel"], "#ops");
        slack.templates.title = Some(Template::parse("{{ .Nope.x }}").unwrap());
        assert!(super::message(&slack, &notification(vec![alert(1, false, "x")]), "", Form::Full).is_err());
    }

    #[test]
    fn an_alert_without_annotations_is_told_by_its_name() {
        let mut bare = alert(1, false, "");
        bare.annotations = BTreeMap::new();
        let text = full(&notification(vec![bare]))["attachments"][0]["blocks"][0]["text"]["text"].clone();
        assert!(text.as_str().unwrap().starts_with("*ShopDown* · critical\nservice=shop instance=1\nsince "), "{text}");
    }
}
