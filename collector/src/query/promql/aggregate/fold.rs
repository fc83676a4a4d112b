//! Aggregations that fold the values of a group into one.

use super::super::{
    ast::Aggregate,
    eval::{ABSENT, Column, Evaluator, Result, present},
};
use super::Groups;

/// What a group's values so far come to.
pub(super) trait Fold: Clone {
    /// No value yet.
    const NONE: Self;
    fn add(&mut self, value: f64);
    /// The result; [`ABSENT`] if there was no value.
    fn result(&self) -> f64;
}

pub(super) fn run<F: Fold>(evaluator: Evaluator<'_>, aggregate: &Aggregate) -> Result<Vec<Column>> {
    let mut groups = Groups::new(aggregate.without, &aggregate.labels);
    let mut folded: Vec<(Column, Vec<F>)> = Vec::new();
    let steps = evaluator.grid.count;
    for column in evaluator.stream(&aggregate.expr)? {
        let column = column?;
        let (place, new) = groups.place(&column.labels);
        if let Some(labels) = new {
            evaluator.control().hold(steps)?;
            folded.push((Column { labels, drop_name: false, values: Vec::new() }, vec![F::NONE; steps]));
        }
        let Some((group, states)) = folded.get_mut(place) else { continue };
        group.drop_name |= column.drop_name;
        for (state, value) in states.iter_mut().zip(&column.values) {
            if present(*value) {
                state.add(*value);
            }
        }
    }
    let columns = folded.into_iter().map(|(mut group, states)| {
        group.values = states.iter().map(Fold::result).collect();
        group
    });
    Ok(columns.collect())
}

/// Adds to a sum with Neumaier's compensation; an infinite sum has none.
pub(crate) fn kahan(value: f64, sum: f64, compensation: f64) -> (f64, f64) {
    let total = sum + value;
    if total.is_infinite() {
        (total, 0.0)
    } else if sum.abs() >= value.abs() {
        (total, compensation + ((sum - total) + value))
    } else {
        (total, compensation + ((value - total) + sum))
    }
}

#[derive(Clone)]
pub(super) struct Sum {
    sum: f64,
    compensation: f64,
}

impl Fold for Sum {
    const NONE: Self = Self { sum: ABSENT, compensation: 0.0 };

    fn add(&mut self, value: f64) {
        if present(self.sum) {
            (self.sum, self.compensation) = kahan(value, self.sum, self.compensation);
        } else {
            self.sum = value;
        }
    }

    fn result(&self) -> f64 {
        if present(self.sum) { self.sum + self.compensation } else { ABSENT }
    }
}

/// The mean: sum by count, until the sum would overflow; from then on it is moved step by step.
#[derive(Clone)]
pub(super) struct Avg {
    sum: f64,
    compensation: f64,
    mean: f64,
    count: f64,
    stepwise: bool,
}

/// The mean of some values; [`ABSENT`] of none.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let mut mean = Avg::NONE;
    for value in values {
        mean.add(value);
    }
    mean.result()
}

impl Fold for Avg {
    const NONE: Self = Self { sum: ABSENT, compensation: 0.0, mean: 0.0, count: 0.0, stepwise: false };

    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !present(self.sum) {
            self.sum = value;
            return;
        }
        let before = self.count - 1.0;
        if !self.stepwise {
            let (sum, compensation) = kahan(value, self.sum, self.compensation);
            if !sum.is_infinite() {
                (self.sum, self.compensation) = (sum, compensation);
                return;
            }
            self.stepwise = true;
            self.mean = self.sum / before;
            self.compensation /= before;
        }
        let part = before / self.count;
        (self.mean, self.compensation) = kahan(value / self.count, part * self.mean, part * self.compensation);
    }

    fn result(&self) -> f64 {
        match present(self.sum) {
            false => ABSENT,
            true if self.stepwise => self.mean + self.compensation,
            true => self.sum / self.count + self.compensation / self.count,
        }
    }
}

#[derive(Clone)]
pub(super) struct Min(f64);

impl Fold for Min {
    const NONE: Self = Self(ABSENT);

    fn add(&mut self, value: f64) {
        if self.0 > value || self.0.is_nan() {
            self.0 = value;
        }
    }

    fn result(&self) -> f64 {
        self.0
    }
}

#[derive(Clone)]
pub(super) struct Max(f64);

impl Fold for Max {
    const NONE: Self = Self(ABSENT);

    fn add(&mut self, value: f64) {
        if self.0 < value || self.0.is_nan() {
            self.0 = value;
        }
    }

    fn result(&self) -> f64 {
        self.0
    }
}

#[derive(Clone)]
pub(super) struct Count(f64);

impl Fold for Count {
    const NONE: Self = Self(0.0);

    fn add(&mut self, _value: f64) {
        self.0 += 1.0;
    }

    fn result(&self) -> f64 {
        if self.0 == 0.0 { ABSENT } else { self.0 }
    }
}

#[derive(Clone)]
pub(super) struct Group(f64);

impl Fold for Group {
    const NONE: Self = Self(ABSENT);

    fn add(&mut self, _value: f64) {
        self.0 = 1.0;
    }

    fn result(&self) -> f64 {
        self.0
    }
}

/// Welford's way to the variance.
#[derive(Clone)]
pub(super) struct Stdvar {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Fold for Stdvar {
    const NONE: Self = Self { count: 0.0, mean: 0.0, squares: 0.0 };

    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = value;
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn result(&self) -> f64 {
        if self.count == 0.0 { ABSENT } else { self.squares / self.count }
    }
}

#[derive(Clone)]
pub(super) struct Stddev(Stdvar);

impl Fold for Stddev {
    const NONE: Self = Self(Stdvar::NONE);

    fn add(&mut self, value: f64) {
        self.0.add(value);
    }

    fn result(&self) -> f64 {
        let variance = self.0.result();
        if present(variance) { variance.sqrt() } else { ABSENT }
    }
}

/// The quantile of some values, which are sorted by it; NaN counts as the smallest.
pub(crate) fn quantile(quantile: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || quantile.is_nan() {
        return f64::NAN;
    }
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let last = values.len() - 1;
    let rank = quantile * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is between 0 and the length")]
    let lower = (rank.floor() as usize).min(last);
    let upper = (lower + 1).min(last);
    let weight = rank - rank.floor();
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    at(lower) * (1.0 - weight) + at(upper) * weight
}
