//! `yagura query`: a PromQL expression, now or at a given time.

use std::io::Write;

use anyhow::Context;
use serde_json::{Value, json};

use super::print_json;
use crate::{
    args::{Output, Query},
    client::Client,
    table::{Side, Table},
};

pub(crate) async fn run(args: Query) -> anyhow::Result<()> {
    let client = Client::new(&args.server)?;
    let mut parameters = vec![("query", args.promql.as_str())];
    if let Some(at) = &args.at {
        parameters.push(("time", at));
    }
    let answer = client.get("/prom/api/v1/query", &parameters).await;
    let answer = answer.with_context(|| format!("cannot evaluate `{}`", args.promql))?;
    let data = answer.get("data").cloned().unwrap_or_default();
    for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        writeln!(std::io::stderr(), "yagura: {}", warning.as_str().unwrap_or_default())?;
    }
    match args.output {
        Output::Json => print_json(&rows(&data)),
        Output::Table => print_table(&rows(&data)),
    }
}

/// One object for each sample: labels, time, value; a scalar has no labels.
fn rows(data: &Value) -> Value {
    let result = data.get("result").unwrap_or(&Value::Null);
    let row = |labels: &Value, pair: &Value| json!({"labels": labels, "time": pair.get(0), "value": pair.get(1).and_then(Value::as_str).unwrap_or_default()});
    match data.get("resultType").and_then(Value::as_str) {
        Some("vector") => series(result).map(|one| row(&one["metric"], &one["value"])).collect(),
        Some("matrix") => series(result)
            .flat_map(|one| one["values"].as_array().into_iter().flatten().map(move |pair| row(&one["metric"], pair)))
            .collect(),
        _ => json!([row(&json!({}), result)]),
    }
}

fn series(result: &Value) -> impl Iterator<Item = &Value> {
    result.as_array().into_iter().flatten()
}

fn print_table(rows: &Value) -> anyhow::Result<()> {
    let mut table = Table::new(&[("SERIES", Side::Left), ("VALUE", Side::Right)]);
    for row in series(rows) {
        table.row([series_name(&row["labels"]), row["value"].as_str().unwrap_or_default().to_owned()]);
    }
    let mut out = std::io::stdout().lock();
    if table.is_empty() {
        writeln!(out, "no series")?;
        return Ok(());
    }
    table.write(&mut out)?;
    Ok(())
}

/// `name{label="value", …}` from a map of labels.
fn series_name(labels: &Value) -> String {
    let Some(map) = labels.as_object() else { return String::new() };
    let pairs = map.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    yagura_model::Labels::from_pairs(pairs).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_answer_becomes_rows() {
        let vector = json!({"resultType": "vector", "result": [{"metric": {"__name__": "up"}, "value": [1.5, "1"]}]});
        assert_eq!(rows(&vector), json!([{"labels": {"__name__": "up"}, "time": 1.5, "value": "1"}]));
        assert_eq!(
            rows(&json!({"resultType": "scalar", "result": [2, "7"]})),
            json!([{"labels": {}, "time": 2, "value": "7"}])
        );
        let matrix = json!({"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "1"], [2, "2"]]}]});
        assert_eq!(rows(&matrix).as_array().map(Vec::len), Some(2));
        assert_eq!(series_name(&json!({"__name__": "up", "job": "a"})), r#"up{job="a"}"#);
    }
}
