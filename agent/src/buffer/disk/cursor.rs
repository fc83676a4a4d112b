//! The file that says up to where everything is delivered.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::Position;

const MAGIC: &[u8; 8] = b"YAGURABC";
const VERSION: u32 = 1;

fn path(folder: &Path) -> PathBuf {
    folder.join("cursor")
}

/// Writes the cursor beside the old one and puts it in its place. It is not synced: an old cursor costs a second
/// delivery, which the collector recognises.
pub(super) fn save(folder: &Path, at: Position) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&at.segment.to_le_bytes());
    bytes.extend_from_slice(&at.offset.to_le_bytes());
    bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    let new = folder.join("cursor.new");
    fs::write(&new, &bytes)?;
    fs::rename(&new, path(folder))
}

/// The cursor, when there is a good one.
pub(super) fn load(folder: &Path) -> Result<Option<Position>, io::Error> {
    let bytes = match fs::read(path(folder)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    parse(&bytes).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the cursor is damaged"))
}

fn parse(bytes: &[u8]) -> Option<Position> {
    let (described, checksum) = bytes.split_first_chunk::<32>()?;
    let (magic, rest) = described.split_first_chunk::<8>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (_, rest) = rest.split_first_chunk::<4>()?;
    let (segment, offset) = rest.split_first_chunk::<8>()?;
    let good = magic == MAGIC
        && u32::from_le_bytes(*version) == VERSION
        && u64::from_le_bytes(checksum.try_into().ok()?) == xxh3_64(described);
    good.then(|| {
        Some(Position { segment: u64::from_le_bytes(*segment), offset: u64::from_le_bytes(offset.try_into().ok()?) })
    })?
}
