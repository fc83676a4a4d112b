//! How fast something grows: `rate`, `increase`, `delta`, `irate`, `idelta`.

use super::{
    super::{
        ast::{Edges, ValueType::Matrix},
        window::{Window, interpolate},
    },
    Function,
    over_time::anchor,
};
use crate::storage::Sample;

pub(super) const LIST: &[Function] = &[
    Function { counts: true, ..Function::window("rate", &[Matrix], |window| growth(window, Growth::Rate)) },
    Function { counts: true, ..Function::window("increase", &[Matrix], |window| growth(window, Growth::Increase)) },
    Function::window("delta", &[Matrix], |window| growth(window, Growth::Delta)),
    Function::window("irate", &[Matrix], |window| last_step(window, true)),
    Function::window("idelta", &[Matrix], |window| last_step(window, false)),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Growth {
    Rate,
    Increase,
    Delta,
}

fn growth(window: &Window<'_>, growth: Growth) -> Option<f64> {
    match window.edges {
        Edges::Plain => extrapolated(window, growth),
        Edges::Anchored | Edges::Smoothed => extended(window, growth),
    }
}

/// What was lost by resets of a counter within some samples.
fn resets(samples: &[Sample]) -> f64 {
    samples
        .windows(2)
        .map(|pair| match pair {
            [before, after] if after.value < before.value => before.value,
            _ => 0.0,
        })
        .sum()
}

fn range_seconds(window: &Window<'_>) -> f64 {
    (window.to - window.from) as f64 / 1000.0
}

/// The growth between the first and the last sample, stretched to the range's ends where samples come close to them,
/// by half a sampling interval where they do not; a counter is never stretched below zero.
fn extrapolated(window: &Window<'_>, growth: Growth) -> Option<f64> {
    let (first, last) = (window.first()?, window.last()?);
    if window.samples.len() < 2 {
        return None;
    }
    let counter = growth != Growth::Delta;
    let mut result = last.value - first.value;
    if counter && window.falls {
        result += resets(window.samples);
    }
    let seconds = |millis: i64| millis as f64 / 1000.0;
    let mut to_start = seconds(first.time.0 - window.from);
    let mut to_end = seconds(window.to - last.time.0);
    let sampled = seconds(last.time.0 - first.time.0);
    let between = sampled / (window.samples.len() - 1) as f64;
    let close = between * 1.1;
    if to_start >= close {
        to_start = between / 2.0;
    }
    if counter && result > 0.0 && first.value >= 0.0 {
        let to_zero = sampled * (first.value / result);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= close {
        to_end = between / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if growth == Growth::Rate {
        factor /= range_seconds(window);
    }
    Some(result * factor)
}

/// The growth from edge to edge: `anchored` takes the last sample before an edge, `smoothed` interpolates at it.
fn extended(window: &Window<'_>, growth: Growth) -> Option<f64> {
    let samples = window.samples;
    let counter = growth != Growth::Delta;
    let smoothed = window.edges == Edges::Smoothed;
    let mut first = anchor(window)?;
    let mut last = samples.len() - 1;
    if smoothed {
        last = last.min(samples.partition_point(|sample| sample.time.0 < window.to));
    }
    let (start, end) = (samples.get(first)?, samples.get(last)?);
    if end.time.0 <= window.from {
        return None;
    }
    let left = match samples.get(first + 1) {
        Some(next) if smoothed && start.time.0 < window.from => interpolate(start, next, window.from, counter),
        _ => start.value,
    };
    let right = match last.checked_sub(1).and_then(|before| samples.get(before)) {
        Some(before) if smoothed && end.time.0 > window.to => interpolate(before, end, window.to, counter),
        _ => end.value,
    };
    let mut result = right - left;
    if counter {
        // The edges already allow for resets; what is left is strictly within.
        first += usize::from(start.time.0 <= window.from);
        let past = last + usize::from(end.time.0 < window.to);
        let within = samples.get(first..past).unwrap_or_default();
        let mut before = left;
        for value in within.iter().map(|sample| sample.value).chain([right]) {
            if value < before {
                result += before;
            }
            before = value;
        }
    }
    if growth == Growth::Rate {
        result /= range_seconds(window);
    }
    Some(result)
}

/// The growth between the last two samples.
fn last_step(window: &Window<'_>, counter: bool) -> Option<f64> {
    let [.., before, last] = window.samples else { return None };
    let millis = last.time.0 - before.time.0;
    if millis == 0 {
        return None;
    }
    if !counter {
        return Some(last.value - before.value);
    }
    let grown = if last.value < before.value { last.value } else { last.value - before.value };
    Some(grown / (millis as f64 / 1000.0))
}
