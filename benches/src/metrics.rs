//! Series such as dashboards read: counters by path and code, gauges, histograms, an info metric.

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use yagura_collector::storage::{Appended, Error, Listing, MetricMetadata, MetricStore, Sample, Selection, Series};
use yagura_model::{Labels, Timestamp};

/// The time of the first sample, in milliseconds.
pub const START: i64 = 1_767_225_600_000;

/// Milliseconds between samples.
const SCRAPE: i64 = 30_000;

const BOUNDS: [&str; 10] = ["0.005", "0.01", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "10", "+Inf"];

/// About `count` series over `hours`: half counters, a quarter gauges, a quarter buckets.
#[must_use]
pub fn dashboard_series(count: usize, hours: usize) -> Vec<Series> {
    let steps = hours * 120;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut all = Vec::with_capacity(count + count / 100);
    let make = |pairs: &[(&str, &str)], values: Vec<f64>| {
        let labels = Labels::from_pairs(pairs.iter().copied());
        let samples = values.into_iter().zip(0_i64..);
        let samples = samples.map(|(value, at)| Sample { time: Timestamp(START + at * SCRAPE), value });
        Series { labels, samples: samples.collect() }
    };
    let counter = |rate: f64, next: &mut dyn FnMut() -> f64| {
        let mut total = 0.0;
        let grow = |_| {
            total += (rate * (0.5 + next())).floor();
            total
        };
        (0..=steps).map(grow).collect::<Vec<f64>>()
    };
    for index in 0..count {
        let (job, instance) = (format!("job-{}", index % 20), format!("host-{}", index % 400));
        let common = [("job", job.as_str()), ("instance", instance.as_str())];
        match index % 4 {
            0 | 1 => {
                let (path, code) = (format!("/path/{}", index / 400), if index % 7 == 0 { "500" } else { "200" });
                let own = [("__name__", "requests_total"), ("path", path.as_str()), ("code", code)];
                all.push(make(&[&own[..], &common[..]].concat(), counter(100.0, &mut next)));
            }
            2 => {
                let disk = format!("disk-{}", index / 400);
                let own = [("__name__", "gauge"), ("disk", disk.as_str())];
                let values = (0..=steps).map(|_| (next() * 1000.0).round() / 1000.0).collect();
                all.push(make(&[&own[..], &common[..]].concat(), values));
            }
            _ => {
                let bound = BOUNDS.get(index / 4 % BOUNDS.len()).copied().unwrap_or("+Inf");
                let shard = format!("{}", index / 40);
                let own = [("__name__", "duration_seconds_bucket"), ("le", bound), ("shard", shard.as_str())];
                let rate = 10.0 * (1 + index / 4 % BOUNDS.len()) as f64;
                all.push(make(&[&own[..], &common[..]].concat(), counter(rate, &mut next)));
            }
        }
    }
    for index in 0..400 {
        let (instance, version) = (format!("host-{index}"), format!("1.{}", index % 5));
        let pairs = [("__name__", "build_info"), ("instance", instance.as_str()), ("version", version.as_str())];
        all.push(make(&pairs, vec![1.0; steps + 1]));
    }
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

/// Series in memory, to be read only.
#[derive(Debug)]
pub struct SeriesStore(Vec<Series>);

impl SeriesStore {
    /// A store of these series, sorted by labels.
    #[must_use]
    pub fn new(series: Vec<Series>) -> Self {
        Self(series)
    }
}

fn unsupported<T: Send + 'static>() -> BoxFuture<'static, Result<T, Error>> {
    Box::pin(ready(Err(Error::Failed("this store only answers queries".to_owned()))))
}

impl MetricStore for SeriesStore {
    fn append(&self, _: Bytes, _: Timestamp) -> BoxFuture<'_, Result<Appended, Error>> {
        unsupported()
    }

    fn select(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Series>, Error>> {
        let matches =
            |series: &&Series| selection.matchers.iter().all(|matcher| matcher.matches_labels(&series.labels));
        let cut = |series: &Series| {
            let from = series.samples.partition_point(|sample| sample.time < selection.from);
            let to = series.samples.partition_point(|sample| sample.time <= selection.to);
            let samples = series.samples.get(from..to).unwrap_or_default().to_vec();
            Series { labels: series.labels.clone(), samples }
        };
        Box::pin(ready(Ok(self.0.iter().filter(matches).map(cut).collect())))
    }

    fn series(&self, _: Listing) -> BoxFuture<'_, Result<Vec<Labels>, Error>> {
        unsupported()
    }

    fn label_names(&self, _: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        unsupported()
    }

    fn label_values(&self, _: String, _: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        unsupported()
    }

    fn metadata(&self, _: Option<String>, _: usize) -> BoxFuture<'_, Result<Vec<MetricMetadata>, Error>> {
        unsupported()
    }
}
