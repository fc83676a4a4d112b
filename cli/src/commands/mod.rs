//! One file for each command.

pub(crate) mod agents;
pub(crate) mod alerts;
pub(crate) mod checks;
pub(crate) mod logs;
pub(crate) mod query;
pub(crate) mod top;
pub(crate) mod up;

use std::io::Write;

use serde_json::Value;

/// A string inside a JSON answer, or nothing.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Prints a JSON value, indented.
pub(crate) fn print_json(value: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
