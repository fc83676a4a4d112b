//! The headers by which a failed check is found in the target's traces.

use std::hash::{BuildHasher, Hasher, RandomState};

use http::{HeaderName, HeaderValue};
use yagura_model::{SpanId, TraceId};

/// A trace begun by a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
}

impl Trace {
    /// A new trace with random ids. The seed of the process's hash tables is random enough for ids.
    pub(super) fn begin() -> Self {
        let random = || RandomState::new().build_hasher().finish().max(1);
        Self { trace: TraceId((u128::from(random()) << 64) | u128::from(random())), span: SpanId(random()) }
    }

    /// W3C's and Datadog's headers; Datadog's ids are the low half in decimal, the high half in a tag.
    pub(super) fn headers(self) -> Vec<(HeaderName, HeaderValue)> {
        let high = self.trace.0 >> 64;
        let pairs = [
            ("traceparent", format!("00-{}-{}-01", self.trace, self.span)),
            ("x-datadog-trace-id", self.trace.low().to_string()),
            ("x-datadog-parent-id", self.span.0.to_string()),
            ("x-datadog-sampling-priority", "1".to_owned()),
            ("x-datadog-origin", "synthetics".to_owned()),
            ("x-datadog-tags", format!("_dd.p.tid={high:016x}")),
        ];
        let header = |(name, value): (&'static str, String)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
        };
        pairs.into_iter().filter_map(header).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_of_headers_name_one_trace() {
        let trace = Trace { trace: TraceId((5 << 64) | 255), span: SpanId(16) };
        let headers = trace.headers();
        let value = |name: &str| {
            let found = headers.iter().find(|(header, _)| header.as_str() == name);
            found.map(|(_, value)| value.to_str().unwrap().to_owned())
        };
        assert_eq!(value("traceparent").unwrap(), "00-000000000000000500000000000000ff-0000000000000010-01");
        assert_eq!(value("x-datadog-trace-id").unwrap(), "255");
        assert_eq!(value("x-datadog-parent-id").unwrap(), "16");
        assert_eq!(value("x-datadog-tags").unwrap(), "_dd.p.tid=0000000000000005");
        assert_ne!(Trace::begin(), Trace::begin());
    }
}
