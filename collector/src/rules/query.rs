//! How rules ask: a text and an instant in, samples out, whichever language it is.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use yagura_model::{Labels, Timestamp};

use super::file::Language;
use crate::{
    query::{
        logql,
        promql::{self, Value, VectorSample},
    },
    storage::Direction,
};

/// Asks one language; the error is for people.
pub type Ask = Arc<dyn Fn(String, Timestamp) -> BoxFuture<'static, Result<Vec<VectorSample>, String>> + Send + Sync>;

/// The languages that rules are written in; cheap to clone.
#[derive(Clone)]
pub struct Queries {
    /// Prometheus' language.
    pub promql: Ask,
    /// Loki's language.
    pub logql: Ask,
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queries")
    }
}

impl Queries {
    pub(super) async fn ask(&self, language: Language, text: &str, at: Timestamp) -> Result<Vec<VectorSample>, String> {
        let ask = match language {
            Language::PromQl => &self.promql,
            Language::LogQl => &self.logql,
        };
        ask(text.to_owned(), at).await
    }
}

/// Asks a PromQL engine.
#[must_use]
pub fn ask_promql(engine: promql::Engine) -> Ask {
    Arc::new(move |text, at| {
        let engine = engine.clone();
        Box::pin(async move {
            let result = engine.instant(&text, at).await.map_err(|error| error.to_string())?;
            samples_of(result.value)
        })
    })
}

/// Asks a LogQL engine.
#[must_use]
pub fn ask_logql(engine: logql::Engine) -> Ask {
    Arc::new(move |text, at| {
        let engine = engine.clone();
        Box::pin(async move {
            let answer = engine.instant(&text, at.to_nanos(), 1, Direction::Backward).await;
            match answer.map_err(|error| error.to_string())? {
                logql::Answer::Matrix(series) => {
                    let last = |(labels, values): (Labels, Vec<Option<f64>>)| {
                        let value = values.last().copied().flatten()?;
                        Some(VectorSample { labels, time: at, value })
                    };
                    Ok(series.into_iter().filter_map(last).collect())
                }
                logql::Answer::Scalar(value) => Ok(vec![VectorSample { labels: Labels::empty(), time: at, value }]),
                logql::Answer::Rows(_) => Err("a rule needs numbers, not lines".to_owned()),
            }
        })
    })
}

/// One sample per series; a number is a sample without labels, as in Prometheus.
pub fn samples_of(value: Value) -> Result<Vec<VectorSample>, String> {
    match value {
        Value::Vector(samples) => Ok(samples),
        Value::Scalar(time, value) => Ok(vec![VectorSample { labels: Labels::empty(), time, value }]),
        Value::String(..) => Err("a rule needs numbers, not a string".to_owned()),
        Value::Matrix(_) => Err("a rule needs one value per series, not a range".to_owned()),
    }
}
