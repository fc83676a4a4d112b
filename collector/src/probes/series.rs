//! A run as samples, under blackbox_exporter's names with our tags.

use yagura_model::{Kind, Labels, Metric, labels, metric::stale_nan};

use super::{file::Check, run::Run};
use crate::series::NewSample;

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help }
}

/// Every metric a check can emit.
pub const METRICS: &[Metric] = &[
    gauge("probe_success", "", "Whether every expectation of the check was met."),
    gauge("probe_duration_seconds", "s", "How long the run took."),
    gauge("probe_timeout_seconds", "s", "When the check gives up."),
    gauge("probe_dns_lookup_time_seconds", "s", "Time to look the name up."),
    gauge("probe_ip_protocol", "", "4 or 6: the protocol of the address that was used."),
    gauge("probe_failed_due_to_regex", "", "Whether an expectation of the body or a header failed."),
    gauge("probe_http_status_code", "", "Status of the last answer."),
    gauge("probe_http_version", "", "HTTP version of the last answer."),
    gauge("probe_http_redirects", "", "Redirects that were followed."),
    gauge("probe_http_ssl", "", "Whether the last answer came over TLS."),
    gauge("probe_http_content_length", "By", "Content length of the answer, -1 when it did not say."),
    gauge("probe_http_uncompressed_body_length", "By", "Bytes of the body that were read."),
    gauge("probe_http_last_modified_timestamp_seconds", "s", "When the answer says it was last modified."),
    gauge("probe_http_duration_seconds", "s", "Seconds in each phase, summed over redirects."),
    gauge("probe_ssl_earliest_cert_expiry", "s", "When the first certificate of the chain sent ends, in Unix time."),
    gauge("probe_tls_version_info", "", "The TLS version that was agreed on."),
    gauge("probe_tls_cipher_info", "", "The cipher suite that was agreed on."),
];

/// The job of the exporter whose place these series take.
const JOB: &str = "blackbox";

/// The samples of one run. One that the checker itself spoiled gives no values but staleness for the verdict.
pub(super) fn samples(check: &Check, location: &str, run: &Run) -> Vec<NewSample> {
    let tags = tags(check, location);
    let time = run.started;
    let sample = |name: &str, extra: &[(&str, &str)], value: f64| {
        let mut builder = tags.to_builder();
        builder.set(labels::NAME, name);
        for (label, held) in extra {
            builder.set(label, held);
        }
        NewSample { labels: builder.build(), time, value }
    };
    let Some(success) = run.success else { return vec![sample("probe_success", &[], stale_nan())] };
    let flag = |value: bool| f64::from(u8::from(value));
    let assertion = run.failure.as_ref().is_some_and(|failure| failure.class == super::FailureClass::Assertion);
    let by_text = assertion && run.failure.as_ref().is_some_and(|failure| failure.reason.contains("match"));
    let mut samples = vec![
        sample("probe_success", &[], flag(success)),
        sample("probe_duration_seconds", &[], run.duration_seconds),
        sample("probe_timeout_seconds", &[], check.timeout().as_secs_f64()),
        sample("probe_dns_lookup_time_seconds", &[], run.phases.resolve),
        sample("probe_failed_due_to_regex", &[], flag(by_text)),
        sample("probe_http_status_code", &[], f64::from(run.status.unwrap_or_default())),
        sample("probe_http_version", &[], run.http_version.unwrap_or_default()),
        sample("probe_http_redirects", &[], f64::from(run.redirects)),
        sample("probe_http_ssl", &[], flag(run.tls.is_some())),
        sample("probe_http_content_length", &[], run.content_length.map_or(-1.0, float)),
        sample("probe_http_uncompressed_body_length", &[], float(run.body_bytes)),
    ];
    samples.extend(
        run.phases.each().map(|(phase, seconds)| sample("probe_http_duration_seconds", &[("phase", phase)], seconds)),
    );
    if let Some(address) = run.address {
        samples.push(sample("probe_ip_protocol", &[], if address.is_ipv4() { 4.0 } else { 6.0 }));
    }
    if let Some(modified) = run.last_modified {
        samples.push(sample("probe_http_last_modified_timestamp_seconds", &[], modified.seconds()));
    }
    if let Some(tls) = &run.tls {
        samples.push(sample("probe_tls_version_info", &[("version", &tls.version)], 1.0));
        samples.push(sample("probe_tls_cipher_info", &[("cipher", &tls.cipher)], 1.0));
        if let Some(expiry) = tls.earliest_expiry {
            samples.push(sample("probe_ssl_earliest_cert_expiry", &[], expiry.seconds()));
        }
    }
    samples
}

/// The labels of every series of a check.
fn tags(check: &Check, location: &str) -> Labels {
    let own = [("job", JOB), ("instance", &check.url), ("check", &check.name), ("location", location)];
    let tags = check.tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Labels::from_pairs(
        [("source", "yagura")].into_iter().chain(tags).chain(own.map(|(name, value)| (name, without_query(value)))),
    )
}

/// A URL without its query: what is asked for may hold secrets, and changes.
fn without_query(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or(text)
}

#[expect(clippy::cast_precision_loss, reason = "sizes of answers stay exact to 9 petabytes")]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use yagura_model::metric::is_stale;

    use super::*;
    use crate::probes::{Failure, FailureClass};

    fn check() -> Check {
        let tags = [("service".to_owned(), "shop".to_owned())].into();
        Check { name: "a".to_owned(), url: "http://h/p?secret=1".to_owned(), tags, ..Check::default() }
    }

    #[test]
    fn every_sample_is_of_a_known_metric_and_tagged() {
        let run = Run {
            success: Some(true),
            tls: Some(crate::probes::run::Tls::default()),
            address: Some([1, 1, 1, 1].into()),
            last_modified: Some(yagura_model::Timestamp(1)),
            ..Run::default()
        };
        for sample in samples(&check(), "here", &run) {
            let name = sample.labels.name().unwrap();
            assert!(METRICS.iter().any(|metric| metric.name == name), "{name}");
            assert_eq!(sample.labels.get("service"), Some("shop"));
            assert_eq!(sample.labels.get("instance"), Some("http://h/p"), "no query in a label");
            assert_eq!(sample.labels.get("location"), Some("here"));
        }
    }

    #[test]
    fn a_fault_of_our_own_is_not_the_targets() {
        let failure = Failure::new(FailureClass::Checker, "no descriptors");
        let samples = samples(&check(), "here", &Run { failure: Some(failure), ..Run::default() });
        assert_eq!(samples.len(), 1);
        assert!(is_stale(samples[0].value));
    }
}
