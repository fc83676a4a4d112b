//! Series' oldest samples into chunks.

use std::{collections::HashMap, sync::Arc};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    super::{
        coding::put_signed,
        keyspaces::{Change, Day, Kind, Space, id_key, time_key},
    },
    Series,
    chunk::{Times, encode, encode_times},
    head::pieces,
};
use crate::storage::Sample;

/// One column: its times, plain and encoded, and how many chunks have it.
#[derive(Debug)]
struct Column {
    times: Vec<i64>,
    encoded: Vec<u8>,
    uses: usize,
}

impl Column {
    /// A column of its own costs a key; short ones and those of one chunk stay in place.
    fn is_shared(&self) -> bool {
        self.uses > 1 && self.encoded.len() > 8
    }
}

/// Times that chunks of one day have in common, while they are written.
#[derive(Debug, Default)]
struct Columns {
    /// By the hash of the plain times.
    known: HashMap<(Day, u64), Column>,
}

impl Columns {
    /// Counts one more chunk with these times; their hash is the column's name.
    fn add(&mut self, day: Day, samples: &[Sample]) -> u64 {
        let times: Vec<i64> = samples.iter().map(|sample| sample.time.0).collect();
        let bytes: Vec<u8> = times.iter().flat_map(|time| time.to_le_bytes()).collect();
        let mut hash = xxh3_64(&bytes);
        // Two columns with one hash: the next number is as good, for the name means nothing.
        while self.known.get(&(day, hash)).is_some_and(|known| known.times != times) {
            hash = hash.wrapping_add(1);
        }
        let column = self.known.entry((day, hash)).or_insert_with(|| {
            let encoded = encode_times(&times);
            Column { times, encoded, uses: 0 }
        });
        column.uses += 1;
        hash
    }
}

/// Takes what is ripe of some series (with `all`, everything) and writes it as chunks, in days from `floor` on. The
/// series of which something was taken come back too.
pub(in crate::storage::embedded) fn seal(
    series: &[Arc<Series>],
    all: bool,
    floor: Day,
) -> (Vec<Change>, Vec<Arc<Series>>) {
    let taken: Vec<(Arc<Series>, Arc<[Sample]>)> =
        series.iter().filter_map(|series| Some((Arc::clone(series), series.with(|head| head.take(all))?))).collect();
    let mut columns = Columns::default();
    let mut chunks = Vec::new();
    for (series, samples) in &taken {
        for piece in pieces(samples) {
            let Some(first) = piece.first() else { continue };
            let day = Day::of(first.time);
            if day >= floor {
                let column = columns.add(day, piece);
                chunks.push((series.id, day, first.time.0, column, piece));
            }
        }
    }
    let mut changes = Vec::with_capacity(chunks.len() + taken.len() + columns.known.len());
    for (id, day, first, hash, piece) in chunks {
        let Some(column) = columns.known.get(&(day, hash)) else { continue };
        let times = if column.is_shared() { Times::Column(hash) } else { Times::Inline(column.encoded.clone()) };
        let values: Vec<f64> = piece.iter().map(|sample| sample.value).collect();
        let space = Space::Day(Kind::Metrics, day);
        changes.push(Change::put(space, time_key(b'c', id, first), encode(&values, &times)));
    }
    for ((day, hash), column) in columns.known.into_iter().filter(|(_, column)| column.is_shared()) {
        changes.push(Change::put(Space::Day(Kind::Metrics, day), id_key(b't', hash), column.encoded));
    }
    for (series, _) in &taken {
        if let Some(newest) = series.with(|head| head.mark()) {
            let mut value = Vec::with_capacity(20);
            put_signed(&mut value, i64::from(Day::of(newest.time).0));
            put_signed(&mut value, newest.time.0);
            value.extend_from_slice(&newest.value.to_le_bytes());
            changes.push(Change::put(Space::Marks, id_key(b'm', series.id), value));
        }
    }
    (changes, taken.into_iter().map(|(series, _)| series).collect())
}
