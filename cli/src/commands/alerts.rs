//! `yagura alerts`: what is pending and firing, the worst first.

use std::io::Write;

use serde_json::Value;
use yagura_daemon::clock;

use super::{print_json, text};
use crate::{
    args::{Output, Plain},
    client::Client,
    duration,
    table::{Side, Table},
};

pub(crate) async fn run(args: Plain) -> anyhow::Result<()> {
    let client = Client::new(&args.server)?;
    let answer = client.get("/prom/api/v1/alerts", &[]).await?;
    let mut alerts = answer.pointer("/data/alerts").and_then(Value::as_array).cloned().unwrap_or_default();
    alerts.sort_by_key(|alert| (text(alert, "/state") != "firing", text(alert, "/activeAt").to_owned()));
    if args.output == Output::Json {
        return print_json(&Value::Array(alerts));
    }
    let mut out = std::io::stdout().lock();
    if alerts.is_empty() {
        writeln!(out, "no alert is pending or firing")?;
        return Ok(());
    }
    table(&alerts).write(&mut out)?;
    Ok(())
}

fn table(alerts: &[Value]) -> Table {
    let columns = ["STATE", "FOR", "ALERT", "SEVERITY", "SUMMARY"].map(|name| (name, Side::Left));
    let mut table = Table::new(&columns);
    for alert in alerts {
        table.row([
            text(alert, "/state").to_owned(),
            since(text(alert, "/activeAt")),
            text(alert, "/labels/alertname").to_owned(),
            text(alert, "/labels/severity").to_owned(),
            summary(alert),
        ]);
    }
    table
}

/// The summary the rule's author wrote, or the labels when there is none.
fn summary(alert: &Value) -> String {
    let written = text(alert, "/annotations/summary");
    if !written.is_empty() {
        return written.to_owned();
    }
    let labels = alert.get("labels").and_then(Value::as_object);
    let pairs = labels.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    yagura_model::Labels::from_pairs(pairs.filter(|(name, _)| *name != "alertname")).to_string()
}

/// How long ago an RFC 3339 time was.
fn since(time: &str) -> String {
    let Ok(time) = time.parse::<jiff::Timestamp>() else { return "–".to_owned() };
    let seconds = clock::now().0.saturating_sub(time.as_millisecond()) / 1000;
    duration::show(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_alert_without_a_summary_shows_its_labels() {
        let alert = json!({"labels": {"alertname": "A", "job": "b"}, "annotations": {}});
        assert_eq!(summary(&alert), r#"{job="b"}"#);
        assert_eq!(since("yesterday"), "–");
    }
}
