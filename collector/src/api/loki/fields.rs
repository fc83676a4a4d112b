//! What records carry beside their stream's labels.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde_json::json;

use super::{
    Shared,
    parameters::{Failure, Parameters},
    respond,
};
use crate::{
    api::prometheus::{Params, parse_duration},
    query::logql::{Answer, Engine},
    storage::Direction,
};

/// Records looked at to find out which fields there are.
const FIELD_SAMPLE: usize = 1000;

/// Each field, the parser that finds it, its values.
type Fields = BTreeMap<String, (Option<&'static str>, Vec<String>)>;

/// What the newest records of a query carry.
async fn fields(engine: &Engine, parameters: &Parameters<'_>) -> Result<Fields, Failure> {
    let query = parameters.required("query")?;
    let range = parameters.range(1)?;
    let step = Duration::from_secs(60);
    let mut found = Fields::new();
    for (parser, stage) in [(None, ""), (Some("json"), " | json"), (Some("logfmt"), " | logfmt")] {
        let answer =
            engine.range(&format!("{query}{stage}"), range.clone(), step, FIELD_SAMPLE, Direction::Backward).await?;
        let Answer::Rows(rows) = answer else { return Err(Failure::bad("fields need a query of records".to_owned())) };
        for row in rows.iter().filter(|row| !row.parsed.iter().any(|(name, _)| name == "__error__")) {
            for (name, value) in if parser.is_some() { &row.parsed } else { &row.structured } {
                let (_, values) = found.entry(name.clone()).or_insert_with(|| (parser, Vec::new()));
                if !values.contains(value) {
                    values.push(value.clone());
                }
            }
        }
    }
    Ok(found)
}

pub(super) async fn detected_fields(State(engine): Shared, params: Params) -> Response {
    let found = fields(&engine, &Parameters(&params)).await.map(|fields| {
        let describe = |(name, (parser, values)): (&String, &(Option<&str>, Vec<String>))| {
            let parsers = parser.map(|parser| vec![parser]);
            json!({"label": name, "type": kind(values), "cardinality": values.len(), "parsers": parsers})
        };
        json!({"fields": fields.iter().map(describe).collect::<Vec<_>>(), "limit": FIELD_SAMPLE})
    });
    respond(&params.headers, found)
}

/// The type that all values of a field have.
fn kind(values: &[String]) -> &'static str {
    let all = |is: fn(&str) -> bool| values.iter().all(|value| is(value));
    if all(|value| value.parse::<i64>().is_ok()) {
        "int"
    } else if all(|value| value.parse::<f64>().is_ok()) {
        "float"
    } else if all(|value| value == "true" || value == "false") {
        "boolean"
    } else if all(|value| parse_duration(value).is_some()) {
        "duration"
    } else {
        "string"
    }
}

pub(super) async fn detected_field_values(State(engine): Shared, Path(name): Path<String>, params: Params) -> Response {
    let found = fields(&engine, &Parameters(&params)).await.map(|mut fields| {
        let values = fields.remove(&name).map(|(_, values)| values).unwrap_or_default();
        json!({"values": values, "limit": FIELD_SAMPLE})
    });
    respond(&params.headers, found)
}
