//! What a check expects of an answer.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use http::HeaderMap;
use regex::Regex;
use serde::{Deserialize, de};
use yagura_daemon::config::{DurationText, Faults};
use yagura_model::Timestamp;

use super::run::{Failure, FailureClass, Run};

/// The `expect` block; all that is given must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Statuses that are fine: numbers, ranges (`200-299`) or classes (`2xx`).
    pub status: Vec<StatusRange>,
    /// A text that must be in the body.
    pub body_contains: Option<String>,
    /// A text that must not be in the body.
    pub body_not_contains: Option<String>,
    /// A regular expression that must be found in the body.
    pub body_matches: Option<Pattern>,
    /// A regular expression that must not be found in the body.
    pub body_not_matches: Option<Pattern>,
    /// For each header a regular expression that its value must match.
    pub headers: BTreeMap<String, Pattern>,
    /// The whole run must take less.
    pub latency: Option<DurationText>,
    /// Every certificate of the chain must hold for at least this many days.
    pub certificate_days: Option<u32>,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            status: vec![StatusRange(200..=299)],
            body_contains: None,
            body_not_contains: None,
            body_matches: None,
            body_not_matches: None,
            headers: BTreeMap::new(),
            latency: None,
            certificate_days: None,
        }
    }
}

/// Statuses from … to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRange(RangeInclusive<u16>);

/// A compiled regular expression; linear in time, limited in size.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl StatusRange {
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse::<u16>().ok().filter(|status| (100..=599).contains(status));
        if let Some(class) = text.strip_suffix("xx") {
            let first = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class))? * 100;
            return Some(Self(first..=first + 99));
        }
        match text.split_once('-') {
            Some((from, to)) => Some(Self(number(from)?..=number(to)?)),
            None => number(text).map(|status| Self(status..=status)),
        }
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = StatusRange;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a status such as 200, a range such as 200-299, or a class such as 2xx")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusRange, E> {
                StatusRange::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_u64<E: de::Error>(self, status: u64) -> Result<StatusRange, E> {
                self.visit_str(&status.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let compiled = regex::RegexBuilder::new(&text).size_limit(1 << 20).build();
        compiled.map(Self).map_err(|error| de::Error::custom(format!("not a regular expression: {error}")))
    }
}

impl Expect {
    /// Adds what is wrong with the block.
    pub(super) fn validate(&self, https: bool, faults: &mut Faults) {
        if self.status.is_empty() {
            faults.add("status", "at least one status, such as [200]");
        }
        if self.certificate_days.is_some() && !https {
            faults.add("certificate_days", "an https url; a plain one has no certificate");
        }
    }

    /// Whether the body has to be read to its end to be judged.
    pub(super) fn looks_at_body(&self) -> bool {
        let texts = self.body_contains.is_some() || self.body_not_contains.is_some();
        texts || self.body_matches.is_some() || self.body_not_matches.is_some()
    }

    /// The first expectation that an answer does not meet.
    pub(super) fn judge(&self, run: &Run, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Failure> {
        self.judge_status(run)?;
        self.judge_headers(headers)?;
        self.judge_body(&String::from_utf8_lossy(body))?;
        self.judge_certificate(run, now)?;
        let took = Duration::try_from_secs_f64(run.duration_seconds).unwrap_or_default();
        match self.latency {
            Some(limit) if took > limit.0 => {
                Err(failed(format!("it took {} ms, allowed are {} ms", took.as_millis(), limit.0.as_millis())))
            }
            _ => Ok(()),
        }
    }

    fn judge_status(&self, run: &Run) -> Result<(), Failure> {
        let status = run.status.unwrap_or_default();
        if self.status.iter().any(|range| range.0.contains(&status)) {
            return Ok(());
        }
        let show = |range: &StatusRange| match (range.0.start(), range.0.end()) {
            (from, to) if from == to => from.to_string(),
            (from, to) => format!("{from}-{to}"),
        };
        let wanted: Vec<_> = self.status.iter().map(show).collect();
        Err(failed(format!("status is {status}, expected {}", wanted.join(" or "))))
    }

    fn judge_headers(&self, headers: &HeaderMap) -> Result<(), Failure> {
        for (name, pattern) in &self.headers {
            let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
            match value {
                None => return Err(failed(format!("header {name} is missing"))),
                Some(value) if !pattern.0.is_match(&value) => {
                    return Err(failed(format!("header {name} is `{value}`, expected to match `{}`", pattern.0)));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn judge_body(&self, body: &str) -> Result<(), Failure> {
        if let Some(text) = self.body_contains.as_ref().filter(|text| !body.contains(text.as_str())) {
            return Err(failed(format!("the body does not contain `{text}`")));
        }
        if let Some(text) = self.body_not_contains.as_ref().filter(|text| body.contains(text.as_str())) {
            return Err(failed(format!("the body contains `{text}`")));
        }
        if let Some(pattern) = self.body_matches.as_ref().filter(|pattern| !pattern.0.is_match(body)) {
            return Err(failed(format!("the body does not match `{}`", pattern.0)));
        }
        if let Some(pattern) = self.body_not_matches.as_ref().filter(|pattern| pattern.0.is_match(body)) {
            return Err(failed(format!("the body matches `{}`", pattern.0)));
        }
        Ok(())
    }

    fn judge_certificate(&self, run: &Run, now: Timestamp) -> Result<(), Failure> {
        let Some(wanted) = self.certificate_days else { return Ok(()) };
        let expiry = run.tls.as_ref().and_then(|tls| tls.earliest_expiry);
        let Some(expiry) = expiry else { return Err(failed("the certificate's end could not be read".to_owned())) };
        let days = (expiry.0 - now.0).div_euclid(86_400_000);
        if days < i64::from(wanted) {
            return Err(failed(format!("a certificate ends in {days} days, at least {wanted} are expected")));
        }
        Ok(())
    }
}

fn failed(reason: String) -> Failure {
    Failure::new(FailureClass::Assertion, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expect: &str, status: u16, body: &str, expected: Option<&str>) {
        let expect: Expect = serde_json::from_str(expect).unwrap();
        let run = Run { status: Some(status), duration_seconds: 0.5, ..Run::default() };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "text/html".parse().unwrap());
        let judged = expect.judge(&run, &headers, body.as_bytes(), Timestamp(0)).err();
        assert_eq!(judged.map(|failure| failure.reason).as_deref(), expected);
    }

    #[test]
    fn each_expectation_says_what_was_there_instead() {
        check("{}", 204, "", None);
        check("{}", 301, "", Some("status is 301, expected 200-299"));
        check(r#"{"status": [200, "4xx"]}"#, 404, "", None);
        check(r#"{"status": ["200-203"]}"#, 204, "", Some("status is 204, expected 200-203"));
        check(r#"{"body_contains": "open"}"#, 200, "shop is open", None);
        check(r#"{"body_contains": "open"}"#, 200, "closed", Some("the body does not contain `open`"));
        check(r#"{"body_not_contains": "error"}"#, 200, "error", Some("the body contains `error`"));
        check(r#"{"body_matches": "^o.en$"}"#, 200, "open", None);
        check(r#"{"body_not_matches": "o+ps"}"#, 200, "ooops", Some("the body matches `o+ps`"));
        check(r#"{"headers": {"Content-Type": "html"}}"#, 200, "", None);
        check(r#"{"headers": {"x-a": "."}}"#, 200, "", Some("header x-a is missing"));
        check(r#"{"latency": "400ms"}"#, 200, "", Some("it took 500 ms, allowed are 400 ms"));
        check(r#"{"certificate_days": 3}"#, 200, "", Some("the certificate's end could not be read"));
    }

    #[test]
    fn a_status_that_is_none_is_refused() {
        for text in ["6xx", "20", "200-", "ok", "299-2000"] {
            assert_eq!(StatusRange::parse(text), None, "{text}");
        }
    }
}
