//! `yagura agents`: their health, what is missing and why, what became of every log byte.

use std::io::Write;

use serde_json::Value;

use super::{print_json, text};
use crate::{
    args::{Output, Plain},
    client::Client,
    duration,
    table::{Side, Table, bytes, printable},
};

pub(crate) async fn run(args: Plain) -> anyhow::Result<()> {
    let client = Client::new(&args.server)?;
    let answer = client.get("/api/agents", &[]).await?;
    if args.output == Output::Json {
        return print_json(&answer);
    }
    let agents = answer.get("agents").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut out = std::io::stdout().lock();
    if agents.is_empty() {
        writeln!(out, "no agent has reported; point one here with `export: {{endpoints: [...]}}`")?;
        return Ok(());
    }
    table(&agents).write(&mut out)?;
    for agent in &agents {
        for (source, reason, hint) in troubles(agent) {
            let node = text(agent, "/status/node");
            writeln!(out, "\n{}: {}: {}", printable(node), printable(&source), printable(&reason))?;
            if !hint.is_empty() {
                writeln!(out, "    {}", printable(&hint))?;
            }
        }
    }
    Ok(())
}

fn table(agents: &[Value]) -> Table {
    let mut table = Table::new(&[
        ("NODE", Side::Left),
        ("VERSION", Side::Left),
        ("REPORTED", Side::Left),
        ("SOURCES", Side::Left),
        ("CONTAINERS", Side::Right),
        ("LOGS READ", Side::Right),
        ("DELIVERED", Side::Right),
        ("GIVEN UP", Side::Right),
        ("LAG", Side::Right),
    ]);
    for agent in agents {
        let size = |pointer: &str| agent.pointer(pointer).and_then(Value::as_f64).map_or("–".to_owned(), bytes);
        let given_up = agent.pointer("/status/logs/given_up").and_then(Value::as_object);
        let given_up: f64 =
            given_up.into_iter().flatten().filter_map(|(_, lost)| lost.as_f64()).fold(0.0, |sum, lost| sum + lost);
        let age = agent.get("age_seconds").and_then(Value::as_f64).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an age in whole seconds")]
        let age = age.max(0.0) as u64;
        let count = agent.pointer("/status/containers").and_then(Value::as_u64);
        table.row([
            text(agent, "/status/node").to_owned(),
            text(agent, "/status/version").to_owned(),
            format!("{} ago", duration::show(age)),
            sources(agent),
            count.map_or("–".to_owned(), |count| count.to_string()),
            size("/status/logs/read"),
            size("/status/logs/delivered"),
            bytes(given_up),
            size("/status/logs/lag_bytes"),
        ]);
    }
    table
}

/// `host cgroup docker!`: a mark after each source that is not well.
fn sources(agent: &Value) -> String {
    let sources = agent.pointer("/status/sources").and_then(Value::as_array);
    let name = |source: &Value| {
        let mark = if text(source, "/state") == "ok" { "" } else { "!" };
        format!("{}{mark}", text(source, "/name"))
    };
    sources.into_iter().flatten().map(name).collect::<Vec<_>>().join(" ")
}

/// Source, reason and hint of each source that is not well.
fn troubles(agent: &Value) -> Vec<(String, String, String)> {
    let sources = agent.pointer("/status/sources").and_then(Value::as_array);
    let trouble = |source: &Value| {
        let part = |pointer| text(source, pointer).to_owned();
        (text(source, "/state") != "ok").then(|| (part("/name"), part("/reason"), part("/hint")))
    };
    sources.into_iter().flatten().filter_map(trouble).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_that_is_not_well_is_marked_and_explained() {
        let agent = json!({"status": {"sources": [
            {"name": "host", "state": "ok"},
            {"name": "docker", "state": "missing", "reason": "no socket", "hint": "mount it"}]}});
        assert_eq!(sources(&agent), "host docker!");
        assert_eq!(troubles(&agent), [("docker".to_owned(), "no socket".to_owned(), "mount it".to_owned())]);
    }
}
