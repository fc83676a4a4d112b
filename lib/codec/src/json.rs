//! Values as JSON text, for places where only text fits.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{AnyValue, DecodeError, pb::MAX_DEPTH};

/// Appends `value` as JSON: numbers that JSON lacks and bytes (base64) as strings, nothing as `null`, of a name that
/// comes twice both.
pub fn write(value: &AnyValue<'_>, out: &mut String) -> Result<(), DecodeError> {
    write_nested(value, out, 0)
}

/// Bytes in base64, as OTLP's JSON writes them.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Appends a JSON string with its quotes.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for part in text.split_inclusive(|c: char| c == '"' || c == '\\' || c < ' ') {
        let mut characters = part.chars();
        match characters.next_back() {
            Some(special @ ('"' | '\\')) => {
                out.push_str(characters.as_str());
                out.push('\\');
                out.push(special);
            }
            Some('\n') => push_escaped(characters.as_str(), "\\n", out),
            Some('\r') => push_escaped(characters.as_str(), "\\r", out),
            Some('\t') => push_escaped(characters.as_str(), "\\t", out),
            Some(control) if control < ' ' => {
                push_escaped(characters.as_str(), &format!("\\u{:04x}", u32::from(control)), out);
            }
            _ => out.push_str(part),
        }
    }
    out.push('"');
}

fn push_escaped(before: &str, escape: &str, out: &mut String) {
    out.push_str(before);
    out.push_str(escape);
}

fn write_nested(value: &AnyValue<'_>, out: &mut String, depth: usize) -> Result<(), DecodeError> {
    if depth == MAX_DEPTH {
        return Err(DecodeError::TooDeep);
    }
    match value {
        AnyValue::Empty => out.push_str("null"),
        AnyValue::Str(text) => write_string(text, out),
        AnyValue::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        AnyValue::Int(number) => write_number(number, out),
        AnyValue::Double(number) if number.is_finite() => write_number(number, out),
        AnyValue::Double(number) if number.is_nan() => out.push_str("\"NaN\""),
        AnyValue::Double(number) => out.push_str(if *number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }),
        AnyValue::Bytes(bytes) => write_string(&base64(bytes), out),
        AnyValue::Array(array) => {
            out.push('[');
            for (index, value) in array.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_nested(&value?, out, depth + 1)?;
            }
            out.push(']');
        }
        AnyValue::KeyValues(values) => {
            out.push('{');
            for (index, entry) in values.iter().enumerate() {
                let (key, value) = entry?;
                out.push_str(if index == 0 { "" } else { "," });
                write_string(key, out);
                out.push(':');
                write_nested(&value, out, depth + 1)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Rust's `Debug` of a number is JSON, with an exponent where `Display` would write hundreds of digits.
fn write_number(value: &impl std::fmt::Debug, out: &mut String) {
    if write!(out, "{value:?}").is_err() {
        out.push_str("null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped() {
        let check = |text: &str, json: &str| {
            let mut out = String::new();
            write_string(text, &mut out);
            assert_eq!(out, json);
        };
        check("", r#""""#);
        check("a\"b\\c", r#""a\"b\\c""#);
        check("1\n2\r3\t4\u{1}5é", r#""1\n2\r3\t4\u00015é""#);
    }

    #[test]
    fn numbers_that_json_lacks_are_strings() {
        let check = |value, json: &str| assert_eq!(AnyValue::Double(value).text().as_deref(), Ok(json));
        check(1.5, "1.5");
        check(1e300, "1e300");
        check(f64::NAN, "\"NaN\"");
        check(f64::NEG_INFINITY, "\"-Infinity\"");
    }
}
