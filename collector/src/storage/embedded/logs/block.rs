//! Blocks: the records of one stream and day, compressed, in three values with one key but for its tag.
//!
//! ```text
//! m: version count last-time last-order line-bytes (records line-bytes)×7      by severity, from unknown to fatal
//! f: token filter                                                              left out when it is too large
//! b: version columns text
//!   columns = zstd( times orders offsets severities sets lines fields dictionary )
//!   text    = zstd( line fields line fields … )
//! ```
//!
//! Records stand in order of time, then of their offset, then as they were accepted. Times, orders and offsets are
//! pco with their length in front; the other columns varints. `sets` says which entry of the dictionary holds the
//! fields that came with the resource.

use std::sync::Arc;

use yagura_codec::compress::{Encoding, decompress, zstd_compress};
use yagura_model::Severity;

use super::{
    super::{
        coding::{Input, put_block, put_key_time, put_signed, put_varint},
        keyspaces::{Change, Day, Kind, Space},
        metrics::chunk,
    },
    filter::Filter,
    head::{Batch, New, Record, Stream},
};

const VERSION: u8 = 1;
/// A block is never larger; more is damage.
const MAX_RAW: usize = 64 << 20;
/// Raw bytes after which a new block begins.
const SPLIT: usize = 512 << 10;
/// The filter may take a quarter of the block.
const FILTER_SHARE: usize = 4;
const LEVEL: i32 = 1;

/// All severities, in the order of a block's head.
pub(in crate::storage::embedded) const SEVERITIES: [Severity; 7] = [
    Severity::Unknown,
    Severity::Trace,
    Severity::Debug,
    Severity::Info,
    Severity::Warn,
    Severity::Error,
    Severity::Fatal,
];

/// What can be known of a block without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage::embedded) struct BlockHead {
    pub(in crate::storage::embedded) first: i64,
    pub(in crate::storage::embedded) last: i64,
    pub(in crate::storage::embedded) count: u64,
    /// The order of its newest record.
    pub(in crate::storage::embedded) last_order: u64,
    pub(in crate::storage::embedded) bytes: u64,
    /// Records and line bytes of each severity.
    pub(in crate::storage::embedded) severities: [(u64, u64); 7],
    /// The rest of its key, after the tag.
    pub(in crate::storage::embedded) key: Vec<u8>,
}

/// The place of a severity in [`SEVERITIES`].
pub(in crate::storage::embedded) fn rank(severity: Severity) -> usize {
    SEVERITIES.iter().position(|known| *known == severity).unwrap_or(0)
}

/// The changes that write a batch of one stream as blocks, in days from `floor` on.
pub(in crate::storage::embedded) fn changes(
    stream: &Stream,
    batch: &Batch,
    floor: Day,
    filter: &mut Filter,
) -> Vec<Change> {
    let mut records = batch.records.clone();
    records.sort_unstable_by_key(|record| (record.time, record.offset, record.order));
    let mut changes = Vec::new();
    let mut rest = records.as_slice();
    while let Some(first) = rest.first() {
        let day = day_of(first);
        let mut bytes = 0;
        let fits = |record: &&Record| {
            bytes += batch.line(record).len() + batch.fields(record).len();
            day_of(record) == day && bytes <= SPLIT
        };
        let end = rest.iter().take_while(fits).count().max(1);
        let Some((part, after)) = rest.split_at_checked(end) else { break };
        if day >= floor {
            block(stream.id, batch, part, Space::Day(Kind::Logs, day), filter, &mut changes);
        }
        rest = after;
    }
    changes
}

fn day_of(record: &Record) -> Day {
    Day::of_millis(record.time.div_euclid(1_000_000))
}

fn block(stream: u64, batch: &Batch, records: &[Record], space: Space, filter: &mut Filter, changes: &mut Vec<Change>) {
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
    let key = |tag| {
        let mut key = Vec::with_capacity(25);
        key.push(tag);
        key.extend_from_slice(&stream.to_be_bytes());
        put_key_time(&mut key, first.time);
        key.extend_from_slice(&first.order.to_be_bytes());
        key
    };
    let mut severities = [(0_u64, 0_u64); 7];
    let mut bytes = 0;
    for record in records {
        let line = batch.line(record);
        filter.line(line);
        fields(batch.fields(record))
            .chain(fields(batch.set(record)))
            .for_each(|(name, value)| filter.field(name, value));
        if let Some((count, sum)) = severities.get_mut(rank(record.severity)) {
            *count += 1;
            *sum += line.len() as u64;
        }
        bytes += line.len() as u64;
    }
    let mut head = vec![VERSION];
    put_varint(&mut head, records.len() as u64);
    put_signed(&mut head, last.time.wrapping_sub(first.time));
    put_varint(&mut head, records.iter().map(|record| record.order).max().unwrap_or(0));
    put_varint(&mut head, bytes);
    for (count, sum) in severities {
        put_varint(&mut head, count);
        put_varint(&mut head, sum);
    }
    let body = encode(batch, records);
    let filter = filter.finish();
    changes.push(Change::put(space, key(b'm'), head));
    if filter.len() * FILTER_SHARE <= body.len() {
        changes.push(Change::put(space, key(b'f'), filter));
    }
    changes.push(Change::put(space, key(b'b'), body));
}

fn encode(batch: &Batch, records: &[Record]) -> Vec<u8> {
    let mut columns = Vec::new();
    let mut numbers = |column: Vec<i64>| {
        let mut out = Vec::new();
        chunk::compress_numbers(&column, &mut out);
        put_block(&mut columns, &out);
    };
    numbers(records.iter().map(|record| record.time).collect());
    numbers(records.iter().map(|record| record.order.cast_signed()).collect());
    numbers(records.iter().map(|record| record.offset.cast_signed()).collect());
    records.iter().for_each(|record| columns.push(record.severity.number()));
    records.iter().for_each(|record| put_varint(&mut columns, u64::from(Batch::set_number(record))));
    records.iter().for_each(|record| put_varint(&mut columns, batch.line(record).len() as u64));
    records.iter().for_each(|record| put_varint(&mut columns, batch.fields(record).len() as u64));
    put_varint(&mut columns, batch.sets.len() as u64);
    batch.sets.iter().for_each(|set| put_block(&mut columns, set));
    let mut text = Vec::new();
    for record in records {
        text.extend_from_slice(batch.line(record));
        text.extend_from_slice(batch.fields(record));
    }
    let mut out = vec![VERSION];
    put_varint(&mut out, records.len() as u64);
    for frame in [&columns, &text] {
        let mut compressed = Vec::new();
        // Compressing into memory does not fail; were it so, an empty frame is read as damage.
        if zstd_compress(LEVEL, frame, &mut compressed).is_err() {
            compressed.clear();
        }
        put_block(&mut out, &compressed);
    }
    out
}

/// The head of a block, from its key without the tag, and its value.
pub(in crate::storage::embedded) fn head(key: &[u8], value: &[u8]) -> Option<BlockHead> {
    let first = Input(key.get(8..)?).key_time()?;
    let mut input = Input(value);
    if input.byte()? != VERSION {
        return None;
    }
    let count = input.varint()?;
    let last = first.wrapping_add(input.signed()?);
    let (last_order, bytes) = (input.varint()?, input.varint()?);
    let mut severities = [(0, 0); 7];
    for severity in &mut severities {
        *severity = (input.varint()?, input.varint()?);
    }
    Some(BlockHead { first, last, count, last_order, bytes, severities, key: key.to_vec() })
}

/// The records of a block; without `text` their lines and fields are empty, but lines keep their length in the
/// second value.
pub(in crate::storage::embedded) fn decode(value: &[u8], with_text: bool) -> Option<(Batch, Vec<u32>)> {
    let mut input = Input(value);
    if input.byte()? != VERSION {
        return None;
    }
    let count = input.length().filter(|count| *count <= MAX_RAW)?;
    let columns = decompress(Encoding::Zstd, input.block()?, MAX_RAW).ok()?;
    let text = input.block()?;
    let text = if with_text { decompress(Encoding::Zstd, text, MAX_RAW).ok()? } else { Vec::new() };
    let mut columns = Input(&columns);
    let mut numbers = || chunk::decompress_numbers(columns.block()?, count);
    let (times, orders, offsets) = (numbers()?, numbers()?, numbers()?);
    let severities = columns.bytes(count)?;
    let varints = |columns: &mut Input<'_>| (0..count).map(|_| columns.length()).collect::<Option<Vec<usize>>>();
    let (sets, lines, fields) = (varints(&mut columns)?, varints(&mut columns)?, varints(&mut columns)?);
    let dictionary: Vec<Arc<[u8]>> = {
        let entries = columns.length()?;
        (0..entries).map(|_| columns.block().map(Arc::from)).collect::<Option<_>>()?
    };
    let mut batch = Batch::default();
    let mut lengths = Vec::with_capacity(count);
    let mut text = Input(&text);
    let rows = times.iter().zip(&orders).zip(&offsets).zip(severities);
    for ((((time, order), offset), severity), ((set, line), fields)) in rows.zip(sets.iter().zip(&lines).zip(&fields)) {
        lengths.push(u32::try_from(*line).ok()?);
        let (line, fields) = if with_text { (text.bytes(*line)?, text.bytes(*fields)?) } else { (&[][..], &[][..]) };
        let new = New {
            order: order.cast_unsigned(),
            time: *time,
            offset: offset.cast_unsigned(),
            severity: Severity::from_number(*severity),
            line,
            fields,
        };
        batch.push(&new, dictionary.get(*set)?);
    }
    Some((batch, lengths))
}

/// Encoded fields, one after the other; what is damaged ends them.
pub(in crate::storage::embedded) fn fields(bytes: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let mut input = Input(bytes);
    std::iter::from_fn(move || Some((input.text()?, input.text()?)))
}

/// Appends a field.
pub(in crate::storage::embedded) fn put_field(out: &mut Vec<u8>, name: &str, value: &str) {
    put_block(out, name.as_bytes());
    put_block(out, value.as_bytes());
}

#[cfg(test)]
mod tests {
    use yagura_model::Labels;

    use super::*;

    fn batch(count: u64) -> Batch {
        let mut batch = Batch::default();
        let sets: [Arc<[u8]>; 2] = [Arc::from(&b"one"[..]), Arc::from(&b"two"[..])];
        for order in 0..count {
            let mut own = Vec::new();
            put_field(&mut own, "n", &order.to_string());
            let line = format!("line number {order} of many");
            let new = New {
                order: order + 7,
                time: 1_700_000_000_000_000_000 + (order.cast_signed() * 37 % 11) * 1_000_000,
                offset: order * 150,
                severity: SEVERITIES[usize::try_from(order % 7).unwrap()],
                line: line.as_bytes(),
                fields: &own,
            };
            batch.push(&new, &sets[usize::try_from(order % 2).unwrap()]);
        }
        batch
    }

    fn shown(batch: &Batch, record: &Record) -> (u64, i64, u64, Severity, Vec<u8>, Vec<u8>, Vec<u8>) {
        (
            record.order,
            record.time,
            record.offset,
            record.severity,
            batch.line(record).to_vec(),
            batch.fields(record).to_vec(),
            batch.set(record).to_vec(),
        )
    }

    #[test]
    fn records_survive_in_order_of_time() {
        let batch = batch(500);
        let stream = Stream::new(9, Labels::empty(), 0);
        let changes = changes(&stream, &batch, Day(0), &mut Filter::new());
        let value = |tag: u8| changes.iter().find(|change| change.key[0] == tag).unwrap().value.clone().unwrap();
        let head = head(&changes[0].key[1..], &value(b'm')).unwrap();
        let (read, lengths) = decode(&value(b'b'), true).unwrap();
        assert_eq!((head.count, head.last_order), (500, 506));
        assert_eq!((head.severities[2].0, head.severities[3].0), (72, 71));
        assert_eq!((head.first, head.last), (read.records[0].time, read.records[499].time));
        assert_eq!(head.bytes, lengths.iter().map(|length| u64::from(*length)).sum::<u64>());
        let mut expected: Vec<_> = batch.records.iter().map(|record| shown(&batch, record)).collect();
        expected.sort_by_key(|record| (record.1, record.2, record.0));
        assert_eq!(read.records.iter().map(|record| shown(&read, record)).collect::<Vec<_>>(), expected);
        let (bare, same) = decode(&value(b'b'), false).unwrap();
        assert_eq!((bare.records.len(), same), (500, lengths));
    }

    #[test]
    fn a_damaged_block_is_refused_and_nothing_else() {
        let batch = batch(40);
        let body = encode(&batch, &batch.records);
        for place in 0..body.len() {
            let mut damaged = body.clone();
            damaged[place] ^= 0x55;
            let _ = decode(&damaged, true);
            let _ = decode(&body[..place], true);
        }
    }
}
