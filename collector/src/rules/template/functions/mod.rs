//! The functions a template can call: Go's own, Prometheus', and those of Alertmanager that make sense here.

use super::{
    Error, Expand, Scope,
    parse::{Node, Operand, Parsed, Pipeline},
    value::{Value, format_general, format_shortest, not_finite},
};

mod numbers;
mod printf;

pub(super) use printf::printf;

/// Every name that [`call`] knows, and `and` and `or`, which the evaluator does itself.
const NAMES: &[&str] = &[
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "len",
    "index",
    "print",
    "println",
    "printf",
    "html",
    "js",
    "urlquery",
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "sortByLabel",
    "args",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "toTime",
    "title",
    "toUpper",
    "toLower",
    "trimSpace",
    "join",
    "match",
    "reReplaceAll",
    "stripPort",
    "stripDomain",
    "safeHtml",
    "graphLink",
    "tableLink",
    "externalURL",
    "pathPrefix",
    "parseDuration",
    "stringSlice",
    "urlQueryEscape",
    "toJson",
];

pub(super) fn call(name: &str, arguments: Vec<Value>, scope: &Scope) -> Result<Value, Expand> {
    if name == "query" {
        let [Value::Text(text)] = arguments.as_slice() else {
            return Err(wrong(name, &arguments).into());
        };
        return match scope.queries.get(text) {
            None => Err(Expand::NeedsQuery(text.clone())),
            Some(Ok(value)) => Ok(value.clone()),
            Some(Err(error)) => Err(Error::new(format!("query {text:?} failed: {error}")).into()),
        };
    }
    let result = match name {
        "not" | "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "len" | "index" => logic(name, &arguments),
        "print" | "println" | "printf" | "html" | "js" | "urlquery" | "urlQueryEscape" | "toJson" => {
            text_out(name, &arguments)
        }
        "first" | "label" | "value" | "strvalue" | "sortByLabel" | "args" | "stringSlice" | "join" => {
            lists(name, &arguments)
        }
        "externalURL" => Ok(scope.external_url.as_str().into()),
        "pathPrefix" => Ok(path_prefix(&scope.external_url).into()),
        "humanize" | "humanize1024" | "humanizeDuration" | "humanizePercentage" | "humanizeTimestamp" | "toTime"
        | "parseDuration" => numbers::call(name, &arguments),
        _ => strings(name, &arguments),
    };
    Ok(result?)
}

fn logic(name: &str, arguments: &[Value]) -> Result<Value, Error> {
    match (name, arguments) {
        ("not", [value]) => Ok(Value::Bool(!value.truth())),
        ("eq", [first, rest @ ..]) if !rest.is_empty() => {
            for other in rest {
                if compare(first, other)? == Some(std::cmp::Ordering::Equal) {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        ("ne" | "lt" | "le" | "gt" | "ge", [left, right]) => {
            use std::cmp::Ordering::{Equal, Greater, Less};
            let order = compare(left, right)?;
            Ok(Value::Bool(match name {
                "ne" => order != Some(Equal),
                "lt" => order == Some(Less),
                "le" => matches!(order, Some(Less | Equal)),
                "gt" => order == Some(Greater),
                _ => matches!(order, Some(Greater | Equal)),
            }))
        }
        ("len", [Value::Text(text)]) => Ok(length(text.len())),
        ("len", [Value::List(values)]) => Ok(length(values.len())),
        ("len", [Value::Map(fields)]) => Ok(length(fields.len())),
        ("index", [value, keys @ ..]) => {
            let mut value = value.clone();
            for key in keys {
                value = index(&value, key)?;
            }
            Ok(value)
        }
        _ => Err(wrong(name, arguments)),
    }
}

fn length(length: usize) -> Value {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

fn index(value: &Value, key: &Value) -> Result<Value, Error> {
    match (value, key) {
        (Value::List(values), Value::Int(place)) => {
            let found = usize::try_from(*place).ok().and_then(|place| values.get(place));
            found.cloned().ok_or_else(|| Error::new(format!("index out of range: {place}")))
        }
        (Value::Map(fields), Value::Text(name)) => Ok(fields.get(name).cloned().unwrap_or_else(|| "".into())),
        _ => Err(wrong("index", &[value.clone(), key.clone()])),
    }
}

/// Numbers compare with numbers (Go is stricter about whole ones, and people trip over it), text with text.
fn compare(left: &Value, right: &Value) -> Result<Option<std::cmp::Ordering>, Error> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Ok(Some(left.cmp(right))),
        (Value::Bool(left), Value::Bool(right)) => Ok(Some(left.cmp(right))),
        (Value::Nil, Value::Nil) => Ok(Some(std::cmp::Ordering::Equal)),
        (Value::Int(left), Value::Int(right)) => Ok(Some(left.cmp(right))),
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
            let numbers = left.number().zip(right.number());
            Ok(numbers.and_then(|(left, right)| left.partial_cmp(&right)))
        }
        _ => Err(Error::new(format!("incompatible types for comparison: {} and {}", left.kind(), right.kind()))),
    }
}

fn text_out(name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let joined = || arguments.iter().map(Value::print).collect::<Vec<_>>().join(" ");
    match (name, arguments) {
        ("printf", [Value::Text(format), rest @ ..]) => Ok(printf(format, rest).into()),
        ("print", _) => Ok(arguments.iter().map(Value::print).collect::<String>().into()),
        ("println", _) => Ok(format!("{}\n", joined()).into()),
        ("html", _) => {
            let text = joined().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            Ok(text.replace('"', "&#34;").replace('\'', "&#39;").into())
        }
        ("js", _) => Ok(joined().replace('\\', "\\\\").replace('"', "\\\"").replace('\'', "\\'").into()),
        ("urlquery" | "urlQueryEscape", _) => Ok(query_escape(&joined()).into()),
        ("toJson", [value]) => Ok(json(value).to_string().into()),
        _ => Err(wrong(name, arguments)),
    }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(value) => value.as_str().into(),
        Value::List(values) => values.iter().map(json).collect(),
        Value::Map(fields) => fields.iter().map(|(name, value)| (name.clone(), json(value))).collect(),
    }
}

/// `application/x-www-form-urlencoded`, as Go's `url.QueryEscape`.
pub(crate) fn query_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            b' ' => escaped.push('+'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// The path of a URL without its last slash.
fn path_prefix(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or_default();
    path.trim_end_matches('/')
}

fn lists(name: &str, arguments: &[Value]) -> Result<Value, Error> {
    match (name, arguments) {
        ("first", [Value::List(values)]) => {
            values.first().cloned().ok_or_else(|| Error::new("first() called on vector with no elements"))
        }
        ("label", [Value::Text(label), Value::Map(sample)]) => match sample.get("Labels") {
            Some(Value::Map(labels)) => Ok(labels.get(label).cloned().unwrap_or_else(|| "".into())),
            _ => Err(wrong(name, arguments)),
        },
        ("value", [Value::Map(sample)]) => {
            sample.get("Value").cloned().ok_or_else(|| Error::new("value needs a sample of a query"))
        }
        ("strvalue", [Value::Map(sample)]) => match sample.get("Labels") {
            Some(Value::Map(labels)) => Ok(labels.get("__value__").cloned().unwrap_or_else(|| "".into())),
            _ => Err(wrong(name, arguments)),
        },
        ("sortByLabel", [Value::Text(label), Value::List(values)]) => {
            let key = |value: &Value| match value {
                Value::Map(sample) => match sample.get("Labels") {
                    Some(Value::Map(labels)) => labels.get(label).map(Value::print).unwrap_or_default(),
                    _ => String::new(),
                },
                other => other.print(),
            };
            let mut values = values.clone();
            values.sort_by_key(key);
            Ok(Value::List(values))
        }
        ("args", _) => {
            let arguments = arguments.iter().enumerate();
            Ok(Value::Map(arguments.map(|(index, value)| (format!("arg{index}"), value.clone())).collect()))
        }
        ("stringSlice", _) => Ok(Value::List(arguments.to_vec())),
        ("join", [Value::Text(separator), Value::List(values)]) => {
            Ok(values.iter().map(Value::print).collect::<Vec<_>>().join(separator).into())
        }
        _ => Err(wrong(name, arguments)),
    }
}

fn strings(name: &str, arguments: &[Value]) -> Result<Value, Error> {
    match (name, arguments) {
        ("title", [value]) => Ok(title(&value.print()).into()),
        ("toUpper", [value]) => Ok(value.print().to_uppercase().into()),
        ("toLower", [value]) => Ok(value.print().to_lowercase().into()),
        ("trimSpace", [value]) => Ok(value.print().trim().into()),
        ("safeHtml", [value]) => Ok(value.print().into()),
        ("match", [Value::Text(pattern), Value::Text(text)]) => Ok(Value::Bool(regex(pattern)?.is_match(text))),
        ("reReplaceAll", [Value::Text(pattern), Value::Text(with), Value::Text(text)]) => {
            Ok(regex(pattern)?.replace_all(text, with.as_str()).into_owned().into())
        }
        ("stripPort", [Value::Text(text)]) => Ok(strip_port(text).into()),
        ("stripDomain", [Value::Text(text)]) => Ok(strip_domain(text).into()),
        ("graphLink", [Value::Text(query)]) => Ok(format!("/graph?g0.expr={}&g0.tab=0", query_escape(query)).into()),
        ("tableLink", [Value::Text(query)]) => Ok(format!("/graph?g0.expr={}&g0.tab=1", query_escape(query)).into()),
        _ => Err(wrong(name, arguments)),
    }
}

fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            titled.push(c);
        } else {
            titled.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric() || c == '_' || c == '\'';
    }
    titled
}

fn strip_port(text: &str) -> &str {
    if let Some(after) = text.strip_prefix('[') {
        return after.split_once("]:").map_or(text, |(host, _)| host);
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => text,
    }
}

fn strip_domain(text: &str) -> String {
    let host = strip_port(text);
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    let short = host.split('.').next().unwrap_or(host);
    match text.strip_prefix(host) {
        Some(port) => format!("{short}{port}"),
        None => short.to_owned(),
    }
}

fn regex(pattern: &str) -> Result<regex::Regex, Error> {
    regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| Error::new(format!("bad regular expression {pattern:?}: {error}")))
}

fn wrong(name: &str, arguments: &[Value]) -> Error {
    let kinds: Vec<&str> = arguments.iter().map(Value::kind).collect();
    Error::new(format!("{name} can't be given ({})", kinds.join(", ")))
}

/// Fails on a function that does not exist, so that it is found when the file is read and not at 3 a.m.
pub(super) fn check_names(parsed: &Parsed) -> Result<(), Error> {
    std::iter::once(&parsed.root).chain(parsed.defined.values()).try_for_each(|nodes| check_nodes(nodes))
}

fn check_nodes(nodes: &[Node]) -> Result<(), Error> {
    nodes.iter().try_for_each(|node| match node {
        Node::Text(_) | Node::Break | Node::Continue | Node::Call { argument: None, .. } => Ok(()),
        Node::Action(pipeline) | Node::Call { argument: Some(pipeline), .. } => check_pipeline(pipeline),
        Node::If(branches) => branches.iter().try_for_each(|(condition, body)| {
            condition.iter().try_for_each(check_pipeline)?;
            check_nodes(body)
        }),
        Node::Range { over: pipeline, body, otherwise } | Node::With { value: pipeline, body, otherwise } => {
            check_pipeline(pipeline)?;
            check_nodes(body)?;
            check_nodes(otherwise)
        }
    })
}

fn check_pipeline(pipeline: &Pipeline) -> Result<(), Error> {
    pipeline.commands.iter().flatten().try_for_each(|operand| match operand {
        Operand::Function(name) if !NAMES.contains(&name.as_str()) => {
            Err(Error::new(format!("function {name:?} not defined")))
        }
        Operand::Group(inner, _) => check_pipeline(inner),
        _ => Ok(()),
    })
}
