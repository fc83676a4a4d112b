//! Streams' records into blocks.

use std::sync::Arc;

use super::{
    super::{
        coding::{put_signed, put_varint},
        keyspaces::{Change, Day, Space, id_key},
    },
    Stream, block,
    filter::Filter,
};

/// What was taken from streams and how it is written.
#[derive(Debug, Default)]
pub(in crate::storage::embedded) struct Taken {
    pub(in crate::storage::embedded) changes: Vec<Change>,
    pub(in crate::storage::embedded) streams: Vec<Arc<Stream>>,
    /// Bytes of memory that are free when they are written.
    pub(in crate::storage::embedded) bytes: usize,
}

/// Takes all visible records of some streams and writes them as blocks, in days from `floor` on.
pub(in crate::storage::embedded) fn seal(streams: &[Arc<Stream>], floor: Day, filter: &mut Filter) -> Taken {
    let mut taken = Taken::default();
    for stream in streams {
        let Some(batch) = stream.with(|head| head.take()) else { continue };
        taken.changes.extend(block::changes(stream, &batch, floor, filter));
        taken.bytes += batch.bytes();
        let newest = batch.records.last().map_or(0, |record| record.order);
        let day = batch.records.iter().map(|record| Day::of_millis(record.time.div_euclid(1_000_000))).max();
        let mut value = Vec::new();
        put_signed(&mut value, day.map_or(0, |day| i64::from(day.0)));
        put_varint(&mut value, newest);
        taken.changes.push(Change::put(Space::Marks, id_key(b'l', stream.id), value));
        taken.streams.push(Arc::clone(stream));
    }
    taken
}
