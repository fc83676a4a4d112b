//! Labels found in lines: `json`, `logfmt`, `pattern`, `regexp`, `unpack`; and lines without their colours.

use regex::Regex;
use serde_json::Value;

use super::{
    ast::{PathStep, PatternPart},
    pipeline::{ERROR, Row},
};

/// The key of `unpack` that holds the original line.
const ENTRY: &str = "_entry";

/// `| json`
pub(super) fn json(row: &mut Row, fields: &[(String, Vec<PathStep>)]) {
    let Ok(value) = serde_json::from_str::<Value>(&row.line) else {
        row.found(ERROR, "JSONParserErr");
        return;
    };
    if fields.is_empty() {
        if value.is_object() {
            flatten(row, "", &value);
        } else {
            row.found(ERROR, "JSONParserErr");
        }
        return;
    }
    for (label, path) in fields {
        let found = path.iter().try_fold(&value, |value, step| match step {
            PathStep::Key(key) => value.get(key),
            PathStep::Index(index) => value.get(index),
        });
        row.found(label, &found.map(text).unwrap_or_default());
    }
}

/// Every value of an object under its path joined by `_`; arrays are left out, as in Loki.
fn flatten(row: &mut Row, path: &str, value: &Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}_{key}") };
                flatten(row, &path, value);
            }
        }
        Value::Array(_) => {}
        other => row.found(path, &text(other)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// `| logfmt`
pub(super) fn logfmt(row: &mut Row, strict: bool, keep_empty: bool, fields: &[(String, String)]) {
    let line = std::mem::take(&mut row.line);
    for pair in pairs(&line) {
        let Some((key, value)) = pair else {
            if strict {
                row.found(ERROR, "LogfmtParserErr");
                break;
            }
            continue;
        };
        let value = value.unwrap_or_default();
        if fields.is_empty() {
            if !value.is_empty() || keep_empty {
                row.found(key, &value);
            }
            continue;
        }
        for (label, _) in fields.iter().filter(|(_, wanted)| wanted == key) {
            row.found(label, &value);
        }
    }
    row.line = line;
}

/// Key and value of each word; `None` for a word that is neither.
fn pairs(line: &str) -> impl Iterator<Item = Option<(&str, Option<String>)>> {
    let mut rest = line.trim_start();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let key_end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at_checked(key_end)?;
        let Some(after) = after.strip_prefix('=') else {
            rest = after.trim_start();
            return Some((!key.is_empty() && !key.contains('"')).then_some((key, None)));
        };
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted),
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                let (value, left) = after.split_at_checked(end).unwrap_or((after, ""));
                (value.to_owned(), left)
            }
        };
        rest = left.trim_start();
        Some((!key.is_empty()).then_some((key, Some(value))))
    })
}

/// The value up to its closing quote, unescaped, and what is left.
fn quoted_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, c)) = characters.next() {
        match c {
            '"' => return (value, text.get(index + 1..).unwrap_or_default()),
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(other) => value.push(other),
                None => {}
            },
            other => value.push(other),
        }
    }
    (value, "")
}

/// `| pattern`
pub(super) fn pattern(row: &mut Row, parts: &[PatternPart]) {
    let line = std::mem::take(&mut row.line);
    let mut rest = line.as_str();
    let mut parts = parts.iter().peekable();
    while let Some(part) = parts.next() {
        match part {
            PatternPart::Literal(text) => match rest.strip_prefix(text.as_str()) {
                Some(left) => rest = left,
                None => break,
            },
            PatternPart::Capture(name) => {
                let end = match parts.peek() {
                    Some(PatternPart::Literal(text)) => rest.find(text.as_str()),
                    _ => Some(rest.len()),
                };
                let Some((value, left)) = end.and_then(|end| rest.split_at_checked(end)) else { break };
                if let Some(name) = name {
                    row.found(name, value);
                }
                rest = left;
            }
        }
    }
    row.line = line;
}

/// `| regexp`
pub(super) fn regexp(row: &mut Row, regex: &Regex) {
    let line = std::mem::take(&mut row.line);
    if let Some(captures) = regex.captures(&line) {
        for name in regex.capture_names().flatten() {
            if let Some(value) = captures.name(name) {
                row.found(name, value.as_str());
            }
        }
    }
    row.line = line;
}

/// `| unpack`
pub(super) fn unpack(row: &mut Row) {
    let Ok(Value::Object(object)) = serde_json::from_str::<Value>(&row.line) else {
        row.found(ERROR, "JSONParserErr");
        return;
    };
    for (key, value) in &object {
        let Value::String(value) = value else { continue };
        if key == ENTRY {
            row.line.clone_from(value);
        } else {
            row.found(key, value);
        }
    }
}

/// A line without ANSI escape sequences (ECMA-48 CSI: `ESC [` … a byte from `@` to `~`).
pub(super) fn decolorize(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let end = after.find(|c: char| ('@'..='~').contains(&c)).map_or(after.len(), |end| end + 1);
        rest = after.get(end..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}
