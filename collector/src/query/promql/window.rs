//! Range vectors: for each series and instant the samples within a range, found by two cursors that move on together.

use std::borrow::Cow;

use yagura_model::{Timestamp, metric::is_stale};

use super::{
    ast::{Edges, Expr, Node, Subquery},
    error::QueryError,
    eval::{ABSENT, Column, Evaluator, Grid, Numbers, Result, present},
    functions::Function,
};
use crate::storage::{Sample, Series};

/// The samples that a range function sees at one instant; never empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'w> {
    /// No staleness markers among them. With `anchored` and `smoothed` some are outside the range.
    pub samples: &'w [Sample],
    /// The range's start, itself not within it.
    pub from: i64,
    /// The range's end, itself within it.
    pub to: i64,
    /// The instant the query asks for.
    pub at: i64,
    /// Scalar arguments, in order.
    pub scalars: [f64; 2],
    /// Whether the series ever falls; if not, no counter was reset.
    pub falls: bool,
    pub edges: Edges,
}

impl Window<'_> {
    pub(crate) fn first(&self) -> Option<&Sample> {
        self.samples.first()
    }

    pub(crate) fn last(&self) -> Option<&Sample> {
        self.samples.last()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|sample| sample.value)
    }
}

/// What a range function makes of a window; nothing when the window has too few samples.
pub(crate) type Kernel = fn(&Window<'_>) -> Option<f64>;

/// A range vector before it is cut into windows.
struct Ranged<'a> {
    series: Cow<'a, [Series]>,
    range: i64,
    offset: i64,
    at: Option<i64>,
    edges: Edges,
}

pub(crate) fn lookback(evaluator: Evaluator<'_>) -> i64 {
    i64::try_from(evaluator.control().limits.lookback.as_millis()).unwrap_or(i64::MAX)
}

/// The columns of a range function over its argument, one after the other.
pub(crate) fn columns<'a, 'e>(
    evaluator: Evaluator<'a>,
    function: &'static Function,
    kernel: Kernel,
    args: &'e [Expr],
) -> Result<impl Iterator<Item = Result<Column>> + use<'a, 'e>> {
    let scalars = scalar_args(evaluator, args)?;
    let matrix = args.iter().find(|arg| matches!(arg.unwrapped().node, Node::Matrix { .. } | Node::Subquery(_)));
    let matrix = matrix.ok_or_else(|| QueryError::Execution("expected a range vector".to_owned()))?;
    let ranged = ranged(evaluator, matrix)?;
    check_edges(function, ranged.edges)?;
    let mut index = 0;
    let mut checked = false;
    Ok(std::iter::from_fn(move || {
        while let Some(series) = ranged.series.get(index) {
            index += 1;
            if index.is_multiple_of(64)
                && let Err(error) = evaluator.control().check()
            {
                return Some(Err(error));
            }
            let Some(values) = column(evaluator, &ranged, series, &scalars, kernel) else { continue };
            if function.counts {
                note_counter(evaluator, series, args);
            }
            if !std::mem::replace(&mut checked, true)
                && let Err(error) = check_scalars(evaluator, function, &scalars, args)
            {
                return Some(Err(error));
            }
            let held = evaluator.control().hold(values.len());
            let column = Column { labels: series.labels.clone(), drop_name: function.drops_name, values };
            return Some(held.map(|()| column));
        }
        None
    }))
}

/// `rate` of something that is not named like a counter is probably a mistake.
fn note_counter(evaluator: Evaluator<'_>, series: &Series, args: &[Expr]) {
    let Some(name) = series.labels.name() else { return };
    if ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix)) {
        return;
    }
    let text = format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}");
    let span = args.first().map(|arg| arg.span).unwrap_or_default();
    evaluator.shared.info(span, &text);
}

fn scalar_args(evaluator: Evaluator<'_>, args: &[Expr]) -> Result<[Numbers; 2]> {
    let mut scalars = [Numbers::Same(f64::NAN), Numbers::Same(f64::NAN)];
    let given = args.iter().filter(|arg| arg.value_type() == super::ast::ValueType::Scalar);
    for (slot, arg) in scalars.iter_mut().zip(given) {
        *slot = evaluator.scalar(arg)?;
    }
    Ok(scalars)
}

/// Looks at the scalar arguments of a function that has limits on them.
fn check_scalars(evaluator: Evaluator<'_>, function: &Function, scalars: &[Numbers; 2], args: &[Expr]) -> Result<()> {
    let Some(check) = function.check_scalars else { return Ok(()) };
    let span = args.first().map(|arg| arg.span).unwrap_or_default();
    let same = scalars.iter().all(|numbers| matches!(numbers, Numbers::Same(_)));
    for index in 0..if same { 1 } else { evaluator.grid.count } {
        check(evaluator, span, [scalars[0].at(index), scalars[1].at(index)])?;
    }
    Ok(())
}

fn check_edges(function: &Function, edges: Edges) -> Result<()> {
    let (word, allowed): (_, &[&str]) = match edges {
        Edges::Plain => return Ok(()),
        Edges::Anchored => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
        Edges::Smoothed => ("smoothed", &["delta", "increase", "rate"]),
    };
    if allowed.contains(&function.name) {
        return Ok(());
    }
    let list = allowed.join(", ");
    Err(QueryError::Execution(format!("{word} modifier can only be used with: {list} - not with {}", function.name)))
}

fn ranged<'a>(evaluator: Evaluator<'a>, expr: &Expr) -> Result<Ranged<'a>> {
    let shared = evaluator.shared;
    match &expr.unwrapped().node {
        Node::Matrix { selector, range } => Ok(Ranged {
            series: Cow::Borrowed(shared.series(selector.id)),
            range: shared.millis(range)?,
            offset: shared.millis(&selector.offset)?,
            at: shared.at(selector.at),
            edges: selector.edges,
        }),
        Node::Subquery(subquery) => Ok(Ranged {
            series: Cow::Owned(subquery_series(evaluator, subquery)?),
            range: shared.millis(&subquery.range)?,
            offset: shared.millis(&subquery.offset)?,
            at: shared.at(subquery.at),
            edges: Edges::Plain,
        }),
        _ => Err(QueryError::Execution("expected a range vector".to_owned())),
    }
}

/// The instants a subquery is evaluated at: multiples of its step, later than the first range's start.
pub(crate) fn subquery_grid(first: i64, last: i64, range: i64, step: i64) -> Grid {
    let step = step.max(1);
    let after = first.saturating_sub(range);
    let start = after.div_euclid(step).saturating_add(1).saturating_mul(step);
    Grid::new(start, last, step)
}

fn subquery_series(evaluator: Evaluator<'_>, subquery: &Subquery) -> Result<Vec<Series>> {
    let shared = evaluator.shared;
    let control = evaluator.control();
    let offset = shared.millis(&subquery.offset)?;
    let at = shared.at(subquery.at);
    let step = match &subquery.step {
        Some(step) => shared.millis(step)?,
        None => i64::try_from(control.limits.subquery_step.as_millis()).unwrap_or(i64::MAX),
    };
    let reference = |time: i64| at.unwrap_or(time).saturating_sub(offset);
    let (first, last) = (reference(evaluator.grid.start), reference(evaluator.grid.end()));
    let grid = subquery_grid(first, last, shared.millis(&subquery.range)?, step);
    // One series with a value at every step is the least that will be held.
    control.hold(grid.count)?;
    control.release(grid.count);
    let columns = evaluator.with_grid(grid).vector(&subquery.expr)?;
    let series = columns.into_iter().map(|column| {
        control.release(column.values.len());
        let samples: Vec<Sample> = grid
            .times()
            .zip(column.values)
            .filter(|(_, value)| present(*value))
            .map(|(time, value)| Sample { time: Timestamp(time), value })
            .collect();
        Series { labels: column.labels, samples }
    });
    Ok(series.collect())
}

fn without_markers(samples: &[Sample]) -> Cow<'_, [Sample]> {
    if samples.iter().any(|sample| is_stale(sample.value)) {
        return samples.iter().filter(|sample| !is_stale(sample.value)).copied().collect();
    }
    Cow::Borrowed(samples)
}

fn column(
    evaluator: Evaluator<'_>,
    ranged: &Ranged<'_>,
    series: &Series,
    scalars: &[Numbers; 2],
    kernel: Kernel,
) -> Option<Vec<f64>> {
    let samples = without_markers(&series.samples);
    let falls = samples.windows(2).any(|pair| matches!(pair, [before, after] if after.value < before.value));
    let lookback = lookback(evaluator);
    // `anchored` looks for a sample before the range, `smoothed` after it too.
    let (before, after) = match ranged.edges {
        Edges::Plain => (0, 0),
        Edges::Anchored => (lookback, 0),
        Edges::Smoothed => (lookback, lookback),
    };
    let mut values = Vec::new();
    let (mut low, mut high) = (0, 0);
    for (index, time) in evaluator.grid.times().enumerate() {
        let to = ranged.at.unwrap_or(time).saturating_sub(ranged.offset);
        let from = to.saturating_sub(ranged.range);
        let time_of = |at: usize| samples.get(at).map(|sample| sample.time.0);
        while time_of(high).is_some_and(|time| time <= to.saturating_add(after)) {
            high += 1;
        }
        while low < high && time_of(low).is_some_and(|time| time <= from.saturating_sub(before)) {
            low += 1;
        }
        let Some(samples) = samples.get(low..high).filter(|samples| !samples.is_empty()) else { continue };
        let scalars = [scalars[0].at(index), scalars[1].at(index)];
        let window = Window { samples, from, to, at: time, scalars, falls, edges: ranged.edges };
        if let Some(result) = kernel(&window) {
            if values.is_empty() {
                values.resize(evaluator.grid.count, ABSENT);
            }
            if let Some(value) = values.get_mut(index) {
                *value = result;
            }
        }
    }
    (!values.is_empty()).then_some(values)
}

/// The range vector that a whole query is, at one instant.
pub(crate) fn whole(evaluator: Evaluator<'_>, expr: &Expr) -> Result<Vec<Series>> {
    let ranged = ranged(evaluator, expr)?;
    let to = ranged.at.unwrap_or(evaluator.grid.start).saturating_sub(ranged.offset);
    let from = to.saturating_sub(ranged.range);
    let mut answer = Vec::new();
    for series in ranged.series.iter() {
        let within = |sample: &&Sample| sample.time.0 > from && sample.time.0 <= to && !is_stale(sample.value);
        let samples: Vec<Sample> = series.samples.iter().filter(within).copied().collect();
        if !samples.is_empty() {
            evaluator.control().hold(samples.len())?;
            answer.push(Series { labels: series.labels.clone(), samples });
        }
    }
    Ok(answer)
}

/// A series' values at each instant, interpolated between the samples around it.
pub(crate) fn smoothed(
    evaluator: Evaluator<'_>,
    samples: &[Sample],
    reference: impl Fn(i64) -> i64,
) -> Option<Vec<f64>> {
    let samples = without_markers(samples);
    let lookback = lookback(evaluator);
    let values: Vec<f64> = evaluator.grid.times().map(|time| value_at(&samples, reference(time), lookback)).collect();
    values.iter().any(|value| present(*value)).then_some(values)
}

fn value_at(samples: &[Sample], time: i64, lookback: i64) -> f64 {
    let after = samples.partition_point(|sample| sample.time.0 < time);
    let next = samples.get(after).filter(|next| next.time.0 <= time.saturating_add(lookback));
    let before = after.checked_sub(1).and_then(|before| samples.get(before));
    let before = before.filter(|before| before.time.0 > time.saturating_sub(lookback));
    match (before, next) {
        (_, Some(next)) if next.time.0 == time => next.value,
        (Some(before), Some(next)) => interpolate(before, next, time, false),
        (Some(before), None) => before.value,
        (None, _) => ABSENT,
    }
}

/// The value on the line between two samples. A counter that was reset between them starts at zero.
pub(crate) fn interpolate(before: &Sample, after: &Sample, time: i64, counter: bool) -> f64 {
    let start = if counter && after.value < before.value { 0.0 } else { before.value };
    let part = (time - before.time.0) as f64 / (after.time.0 - before.time.0) as f64;
    start + (after.value - start) * part
}
