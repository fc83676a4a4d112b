//! What is not there: `absent`, `absent_over_time`.

use yagura_model::{Labels, labels::NAME};

use super::{
    super::{
        ast::{
            Expr, Node,
            ValueType::{Matrix, Vector},
        },
        eval::{ABSENT, Column, Evaluated, Result, present},
        window,
    },
    Body, Call, Function,
};
use crate::storage::MatchOp;

pub(super) const LIST: &[Function] = &[
    Function::new("absent", &[Vector], Vector, Body::Whole(absent)),
    Function::new("absent_over_time", &[Matrix], Vector, Body::Whole(absent_over_time)),
];

fn absent(call: &Call<'_, '_>) -> Result<Evaluated> {
    let columns = call.evaluator.stream(call.arg(0)?)?;
    missing(call, columns)
}

fn absent_over_time(call: &Call<'_, '_>) -> Result<Evaluated> {
    let columns = window::columns(call.evaluator, call.function, |_| Some(1.0), call.args)?;
    let evaluator = call.evaluator;
    missing(
        call,
        columns.inspect(move |column| {
            if let Ok(column) = column {
                evaluator.control().release(column.values.len());
            }
        }),
    )
}

/// 1 at each instant at which no column has a value.
fn missing(call: &Call<'_, '_>, columns: impl Iterator<Item = Result<Column>>) -> Result<Evaluated> {
    let mut values = vec![1.0; call.evaluator.grid.count];
    for column in columns {
        for (missing, value) in values.iter_mut().zip(column?.values) {
            if present(value) {
                *missing = ABSENT;
            }
        }
    }
    let column = Column { labels: labels(call.arg(0)?), drop_name: false, values };
    Ok(Evaluated::Vector(if column.has_values() { vec![column] } else { Vec::new() }))
}

/// The labels that what is missing would have: those asked for once, by `=`.
fn labels(expr: &Expr) -> Labels {
    let (Node::Vector(selector) | Node::Matrix { selector, .. }) = &expr.unwrapped().node else {
        return Labels::empty();
    };
    let mut builder = Labels::empty().to_builder();
    let mut seen = Vec::new();
    for matcher in selector.matchers.iter().filter(|matcher| matcher.name != NAME) {
        if matcher.op == MatchOp::Equal && !seen.contains(&&matcher.name) {
            builder.set(&matcher.name, &matcher.value);
            seen.push(&matcher.name);
        } else {
            builder.remove(&matcher.name);
        }
    }
    builder.build()
}
