//! Numbers, durations and strings as Prometheus (and Go) write them.

use super::super::ast::Text;

/// Milliseconds of each unit, the only order in which units may follow each other.
const UNITS: &[(&str, i64)] = &[
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// How many bytes at the start of `text` look like a number.
pub(super) fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
    let hex = byte(0) == b'0' && matches!(byte(1), b'x' | b'X');
    let mut at = if hex { 2 } else { 0 };
    let digit = |byte: u8| byte == b'_' || if hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let digits = |mut at: usize| {
        while digit(byte(at)) {
            at += 1;
        }
        at
    };
    at = digits(at);
    if byte(at) == b'.' {
        at = digits(at + 1);
    }
    if !hex && matches!(byte(at), b'e' | b'E') {
        let sign = usize::from(matches!(byte(at + 1), b'+' | b'-'));
        if byte(at + 1 + sign).is_ascii_digit() {
            at = digits(at + 1 + sign);
        }
    }
    at
}

/// A number: decimal, `0x` hexadecimal, or octal with a leading zero, `_` between digits.
pub(super) fn number(text: &str) -> Option<f64> {
    let plain = text.replace('_', "");
    if let Some(hex) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok().map(to_float);
    }
    let octal = plain.strip_prefix('0').filter(|rest| !rest.is_empty());
    if let Some(number) = octal.and_then(|rest| u64::from_str_radix(rest, 8).ok()) {
        return Some(to_float(number));
    }
    plain.parse().ok()
}

fn to_float(number: u64) -> f64 {
    number as f64
}

/// A duration such as `1h30m`, in milliseconds; `None` when it is not one or overflows.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0_i64;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let amount: i64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit = rest.get(..rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()))?;
        let (_, millis) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(amount.checked_mul(*millis)?)?;
        rest = rest.get(unit.len()..)?;
    }
    (!text.is_empty()).then_some(total)
}

/// The text between quotes, its escapes undone.
pub(super) fn unquote(inner: &str, quote: char) -> Result<Text, String> {
    if quote == '`' || !inner.contains('\\') {
        return Ok(Text { value: inner.to_owned(), valid: true });
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            escape(&mut chars, quote, &mut bytes)?;
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    match String::from_utf8(bytes) {
        Ok(value) => Ok(Text { value, valid: true }),
        Err(error) => Ok(Text { value: String::from_utf8_lossy(error.as_bytes()).into_owned(), valid: false }),
    }
}

fn escape(chars: &mut std::str::Chars<'_>, quote: char, bytes: &mut Vec<u8>) -> Result<(), String> {
    let c = chars.next().ok_or("escape sequence not terminated")?;
    let plain = match c {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' | '\'' if c == quote => u8::try_from(c).unwrap_or_default(),
        '0'..='7' => {
            let value = digits(chars, 8, 2, c.to_digit(8).unwrap_or_default())?;
            u8::try_from(value).map_err(|_| "escape sequence is over 255".to_owned())?
        }
        'x' => u8::try_from(digits(chars, 16, 2, 0)?).unwrap_or_default(),
        'u' | 'U' => {
            let value = digits(chars, 16, if c == 'u' { 4 } else { 8 }, 0)?;
            let c = char::from_u32(value).ok_or("escape sequence is an invalid Unicode code point")?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        _ => return Err(format!("unknown escape sequence {c:?}")),
    };
    bytes.push(plain);
    Ok(())
}

fn digits(chars: &mut std::str::Chars<'_>, radix: u32, count: usize, start: u32) -> Result<u32, String> {
    let mut value = start;
    for _ in 0..count {
        let c = chars.next().ok_or("escape sequence not terminated")?;
        let digit = c.to_digit(radix).ok_or_else(|| format!("illegal character {c:?} in escape sequence"))?;
        value = value.wrapping_mul(radix).wrapping_add(digit);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        let check = |text: &str, expected: f64| assert_eq!(number(text), Some(expected), "{text}");
        check("12.5e2", 1250.0);
        check(".5", 0.5);
        check("5.", 5.0);
        check("0x1F", 31.0);
        check("0755", 493.0);
        check("08", 8.0);
        check("1_000_000", 1e6);
        assert_eq!(number("0x"), None);
    }

    #[test]
    fn durations_want_their_units_in_order_and_once() {
        assert_eq!(duration("1h30m"), Some(5_400_000));
        assert_eq!(duration("1d12h5ms"), Some(129_600_005));
        assert_eq!(duration("0s"), Some(0));
        for bad in ["", "5", "m", "1m1h", "1m1m", "1x", "99999999999999y"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn escapes_are_bytes_as_in_go() {
        let check = |inner: &str, expected: &str| {
            assert_eq!(unquote(inner, '"').map(|text| text.value), Ok(expected.to_owned()), "{inner}");
        };
        check(r#"a\"b\\c\n"#, "a\"b\\c\n");
        check(r"\xe6\xab\x93", "櫓");
        check(r"\u6ad3\U0001F600\101", "櫓😀A");
        assert_eq!(unquote(r"a\xc5z", '"').map(|text| text.valid), Ok(false));
        assert!(unquote(r"\q", '"').is_err());
        assert!(unquote(r"\'", '"').is_err());
        assert!(unquote(r"\x1", '"').is_err());
        assert!(unquote(r"\777", '"').is_err());
    }
}
