//! One batch as bytes in a segment, and back.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use xxhash_rust::xxh3::Xxh3;
use yagura_codec::compress::{Encoding, decompress, zstd_compress};

use super::MAX_PAYLOAD;
use crate::buffer::{Batch, Signal};

/// Length of what stands before a payload.
pub(super) const HEADER: usize = 24;
/// A batch is at most 4 MiB and its number.
const MAX_BODY: usize = 5 * 1024 * 1024;
/// The exporter compresses at the same level; a higher one costs more than the disk it saves.
const LEVEL: i32 = 1;

/// What a record's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) signal: Signal,
    pub(super) items: u64,
    /// Offset of what comes after the record.
    pub(super) end: u64,
}

/// Why there is no record at an offset.
#[derive(Debug, thiserror::Error)]
pub(super) enum Bad {
    /// The segment ends within it: the last write of a run that was killed.
    #[error("the record is cut short")]
    Cut,
    /// The bytes are not those that were written.
    #[error("the record is damaged")]
    Damaged,
    /// The file cannot be read.
    #[error("the record cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Writes a batch as a record of `segment` into `out`, which is emptied first.
pub(super) fn encode(segment: u64, batch: &Batch, out: &mut Vec<u8>) -> io::Result<()> {
    out.clear();
    out.resize(HEADER, 0);
    zstd_compress(LEVEL, &batch.body, out).map_err(io::Error::other)?;
    let payload = out.len() - HEADER;
    let length = u32::try_from(payload).ok().filter(|_| payload <= MAX_PAYLOAD);
    let length = length.ok_or_else(|| io::Error::other("the batch is too long for a record"))?;
    let signal = match batch.signal {
        Signal::Metrics => 0,
        Signal::Logs => 1,
        Signal::Traces => 2,
    };
    let mut described = [0; 16];
    let [a, b, c, d] = length.to_le_bytes();
    let [e, f, g, h, i, j, k, l] = batch.items.to_le_bytes();
    described.copy_from_slice(&[a, b, c, d, signal, 0, 0, 0, e, f, g, h, i, j, k, l]);
    let checksum = checksum(segment, described, out.get(HEADER..).unwrap_or_default());
    if let Some((header, _)) = out.split_first_chunk_mut::<HEADER>() {
        let (first, last) = header.split_at_mut(16);
        first.copy_from_slice(&described);
        last.copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(())
}

/// Reads and checks the record at `offset`; its payload is left in `payload`. `None` at the end of the segment.
pub(super) fn read(
    file: &File,
    segment: u64,
    offset: u64,
    len: u64,
    payload: &mut Vec<u8>,
) -> Result<Option<Header>, Bad> {
    let left = len.saturating_sub(offset);
    if left == 0 {
        return Ok(None);
    }
    if left < HEADER as u64 {
        return Err(Bad::Cut);
    }
    let mut described = [0; 16];
    file.read_exact_at(&mut described, offset)?;
    let mut expected = [0; 8];
    file.read_exact_at(&mut expected, offset + 16)?;
    let [a, b, c, d, signal, 0, 0, 0, items @ ..] = described else { return Err(Bad::Damaged) };
    let length = u32::from_le_bytes([a, b, c, d]);
    let signal = match signal {
        0 => Signal::Metrics,
        1 => Signal::Logs,
        2 => Signal::Traces,
        _ => return Err(Bad::Damaged),
    };
    let size = usize::try_from(length).ok().filter(|size| *size <= MAX_PAYLOAD).ok_or(Bad::Damaged)?;
    if left - (HEADER as u64) < u64::from(length) {
        return Err(Bad::Cut);
    }
    payload.clear();
    payload.resize(size, 0);
    file.read_exact_at(payload, offset + HEADER as u64)?;
    if checksum(segment, described, payload) != u64::from_le_bytes(expected) {
        return Err(Bad::Damaged);
    }
    let end = offset + HEADER as u64 + u64::from(length);
    Ok(Some(Header { signal, items: u64::from_le_bytes(items), end }))
}

/// The batch whose header and payload were read.
pub(super) fn batch(header: Header, payload: &[u8]) -> Result<Batch, Bad> {
    let body = decompress(Encoding::Zstd, payload, MAX_BODY).map_err(|_| Bad::Damaged)?;
    Ok(Batch { signal: header.signal, body: body.into(), items: header.items })
}

fn checksum(segment: u64, described: [u8; 16], payload: &[u8]) -> u64 {
    let mut hasher = Xxh3::with_seed(segment);
    hasher.update(&described);
    hasher.update(payload);
    hasher.digest()
}
