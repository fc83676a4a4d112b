//! The thread that writes. It takes what the writer and the sealer hand over, commits each as one atomic batch, syncs
//! the journal once for all of them, and only then makes them visible and acknowledges.

use std::{
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, Release},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use fjall::{AbstractTree, PersistMode};
use tokio::{sync::oneshot, time::Instant};
use yagura_codec::compress::zstd_compress;
use yagura_model::Timestamp;

use super::{
    Store,
    coding::put_varint,
    group::Group,
    keyspaces::{Change, FORMAT, Space},
    logs::{self, Stream},
    metrics::{self, Series},
    retention,
    store::Held,
};
use crate::storage::{Error, memory::lock};

/// How often the free space of the disk is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often retention runs, by the time that comes with requests.
const RETENTION: Duration = Duration::from_secs(60);
/// How often what is known of files and idle series is looked through, by the same time: all of it is read.
const FORGET: Duration = Duration::from_secs(6 * 60 * 60);
/// Bytes of memtables in all keyspaces together above which the largest is flushed.
const MEMTABLES: u64 = 96 << 20;
/// One sync covers at most so many bytes of requests: readers and senders are not kept waiting for longer.
const BYTES_OF_SYNC: usize = 16 << 20;
const LEVEL: i32 = 1;

/// Something to be written.
#[derive(Debug)]
pub(super) enum Work {
    Group(Box<Group>),
    Sealed(Sealed),
    State { changes: Vec<Change>, reply: oneshot::Sender<Result<(), Error>> },
}

/// What the sealer took out of memory.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    pub(super) changes: Vec<Change>,
    pub(super) series: Vec<Arc<Series>>,
    pub(super) streams: Vec<Arc<Stream>>,
    /// Bytes of records that leave memory.
    pub(super) bytes: usize,
    /// Every entry of the inbox before this one is covered by chunks and blocks now.
    pub(super) covered_below: Option<u64>,
}

/// Works until nobody can hand over anything any more, or until a write fails.
pub(super) fn run(store: &Store, work: &Receiver<Work>) {
    let mut committer = Committer { store, looked: None, retained: None, forgot: None };
    committer.look();
    let mut synced: Option<Instant> = None;
    loop {
        let first = match work.recv_timeout(LOOK) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                committer.look();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut all = vec![first];
        let mut bytes = all.first().map_or(0, size);
        // Syncing more often than the interval would only wear the disk; what comes meanwhile is synced together.
        let deadline = synced.map(|at| at + store.config.commit_interval.0);
        while bytes < BYTES_OF_SYNC {
            let wait = deadline.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
            match work.recv_timeout(wait) {
                Ok(next) => {
                    bytes += size(&next);
                    all.push(next);
                }
                Err(_) => break,
            }
        }
        if store.broken().is_none()
            && let Err(error) = committer.commit(&mut all)
        {
            tracing::error!(%error, "cannot write to the store; it will be opened again");
            store.break_down(error.to_string());
        }
        if store.broken().is_some() {
            all.into_iter().for_each(|work| refuse(store, work));
            break;
        }
        synced = Some(Instant::now());
    }
    // What is still handed over is refused rather than left without an answer.
    work.iter().for_each(|work| refuse(store, work));
    if store.broken().is_none()
        && let Err(error) = store.keyspaces.db.persist(PersistMode::SyncAll)
    {
        tracing::error!(%error, "cannot sync the store while closing it");
    }
}

fn size(work: &Work) -> usize {
    match work {
        Work::Group(group) => group.bytes,
        Work::Sealed(sealed) => sealed.changes.iter().map(|change| change.value.as_ref().map_or(0, Vec::len)).sum(),
        Work::State { .. } => 0,
    }
}

fn refuse(store: &Store, work: Work) {
    match work {
        Work::Group(group) => {
            for (reply, _) in group.replies {
                // The sender may have gone; it will send again.
                drop(reply.send(Err(store.broken_error())));
            }
        }
        Work::State { reply, .. } => drop(reply.send(Err(store.broken_error()))),
        Work::Sealed(_) => {}
    }
}

struct Committer<'a> {
    store: &'a Store,
    looked: Option<Instant>,
    retained: Option<Timestamp>,
    forgot: Option<Timestamp>,
}

impl Committer<'_> {
    fn commit(&mut self, all: &mut Vec<Work>) -> Result<(), fjall::Error> {
        let started = Instant::now();
        let mut held = Vec::new();
        for work in &*all {
            held.push(self.write(work)?);
        }
        self.store.keyspaces.db.persist(PersistMode::SyncData)?;
        for (work, held) in all.drain(..).zip(held) {
            self.finish(work, held);
        }
        let counters = &self.store.counters;
        counters.commits.fetch_add(1, Relaxed);
        counters.commit_micros.fetch_add(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.look();
        self.flush_largest()?;
        self.retain()
    }

    /// Commits one piece of work, not yet synced.
    fn write(&self, work: &Work) -> Result<Option<Held>, fjall::Error> {
        let mut batch = self.store.keyspaces.db.batch();
        let mut held = None;
        match work {
            Work::Group(group) => {
                if group.has_data() {
                    let value = encode(group);
                    held = Some(Held { sequence: group.sequence, now: group.now, bytes: value.len() as u64 });
                    batch.insert(&self.store.keyspaces.inbox, group.sequence.to_be_bytes(), value);
                }
                for (day, series) in &group.new_series {
                    self.put(&mut batch, &metrics::ingest::record(*day, series.id, &series.labels))?;
                }
                for (day, stream) in &group.new_streams {
                    self.put(&mut batch, &logs::ingest::record(*day, stream.id, &stream.labels))?;
                }
                for (key, value) in &group.delivered {
                    batch.insert(&self.store.keyspaces.ranges, *key, value.as_slice());
                }
                group.changes.iter().try_for_each(|change| self.put(&mut batch, change))?;
            }
            Work::Sealed(sealed) => {
                sealed.changes.iter().try_for_each(|change| self.put(&mut batch, change))?;
                if let Some(below) = sealed.covered_below {
                    let covered = lock(&self.store.inbox).iter().take_while(|held| held.sequence < below).count();
                    for held in lock(&self.store.inbox).iter().take(covered) {
                        batch.remove(&self.store.keyspaces.inbox, held.sequence.to_be_bytes());
                    }
                    batch.insert(&self.store.keyspaces.meta, b"floor", below.to_be_bytes());
                }
            }
            Work::State { changes, .. } => changes.iter().try_for_each(|change| self.put(&mut batch, change))?,
        }
        batch.commit()?;
        Ok(held)
    }

    fn put(&self, batch: &mut fjall::OwnedWriteBatch, change: &Change) -> Result<(), fjall::Error> {
        // A day that retention dropped must not come back.
        if let Space::Day(kind, day) = change.space
            && day < self.store.floor(kind)
        {
            return Ok(());
        }
        let keyspace = self.store.keyspaces.resolve(change.space)?;
        match &change.value {
            Some(value) => batch.insert(&keyspace, change.key.as_slice(), value.as_slice()),
            None => batch.remove(&keyspace, change.key.as_slice()),
        }
        Ok(())
    }

    /// Durable now: make it visible, and say so.
    fn finish(&mut self, work: Work, held: Option<Held>) {
        match work {
            Work::Group(group) => self.finish_group(*group, held),
            Work::Sealed(sealed) => self.finish_sealed(sealed),
            Work::State { reply, .. } => drop(reply.send(Ok(()))),
        }
    }

    fn finish_group(&self, group: Group, held: Option<Held>) {
        let store = self.store;
        for (day, series) in &group.new_series {
            store.metrics.indexes.insert(*day, series.id, &series.labels);
        }
        for (day, stream) in &group.new_streams {
            store.logs.indexes.insert(*day, stream.id, &stream.labels);
        }
        for series in &group.series {
            if series.with(|head| head.promote(group.sequence)) {
                store.metrics.ready(Arc::clone(series));
            }
        }
        let tail = &store.logs.tail;
        for stream in &group.streams {
            let listening = tail.receiver_count() > 0;
            let ready = stream.with(|head| {
                head.promote(group.sequence, |batch, record| {
                    if listening {
                        drop(tail.send(Arc::new(logs::read::entry(&stream.labels, batch, record))));
                    }
                })
            });
            if ready {
                store.logs.ready(Arc::clone(stream));
            }
        }
        if let Some(held) = held {
            store.hold(held);
        }
        store.committed.fetch_max(group.sequence, Release);
        store.saw(group.now);
        store.counters.samples.fetch_add(group.samples() as u64, Relaxed);
        store.counters.records.fetch_add(group.record_count, Relaxed);
        for (reply, appended) in group.replies {
            store.counters.add(&appended);
            drop(reply.send(Ok(appended)));
        }
    }

    fn finish_sealed(&self, sealed: Sealed) {
        let store = self.store;
        for series in sealed.series {
            if series.with(metrics::head::Head::sealed) {
                store.metrics.ready(series);
            }
        }
        for stream in sealed.streams {
            if stream.with(logs::head::Head::sealed) {
                store.logs.ready(stream);
            }
        }
        store.logs.freed(sealed.bytes);
        store.counters.sealed.fetch_add(sealed.changes.len() as u64, Relaxed);
        if let Some(below) = sealed.covered_below {
            let mut inbox = lock(&store.inbox);
            while let Some(first) = inbox.front().copied().filter(|first| first.sequence < below) {
                inbox.pop_front();
                store.inbox_bytes.fetch_sub(first.bytes, Relaxed);
            }
        }
    }

    /// Looks whether only the reserve of the disk is left.
    fn look(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        if let Ok(disk) = rustix::fs::statvfs(&self.store.config.path) {
            let full = disk.f_bavail.saturating_mul(disk.f_frsize) < self.store.config.reserve.0;
            if self.store.full.swap(full, Relaxed) != full {
                tracing::warn!(full, "free space of the store's disk against its reserve");
            }
        }
    }

    /// Keeps the memory of all memtables together within bounds.
    fn flush_largest(&self) -> Result<(), fjall::Error> {
        if self.store.keyspaces.db.write_buffer_size() <= MEMTABLES {
            return Ok(());
        }
        let all = self.store.keyspaces.all();
        if let Some(largest) = all.iter().max_by_key(|keyspace| keyspace.tree.active_memtable().size()) {
            largest.rotate_memtable()?;
        }
        Ok(())
    }

    fn retain(&mut self) -> Result<(), fjall::Error> {
        let now = self.store.now();
        if self.retained.is_some_and(|at| now.since(at) < RETENTION) {
            return Ok(());
        }
        self.retained = Some(now);
        retention::run(self.store, now)?;
        if self.forgot.is_some_and(|at| now.since(at) < FORGET) {
            return Ok(());
        }
        self.forgot = Some(now);
        let mut batch = self.store.keyspaces.db.batch();
        retention::forget(self.store, now).iter().try_for_each(|change| self.put(&mut batch, change))?;
        batch.commit()
    }
}

/// A group as the inbox holds it: version, length, and zstd of [`Group::encode`].
fn encode(group: &Group) -> Vec<u8> {
    let raw = group.encode();
    let mut value = vec![FORMAT];
    put_varint(&mut value, raw.len() as u64);
    // Compressing into memory does not fail; were it so, an empty frame is read as damage.
    let start = value.len();
    if zstd_compress(LEVEL, &raw, &mut value).is_err() {
        value.truncate(start);
    }
    value
}
