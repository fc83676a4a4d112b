//! Between scalars and vectors, and what a query knows of its own time.

use yagura_model::Labels;

use super::{
    super::{
        ast::{
            Node,
            ValueType::{Scalar, Vector},
        },
        eval::{Column, Evaluated, Numbers, Result, present},
    },
    Body, Call, Function, math,
};

pub(super) const LIST: &[Function] = &[
    number("pi", |_| Ok(Numbers::Same(std::f64::consts::PI))),
    Function { reads_time: true, ..number("time", time) },
    number("start", |call| Ok(Numbers::Same(seconds(call.evaluator.shared.start)))),
    number("end", |call| Ok(Numbers::Same(seconds(call.evaluator.shared.end)))),
    number("step", |call| Ok(Numbers::Same(seconds(call.evaluator.shared.step)))),
    number("range", |call| Ok(Numbers::Same(seconds(call.evaluator.shared.end - call.evaluator.shared.start)))),
    Function { args: &[Scalar, Scalar], ..number("min_of", |call| pair(call, math::lesser)) },
    Function { args: &[Scalar, Scalar], ..number("max_of", |call| pair(call, math::greater)) },
    Function { args: &[Vector], ..number("scalar", scalar) },
    Function::new("vector", &[Scalar], Vector, Body::Whole(vector)),
    Function { reads_time: true, ..Function::new("timestamp", &[Vector], Vector, Body::Whole(timestamp)) },
];

const fn number(name: &'static str, read: fn(&Call<'_, '_>) -> Result<Numbers>) -> Function {
    Function::new(name, &[], Scalar, Body::Number(read))
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

fn time(call: &Call<'_, '_>) -> Result<Numbers> {
    Ok(Numbers::Each(call.evaluator.grid.times().map(seconds).collect()))
}

fn pair(call: &Call<'_, '_>, choose: fn(f64, f64) -> f64) -> Result<Numbers> {
    let (a, b) = (call.evaluator.scalar(call.arg(0)?)?, call.evaluator.scalar(call.arg(1)?)?);
    Ok(match (&a, &b) {
        (Numbers::Same(a), Numbers::Same(b)) => Numbers::Same(choose(*a, *b)),
        _ => Numbers::Each((0..call.evaluator.grid.count).map(|step| choose(a.at(step), b.at(step))).collect()),
    })
}

/// The one value of a vector; NaN when there is none or more than one.
fn scalar(call: &Call<'_, '_>) -> Result<Numbers> {
    let mut numbers = vec![f64::NAN; call.evaluator.grid.count];
    let mut found = vec![false; call.evaluator.grid.count];
    for column in call.evaluator.stream(call.arg(0)?)? {
        let column = column?;
        for ((number, found), value) in numbers.iter_mut().zip(&mut found).zip(column.values) {
            if present(value) {
                *number = if std::mem::replace(found, true) { f64::NAN } else { value };
            }
        }
    }
    Ok(Numbers::Each(numbers))
}

fn vector(call: &Call<'_, '_>) -> Result<Evaluated> {
    let numbers = call.evaluator.scalar(call.arg(0)?)?;
    Ok(lone((0..call.evaluator.grid.count).map(|step| numbers.at(step)).collect()))
}

/// A vector of one series without labels.
pub(super) fn lone(values: Vec<f64>) -> Evaluated {
    Evaluated::Vector(vec![Column { labels: Labels::empty(), drop_name: false, values }])
}

/// When the samples of a selector were taken; of anything else, the instants of evaluation.
fn timestamp(call: &Call<'_, '_>) -> Result<Evaluated> {
    let evaluator = call.evaluator;
    let Node::Vector(selector) = &call.arg(0)?.unwrapped().node else {
        let mut columns = evaluator.vector(call.arg(0)?)?;
        for column in &mut columns {
            column.drop_name = true;
            for (value, time) in column.values.iter_mut().zip(evaluator.grid.times()) {
                if present(*value) {
                    *value = seconds(time);
                }
            }
        }
        return Ok(Evaluated::Vector(columns));
    };
    let offset = evaluator.shared.millis(&selector.offset)?;
    let at = evaluator.shared.at(selector.at);
    let reference = |time: i64| at.unwrap_or(time).saturating_sub(offset);
    let mut columns = Vec::new();
    for series in evaluator.shared.series(selector.id) {
        let taken = evaluator.latest(&series.samples, reference, |sample| sample.time.seconds());
        if let Some(values) = taken {
            evaluator.control().hold(values.len())?;
            columns.push(Column { labels: series.labels.clone(), drop_name: true, values });
        }
    }
    Ok(Evaluated::Vector(columns))
}
