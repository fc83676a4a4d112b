//! The evaluator: each part of the query is evaluated for all steps at once, series by series.
//!
//! A value that is not there is a staleness marker in its place ([`ABSENT`]): samples of the store never get here as
//! markers, and arithmetic cannot make one, because it sets a NaN's quiet bit.

use std::sync::Arc;

use yagura_model::{
    Labels,
    metric::{STALE_NAN_BITS, is_stale},
};

use super::{
    aggregate,
    ast::{At, Edges, Expr, Length, Node, Selector, Span, ValueType},
    binary,
    control::Control,
    error::QueryError,
    functions::{self, Body},
    window,
};
use crate::storage::{Sample, Series};

/// Stands where a series has no value.
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether there is a value.
pub(crate) fn present(value: f64) -> bool {
    !is_stale(value)
}

pub(crate) type Result<T> = std::result::Result<T, QueryError>;

/// The instants an expression is evaluated at, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub start: i64,
    pub step: i64,
    pub count: usize,
}

impl Grid {
    /// From `start` to `end`, both included.
    pub(crate) fn new(start: i64, end: i64, step: i64) -> Self {
        let steps = if end < start { 0 } else { (end - start) / step.max(1) + 1 };
        Self { start, step: step.max(1), count: usize::try_from(steps).unwrap_or(usize::MAX) }
    }

    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count as i64).map(move |index| self.start + index * self.step)
    }

    pub(crate) fn end(self) -> i64 {
        self.start + self.step * (self.count as i64 - 1)
    }
}

/// A series' values, one for each instant.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub labels: Labels,
    /// The name no longer says what the values are; it goes when the answer is made, so that `label_replace` and
    /// `by (__name__)` may still see it.
    pub drop_name: bool,
    pub values: Vec<f64>,
}

impl Column {
    pub(crate) fn has_values(&self) -> bool {
        self.values.iter().any(|value| present(*value))
    }
}

/// A number for each instant.
#[derive(Clone, Debug)]
pub(crate) enum Numbers {
    Same(f64),
    Each(Vec<f64>),
}

impl Numbers {
    pub(crate) fn at(&self, index: usize) -> f64 {
        match self {
            Self::Same(number) => *number,
            Self::Each(numbers) => numbers.get(index).copied().unwrap_or(f64::NAN),
        }
    }

    pub(crate) fn map(self, change: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Same(number) => Self::Same(change(number)),
            Self::Each(numbers) => Self::Each(numbers.into_iter().map(change).collect()),
        }
    }
}

/// What an expression comes to.
#[derive(Clone, Debug)]
pub(crate) enum Evaluated {
    Scalar(Numbers),
    Text(String),
    Vector(Vec<Column>),
    /// Only of a whole query at one instant; range functions read their selectors themselves.
    Matrix(Vec<Series>),
}

/// What all parts of one query share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub text: String,
    /// The series of each selector, by its number.
    pub data: Vec<Arc<Vec<Series>>>,
    pub control: Control,
    /// The whole query's range; its step is 0 for an instant.
    pub start: i64,
    pub end: i64,
    pub step: i64,
    /// Whether any part is fixed by `@`, and may be evaluated once.
    pub has_at: bool,
}

impl Shared {
    pub(crate) fn at(&self, at: Option<At>) -> Option<i64> {
        at.map(|at| match at {
            At::Start => self.start,
            At::End => self.end,
            At::Time(time) => time,
        })
    }

    /// The series of a selector.
    pub(crate) fn series(&self, id: usize) -> &[Series] {
        self.data.get(id).map_or(&[][..], |series| series.as_slice())
    }

    pub(crate) fn millis(&self, length: &Length) -> Result<i64> {
        resolve(length, &self.text, self.start, self.end, self.step)
    }

    pub(crate) fn warn(&self, span: Span, text: &str) {
        self.control.notes.borrow_mut().warn(&self.text, span, text);
    }

    pub(crate) fn info(&self, span: Span, text: &str) {
        self.control.notes.borrow_mut().info(&self.text, span, text);
    }
}

/// The milliseconds of a duration, given the query's range and step.
pub(crate) fn resolve(length: &Length, text: &str, start: i64, end: i64, step: i64) -> Result<i64> {
    match length {
        Length::Fixed(millis) => Ok(*millis),
        Length::Computed { formula, span, must_be_positive } => {
            let seconds = |millis: i64| yagura_model::Timestamp(millis).seconds();
            formula.millis(seconds(step), seconds(end.saturating_sub(start)), *must_be_positive).map_err(|message| {
                let place = super::ParseError::at(text, span.start, "");
                QueryError::Execution(format!("{}:{}: {message}", place.line, place.column))
            })
        }
    }
}

/// Evaluates expressions at some instants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evaluator<'a> {
    pub shared: &'a Shared,
    pub grid: Grid,
}

impl<'a> Evaluator<'a> {
    /// The same at other instants.
    pub(crate) fn with_grid(self, grid: Grid) -> Self {
        Self { grid, ..self }
    }

    pub(crate) fn control(self) -> &'a Control {
        &self.shared.control
    }

    pub(crate) fn eval(self, expr: &Expr) -> Result<Evaluated> {
        self.control().check()?;
        if self.grid.count == 0 {
            return Ok(self.nothing(expr));
        }
        if self.grid.count > 1 && self.shared.has_at && is_step_invariant(expr) {
            return self.repeated(expr);
        }
        match &expr.node {
            Node::Number(number) => Ok(Evaluated::Scalar(Numbers::Same(*number))),
            Node::Text(text) => Ok(Evaluated::Text(text.value.clone())),
            Node::Vector(selector) => {
                let columns = self.selected(selector)?.collect::<Result<Vec<_>>>()?;
                Ok(Evaluated::Vector(columns))
            }
            Node::Matrix { .. } | Node::Subquery(_) => window::whole(self, expr).map(Evaluated::Matrix),
            Node::Call { function, args } => functions::call(self, function, args, expr.span),
            Node::Aggregate(aggregate) => aggregate::eval(self, aggregate),
            Node::Binary(_) => binary::chain(self, expr),
            Node::Negate(inner) => self.eval(inner).map(negated),
            Node::Paren(inner) => self.eval(inner),
        }
    }

    /// An expression's columns.
    pub(crate) fn vector(self, expr: &Expr) -> Result<Vec<Column>> {
        match self.eval(expr)? {
            Evaluated::Vector(columns) => Ok(columns),
            _ => Err(QueryError::Execution("expected an instant vector".to_owned())),
        }
    }

    /// An expression's number.
    pub(crate) fn scalar(self, expr: &Expr) -> Result<Numbers> {
        match self.eval(expr)? {
            Evaluated::Scalar(numbers) => Ok(numbers),
            _ => Err(QueryError::Execution("expected a scalar".to_owned())),
        }
    }

    /// An expression's columns one after the other, where they need not be held together.
    pub(crate) fn stream<'e>(self, expr: &'e Expr) -> Result<Box<dyn Iterator<Item = Result<Column>> + 'e>>
    where
        'a: 'e,
    {
        let fixed = self.shared.has_at && is_step_invariant(expr);
        match &expr.node {
            Node::Paren(inner) => self.stream(inner),
            Node::Vector(selector) if !fixed => {
                let columns = self.selected(selector)?;
                Ok(Box::new(columns.inspect(move |column| self.let_go(column))))
            }
            Node::Call { function, args } if !fixed && self.grid.count > 0 => match function.body {
                Body::Window(kernel) => {
                    let columns = window::columns(self, function, kernel, args)?;
                    Ok(Box::new(columns.inspect(move |column| self.let_go(column))))
                }
                _ => self.held(expr),
            },
            _ => self.held(expr),
        }
    }

    fn held<'e>(self, expr: &Expr) -> Result<Box<dyn Iterator<Item = Result<Column>> + 'e>>
    where
        'a: 'e,
    {
        let columns = self.vector(expr)?;
        Ok(Box::new(columns.into_iter().map(Ok).inspect(move |column| self.let_go(column))))
    }

    fn let_go(self, column: &Result<Column>) {
        if let Ok(column) = column {
            self.control().release(column.values.len());
        }
    }

    /// The answer over no instants.
    fn nothing(self, expr: &Expr) -> Evaluated {
        match expr.value_type() {
            ValueType::Scalar => Evaluated::Scalar(Numbers::Each(Vec::new())),
            ValueType::String => Evaluated::Text(String::new()),
            ValueType::Vector => Evaluated::Vector(Vec::new()),
            ValueType::Matrix => Evaluated::Matrix(Vec::new()),
        }
    }

    /// What does not depend on the step is evaluated once and repeated.
    fn repeated(self, expr: &Expr) -> Result<Evaluated> {
        let once = self.with_grid(Grid { count: 1, ..self.grid }).eval(expr)?;
        Ok(match once {
            Evaluated::Scalar(numbers) => Evaluated::Scalar(Numbers::Same(numbers.at(0))),
            Evaluated::Vector(mut columns) => {
                self.control().hold(columns.len().saturating_mul(self.grid.count - 1))?;
                for column in &mut columns {
                    let value = column.values.first().copied().unwrap_or(ABSENT);
                    column.values.resize(self.grid.count, value);
                }
                Evaluated::Vector(columns)
            }
            other => other,
        })
    }

    /// The series of a selector with their latest values at each instant; those without any are left out.
    fn selected<'e>(self, selector: &'e Selector) -> Result<impl Iterator<Item = Result<Column>> + use<'a, 'e>> {
        if selector.edges == Edges::Anchored {
            let message = "anchored modifier can only be used with range vectors";
            return Err(QueryError::Execution(message.to_owned()));
        }
        let offset = self.shared.millis(&selector.offset)?;
        let at = self.shared.at(selector.at);
        let series = self.shared.series(selector.id);
        Ok(series.iter().enumerate().filter_map(move |(index, series)| {
            if index.is_multiple_of(256)
                && let Err(error) = self.control().check()
            {
                return Some(Err(error));
            }
            let reference = |time: i64| at.unwrap_or(time).saturating_sub(offset);
            let values = match selector.edges {
                Edges::Smoothed => window::smoothed(self, &series.samples, reference)?,
                _ => self.latest(&series.samples, reference, |sample| sample.value)?,
            };
            if let Err(error) = self.control().hold(values.len()) {
                return Some(Err(error));
            }
            Some(Ok(Column { labels: series.labels.clone(), drop_name: false, values }))
        }))
    }

    /// For each instant what `read` makes of the latest sample within the lookback, `None` when there never is one.
    pub(crate) fn latest(
        self,
        samples: &[Sample],
        reference: impl Fn(i64) -> i64,
        read: impl Fn(&Sample) -> f64,
    ) -> Option<Vec<f64>> {
        let lookback = window::lookback(self);
        let mut values = Vec::new();
        let mut rest = samples.iter().peekable();
        let mut latest: Option<&Sample> = None;
        for (index, time) in self.grid.times().enumerate() {
            let reference = reference(time);
            while let Some(sample) = rest.next_if(|sample| sample.time.0 <= reference) {
                latest = Some(sample);
            }
            let Some(sample) = latest else { continue };
            if sample.time.0 > reference.saturating_sub(lookback) && !is_stale(sample.value) {
                if values.is_empty() {
                    values.resize(self.grid.count, ABSENT);
                }
                if let Some(value) = values.get_mut(index) {
                    *value = read(sample);
                }
            }
        }
        (!values.is_empty()).then_some(values)
    }
}

fn negated(value: Evaluated) -> Evaluated {
    match value {
        Evaluated::Scalar(numbers) => Evaluated::Scalar(numbers.map(|number| -number)),
        Evaluated::Vector(mut columns) => {
            for column in &mut columns {
                column.drop_name = true;
                column.values.iter_mut().filter(|value| present(**value)).for_each(|value| *value = -*value);
            }
            Evaluated::Vector(columns)
        }
        other => other,
    }
}

/// Whether an expression has the same value at every step: all it selects is fixed by `@`, nothing asks for the time.
fn is_step_invariant(expr: &Expr) -> bool {
    match &expr.node {
        Node::Number(_) | Node::Text(_) => true,
        Node::Vector(selector) | Node::Matrix { selector, .. } => selector.at.is_some(),
        // Its own steps are not the query's.
        Node::Subquery(subquery) => subquery.at.is_some(),
        Node::Call { function, args } => !function.reads_time && args.iter().all(is_step_invariant),
        Node::Aggregate(aggregate) => aggregate.param.iter().chain([&aggregate.expr]).all(is_step_invariant),
        Node::Binary(_) => {
            let mut expr = expr;
            while let Node::Binary(binary) = &expr.node {
                if !is_step_invariant(&binary.rhs) {
                    return false;
                }
                expr = &binary.lhs;
            }
            is_step_invariant(expr)
        }
        Node::Negate(inner) | Node::Paren(inner) => is_step_invariant(inner),
    }
}
