//! Loki's language over log records: what Grafana's Explore and Logs panels send.
//!
//! [`parse()`] reads a query into [`ast`]; `pipeline` runs its stages over records; `metric` turns records into numbers.
//! What the store can do by itself (stream matchers, leading line filters, levels, trace ids, plain counts) is handed
//! down to it. Not supported, and said so by the parser: `ip()`, `group_left`/`group_right`, Go templates beyond
//! labels and pipes.

pub mod ast;
mod combine;
mod extract;
mod lex;
mod metric;
mod parse;
mod pipeline;
mod stages;
mod tail;
mod template;
mod units;
mod window;

use std::{ops::Range, sync::Arc, time::Duration};

use yagura_model::{Labels, Nanos, Severity};

use self::{
    ast::{Expr, LabelFilter, LogExpr, Stage},
    pipeline::{LEVEL, SERVICE_NAME},
};
pub use self::{
    metric::{Matrix, Steps},
    parse::{parse, parse_selector},
    pipeline::Row,
    tail::Followed,
};
pub use crate::query::promql::ParseError;
use crate::storage::{self, Direction, LogSelection, LogStore, MatchOp, Matcher};

/// Records asked of the store at once.
const PAGE: usize = 5000;
/// Fields that the store can look for by itself.
const STORED_FIELDS: [&str; 2] = ["trace_id", "span_id"];

/// Budgets of one query.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Raw bytes read from the store.
    pub max_bytes: u64,
    /// Records that a query of numbers may look at one by one.
    pub max_records: usize,
    /// Series in an answer.
    pub max_series: usize,
    /// Points of each series in an answer.
    pub max_points: usize,
    /// How long it may take.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 4 << 30,
            max_records: 2_000_000,
            max_series: 2000,
            max_points: 11_000,
            timeout: Duration::from_secs(60),
        }
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not LogQL.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Its time range or step makes no sense.
    #[error("{0}")]
    BadRange(String),
    /// It is LogQL, but has no meaning over this data.
    #[error("{0}")]
    Execution(String),
    /// It went over its budget.
    #[error("the query needs more than {limit} {unit}; narrow its selector or its time range")]
    TooMuch {
        /// The budget.
        limit: usize,
        /// `records` or `series`.
        unit: &'static str,
    },
    /// It took longer than it may.
    #[error("the query took longer than {0:?}; narrow its selector or its time range")]
    Timeout(Duration),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// The answer to a query.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Records, in the order asked for.
    Rows(Vec<Row>),
    /// Series, with a value or none at each step.
    Matrix(Matrix),
    /// One number, the same at each step.
    Scalar(f64),
}

/// Evaluates LogQL over a store.
#[derive(Clone, Debug)]
pub struct Engine {
    store: Arc<dyn LogStore>,
    limits: Limits,
}

impl Engine {
    /// An engine with these budgets.
    #[must_use]
    pub fn new(store: Arc<dyn LogStore>, limits: Limits) -> Self {
        Self { store, limits }
    }

    /// The store it reads.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn LogStore> {
        &self.store
    }

    /// Evaluates a query over a range: records in `[start, end)`, or numbers at each step from `start` to `end`.
    pub async fn range(
        &self,
        query: &str,
        range: Range<Nanos>,
        step: Duration,
        limit: usize,
        direction: Direction,
    ) -> Result<Answer, Error> {
        if range.end < range.start {
            return Err(Error::BadRange("the end of the range is before its start".to_owned()));
        }
        let expr = parse(query)?;
        let work = async {
            match &expr {
                Expr::Log(log) => Ok(Answer::Rows(self.rows(log, range, limit, direction).await?)),
                Expr::Metric(metric) => {
                    let steps = Steps::over(range, step, self.limits.max_points)?;
                    self.metric(metric, &steps).await
                }
            }
        };
        self.bounded(work).await
    }

    /// Evaluates a query of numbers at one instant; a query of records gives those of the hour before.
    pub async fn instant(&self, query: &str, at: Nanos, limit: usize, direction: Direction) -> Result<Answer, Error> {
        let expr = parse(query)?;
        let work = async {
            match &expr {
                Expr::Log(log) => {
                    let hour = Nanos(at.0.saturating_sub(3600 * 1_000_000_000))..at;
                    Ok(Answer::Rows(self.rows(log, hour, limit, direction).await?))
                }
                Expr::Metric(metric) => self.metric(metric, &Steps::at(at)).await,
            }
        };
        self.bounded(work).await
    }

    async fn bounded(&self, work: impl Future<Output = Result<Answer, Error>>) -> Result<Answer, Error> {
        let timeout = self.limits.timeout;
        tokio::time::timeout(timeout, work).await.unwrap_or(Err(Error::Timeout(timeout)))
    }

    /// The first `limit` records that pass the pipeline.
    async fn rows(
        &self,
        log: &LogExpr,
        range: Range<Nanos>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        let page = if pushed(log) == log.stages.len() { limit } else { PAGE };
        self.visit(log, range, direction, page.max(1), |row| {
            rows.push(row);
            Ok(rows.len() < limit)
        })
        .await?;
        rows.truncate(limit);
        Ok(rows)
    }

    /// Shows every record of the range that passes the pipeline to `take`, until it says `false`.
    async fn visit(
        &self,
        log: &LogExpr,
        range: Range<Nanos>,
        direction: Direction,
        page: usize,
        mut take: impl FnMut(Row) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let stages = log.stages.get(pushed(log)..).unwrap_or_default();
        let mut selection = self.selection(log, range, direction);
        let mut page = page;
        loop {
            selection.limit = page;
            let mut entries = self.store.select(selection.clone()).await?;
            let full = entries.len() >= page;
            if full {
                // The last instant may have been cut in two: it is asked for again as a whole.
                let last = entries.last().map(|entry| entry.time).unwrap_or_default();
                let keep = entries.iter().take_while(|entry| entry.time != last).count();
                if keep == 0 {
                    page = page.saturating_mul(2);
                    continue;
                }
                entries.truncate(keep);
                match direction {
                    Direction::Forward => selection.range.start = last,
                    Direction::Backward => selection.range.end = Nanos(last.0 + 1),
                }
            }
            for entry in entries {
                let mut row = Row::new(entry);
                if pipeline::apply(stages, &mut row) && !take(row)? {
                    return Ok(());
                }
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// What the store is asked for: everything that it can judge by itself.
    fn selection(&self, log: &LogExpr, range: Range<Nanos>, direction: Direction) -> LogSelection {
        let mut selection = LogSelection {
            matchers: log.matchers.iter().map(stored).collect(),
            filters: Vec::new(),
            severities: Vec::new(),
            fields: Vec::new(),
            range,
            direction,
            limit: PAGE,
            max_bytes: self.limits.max_bytes,
        };
        for stage in log.stages.iter().take(pushed(log)) {
            match stage {
                Stage::Line(filter) => selection.filters.push(filter.clone()),
                Stage::Filter(LabelFilter::Text(matcher)) if matcher.name == LEVEL => {
                    selection.severities = severities(matcher);
                }
                Stage::Filter(LabelFilter::Text(matcher)) => selection.fields.push(matcher.clone()),
                _ => {}
            }
        }
        selection
    }
}

/// How many of the first stages the store judges by itself.
fn pushed(log: &LogExpr) -> usize {
    let mut levels = 0;
    let stores = |stage: &&Stage| match stage {
        Stage::Line(_) => true,
        Stage::Filter(LabelFilter::Text(matcher)) if matcher.name == LEVEL => {
            levels += 1;
            // An empty list would mean any level; two lists would have to be intersected.
            levels == 1 && !severities(matcher).is_empty()
        }
        Stage::Filter(LabelFilter::Text(matcher)) => {
            STORED_FIELDS.contains(&matcher.name.as_str()) && matcher.op == MatchOp::Equal && !matcher.value.is_empty()
        }
        _ => false,
    };
    log.stages.iter().take_while(stores).count()
}

/// The levels whose word a matcher passes.
fn severities(matcher: &Matcher) -> Vec<Severity> {
    use Severity::{Debug, Error, Fatal, Info, Trace, Unknown, Warn};
    [Unknown, Trace, Debug, Info, Warn, Error, Fatal]
        .into_iter()
        .filter(|level| matcher.matches(level.level()))
        .collect()
}

/// A matcher in the store's own names.
pub(crate) fn stored(matcher: &Matcher) -> Matcher {
    let mut matcher = matcher.clone();
    if matcher.name == SERVICE_NAME {
        "service".clone_into(&mut matcher.name);
    }
    matcher
}

/// A stream's labels as they are shown: with Loki's `service_name` beside `service`.
pub(crate) fn shown(labels: &Labels) -> Labels {
    let mut builder = labels.to_builder();
    builder.set(SERVICE_NAME, labels.get("service").unwrap_or_default());
    builder.build()
}

#[cfg(test)]
mod tests;
