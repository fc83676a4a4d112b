//! What a query answers.

use std::time::Duration;

use yagura_model::{Labels, Timestamp};

use crate::storage::Series;

/// The answer to a query.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// The value.
    pub value: Value,
    /// What was probably not meant, in Prometheus' words.
    pub warnings: Vec<String>,
    /// What may be worth knowing, in Prometheus' words.
    pub infos: Vec<String>,
    /// What it cost.
    pub stats: Stats,
}

/// The four types of value.
#[derive(Clone, Debug)]
pub enum Value {
    /// One number.
    Scalar(Timestamp, f64),
    /// One text.
    String(Timestamp, String),
    /// One sample of each series, at one instant. The order means something only after `sort` and `topk`.
    Vector(Vec<VectorSample>),
    /// Samples of each series, sorted by labels; the answer of every range query.
    Matrix(Vec<Series>),
}

/// A sample of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// Whose it is.
    pub labels: Labels,
    /// The instant asked for (not when it was scraped).
    pub time: Timestamp,
    /// How much.
    pub value: f64,
}

/// What a query cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series read from the store.
    pub series: u64,
    /// Samples read from the store.
    pub samples: u64,
    /// The most samples held at once.
    pub peak_samples: u64,
    /// Time from the question to the answer.
    pub elapsed: Duration,
}
