//! Functions of single values.

use super::{
    super::ast::ValueType::{Scalar, Vector},
    Body, Function,
};

pub(super) const LIST: &[Function] = &[
    Function::value("abs", f64::abs),
    Function::value("ceil", f64::ceil),
    Function::value("floor", f64::floor),
    Function::value("exp", f64::exp),
    Function::value("sqrt", f64::sqrt),
    Function::value("ln", f64::ln),
    Function::value("log2", f64::log2),
    Function::value("log10", f64::log10),
    Function::value("sin", f64::sin),
    Function::value("cos", f64::cos),
    Function::value("tan", f64::tan),
    Function::value("asin", f64::asin),
    Function::value("acos", f64::acos),
    Function::value("atan", f64::atan),
    Function::value("sinh", f64::sinh),
    Function::value("cosh", f64::cosh),
    Function::value("tanh", f64::tanh),
    Function::value("asinh", asinh),
    Function::value("acosh", f64::acosh),
    Function::value("atanh", f64::atanh),
    Function::value("rad", |value| value * std::f64::consts::PI / 180.0),
    Function::value("deg", |value| value * 180.0 / std::f64::consts::PI),
    Function::value("sgn", sign),
    Function { variadic: 1, ..Function::new("round", &[Vector, Scalar], Vector, Body::ValueWith(round)) },
    Function::new("clamp", &[Vector, Scalar, Scalar], Vector, Body::ValueWith(clamp)),
    Function::new(
        "clamp_min",
        &[Vector, Scalar],
        Vector,
        Body::ValueWith(|value, [min, _]| clamp(value, [min, f64::INFINITY])),
    ),
    Function::new(
        "clamp_max",
        &[Vector, Scalar],
        Vector,
        Body::ValueWith(|value, [max, _]| clamp(value, [f64::NEG_INFINITY, max])),
    ),
];

/// The standard one loses the sign of zero and overflows for large values.
fn asinh(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() { value } else { value.asinh() }
}

fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// To the nearest multiple, ties up. The inverse is fewer errors than dividing.
fn round(value: f64, [nearest, _]: [f64; 2]) -> Option<f64> {
    let inverse = if nearest.is_nan() { 1.0 } else { 1.0 / nearest };
    Some((value * inverse + 0.5).floor() / inverse)
}

fn clamp(value: f64, [min, max]: [f64; 2]) -> Option<f64> {
    if max < min { None } else { Some(greater(min, lesser(max, value))) }
}

/// As Go has it: NaN wins, save over the infinity that no number can beat.
pub(super) fn greater(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// As [`greater`], the other way.
pub(super) fn lesser(a: f64, b: f64) -> f64 {
    -greater(-a, -b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_a_number_wins_over_numbers() {
        assert!(greater(f64::NAN, 1.0).is_nan());
        assert!(lesser(1.0, f64::NAN).is_nan());
        assert_eq!(greater(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert_eq!(lesser(f64::NAN, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert_eq!(clamp(5.0, [1.0, 3.0]), Some(3.0));
        assert_eq!(clamp(5.0, [3.0, 1.0]), None);
    }

    #[test]
    fn rounding_goes_up_from_the_middle() {
        assert_eq!(round(2.5, [f64::NAN; 2]), Some(3.0));
        assert_eq!(round(-2.5, [f64::NAN; 2]), Some(-2.0));
        assert_eq!(round(12.0, [5.0, f64::NAN]), Some(10.0));
    }
}
