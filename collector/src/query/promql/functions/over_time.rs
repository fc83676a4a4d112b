//! Functions that fold a range into one value: `*_over_time`, `changes`, `resets`.

use super::{
    super::{
        aggregate::{kahan, mean, quantile},
        ast::{
            Edges, Span,
            ValueType::{Matrix, Scalar},
        },
        eval::{Evaluator, Result},
        notes::shortest,
        window::Window,
    },
    Function,
};
use crate::storage::Sample;

pub(super) const LIST: &[Function] = &[
    Function::window("avg_over_time", &[Matrix], |window| Some(mean(window.values()))),
    Function::window("sum_over_time", &[Matrix], |window| Some(sum(window))),
    Function::window("min_over_time", &[Matrix], |window| extreme(window, |value, least| value < least).map(value)),
    Function::window("max_over_time", &[Matrix], |window| extreme(window, |value, most| value > most).map(value)),
    Function::window("count_over_time", &[Matrix], |window| Some(window.samples.len() as f64)),
    Function::window("present_over_time", &[Matrix], |_| Some(1.0)),
    Function { drops_name: false, ..Function::window("last_over_time", &[Matrix], |window| window.last().map(value)) },
    Function {
        drops_name: false,
        ..Function::window("first_over_time", &[Matrix], |window| window.first().map(value))
    },
    Function::window("stdvar_over_time", &[Matrix], |window| Some(variance(window))),
    Function::window("stddev_over_time", &[Matrix], |window| Some(variance(window).sqrt())),
    Function::window("mad_over_time", &[Matrix], |window| Some(deviation(window))),
    Function {
        check_scalars: Some(check_quantile),
        ..Function::window("quantile_over_time", &[Scalar, Matrix], |window| {
            Some(quantile(window.scalars[0], &mut window.values().collect::<Vec<_>>()))
        })
    },
    Function::window("ts_of_first_over_time", &[Matrix], |window| window.first().map(seconds)),
    Function::window("ts_of_last_over_time", &[Matrix], |window| window.last().map(seconds)),
    Function::window("ts_of_min_over_time", &[Matrix], |window| {
        extreme(window, |value, least| value <= least).map(seconds)
    }),
    Function::window("ts_of_max_over_time", &[Matrix], |window| {
        extreme(window, |value, most| value >= most).map(seconds)
    }),
    Function::window("changes", &[Matrix], |window| {
        steps(window, |before, after| before != after && !(before.is_nan() && after.is_nan()))
    }),
    Function::window("resets", &[Matrix], |window| steps(window, |before, after| after < before)),
];

fn value(sample: &Sample) -> f64 {
    sample.value
}

fn seconds(sample: &Sample) -> f64 {
    sample.time.seconds()
}

fn sum(window: &Window<'_>) -> f64 {
    let (mut sum, mut compensation) = (0.0, 0.0);
    for value in window.values() {
        (sum, compensation) = kahan(value, sum, compensation);
    }
    if sum.is_infinite() { sum } else { sum + compensation }
}

/// The sample that beats all others; NaN is beaten by anything.
fn extreme<'w>(window: &Window<'w>, beats: fn(f64, f64) -> bool) -> Option<&'w Sample> {
    let (first, rest) = window.samples.split_first()?;
    let better = |best: &'w Sample, sample: &'w Sample| {
        if beats(sample.value, best.value) || best.value.is_nan() { sample } else { best }
    };
    Some(rest.iter().fold(first, better))
}

fn variance(window: &Window<'_>) -> f64 {
    let mut count = 0.0;
    let (mut mean, mut mean_rest) = (0.0, 0.0);
    let (mut squares, mut squares_rest) = (0.0, 0.0);
    for value in window.values() {
        count += 1.0;
        let delta = value - (mean + mean_rest);
        (mean, mean_rest) = kahan(delta / count, mean, mean_rest);
        (squares, squares_rest) = kahan(delta * (value - (mean + mean_rest)), squares, squares_rest);
    }
    (squares + squares_rest) / count
}

/// The median of the distances to the median; NaN if any value is.
fn deviation(window: &Window<'_>) -> f64 {
    if window.values().any(f64::is_nan) {
        return f64::NAN;
    }
    let median = quantile(0.5, &mut window.values().collect::<Vec<_>>());
    quantile(0.5, &mut window.values().map(|value| (value - median).abs()).collect::<Vec<_>>())
}

fn check_quantile(evaluator: Evaluator<'_>, span: Span, [quantile, _]: [f64; 2]) -> Result<()> {
    if !(0.0..=1.0).contains(&quantile) {
        let text = format!("quantile value should be between 0 and 1, got {}", shortest(quantile));
        evaluator.shared.warn(span, &text);
    }
    Ok(())
}

/// How many pairs of neighbours differ in some way.
fn steps(window: &Window<'_>, differ: fn(f64, f64) -> bool) -> Option<f64> {
    let samples = match window.edges {
        Edges::Anchored => window.samples.get(anchor(window)?..)?,
        Edges::Plain | Edges::Smoothed => window.samples,
    };
    let counts = |pair: &&[Sample]| matches!(pair, [before, after] if differ(before.value, after.value));
    Some(samples.windows(2).filter(counts).count() as f64)
}

/// Where an anchored range starts: its last sample at or before the range, or its first.
pub(super) fn anchor(window: &Window<'_>) -> Option<usize> {
    if window.last()?.time.0 <= window.from {
        return None;
    }
    let inside = window.samples.partition_point(|sample| sample.time.0 <= window.from);
    Some(inside.saturating_sub(1))
}
