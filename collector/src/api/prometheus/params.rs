//! Parameters of the Prometheus API: from the path's query and from a form, as Prometheus reads them.

use std::time::Duration;

use axum::{
    Form,
    extract::{FromRequest, Query, Request},
    response::Response,
};
use http::{HeaderMap, Method, StatusCode};
use yagura_daemon::clock;
use yagura_model::Timestamp;

use crate::{
    api::answer,
    query::promql::{self, ParseError},
    storage::{Listing, Matcher},
};

/// What a request asks for.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    pub headers: HeaderMap,
}

/// Why a request cannot be answered, in the words and with the code that Prometheus has for it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub status: StatusCode,
    pub kind: &'static str,
    pub text: String,
}

impl Failure {
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "bad_data", text: text.into() }
    }

    fn parameter(name: &str, text: impl std::fmt::Display) -> Self {
        Self::bad(format!("invalid parameter {name:?}: {text}"))
    }

    pub(crate) fn into_response(self) -> Response {
        answer::failure(self.status, self.kind, &self.text)
    }
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let unreadable =
            |error: &dyn std::fmt::Display| Failure::bad(format!("error parsing form values: {error}")).into_response();
        let headers = request.headers().clone();
        let in_path = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let mut pairs = in_path.map_err(|error| unreadable(&error))?.0;
        if request.method() == Method::POST {
            let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
            // What the form says goes before what the path says.
            let mut form = form.map_err(|error| unreadable(&error))?.0;
            form.append(&mut pairs);
            pairs = form;
        }
        Ok(Self { pairs, headers })
    }
}

impl Params {
    /// The first value of a parameter; an empty one is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(candidate, _)| candidate == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.pairs.iter().filter(move |(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    /// A time that has a default.
    pub(crate) fn time_or(&self, name: &str, default: Timestamp) -> Result<Timestamp, Failure> {
        if self.get(name).is_none() { Ok(default) } else { self.time(name) }
    }

    pub(crate) fn time(&self, name: &str) -> Result<Timestamp, Failure> {
        let text = self.get(name).unwrap_or_default();
        parse_time(text)
            .ok_or_else(|| Failure::parameter(name, format_args!("cannot parse {text:?} to a valid timestamp")))
    }

    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let fault = || Failure::parameter(name, format_args!("cannot parse {text:?} to a valid duration"));
        parse_duration(text).ok_or_else(fault).map(Some)
    }

    /// A limit; 0 for none.
    pub(crate) fn limit(&self) -> Result<usize, Failure> {
        let Some(text) = self.get("limit") else { return Ok(0) };
        text.parse().map_err(|_| Failure::parameter("limit", format_args!("cannot parse {text:?} to a valid limit")))
    }

    /// The sets of matchers in `match[]`.
    pub(crate) fn matchers(&self) -> Result<Vec<Vec<Matcher>>, Failure> {
        self.all("match[]").map(parse_matchers).collect()
    }

    /// What `labels`, `series` and `label/…/values` list. One more than the limit is asked for, to know of more.
    pub(crate) fn listing(&self) -> Result<Listing, Failure> {
        let now = clock::now();
        let from = self.time_or("start", Timestamp(0))?;
        // Nothing is stored that is further ahead.
        let to = self.time_or("end", now.plus(Duration::from_secs(600)))?;
        if to < from {
            return Err(Failure::parameter("end", "end timestamp must not be before start timestamp"));
        }
        let limit = self.limit()?;
        Ok(Listing { any_of: self.matchers()?, from, to, limit: if limit == 0 { 0 } else { limit + 1 } })
    }
}

fn parse_matchers(text: &str) -> Result<Vec<Matcher>, Failure> {
    let expr = promql::parse(text).map_err(|error| Failure::parameter("match[]", error))?;
    let not_plain = || Failure::parameter("match[]", ParseError::at(text, 0, "expected a metric selector"));
    expr.into_matchers().ok_or_else(not_plain)
}

/// Seconds since the epoch, or RFC 3339.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<f64>() {
        // Grafana's probe for exemplars gives milliseconds; no second of ours is that far away.
        let seconds = if seconds.abs() > 1e11 { seconds / 1000.0 } else { seconds };
        return seconds.is_finite().then(|| Timestamp::from_seconds(seconds));
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(time.as_millisecond()))
}

/// Seconds, or a duration such as `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok().filter(|duration| duration.as_secs() < 9_223_372_036);
    }
    let millis = promql::parse_duration(text)?;
    Some(Duration::from_millis(u64::try_from(millis).ok()?))
}

/// A label's name as it stands in a path: `U__http_2e_status` is `http.status`.
pub(crate) fn unescape_name(name: &str) -> String {
    let Some(escaped) = name.strip_prefix("U__") else { return name.to_owned() };
    let mut plain = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('_') {
        plain.push_str(before);
        if let Some(after) = after.strip_prefix('_') {
            plain.push('_');
            rest = after;
            continue;
        }
        let code = after.split_once('_').and_then(|(hex, after)| Some((u32::from_str_radix(hex, 16).ok()?, after)));
        match code.and_then(|(code, after)| Some((char::from_u32(code)?, after))) {
            Some((c, after)) => {
                plain.push(c);
                rest = after;
            }
            // Not an escape after all: the name is what it says.
            None => return name.to_owned(),
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_dates() {
        assert_eq!(parse_time("1435781430.781"), Some(Timestamp(1_435_781_430_781)));
        assert_eq!(parse_time("2015-07-01T20:10:30.781Z"), Some(Timestamp(1_435_781_430_781)));
        assert_eq!(parse_time("2015-07-01T22:10:30.781+02:00"), Some(Timestamp(1_435_781_430_781)));
        assert_eq!(parse_time("1435781430781"), Some(Timestamp(1_435_781_430_781)));
        for bad in ["", "x", "NaN", "Inf"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_seconds_or_words() {
        assert_eq!(parse_duration("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
        for bad in ["", "-1", "1e300", "NaN", "1x"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn escaped_names_are_read_back() {
        let check = |escaped: &str, plain: &str| assert_eq!(unescape_name(escaped), plain);
        check("job", "job");
        check("U__http_2e_status", "http.status");
        check("U__a__b_6ad3_", "a_b櫓");
        check("U__a_zz_", "U__a_zz_");
        check("U__a_2e", "U__a_2e");
    }
}
