//! A metric store that is a list of series.

use std::sync::{Arc, RwLock};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use yagura_collector::storage::{
    Appended, Error, Listing, Matcher, MetricMetadata, MetricStore, RejectReason, Rejected, Sample, Selection, Series,
};
use yagura_model::{Labels, Timestamp};

#[derive(Clone, Debug, Default)]
pub struct ListStore(pub Arc<RwLock<Vec<Series>>>);

impl ListStore {
    pub fn add(&self, labels: Labels, samples: impl IntoIterator<Item = (i64, f64)>) {
        let mut all = self.0.write().unwrap();
        let found = all.iter().position(|series| series.labels == labels);
        let index = found.unwrap_or_else(|| {
            all.push(Series { labels, samples: Vec::new() });
            all.len() - 1
        });
        let held = &mut all[index].samples;
        for (time, value) in samples {
            let time = Timestamp(time);
            match held.binary_search_by_key(&time, |sample| sample.time) {
                Ok(place) => held[place].value = value,
                Err(place) => held.insert(place, Sample { time, value }),
            }
        }
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
    }

    fn matching(&self, any_of: &[Vec<Matcher>]) -> Vec<Labels> {
        let all = self.0.read().unwrap();
        let passes = |labels: &Labels, set: &Vec<Matcher>| set.iter().all(|matcher| matcher.matches_labels(labels));
        let wanted = |labels: &Labels| any_of.is_empty() || any_of.iter().any(|set| passes(labels, set));
        all.iter().map(|series| series.labels.clone()).filter(wanted).collect()
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts.dedup();
    texts
}

impl MetricStore for ListStore {
    fn append(&self, _: Bytes, _: Timestamp) -> BoxFuture<'_, Result<Appended, Error>> {
        let rejected =
            Rejected { reason: RejectReason::Unsupported, count: 1, example: "this store is only read".to_owned() };
        ready(Ok(Appended { rejected: vec![rejected], ..Appended::default() })).boxed()
    }

    fn select(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Series>, Error>> {
        let all = self.0.read().unwrap();
        let mut found = Vec::new();
        for series in all.iter() {
            let within = |sample: &&Sample| sample.time >= selection.from && sample.time <= selection.to;
            let samples: Vec<Sample> = series.samples.iter().filter(within).copied().collect();
            let matches = selection.matchers.iter().all(|matcher| matcher.matches_labels(&series.labels));
            if matches && !samples.is_empty() {
                found.push(Series { labels: series.labels.clone(), samples });
            }
        }
        ready(Ok(found)).boxed()
    }

    fn series(&self, listing: Listing) -> BoxFuture<'_, Result<Vec<Labels>, Error>> {
        ready(Ok(self.matching(&listing.any_of))).boxed()
    }

    fn label_names(&self, listing: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        let labels = self.matching(&listing.any_of);
        let names = labels.iter().flat_map(|labels| labels.iter().map(|(name, _)| name.to_owned()));
        ready(Ok(sorted(names.collect()))).boxed()
    }

    fn label_values(&self, name: String, listing: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        let labels = self.matching(&listing.any_of);
        let values = labels.iter().filter_map(|labels| labels.get(&name).map(str::to_owned));
        ready(Ok(sorted(values.collect()))).boxed()
    }

    fn metadata(&self, _: Option<String>, _: usize) -> BoxFuture<'_, Result<Vec<MetricMetadata>, Error>> {
        ready(Ok(Vec::new())).boxed()
    }
}
