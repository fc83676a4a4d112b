//! `/federate`: the latest sample of every series that matches, as another Prometheus scrapes it.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use axum::{Router, extract::State, response::IntoResponse, response::Response, routing::get};
use http::header;
use yagura_daemon::clock;
use yagura_model::{Labels, Timestamp, labels::NAME, metric::is_stale};

use super::prometheus::{Failure, Params, float};
use crate::storage::{MatchOp, Matcher, MetricStore, Sample, Selection};

/// A sample older than this is not the latest any more.
const LOOKBACK: Duration = Duration::from_secs(300);

/// More samples than this are refused, so that a page stays one.
const MAX_SAMPLES: u64 = 20_000_000;

/// The path `/federate`.
pub fn router(store: Arc<dyn MetricStore>) -> Router {
    Router::new().route("/federate", get(federate)).with_state(store)
}

async fn federate(State(store): State<Arc<dyn MetricStore>>, params: Params) -> Response {
    match latest(&*store, &params, clock::now()).await {
        Ok(series) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, page(&series)).into_response()
        }
        Err(failure) => failure.into_response(),
    }
}

/// Series by name and labels, each once, with its latest sample.
type Latest = BTreeMap<(String, String), Sample>;

async fn latest(store: &dyn MetricStore, params: &Params, now: Timestamp) -> Result<Latest, Failure> {
    let mut sets = params.matchers()?;
    if sets.is_empty() {
        // Everything that has a name.
        let name = NAME.to_owned();
        sets.push(vec![Matcher { name, op: MatchOp::NotEqual, value: String::new(), regex: None }]);
    }
    let mut found = Latest::new();
    for matchers in sets {
        let from = now.minus(LOOKBACK).plus(Duration::from_millis(1));
        let selection = Selection { matchers, from, to: now, max_samples: MAX_SAMPLES };
        for series in store.select(selection).await? {
            if let Some(sample) = series.samples.last().filter(|sample| !is_stale(sample.value)) {
                let name = series.labels.name().unwrap_or_default().to_owned();
                found.insert((name, in_braces(&series.labels)), *sample);
            }
        }
    }
    Ok(found)
}

fn page(latest: &Latest) -> String {
    let mut page = String::with_capacity(latest.len() * 100);
    let mut last = None;
    for ((name, labels), sample) in latest {
        let plain = is_plain(name);
        if last != Some(name) {
            let shown = if plain { name.clone() } else { quoted(name) };
            // Writing to a string cannot fail.
            _ = writeln!(page, "# TYPE {shown} untyped");
            last = Some(name);
        }
        let line = match (plain, labels.is_empty()) {
            (true, true) => name.clone(),
            (true, false) => format!("{name}{{{labels}}}"),
            (false, true) => format!("{{{}}}", quoted(name)),
            (false, false) => format!("{{{},{labels}}}", quoted(name)),
        };
        _ = writeln!(page, "{line} {} {}", float(sample.value), sample.time.0);
    }
    page
}

fn in_braces(labels: &Labels) -> String {
    let shown = labels.iter().filter(|(name, _)| *name != NAME).map(|(name, value)| {
        let name = if is_plain(name) && !name.contains(':') { name.to_owned() } else { quoted(name) };
        format!("{name}={}", quoted(value))
    });
    shown.collect::<Vec<_>>().join(",")
}

fn is_plain(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(legal)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_a_scraper_reads() {
        let sample = |value: f64| Sample { time: Timestamp(1000), value };
        let mut latest = Latest::new();
        for (labels, value) in [
            (Labels::from_pairs([(NAME, "up"), ("job", "a\"b\\c\nd")]), 1.0),
            (Labels::from_pairs([(NAME, "up")]), f64::NAN),
            (Labels::from_pairs([(NAME, "http.requests"), ("a.b", "c")]), f64::INFINITY),
        ] {
            latest.insert((labels.name().unwrap().to_owned(), in_braces(&labels)), sample(value));
        }
        let expected = "# TYPE \"http.requests\" untyped\n\
                        {\"http.requests\",\"a.b\"=\"c\"} +Inf 1000\n\
                        # TYPE up untyped\n\
                        up NaN 1000\n\
                        up{job=\"a\\\"b\\\\c\\nd\"} 1 1000\n";
        assert_eq!(page(&latest), expected);
    }
}
