//! Functions that order an instant vector; over a range they cannot, and say so.

use std::cmp::Ordering;

use super::{
    super::{
        ast::ValueType::{String as Text, Vector},
        eval::{Column, Evaluated, Result},
    },
    Body, Call, Function,
};

pub(super) const LIST: &[Function] = &[
    Function::new("sort", &[Vector], Vector, Body::Whole(|call| by_value(call, false))),
    Function::new("sort_desc", &[Vector], Vector, Body::Whole(|call| by_value(call, true))),
    Function {
        variadic: -1,
        ..Function::new("sort_by_label", &[Vector, Text], Vector, Body::Whole(|call| by_label(call, false)))
    },
    Function {
        variadic: -1,
        ..Function::new("sort_by_label_desc", &[Vector, Text], Vector, Body::Whole(|call| by_label(call, true)))
    },
];

fn is_range(call: &Call<'_, '_>) -> bool {
    let range = call.evaluator.shared.step != 0;
    if range {
        let text = "sort is ineffective for range queries since results are always ordered by labels";
        call.evaluator.shared.warn(call.span, text);
    }
    range
}

/// NaN comes last either way.
fn by_value(call: &Call<'_, '_>, descending: bool) -> Result<Evaluated> {
    let mut columns = call.evaluator.vector(call.arg(0)?)?;
    if !is_range(call) {
        let value = |column: &Column| column.values.first().copied().unwrap_or(f64::NAN);
        columns.sort_by(|a, b| {
            let (a, b) = (value(a), value(b));
            match a.partial_cmp(&b) {
                Some(order) if descending => order.reverse(),
                Some(order) => order,
                None => a.is_nan().cmp(&b.is_nan()),
            }
        });
    }
    Ok(Evaluated::Vector(columns))
}

fn by_label(call: &Call<'_, '_>, descending: bool) -> Result<Evaluated> {
    let names = (1..call.args.len()).map(|index| call.text(index)).collect::<Result<Vec<_>>>()?;
    let mut columns = call.evaluator.vector(call.arg(0)?)?;
    if !is_range(call) {
        columns.sort_by(|a, b| {
            let by_names = names
                .iter()
                .map(|name| natural(a.labels.get(name).unwrap_or_default(), b.labels.get(name).unwrap_or_default()));
            let order = by_names.fold(Ordering::Equal, Ordering::then);
            let order = order.then_with(|| a.labels.iter().cmp(b.labels.iter()));
            if descending { order.reverse() } else { order }
        });
    }
    Ok(Evaluated::Vector(columns))
}

/// Text with runs of digits compared as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() && !b.is_empty() {
        let ((run_a, rest_a), (run_b, rest_b)) = (run(a), run(b));
        let order = match (digits(run_a), digits(run_b)) {
            (Some(a), Some(b)) => a.len().cmp(&b.len()).then(a.cmp(b)).then(run_a.len().cmp(&run_b.len())),
            _ => run_a.cmp(run_b),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.len().cmp(&b.len())
}

/// The first run of digits or of others.
fn run(text: &str) -> (&str, &str) {
    let is_digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_digit).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// A run of digits without leading zeros.
fn digits(run: &str) -> Option<&str> {
    run.starts_with(|c: char| c.is_ascii_digit()).then(|| run.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_compared_as_numbers() {
        let check = |a: &str, b: &str| {
            assert_eq!(natural(a, b), Ordering::Less, "{a} {b}");
            assert_eq!(natural(b, a), Ordering::Greater, "{b} {a}");
        };
        check("4m5", "4m600");
        check("4m600", "4m1000");
        check("1.2.3", "1.11.3");
        check("a", "b");
        check("a", "a1");
        check("a9", "b1");
        assert_eq!(natural("a1b", "a1b"), Ordering::Equal);
    }
}
