//! What a template works on, and how Go's `fmt` writes it.

use std::collections::BTreeMap;

use yagura_model::Labels;

/// A value inside a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any number; what `$value` is.
    Float(f64),
    /// Text.
    Text(String),
    /// A list, for `range`.
    List(Vec<Self>),
    /// Fields by name.
    Map(BTreeMap<String, Self>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<&Labels> for Value {
    fn from(labels: &Labels) -> Self {
        Self::Map(labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }
}

impl Value {
    /// A map from pairs.
    pub fn map<const N: usize>(pairs: [(&str, Self); N]) -> Self {
        Self::Map(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Go's truth: everything but the empty value of a type.
    #[must_use]
    pub fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(value) => !value.is_empty(),
            Self::List(value) => !value.is_empty(),
            Self::Map(value) => !value.is_empty(),
        }
    }

    /// Go's name of the type, for error texts.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// As `%v` writes it.
    #[must_use]
    pub fn print(&self) -> String {
        match self {
            Self::Nil => "<no value>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => format_shortest(*value),
            Self::Text(value) => value.clone(),
            Self::List(values) => {
                format!("[{}]", values.iter().map(Self::print).collect::<Vec<_>>().join(" "))
            }
            Self::Map(fields) => {
                let fields = fields.iter().map(|(name, value)| format!("{name}:{}", value.print()));
                format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// The number it is, or that its text says.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "template numbers are shown to people")]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(text) => parse_number(text),
            _ => None,
        }
    }
}

/// Go's `strconv.ParseFloat`: also `Inf`, `+Inf`, `NaN`.
fn parse_number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// Go's `%g` with the fewest digits that say the number exactly.
#[must_use]
pub(super) fn format_shortest(value: f64) -> String {
    format_g(value, None)
}

/// Go's `%.<precision>g`.
#[must_use]
pub(super) fn format_general(value: f64, precision: usize) -> String {
    format_g(value, Some(precision.max(1)))
}

fn format_g(value: f64, precision: Option<usize>) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    let scientific = match precision {
        Some(precision) => format!("{value:.*e}", precision - 1),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    // Go decides as if the precision were 6 when it writes the shortest form.
    let limit = i32::try_from(precision.unwrap_or(6)).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
        let point = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.abs());
    }
    format!("{sign}{}", plain(digits, exponent))
}

/// `digits` with the point after place `exponent`, without an exponent.
fn plain(digits: &str, exponent: i32) -> String {
    let Ok(whole) = usize::try_from(exponent + 1) else {
        return format!("0.{}{digits}", "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0)));
    };
    match digits.split_at_checked(whole) {
        Some((start, end)) if !end.is_empty() && !start.is_empty() => format!("{start}.{end}"),
        Some(("", end)) => format!("0.{end}"),
        _ => format!("{digits}{}", "0".repeat(whole.saturating_sub(digits.len()))),
    }
}

/// Go's `%e` with the fewest digits that say the number exactly.
#[must_use]
pub(crate) fn format_exponent(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// Infinities and NaN as Go writes them.
#[must_use]
pub(super) fn not_finite(value: f64) -> String {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (0.000_1, "0.0001"),
            (0.000_01, "1e-05"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, text) in cases {
            assert_eq!(format_shortest(value), text);
        }
        let cases =
            [(1234.5, "1234"), (12345.0, "1.234e+04"), (999.96, "1000"), (0.001_234_56, "0.001235"), (1.0, "1")];
        for (value, text) in cases {
            assert_eq!(format_general(value, 4), text);
        }
    }
}
