//! Walks the members of a JSON line without building anything: just enough to find a level and trace ids.

use memchr::{memchr2, memchr3};

use super::json_file::skip_string;

/// Members of inner objects are named only below these: where loggers nest trace ids and levels.
const NESTED: &[&str] =
    &["dd", "trace", "span", "log", "otel", "context", "ctx", "spanContext", "mdc", "record", "extra"];

/// One member of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// The key of the object it was found in; empty at the top.
    pub(crate) parent: &'a str,
    /// Its key, as it is written.
    pub(crate) key: &'a str,
    /// Its value as it is written: a string without its quotes (escapes stay), a number, a word.
    pub(crate) value: &'a str,
}

/// Calls `visit` with each member whose value is a string, a number or a word, until it says `false`. Stops quietly
/// where `body` is not JSON.
pub(crate) fn walk<'a>(body: &'a str, visit: &mut impl FnMut(Member<'a>) -> bool) {
    if let Some(rest) = body.trim_start().strip_prefix('{') {
        walk_object(rest, "", visit);
    }
}

enum Walked<'a> {
    /// The object ended; this follows.
    After(&'a str),
    /// The visitor has enough, or this is no JSON.
    Stop,
}

fn walk_object<'a>(mut rest: &'a str, parent: &'a str, visit: &mut impl FnMut(Member<'a>) -> bool) -> Walked<'a> {
    loop {
        rest = rest.trim_ascii_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Walked::After(after);
        }
        let Some((key, after)) = rest.strip_prefix('"').and_then(string) else { return Walked::Stop };
        let Some(after) = after.trim_ascii_start().strip_prefix(':') else { return Walked::Stop };
        let after = after.trim_ascii_start();
        rest = match walk_value(after, parent, key, visit) {
            Walked::After(after) => after.trim_ascii_start(),
            Walked::Stop => return Walked::Stop,
        };
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

fn walk_value<'a>(
    text: &'a str,
    parent: &'a str,
    key: &'a str,
    visit: &mut impl FnMut(Member<'a>) -> bool,
) -> Walked<'a> {
    let (value, after) = match text.as_bytes().first() {
        Some(b'"') => match text.get(1..).and_then(string) {
            Some(found) => found,
            None => return Walked::Stop,
        },
        Some(b'{') if parent.is_empty() && NESTED.contains(&key) => {
            return walk_object(text.get(1..).unwrap_or_default(), key, visit);
        }
        Some(b'{' | b'[') => return skip_nested(text).map_or(Walked::Stop, Walked::After),
        _ => {
            let end = text.find([',', '}', ' ', '\t', '\r', '\n']).unwrap_or(text.len());
            match text.split_at_checked(end) {
                Some(found) if end > 0 => found,
                _ => return Walked::Stop,
            }
        }
    };
    if visit(Member { parent, key, value }) { Walked::After(after) } else { Walked::Stop }
}

/// The string whose opening quote was just read, and what follows its closing quote.
fn string(text: &str) -> Option<(&str, &str)> {
    let rest = skip_string(text.as_bytes())?;
    let end = text.len().checked_sub(rest.len())?;
    Some((text.get(..end.checked_sub(1)?)?, text.get(end..)?))
}

/// What follows the object or array that `text` begins with.
fn skip_nested(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut rest = bytes;
    let mut depth = 0_u32;
    loop {
        let found = match (memchr3(b'"', b'{', b'}', rest), memchr2(b'[', b']', rest)) {
            (Some(one), Some(other)) => one.min(other),
            (one, other) => one.or(other)?,
        };
        let byte = *rest.get(found)?;
        rest = rest.get(found + 1..)?;
        match byte {
            b'"' => rest = skip_string(rest)?,
            b'{' | b'[' => depth += 1,
            _ => depth = depth.checked_sub(1)?,
        }
        if depth == 0 {
            return text.get(bytes.len() - rest.len()..);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &[(&str, &str, &str)]) {
        let mut found = Vec::new();
        walk(body, &mut |member| {
            found.push((member.parent, member.key, member.value));
            true
        });
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn members_are_named_at_the_top_and_where_loggers_nest() {
        check(
            r#" {"level":"info", "n" : -1.5e3,"ok":true,"a":[1,{"level":"no"},"]"],"o":{"level":"no"},"dd":{"trace_id":"1"},"last":null}"#,
            &[
                ("", "level", "info"),
                ("", "n", "-1.5e3"),
                ("", "ok", "true"),
                ("dd", "trace_id", "1"),
                ("", "last", "null"),
            ],
        );
        check(r#"{"a\"b":"c\\","é":"日本"}"#, &[("", r#"a\"b"#, r"c\\"), ("", "é", "日本")]);
        check("{}", &[]);
    }

    #[test]
    fn what_is_not_json_ends_the_walk() {
        check("plain", &[]);
        check("{", &[]);
        check(r#"{"a":"b"#, &[]);
        check(r#"{"a":1,"b":"#, &[("", "a", "1")]);
        check(r#"{"a":1,b:2}"#, &[("", "a", "1")]);
        check(r#"{"a":[1,2"#, &[]);
        check(r#"{"dd":{"dd":{"x":"y"},"z":"w"}}"#, &[("dd", "z", "w")]);
    }

    #[test]
    fn a_visitor_may_stop() {
        let mut seen = 0;
        walk(r#"{"a":1,"b":2}"#, &mut |_| {
            seen += 1;
            false
        });
        assert_eq!(seen, 1);
    }
}
