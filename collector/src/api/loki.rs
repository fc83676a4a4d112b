//! `/loki/api/v1`: logs, as Grafana's Loki data source asks for them.
//!
//! Log ranges include their start and not their end; times are nanoseconds, seconds or RFC 3339. With the header
//! `X-Loki-Response-Encoding-Flags: categorize-labels` a stream holds only its own labels, and every entry says what
//! else it carries.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, RawForm, State},
    response::Response,
    routing::get,
};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use yagura_daemon::clock;
use yagura_model::{Labels, Nanos};

use super::answer;
use crate::{
    query::logql::{self, Answer, Engine, Error, Matrix, Row, Steps},
    storage::{self, Direction, LogStore, Matcher, StreamInfo},
};

const HOUR: i64 = 3600 * 1_000_000_000;
/// Entries of an answer when nobody says how many, and at most.
const DEFAULT_LIMIT: usize = 100;
const MOST_ENTRIES: usize = 5000;
/// Records looked at to find out which fields there are.
const FIELD_SAMPLE: usize = 1000;

/// The paths below `/loki`.
pub fn router(engine: Engine) -> Router {
    Router::new()
        .route("/api/v1/query_range", get(query_range).post(query_range))
        .route("/api/v1/query", get(query).post(query))
        .route("/api/v1/labels", get(labels).post(labels))
        .route("/api/v1/label", get(labels))
        .route("/api/v1/label/{name}/values", get(label_values))
        .route("/api/v1/series", get(series).post(series))
        .route("/api/v1/index/stats", get(index_stats).post(index_stats))
        .route("/api/v1/index/volume", get(volume).post(volume))
        .route("/api/v1/index/volume_range", get(volume_range).post(volume_range))
        .route("/api/v1/detected_labels", get(detected_labels))
        .route("/api/v1/detected_fields", get(detected_fields))
        .route("/api/v1/detected_field/{name}/values", get(detected_field_values))
        .route("/api/v1/patterns", get(patterns))
        .route("/api/v1/format_query", get(format_query).post(format_query))
        .route("/api/v1/status/buildinfo", get(buildinfo))
        .with_state(Arc::new(engine))
}

type Shared = State<Arc<Engine>>;

/// Parameters of a request, from its query or its form.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(form: &[u8]) -> Self {
        Self(serde_urlencoded(form))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn required(&self, name: &'static str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| Failure::bad(format!("parameter `{name}` is missing")))
    }

    fn time(&self, name: &str, default: Nanos) -> Result<Nanos, Failure> {
        let Some(text) = self.get(name) else { return Ok(default) };
        time(text)
            .ok_or_else(|| Failure::bad(format!("`{text}` is no time for `{name}`: nanoseconds, seconds or RFC 3339")))
    }

    /// `start` and `end`, or the last `hours`.
    fn range(&self, hours: i64) -> Result<Range<Nanos>, Failure> {
        let end = self.time("end", clock::now_nanos())?;
        let since =
            self.get("since").and_then(duration).map(|since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
        let start = self.time("start", Nanos(end.0.saturating_sub(since.unwrap_or(hours * HOUR))))?;
        if end < start {
            return Err(Failure::bad("`end` is before `start`".to_owned()));
        }
        Ok(start..end)
    }

    fn limit(&self) -> Result<usize, Failure> {
        let Some(text) = self.get("limit") else { return Ok(DEFAULT_LIMIT) };
        let limit: usize = text.parse().map_err(|_| Failure::bad(format!("`{text}` is no number for `limit`")))?;
        if limit > MOST_ENTRIES {
            return Err(Failure::bad(format!("`limit` is at most {MOST_ENTRIES}; ask for a shorter range instead")));
        }
        Ok(if limit == 0 { DEFAULT_LIMIT } else { limit })
    }

    fn direction(&self) -> Result<Direction, Failure> {
        match self.get("direction").map(str::to_ascii_lowercase).as_deref() {
            None | Some("backward") => Ok(Direction::Backward),
            Some("forward") => Ok(Direction::Forward),
            Some(other) => Err(Failure::bad(format!("`{other}` is no direction; use forward or backward"))),
        }
    }

    /// The step of a range query: as asked, else the range in about 250 parts.
    fn step(&self, range: &Range<Nanos>) -> Result<Duration, Failure> {
        let Some(text) = self.get("step") else {
            let parts = u64::try_from((range.end.0 - range.start.0) / 250).unwrap_or(0);
            return Ok(Duration::from_nanos(parts.max(1_000_000_000)));
        };
        let step = duration(text).filter(|step| !step.is_zero());
        step.ok_or_else(|| Failure::bad(format!("`{text}` is no step; use seconds or a duration such as 15s")))
    }

    /// The stream selector of `query`, or none.
    fn selector(&self) -> Result<Vec<Matcher>, Failure> {
        let Some(query) = self.get("query").filter(|query| *query != "{}") else { return Ok(Vec::new()) };
        Ok(logql::parse_selector(query).map_err(Error::from)?.iter().map(logql::stored).collect())
    }
}

/// Names and values of a urlencoded form.
fn serde_urlencoded(form: &[u8]) -> Vec<(String, String)> {
    let decode = |part: &[u8]| {
        let mut bytes = Vec::with_capacity(part.len());
        let mut rest = part.iter();
        while let Some(byte) = rest.next() {
            let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            match (byte, rest.as_slice()) {
                (b'+', _) => bytes.push(b' '),
                (b'%', [high, low, ..]) => match (hex(*high), hex(*low)) {
                    (Some(high), Some(low)) => {
                        bytes.push(high << 4 | low);
                        rest.nth(1);
                    }
                    _ => bytes.push(b'%'),
                },
                (byte, _) => bytes.push(*byte),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pair = |pair: &[u8]| {
        let middle = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(middle);
        (decode(name), decode(value.get(1..).unwrap_or_default()))
    };
    form.split(|byte| *byte == b'&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// Nanoseconds, seconds (with a fraction) or RFC 3339. A number is taken for nanoseconds when it is too large for
/// seconds: 10^12 s is the year 33658.
fn time(text: &str) -> Option<Nanos> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(Nanos(if number.abs() < 1_000_000_000_000 {
            number.saturating_mul(1_000_000_000)
        } else {
            number
        }));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds.is_finite().then(|| yagura_model::Timestamp::from_seconds(seconds).to_nanos());
    }
    let parsed: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(parsed.as_nanosecond()).ok().map(Nanos)
}

/// Seconds, or a duration such as `15000ms`.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    text.parse::<yagura_daemon::config::DurationText>().ok().map(|text| text.0)
}

/// An answer that is an error; Grafana shows `message`.
struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    fn bad(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message }
    }

    fn respond(&self) -> Response {
        let body = json!({"status": "error", "errorType": "bad_data", "error": self.message, "message": self.message});
        answer::json_bytes(&HeaderMap::new(), self.status, body.to_string().into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Parse(_) | Error::BadRange(_) => StatusCode::BAD_REQUEST,
            Error::Execution(_) | Error::TooMuch { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Timeout(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Storage(error) => return Self::of_storage(error),
        };
        Self { status, message: error.to_string() }
    }
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Self {
        Self::of_storage(&error)
    }
}

impl Failure {
    fn of_storage(error: &storage::Error) -> Self {
        let status = match error {
            storage::Error::TooMuch { .. } | storage::Error::Malformed(_) => StatusCode::UNPROCESSABLE_ENTITY,
            storage::Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            storage::Error::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, message: error.to_string() }
    }
}

/// Turns what a handler found into an answer.
fn respond(headers: &HeaderMap, found: Result<Value, Failure>) -> Response {
    match found {
        Ok(value) => answer::json(headers, &value),
        Err(failure) => failure.respond(),
    }
}

/// Whether the client wants a stream's own labels apart from what its entries carry.
fn categorizes(headers: &HeaderMap) -> bool {
    let flags = headers.get("x-loki-response-encoding-flags").and_then(|flags| flags.to_str().ok());
    flags.is_some_and(|flags| flags.split(',').any(|flag| flag.trim() == "categorize-labels"))
}

async fn query_range(State(engine): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let found = async {
        let parameters = Parameters::read(&form);
        let range = parameters.range(1)?;
        let step = parameters.step(&range)?;
        let (limit, direction) = (parameters.limit()?, parameters.direction()?);
        let query = parameters.required("query")?;
        let answer = engine.range(query, range.clone(), step, limit, direction).await?;
        Ok(match answer {
            Answer::Rows(rows) => streams(rows, categorizes(&headers)),
            Answer::Matrix(matrix) => success("matrix", matrix_json(&matrix, &engine.steps(range, step)?)),
            Answer::Scalar(value) => {
                let steps = engine.steps(range, step)?;
                let values: Vec<Value> = steps.times().map(|time| json!([time.seconds(), number(value)])).collect();
                success("matrix", json!([{"metric": {}, "values": values}]))
            }
        })
    };
    let found = found.await;
    respond(&headers, found)
}

async fn query(State(engine): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let found = async {
        let parameters = Parameters::read(&form);
        let at = parameters.time("time", clock::now_nanos())?;
        let (limit, direction) = (parameters.limit()?, parameters.direction()?);
        let seconds = at.to_timestamp().seconds();
        Ok(match engine.instant(parameters.required("query")?, at, limit, direction).await? {
            Answer::Rows(rows) => streams(rows, categorizes(&headers)),
            Answer::Scalar(value) => success("scalar", json!([seconds, number(value)])),
            Answer::Matrix(matrix) => {
                let value = |(labels, values): (&Labels, &Vec<Option<f64>>)| {
                    let value = (*values.first()?)?;
                    Some(json!({"metric": labels, "value": [seconds, number(value)]}))
                };
                success("vector", matrix.iter().filter_map(value).collect())
            }
        })
    };
    let found = found.await;
    respond(&headers, found)
}

fn success(kind: &str, result: Value) -> Value {
    json!({"status": "success", "data": {"resultType": kind, "result": result, "stats": {}}})
}

fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

fn matrix_json(matrix: &Matrix, steps: &Steps) -> Value {
    let times: Vec<f64> = steps.times().map(yagura_model::Timestamp::seconds).collect();
    let series = |(labels, values): (&Labels, &Vec<Option<f64>>)| {
        let points = times.iter().zip(values).filter_map(|(time, value)| Some(json!([time, number((*value)?)])));
        json!({"metric": labels, "values": points.collect::<Vec<_>>()})
    };
    matrix.iter().map(series).collect()
}

/// Records by stream, in the order in which they came.
fn streams(rows: Vec<Row>, categorize: bool) -> Value {
    let mut order: Vec<Labels> = Vec::new();
    let mut by_stream: BTreeMap<Labels, Vec<Value>> = BTreeMap::new();
    for row in rows {
        let map = |pairs: &[(String, String)]| {
            pairs.iter().cloned().map(|(name, value)| (name, value.into())).collect::<Map<_, _>>()
        };
        let time = row.time.0.to_string();
        let (labels, entry) = if categorize {
            let mut carried = Map::new();
            if !row.structured.is_empty() {
                carried.insert("structuredMetadata".to_owned(), map(&row.structured).into());
            }
            if !row.parsed.is_empty() {
                carried.insert("parsed".to_owned(), map(&row.parsed).into());
            }
            (Labels::from_pairs(row.stream.iter().map(|(name, value)| (name, value))), json!([time, row.line, carried]))
        } else {
            (row.labels(), json!([time, row.line]))
        };
        if !by_stream.contains_key(&labels) {
            order.push(labels.clone());
        }
        by_stream.entry(labels).or_default().push(entry);
    }
    let stream = |labels: Labels| {
        let values = by_stream.remove(&labels).unwrap_or_default();
        json!({"stream": labels, "values": values})
    };
    let result: Vec<Value> = order.into_iter().map(stream).collect();
    let mut data = Map::new();
    data.insert("resultType".to_owned(), "streams".into());
    // The flag stands before the result: Grafana's reader has to know it by then.
    if categorize {
        data.insert("encodingFlags".to_owned(), json!(["categorize-labels"]));
    }
    data.insert("result".to_owned(), result.into());
    data.insert("stats".to_owned(), json!({}));
    json!({"status": "success", "data": data})
}

/// The streams that a request's selector and range mean.
async fn streams_of(
    store: &Arc<dyn LogStore>,
    parameters: &Parameters,
    hours: i64,
) -> Result<Vec<StreamInfo>, Failure> {
    let found = store.streams(parameters.selector()?, parameters.range(hours)?).await?;
    let shown = |info: StreamInfo| StreamInfo { labels: logql::shown(&info.labels), ..info };
    Ok(found.into_iter().map(shown).collect())
}

async fn labels(State(engine): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let found = streams_of(engine.store(), &Parameters::read(&form), 6).await.map(|streams| {
        let mut names: Vec<_> =
            streams.iter().flat_map(|stream| stream.labels.iter().map(|(name, _)| name.to_owned())).collect();
        names.sort_unstable();
        names.dedup();
        json!({"status": "success", "data": names})
    });
    respond(&headers, found)
}

async fn label_values(
    State(engine): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    let found = streams_of(engine.store(), &Parameters::read(&form), 6).await.map(|streams| {
        let mut values: Vec<_> =
            streams.iter().filter_map(|stream| stream.labels.get(&name)).map(ToOwned::to_owned).collect();
        values.sort_unstable();
        values.dedup();
        json!({"status": "success", "data": values})
    });
    respond(&headers, found)
}

async fn series(State(engine): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let found = async {
        let parameters = Parameters::read(&form);
        let range = parameters.range(6)?;
        let selectors: Vec<&str> = parameters.all("match[]").chain(parameters.all("match")).collect();
        let mut found = std::collections::BTreeSet::new();
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
    respond(&headers, found)
}

async fn index_stats(State(engine): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let found = streams_of(engine.store(), &Parameters::read(&form), 1).await.map(|streams| {
        let (entries, bytes) =
            streams.iter().fold((0, 0), |sum, stream| (sum.0 + stream.entries, sum.1 + stream.bytes));
        json!({"streams": streams.len(), "chunks": streams.len(), "entries": entries, "bytes": bytes})
    });
    respond(&headers, found)
}

/// Bytes by the labels asked for, the largest first.
fn volumes(streams: &[StreamInfo], parameters: &Parameters) -> Vec<(Labels, u64)> {
    let targets: Vec<&str> = parameters.get("targetLabels").map(|list| list.split(',').collect()).unwrap_or_default();
    let mut sums: BTreeMap<Labels, u64> = BTreeMap::new();
    for stream in streams {
        let labels = match targets.is_empty() {
            true => stream.labels.clone(),
            false => stream.labels.without(|name| !targets.contains(&name)),
        };
        *sums.entry(labels).or_default() += stream.bytes;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let limit = parameters.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(DEFAULT_LIMIT);
    sums.truncate(limit);
    sums
}

async fn volume(State(engine): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let parameters = Parameters::read(&form);
    let found = streams_of(engine.store(), &parameters, 1).await.and_then(|streams| {
        let at = parameters.range(1)?.end.to_timestamp().seconds();
        let value = |(labels, bytes)| json!({"metric": labels, "value": [at, bytes_text(bytes)]});
        Ok(success("vector", volumes(&streams, &parameters).into_iter().map(value).collect()))
    });
    respond(&headers, found)
}

fn bytes_text(bytes: u64) -> String {
    bytes.to_string()
}

async fn volume_range(State(engine): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let found = async {
        let parameters = Parameters::read(&form);
        let range = parameters.range(1)?;
        let step = parameters.step(&range)?;
        let selector = parameters.get("query").filter(|query| *query != "{}").unwrap_or(r#"{source=~".+"}"#).to_owned();
        let by = parameters.get("targetLabels").unwrap_or("service_name");
        let query = format!("sum by ({by}) (bytes_over_time({selector}[{}ms]))", step.as_millis());
        match engine.range(&query, range.clone(), step, 0, Direction::Forward).await? {
            Answer::Matrix(matrix) => Ok(success("matrix", matrix_json(&matrix, &engine.steps(range, step)?))),
            _ => Ok(success("matrix", json!([]))),
        }
    };
    let found = found.await;
    respond(&headers, found)
}

async fn detected_labels(State(engine): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let found = streams_of(engine.store(), &Parameters::read(&form), 1).await.map(|streams| {
        let mut values: BTreeMap<&str, std::collections::BTreeSet<&str>> = BTreeMap::new();
        for (name, value) in streams.iter().flat_map(|stream| stream.labels.iter()) {
            values.entry(name).or_default().insert(value);
        }
        let label = |(name, values): (&&str, &std::collections::BTreeSet<&str>)| json!({"label": name, "cardinality": values.len()});
        json!({"detectedLabels": values.iter().map(label).collect::<Vec<_>>()})
    });
    respond(&headers, found)
}

/// What the newest records carry beside their stream's labels: field, parser that finds it, values.
async fn fields(
    engine: &Engine,
    parameters: &Parameters,
) -> Result<BTreeMap<String, (Option<&'static str>, Vec<String>)>, Failure> {
    let query = parameters.required("query")?;
    let range = parameters.range(1)?;
    let step = Duration::from_secs(60);
    let mut found: BTreeMap<String, (Option<&'static str>, Vec<String>)> = BTreeMap::new();
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

async fn detected_fields(State(engine): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let found = fields(&engine, &Parameters::read(&form)).await.map(|fields| {
        let describe = |(name, (parser, values)): (&String, &(Option<&str>, Vec<String>))| {
            let parsers = parser.map(|parser| vec![parser]);
            json!({"label": name, "type": kind(values), "cardinality": values.len(), "parsers": parsers})
        };
        json!({"fields": fields.iter().map(describe).collect::<Vec<_>>(), "limit": FIELD_SAMPLE})
    });
    respond(&headers, found)
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
    } else if all(|value| duration(value).is_some()) {
        "duration"
    } else {
        "string"
    }
}

async fn detected_field_values(
    State(engine): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    let found = fields(&engine, &Parameters::read(&form)).await.map(|mut fields| {
        let values = fields.remove(&name).map(|(_, values)| values).unwrap_or_default();
        json!({"values": values, "limit": FIELD_SAMPLE})
    });
    respond(&headers, found)
}

/// Patterns are not mined; an empty answer is what Grafana understands as none.
async fn patterns(headers: HeaderMap) -> Response {
    respond(&headers, Ok(json!({"status": "success", "data": []})))
}

async fn format_query(headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let parameters = Parameters::read(&form);
    let found = parameters.required("query").and_then(|query| {
        logql::parse(query).map_err(Error::from)?;
        Ok(json!({"status": "success", "data": query.trim()}))
    });
    respond(&headers, found)
}

async fn buildinfo(headers: HeaderMap) -> Response {
    // The version of the API that is spoken, not ours: Grafana turns features on by it.
    respond(
        &headers,
        Ok(json!({"version": "3.0.0", "revision": env!("CARGO_PKG_VERSION"), "branch": "yagura", "goVersion": ""})),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_three_dresses() {
        assert_eq!(time("1700000000"), Some(Nanos(1_700_000_000_000_000_000)));
        assert_eq!(time("1700000000.5"), Some(Nanos(1_700_000_000_500_000_000)));
        assert_eq!(time("1700000000000000001"), Some(Nanos(1_700_000_000_000_000_001)));
        assert_eq!(time("2023-11-14T22:13:20Z"), Some(Nanos(1_700_000_000_000_000_000)));
        assert_eq!(time("soon"), None);
        assert_eq!(time("NaN"), None);
        assert_eq!(duration("15000ms"), Some(Duration::from_secs(15)));
        assert_eq!(duration("0.5"), Some(Duration::from_millis(500)));
    }

    #[test]
    fn forms_are_decoded() {
        let form = serde_urlencoded(b"query=%7Ba%3D%22b+c%22%7D&x=%zz&empty&match%5B%5D=1&match[]=2");
        assert_eq!(form[0], ("query".to_owned(), "{a=\"b c\"}".to_owned()));
        assert_eq!(form[1].1, "%zz");
        assert_eq!(Parameters(form).all("match[]").collect::<Vec<_>>(), ["1", "2"]);
    }

    fn row() -> Row {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        Row {
            time: Nanos(5),
            line: "l".to_owned(),
            stream: pair("a", "b"),
            structured: pair("trace_id", "c"),
            parsed: pair("d", "e"),
        }
    }

    #[test]
    fn labels_are_together_or_apart_as_asked() {
        let together = streams(vec![row(), row()], false);
        let expected = json!([{"stream": {"a": "b", "trace_id": "c", "d": "e"}, "values": [["5", "l"], ["5", "l"]]}]);
        assert_eq!(together["data"]["result"], expected);
        let apart = streams(vec![row()], true);
        let entry = json!(["5", "l", {"structuredMetadata": {"trace_id": "c"}, "parsed": {"d": "e"}}]);
        assert_eq!(apart["data"]["result"], json!([{"stream": {"a": "b"}, "values": [entry]}]));
        let text = apart.to_string();
        assert!(text.find("encodingFlags").unwrap() < text.find("\"result\"").unwrap(), "{text}");
    }
}
