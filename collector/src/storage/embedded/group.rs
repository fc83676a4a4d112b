//! A group commit being put together: what the writer accepted from one or more requests, and who waits for it.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::oneshot;
use yagura_model::Timestamp;

use super::{
    coding::{Input, put_signed, put_varint},
    delivered::Key,
    keyspaces::{Change, Day},
    logs::Stream,
    metrics::Series,
};
use crate::storage::{Appended, Error, Sample};

/// Who waits for a request, and what became of it.
pub(super) type Reply = (oneshot::Sender<Result<Appended, Error>>, Appended);

/// One group commit.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) sequence: u64,
    /// The newest time that came with its requests.
    pub(super) now: Timestamp,
    ids: Vec<u64>,
    times: Vec<u8>,
    last_time: i64,
    values: Vec<u64>,
    pub(super) series: Vec<Arc<Series>>,
    /// Encoded runs of records.
    pub(super) records: Vec<u8>,
    pub(super) record_count: u64,
    pub(super) streams: Vec<Arc<Stream>>,
    pub(super) new_series: Vec<(Day, Arc<Series>)>,
    pub(super) new_streams: Vec<(Day, Arc<Stream>)>,
    pub(super) changes: Vec<Change>,
    pub(super) delivered: HashMap<Key, Vec<u8>>,
    pub(super) replies: Vec<Reply>,
    /// Bytes of the requests in it.
    pub(super) bytes: usize,
}

impl Group {
    pub(super) fn new(sequence: u64, now: Timestamp) -> Self {
        Self {
            sequence,
            now,
            ids: Vec::new(),
            times: Vec::new(),
            last_time: 0,
            values: Vec::new(),
            series: Vec::new(),
            records: Vec::new(),
            record_count: 0,
            streams: Vec::new(),
            new_series: Vec::new(),
            new_streams: Vec::new(),
            changes: Vec::new(),
            delivered: HashMap::new(),
            replies: Vec::new(),
            bytes: 0,
        }
    }

    /// Accepts a sample whose time is free.
    #[inline]
    pub(super) fn sample(&mut self, series: &Arc<Series>, sample: Sample) {
        let day = Day::of(sample.time);
        let new = series.with(|head| {
            head.push(sample, self.sequence);
            head.new_in(day)
        });
        if new {
            self.new_series.push((day, Arc::clone(series)));
        }
        self.ids.push(series.id);
        put_signed(&mut self.times, sample.time.0.wrapping_sub(self.last_time));
        self.last_time = sample.time.0;
        self.values.push(sample.value.to_bits());
        self.series.push(Arc::clone(series));
    }

    /// How many samples it has.
    pub(super) fn samples(&self) -> usize {
        self.ids.len()
    }

    /// Whether the inbox needs to hold anything of it.
    pub(super) fn has_data(&self) -> bool {
        !self.ids.is_empty() || !self.records.is_empty()
    }

    /// What a start needs to do it again: `now`, the samples in columns, the runs of records.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.ids.len() * 18 + self.records.len() + 32);
        put_signed(&mut out, self.now.0);
        put_varint(&mut out, self.ids.len() as u64);
        self.ids.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
        out.extend_from_slice(&self.times);
        self.values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        out.extend_from_slice(&self.records);
        out
    }
}

/// What [`Group::encode`] wrote.
#[derive(Debug)]
pub(super) struct Encoded<'a> {
    pub(super) now: Timestamp,
    pub(super) samples: Vec<(u64, Sample)>,
    /// Encoded runs of records.
    pub(super) records: Input<'a>,
}

impl<'a> Encoded<'a> {
    /// `None` when it is damaged.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let now = Timestamp(input.signed()?);
        let count = input.length().filter(|count| *count <= bytes.len() / 8)?;
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(input.word()?);
        }
        let mut times = Vec::with_capacity(count);
        let mut time = 0_i64;
        for _ in 0..count {
            time = time.wrapping_add(input.signed()?);
            times.push(Timestamp(time));
        }
        let mut samples = Vec::with_capacity(count);
        for (id, time) in ids.into_iter().zip(times) {
            samples.push((id, Sample { time, value: f64::from_bits(input.word()?) }));
        }
        Some(Self { now, samples, records: input })
    }
}
