//! `yagura checks`: synthetic checks and how they stand.

use std::io::Write;

use serde_json::Value;

use super::{print_json, text};
use crate::{
    args::{Output, Plain},
    client::Client,
    table::{Side, Table},
};

pub(crate) async fn run(args: Plain) -> anyhow::Result<()> {
    let client = Client::new(&args.server)?;
    let answer = client.get("/api/checks", &[]).await?;
    if args.output == Output::Json {
        return print_json(&answer);
    }
    let checks = answer.get("checks").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut out = std::io::stdout().lock();
    if checks.is_empty() {
        writeln!(out, "no checks; name files with some under `checks:` in the collector's config")?;
        return Ok(());
    }
    table(&checks).write(&mut out)?;
    Ok(())
}

fn table(checks: &[Value]) -> Table {
    let mut table = Table::new(&[
        ("CHECK", Side::Left),
        ("VERDICT", Side::Left),
        ("TOOK", Side::Right),
        ("CERTIFICATE", Side::Right),
        ("URL", Side::Left),
        ("WHY", Side::Left),
    ]);
    for check in checks {
        let took = check.pointer("/last/duration_seconds").and_then(Value::as_f64);
        let days = check.pointer("/last/certificate_days").and_then(Value::as_f64);
        table.row([
            text(check, "/name").to_owned(),
            text(check, "/verdict").to_owned(),
            took.map_or_else(|| "–".to_owned(), |seconds| format!("{:.0} ms", seconds * 1000.0)),
            days.map_or_else(|| "–".to_owned(), |days| format!("{days:.0} d")),
            text(check, "/url").to_owned(),
            text(check, "/last/reason").to_owned(),
        ]);
    }
    table
}
