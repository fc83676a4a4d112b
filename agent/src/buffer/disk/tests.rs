use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::buffer::Signal;

const MIB: u64 = 1024 * 1024;

/// A batch that says its number and does not shrink when compressed.
fn batch(number: u64, size: usize) -> Batch {
    let mut body = number.to_le_bytes().to_vec();
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while body.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.extend_from_slice(&state.to_le_bytes());
    }
    Batch { signal: Signal::Logs, body: body.into(), items: number }
}

fn number(batch: &Batch) -> u64 {
    assert_eq!(batch, &self::batch(batch.items, batch.body.len()), "a batch comes back as it went in");
    batch.items
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        (self.signal, &self.body, self.items) == (other.signal, &other.body, other.items)
    }
}

fn open(folder: &TempDir) -> Disk {
    let (disk, recovery) = Disk::open(folder.path(), 64 * MIB).unwrap();
    assert_eq!(recovery.damage, Vec::<String>::new());
    disk
}

fn drain(disk: &mut Disk) -> Vec<u64> {
    std::iter::from_fn(|| disk.next().0).map(|(_, batch)| number(&batch)).collect()
}

fn segments(folder: &TempDir) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    paths.sort();
    paths
}

#[test]
fn what_is_delivered_is_deleted_and_what_is_not_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = open(&folder);
    for number in 1..=3 {
        disk.push(&batch(number, 100)).unwrap();
    }
    let (first, _) = disk.next().0.unwrap();
    let (second, _) = disk.next().0.unwrap();
    disk.settle(second);
    disk.tidy().unwrap();
    drop(disk);
    let mut disk = open(&folder);
    assert_eq!(drain(&mut disk), [1, 2, 3], "the first is open, so the cursor stands before it");
    disk.settle(first);
    disk.settle(second);
    disk.tidy().unwrap();
    drop(disk);
    assert_eq!(drain(&mut open(&folder)), [3]);
}

#[test]
fn an_emptied_queue_leaves_no_segment_and_never_uses_a_number_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = open(&folder);
    let mut last = 0;
    for round in 0..3 {
        disk.push(&batch(round, 100)).unwrap();
        let (at, _) = disk.next().0.unwrap();
        assert!(at.segment > last, "segment {} after {last}", at.segment);
        last = at.segment;
        disk.settle(at);
        disk.tidy().unwrap();
        assert_eq!((segments(&folder).len(), disk.bytes()), (0, 0));
        drop(disk);
        disk = open(&folder);
    }
}

#[test]
fn the_oldest_is_dropped_when_the_budget_is_used_up() {
    let folder = tempfile::tempdir().unwrap();
    let (mut disk, _) = Disk::open(folder.path(), MIB).unwrap();
    let mut lost = Lost::default();
    for number in 1..=100 {
        lost.add(disk.push(&batch(number, 50_000)).unwrap());
        assert!(disk.bytes() <= MIB);
        let on_disk: u64 = segments(&folder).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert_eq!(on_disk, disk.bytes());
    }
    let left = drain(&mut disk);
    assert_eq!(left, (101 - u64::try_from(left.len()).unwrap()..=100).collect::<Vec<_>>(), "the newest are left");
    assert!(left.len() > 12, "{left:?}");
    assert_eq!(lost.batches, 100 - u64::try_from(left.len()).unwrap());
    assert_eq!(lost.items, 5050 - left.iter().sum::<u64>());
}

#[test]
fn a_batch_larger_than_the_budget_is_refused_and_nothing_else_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (mut disk, _) = Disk::open(folder.path(), 100_000).unwrap();
    disk.push(&batch(1, 1000)).unwrap();
    assert!(disk.push(&batch(2, 200_000)).is_err());
    assert_eq!(drain(&mut disk), [1]);
}

#[test]
fn a_second_agent_is_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(&folder);
    assert!(matches!(Disk::open(folder.path(), MIB), Err(OpenError::Locked(_))));
}

#[test]
fn damaged_files_are_kept_up_to_their_first_bad_record() {
    type Damage = fn(&mut Vec<u8>);
    // A record of this size is 24 + 512 and a few bytes; there are four in the first segment.
    let cases: &[(&str, Damage, &[u64])] = &[
        ("an untouched file", |_| {}, &[1, 2, 3, 4, 5]),
        ("an empty file", |bytes| bytes.clear(), &[5]),
        ("a header cut short", |bytes| bytes.truncate(9), &[5]),
        ("another version", |bytes| bytes[8] = 9, &[5]),
        ("a flipped bit in the magic", |bytes| bytes[0] ^= 1, &[5]),
        ("a flipped bit in the first record", |bytes| bytes[100] ^= 4, &[5]),
        ("a flipped bit in the third record", |bytes| bytes[1300] ^= 4, &[1, 2, 5]),
        ("a flipped bit in a length", |bytes| bytes[16] ^= 1, &[5]),
        ("an absurd length", |bytes| bytes[16..20].fill(0xff), &[5]),
        ("an unknown signal", |bytes| bytes[20] = 7, &[5]),
        ("the last record cut short", |bytes| bytes.truncate(bytes.len() - 1), &[1, 2, 3, 5]),
        ("the last header cut short", |bytes| bytes.truncate(bytes.len() - 530), &[1, 2, 3, 5]),
        ("zeros after the end", |bytes| bytes.resize(bytes.len() + 4096, 0), &[1, 2, 3, 4, 5]),
        ("nothing but zeros", |bytes| bytes.fill(0), &[5]),
    ];
    for (what, damage, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = open(&folder);
        for number in 1..=4 {
            disk.push(&batch(number, 512)).unwrap();
        }
        drop(disk);
        let mut disk = open(&folder);
        disk.push(&batch(5, 512)).unwrap();
        drop(disk);

        let first = segments(&folder).remove(0);
        let mut bytes = fs::read(&first).unwrap();
        let whole = bytes.clone();
        damage(&mut bytes);
        fs::write(&first, &bytes).unwrap();

        let (mut disk, recovery) = Disk::open(folder.path(), 64 * MIB).unwrap();
        assert_eq!(recovery.damage.is_empty(), bytes == whole || bytes.is_empty(), "{what}: {recovery:?}");
        assert_eq!(recovery.waiting.batches, u64::try_from(expected.len()).unwrap(), "{what}");
        assert_eq!(drain(&mut disk), *expected, "{what}");
        drop(disk);
        let (mut disk, recovery) = Disk::open(folder.path(), 64 * MIB).unwrap();
        assert!(recovery.damage.is_empty(), "{what} is set aside once: {recovery:?}");
        assert_eq!(drain(&mut disk), *expected, "{what}, opened again");
    }
}

#[test]
fn damaged_bytes_are_kept_for_whoever_wants_to_see_them() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).push(&batch(1, 512)).unwrap();
    let path = segments(&folder).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (_, recovery) = Disk::open(folder.path(), MIB).unwrap();
    assert_eq!(recovery.damaged_bytes, u64::try_from(bytes.len() - 16).unwrap());
    assert!(
        recovery.damage[0].contains("00000000000000000001.segment: at byte 16: the record is damaged"),
        "{recovery:?}"
    );
    assert_eq!(fs::read(path.with_extension("damaged")).unwrap(), bytes[16..]);
}

#[test]
fn a_damaged_cursor_means_sending_again_not_losing() {
    for damage in [&b"nonsense"[..], &[], &[0; 40]] {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = open(&folder);
        disk.push(&batch(1, 100)).unwrap();
        disk.push(&batch(2, 100)).unwrap();
        let (at, _) = disk.next().0.unwrap();
        disk.settle(at);
        disk.tidy().unwrap();
        drop(disk);
        fs::write(folder.path().join("cursor"), damage).unwrap();
        let (mut disk, recovery) = Disk::open(folder.path(), MIB).unwrap();
        assert_eq!(recovery.damage.len(), 1, "{recovery:?}");
        assert_eq!(drain(&mut disk), [1, 2]);
    }
}

#[test]
fn a_record_that_rots_while_it_waits_costs_the_rest_of_its_segment_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = open(&folder);
    for number in 1..=3 {
        disk.push(&batch(number, 512)).unwrap();
    }
    drop(disk);
    let mut disk = open(&folder);
    disk.push(&batch(4, 512)).unwrap();
    let path = segments(&folder).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[700] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(disk.next().0.map(|(_, batch)| number(&batch)), Some(1));
    let (next, lost) = disk.next();
    assert_eq!(next.map(|(_, batch)| number(&batch)), Some(4));
    assert_eq!(lost, Lost { batches: 2, items: 5 });
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Take,
    Settle(prop::sample::Index),
    Tidy,
    /// The process is killed; what the kernel has stays. The next run opens the folder.
    Crash,
    /// The same, and the last write was torn.
    TornCrash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (8_usize..3000).prop_map(Step::Push),
        4 => Just(Step::Take),
        3 => any::<prop::sample::Index>().prop_map(Step::Settle),
        1 => Just(Step::Tidy),
        1 => Just(Step::Crash),
        1 => Just(Step::TornCrash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_undelivered_is_lost_and_all_comes_in_order(steps in prop::collection::vec(step(), 1..80)) {
        let folder = tempfile::tempdir().unwrap();
        // Segments of 4 KiB, so that there are many.
        let reopen = || Disk::open(folder.path(), 32 * 1024 * 8).map(|(mut disk, _)| {
            disk.segment_bytes = 4096;
            disk
        }).unwrap();
        let mut disk = reopen();
        // What must still come, in order; and what was taken by this run.
        let mut waiting: VecDeque<u64> = VecDeque::new();
        let mut taken: Vec<(Position, u64)> = Vec::new();
        let mut last_taken = 0;
        let mut pushed = 0;
        for step in steps {
            match step {
                Step::Push(size) => {
                    pushed += 1;
                    prop_assert_eq!(disk.push(&batch(pushed, size)).unwrap(), Lost::default());
                    waiting.push_back(pushed);
                }
                Step::Take => {
                    let (next, lost) = disk.next();
                    prop_assert_eq!(lost, Lost::default());
                    if let Some((at, batch)) = next {
                        let number = number(&batch);
                        prop_assert!(number > last_taken, "{} after {}", number, last_taken);
                        last_taken = number;
                        taken.push((at, number));
                    }
                }
                Step::Settle(which) => {
                    if !taken.is_empty() {
                        let (at, number) = taken.swap_remove(which.index(taken.len()));
                        disk.settle(at);
                        waiting.retain(|waits| *waits != number);
                    }
                }
                Step::Tidy => disk.tidy().unwrap(),
                Step::Crash | Step::TornCrash => {
                    drop(disk);
                    if matches!(step, Step::TornCrash)
                        && let Some(last) = segments(&folder).last()
                    {
                        use std::io::Write as _;
                        let mut file = fs::OpenOptions::new().append(true).open(last).unwrap();
                        file.write_all(&[200, 0, 0, 0, 1, 0, 0, 0, 9]).unwrap();
                    }
                    disk = reopen();
                    taken.clear();
                    last_taken = 0;
                }
            }
        }
        drop(disk);
        let left = drain(&mut reopen());
        let again: Vec<u64> = left.iter().copied().filter(|number| waiting.contains(number)).collect();
        prop_assert_eq!(again, Vec::from(waiting));
        prop_assert!(left.is_sorted() && left.iter().all(|number| *number <= pushed));
    }
}
