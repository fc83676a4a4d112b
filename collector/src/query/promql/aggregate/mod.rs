//! Aggregations: `sum by (…)` and its like fold series into groups; `topk` and its like choose among them.

mod choose;
mod fold;

use std::collections::HashMap;

use yagura_model::{Labels, labels::NAME};

use super::{
    ast::{Aggregate, Aggregator, Expr, Node, Span},
    error::QueryError,
    eval::{ABSENT, Column, Evaluated, Evaluator, Numbers, Result, present},
    notes::shortest,
};

pub(crate) use fold::{kahan, mean, quantile};

/// Evaluates an aggregation.
pub(crate) fn eval(evaluator: Evaluator<'_>, aggregate: &Aggregate) -> Result<Evaluated> {
    let columns = match aggregate.op {
        Aggregator::Sum => fold::run::<fold::Sum>(evaluator, aggregate)?,
        Aggregator::Avg => fold::run::<fold::Avg>(evaluator, aggregate)?,
        Aggregator::Min => fold::run::<fold::Min>(evaluator, aggregate)?,
        Aggregator::Max => fold::run::<fold::Max>(evaluator, aggregate)?,
        Aggregator::Count => fold::run::<fold::Count>(evaluator, aggregate)?,
        Aggregator::Group => fold::run::<fold::Group>(evaluator, aggregate)?,
        Aggregator::Stdvar => fold::run::<fold::Stdvar>(evaluator, aggregate)?,
        Aggregator::Stddev => fold::run::<fold::Stddev>(evaluator, aggregate)?,
        Aggregator::Quantile => quantiles(evaluator, aggregate)?,
        Aggregator::CountValues => count_values(evaluator, aggregate)?,
        Aggregator::Topk | Aggregator::Bottomk | Aggregator::Limitk | Aggregator::LimitRatio => {
            choose::eval(evaluator, aggregate)?
        }
    };
    Ok(Evaluated::Vector(columns))
}

/// The groups of an aggregation, in order of appearance.
struct Groups<'a> {
    without: bool,
    labels: &'a [String],
    places: HashMap<Labels, usize>,
}

impl<'a> Groups<'a> {
    fn new(without: bool, labels: &'a [String]) -> Self {
        Self { without, labels, places: HashMap::new() }
    }

    fn labels_of(&self, labels: &Labels) -> Labels {
        let listed = |name: &str| self.labels.iter().any(|label| label == name);
        match self.without {
            true => labels.without(|name| name == NAME || listed(name)),
            false if self.labels.is_empty() => Labels::empty(),
            false => labels.without(|name| !listed(name)),
        }
    }

    /// The number of a series' group, and its labels if it is a new one.
    fn place(&mut self, labels: &Labels) -> (usize, Option<Labels>) {
        let group = self.labels_of(labels);
        if let Some(place) = self.places.get(&group) {
            return (*place, None);
        }
        let place = self.places.len();
        self.places.insert(group.clone(), place);
        (place, Some(group))
    }
}

/// The numeric parameter and its least and greatest value; NaN if it ever is NaN.
struct Parameter {
    numbers: Numbers,
    span: Span,
    least: f64,
    most: f64,
    any_nan: bool,
}

fn parameter(evaluator: Evaluator<'_>, aggregate: &Aggregate) -> Result<Parameter> {
    let Some(param) = &aggregate.param else { return Err(QueryError::Execution("parameter is missing".to_owned())) };
    let numbers = evaluator.scalar(param)?;
    let mut parameter =
        Parameter { numbers, span: param.span, least: f64::INFINITY, most: f64::NEG_INFINITY, any_nan: false };
    for step in 0..evaluator.grid.count {
        let number = parameter.numbers.at(step);
        parameter.least = parameter.least.min(number);
        parameter.most = parameter.most.max(number);
        parameter.any_nan |= number.is_nan();
    }
    Ok(parameter)
}

fn quantiles(evaluator: Evaluator<'_>, aggregate: &Aggregate) -> Result<Vec<Column>> {
    let parameter = parameter(evaluator, aggregate)?;
    let warn = |quantile: f64| {
        let text = format!("quantile value should be between 0 and 1, got {}", shortest(quantile));
        evaluator.shared.warn(parameter.span, &text);
    };
    if parameter.any_nan {
        warn(f64::NAN);
    }
    if parameter.most > 1.0 {
        warn(parameter.most);
    }
    if parameter.least < 0.0 {
        warn(parameter.least);
    }
    let columns = evaluator.vector(&aggregate.expr)?;
    let mut groups = Groups::new(aggregate.without, &aggregate.labels);
    let mut members: Vec<(Column, Vec<&Column>)> = Vec::new();
    for column in &columns {
        let (place, new) = groups.place(&column.labels);
        if let Some(labels) = new {
            evaluator.control().hold(evaluator.grid.count)?;
            let values = vec![ABSENT; evaluator.grid.count];
            members.push((Column { labels, drop_name: column.drop_name, values }, Vec::new()));
        }
        if let Some((group, members)) = members.get_mut(place) {
            group.drop_name |= column.drop_name;
            members.push(column);
        }
    }
    let mut values = Vec::new();
    for (group, members) in &mut members {
        evaluator.control().check()?;
        for (step, result) in group.values.iter_mut().enumerate() {
            values.clear();
            let at_step = members.iter().filter_map(|column| column.values.get(step).copied());
            values.extend(at_step.filter(|value| present(*value)));
            if !values.is_empty() {
                *result = quantile(parameter.numbers.at(step), &mut values);
            }
        }
    }
    evaluator.control().release(columns.iter().map(|column| column.values.len()).sum());
    Ok(members.into_iter().map(|(group, _)| group).collect())
}

fn count_values(evaluator: Evaluator<'_>, aggregate: &Aggregate) -> Result<Vec<Column>> {
    let label = value_label(evaluator, aggregate.param.as_ref())?;
    let mut listed = aggregate.labels.clone();
    if !aggregate.without {
        listed.push(label.clone());
    }
    let mut groups = Groups::new(aggregate.without, &listed);
    let mut counts: Vec<Column> = Vec::new();
    for column in evaluator.stream(&aggregate.expr)? {
        let column = column?;
        // Most series keep a value for many steps.
        let mut last: Option<(u64, usize)> = None;
        for (step, value) in column.values.iter().enumerate().filter(|(_, value)| present(**value)) {
            let place = match last {
                Some((bits, place)) if bits == value.to_bits() => place,
                _ => {
                    let mut builder = column.labels.to_builder();
                    builder.set(&label, &plain(*value));
                    let (place, new) = groups.place(&builder.build());
                    if let Some(labels) = new {
                        evaluator.control().hold(evaluator.grid.count)?;
                        counts.push(Column { labels, drop_name: false, values: vec![ABSENT; evaluator.grid.count] });
                    }
                    last = Some((value.to_bits(), place));
                    place
                }
            };
            if let Some(count) = counts.get_mut(place).and_then(|column| column.values.get_mut(step)) {
                *count = if present(*count) { *count + 1.0 } else { 1.0 };
            }
        }
    }
    Ok(counts)
}

fn value_label(evaluator: Evaluator<'_>, param: Option<&Expr>) -> Result<String> {
    let param = param.map(Expr::unwrapped);
    match param.map(|param| (&param.node, param.span)) {
        Some((Node::Text(text), _)) if text.valid && !text.value.is_empty() => Ok(text.value.clone()),
        Some((_, span)) => {
            let written = evaluator.shared.text.get(span.start..span.end).unwrap_or_default();
            Err(QueryError::Execution(format!("invalid label name {written}")))
        }
        None => Err(QueryError::Execution("parameter is missing".to_owned())),
    }
}

/// A number without exponent.
fn plain(value: f64) -> String {
    if value.is_infinite() { shortest(value) } else { format!("{value}") }
}
