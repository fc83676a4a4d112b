//! Chunks: the samples of one series in at most [`MAX_SPAN`], compressed.
//!
//! ```text
//! chunk  = version kind:4|times:4 count stale-positions times values        key: series, first time
//!   times  = 0: a column in place, with its length | 1: the hash of a column of its own (series of one scrape share it)
//!   values = 0: one value for all | 1: whole numbers, pco | 2: floats, pco | 3: whole numbers, deltas | 4: raw floats
//! column = kind count first …    0: equal steps | 1: deltas | 2: pco
//! ```
//!
//! Staleness markers are kept apart as positions, so that they do not spoil the numbers around them. Numbers are
//! varints unless said otherwise.

use std::sync::Arc;

use pco::{
    ChunkConfig, DeltaSpec,
    data_types::Number,
    wrapped::{FileCompressor, FileDecompressor},
};
use yagura_model::{
    Timestamp,
    metric::{is_stale, stale_nan},
};

use super::super::coding::{Input, put_block, put_signed, put_varint};
use crate::storage::Sample;

/// The first byte of every chunk of this format.
const VERSION: u8 = 1;
/// More samples than this in one chunk are never written, so more are damage.
const MAX_COUNT: usize = 4096;
/// A chunk holds no more time than this, so a reader need not look further back.
pub(in crate::storage::embedded) const MAX_SPAN: i64 = 2 * 60 * 60 * 1000;
/// Fewer numbers are smaller without pco's tables.
const FEW: usize = 24;
const LEVEL: usize = 4;

/// Where the times of a chunk are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage::embedded) enum Times {
    /// In the chunk.
    Inline(Vec<u8>),
    /// In a column with this hash.
    Column(u64),
}

/// Sorted times as bytes.
pub(in crate::storage::embedded) fn encode_times(times: &[i64]) -> Vec<u8> {
    let Some(first) = times.first() else { return Vec::new() };
    let steps: Vec<i64> = times.iter().zip(times.iter().skip(1)).map(|(one, next)| next.wrapping_sub(*one)).collect();
    let equal = steps.iter().zip(steps.iter().skip(1)).all(|(one, next)| one == next);
    let kind = if equal { 0 } else { 1 + u8::from(times.len() > FEW) };
    let mut out = vec![kind];
    put_varint(&mut out, times.len() as u64);
    put_signed(&mut out, *first);
    match kind {
        0 => put_signed(&mut out, steps.first().copied().unwrap_or(0)),
        1 => steps.iter().for_each(|step| put_signed(&mut out, *step)),
        _ => compress(&steps, DeltaSpec::NoOp, &mut out),
    }
    out
}

/// What [`encode_times`] wrote.
pub(in crate::storage::embedded) fn decode_times(bytes: &[u8]) -> Option<Vec<i64>> {
    let mut input = Input(bytes);
    let kind = input.byte()?;
    let count = input.length().filter(|count| (1..=MAX_COUNT).contains(count))?;
    let mut time = input.signed()?;
    let mut times = Vec::with_capacity(count);
    times.push(time);
    let mut push = |step: i64| {
        time = time.wrapping_add(step);
        times.push(time);
    };
    match kind {
        0 => {
            let step = input.signed()?;
            (1..count).for_each(|_| push(step));
        }
        1 => {
            for _ in 1..count {
                push(input.signed()?);
            }
        }
        2 => decompress::<i64>(input.0, count - 1)?.into_iter().for_each(push),
        _ => return None,
    }
    Some(times)
}

/// Values as a chunk; `times` belong to them.
pub(in crate::storage::embedded) fn encode(values: &[f64], times: &Times) -> Vec<u8> {
    let stale: Vec<usize> =
        values.iter().enumerate().filter(|(_, value)| is_stale(**value)).map(|(place, _)| place).collect();
    let real: Vec<f64> = values.iter().copied().filter(|value| !is_stale(*value)).collect();
    let whole = whole_numbers(&real);
    let constant = real.iter().zip(real.iter().skip(1)).all(|(one, next)| one.to_bits() == next.to_bits());
    let kind = match (&whole, constant) {
        (_, true) => 0,
        (Some(_), _) if real.len() > FEW => 1,
        (Some(_), _) => 3,
        (None, _) if real.len() > FEW => 2,
        (None, _) => 4,
    };
    let mut out = vec![VERSION, kind << 4 | u8::from(matches!(times, Times::Column(_)))];
    put_varint(&mut out, values.len() as u64);
    put_varint(&mut out, stale.len() as u64);
    stale.iter().for_each(|place| put_varint(&mut out, *place as u64));
    match times {
        Times::Inline(bytes) => put_block(&mut out, bytes),
        Times::Column(hash) => out.extend_from_slice(&hash.to_le_bytes()),
    }
    match (kind, whole) {
        (0, _) => real.first().iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes())),
        (1, Some(whole)) => compress(&whole, DeltaSpec::Auto, &mut out),
        (3, Some(whole)) => {
            let mut last = 0_i64;
            for number in whole {
                put_signed(&mut out, number.wrapping_sub(last));
                last = number;
            }
        }
        (2, _) => compress(&real, DeltaSpec::Auto, &mut out),
        _ => real.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes())),
    }
    out
}

/// A chunk's samples; `column` finds the times that are not in the chunk.
pub(in crate::storage::embedded) fn decode(
    bytes: &[u8],
    column: impl FnOnce(u64) -> Option<Arc<[i64]>>,
) -> Option<Vec<Sample>> {
    let mut input = Input(bytes);
    if input.byte()? != VERSION {
        return None;
    }
    let kinds = input.byte()?;
    let count = input.length().filter(|count| (1..=MAX_COUNT).contains(count))?;
    let stale = stale_positions(&mut input, count)?;
    let times: Arc<[i64]> = match kinds & 0xf {
        0 => decode_times(input.block()?)?.into(),
        1 => column(input.word()?)?,
        _ => return None,
    };
    if times.len() != count {
        return None;
    }
    let real = count - stale.len();
    let values = values(kinds >> 4, input, real)?;
    let mut values = values.into_iter();
    let mut stale = stale.into_iter().peekable();
    let mut samples = Vec::with_capacity(count);
    for (place, time) in times.iter().enumerate() {
        let marked = stale.next_if_eq(&place).is_some();
        let value = if marked { stale_nan() } else { values.next()? };
        samples.push(Sample { time: Timestamp(*time), value });
    }
    Some(samples)
}

fn stale_positions(input: &mut Input<'_>, count: usize) -> Option<Vec<usize>> {
    let marked = input.length().filter(|marked| *marked <= count)?;
    let mut positions = Vec::with_capacity(marked);
    for _ in 0..marked {
        let position = input.length().filter(|position| *position < count)?;
        if positions.last().is_some_and(|last| *last >= position) {
            return None;
        }
        positions.push(position);
    }
    Some(positions)
}

#[expect(clippy::cast_precision_loss, reason = "they were floats when they were written")]
fn values(kind: u8, mut input: Input<'_>, count: usize) -> Option<Vec<f64>> {
    match kind {
        0 if count == 0 => Some(Vec::new()),
        0 => Some(vec![f64::from_bits(input.word()?); count]),
        1 => Some(decompress::<i64>(input.0, count)?.into_iter().map(|number| number as f64).collect()),
        2 => decompress::<f64>(input.0, count),
        3 => {
            let mut last = 0_i64;
            let mut next = || {
                last = last.wrapping_add(input.signed()?);
                Some(last as f64)
            };
            (0..count).map(|_| next()).collect()
        }
        4 => (0..count).map(|_| input.word().map(f64::from_bits)).collect(),
        _ => None,
    }
}

/// The values as whole numbers, if all of them are and none is the negative zero.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "checked by going there and back")]
fn whole_numbers(values: &[f64]) -> Option<Vec<i64>> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |value: &f64| {
        let number = *value as i64;
        (value.abs() <= EXACT && (number as f64).to_bits() == value.to_bits()).then_some(number)
    };
    values.iter().map(whole).collect()
}

/// Whole numbers that grow, in as few bytes as pco needs.
pub(in crate::storage::embedded) fn compress_numbers(numbers: &[i64], out: &mut Vec<u8>) {
    if !numbers.is_empty() {
        compress(numbers, DeltaSpec::TryConsecutive(1), out);
    }
}

/// What [`compress_numbers`] wrote.
pub(in crate::storage::embedded) fn decompress_numbers(bytes: &[u8], count: usize) -> Option<Vec<i64>> {
    decompress(bytes, count)
}

fn compress<T: Number>(numbers: &[T], delta: DeltaSpec, out: &mut Vec<u8>) {
    let config = ChunkConfig::default().with_compression_level(LEVEL).with_delta_spec(delta);
    let file = FileCompressor::default();
    // Writing to memory does not fail, and the config is a valid one.
    let written = file.write_header(&mut *out).and_then(|out| {
        let mut chunk = file.chunk_compressor(numbers, &config)?;
        let out = chunk.write_meta(out)?;
        chunk.write_page(0, out).map(drop)
    });
    debug_assert!(written.is_ok(), "pco: {written:?}");
}

fn decompress<T: Number + Default + Clone>(bytes: &[u8], count: usize) -> Option<Vec<T>> {
    let mut numbers = vec![T::default(); count];
    if count == 0 {
        return Some(numbers);
    }
    let (file, rest) = FileDecompressor::new(bytes).ok()?;
    let (mut chunk, rest) = file.chunk_decompressor::<T, _>(rest).ok()?;
    let progress = chunk.page_decompressor(rest, count).ok()?.read(&mut numbers).ok()?;
    (progress.n_processed == count).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[f64], times: &[i64]) -> Option<Vec<Sample>> {
        decode(&encode(values, &Times::Inline(encode_times(times))), |_| None)
    }

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            (-1000_i32..1000).prop_map(f64::from),
            Just(stale_nan()),
            Just(-0.0),
            Just(f64::INFINITY),
            Just(7.0),
        ]
    }

    proptest! {
        #[test]
        fn samples_survive(
            values in proptest::collection::vec(any_value(), 1..300),
            steps in proptest::collection::vec(1_i64..100_000, 300),
            start in -1_000_000_000_000_i64..2_000_000_000_000,
        ) {
            let times: Vec<i64> = steps.iter().take(values.len()).scan(start, |time, step| { *time += step; Some(*time) }).collect();
            let samples = round_trip(&values, &times).unwrap();
            prop_assert_eq!(samples.iter().map(|sample| sample.time.0).collect::<Vec<_>>(), times);
            let bits = |value: &f64| value.to_bits();
            prop_assert_eq!(
                samples.iter().map(|sample| sample.value.to_bits()).collect::<Vec<_>>(),
                values.iter().map(bits).collect::<Vec<_>>()
            );
        }

        #[test]
        fn damage_is_noticed_or_harmless(
            values in proptest::collection::vec((0_i32..50).prop_map(f64::from), 1..100),
            place in any::<prop::sample::Index>(),
            flip in 1_u8..=255,
            cut in any::<prop::sample::Index>(),
        ) {
            let times: Vec<i64> = (0..values.len() as i64).map(|place| place * 10_007 % 977 + place * 10_000).collect();
            let mut bytes = encode(&values, &Times::Inline(encode_times(&times)));
            let at = place.index(bytes.len());
            bytes[at] ^= flip;
            let _ = decode(&bytes, |_| None);
            bytes.truncate(cut.index(bytes.len()));
            let _ = decode(&bytes, |_| None);
        }
    }

    #[test]
    fn constants_and_equal_steps_cost_next_to_nothing() {
        let times: Vec<i64> = (0..240).map(|place| 1_700_000_000_000 + place * 10_000).collect();
        let bytes = encode(&[1.0; 240], &Times::Inline(encode_times(&times)));
        assert!(bytes.len() < 30, "{}", bytes.len());
    }
}
