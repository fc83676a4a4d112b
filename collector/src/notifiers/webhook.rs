//! Alertmanager's webhook payload, version 4, for everything that takes it already.
//!
//! The format: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use yagura_daemon::http_client::{Client, Limits, excerpt};
use yagura_model::Timestamp;

use super::{
    Outcome,
    file::{Authorization, Webhook},
    message::{Notification, Told, rfc3339},
};

/// What Go writes for a time that is not set.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

pub(super) async fn send(
    client: &Client,
    webhook: &Webhook,
    notification: &Notification,
    external_url: &str,
) -> Outcome {
    let url = match webhook.url.current() {
        Ok(url) => url,
        Err(error) => return Outcome::Retry { after: None, reason: error.to_string() },
    };
    let body = payload(webhook.max_alerts, notification, external_url).to_string();
    let mut request = Request::post(url.expose())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("yagura/", env!("CARGO_PKG_VERSION")));
    if let Some(authorization) = &webhook.authorization {
        match credentials(authorization) {
            Ok(credentials) => request = request.header(header::AUTHORIZATION, credentials),
            Err(error) => return Outcome::Retry { after: None, reason: error.to_string() },
        }
    }
    let Ok(request) = request.body(Bytes::from(body)) else {
        return Outcome::Permanent("the webhook's URL or its credentials cannot be sent".to_owned());
    };
    let limits = Limits { timeout: webhook.timeout, max_body: 64 * 1024 };
    match client.request(request, limits).await {
        Ok(response) => classify(response.status(), response.body()),
        Err(error) => Outcome::Retry { after: None, reason: error.to_string() },
    }
}

fn credentials(authorization: &Authorization) -> Result<String, yagura_daemon::secret::Error> {
    match authorization {
        Authorization::Token(scheme, secret) => Ok(format!("{scheme} {}", secret.current()?.expose())),
        Authorization::Basic(user, secret) => {
            Ok(format!("Basic {}", STANDARD.encode(format!("{user}:{}", secret.current()?.expose()))))
        }
    }
}

fn classify(status: StatusCode, body: &[u8]) -> Outcome {
    if status.is_success() {
        return Outcome::Delivered;
    }
    let reason = format!("the webhook answered {}: {}", status.as_u16(), excerpt(body, 100));
    let passes = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY);
    if passes { Outcome::Retry { after: None, reason } } else { Outcome::Permanent(reason) }
}

fn payload(max_alerts: usize, notification: &Notification, external_url: &str) -> Value {
    let total = notification.alerts.len();
    let shown = if max_alerts == 0 { total } else { max_alerts.min(total) };
    let alerts: Vec<Value> = notification.alerts.iter().take(shown).map(alert).collect();
    json!({
        "receiver": notification.receiver,
        "status": notification.status(),
        "alerts": alerts,
        "groupLabels": notification.group_labels,
        "commonLabels": notification.common_labels(),
        "commonAnnotations": notification.common_annotations(),
        "externalURL": external_url,
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": total - shown,
    })
}

fn alert(alert: &Told) -> Value {
    let time = |time: Option<Timestamp>| time.map_or_else(|| NO_TIME.to_owned(), rfc3339);
    json!({
        "status": alert.status(),
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": time(Some(alert.starts_at)),
        "endsAt": time(alert.ends_at),
        "generatorURL": alert.generator_url,
        "fingerprint": format!("{:016x}", alert.fingerprint),
    })
}

#[cfg(test)]
mod tests {
    use yagura_model::Labels;

    use super::*;

    #[test]
    fn the_payload_is_that_of_alertmanager() {
        let told = |name: &str, ends_at| Told {
            labels: Labels::from_pairs([("alertname", name), ("job", "a")]),
            annotations: [("summary".to_owned(), "down".to_owned())].into(),
            starts_at: Timestamp(1_700_000_000_000),
            ends_at,
            generator_url: "http://g".to_owned(),
            fingerprint: 255,
        };
        let notification = Notification {
            group_key: "{}:{job=\"a\"}".to_owned(),
            receiver: "hook".to_owned(),
            group_labels: Labels::from_pairs([("job", "a")]),
            alerts: vec![told("A", None), told("B", Some(Timestamp(1_700_000_060_000))), told("C", None)],
            created_at: Timestamp(0),
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&payload(2, &notification, "http://x")).unwrap());
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        let check = |status: u16| match classify(StatusCode::from_u16(status).unwrap(), b"why") {
            Outcome::Delivered => "delivered",
            Outcome::Retry { .. } => "retry",
            Outcome::Permanent(_) => "permanent",
        };
        assert_eq!(
            [200, 204, 429, 500, 503, 400, 401, 404].map(check),
            ["delivered", "delivered", "retry", "retry", "retry", "permanent", "permanent", "permanent"]
        );
    }
}
