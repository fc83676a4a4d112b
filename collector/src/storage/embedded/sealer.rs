//! The thread that moves the oldest of the heads into chunks and blocks, a little at a time: what is ripe, what is too
//! much for the memory, and what keeps the inbox from being emptied.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed},
        mpsc::SyncSender,
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Store,
    committer::{Sealed, Work},
    keyspaces::Kind,
    logs::{self, Stream, filter::Filter},
    metrics::{self, Series},
};
use crate::storage::memory::lock;

/// How long it rests when there is nothing to do.
const REST: Duration = Duration::from_millis(100);
/// Series written in one batch.
const SERIES_AT_ONCE: usize = 500;
/// Streams written in one batch.
const STREAMS_AT_ONCE: usize = 16;
/// Bytes of small streams written in one batch.
const BYTES_AT_ONCE: usize = 4 << 20;
/// How long something may be in the inbox only: a start replays no more.
const OLDEST: Duration = Duration::from_secs(2 * 60 * 60 + 30 * 60);
/// How often the inbox is emptied of what is covered.
const EMPTY: Duration = Duration::from_secs(2);

/// Works until told to stop, or until nobody takes its work.
pub(super) fn run(store: &Store, work: &SyncSender<Work>, stop: &AtomicBool) {
    let mut sealer = Sealer { store, filter: Filter::new(), emptied: Instant::now() };
    while !stop.load(Relaxed) {
        let sealed = sealer.next();
        let Some(sealed) = sealed else {
            std::thread::park_timeout(REST);
            continue;
        };
        if work.send(Work::Sealed(sealed)).is_err() {
            return;
        }
    }
}

struct Sealer<'a> {
    store: &'a Store,
    filter: Filter,
    emptied: Instant,
}

impl Sealer<'_> {
    /// The next batch to be written; `None` when there is nothing to do.
    fn next(&mut self) -> Option<Sealed> {
        let mut series = self.store.metrics.take_ready(SERIES_AT_ONCE);
        let mut streams = self.store.logs.take_ready(STREAMS_AT_ONCE);
        let mut all = false;
        if series.is_empty() && streams.is_empty() {
            streams = self.too_much();
        }
        if series.is_empty()
            && streams.is_empty()
            && let Some(cutoff) = self.cutoff()
        {
            (series, streams) = self.oldest(cutoff);
            all = true;
        }
        let (changes, series) = metrics::seal::seal(&series, all, self.store.floor(Kind::Metrics));
        let mut sealed = Sealed { changes, series, ..Sealed::default() };
        let taken = logs::seal::seal(&streams, self.store.floor(Kind::Logs), &mut self.filter);
        sealed.changes.extend(taken.changes);
        sealed.streams = taken.streams;
        sealed.bytes = taken.bytes;
        let pressed = self.store.inbox_bytes.load(Relaxed) > self.store.config.inbox.0;
        let settling = self.store.inbox_starts_below(self.store.settle_below.load(Relaxed));
        if settling || self.emptied.elapsed() >= EMPTY || (pressed && !sealed.changes.is_empty()) {
            self.emptied = Instant::now();
            sealed.covered_below = self.covered_below();
        }
        (!sealed.changes.is_empty() || sealed.covered_below.is_some()).then_some(sealed)
    }

    /// The streams with the most in memory, when there is too much in all.
    fn too_much(&self) -> Vec<Arc<Stream>> {
        if self.store.logs.bytes.load(Relaxed) as u64 <= self.store.config.log_head.0 {
            return Vec::new();
        }
        let mut streams: Vec<_> = self.store.logs.all().into_iter().filter_map(oldest_and_bytes).collect();
        streams.sort_unstable_by_key(|(oldest, ..)| *oldest);
        let mut bytes = 0;
        let fits = |(_, more, _): &(u64, usize, Arc<Stream>)| {
            let fits = bytes < BYTES_AT_ONCE;
            bytes += more;
            fits
        };
        streams.into_iter().take_while(fits).map(|(.., stream)| stream).collect()
    }

    /// The first entry that may stay in the inbox, when it is too large or too old.
    fn cutoff(&self) -> Option<u64> {
        let inbox = lock(&self.store.inbox);
        let total = self.store.inbox_bytes.load(Relaxed);
        let budget = self.store.config.inbox.0;
        let mut surplus = if total > budget { total - budget / 4 * 3 } else { 0 };
        let oldest = self.store.now().minus(OLDEST);
        let settle = self.store.settle_below.load(Relaxed);
        let mut cutoff = None;
        for held in &*inbox {
            if surplus == 0 && held.now >= oldest && held.sequence >= settle {
                break;
            }
            surplus = surplus.saturating_sub(held.bytes);
            cutoff = Some(held.sequence + 1);
        }
        cutoff
    }

    /// Some of the series and streams that came before an entry of the inbox.
    fn oldest(&self, cutoff: u64) -> (Vec<Arc<Series>>, Vec<Arc<Stream>>) {
        let old = |oldest: Option<u64>| oldest.is_some_and(|oldest| oldest < cutoff);
        let series =
            self.store.metrics.all().into_iter().filter(|series| old(series.with(|head| head.oldest_sequence())));
        let streams =
            self.store.logs.all().into_iter().filter(|stream| old(stream.with(|head| head.oldest_sequence())));
        (series.take(SERIES_AT_ONCE * 4).collect(), streams.take(STREAMS_AT_ONCE * 4).collect())
    }

    /// The first entry of the inbox that something in memory needs. What was taken from memory before is written in
    /// this batch or an earlier one.
    fn covered_below(&self) -> Option<u64> {
        // Read first: what the writer adds from now on is of later groups.
        let committed = self.store.committed.load(Acquire);
        let first = lock(&self.store.inbox).front()?.sequence;
        let mut below = committed + 1;
        for series in self.store.metrics.all() {
            below = below.min(series.with(|head| head.oldest_sequence()).unwrap_or(u64::MAX));
            if below <= first {
                return None;
            }
        }
        for stream in self.store.logs.all() {
            below = below.min(stream.with(|head| head.oldest_sequence()).unwrap_or(u64::MAX));
        }
        (below > first).then_some(below)
    }
}

fn oldest_and_bytes(stream: Arc<Stream>) -> Option<(u64, usize, Arc<Stream>)> {
    let (oldest, bytes) = stream.with(|head| (head.oldest_sequence(), head.bytes()));
    Some((oldest?, bytes, stream))
}
