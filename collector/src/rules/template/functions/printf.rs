//! Go's `fmt.Sprintf` for the values of templates.

use super::{Value, format_general, format_shortest, not_finite};

/// The flags, width and precision of one verb.
#[derive(Debug, Default)]
struct Spec {
    left: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// Widths and precisions above this are a mistake that would fill memory.
const MAX_WIDTH: usize = 1000;

pub(in crate::rules::template) fn printf(format: &str, arguments: &[Value]) -> String {
    let mut output = String::new();
    let mut arguments = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            output.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "-+0 #".contains(*c)) {
            match flag {
                '-' => spec.left = true,
                '+' => spec.plus = true,
                '0' => spec.zero = true,
                ' ' => spec.space = true,
                _ => spec.sharp = true,
            }
        }
        spec.width = digits(&mut chars).unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(&mut chars).unwrap_or(0));
        }
        match chars.next() {
            None => output.push_str("%!(NOVERB)"),
            Some('%') => output.push('%'),
            Some(verb) => match arguments.next() {
                None => output.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => output.push_str(&verb_text(verb, value, &spec)),
            },
        }
    }
    let extra: Vec<String> = arguments.map(|value| format!("{}={}", value.kind(), value.print())).collect();
    if !extra.is_empty() {
        output.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    output
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = chars.next_if(char::is_ascii_digit).and_then(|c| c.to_digit(10)) {
        let digit = usize::try_from(digit).unwrap_or(0);
        number = Some((number.unwrap_or(0) * 10 + digit).min(MAX_WIDTH));
    }
    number
}

fn verb_text(verb: char, value: &Value, spec: &Spec) -> String {
    let text = match (verb, value) {
        ('v', Value::Float(number)) => signed(float('g', *number, spec), spec),
        ('v', Value::Int(number)) => signed(number.to_string(), spec),
        ('v', value) => value.print(),
        ('s', Value::Text(text)) => cut(text, spec),
        ('s', Value::List(_) | Value::Map(_)) => value.print(),
        ('q', Value::Text(text)) => format!("{text:?}"),
        ('d', Value::Int(number)) => signed(number.to_string(), spec),
        ('x', Value::Int(number)) => format!("{number:x}"),
        ('X', Value::Int(number)) => format!("{number:X}"),
        ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('c', Value::Int(number)) => {
            u32::try_from(*number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER).to_string()
        }
        ('t', Value::Bool(value)) => value.to_string(),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(number)) => signed(float(verb, *number, spec), spec),
        (verb, value) => return format!("%!{verb}({}={})", value.kind(), value.print()),
    };
    pad(text, spec, matches!(value, Value::Int(_) | Value::Float(_)))
}

fn cut(text: &str, spec: &Spec) -> String {
    spec.precision.map_or_else(|| text.to_owned(), |precision| text.chars().take(precision).collect())
}

fn float(verb: char, number: f64, spec: &Spec) -> String {
    if !number.is_finite() {
        return not_finite(number).trim_start_matches('+').to_owned();
    }
    match (verb, spec.precision) {
        ('f' | 'F', precision) => format!("{number:.*}", precision.unwrap_or(6)),
        ('e' | 'E', precision) => exponent(number, precision.unwrap_or(6)),
        (_, None) => format_shortest(number),
        (_, Some(precision)) => format_general(number, precision),
    }
}

fn exponent(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn signed(text: String, spec: &Spec) -> String {
    match text.starts_with('-') {
        false if spec.plus => format!("+{text}"),
        false if spec.space => format!(" {text}"),
        _ => text,
    }
}

fn pad(text: String, spec: &Spec, number: bool) -> String {
    let missing = spec.width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    if spec.left {
        return format!("{text}{}", " ".repeat(missing));
    }
    if spec.zero && number {
        let (sign, digits) = match text.strip_prefix(['-', '+', ' ']) {
            Some(digits) => (text.get(..1).unwrap_or_default(), digits),
            None => ("", text.as_str()),
        };
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    format!("{}{text}", " ".repeat(missing))
}
