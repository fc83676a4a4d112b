//! Operators between scalars, a vector and a scalar, and two vectors.

use std::collections::HashMap;

use yagura_model::{Labels, labels::NAME};

use super::{
    ast::{Binary, Cardinality, Expr, Matching, Node, Operator},
    error::QueryError,
    eval::{ABSENT, Column, Evaluated, Evaluator, Numbers, Result, present},
    matching,
};

/// Evaluates a chain of operators. It leans to the left, so it is walked down in a loop and costs no stack.
pub(crate) fn chain(evaluator: Evaluator<'_>, expr: &Expr) -> Result<Evaluated> {
    let mut operations = Vec::new();
    let mut leftmost = expr;
    while let Node::Binary(binary) = &leftmost.node {
        operations.push(&**binary);
        leftmost = &binary.lhs;
    }
    let mut lhs = evaluator.eval(leftmost)?;
    for binary in operations.into_iter().rev() {
        let rhs = evaluator.eval(&binary.rhs)?;
        lhs = apply(evaluator, binary, lhs, rhs)?;
    }
    Ok(lhs)
}

fn apply(evaluator: Evaluator<'_>, binary: &Binary, lhs: Evaluated, rhs: Evaluated) -> Result<Evaluated> {
    match (lhs, rhs) {
        (Evaluated::Scalar(lhs), Evaluated::Scalar(rhs)) => {
            Ok(Evaluated::Scalar(scalars(binary.op, &lhs, &rhs, evaluator)))
        }
        (Evaluated::Vector(lhs), Evaluated::Scalar(rhs)) => {
            Ok(Evaluated::Vector(with_scalar(evaluator, binary, lhs, &rhs, false)))
        }
        (Evaluated::Scalar(lhs), Evaluated::Vector(rhs)) => {
            Ok(Evaluated::Vector(with_scalar(evaluator, binary, rhs, &lhs, true)))
        }
        (Evaluated::Vector(lhs), Evaluated::Vector(rhs)) => {
            let read: usize = lhs.iter().chain(&rhs).map(|column| column.values.len()).sum();
            let columns = if binary.op.is_set() {
                sets(binary, lhs, rhs)?
            } else {
                matching::operate(evaluator, binary, lhs, rhs)?
            };
            let control = evaluator.control();
            control.release(read);
            control.hold(columns.iter().map(|column| column.values.len()).sum())?;
            Ok(Evaluated::Vector(columns))
        }
        _ => {
            Err(QueryError::Execution("binary expression must contain only scalar and instant vector types".to_owned()))
        }
    }
}

/// What an operator does to two numbers; of comparisons, whether it holds.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    Arithmetic(fn(f64, f64) -> f64),
    Comparison(fn(f64, f64) -> bool),
}

pub(super) fn meaning(op: Operator) -> Meaning {
    match op {
        Operator::Add => Meaning::Arithmetic(|a, b| a + b),
        Operator::Sub => Meaning::Arithmetic(|a, b| a - b),
        Operator::Mul => Meaning::Arithmetic(|a, b| a * b),
        Operator::Div => Meaning::Arithmetic(|a, b| a / b),
        Operator::Mod => Meaning::Arithmetic(|a, b| a % b),
        Operator::Pow => Meaning::Arithmetic(f64::powf),
        Operator::Atan2 => Meaning::Arithmetic(f64::atan2),
        Operator::NotEqual => Meaning::Comparison(|a, b| a != b),
        Operator::Less => Meaning::Comparison(|a, b| a < b),
        Operator::LessEqual => Meaning::Comparison(|a, b| a <= b),
        Operator::Greater => Meaning::Comparison(|a, b| a > b),
        Operator::GreaterEqual => Meaning::Comparison(|a, b| a >= b),
        // Set operators never come here.
        Operator::Equal | Operator::And | Operator::Or | Operator::Unless => Meaning::Comparison(|a, b| a == b),
    }
}

fn scalars(op: Operator, lhs: &Numbers, rhs: &Numbers, evaluator: Evaluator<'_>) -> Numbers {
    let compute = |a: f64, b: f64| match meaning(op) {
        Meaning::Arithmetic(compute) => compute(a, b),
        Meaning::Comparison(holds) => f64::from(u8::from(holds(a, b))),
    };
    match (lhs, rhs) {
        (Numbers::Same(lhs), Numbers::Same(rhs)) => Numbers::Same(compute(*lhs, *rhs)),
        _ => Numbers::Each((0..evaluator.grid.count).map(|at| compute(lhs.at(at), rhs.at(at))).collect()),
    }
}

/// `swapped`: the scalar stands on the left.
fn with_scalar(
    evaluator: Evaluator<'_>,
    binary: &Binary,
    mut columns: Vec<Column>,
    scalar: &Numbers,
    swapped: bool,
) -> Vec<Column> {
    let meaning = meaning(binary.op);
    let filters = matches!(meaning, Meaning::Comparison(_)) && !binary.returns_bool;
    for column in &mut columns {
        column.drop_name |= !filters;
        for (index, value) in column.values.iter_mut().enumerate().filter(|(_, value)| present(**value)) {
            let number = scalar.at(index);
            let (lhs, rhs) = if swapped { (number, *value) } else { (*value, number) };
            match meaning {
                Meaning::Arithmetic(compute) => *value = compute(lhs, rhs),
                Meaning::Comparison(holds) if binary.returns_bool => *value = f64::from(u8::from(holds(lhs, rhs))),
                Meaning::Comparison(holds) if holds(lhs, rhs) => {}
                Meaning::Comparison(_) => *value = ABSENT,
            }
        }
    }
    if filters {
        columns.retain(|column| {
            let kept = column.has_values();
            if !kept {
                evaluator.control().release(column.values.len());
            }
            kept
        });
    }
    columns
}

/// The labels that two series must have in common to match.
pub(super) fn signature(matching: &Matching, labels: &Labels) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|label| label == name);
    if matching.on { labels.without(|name| !listed(name)) } else { labels.without(|name| name == NAME || listed(name)) }
}

/// Numbers for signatures, the same for both sides.
#[derive(Default)]
pub(super) struct Signatures {
    numbers: HashMap<Labels, usize>,
}

impl Signatures {
    pub(super) fn number(&mut self, matching: &Matching, labels: &Labels) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(signature(matching, labels)).or_insert(next)
    }
}

fn sets(binary: &Binary, mut lhs: Vec<Column>, mut rhs: Vec<Column>) -> Result<Vec<Column>> {
    let mut signatures = Signatures::default();
    let left: Vec<usize> = lhs.iter().map(|column| signatures.number(&binary.matching, &column.labels)).collect();
    let right: Vec<usize> = rhs.iter().map(|column| signatures.number(&binary.matching, &column.labels)).collect();
    let columns = match binary.op {
        Operator::And => {
            let there = presence(&rhs, &right);
            mask(&mut lhs, &left, &there, true);
            lhs
        }
        Operator::Unless => {
            let there = presence(&rhs, &right);
            mask(&mut lhs, &left, &there, false);
            lhs
        }
        _ => {
            let there = presence(&lhs, &left);
            mask(&mut rhs, &right, &there, false);
            lhs.append(&mut rhs);
            return merge(lhs);
        }
    };
    Ok(columns)
}

/// For each signature, at which instants one of its series has a value.
fn presence(columns: &[Column], signatures: &[usize]) -> HashMap<usize, Vec<bool>> {
    let mut there: HashMap<usize, Vec<bool>> = HashMap::new();
    for (column, signature) in columns.iter().zip(signatures) {
        let there = there.entry(*signature).or_insert_with(|| vec![false; column.values.len()]);
        for (there, value) in there.iter_mut().zip(&column.values) {
            *there |= present(*value);
        }
    }
    there
}

/// Keeps values where the other side has the signature (or where it has not), and columns that have values.
fn mask(columns: &mut Vec<Column>, signatures: &[usize], there: &HashMap<usize, Vec<bool>>, keep: bool) {
    let mut signatures = signatures.iter();
    columns.retain_mut(|column| {
        let there = signatures.next().and_then(|signature| there.get(signature));
        match there {
            None => !keep,
            Some(there) => {
                for (value, there) in column.values.iter_mut().zip(there) {
                    if *there != keep {
                        *value = ABSENT;
                    }
                }
                column.has_values()
            }
        }
    });
}

/// Joins columns with the same labels; two values at one instant are an error.
pub(crate) fn merge(columns: Vec<Column>) -> Result<Vec<Column>> {
    let mut merged: Vec<Column> = Vec::with_capacity(columns.len());
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(columns.len());
    for column in columns {
        let place = *places.entry(column.labels.clone()).or_insert(merged.len());
        let Some(first) = merged.get_mut(place) else {
            merged.push(column);
            continue;
        };
        for (value, other) in first.values.iter_mut().zip(&column.values).filter(|(_, other)| present(**other)) {
            if present(*value) {
                return Err(same_labels());
            }
            *value = *other;
        }
    }
    Ok(merged)
}

pub(crate) fn same_labels() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

/// Which side of a match may have many series.
pub(super) fn many_is_right(binary: &Binary) -> bool {
    binary.matching.cardinality == Cardinality::OneToMany
}
