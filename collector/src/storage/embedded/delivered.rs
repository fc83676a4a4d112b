//! What was delivered already: the byte ranges of each log file, the numbers of each queue's batches. The writer
//! decides with it, and each change goes into the same atomic batch as what was accepted.

use std::{collections::HashMap, ops::Range};

use xxhash_rust::xxh3::xxh3_128;
use yagura_codec::{AnyValue, Attributes};
use yagura_model::delivery;

use super::{
    Store,
    coding::{Input, put_block, put_signed},
    group::Group,
    keyspaces::{Day, get},
};
use crate::storage::ranges::RangeSet;

/// So many files and queues are kept in memory; beyond them the least recent are read from disk again.
const CACHED: usize = 50_000;

/// A file's or a queue's key in the keyspace `ranges`.
pub(super) type Key = [u8; 17];

/// What is known of files and queues.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    recent: HashMap<Key, RangeSet>,
    older: HashMap<Key, RangeSet>,
    /// The last group when `older` was made; it is only forgotten when that one is durable.
    turned: u64,
}

/// The key of a file.
pub(super) fn file_key(generation: &str, stream: &str) -> Key {
    key(b'f', generation.as_bytes(), stream.as_bytes())
}

fn key(tag: u8, one: &[u8], other: &[u8]) -> Key {
    let mut text = Vec::with_capacity(one.len() + other.len() + 4);
    put_block(&mut text, one);
    put_block(&mut text, other);
    let mut key = [tag; 17];
    if let Some(rest) = key.last_chunk_mut::<16>() {
        *rest = xxh3_128(&text).to_be_bytes();
    }
    key
}

/// The queue and the number that a pushed batch carries in its first resource.
pub(super) fn batch<'a>(attributes: &Attributes<'a>) -> Option<(&'a str, u64)> {
    let queue = attributes.get_str(delivery::QUEUE)?;
    match attributes.get(delivery::SEQUENCE)? {
        AnyValue::Int(sequence) => Some((queue, u64::try_from(sequence).ok()?)),
        _ => None,
    }
}

impl Delivered {
    /// Takes note of a batch; false when it was taken before.
    pub(super) fn take_batch(
        &mut self,
        store: &Store,
        group: &mut Group,
        signal: u8,
        (queue, sequence): (&str, u64),
    ) -> bool {
        let key = key(b'q', &[signal], queue.as_bytes());
        let known = self.get(store, key);
        if known.contains(sequence) {
            return false;
        }
        known.insert(sequence..sequence.saturating_add(1));
        self.write(group, key);
        true
    }

    /// What was delivered under a key.
    pub(super) fn get(&mut self, store: &Store, key: Key) -> &mut RangeSet {
        if !self.recent.contains_key(&key) {
            let known = match self.older.remove(&key) {
                Some(known) => known,
                None => read(store, &key),
            };
            self.recent.insert(key, known);
        }
        self.recent.entry(key).or_default()
    }

    /// Adds ranges under a key.
    pub(super) fn cover(
        &mut self,
        store: &Store,
        group: &mut Group,
        key: Key,
        ranges: impl IntoIterator<Item = Range<u64>>,
    ) {
        let known = self.get(store, key);
        ranges.into_iter().for_each(|range| known.insert(range));
        self.write(group, key);
    }

    /// Sets what was delivered under a key.
    pub(super) fn replace(&mut self, group: &mut Group, key: Key, ranges: RangeSet) {
        self.recent.insert(key, ranges);
        self.write(group, key);
    }

    fn write(&mut self, group: &mut Group, key: Key) {
        if let Some(known) = self.recent.get(&key) {
            let mut value = Vec::new();
            put_signed(&mut value, i64::from(Day::of(group.now).0));
            value.extend_from_slice(&known.encode());
            group.delivered.insert(key, value);
        }
    }

    /// Forgets what was not used for long, when everything of it is durable.
    pub(super) fn forget_some(&mut self, sequence: u64, committed: u64) {
        if self.recent.len() > CACHED && committed >= self.turned {
            self.older = std::mem::take(&mut self.recent);
            self.turned = sequence;
        }
    }
}

fn read(store: &Store, key: &Key) -> RangeSet {
    let Some(value) = get(&store.keyspaces.ranges, key, &store.counters) else { return RangeSet::default() };
    let mut input = Input(&value);
    let ranges = input.signed().and_then(|_| RangeSet::decode(input.0));
    ranges.unwrap_or_else(|| {
        store.counters.damage();
        RangeSet::default()
    })
}
