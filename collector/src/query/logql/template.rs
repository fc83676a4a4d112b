//! `line_format` and `label_format`: the part of Go's templates that people write there.
//!
//! `{{.label}}`, `{{ __line__ }}`, `{{ __timestamp__ }}` and pipes of functions:
//! `{{ .path | replace "/" "_" | ToUpper }}`.

use std::fmt::Write;

use super::{ParseError, pipeline::Row};

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Value(Source, Vec<Function>),
}

#[derive(Clone, Debug)]
enum Source {
    Label(String),
    Line,
    Timestamp,
    Text(String),
}

#[derive(Clone, Debug)]
enum Function {
    Upper,
    Lower,
    Title,
    Trim,
    Trunc(i64),
    Replace(String, String),
    TrimPrefix(String),
    TrimSuffix(String),
    Default(String),
}

impl Template {
    /// Parses a template; `at` is where its text stands in the query.
    pub(super) fn parse(query: &str, at: usize, text: &str) -> Result<Self, ParseError> {
        let wrong = |message: String| ParseError::at(query, at, message);
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (action, left) = after.split_once("}}").ok_or_else(|| wrong("`{{` without `}}`".to_owned()))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(action_part(action.trim_matches('-').trim()).map_err(wrong)?);
            rest = left;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The text for a record.
    pub(super) fn render(&self, row: &Row) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(source, functions) => {
                    let value = match source {
                        Source::Label(name) => row.get(name).unwrap_or_default().to_owned(),
                        Source::Line => row.line.clone(),
                        Source::Timestamp => row.time.0.to_string(),
                        Source::Text(text) => text.clone(),
                    };
                    let value = functions.iter().fold(value, |value, function| function.apply(&value));
                    // Writing to a string does not fail.
                    if write!(out, "{value}").is_err() {
                        return out;
                    }
                }
            }
        }
        out
    }
}

fn action_part(action: &str) -> Result<Part, String> {
    let mut steps = split_pipes(action).into_iter();
    let first = words(steps.next().unwrap_or_default())?;
    let mut functions = Vec::new();
    let source = match first.split_first() {
        Some((word, [])) => source(word)?,
        // `trunc 5 .label`: the value is the last argument
        Some((name, arguments)) => {
            let (value, arguments) = arguments.split_last().ok_or("an empty action")?;
            functions.push(function(name, arguments)?);
            source(value)?
        }
        None => return Err("an empty `{{}}`".to_owned()),
    };
    for step in steps {
        let words = words(step)?;
        let (name, arguments) = words.split_first().ok_or("an empty step after `|`")?;
        functions.push(function(name, arguments)?);
    }
    Ok(Part::Value(source, functions))
}

fn split_pipes(action: &str) -> Vec<&str> {
    let mut quoted = false;
    action
        .split(move |c: char| {
            if c == '"' || c == '`' {
                quoted = !quoted;
            }
            c == '|' && !quoted
        })
        .map(str::trim)
        .collect()
}

/// Words and quoted texts; a quoted one keeps its opening quote as a mark.
fn words(step: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = step.trim();
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '`' {
            let inner = rest.get(1..).unwrap_or_default();
            let (text, left) = inner.split_once(first).ok_or("a text without an end")?;
            words.push(format!("\"{text}"));
            rest = left.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, left) = rest.split_at_checked(end).unwrap_or((rest, ""));
            words.push(word.to_owned());
            rest = left.trim_start();
        }
    }
    Ok(words)
}

fn source(word: &str) -> Result<Source, String> {
    if let Some(label) = word.strip_prefix('.') {
        return Ok(Source::Label(label.to_owned()));
    }
    if let Some(text) = word.strip_prefix('"') {
        return Ok(Source::Text(text.to_owned()));
    }
    match word {
        "__line__" => Ok(Source::Line),
        "__timestamp__" => Ok(Source::Timestamp),
        _ => Err(format!("`{word}` is not understood in a template; write {{{{.label}}}}")),
    }
}

fn function(name: &str, arguments: &[String]) -> Result<Function, String> {
    let text = |index: usize| {
        let argument = arguments.get(index).and_then(|argument| argument.strip_prefix('"'));
        argument.map(ToOwned::to_owned).ok_or_else(|| format!("`{name}` wants a text in quotes"))
    };
    match name {
        "ToUpper" | "upper" => Ok(Function::Upper),
        "ToLower" | "lower" => Ok(Function::Lower),
        "Title" | "title" => Ok(Function::Title),
        "trim" | "TrimSpace" => Ok(Function::Trim),
        "replace" | "Replace" => Ok(Function::Replace(text(0)?, text(1)?)),
        "trimPrefix" | "TrimPrefix" => Ok(Function::TrimPrefix(text(0)?)),
        "trimSuffix" | "TrimSuffix" => Ok(Function::TrimSuffix(text(0)?)),
        "default" => Ok(Function::Default(text(0)?)),
        "trunc" => {
            let count = arguments.first().and_then(|count| count.parse().ok());
            count.map(Function::Trunc).ok_or_else(|| "`trunc` wants a number".to_owned())
        }
        _ => Err(format!("the template function `{name}` is not known here")),
    }
}

impl Function {
    fn apply(&self, value: &str) -> String {
        match self {
            Self::Upper => value.to_uppercase(),
            Self::Lower => value.to_lowercase(),
            Self::Title => title(value),
            Self::Trim => value.trim().to_owned(),
            Self::Trunc(count) => truncate(value, *count),
            Self::Replace(from, to) => value.replace(from.as_str(), to),
            Self::TrimPrefix(prefix) => value.strip_prefix(prefix.as_str()).unwrap_or(value).to_owned(),
            Self::TrimSuffix(suffix) => value.strip_suffix(suffix.as_str()).unwrap_or(value).to_owned(),
            Self::Default(other) => if value.is_empty() { other } else { value }.to_owned(),
        }
    }
}

fn title(value: &str) -> String {
    let mut characters = value.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// The first `count` characters, or the last ones when it is negative.
fn truncate(value: &str, count: i64) -> String {
    let most = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let skip = if count < 0 { value.chars().count().saturating_sub(most) } else { 0 };
    value.chars().skip(skip).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::logql::pipeline::testing::row;

    fn check(template: &str, expected: &str) {
        let row = row("the line", &[("a", "value"), ("empty", "")]);
        assert_eq!(Template::parse(template, 0, template).unwrap().render(&row), expected);
    }

    #[test]
    fn labels_and_pipes_are_rendered() {
        check("{{.a}}: {{ __line__ }}", "value: the line");
        check("{{ .a | ToUpper | trunc 3 }}", "VAL");
        check("{{ .a | replace \"v\" \"|\" }}", "|alue");
        check("{{ .missing | default \"-\" }}", "-");
        check("{{ trunc -2 .a }}", "ue");
        check("plain", "plain");
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for template in ["{{ .a", "{{ if .a }}x{{ end }}", "{{ .a | shout }}", "{{}}"] {
            assert!(Template::parse(template, 0, template).is_err(), "{template}");
        }
    }
}
