//! Conditions on labels, as Alertmanager writes them: `severity="critical"`, `env=~"prod|stage"`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeStruct as _};
use yagura_model::Labels;

/// A condition on one label; an absent label has the empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// What it is compared with.
    pub value: String,
    /// `=` or `=~` rather than `!=` or `!~`.
    pub is_equal: bool,
    /// The compiled expression of `=~` and `!~`, anchored.
    regex: Option<regex::Regex>,
}

/// Why a text is no matcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad matcher `{text}`: {reason}")]
pub struct BadMatcher {
    text: String,
    reason: String,
}

impl Matcher {
    /// A matcher from its parts.
    pub fn new(name: &str, value: &str, is_regex: bool, is_equal: bool) -> Result<Self, BadMatcher> {
        let bad = |reason: String| BadMatcher { text: format!("{name} {value}"), reason };
        if name.is_empty() {
            return Err(bad("the label's name is missing".to_owned()));
        }
        let regex = if is_regex {
            let built = regex::RegexBuilder::new(&format!("^(?s:{value})$")).size_limit(1 << 20).build();
            Some(built.map_err(|error| bad(error.to_string()))?)
        } else {
            None
        };
        Ok(Self { name: name.to_owned(), value: value.to_owned(), is_equal, regex })
    }

    /// Whether it compares with a regular expression.
    #[must_use]
    pub fn is_regex(&self) -> bool {
        self.regex.is_some()
    }

    /// Whether a set of labels passes.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).unwrap_or_default();
        let same = self.regex.as_ref().map_or_else(|| value == self.value, |regex| regex.is_match(value));
        same == self.is_equal
    }

    /// Whether it passes only labels that are not there.
    fn matches_empty(&self) -> bool {
        self.matches(&Labels::empty())
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        let key = |matcher: &Self| (matcher.name.clone(), matcher.value.clone(), matcher.is_equal, matcher.is_regex());
        key(self) == key(other)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match (self.is_equal, self.is_regex()) {
            (true, false) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (false, true) => "!~",
        };
        write!(f, "{}{operator}{:?}", self.name, self.value)
    }
}

/// Whether all of some matchers pass.
#[must_use]
pub fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

/// Whether matchers would pass everything, as those of a silence must not.
#[must_use]
pub fn pass_everything(matchers: &[Matcher]) -> bool {
    matchers.iter().all(Matcher::matches_empty)
}

/// Reads one or more matchers: `a="b"`, `a=b,c=~"d"`, `{a="b"}`.
pub fn parse(text: &str) -> Result<Vec<Matcher>, BadMatcher> {
    let bad = |reason: &str| BadMatcher { text: text.to_owned(), reason: reason.to_owned() };
    let trimmed = text.trim();
    let inner = match (trimmed.strip_prefix('{'), trimmed.strip_suffix('}')) {
        (Some(_), Some(_)) => trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default(),
        (None, None) => trimmed,
        _ => return Err(bad("a brace is not closed")),
    };
    let mut matchers = Vec::new();
    let mut rest = inner.trim();
    while !rest.is_empty() {
        let (name, after) = take_name(rest).ok_or_else(|| bad("expected a label's name"))?;
        let (is_equal, is_regex, after) =
            operator(after.trim_start()).ok_or_else(|| bad("expected =, !=, =~ or !~"))?;
        let (value, after) = take_value(after.trim_start()).ok_or_else(|| bad("the quoted value does not end"))?;
        let matcher = Matcher::new(&name, &value, is_regex, is_equal)
            .map_err(|error| BadMatcher { text: text.to_owned(), reason: error.reason })?;
        matchers.push(matcher);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return Err(bad("expected a comma between two matchers")),
        };
    }
    if matchers.is_empty() { Err(bad("expected a condition such as severity=\"critical\"")) } else { Ok(matchers) }
}

fn take_name(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        return take_value(text);
    }
    let end = text.find(|c: char| matches!(c, '=' | '!' | '~' | ',') || c.is_whitespace()).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    (!name.is_empty()).then(|| (name.to_owned(), rest))
}

fn operator(text: &str) -> Option<(bool, bool, &str)> {
    [("=~", true, true), ("!~", false, true), ("!=", false, false), ("=", true, false)]
        .into_iter()
        .find_map(|(mark, is_equal, is_regex)| text.strip_prefix(mark).map(|rest| (is_equal, is_regex, rest)))
}

fn take_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return Some((value.trim_end().to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                '\\' => value.push('\\'),
                '"' => value.push('"'),
                // Not an escape of ours: a regular expression's own.
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

/// As in Alertmanager's API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    name: String,
    value: String,
    #[serde(default)]
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        Self::new(&raw.name, &raw.value, raw.is_regex, raw.is_equal).map_err(de::Error::custom)
    }
}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Matcher", 4)?;
        out.serialize_field("name", &self.name)?;
        out.serialize_field("value", &self.value)?;
        out.serialize_field("isRegex", &self.is_regex())?;
        out.serialize_field("isEqual", &self.is_equal)?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Ok(matchers) => matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn matchers_are_read_as_alertmanager_reads_them() {
        assert_eq!(shown(r#"severity="critical""#), r#"severity="critical""#);
        assert_eq!(shown("severity = critical"), r#"severity="critical""#);
        assert_eq!(shown(r#"{a="b,\"c", d!~"e.*" ,f!=g}"#), r#"a="b,\"c" d!~"e.*" f!="g""#);
        assert_eq!(shown(r#"a=~"x\.y""#), r#"a=~"x\\.y""#);
        assert_eq!(shown(r#"a="""#), r#"a="""#);
    }

    #[test]
    fn what_is_no_matcher_is_refused_by_name() {
        assert_eq!(shown("severity"), "bad matcher `severity`: expected =, !=, =~ or !~");
        assert_eq!(shown("{a=b"), "bad matcher `{a=b`: a brace is not closed");
        assert_eq!(shown("a=\"b"), "bad matcher `a=\"b`: the quoted value does not end");
        assert_eq!(shown(""), "bad matcher ``: expected a condition such as severity=\"critical\"");
        assert!(shown("a=~\"(\"").starts_with("bad matcher `a=~\"(\"`: regex parse error"));
    }

    #[test]
    fn an_absent_label_is_empty() {
        let labels = Labels::from_pairs([("a", "prod")]);
        for (text, expected) in
            [("a=prod", true), ("a=~pro", false), ("a=~pro.", true), ("b=\"\"", true), ("b!=x", true), ("b=~.+", false)]
        {
            assert_eq!(all_match(&parse(text).unwrap(), &labels), expected, "{text}");
        }
        assert!(pass_everything(&parse("a=~.*").unwrap()));
        assert!(!pass_everything(&parse("a=~.*,b=c").unwrap()));
    }
}
