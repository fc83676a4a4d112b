//! Queries of numbers: windows over records, at each step.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    time::Duration,
};

use yagura_model::{Labels, Nanos, Timestamp};

use super::{
    Answer, Engine, Error,
    ast::{Grouping, MetricExpr, RangeExpr, RangeOp, Stage},
    combine::{aggregate, binary, grouped},
    pipeline::{self, ERROR, LEVEL, Row, SERVICE_NAME},
    pushed, shown, window,
};
use crate::storage::{Direction, MatchOp};

/// A value or none of each series at each step.
pub type Matrix = BTreeMap<Labels, Vec<Option<f64>>>;

/// More buckets than this are not asked of the store; the records are looked at one by one instead.
const MAX_BUCKETS: i64 = 50_000;

/// The instants a query is evaluated at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    first: i64,
    step: i64,
    count: usize,
}

impl Steps {
    /// One instant.
    #[must_use]
    pub fn at(at: Nanos) -> Self {
        Self { first: at.0, step: 1, count: 1 }
    }

    /// From the start of a range to its end.
    pub(super) fn over(range: Range<Nanos>, step: Duration, max: usize) -> Result<Self, Error> {
        let step = i64::try_from(step.as_nanos()).unwrap_or(i64::MAX);
        if step <= 0 {
            return Err(Error::BadRange("the step has to be longer than zero".to_owned()));
        }
        let count = usize::try_from((range.end.0 - range.start.0) / step).unwrap_or(0) + 1;
        if count > max {
            let text = format!("{count} points are more than the {max} an answer may have; ask with a longer step");
            return Err(Error::BadRange(text));
        }
        Ok(Self { first: range.start.0, step, count })
    }

    /// Each instant.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.instants().map(|instant| Nanos(instant).to_timestamp())
    }

    fn instants(&self) -> impl Iterator<Item = i64> {
        let (first, step) = (self.first, self.step);
        (0..self.count).map(move |index| first + step * i64::try_from(index).unwrap_or(0))
    }

    fn last(&self) -> i64 {
        self.instants().last().unwrap_or(self.first)
    }
}

impl Engine {
    /// The steps of a range query; for showing a [`Matrix`].
    pub fn steps(&self, range: Range<Nanos>, step: Duration) -> Result<Steps, Error> {
        Steps::over(range, step, self.limits.max_points)
    }

    pub(super) async fn metric(&self, expr: &MetricExpr, steps: &Steps) -> Result<Answer, Error> {
        self.metric_within(expr, steps, None).await
    }

    /// `outer` is the grouping that the labels go through next, so that labels nobody wants are not told apart.
    fn metric_within<'a>(
        &'a self,
        expr: &'a MetricExpr,
        steps: &'a Steps,
        outer: Option<&'a Grouping>,
    ) -> futures_util::future::BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(async move {
            match expr {
                MetricExpr::Number(number) => Ok(Answer::Scalar(*number)),
                MetricExpr::Vector(number) => {
                    Ok(Answer::Matrix([(Labels::empty(), vec![Some(*number); steps.count])].into()))
                }
                MetricExpr::Range(range) => Ok(Answer::Matrix(self.window(range, steps, outer).await?)),
                MetricExpr::Aggregate(expr) => {
                    let none = Grouping { without: false, labels: Vec::new() };
                    let grouping = expr.grouping.as_ref().unwrap_or(&none);
                    // What is chosen or counted is series, so these need the labels as they are.
                    let sums = matches!(expr.op, super::ast::AggregateOp::Sum);
                    let inner = self.metric_within(&expr.inner, steps, sums.then_some(grouping)).await?;
                    match inner {
                        Answer::Matrix(inner) => Ok(Answer::Matrix(aggregate(expr, inner))),
                        _ => Err(Error::Execution("an aggregation needs series, not a number".to_owned())),
                    }
                }
                MetricExpr::Binary(expr) => {
                    let left = self.metric_within(&expr.left, steps, None).await?;
                    let right = self.metric_within(&expr.right, steps, None).await?;
                    binary(expr, left, right)
                }
            }
        })
    }

    async fn window(&self, expr: &RangeExpr, steps: &Steps, outer: Option<&Grouping>) -> Result<Matrix, Error> {
        let range = i64::try_from(expr.range.as_nanos()).unwrap_or(i64::MAX);
        let offset = i64::try_from(expr.offset.as_nanos()).unwrap_or(i64::MAX);
        // A window is (t - range, t]; the store's ranges include their start and not their end.
        let span = Nanos((steps.first - offset).saturating_sub(range) + 1)..Nanos(steps.last() - offset + 1);
        let mut matrix = match buckets(expr, steps, range, outer) {
            Some(bucket) => self.counted(expr, steps, span, range, bucket).await?,
            None => self.sampled(expr, steps, span, range, offset).await?,
        };
        if expr.op == RangeOp::Absent {
            return Ok(absent(expr, &matrix, steps.count));
        }
        if let Some(grouping) = &expr.grouping {
            matrix = merge(matrix.into_iter().map(|(labels, values)| (grouped(&labels, Some(grouping)), values)));
        }
        if matrix.len() > self.limits.max_series {
            return Err(Error::TooMuch { limit: self.limits.max_series, unit: "series" });
        }
        Ok(matrix)
    }

    /// Counts that the store makes by itself, in buckets of which every window is a whole number.
    async fn counted(
        &self,
        expr: &RangeExpr,
        steps: &Steps,
        span: Range<Nanos>,
        range: i64,
        bucket: i64,
    ) -> Result<Matrix, Error> {
        let selection = self.selection(&expr.log, span, Direction::Forward);
        let step = Duration::from_nanos(u64::try_from(bucket).unwrap_or(1));
        let counts = self.store.count(selection, step).await?;
        let per_window = usize::try_from(range / bucket).unwrap_or(1);
        let per_step = usize::try_from(steps.step / bucket).unwrap_or(1).max(1);
        let bytes = matches!(expr.op, RangeOp::Bytes | RangeOp::BytesRate);
        let rate = matches!(expr.op, RangeOp::Rate | RangeOp::BytesRate);
        let seconds = expr.range.as_secs_f64();
        let series = counts.into_iter().map(|counts| {
            let mut sums = vec![(0_u64, 0_u64)];
            for (records, size) in counts.steps {
                let (records_before, size_before) = sums.last().copied().unwrap_or_default();
                sums.push((records_before + records, size_before + size));
            }
            let total = sums.last().copied().unwrap_or_default();
            let upto = |bucket: usize| sums.get(bucket).copied().unwrap_or(total);
            let at = |step: usize| {
                let (from, to) = (upto(step * per_step), upto(step * per_step + per_window));
                let records = to.0 - from.0;
                let value = float(if bytes { to.1 - from.1 } else { records });
                (records > 0).then_some(if rate { value / seconds } else { value })
            };
            (self.bucket_labels(expr, &counts.labels), (0..steps.count).map(at).collect())
        });
        Ok(merge(series))
    }

    /// The labels of a count, after the stages that only touch labels.
    fn bucket_labels(&self, expr: &RangeExpr, labels: &Labels) -> Labels {
        let level = labels.get("level").unwrap_or("unknown").to_owned();
        let mut builder = shown(labels).to_builder();
        builder.remove("level");
        let stream = builder.build();
        let mut row = Row {
            time: Nanos(0),
            line: String::new(),
            stream: stream.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            structured: vec![(LEVEL.to_owned(), level)],
            parsed: Vec::new(),
        };
        // Only `drop` and `keep` are left here, and they let every record pass.
        pipeline::apply(expr.log.stages.get(pushed(&expr.log)..).unwrap_or_default(), &mut row);
        row.labels()
    }

    /// Every record looked at by itself.
    async fn sampled(
        &self,
        expr: &RangeExpr,
        steps: &Steps,
        span: Range<Nanos>,
        range: i64,
        offset: i64,
    ) -> Result<Matrix, Error> {
        let mut samples: HashMap<Labels, Vec<window::Sample>> = HashMap::new();
        let (mut records, limits) = (0_usize, self.limits);
        self.visit(&expr.log, span, Direction::Forward, super::PAGE, |row| {
            records += 1;
            if records > limits.max_records {
                return Err(Error::TooMuch { limit: limits.max_records, unit: "records" });
            }
            if let Some((labels, value)) = sample(expr, &row) {
                samples.entry(labels).or_default().push((row.time.0, value));
                // Ten times, because a grouping may still bring them together.
                if samples.len() > limits.max_series.saturating_mul(10) {
                    return Err(Error::TooMuch { limit: limits.max_series, unit: "series" });
                }
            }
            Ok(true)
        })
        .await?;
        let seconds = expr.range.as_secs_f64();
        let evaluate = |samples: Vec<window::Sample>| {
            let at = |instant: i64| {
                let to = instant - offset;
                let from = samples.partition_point(|(time, _)| *time <= to - range);
                let until = samples.partition_point(|(time, _)| *time <= to);
                window::value(expr.op, samples.get(from..until)?, seconds, expr.parameter)
            };
            steps.instants().map(at).collect::<Vec<_>>()
        };
        Ok(samples.into_iter().map(|(labels, samples)| (labels, evaluate(samples))).collect())
    }
}

/// The labels and the number of a record; `None` when it has none.
fn sample(expr: &RangeExpr, row: &Row) -> Option<(Labels, f64)> {
    let labels = |unwrapped: Option<&str>| {
        let labels = row.labels();
        match &expr.grouping {
            Some(grouping) => grouped(&labels, Some(grouping)),
            None => labels.without(|name| Some(name) == unwrapped || name == ERROR),
        }
    };
    match &expr.unwrap {
        Some((label, unit)) => {
            let value = pipeline::number(row.get(label)?, *unit)?;
            Some((labels(Some(label)), value))
        }
        None => {
            let bytes = matches!(expr.op, RangeOp::Bytes | RangeOp::BytesRate);
            let value = if bytes { float(u64::try_from(row.line.len()).unwrap_or(u64::MAX)) } else { 1.0 };
            Some((labels(None), value))
        }
    }
}

/// The bucket in which the store can count, if it can: no stage needs the line, no label but those it counts by is
/// wanted, and windows and steps are whole numbers of buckets.
fn buckets(expr: &RangeExpr, steps: &Steps, range: i64, outer: Option<&Grouping>) -> Option<i64> {
    let plain = matches!(expr.op, RangeOp::Count | RangeOp::Rate | RangeOp::Bytes | RangeOp::BytesRate);
    let rest = expr.log.stages.get(pushed(&expr.log)..)?;
    let labels_only = rest.iter().all(|stage| matches!(stage, Stage::Drop(_) | Stage::Keep(_)));
    if !plain || expr.unwrap.is_some() || !labels_only {
        return None;
    }
    let counted = |label: &String| {
        let own = [LEVEL, "level", SERVICE_NAME, ERROR];
        let stream = yagura_model::names::RESOURCE_LABELS.iter().any(|(_, known)| *known == label.as_str());
        stream || own.contains(&label.as_str())
    };
    let wanted = expr.grouping.as_ref().or(outer);
    if wanted.is_some_and(|grouping| !grouping.without && !grouping.labels.iter().all(counted)) {
        return None;
    }
    let bucket = if steps.count == 1 { range } else { gcd(range, steps.step) };
    let total = steps.last().saturating_sub(steps.first).saturating_add(range);
    (bucket > 0 && total / bucket <= MAX_BUCKETS).then_some(bucket)
}

fn gcd(one: i64, other: i64) -> i64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

/// Series with the same labels become one: their values are added.
fn merge(series: impl Iterator<Item = (Labels, Vec<Option<f64>>)>) -> Matrix {
    let mut merged = Matrix::new();
    for (labels, values) in series {
        match merged.get_mut(&labels) {
            None => {
                merged.insert(labels, values);
            }
            Some(held) => {
                for (held, value) in held.iter_mut().zip(values) {
                    *held = match (*held, value) {
                        (Some(one), Some(other)) => Some(one + other),
                        (one, other) => one.or(other),
                    };
                }
            }
        }
    }
    merged
}

/// 1 where no series has a value; its labels are those that the selector fixes.
fn absent(expr: &RangeExpr, matrix: &Matrix, steps: usize) -> Matrix {
    let there = |step: usize| matrix.values().any(|values| values.get(step).is_some_and(Option::is_some));
    let values: Vec<_> = (0..steps).map(|step| (!there(step)).then_some(1.0)).collect();
    if values.iter().all(Option::is_none) {
        return Matrix::new();
    }
    let fixed = expr.log.matchers.iter().filter(|matcher| matcher.op == MatchOp::Equal);
    [(Labels::from_pairs(fixed.map(|matcher| (&matcher.name, &matcher.value))), values)].into()
}

#[expect(clippy::cast_precision_loss, reason = "counts of records stay exact in a float")]
fn float(value: u64) -> f64 {
    value as f64
}
