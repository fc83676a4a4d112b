//! Many small queries at one instant, put together by what they are about.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use yagura_model::{Labels, Timestamp};

use crate::query::promql::{Engine, QueryError, Value};

/// How far back short histories reach.
const HISTORY: Duration = Duration::from_secs(14 * 60 + 30);
/// Between two points of a short history; thirty points are what a line of sixty pixels can show.
const HISTORY_STEP: Duration = Duration::from_secs(30);

/// The answers to a list of named queries; those that failed are left out and said.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    answers: BTreeMap<&'static str, Vec<(Labels, f64)>>,
    /// What could not be read, and why.
    pub(crate) partial: Vec<String>,
}

impl Reading {
    /// Asks all queries at once.
    pub(crate) async fn ask(engine: &Engine, queries: &[(&'static str, &str)], now: Timestamp) -> Self {
        let answers = join_all(queries.iter().map(|(_, query)| engine.instant(query, now))).await;
        let mut reading = Self::default();
        for ((name, _), answer) in queries.iter().zip(answers) {
            match answer {
                Ok(result) => drop(reading.answers.insert(name, samples(result.value))),
                Err(error) => reading.partial.push(format!("{name}: {error}")),
            }
        }
        reading
    }

    /// The samples of one query; none when it failed or found nothing.
    pub(crate) fn of(&self, name: &str) -> &[(Labels, f64)] {
        self.answers.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing at all could be read.
    pub(crate) fn failed(&self) -> bool {
        self.answers.is_empty() && !self.partial.is_empty()
    }
}

fn samples(value: Value) -> Vec<(Labels, f64)> {
    match value {
        Value::Vector(samples) => {
            samples.into_iter().filter(|one| one.value.is_finite()).map(|one| (one.labels, one.value)).collect()
        }
        _ => Vec::new(),
    }
}

/// A series' last quarter of an hour in thirty points; absent where there was no sample.
pub(crate) type History = Vec<Option<f64>>;

/// Short histories of all series of a query.
pub(crate) async fn histories(
    engine: &Engine,
    query: &str,
    now: Timestamp,
) -> Result<Vec<(Labels, History)>, QueryError> {
    let from = now.minus(HISTORY);
    let answer = engine.range(query, from, now, HISTORY_STEP).await?;
    let Value::Matrix(series) = answer.value else { return Ok(Vec::new()) };
    let points = HISTORY.as_millis() / HISTORY_STEP.as_millis() + 1;
    let spread = |one: crate::storage::Series| {
        let mut points = vec![None; usize::try_from(points).unwrap_or(0)];
        for sample in one.samples {
            let index = sample.time.since(from).as_millis() / HISTORY_STEP.as_millis();
            let place = usize::try_from(index).ok().and_then(|index| points.get_mut(index));
            if let (Some(place), true) = (place, sample.value.is_finite()) {
                *place = Some(rounded(sample.value));
            }
        }
        (one.labels, points)
    };
    Ok(series.into_iter().map(spread).collect())
}

/// Four significant digits: what a picture shows, in half of the bytes.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powf(3.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

/// The instant of a value in seconds since 1970.
pub(crate) fn instant(seconds: f64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_are_kept() {
        assert_eq!(rounded(123_456.0), 123_500.0);
        assert!((rounded(0.000_123_456) - 0.000_123_5).abs() < 1e-12);
        assert_eq!(rounded(-2.0), -2.0);
        assert_eq!(rounded(0.0), 0.0);
    }
}
