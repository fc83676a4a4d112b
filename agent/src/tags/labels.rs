//! Evidence in labels and annotations: plain keys, and Datadog's JSON in `….logs` and `….tags`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Evidence, Pairs};

/// Longest JSON that is looked into; a label may hold megabytes.
const JSON_BYTES: usize = 64 * 1024;

/// The value of `key`, if it is there.
#[must_use]
pub fn get<'a>(pairs: &'a Pairs, key: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| &**name == key).map(|(_, value)| &**value)
}

/// `field` of the first object that has it in `ad.datadoghq.com/<container>.logs` of the pod, else in the container's
/// label `com.datadoghq.ad.logs`.
#[must_use]
pub fn logs_field(evidence: &Evidence<'_>, field: &str) -> Option<String> {
    let of_pod = evidence.pod.and_then(|pod| {
        let key = format!("ad.datadoghq.com/{}.logs", evidence.container);
        logs(get(pod.annotations, &key)?, field)
    });
    of_pod.or_else(|| logs(get(evidence.labels, "com.datadoghq.ad.logs")?, field))
}

fn logs(json: &str, field: &str) -> Option<String> {
    let objects = parse(json)?;
    objects.as_array()?.iter().find_map(|object| object.get(field)?.as_str()).map(ToOwned::to_owned)
}

/// Free tags: a JSON object of names and values (or lists of values), a JSON array of `name:value`, or the same
/// separated by commas. A name that starts with `+` is left out: its owner marks it as of high cardinality, and every
/// tag is a label of every series. Of several values the first counts.
#[must_use]
pub fn free_tags(text: &str) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    let mut add = |name: &str, value: Option<String>| {
        let name = name.trim();
        if let Some(value) = value.filter(|_| !name.is_empty() && !name.starts_with('+')) {
            tags.entry(name.to_owned()).or_insert(value);
        }
    };
    let mut add_pair = |pair: &str| match pair.split_once(':') {
        Some((name, value)) => add(name, Some(value.trim().to_owned())),
        None => add("", None),
    };
    match parse(text) {
        Some(Value::Object(object)) => {
            for (name, value) in object {
                let first = value.as_array().and_then(|values| values.first());
                add(&name, scalar(first.unwrap_or(&value)));
            }
        }
        Some(Value::Array(pairs)) => pairs.iter().filter_map(Value::as_str).for_each(&mut add_pair),
        Some(_) => {}
        None if text.len() <= JSON_BYTES && !text.trim_start().starts_with(['{', '[']) => {
            text.split(',').for_each(&mut add_pair);
        }
        None => {}
    }
    tags
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn parse(json: &str) -> Option<Value> {
    if json.len() > JSON_BYTES {
        return None;
    }
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let found = free_tags(text);
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn free_tags_come_in_many_forms() {
        check(r#"["team:shop", "tier:1", "no-value"]"#, &[("team", "shop"), ("tier", "1")]);
        check(r#"{"team":"shop","tier":1,"+user":"u1","on":true}"#, &[("on", "true"), ("team", "shop"), ("tier", "1")]);
        check(r#"{"team":["shop","pay"],"none":null,"empty":[]}"#, &[("team", "shop")]);
        check("team:shop, url:http://x", &[("team", "shop"), ("url", "http://x")]);
        check(r#"["team:a","team:b"]"#, &[("team", "a")]);
        check("", &[]);
        check("{\"team\":", &[]);
        check("12", &[]);
        check(&format!("[\"a:{}\"]", "x".repeat(JSON_BYTES)), &[]);
    }

    #[test]
    fn the_logs_annotation_is_an_array_of_objects() {
        assert_eq!(logs(r#"[{"type":"file"},{"source":"nginx"}]"#, "source").as_deref(), Some("nginx"));
        assert_eq!(logs(r#"[{"source":7}]"#, "source"), None);
        assert_eq!(logs(r#"{"source":"nginx"}"#, "source"), None);
    }
}
