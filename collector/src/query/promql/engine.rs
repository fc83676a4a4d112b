//! The way from a query's text to its answer.

use std::{sync::Arc, time::Duration};

use yagura_model::Timestamp;

use super::{error::QueryError, value::QueryResult};
use crate::storage::MetricStore;

/// What one query may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Samples read and held at once.
    pub max_samples: u64,
    /// Series read or made.
    pub max_series: u64,
    /// Steps of a range query.
    pub max_steps: u64,
    /// Time to answer.
    pub timeout: Duration,
    /// How old the latest sample of a series may be.
    pub lookback: Duration,
    /// The step of a subquery that names none.
    pub subquery_step: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_samples: 50_000_000,
            max_series: 1_000_000,
            max_steps: 11_000,
            timeout: Duration::from_mins(2),
            lookback: Duration::from_mins(5),
            subquery_step: Duration::from_mins(1),
        }
    }
}

/// Evaluates queries over a store; cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    store: Arc<dyn MetricStore>,
    limits: Limits,
}

impl Engine {
    /// An engine over a store.
    #[must_use]
    pub fn new(store: Arc<dyn MetricStore>, limits: Limits) -> Self {
        Self { store, limits }
    }

    /// The value of a query at one instant.
    pub async fn instant(&self, query: &str, at: Timestamp) -> Result<QueryResult, QueryError> {
        let _ = (query, at, &self.store, self.limits);
        Err(QueryError::Execution("the evaluator is not built in yet".to_owned()))
    }

    /// The value of a query at each step from `from` to `to`, both included; a matrix.
    pub async fn range(
        &self,
        query: &str,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<QueryResult, QueryError> {
        let _ = (query, from, to, step);
        Err(QueryError::Execution("the evaluator is not built in yet".to_owned()))
    }
}
