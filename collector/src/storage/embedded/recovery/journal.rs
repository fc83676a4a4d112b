//! fjall's journals before fjall sees them.
//!
//! A journal is a row of batches, zeros behind them. fjall refuses to open one whose checksum is wrong, and forgets
//! everything after bytes that it cannot read. Batches stand for themselves, so we keep all that are whole: what lies
//! between them is set aside and cut out. What lies behind the last one was never acknowledged if it is only half a
//! batch; that is no damage.
//!
//! ```text
//! batch = 1 count:u32 seqno:u64  item…  3 checksum:u64 "FJL" 3         numbers little-endian
//! item  = 2 type:u8 compression:u8 keyspace:u64 key-len:u16 len:u32 stored-len:u32 key value  |  4 keyspace:u64
//! ```
//!
//! The checksum is xxh3 over the items. This is the format of fjall 3.1, whose version is pinned by `Cargo.lock` and
//! whose marker is checked before.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::{Lost, Place, Recovery};

const TRAILER: &[u8] = b"FJL\x03";
/// A larger journal is not read whole; fjall rotates them at 64 MB.
const MAX_JOURNAL: u64 = 1 << 30;

/// Repairs all journals.
pub(super) fn repair(place: &Place, recovery: &mut Recovery) -> io::Result<()> {
    let entries = match fs::read_dir(&place.db) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            journals.push(path);
        }
    }
    journals.sort();
    journals.iter().try_for_each(|path| repair_one(place, path, recovery))
}

fn repair_one(place: &Place, path: &Path, recovery: &mut Recovery) -> io::Result<()> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let lost =
        |extent: String, kept_in: PathBuf| Lost { what: format!("journal {name}"), extent, kept_in: Some(kept_in) };
    if name.parse::<u64>().is_err() || fs::metadata(path)?.len() > MAX_JOURNAL {
        let aside = place.aside(&format!("journal-{name}"))?;
        fs::rename(path, &aside)?;
        recovery.lost.push(lost("not a journal of this engine".to_owned(), aside));
        return Ok(());
    }
    let mut bytes = fs::read(path)?;
    // Behind the last batch are zeros, tens of megabytes of them.
    bytes.truncate(without_zeros(&bytes));
    let whole = whole_batches(&bytes);
    let end = whole.last().map_or(0, |batches| batches.end);
    // One run of batches from the start on is what fjall can read; it cuts half a batch behind it by itself.
    if whole.len() <= 1 && whole.first().is_none_or(|batches| batches.start == 0) {
        if end < bytes.len() {
            // fjall looks at the bytes behind the last batch too, and may stumble over them.
            fs::OpenOptions::new().write(true).open(path)?.set_len(end as u64)?;
        }
        return Ok(());
    }
    let aside = place.aside(&format!("journal-{name}"))?;
    fs::copy(path, &aside)?;
    let kept: Vec<u8> = whole.iter().filter_map(|batches| bytes.get(batches.clone())).flatten().copied().collect();
    let repaired = path.with_extension("repaired");
    fs::write(&repaired, &kept)?;
    fs::File::open(&repaired)?.sync_all()?;
    fs::rename(&repaired, path)?;
    let gone = end - kept.len();
    recovery.lost.push(lost(format!("{gone} bytes before its last whole batch"), aside));
    Ok(())
}

/// The length of `bytes` without the zeros at their end.
fn without_zeros(bytes: &[u8]) -> usize {
    const PIECE: usize = 64 << 10;
    let zeros = vec![0; PIECE];
    let mut end = bytes.len();
    // Whole pieces are compared at once, which is as fast as memory.
    for piece in bytes.rchunks(PIECE) {
        if zeros.get(..piece.len()) != Some(piece) {
            let last = piece.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            return end - piece.len() + last;
        }
        end -= piece.len();
    }
    end
}

/// The longest runs of whole batches, in order.
fn whole_batches(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    let end = bytes.len();
    while at < end {
        let Some(length) = batch(bytes.get(at..).unwrap_or_default()) else {
            at += 1;
            // Only a start can begin a batch.
            at += bytes.get(at..end).and_then(|rest| memchr::memchr(1, rest)).unwrap_or(end - at);
            continue;
        };
        match runs.last_mut().filter(|last| last.end == at) {
            Some(last) => last.end += length,
            None => runs.push(at..at + length),
        }
        at += length;
    }
    runs
}

/// The length of the batch that `bytes` begin with, if it is whole.
fn batch(bytes: &[u8]) -> Option<usize> {
    let word = |at: usize| bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes);
    if *bytes.first()? != 1 {
        return None;
    }
    let count = word(1)?;
    let items = 13;
    let mut at = items;
    for _ in 0..count {
        let length = match *bytes.get(at)? {
            2 => {
                let key = usize::from(u16::from_le_bytes(bytes.get(at + 11..at + 13)?.try_into().ok()?));
                21_usize.checked_add(key)?.checked_add(usize::try_from(word(at + 17)?).ok()?)?
            }
            4 => 9,
            _ => return None,
        };
        at = at.checked_add(length).filter(|end| *end <= bytes.len())?;
    }
    let end = bytes.get(at..at.checked_add(13)?)?;
    let (tag, rest) = end.split_first()?;
    let (checksum, trailer) = rest.split_first_chunk::<8>()?;
    let right = *tag == 3 && trailer == TRAILER && xxh3_64(bytes.get(items..at)?) == u64::from_le_bytes(*checksum);
    right.then_some(at + 13)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A real journal of three batches.
    fn journal() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.jnl");
        {
            let db = fjall::Database::builder(folder.path()).open().unwrap();
            let keyspace = db.keyspace("one", fjall::KeyspaceCreateOptions::default).unwrap();
            for number in 0_u8..3 {
                let mut batch = db.batch();
                batch.insert(&keyspace, [number], vec![number; 100]);
                batch.remove(&keyspace, [number, 1]);
                batch.commit().unwrap();
            }
            db.persist(fjall::PersistMode::SyncAll).unwrap();
        }
        let bytes = fs::read(&path).unwrap();
        (folder, path, bytes)
    }

    #[test]
    fn a_journal_of_the_engine_is_whole() {
        let (_folder, _, bytes) = journal();
        let end = without_zeros(&bytes);
        assert_eq!((end, bytes[end]), (bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1, 0));
        let runs = whole_batches(&bytes[..end]);
        assert_eq!((runs.len(), &runs[0]), (1, &(0..end)));
    }

    #[test]
    fn a_damaged_batch_costs_only_itself() {
        let (folder, path, mut bytes) = journal();
        let length = batch(&bytes).unwrap();
        bytes[length + 40] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let place = Place { db: folder.path().to_owned(), damaged: folder.path().join("damaged") };
        let mut recovery = Recovery::default();
        repair(&place, &mut recovery).unwrap();
        assert_eq!(recovery.lost.len(), 1, "{recovery}");
        assert_eq!(recovery.lost[0].extent, format!("{length} bytes before its last whole batch"));
        let db = fjall::Database::builder(folder.path()).open().unwrap();
        let keyspace = db.keyspace("one", fjall::KeyspaceCreateOptions::default).unwrap();
        let held: Vec<bool> = (0_u8..3).map(|number| keyspace.contains_key([number]).unwrap()).collect();
        assert_eq!(held, [true, false, true]);
    }

    #[test]
    fn half_a_batch_at_the_end_is_no_damage() {
        let (folder, path, mut bytes) = journal();
        let length = batch(&bytes).unwrap();
        bytes.truncate(2 * length + length / 2);
        fs::write(&path, &bytes).unwrap();
        let place = Place { db: folder.path().to_owned(), damaged: folder.path().join("damaged") };
        let mut recovery = Recovery::default();
        repair(&place, &mut recovery).unwrap();
        assert_eq!(recovery, Recovery::default());
        assert_eq!(fs::metadata(&path).unwrap().len(), 2 * length as u64);
    }
}
