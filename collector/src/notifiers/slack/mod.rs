//! Slack's incoming webhook.
//!
//! In: a notification. Out: one message within every limit of Slack's (`compose`), and what became of it. A webhook
//! can only add messages, so the end of an alert is a message of its own. Facts and their sources are said where they
//! are used; the rule above all: the page must arrive, if need be in its shortest form.

mod compose;
mod text;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use yagura_daemon::http_client::{Client, Limits, excerpt};

pub(super) use compose::Form;

use super::{Outcome, file::Slack, message::Notification};

/// Slack asks for about one message a second and channel, and tolerates short bursts.
pub(super) const PER_SECOND: f64 = 1.0;
/// The burst that is tolerated.
pub(super) const BURST: f64 = 3.0;
/// Longer than Slack ever asked for; a proxy's nonsense must not stop the queue for a day.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// What may cost how much to hear Slack's answer, which is a word.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 64 * 1024 };

/// Sends a notification; in its short form when Slack finds the long one too large.
pub(super) async fn send(client: &Client, slack: &Slack, notification: &Notification, external_url: &str) -> Outcome {
    let url = match slack.url.current() {
        Ok(url) => url,
        Err(error) => return Outcome::Retry { after: None, reason: error.to_string() },
    };
    let full = match compose::message(slack, notification, external_url, Form::Full) {
        Ok(message) => message,
        Err(error) => {
            // A template that fails must not keep the page from arriving.
            tracing::warn!(receiver = notification.receiver, %error, "a template of Slack's message failed");
            compose::message_without_templates(slack, notification, external_url, Form::Full)
        }
    };
    match post(client, url.expose(), &full).await {
        Answer::TooLarge(reason) => {
            tracing::warn!(receiver = notification.receiver, reason, "Slack found the message too large");
            let short = compose::message_without_templates(slack, notification, external_url, Form::Short);
            match post(client, url.expose(), &short).await {
                Answer::TooLarge(reason) => Outcome::Permanent(reason),
                Answer::Settled(outcome) => outcome,
            }
        }
        Answer::Settled(outcome) => outcome,
    }
}

enum Answer {
    Settled(Outcome),
    TooLarge(String),
}

async fn post(client: &Client, url: &str, message: &serde_json::Value) -> Answer {
    let request = Request::post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("yagura/", env!("CARGO_PKG_VERSION")))
        .body(Bytes::from(message.to_string()));
    let Ok(request) = request else {
        return Answer::Settled(Outcome::Permanent("the webhook's URL is not a URL".to_owned()));
    };
    match client.request(request, LIMITS).await {
        Ok(response) => classify(response.status(), response.headers(), response.body()),
        // The error names the host and never the path, which is the secret.
        Err(error) => Answer::Settled(Outcome::Retry { after: None, reason: error.to_string() }),
    }
}

/// What Slack's answer means: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.
fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    let word = excerpt(body, 100);
    let word = word.trim();
    let reason = format!("Slack answered {}: {word}", status.as_u16());
    if status.is_success() {
        return Answer::Settled(Outcome::Delivered);
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Answer::Settled(Outcome::Retry { after: retry_after(headers, body), reason });
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Answer::Settled(Outcome::Retry { after: retry_after(headers, &[]), reason });
    }
    // One over-long block fails the whole message with one of these, whatever the block.
    let size = ["blocks_too_long", "invalid_blocks", "invalid_attachments", "too_many_attachments", "msg_too_long"];
    if status == StatusCode::PAYLOAD_TOO_LARGE || size.iter().any(|code| word.contains(code)) {
        return Answer::TooLarge(reason);
    }
    Answer::Settled(Outcome::Permanent(reason))
}

/// The header first, then the body's `retry_after`, both in seconds.
fn retry_after(headers: &HeaderMap, body: &[u8]) -> Option<Duration> {
    let header = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok());
    let in_body = || {
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        value.get("retry_after")?.as_f64()
    };
    let seconds = header.or_else(in_body)?;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, retry_after: Option<&str>, body: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.parse().unwrap());
        }
        let shown = match classify(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes()) {
            Answer::TooLarge(_) => "too large".to_owned(),
            Answer::Settled(Outcome::Delivered) => "delivered".to_owned(),
            Answer::Settled(Outcome::Permanent(reason)) => format!("permanent, {reason}"),
            Answer::Settled(Outcome::Retry { after, .. }) => format!("retry {:?}", after.map(|wait| wait.as_millis())),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn slacks_answers_are_understood() {
        check(200, None, "ok", "delivered");
        check(429, Some("30"), "", "retry Some(30000)");
        check(429, None, r#"{"retry_after":1,"ok":false,"error":"rate_limited"}"#, "retry Some(1000)");
        check(429, Some("30"), r#"{"retry_after":1}"#, "retry Some(30000)");
        check(429, Some("999999"), "", "retry Some(600000)");
        check(429, None, "slow down", "retry None");
        check(500, None, "rollup_error", "retry None");
        check(503, Some("7"), "", "retry Some(7000)");
        check(400, None, "invalid_blocks", "too large");
        check(400, None, "msg_blocks_too_long", "too large");
        check(404, None, "channel_not_found", "permanent, Slack answered 404: channel_not_found");
        check(403, None, "invalid_token\n", "permanent, Slack answered 403: invalid_token");
        check(410, None, "channel_is_archived", "permanent, Slack answered 410: channel_is_archived");
    }
}
