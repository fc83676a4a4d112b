//! What the engine's threads and its readers share while the database is open.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use fjall::Keyspace;
use yagura_model::{Nanos, Timestamp};

use super::{
    counters::Counters,
    keyspaces::{Day, Keyspaces, Kind},
    logs, metrics, unavailable,
};
use crate::storage::{Error, Figures, RejectReason, config::Config, memory::lock, samples};

/// One entry of the inbox that no block covers yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) sequence: u64,
    pub(super) now: Timestamp,
    pub(super) bytes: u64,
}

/// An open database with its heads.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) config: Config,
    pub(super) keyspaces: Keyspaces,
    pub(super) metrics: metrics::Table,
    pub(super) logs: logs::Table,
    pub(super) counters: Arc<Counters>,
    /// The inbox, oldest first.
    pub(super) inbox: Mutex<VecDeque<Held>>,
    pub(super) inbox_bytes: AtomicU64,
    /// The newest group that is durable.
    pub(super) committed: AtomicU64,
    /// Milliseconds: the newest time that came with a request; retention counts from it.
    now: AtomicI64,
    /// Days before these were dropped for their size, by kind.
    floors: [AtomicI32; 2],
    /// Everything of groups before this one is to be sealed at once.
    pub(super) settle_below: AtomicU64,
    /// Only the reserve of the disk is left.
    pub(super) full: AtomicBool,
    /// A write failed; nothing works until the database is opened again.
    broken: Mutex<Option<String>>,
}

impl Store {
    pub(super) fn new(
        config: Config,
        keyspaces: Keyspaces,
        metrics: metrics::Table,
        counters: Arc<Counters>,
        now: Timestamp,
    ) -> Self {
        Self {
            config,
            keyspaces,
            metrics,
            logs: logs::Table::new(),
            counters,
            inbox: Mutex::default(),
            inbox_bytes: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            now: AtomicI64::new(now.0),
            floors: [AtomicI32::new(i32::MIN), AtomicI32::new(i32::MIN)],
            settle_below: AtomicU64::new(0),
            full: AtomicBool::new(false),
            broken: Mutex::default(),
        }
    }

    /// The newest time that came with a request.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Relaxed))
    }

    pub(super) fn saw(&self, now: Timestamp) {
        self.now.fetch_max(now.0, Relaxed);
    }

    /// The first day that is kept.
    pub(super) fn floor(&self, kind: Kind) -> Day {
        Day(self.floor_of(kind).load(Relaxed))
    }

    /// The first instant that is kept: what is older may still be in memory, but was dropped.
    pub(super) fn kept_from(&self, kind: Kind) -> Timestamp {
        Day(self.floor(kind).0.saturating_sub(1)).end()
    }

    /// Nothing before this day is stored any more.
    pub(super) fn raise_floor(&self, kind: Kind, day: Day) {
        self.floor_of(kind).fetch_max(day.0, Relaxed);
    }

    fn floor_of(&self, kind: Kind) -> &AtomicI32 {
        let [metrics, logs] = &self.floors;
        match kind {
            Kind::Metrics => metrics,
            Kind::Logs => logs,
        }
    }

    /// Whether a sample's time may be stored.
    #[inline]
    pub(super) fn admit_sample(&self, time: Timestamp, now: Timestamp) -> Result<(), RejectReason> {
        samples::admit(time, now, self.config.retention.metrics.0)?;
        self.admit_day(Kind::Metrics, time)
    }

    /// Whether a record's time may be stored.
    #[inline]
    pub(super) fn admit_record(&self, time: Nanos, now: Timestamp) -> Result<(), RejectReason> {
        let time = time.to_timestamp();
        samples::admit(time, now, self.config.retention.logs.0)?;
        self.admit_day(Kind::Logs, time)
    }

    fn admit_day(&self, kind: Kind, time: Timestamp) -> Result<(), RejectReason> {
        let floor = self.floor(kind);
        if floor.0 != i32::MIN && Day::of(time) < floor { Err(RejectReason::TooOld) } else { Ok(()) }
    }

    /// Adds an entry that the inbox holds now.
    pub(super) fn hold(&self, held: Held) {
        lock(&self.inbox).push_back(held);
        self.inbox_bytes.fetch_add(held.bytes, Relaxed);
    }

    /// Whether the inbox holds an entry before this one.
    pub(super) fn inbox_starts_below(&self, sequence: u64) -> bool {
        lock(&self.inbox).front().is_some_and(|first| first.sequence < sequence)
    }

    /// Notes that a write failed.
    pub(super) fn break_down(&self, reason: String) {
        lock(&self.broken).get_or_insert(reason);
    }

    /// Why nothing works, if so.
    pub(super) fn broken(&self) -> Option<String> {
        lock(&self.broken).clone()
    }

    /// Refuses writes while only the reserve of the disk is left.
    pub(super) fn refuse_when_full(&self) -> Result<(), Error> {
        if !self.full.load(Relaxed) {
            return Ok(());
        }
        let path = self.config.path.display();
        Err(Error::Unavailable {
            reason: format!(
                "less than {} bytes are free on the disk of {path}; free some, or lower storage.size",
                self.config.reserve.0
            ),
            retry_after: Duration::from_secs(10),
        })
    }

    /// Whether a day's keyspace was not dropped meanwhile.
    pub(super) fn keyspaces_have(&self, keyspace: &Keyspace) -> bool {
        self.keyspaces.db.keyspace_exists(keyspace.name())
    }

    /// Adds what is not counted but measured.
    pub(super) fn gauges(&self, figures: &mut Figures) {
        let series = self.metrics.all();
        let samples: usize = series.iter().map(|series| series.with(|head| head.len())).sum();
        figures.active_series = series.len() as u64;
        figures.active_streams = self.logs.len() as u64;
        figures.head_bytes = (samples * 24 + self.logs.bytes.load(Relaxed)) as u64;
        figures.disk_bytes = self.keyspaces.db.disk_space().unwrap_or(0);
        figures.inbox_bytes = self.inbox_bytes.load(Relaxed);
    }

    /// The error of a store that broke down.
    pub(super) fn broken_error(&self) -> Error {
        let reason = self.broken().unwrap_or_else(|| "it is being opened again".to_owned());
        unavailable(format!("the last write to disk failed ({reason}); the store is being opened again"))
    }
}
