//! Series with series: `sum by (…)`, `topk`, `a / b`.

use std::collections::{BTreeMap, HashMap};

use yagura_model::Labels;

use super::{
    Answer, Error,
    ast::{AggregateExpr, AggregateOp, BinaryExpr, BinaryOp, Grouping},
    metric::Matrix,
    window::variance,
};

/// The labels that are left of a series; without a grouping none.
pub(super) fn grouped(labels: &Labels, grouping: Option<&Grouping>) -> Labels {
    match grouping {
        None => Labels::empty(),
        Some(grouping) => labels.without(|name| grouping.labels.iter().any(|label| label == name) == grouping.without),
    }
}

/// `sum by (…) (inner)`
pub(super) fn aggregate(expr: &AggregateExpr, inner: Matrix) -> Matrix {
    let grouping = expr.grouping.as_ref();
    if matches!(expr.op, AggregateOp::Topk | AggregateOp::Bottomk) {
        return choose(expr, inner);
    }
    let mut groups: BTreeMap<Labels, Vec<Vec<Option<f64>>>> = BTreeMap::new();
    for (labels, values) in inner {
        groups.entry(grouped(&labels, grouping)).or_default().push(values);
    }
    let fold = |members: Vec<Vec<Option<f64>>>| {
        let steps = members.iter().map(Vec::len).max().unwrap_or(0);
        let at = |step: usize| -> Vec<f64> { members.iter().filter_map(|values| *values.get(step)?).collect() };
        (0..steps).map(|step| over(expr.op, &at(step))).collect()
    };
    groups.into_iter().map(|(labels, members)| (labels, fold(members))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of series stay exact in a float")]
fn over(op: AggregateOp, values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let (count, sum) = (values.len() as f64, values.iter().sum::<f64>());
    Some(match op {
        AggregateOp::Sum => sum,
        AggregateOp::Avg => sum / count,
        AggregateOp::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        AggregateOp::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        AggregateOp::Count => count,
        AggregateOp::Stdvar => variance(values),
        AggregateOp::Stddev => variance(values).sqrt(),
        AggregateOp::Topk | AggregateOp::Bottomk => sum,
    })
}

/// `topk` and `bottomk`: at each step the largest or smallest of each group stay.
fn choose(expr: &AggregateExpr, inner: Matrix) -> Matrix {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
    let count = expr.parameter.max(0.0) as usize;
    let steps = inner.values().map(Vec::len).max().unwrap_or(0);
    let mut chosen: Matrix = Matrix::new();
    for step in 0..steps {
        let mut groups: HashMap<Labels, Vec<(&Labels, f64)>> = HashMap::new();
        for (labels, values) in &inner {
            if let Some(Some(value)) = values.get(step) {
                groups.entry(grouped(labels, expr.grouping.as_ref())).or_default().push((labels, *value));
            }
        }
        for mut members in groups.into_values() {
            members.sort_by(|one, other| match expr.op {
                AggregateOp::Topk => other.1.total_cmp(&one.1),
                _ => one.1.total_cmp(&other.1),
            });
            for (labels, value) in members.into_iter().take(count) {
                let values = chosen.entry(labels.clone()).or_insert_with(|| vec![None; steps]);
                if let Some(place) = values.get_mut(step) {
                    *place = Some(value);
                }
            }
        }
    }
    chosen
}

/// `left op right`
pub(super) fn binary(expr: &BinaryExpr, left: Answer, right: Answer) -> Result<Answer, Error> {
    match (left, right) {
        (Answer::Scalar(left), Answer::Scalar(right)) => Ok(Answer::Scalar(expr.op.arithmetic(left, right))),
        (Answer::Matrix(left), Answer::Scalar(right)) => {
            Ok(Answer::Matrix(with_scalar(expr, left, |value| (value, right))))
        }
        (Answer::Scalar(left), Answer::Matrix(right)) => {
            Ok(Answer::Matrix(with_scalar(expr, right, |value| (left, value))))
        }
        (Answer::Matrix(left), Answer::Matrix(right)) => Ok(Answer::Matrix(matched(expr, left, right)?)),
        _ => Err(Error::Execution("an operator needs numbers on both sides".to_owned())),
    }
}

/// Every value with a number; a comparison without `bool` keeps the vector's value where it holds.
fn with_scalar(expr: &BinaryExpr, matrix: Matrix, sides: impl Fn(f64) -> (f64, f64)) -> Matrix {
    let one = |value: Option<f64>| {
        let value = value?;
        let (left, right) = sides(value);
        match expr.op {
            BinaryOp::Compare(comparison) if !expr.bool => comparison.holds(left, right).then_some(value),
            op => Some(op.arithmetic(left, right)),
        }
    };
    let mapped = matrix.into_iter().map(|(labels, values)| (labels, values.into_iter().map(one).collect::<Vec<_>>()));
    mapped.filter(|(_, values)| values.iter().any(Option::is_some)).collect()
}

/// Series with the series that have the same labels.
fn matched(expr: &BinaryExpr, left: Matrix, right: Matrix) -> Result<Matrix, Error> {
    let key = |labels: &Labels| match &expr.matching {
        None => labels.clone(),
        some => grouped(labels, some.as_ref()),
    };
    let sets = matches!(expr.op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless);
    if sets {
        return Ok(set_operation(expr.op, left, right, key));
    }
    let mut partners: HashMap<Labels, Vec<Option<f64>>> = HashMap::new();
    for (labels, values) in right {
        if partners.insert(key(&labels), values).is_some() {
            return Err(Error::Execution(format!("several series on the right match {}", key(&labels))));
        }
    }
    let mut result = Matrix::new();
    for (labels, values) in left {
        let key = key(&labels);
        let Some(partner) = partners.get(&key) else { continue };
        let pairs = values.iter().zip(partner).map(|(left, right)| {
            let (left, right) = ((*left)?, (*right)?);
            match expr.op {
                BinaryOp::Compare(comparison) if !expr.bool => comparison.holds(left, right).then_some(left),
                op => Some(op.arithmetic(left, right)),
            }
        });
        let labels = if expr.matching.is_some() { key } else { labels };
        if result.insert(labels.clone(), pairs.collect()).is_some() {
            return Err(Error::Execution(format!("several series on the left match {labels}")));
        }
    }
    Ok(result)
}

fn set_operation(op: BinaryOp, left: Matrix, right: Matrix, key: impl Fn(&Labels) -> Labels) -> Matrix {
    let present = |matrix: &Matrix| {
        let mut steps: HashMap<Labels, Vec<bool>> = HashMap::new();
        for (labels, values) in matrix {
            let held = steps.entry(key(labels)).or_insert_with(|| vec![false; values.len()]);
            held.iter_mut().zip(values).for_each(|(held, value)| *held |= value.is_some());
        }
        steps
    };
    let keep = |matrix: Matrix, others: &HashMap<Labels, Vec<bool>>, wanted: bool| -> Matrix {
        let filter = |(labels, values): (Labels, Vec<Option<f64>>)| {
            let other = others.get(&key(&labels));
            let there = |step: usize| other.and_then(|other| other.get(step)).copied().unwrap_or(false);
            let values: Vec<_> =
                values.into_iter().enumerate().map(|(step, value)| value.filter(|_| there(step) == wanted)).collect();
            values.iter().any(Option::is_some).then_some((labels, values))
        };
        matrix.into_iter().filter_map(filter).collect()
    };
    match op {
        BinaryOp::And => keep(left, &present(&right), true),
        BinaryOp::Unless => keep(left, &present(&right), false),
        _ => {
            let added = keep(right, &present(&left), false);
            let mut all = left;
            for (labels, values) in added {
                let held = all.entry(labels).or_insert_with(|| vec![None; values.len()]);
                held.iter_mut().zip(values).for_each(|(held, value)| *held = held.or(value));
            }
            all
        }
    }
}
