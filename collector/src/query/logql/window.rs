//! Functions over the samples of a window.

use super::ast::RangeOp;

/// A number at a time in nanoseconds.
pub(super) type Sample = (i64, f64);

/// The value of a function over the samples of one window, oldest first; `None` when there is nothing to say.
#[expect(clippy::cast_precision_loss, reason = "counts of records stay exact in a float")]
pub(super) fn value(op: RangeOp, samples: &[Sample], range_seconds: f64, parameter: f64) -> Option<f64> {
    let values = || samples.iter().map(|(_, value)| *value);
    let count = samples.len() as f64;
    let (_, last) = *samples.last()?;
    Some(match op {
        RangeOp::Count => count,
        RangeOp::Rate | RangeOp::BytesRate => values().sum::<f64>() / range_seconds,
        RangeOp::Bytes | RangeOp::Sum => values().sum(),
        RangeOp::RateCounter => increase(samples) / range_seconds,
        RangeOp::Avg => values().sum::<f64>() / count,
        RangeOp::Min => values().fold(f64::INFINITY, f64::min),
        RangeOp::Max => values().fold(f64::NEG_INFINITY, f64::max),
        RangeOp::First => samples.first().map_or(last, |(_, first)| *first),
        RangeOp::Last => last,
        RangeOp::Stdvar => variance(&values().collect::<Vec<_>>()),
        RangeOp::Stddev => variance(&values().collect::<Vec<_>>()).sqrt(),
        RangeOp::Quantile => quantile(values().collect(), parameter),
        // Its windows without records are what counts; the evaluator turns this around.
        RangeOp::Absent => 1.0,
    })
}

/// What a counter grew by, resets counted from zero.
fn increase(samples: &[Sample]) -> f64 {
    samples.windows(2).fold(0.0, |sum, pair| match pair {
        [(_, before), (_, after)] if after >= before => sum + after - before,
        [_, (_, after)] => sum + after,
        _ => sum,
    })
}

/// The population variance.
#[expect(clippy::cast_precision_loss, reason = "counts stay exact in a float")]
pub(super) fn variance(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count
}

/// The quantile by linear interpolation, as Prometheus' `quantile` has it.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks are small and not negative"
)]
pub(super) fn quantile(mut values: Vec<f64>, quantile: f64) -> f64 {
    if values.is_empty() || quantile.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&quantile) {
        return if quantile < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    values.sort_by(f64::total_cmp);
    let rank = quantile * (values.len() - 1) as f64;
    let at = |rank: f64| values.get(rank as usize).copied().unwrap_or(f64::NAN);
    let weight = rank.fract();
    at(rank.floor()) * (1.0 - weight) + at(rank.ceil()) * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(op: RangeOp, values: &[f64], expected: Option<f64>) {
        let samples: Vec<_> =
            values.iter().enumerate().map(|(at, value)| (i64::try_from(at).unwrap(), *value)).collect();
        assert_eq!(value(op, &samples, 10.0, 0.5), expected, "{op:?}");
    }

    #[test]
    fn functions_over_a_window() {
        check(RangeOp::Count, &[], None);
        check(RangeOp::Count, &[5.0, 7.0], Some(2.0));
        check(RangeOp::Rate, &[1.0, 1.0], Some(0.2));
        check(RangeOp::Sum, &[1.5, 2.0], Some(3.5));
        check(RangeOp::Avg, &[1.0, 2.0], Some(1.5));
        check(RangeOp::First, &[3.0, 2.0], Some(3.0));
        check(RangeOp::Last, &[3.0, 2.0], Some(2.0));
        check(RangeOp::Min, &[3.0, 2.0], Some(2.0));
        check(RangeOp::Stdvar, &[1.0, 3.0], Some(1.0));
        check(RangeOp::Quantile, &[1.0, 2.0, 10.0], Some(2.0));
        check(RangeOp::RateCounter, &[10.0, 15.0, 5.0], Some(1.0));
    }
}
