//! `${VAR}` and `${VAR:-default}` inside quoted text. Plain text is expanded by serde-saphyr as it reads it, but that
//! leaves quotes alone, and `"https://${HOST}:7417"` is how people write an address.

use std::collections::HashMap;

use super::{Fault, unset};

/// `text` with the environment put into its quoted scalars, escaped as their quotes need it.
pub(super) fn quoted(text: &str, environment: &HashMap<String, String>) -> Result<String, Fault> {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    // A quote opens a scalar, and a `#` a comment, only where no plain scalar is under way.
    let mut fresh = true;
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, '#') if fresh || out.ends_with([' ', '\t', '\n']) => {
                out.push(c);
                while let Some((_, c)) = chars.next_if(|(_, c)| *c != '\n') {
                    out.push(c);
                }
                continue;
            }
            (None, '"' | '\'') if fresh => quote = Some(c),
            (Some('"'), '\\') => {
                out.push(c);
                if let Some((_, escaped)) = chars.next() {
                    out.push(escaped);
                }
                continue;
            }
            (Some(open), c) if c == open => quote = None,
            (Some(open), '$') => {
                let rest = text.get(at..).unwrap_or_default();
                let (value, length) = reference(rest, environment).map_err(|text_| fault(text, at, text_))?;
                if length > 0 {
                    push_escaped(&mut out, &value, open);
                    while chars.next_if(|(next, _)| *next < at + length).is_some() {}
                    continue;
                }
            }
            _ => {}
        }
        fresh = match c {
            '\n' | ',' | '[' | '{' => true,
            ' ' | '\t' => fresh || out.ends_with([':', '-']),
            _ => false,
        };
        out.push(c);
    }
    Ok(out)
}

/// The value of the reference that `rest` begins with and its length in `rest`; length 0 when it begins with none.
fn reference(rest: &str, environment: &HashMap<String, String>) -> Result<(String, usize), String> {
    if rest.starts_with("$${") {
        return Ok(("${".into(), 3));
    }
    let Some(end) = rest.strip_prefix("${").and_then(|body| body.find('}')) else { return Ok((String::new(), 0)) };
    let body = rest.get(2..2 + end).unwrap_or_default();
    let (name, default) = body.split_once(":-").map_or((body, None), |(name, default)| (name, Some(default)));
    let is_name = |name: &str| name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    if name.is_empty() || !is_name(name) {
        return Err(format!("expected ${{NAME}} or ${{NAME:-default}}, found ${{{body}}}"));
    }
    let value = match (environment.get(name), default) {
        (Some(value), None) => value.clone(),
        (Some(value), Some(_)) if !value.is_empty() => value.clone(),
        (_, Some(default)) => default.to_owned(),
        (None, None) => return Err(unset(name)),
    };
    Ok((value, end + 3))
}

fn push_escaped(out: &mut String, value: &str, quote: char) {
    for c in value.chars() {
        match (quote, c) {
            ('"', '"' | '\\') => out.extend(['\\', c]),
            ('"', '\n') => out.push_str("\\n"),
            ('\'', '\'') => out.push_str("''"),
            _ => out.push(c),
        }
    }
}

fn fault(text: &str, at: usize, message: String) -> Fault {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let place = u64::try_from(line).ok().zip(u64::try_from(column).ok());
    Fault { place, key: String::new(), text: message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let environment = HashMap::from([("HOST".into(), "a\"b'c\\".into()), ("EMPTY".into(), String::new())]);
        let expanded = quoted(text, &environment).unwrap_or_else(|fault| format!("{:?} {}", fault.place, fault.text));
        assert_eq!(expanded, expected, "{text}");
    }

    #[test]
    fn quoted_text_is_expanded_and_escaped() {
        check(r#"a: "x${HOST}y""#, r#"a: "xa\"b'c\\y""#);
        check("a: 'x${HOST}y'", r#"a: 'xa"b''c\y'"#);
        check(r#"a: ["${EMPTY:-d}", "${EMPTY}"]"#, r#"a: ["d", ""]"#);
        check(r#"a: "\"${NONE:-d}""#, r#"a: "\"d""#);
        check("a: \"$${HOST} $x\"", "a: \"${HOST} $x\"");
    }

    #[test]
    fn plain_text_and_comments_are_left_alone() {
        for text in ["a: ${HOST}", "# it's ${NONE}\na: 1", "a: it's ${HOST} # \"${NONE}\"\nb: 'c'", "a: x\"${NONE}\""] {
            check(text, text);
        }
    }

    #[test]
    fn an_unset_variable_has_a_place() {
        let fault = quoted("a: 1\nb: \"${NOPE}\"", &HashMap::new()).unwrap_err();
        assert_eq!(fault.place, Some((2, 5)));
        assert!(fault.text.starts_with("the environment variable NOPE is not set"), "{}", fault.text);
    }
}
