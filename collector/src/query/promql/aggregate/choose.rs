//! Aggregations that choose some series of each group: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::cmp::Ordering;

use yagura_model::Labels;

use super::super::{
    ast::{Aggregate, Aggregator},
    error::QueryError,
    eval::{ABSENT, Column, Evaluator, Result, present},
    notes::shortest,
};
use super::{Groups, Parameter};

pub(super) fn eval(evaluator: Evaluator<'_>, aggregate: &Aggregate) -> Result<Vec<Column>> {
    let parameter = super::parameter(evaluator, aggregate)?;
    if !check(evaluator, aggregate.op, &parameter)? {
        return Ok(Vec::new());
    }
    let columns = evaluator.vector(&aggregate.expr)?;
    let mut groups = Groups::new(aggregate.without, &aggregate.labels);
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let (place, new) = groups.place(&column.labels);
        if new.is_some() {
            members.push(Vec::new());
        }
        if let Some(members) = members.get_mut(place) {
            members.push(index);
        }
    }
    let choice = Choice { op: aggregate.op, columns: &columns, members: &members, parameter: &parameter };
    if evaluator.grid.count == 1 {
        // One instant: the order is part of the answer.
        let chosen = choice.at(0);
        return Ok(chosen.into_iter().filter_map(|index| columns.get(index).cloned()).collect());
    }
    let mut kept: Vec<Vec<f64>> = columns.iter().map(|column| vec![ABSENT; column.values.len()]).collect();
    for step in 0..evaluator.grid.count {
        evaluator.control().check()?;
        for index in choice.at(step) {
            let value = columns.get(index).and_then(|column| column.values.get(step)).copied();
            if let (Some(slot), Some(value)) = (kept.get_mut(index).and_then(|kept| kept.get_mut(step)), value) {
                *slot = value;
            }
        }
    }
    let mut columns = columns;
    for (column, kept) in columns.iter_mut().zip(kept) {
        column.values = kept;
    }
    columns.retain(|column| {
        let has_values = column.has_values();
        if !has_values {
            evaluator.control().release(column.values.len());
        }
        has_values
    });
    Ok(columns)
}

/// Looks at the parameter; false when nothing can be chosen.
fn check(evaluator: Evaluator<'_>, op: Aggregator, parameter: &Parameter) -> Result<bool> {
    if op == Aggregator::LimitRatio {
        return check_ratio(evaluator, parameter);
    }
    if parameter.any_nan {
        return Err(QueryError::Execution("Parameter value is NaN".to_owned()));
    }
    if parameter.most < 1.0 {
        return Ok(false);
    }
    if parameter.least <= -9_223_372_036_854_775_808.0 {
        let least = shortest(parameter.least);
        return Err(QueryError::Execution(format!("Scalar value {least} underflows int64")));
    }
    if parameter.most >= 9_223_372_036_854_774_784.0 {
        let most = shortest(parameter.most);
        return Err(QueryError::Execution(format!("Scalar value {most} overflows int64")));
    }
    Ok(true)
}

fn check_ratio(evaluator: Evaluator<'_>, parameter: &Parameter) -> Result<bool> {
    if parameter.any_nan {
        return Err(QueryError::Execution("Ratio value is NaN".to_owned()));
    }
    let warn = |given: f64, capped: f64| {
        let (given, capped) = (shortest(given), shortest(capped));
        let text = format!("ratio value should be between -1 and 1, got {given}, capping to {capped}");
        evaluator.shared.warn(parameter.span, &text);
    };
    if parameter.most > 1.0 {
        warn(parameter.most, 1.0);
    }
    if parameter.least < -1.0 {
        warn(parameter.least, -1.0);
    }
    Ok(parameter.most != 0.0 || parameter.least != 0.0)
}

struct Choice<'c> {
    op: Aggregator,
    columns: &'c [Column],
    members: &'c [Vec<usize>],
    parameter: &'c Parameter,
}

impl Choice<'_> {
    /// The series chosen at a step, group by group, best first.
    fn at(&self, step: usize) -> Vec<usize> {
        let number = self.parameter.numbers.at(step);
        let mut chosen = Vec::new();
        for members in self.members {
            let there = members.iter().filter_map(|index| {
                let value = self.columns.get(*index)?.values.get(step).copied()?;
                present(value).then_some((value, *index))
            });
            if self.op == Aggregator::LimitRatio {
                let ratio = number.clamp(-1.0, 1.0);
                let within =
                    |index: usize| self.columns.get(index).is_some_and(|column| in_ratio(&column.labels, ratio));
                chosen.extend(there.map(|(_, index)| index).filter(|index| within(*index)));
                continue;
            }
            if number < 1.0 {
                continue;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by `check`")]
            let count = number as usize;
            if self.op == Aggregator::Limitk {
                chosen.extend(there.take(count).map(|(_, index)| index));
            } else {
                chosen.extend(best(there.collect(), count, self.op == Aggregator::Topk));
            }
        }
        chosen
    }
}

/// The `count` greatest (or smallest) of some values, best first; NaN comes last, of equals the first stays.
fn best(mut there: Vec<(f64, usize)>, count: usize, greatest: bool) -> impl Iterator<Item = usize> {
    let order = |a: &(f64, usize), b: &(f64, usize)| {
        let by_value = a.0.partial_cmp(&b.0).map(|order| if greatest { order.reverse() } else { order });
        let by_value = by_value.unwrap_or_else(|| a.0.is_nan().cmp(&b.0.is_nan()));
        by_value.then(a.1.cmp(&b.1))
    };
    if count < there.len() {
        there.select_nth_unstable_by(count, order);
        there.truncate(count);
    }
    there.sort_unstable_by(order);
    there.into_iter().map(|(_, index)| index)
}

/// Whether a series is in the part of all series that a ratio takes; a negative ratio takes the other end.
fn in_ratio(labels: &Labels, ratio: f64) -> bool {
    let mut bytes = Vec::new();
    for (name, value) in labels.iter() {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0xff);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0xff);
    }
    let place = xxhash_rust::xxh3::xxh3_64(&bytes) as f64 / u64::MAX as f64;
    match ratio.partial_cmp(&0.0) {
        Some(Ordering::Less) => place >= 1.0 + ratio,
        _ => ratio >= 1.0 || place < ratio,
    }
}
