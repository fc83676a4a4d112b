//! What streams there are, and how much they hold.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    extract::{Path, State},
    response::Response,
};
use serde_json::json;
use yagura_model::Labels;

use super::{
    Shared, matrix_json,
    parameters::{DEFAULT_LIMIT, Failure, Parameters},
    respond, success,
};
use crate::{
    api::prometheus::Params,
    query::logql::{self, Answer, Error},
    storage::{Direction, LogStore, StreamInfo},
};

/// The streams that a request's selector and range mean.
async fn streams_of(
    store: &Arc<dyn LogStore>,
    parameters: &Parameters<'_>,
    hours: i64,
) -> Result<Vec<StreamInfo>, Failure> {
    let found = store.streams(parameters.selector()?, parameters.range(hours)?).await?;
    let shown = |info: StreamInfo| StreamInfo { labels: logql::shown(&info.labels), ..info };
    Ok(found.into_iter().map(shown).collect())
}

pub(super) async fn labels(State(engine): Shared, params: Params) -> Response {
    let found = streams_of(engine.store(), &Parameters(&params), 6).await.map(|streams| {
        let mut names: Vec<_> =
            streams.iter().flat_map(|stream| stream.labels.iter().map(|(name, _)| name.to_owned())).collect();
        names.sort_unstable();
        names.dedup();
        json!({"status": "success", "data": names})
    });
    respond(&params.headers, found)
}

pub(super) async fn label_values(State(engine): Shared, Path(name): Path<String>, params: Params) -> Response {
    let found = streams_of(engine.store(), &Parameters(&params), 6).await.map(|streams| {
        let mut values: Vec<_> =
            streams.iter().filter_map(|stream| stream.labels.get(&name)).map(ToOwned::to_owned).collect();
        values.sort_unstable();
        values.dedup();
        json!({"status": "success", "data": values})
    });
    respond(&params.headers, found)
}

pub(super) async fn series(State(engine): Shared, params: Params) -> Response {
    let found = async {
        let parameters = Parameters(&params);
        let range = parameters.range(6)?;
        let selectors: Vec<&str> = parameters.0.all("match[]").chain(parameters.0.all("match")).collect();
        let mut found = BTreeSet::new();
        for selector in if selectors.is_empty() { vec!["{}"] } else { selectors } {
            let matchers = match selector {
                "{}" => Vec::new(),
                selector => logql::parse_selector(selector).map_err(Error::from)?.iter().map(logql::stored).collect(),
            };
            let streams = engine.store().streams(matchers, range.clone()).await?;
            found.extend(streams.iter().map(|stream| logql::shown(&stream.labels)));
        }
        Ok(json!({"status": "success", "data": found.into_iter().collect::<Vec<_>>()}))
    };
    let found = found.await;
    respond(&params.headers, found)
}

pub(super) async fn index_stats(State(engine): Shared, params: Params) -> Response {
    let found = streams_of(engine.store(), &Parameters(&params), 1).await.map(|streams| {
        let (entries, bytes) =
            streams.iter().fold((0, 0), |sum, stream| (sum.0 + stream.entries, sum.1 + stream.bytes));
        json!({"streams": streams.len(), "chunks": streams.len(), "entries": entries, "bytes": bytes})
    });
    respond(&params.headers, found)
}

/// Bytes by the labels asked for, the largest first.
fn volumes(streams: &[StreamInfo], parameters: &Parameters<'_>) -> Vec<(Labels, u64)> {
    let targets: Vec<&str> = parameters.0.get("targetLabels").map(|list| list.split(',').collect()).unwrap_or_default();
    let mut sums: BTreeMap<Labels, u64> = BTreeMap::new();
    for stream in streams {
        let labels = match targets.is_empty() {
            true => stream.labels.clone(),
            false => stream.labels.without(|name| !targets.contains(&name)),
        };
        *sums.entry(labels).or_default() += stream.bytes;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, bytes)| Reverse(*bytes));
    let limit = parameters.0.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(DEFAULT_LIMIT);
    sums.truncate(limit);
    sums
}

pub(super) async fn volume(State(engine): Shared, params: Params) -> Response {
    let parameters = Parameters(&params);
    let found = streams_of(engine.store(), &parameters, 1).await.and_then(|streams| {
        let at = parameters.range(1)?.end.to_timestamp().seconds();
        let value = |(labels, bytes): (Labels, u64)| json!({"metric": labels, "value": [at, bytes.to_string()]});
        Ok(success("vector", volumes(&streams, &parameters).into_iter().map(value).collect()))
    });
    respond(&params.headers, found)
}

pub(super) async fn volume_range(State(engine): Shared, params: Params) -> Response {
    let found = async {
        let parameters = Parameters(&params);
        let range = parameters.range(1)?;
        let step = parameters.step(&range)?;
        let selector =
            parameters.0.get("query").filter(|query| *query != "{}").unwrap_or(r#"{source=~".+"}"#).to_owned();
        let by = parameters.0.get("targetLabels").unwrap_or("service_name");
        let query = format!("sum by ({by}) (bytes_over_time({selector}[{}ms]))", step.as_millis());
        match engine.range(&query, range.clone(), step, 0, Direction::Forward).await? {
            Answer::Matrix(matrix) => Ok(success("matrix", matrix_json(&matrix, &engine.steps(range, step)?))),
            _ => Ok(success("matrix", json!([]))),
        }
    };
    let found = found.await;
    respond(&params.headers, found)
}

pub(super) async fn detected_labels(State(engine): Shared, params: Params) -> Response {
    let found = streams_of(engine.store(), &Parameters(&params), 1).await.map(|streams| {
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, value) in streams.iter().flat_map(|stream| stream.labels.iter()) {
            values.entry(name).or_default().insert(value);
        }
        let label = |(name, values): (&&str, &BTreeSet<&str>)| json!({"label": name, "cardinality": values.len()});
        json!({"detectedLabels": values.iter().map(label).collect::<Vec<_>>()})
    });
    respond(&params.headers, found)
}
