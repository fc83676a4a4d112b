//! A store as the collector promises it: a record is kept once, by generation, stream and range.

use std::{collections::BTreeMap, ops::Range};

use yagura_codec::{AnyValue, logs::Request};
use yagura_model::delivery;

/// One kept record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sources::logs) struct Kept {
    pub(in crate::sources::logs) range: Range<u64>,
    pub(in crate::sources::logs) body: String,
    pub(in crate::sources::logs) time: i64,
    pub(in crate::sources::logs) severity: u8,
    pub(in crate::sources::logs) cut: Option<String>,
    pub(in crate::sources::logs) resource: BTreeMap<String, String>,
}

/// What is kept of one stream of one generation.
#[derive(Debug, Default)]
pub(in crate::sources::logs) struct Stream {
    /// Sorted, disjoint, not touching.
    pub(in crate::sources::logs) covered: Vec<Range<u64>>,
    pub(in crate::sources::logs) records: Vec<Kept>,
}

#[derive(Debug, Default)]
pub(in crate::sources::logs) struct Store {
    pub(in crate::sources::logs) streams: BTreeMap<(String, String), Stream>,
}

impl Store {
    /// Takes a whole request, or skips what it has.
    pub(in crate::sources::logs) fn take(&mut self, body: &[u8]) {
        for resource in Request::new(body).resources() {
            let resource = resource.unwrap();
            let attributes: BTreeMap<String, String> = resource
                .resource
                .attributes
                .iter()
                .map(|attribute| attribute.unwrap())
                .map(|(name, value)| (name.to_owned(), text(value)))
                .collect();
            for scope in resource.scopes() {
                let scope = scope.unwrap();
                assert_eq!(scope.scope.name, delivery::SCOPE);
                let generation = scope.scope.attributes.get_str(delivery::GENERATION).unwrap().to_owned();
                let name = scope.scope.attributes.get_str(delivery::STREAM).unwrap().to_owned();
                let Some(AnyValue::Bytes(ranges)) = scope.scope.attributes.get(delivery::COVERED) else {
                    panic!("no ranges")
                };
                let covered = delivery::decode_ranges(ranges).unwrap();
                let stream = self.streams.entry((generation, name)).or_default();
                for record in scope.records() {
                    let record = record.unwrap();
                    let number = |name| match record.attributes.get(name) {
                        Some(AnyValue::Int(value)) => u64::try_from(value).unwrap(),
                        other => panic!("{name} is {other:?}"),
                    };
                    let kept = Kept {
                        range: number(delivery::RANGE_START)..number(delivery::RANGE_END),
                        body: text(record.body),
                        time: record.time.0,
                        severity: record.severity_number,
                        cut: record.attributes.get_str("yagura.cut").map(str::to_owned),
                        resource: attributes.clone(),
                    };
                    assert!(contains(&covered, &kept.range), "a record outside of what its batch covers: {kept:?}");
                    stream.offer(kept);
                }
                for range in covered {
                    stream.cover(range);
                }
            }
        }
    }

    /// The records of one stream name, by generation and offset.
    pub(in crate::sources::logs) fn records<'a>(
        &'a self,
        stream: &'a str,
    ) -> impl Iterator<Item = (&'a str, Vec<&'a Kept>)> + 'a {
        self.streams.iter().filter(move |((_, name), _)| name == stream).map(|((generation, _), stream)| {
            let mut records: Vec<&Kept> = stream.records.iter().collect();
            records.sort_by_key(|record| record.range.start);
            (generation.as_str(), records)
        })
    }

    /// All bodies of one stream name.
    pub(in crate::sources::logs) fn bodies<'a>(&'a self, stream: &'a str) -> Vec<&'a str> {
        self.records(stream).flat_map(|(_, records)| records).map(|record| record.body.as_str()).collect()
    }
}

impl Stream {
    fn offer(&mut self, kept: Kept) {
        if contains(&self.covered, &kept.range) {
            return;
        }
        let overlaps = |range: &Range<u64>| range.start < kept.range.end && kept.range.start < range.end;
        assert!(!self.covered.iter().any(overlaps), "half of a record is there already: {kept:?} {:?}", self.covered);
        self.records.push(kept);
    }

    fn cover(&mut self, range: Range<u64>) {
        self.covered.push(range);
        self.covered.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in self.covered.drain(..) {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        self.covered = merged;
    }
}

fn contains(ranges: &[Range<u64>], range: &Range<u64>) -> bool {
    ranges.iter().any(|known| known.start <= range.start && range.end <= known.end)
}

fn text(value: AnyValue<'_>) -> String {
    match value {
        AnyValue::Str(text) => text.to_owned(),
        AnyValue::Empty => String::new(),
        other => panic!("not text: {other:?}"),
    }
}
