//! Where something is going: `deriv`, `predict_linear`, `double_exponential_smoothing`.

use super::{
    super::{
        aggregate::kahan,
        ast::{
            Span,
            ValueType::{Matrix, Scalar},
        },
        error::QueryError,
        eval::{Evaluator, Result},
        window::Window,
    },
    Function,
};

pub(super) const LIST: &[Function] = &[
    // Any instant near the samples keeps the arithmetic exact.
    Function::window("deriv", &[Matrix], |window| regression(window, window.first()?.time.0).map(|(slope, _)| slope)),
    Function {
        reads_time: true,
        ..Function::window("predict_linear", &[Matrix, Scalar], |window| {
            regression(window, window.at).map(|(slope, intercept)| slope * window.scalars[0] + intercept)
        })
    },
    Function {
        check_scalars: Some(check_factors),
        ..Function::window("double_exponential_smoothing", &[Matrix, Scalar, Scalar], smoothing)
    },
];

/// The line that fits a window best: its slope, and its value at an instant.
fn regression(window: &Window<'_>, at: i64) -> Option<(f64, f64)> {
    if window.samples.len() < 2 {
        return None;
    }
    let first = window.first()?.value;
    if window.values().all(|value| value == first) {
        return Some(if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) });
    }
    let mut sums = [(0.0, 0.0); 4];
    for sample in window.samples {
        let x = (sample.time.0 - at) as f64 / 1000.0;
        let terms = [x, sample.value, x * sample.value, x * x];
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum = kahan(term, sum.0, sum.1);
        }
    }
    let [x, y, xy, xx] = sums.map(|(sum, compensation)| sum + compensation);
    let count = window.samples.len() as f64;
    let slope = (xy - x * y / count) / (xx - x * x / count);
    Some((slope, y / count - slope * x / count))
}

fn check_factors(_: Evaluator<'_>, _: Span, [smoothing, trend]: [f64; 2]) -> Result<()> {
    for (name, short, factor) in [("smoothing", "sf", smoothing), ("trend", "tf", trend)] {
        if factor <= 0.0 || factor >= 1.0 {
            let message = format!("invalid {name} factor. Expected: 0 < {short} < 1, got: {factor:.6}");
            return Err(QueryError::Execution(message));
        }
    }
    Ok(())
}

/// Holt's linear method.
fn smoothing(window: &Window<'_>) -> Option<f64> {
    let [first, second, ..] = window.samples else { return None };
    let [smoothing, trend_factor] = window.scalars;
    let (mut before, mut level) = (0.0, first.value);
    let mut trend = second.value - first.value;
    for (index, value) in window.values().enumerate().skip(1) {
        if index > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + trend);
        (before, level) = (level, next);
    }
    Some(level)
}
