//! Docker's `json-file`: one JSON object a line, keys in the order `log`, `stream`, `attrs`, `time`.
//!
//! The usual shape is read by hand; whatever looks different goes through serde_json, and what that refuses too is no
//! line of docker's (a hole after a crash, two torn lines in one).

use std::borrow::Cow;

use memchr::{memchr2, memchr3};
use serde::Deserialize;

use super::{
    line::{Fragment, Stream},
    stamp::StampReader,
};

/// Reads one line without its newline; appends its text to `text`. `None` leaves `text` as it was.
pub(crate) fn parse(line: &[u8], text: &mut Vec<u8>, stamps: &mut StampReader) -> Option<Fragment> {
    let before = text.len();
    let mut parsed = parse_usual(line, text, stamps);
    if parsed.is_none() {
        text.truncate(before);
        parsed = parse_unusual(line, text, stamps);
    }
    let (stream, time) = parsed?;
    // Docker ends a complete line with its newline, and a fragment without.
    let complete = text.len() > before && text.last() == Some(&b'\n');
    if complete {
        text.pop();
    }
    Some(Fragment { stream, time, complete })
}

type Parsed = Option<(Stream, yagura_model::Nanos)>;

fn parse_usual(line: &[u8], text: &mut Vec<u8>, stamps: &mut StampReader) -> Parsed {
    let rest = unescape(line.strip_prefix(br#"{"log":""#)?, text)?;
    let rest = rest.strip_prefix(br#","stream":"std"#)?;
    let (stream, rest) = match rest.split_first_chunk::<4>()? {
        (b"out\"", rest) => (Stream::Stdout, rest),
        (b"err\"", rest) => (Stream::Stderr, rest),
        _ => return None,
    };
    let rest = match rest.strip_prefix(br#","attrs":{"#) {
        Some(attrs) => skip_object(attrs)?,
        None => rest,
    };
    let time = rest.strip_prefix(br#","time":""#)?.strip_suffix(br#""}"#)?;
    Some((stream, stamps.read(time)?))
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

#[cold]
fn parse_unusual(line: &[u8], text: &mut Vec<u8>, stamps: &mut StampReader) -> Parsed {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let parsed = (Stream::from_name(line.stream.as_bytes())?, stamps.read(line.time.as_bytes())?);
    text.extend_from_slice(line.log.as_bytes());
    Some(parsed)
}

/// Appends the JSON string that starts after its opening quote; gives what follows its closing quote.
pub(crate) fn unescape<'a>(mut rest: &'a [u8], text: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (plain, after) = rest.split_at_checked(memchr2(b'"', b'\\', rest)?)?;
        text.extend_from_slice(plain);
        rest = match after {
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'n', after @ ..] => push(text, b'\n', after),
            [b'\\', quoted @ (b'"' | b'\\' | b'/'), after @ ..] => push(text, *quoted, after),
            [b'\\', b't', after @ ..] => push(text, b'\t', after),
            [b'\\', b'r', after @ ..] => push(text, b'\r', after),
            [b'\\', b'b', after @ ..] => push(text, 8, after),
            [b'\\', b'f', after @ ..] => push(text, 12, after),
            [b'\\', b'u', after @ ..] => unescape_unicode(after, text)?,
            _ => return None,
        };
    }
}

fn push<'a>(text: &mut Vec<u8>, byte: u8, after: &'a [u8]) -> &'a [u8] {
    text.push(byte);
    after
}

fn unescape_unicode<'a>(after: &'a [u8], text: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (unit, mut rest) = hex4(after)?;
    let mut code = unit;
    if (0xd800..0xdc00).contains(&unit)
        && let [b'\\', b'u', low @ ..] = rest
        && let Some((low, after_low)) = hex4(low)
        && (0xdc00..0xe000).contains(&low)
    {
        code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        rest = after_low;
    }
    // Half a surrogate pair is no character.
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(rest)
}

fn hex4(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<4>()?;
    let mut value = 0;
    for digit in digits {
        value = value * 16 + char::from(*digit).to_digit(16)?;
    }
    Some((value, rest))
}

/// What follows the object whose opening brace was just read.
fn skip_object(mut rest: &[u8]) -> Option<&[u8]> {
    let mut depth = 1_u32;
    loop {
        let found = memchr3(b'"', b'{', b'}', rest)?;
        let byte = *rest.get(found)?;
        rest = rest.get(found + 1..)?;
        match byte {
            b'"' => rest = skip_string(rest)?,
            b'{' => depth += 1,
            _ => depth -= 1,
        }
        if depth == 0 {
            return Some(rest);
        }
    }
}

/// What follows the string whose opening quote was just read.
pub(crate) fn skip_string(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        match rest.get(memchr2(b'"', b'\\', rest)?..)? {
            [b'"', after @ ..] => return Some(after),
            [_, _, after @ ..] => rest = after,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yagura_model::Nanos;

    fn parse_text(line: &str) -> Option<(Fragment, String)> {
        let mut text = b"before".to_vec();
        let fragment = parse(line.as_bytes(), &mut text, &mut StampReader::default());
        let text = String::from_utf8(text).unwrap();
        let text = text.strip_prefix("before").unwrap().to_owned();
        if fragment.is_none() {
            assert_eq!(text, "", "a refused line leaves nothing");
        }
        fragment.map(|fragment| (fragment, text))
    }

    fn check(line: &str, stream: Stream, complete: bool, text: &str) {
        let time = Nanos(1_000_000_000);
        let expected = (Fragment { stream, time, complete }, text.to_owned());
        assert_eq!(parse_text(line), Some(expected), "{line}");
    }

    #[test]
    fn the_usual_shape_is_read() {
        let time = r#""time":"1970-01-01T00:00:01Z"}"#;
        check(&format!(r#"{{"log":"hello\n","stream":"stdout",{time}"#), Stream::Stdout, true, "hello");
        check(&format!(r#"{{"log":"half","stream":"stderr",{time}"#), Stream::Stderr, false, "half");
        check(&format!(r#"{{"log":"\n","stream":"stdout",{time}"#), Stream::Stdout, true, "");
        check(&format!(r#"{{"log":"a\r\n","stream":"stdout",{time}"#), Stream::Stdout, true, "a\r");
        check(
            &format!(r#"{{"log":"\u003c\"\\\/\t\u0000\n","stream":"stdout",{time}"#),
            Stream::Stdout,
            true,
            "<\"\\/\t\0",
        );
        check(
            &format!(r#"{{"log":"\ud83d\ude80 \ud83d \n","stream":"stdout",{time}"#),
            Stream::Stdout,
            true,
            "🚀 \u{fffd} ",
        );
    }

    #[test]
    fn attributes_are_passed_over() {
        let line = r#"{"log":"x\n","stream":"stdout","attrs":{"a":"}\"","b":{"c":"d"}},"time":"1970-01-01T00:00:01Z"}"#;
        check(line, Stream::Stdout, true, "x");
    }

    #[test]
    fn unusual_shapes_take_the_slow_way() {
        check(r#"{"stream":"stdout","time":"1970-01-01T00:00:01Z"}"#, Stream::Stdout, false, "");
        check(r#"{"time":"1970-01-01T00:00:01Z", "stream":"stderr", "log":"x\n"}"#, Stream::Stderr, true, "x");
        check(
            r#" { "log" : "x" , "stream":"stdout","extra":[1],"time":"1970-01-01T00:00:01Z" } "#,
            Stream::Stdout,
            false,
            "x",
        );
    }

    #[test]
    fn what_is_no_line_of_dockers_is_refused() {
        for line in [
            "",
            "plain text",
            r#"{"log":"torn"#,
            r#"{"log":"torn{"log":"whole\n","stream":"stdout","time":"1970-01-01T00:00:01Z"}"#,
            r#"{"log":"x\n","stream":"stdin","time":"1970-01-01T00:00:01Z"}"#,
            r#"{"log":"x\n","stream":"stdout","time":"yesterday"}"#,
            r#"{"log":"\q","stream":"stdout","time":"1970-01-01T00:00:01Z"}"#,
            "\0\0\0\0",
        ] {
            assert_eq!(parse_text(line), None, "{line}");
        }
    }

    #[test]
    fn both_ways_give_the_same() {
        let line = br#"{"log":"\u00e9 \"q\" \ud83d\ude80\n","stream":"stdout","time":"2026-11-20T08:48:34.46118132Z"}"#;
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        let usual = parse_usual(line, &mut fast, &mut StampReader::default());
        assert!(usual.is_some());
        assert_eq!(usual, parse_unusual(line, &mut slow, &mut StampReader::default()));
        assert_eq!(fast, slow);
    }
}
