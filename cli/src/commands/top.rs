//! `yagura top`: containers by CPU and memory, refreshed in place.

use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::{print_json, text};
use crate::{
    args::{Output, Top},
    client::Client,
    table::{Side, Table, bytes, three_digits},
};

pub(crate) async fn run(args: Top) -> anyhow::Result<()> {
    let client = Client::new(&args.server)?;
    let once = args.once || !std::io::stdout().is_terminal();
    loop {
        let answer = client.get("/api/containers", &[]).await?;
        if args.output == Output::Json {
            return print_json(&answer);
        }
        let mut screen = Vec::new();
        table(&answer).write(&mut screen)?;
        let mut out = std::io::stdout().lock();
        if !once {
            // Home and clear: the next picture replaces the last one.
            write!(out, "\x1b[H\x1b[2J")?;
        }
        out.write_all(&screen)?;
        out.flush()?;
        drop(out);
        if once {
            return Ok(());
        }
        tokio::time::sleep(args.every).await;
    }
}

fn table(answer: &Value) -> Table {
    let mut table = Table::new(&[
        ("NAME", Side::Left),
        ("SERVICE", Side::Left),
        ("STATE", Side::Left),
        ("CPU", Side::Right),
        ("MEMORY", Side::Right),
        ("LIMIT", Side::Right),
        ("NET RX", Side::Right),
        ("NET TX", Side::Right),
        ("RESTARTS", Side::Right),
    ]);
    let mut containers: Vec<_> = answer.get("containers").and_then(Value::as_array).into_iter().flatten().collect();
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_f64);
    containers
        .sort_by(|one, other| number(other, "cpu").unwrap_or(-1.0).total_cmp(&number(one, "cpu").unwrap_or(-1.0)));
    for container in containers {
        let show = |name: &str, how: fn(f64) -> String| number(container, name).map_or_else(|| "–".to_owned(), how);
        table.row([
            text(container, "/name").to_owned(),
            text(container, "/service").to_owned(),
            text(container, "/state").to_owned(),
            show("cpu", three_digits),
            show("memory", bytes),
            show("memory_limit", bytes),
            show("net_rx", |rate| format!("{}/s", bytes(rate))),
            show("net_tx", |rate| format!("{}/s", bytes(rate))),
            show("restarts", |count| format!("{count:.0}")),
        ]);
    }
    table
}
