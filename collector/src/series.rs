//! How the collector's own samples (rules, checks, `up`) enter the store: as OTLP, through the same door as all others.

use std::collections::BTreeMap;

use bytes::Bytes;
use yagura_codec::{
    attributes::{PointAttributes, ResourceAttributes, ScopeAttributes},
    metrics::{Encoder, MetricKind, NewNumber, Number},
};
use yagura_model::{Labels, Metric, Timestamp, metric::is_stale};

use crate::storage::{self, Appended, MetricStore};

/// The scope of what the collector makes itself.
const SCOPE: &str = "yagura-collector";
/// A request is cut here; the store takes up to 4 MiB.
const MAX_REQUEST: usize = 1 << 20;

/// One sample to be stored; a staleness marker is [`yagura_model::metric::stale_nan`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewSample {
    /// Who it is, `__name__` included.
    pub(crate) labels: Labels,
    /// When.
    pub(crate) time: Timestamp,
    /// How much.
    pub(crate) value: f64,
}

/// Stores samples as gauges; `known` says what a metric is, where that is known.
pub(crate) async fn append(
    store: &dyn MetricStore,
    samples: &[NewSample],
    known: &[Metric],
    now: Timestamp,
) -> Result<Appended, storage::Error> {
    let mut total = Appended::default();
    for request in encode(samples, known) {
        let appended = store.append(request, now).await?;
        total.accepted += appended.accepted;
        total.duplicates += appended.duplicates;
        total.rejected.extend(appended.rejected);
    }
    Ok(total)
}

fn encode(samples: &[NewSample], known: &[Metric]) -> Vec<Bytes> {
    let mut by_name: BTreeMap<&str, Vec<&NewSample>> = BTreeMap::new();
    for sample in samples {
        by_name.entry(sample.labels.name().unwrap_or_default()).or_default().push(sample);
    }
    let mut requests = Vec::new();
    let mut encoder = Encoder::default();
    let mut attributes = PointAttributes::new();
    for (name, samples) in by_name {
        let metric = known.iter().find(|metric| metric.name == name);
        let (help, unit) = metric.map_or(("", ""), |metric| (metric.help, metric.unit));
        let mut begun = false;
        for sample in samples {
            if encoder.len() > MAX_REQUEST {
                requests.push(Bytes::from(encoder.finish()));
                begun = false;
            }
            if encoder.is_empty() {
                encoder.begin_resource(&ResourceAttributes::new());
                encoder.begin_scope(SCOPE, env!("CARGO_PKG_VERSION"), &ScopeAttributes::new());
            }
            if !begun {
                encoder.begin_metric(name, help, unit, MetricKind::Gauge);
                begun = true;
            }
            attributes.clear();
            for (label, value) in sample.labels.iter().filter(|(label, _)| *label != yagura_model::labels::NAME) {
                attributes.put_str(label, value);
            }
            let value = if is_stale(sample.value) { Number::None } else { Number::Double(sample.value) };
            let time = sample.time.to_nanos();
            encoder.number(&NewNumber { attributes: &[&attributes], start: yagura_model::Nanos(0), time, value });
        }
    }
    if !encoder.is_empty() {
        requests.push(Bytes::from(encoder.finish()));
    }
    requests
}

#[cfg(test)]
mod tests {
    use yagura_model::metric::stale_nan;

    use super::*;
    use crate::storage::{MatchOp, Matcher, Selection, memory};

    #[tokio::test]
    async fn samples_come_back_as_they_went_in() {
        let store = memory::open().metrics;
        let labels = Labels::from_pairs([("__name__", "job:x:rate5m"), ("job", "a"), ("instance", "b")]);
        let sample = |time, value| NewSample { labels: labels.clone(), time: Timestamp(time), value };
        let samples = [sample(1000, 1.5), sample(2000, stale_nan()), sample(3000, f64::INFINITY)];
        let appended = append(&*store, &samples, &[], Timestamp(3000)).await.unwrap();
        assert_eq!((appended.accepted, appended.rejected.len()), (3, 0));
        let matchers = vec![Matcher::new("__name__", MatchOp::Equal, "job:x:rate5m").unwrap()];
        let selection = Selection { matchers, from: Timestamp(0), to: Timestamp(9000), max_samples: 100 };
        let series = store.select(selection).await.unwrap();
        assert_eq!(series.len(), 1);
        assert_eq!(series[0].labels, labels);
        let values: Vec<u64> = series[0].samples.iter().map(|sample| sample.value.to_bits()).collect();
        assert_eq!(values, [1.5_f64.to_bits(), stale_nan().to_bits(), f64::INFINITY.to_bits()]);
    }

    #[test]
    fn many_samples_become_requests_of_bounded_size() {
        let sample = |index: usize| NewSample {
            labels: Labels::from_pairs([("__name__", "m"), ("x", &*format!("{index:0>200}"))]),
            time: Timestamp(1),
            value: 1.0,
        };
        let samples: Vec<_> = (0..20_000).map(sample).collect();
        let requests = encode(&samples, &[]);
        assert!(requests.len() > 3);
        assert!(requests.iter().all(|request| request.len() < MAX_REQUEST + 1000));
    }
}
