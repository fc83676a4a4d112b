//! The way from a query's text to its answer: parse, read from the store what the whole query needs, evaluate.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use yagura_model::{Labels, Timestamp, metric::is_stale};

use super::{
    ast::Expr,
    binary::merge,
    control::Control,
    error::QueryError,
    eval::{Column, Evaluated, Evaluator, Grid, Shared, present},
    matching::is_metadata,
    parse,
    plan::{self, Need},
    value::{QueryResult, Stats, Value, VectorSample},
};
use crate::storage::{MetricStore, Sample, Selection, Series};

/// What one query may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Samples read, and values held at once.
    pub max_samples: u64,
    /// Series read.
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
            max_series: 500_000,
            max_steps: 11_000,
            timeout: Duration::from_secs(120),
            lookback: Duration::from_secs(300),
            subquery_step: Duration::from_secs(60),
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

    /// What its queries may cost.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The same engine with other limits.
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        Self { store: Arc::clone(&self.store), limits }
    }

    /// The value of a query at one instant.
    pub async fn instant(&self, query: &str, at: Timestamp) -> Result<QueryResult, QueryError> {
        self.run(query, parse(query)?, Grid { start: at.0, step: 1, count: 1 }, 0).await
    }

    /// The value of a query at each step from `from` to `to`, both included; a matrix.
    pub async fn range(
        &self,
        query: &str,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<QueryResult, QueryError> {
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        if step == 0 {
            return Err(QueryError::BadRange("zero or negative step of a range query".to_owned()));
        }
        if to < from {
            return Err(QueryError::BadRange("end of a range query is before its start".to_owned()));
        }
        // The steps alone must not be more than memory can hold.
        let steps = to.0.saturating_sub(from.0) / step;
        if u64::try_from(steps).unwrap_or_default() > self.limits.max_steps {
            return Err(QueryError::TooMuch { limit: self.limits.max_steps, unit: "steps" });
        }
        let expr = parse(query)?;
        if !matches!(expr.value_type(), super::ValueType::Scalar | super::ValueType::Vector) {
            let given = expr.value_type().to_string();
            let message =
                format!("invalid expression type {given:?} for range query, must be Scalar or instant Vector");
            return Err(QueryError::BadRange(message));
        }
        self.run(query, expr, Grid::new(from.0, to.0, step), step).await
    }

    async fn run(&self, query: &str, expr: Expr, grid: Grid, step: i64) -> Result<QueryResult, QueryError> {
        let started = Instant::now();
        let deadline = started + self.limits.timeout;
        // When the asker goes away this future is dropped, and the evaluation with it.
        let cancelled = CancellationToken::new();
        let _guard = cancelled.clone().drop_guard();
        let plan = plan::needs(&expr, query, grid, step, &self.limits)?;
        let read = tokio::time::timeout_at(deadline, self.read(plan.needs));
        let (data, mut stats) = read.await.map_err(|_| QueryError::Timeout(self.limits.timeout))??;
        let control = Control::new(self.limits, deadline, cancelled);
        let text = query.to_owned();
        let shared = Shared { text, data, control, start: grid.start, end: grid.end(), step, has_at: plan.has_at };
        let evaluated = tokio::task::spawn_blocking(move || answer(shared, &expr, grid));
        let (mut result, peak) =
            evaluated.await.map_err(|error| QueryError::Execution(format!("evaluation failed: {error}")))??;
        stats.peak_samples = stats.samples.max(peak);
        stats.elapsed = started.elapsed();
        result.stats = stats;
        Ok(result)
    }

    /// Reads every selector's series, each distinct selector once.
    async fn read(&self, needs: Vec<Need>) -> Result<(Vec<Arc<Vec<Series>>>, Stats), QueryError> {
        let mut stats = Stats::default();
        let mut data = Vec::with_capacity(needs.len());
        let mut known: HashMap<String, Arc<Vec<Series>>> = HashMap::new();
        // Of two needs for the same series the wider one is read.
        let mut widest: HashMap<String, (i64, i64)> = HashMap::new();
        for need in &needs {
            let range = widest.entry(need.key()).or_insert((need.from, need.to));
            *range = (range.0.min(need.from), range.1.max(need.to));
        }
        for need in needs {
            let key = need.key();
            if let Some(series) = known.get(&key) {
                data.push(Arc::clone(series));
                continue;
            }
            let (from, to) = widest.get(&key).copied().unwrap_or((need.from, need.to));
            let left = self.limits.max_samples.saturating_sub(stats.samples);
            let selection =
                Selection { matchers: need.matchers, from: Timestamp(from), to: Timestamp(to), max_samples: left };
            let series = self.store.select(selection).await?;
            stats.series += series.len() as u64;
            stats.samples += series.iter().map(|series| series.samples.len() as u64).sum::<u64>();
            if stats.series > self.limits.max_series {
                return Err(QueryError::TooMuch { limit: self.limits.max_series, unit: "series" });
            }
            if stats.samples > self.limits.max_samples {
                return Err(QueryError::TooMuch { limit: self.limits.max_samples, unit: "samples" });
            }
            let series = Arc::new(series);
            known.insert(key, Arc::clone(&series));
            data.push(series);
        }
        Ok((data, stats))
    }
}

fn answer(shared: Shared, expr: &Expr, grid: Grid) -> Result<(QueryResult, u64), QueryError> {
    let evaluator = Evaluator { shared: &shared, grid };
    let evaluated = evaluator.eval(expr)?;
    let value = if shared.step == 0 { at_one_instant(evaluated, grid)? } else { over_a_range(evaluated, grid)? };
    let peak = shared.control.peak();
    let (warnings, infos) = shared.control.notes.into_inner().into_lists();
    Ok((QueryResult { value, warnings, infos, stats: Stats::default() }, peak))
}

fn at_one_instant(evaluated: Evaluated, grid: Grid) -> Result<Value, QueryError> {
    let time = Timestamp(grid.start);
    match evaluated {
        Evaluated::Scalar(numbers) => Ok(Value::Scalar(time, numbers.at(0))),
        Evaluated::Text(text) => Ok(Value::String(time, text)),
        Evaluated::Matrix(series) => Ok(Value::Matrix(sorted(series))),
        Evaluated::Vector(columns) => {
            let columns = merge(columns.into_iter().filter(Column::has_values).map(named).collect())?;
            let sample = |column: Column| {
                let value = column.values.first().copied()?;
                Some(VectorSample { labels: column.labels, time, value })
            };
            Ok(Value::Vector(columns.into_iter().filter_map(sample).collect()))
        }
    }
}

fn over_a_range(evaluated: Evaluated, grid: Grid) -> Result<Value, QueryError> {
    let columns = match evaluated {
        Evaluated::Vector(columns) => merge(columns.into_iter().map(named).collect())?,
        Evaluated::Scalar(numbers) => {
            let values = (0..grid.count).map(|step| numbers.at(step)).collect();
            vec![Column { labels: Labels::empty(), drop_name: false, values }]
        }
        Evaluated::Text(_) | Evaluated::Matrix(_) => Vec::new(),
    };
    let series = columns.into_iter().map(|column| {
        let values = grid.times().zip(column.values).filter(|(_, value)| present(*value));
        let samples = values.map(|(time, value)| Sample { time: Timestamp(time), value }).collect();
        Series { labels: column.labels, samples }
    });
    let series: Vec<Series> = series.filter(|series| !series.samples.is_empty()).collect();
    debug_assert!(series.iter().flat_map(|series| &series.samples).all(|sample| !is_stale(sample.value)));
    Ok(Value::Matrix(sorted(series)))
}

fn named(mut column: Column) -> Column {
    if column.drop_name {
        column.labels = column.labels.without(is_metadata);
    }
    column
}

fn sorted(mut series: Vec<Series>) -> Vec<Series> {
    series.sort_by(|a, b| a.labels.iter().cmp(b.labels.iter()));
    series
}
