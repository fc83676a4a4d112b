//! Trace and span ids in a line, in every convention that tracers and loggers have, as one 128-bit id.
//!
//! | who | how |
//! |---|---|
//! | OpenTelemetry, ECS, most loggers | `trace_id traceId TraceId traceID trace.id otelTraceID @tr`: 32 (or 16) hexadecimal digits |
//! | Datadog | `dd.trace_id`: the low half in decimal, or all 32 digits |
//! | W3C | `traceparent`: `00-<trace>-<span>-01` |
//! | B3 | `X-B3-TraceId`, or `b3`: `<trace>-<span>-1` |
//! | Google | `logging.googleapis.com/trace`: `projects/<p>/traces/<trace>` |

use memchr::memmem;
use yagura_model::{SpanId, TraceId};

/// What a line says of its trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) trace: Option<TraceId>,
    pub(crate) span: Option<SpanId>,
}

/// Whether a line may hold a trace id at all: every key that names one has `race` in it, but for two short ones.
pub(crate) fn may_have(body: &[u8]) -> bool {
    memmem::find(body, b"race").is_some()
        || memmem::find(body, b"\"b3\"").is_some()
        || memmem::find(body, b"@tr").is_some()
}

impl Ids {
    /// Takes one member, if its key names an id; the first one of each kind counts.
    pub(crate) fn take(&mut self, parent: &str, key: &str, value: &str) {
        match kind(parent, key) {
            Some(Kind::Trace) => self.trace = self.trace.or_else(|| trace_id(value)),
            Some(Kind::Span) => self.span = self.span.or_else(|| span_id(value)),
            Some(Kind::Both) => {
                let both = parent_ids(value);
                self.trace = self.trace.or(both.trace);
                self.span = self.span.or(both.span);
            }
            None => {}
        }
    }
}

enum Kind {
    Trace,
    Span,
    /// `traceparent` and `b3` hold both.
    Both,
}

/// Keys are compared without case, `_`, `-` and `.`: `trace_id`, `traceId`, `trace.id`, `X-B3-TraceId`.
fn kind(parent: &str, key: &str) -> Option<Kind> {
    let mut plain = [0_u8; 24];
    let mut length = 0;
    for byte in key.bytes().filter(|byte| !matches!(byte, b'_' | b'-' | b'.')) {
        let Some(place) = plain.get_mut(length) else { return google(key) };
        *place = byte.to_ascii_lowercase();
        length += 1;
    }
    match (parent, plain.get(..length)?) {
        ("trace", b"id") | (_, b"traceid" | b"ddtraceid" | b"oteltraceid" | b"xb3traceid" | b"@tr") => {
            Some(Kind::Trace)
        }
        ("span", b"id") | (_, b"spanid" | b"ddspanid" | b"otelspanid" | b"xb3spanid" | b"@sp") => Some(Kind::Span),
        (_, b"traceparent" | b"b3") => Some(Kind::Both),
        _ => google(key),
    }
}

fn google(key: &str) -> Option<Kind> {
    match key.strip_prefix("logging.googleapis.com/")? {
        "trace" => Some(Kind::Trace),
        "spanId" => Some(Kind::Span),
        _ => None,
    }
}

fn trace_id(value: &str) -> Option<TraceId> {
    let value = value.rsplit_once('/').map_or(value, |(_, id)| id);
    TraceId::from_hex(value).or_else(|| decimal(value).map(|low| TraceId(u128::from(low))))
}

fn span_id(value: &str) -> Option<SpanId> {
    SpanId::from_hex(value).or_else(|| decimal(value).map(SpanId))
}

/// Datadog's decimal ids.
fn decimal(value: &str) -> Option<u64> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|id| digits && *id != 0)
}

/// `00-<trace>-<span>-01`, or `<trace>-<span>…`.
fn parent_ids(value: &str) -> Ids {
    let mut parts = value.split('-').filter(|part| part.len() >= 16);
    Ids { trace: parts.next().and_then(TraceId::from_hex), span: parts.next().and_then(SpanId::from_hex) }
}

/// The ids in a line that is not JSON: `trace_id=…`, `traceId: …`, `[dd.trace_id=… dd.span_id=…]`.
pub(crate) fn of_plain(line: &str) -> Ids {
    let mut ids = Ids::default();
    let mut from = 0;
    while let Some(found) = line.as_bytes().get(from..).and_then(|rest| memmem::find(rest, b"race")) {
        from = take_pair(line, from + found, &mut ids);
    }
    if ids.trace.is_some() {
        let mut from = 0;
        while let Some(found) = line.as_bytes().get(from..).and_then(|rest| memmem::find(rest, b"pan")) {
            from = take_pair(line, from + found, &mut ids);
        }
    }
    ids
}

/// Takes the `key=value` around `at`; gives where to look on.
fn take_pair(line: &str, at: usize, ids: &mut Ids) -> usize {
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'@');
    let bytes = line.as_bytes();
    let left = bytes.get(..at).unwrap_or_default().iter().rev().take_while(|byte| is_key(byte)).count();
    let right = bytes.get(at..).unwrap_or_default().iter().take_while(|byte| is_key(byte)).count();
    let end = at + right.max(1);
    let (Some(key), Some(rest)) = (line.get(at - left..end), line.get(end..)) else { return end };
    let value = rest.trim_start_matches(['"', '\'', '\\', ' ', ':', '=']);
    // Without a sign between them they are two words: "the trace id abc".
    let signed = rest.get(..rest.len() - value.len()).is_some_and(|between| between.contains([':', '=']));
    if signed {
        let length = value.bytes().take_while(is_key).count();
        ids.take("", key, value.get(..length).unwrap_or_default());
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn check(line: &str, trace: Option<u128>, span: Option<u64>) {
        let expected = Ids { trace: trace.map(TraceId), span: span.map(SpanId) };
        assert_eq!(of_plain(line), expected, "{line}");
        assert!(may_have(line.as_bytes()) || expected == Ids::default());
    }

    #[test]
    fn plain_lines_hold_ids_in_every_convention() {
        let (trace, span) = (Some(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c), Some(0xb7ad_6b71_6920_3331));
        check(&format!("level=info trace_id={TRACE} span_id={SPAN} msg=x"), trace, span);
        check(&format!("INFO [traceId: {TRACE}, spanId: {SPAN}] x"), trace, span);
        check(&format!("x {{\"trace.id\":\"{TRACE}\",\"span.id\":\"{SPAN}\"}}"), trace, span);
        check(&format!("traceparent=00-{TRACE}-{SPAN}-01"), trace, span);
        check(&format!("X-B3-TraceId: {TRACE} X-B3-SpanId: {SPAN}"), trace, span);
        check(&format!("TraceId={TRACE}"), trace, None);
        check(
            "[dd.service=shop dd.trace_id=1234567890123456789 dd.span_id=987654321]",
            Some(1_234_567_890_123_456_789),
            Some(987_654_321),
        );
        check(&format!("dd.trace_id={TRACE} dd.span_id=17"), trace, Some(17));
        check("trace_id=b7ad6b7169203331", Some(0xb7ad_6b71_6920_3331), None);
    }

    #[test]
    fn other_words_are_no_ids() {
        check("stack trace follows: at main()", None, None);
        check(&format!("the trace id {TRACE}"), None, None);
        check("trace_id=0 span_id=0", None, None);
        check("trace_id= span_id=", None, None);
        check("trace_id=00000000000000000000000000000000", None, None);
        check("raceé trace", None, None);
        check("span_id=b7ad6b7169203331", None, None);
    }

    #[test]
    fn members_of_json_lines_are_taken() {
        let mut ids = Ids::default();
        for (parent, key, value) in [
            ("", "logging.googleapis.com/trace", format!("projects/p/traces/{TRACE}")),
            ("span", "id", SPAN.to_owned()),
            ("", "trace_id", "1".to_owned()),
        ] {
            ids.take(parent, key, &value);
        }
        assert_eq!(ids.trace, TraceId::from_hex(TRACE), "the first counts");
        assert_eq!(ids.span, SpanId::from_hex(SPAN));
        let mut ids = Ids::default();
        ids.take("", "b3", &format!("{TRACE}-{SPAN}-1"));
        assert_eq!(ids, Ids { trace: TraceId::from_hex(TRACE), span: SpanId::from_hex(SPAN) });
    }
}
