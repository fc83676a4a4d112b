//! Which agents are there: `up` per (job, instance), and what silence means for queries and alerts.
//!
//! In: every metrics request on its way into the store ([`Presence::watch`] stands in front of it). Out: `up` samples
//! every ten seconds; a staleness marker in what queries read of an agent that fell silent; and, for rules, whether an
//! agent's data are the present ([`Freshness`]).
//!
//! Prometheus writes staleness markers into the series of a target that went away. Here that would be wrong: a silent
//! agent's samples may still come, from its buffer. So the marker is not stored but put into the answer of `select`,
//! where an agent was declared silent, into each series that has no sample until the silence ended. When the backlog
//! arrives the series is whole again.
//!
//! Agents are told from other senders by the scope of their own series, `yagura-agent`. What is known of them is kept
//! in the [`StateStore`], so that one that does not come back after a restart of the collector is missed; every agent
//! gets [`GRACE`] to come back first, because it was we who were away.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use yagura_codec::metrics::{Data, Request};
use yagura_daemon::clock;
use yagura_model::{Kind, Labels, Metric, Nanos, Timestamp, metric::stale_nan};

use crate::{
    series::{self, NewSample},
    storage::{Appended, Error, Listing, MetricMetadata, MetricStore, Sample, Selection, Series, StateStore},
};

/// Where agents are remembered.
const AREA: &str = "presence";
/// The scope of an agent's own series.
const AGENT_SCOPE: &str = "yagura-agent";
/// How often `up` is written.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// An agent that sends nothing for this long, and for three of its intervals, is silent.
const SILENCE: Duration = Duration::from_secs(30);
/// No agent's interval is longer.
const MAX_INTERVAL: Duration = Duration::from_secs(300);
/// How long agents may take to come back after the collector started; longer than their longest backoff.
pub(crate) const GRACE: Duration = Duration::from_secs(90);
/// Samples older than this are a backlog, not the present.
const LATE: Duration = Duration::from_secs(60);
/// After a day of silence the node is taken for gone: `up` ends.
const FORGET: Duration = Duration::from_secs(24 * 3600);
/// Silences remembered per target; more than that is an agent that flaps, and its oldest no longer matter.
const MAX_GAPS: usize = 100;
/// Targets at once; whoever sends more is no agent.
const MAX_TARGETS: usize = 20_000;

/// What this module writes.
pub const METRICS: &[Metric] = &[Metric {
    name: "up",
    kind: Kind::Gauge,
    unit: "",
    help: "1 while an agent's batches come, 0 when it fell silent.",
}];

/// Whether what the store has of an agent is the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// No agent of that name, or no labels that name one.
    Unknown,
    /// It reports, and what it reports is new.
    Current,
    /// It delivers a backlog: what is stored of it ends in the past.
    Behind,
    /// It sends nothing.
    Silent,
}

/// What must be written down: keys and their bytes, `None` to delete.
type Writes = Vec<(String, Option<Vec<u8>>)>;

/// A job on a node, as series name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Target {
    job: String,
    instance: String,
}

/// What is known of a target.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Seen {
    /// When its last batch came, by our clock.
    last: Timestamp,
    /// The newest sample it sent.
    newest: Timestamp,
    /// About how far apart its batches' samples are.
    interval: i64,
    /// When it was declared silent; `None` while it is not.
    silent_since: Option<Timestamp>,
    /// Past silences: from when it was declared silent until the first batch after.
    gaps: VecDeque<(Timestamp, Timestamp)>,
}

#[derive(Debug, Default)]
struct Targets {
    started: Timestamp,
    seen: HashMap<Target, Seen>,
    /// Silences to be written down.
    changed: Vec<Target>,
}

/// Knows which agents are there; cheap to clone.
#[derive(Clone, Debug)]
pub struct Presence {
    targets: Arc<Mutex<Targets>>,
    state: Arc<dyn StateStore>,
}

impl Presence {
    /// Reads what was known before the restart.
    pub fn open(state: Arc<dyn StateStore>, now: Timestamp) -> Result<Self, Error> {
        let mut targets = Targets { started: now, ..Targets::default() };
        for (key, value) in state.list(AREA)? {
            // What cannot be read is forgotten: the agent will say again that it is there.
            if let (Some((job, instance)), Ok(seen)) = (key.split_once('\n'), serde_json::from_slice::<Seen>(&value)) {
                targets.seen.insert(Target { job: job.to_owned(), instance: instance.to_owned() }, seen);
            }
        }
        Ok(Self { targets: Arc::new(Mutex::new(targets)), state })
    }

    fn lock(&self) -> MutexGuard<'_, Targets> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store with this in front: what is appended is noticed, what is read is marked.
    #[must_use]
    pub fn watch(&self, store: Arc<dyn MetricStore>) -> Arc<dyn MetricStore> {
        Arc::new(Watched { store, presence: self.clone() })
    }

    /// Whether the data of the agent that some labels name (`instance`, or `node`) are the present.
    #[must_use]
    pub fn freshness(&self, labels: &Labels, now: Timestamp) -> Freshness {
        let Some(name) = labels.get("instance").or_else(|| labels.get("node")) else { return Freshness::Unknown };
        let targets = self.lock();
        let started = targets.started;
        let of_agent = targets.seen.iter().filter(|(target, _)| target.instance == name);
        let worst = of_agent.map(|(_, seen)| seen.freshness(now, started)).max_by_key(|freshness| match freshness {
            Freshness::Unknown => 0,
            Freshness::Current => 1,
            Freshness::Behind => 2,
            Freshness::Silent => 3,
        });
        worst.unwrap_or(Freshness::Unknown)
    }

    /// Names of agents that are silent now, with since when.
    #[must_use]
    pub fn silent(&self) -> Vec<(String, Timestamp)> {
        let mut silent: BTreeMap<String, Timestamp> = BTreeMap::new();
        for (target, seen) in &self.lock().seen {
            if let Some(since) = seen.silent_since {
                let known = silent.entry(target.instance.clone()).or_insert(since);
                *known = since.min(*known);
            }
        }
        silent.into_iter().collect()
    }

    /// As if a batch had come, for tests of what follows from it.
    #[cfg(test)]
    pub(crate) fn hear(&self, job: &str, instance: &str, newest: Timestamp, now: Timestamp) {
        self.observe(vec![(Target { job: job.to_owned(), instance: instance.to_owned() }, newest)], now);
    }

    /// As if it were time to look who is there, for tests of what follows from it.
    #[cfg(test)]
    pub(crate) fn look(&self, now: Timestamp) {
        let _samples_and_writes = self.tick(now);
    }

    /// Notices a batch that was stored.
    fn observe(&self, batches: Vec<(Target, Timestamp)>, now: Timestamp) {
        if batches.is_empty() {
            return;
        }
        let mut targets = self.lock();
        let started = targets.started;
        for (target, newest) in batches {
            let room = targets.seen.len() < MAX_TARGETS;
            let changed = match targets.seen.get_mut(&target) {
                Some(seen) => seen.observe(newest, now, started),
                None if room => {
                    targets.seen.insert(target.clone(), Seen { last: now, newest, ..Seen::default() });
                    true
                }
                None => false,
            };
            if changed {
                targets.changed.push(target);
            }
        }
    }

    /// Declares silence, forgets the gone, and gives the `up` samples of this moment.
    fn tick(&self, now: Timestamp) -> (Vec<NewSample>, Writes) {
        let mut targets = self.lock();
        let started = targets.started;
        let mut changed = std::mem::take(&mut targets.changed);
        let mut samples = Vec::with_capacity(targets.seen.len());
        let mut gone = Vec::new();
        for (target, seen) in &mut targets.seen {
            if seen.silent_since.is_none() && seen.is_silent(now, started) {
                seen.silent_since = Some(now);
                changed.push(target.clone());
            }
            let forget = seen.silent_since.is_some_and(|since| now.since(since) > FORGET);
            if forget {
                gone.push(target.clone());
            } else if seen.silent_since.is_none() && seen.waits(now, started) {
                // The collector just started and the agent was not heard yet: nothing is known, nothing is said.
                continue;
            }
            let up = if seen.silent_since.is_some() { 0.0 } else { 1.0 };
            samples.push(target.up(now, if forget { stale_nan() } else { up }));
        }
        let mut writes = Vec::with_capacity(changed.len() + gone.len());
        for target in &gone {
            targets.seen.remove(target);
        }
        for target in changed.into_iter().chain(gone) {
            let value = targets.seen.get(&target).and_then(|seen| serde_json::to_vec(seen).ok());
            writes.push((format!("{}\n{}", target.job, target.instance), value));
        }
        (samples, writes)
    }

    /// The silences that began within a range.
    fn gaps(&self, from: Timestamp, to: Timestamp) -> Gaps {
        let mut gaps = Gaps::new();
        for (target, seen) in &self.lock().seen {
            let past = seen.gaps.iter().map(|(start, end)| (*start, Some(*end)));
            let all = past.chain(seen.silent_since.map(|since| (since, None)));
            let within: Vec<Gap> = all.filter(|(start, _)| (from..=to).contains(start)).collect();
            if !within.is_empty() {
                gaps.entry(target.instance.clone()).or_default().push((target.job.clone(), within));
            }
        }
        gaps
    }
}

/// A silence: when it was declared, and the first batch after it.
type Gap = (Timestamp, Option<Timestamp>);

/// Silences by instance, then job.
type Gaps = HashMap<String, Vec<(String, Vec<Gap>)>>;

/// Puts a staleness marker into a series for each silence of its target that left a hole in it.
fn mark(series: &mut Series, gaps: &Gaps) {
    let labels = &series.labels;
    // `up` is ours: it says that the agent is silent and does not fall silent with it.
    if labels.name() == Some("up") {
        return;
    }
    let jobs = labels.get("instance").and_then(|instance| gaps.get(instance));
    let found = jobs.into_iter().flatten().find(|(job, _)| labels.get("job") == Some(job));
    let Some((_, gaps)) = found else { return };
    for (start, end) in gaps {
        let place = series.samples.partition_point(|sample| sample.time < *start);
        let next = series.samples.get(place).map(|sample| sample.time);
        let whole = next.is_some_and(|next| end.is_none_or(|end| next < end));
        if place > 0 && !whole {
            series.samples.insert(place, Sample { time: *start, value: stale_nan() });
        }
    }
}

impl Seen {
    /// Takes in a batch; whether something changed that must be written down.
    fn observe(&mut self, newest: Timestamp, now: Timestamp, started: Timestamp) -> bool {
        let step = newest.since(self.newest).min(MAX_INTERVAL);
        // The step over a silence, or over our own absence, says nothing of the interval.
        if self.silent_since.is_none() && self.last >= started && !step.is_zero() {
            let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
            // The larger of the last two steps, falling slowly: one short step must not make the next look silent.
            self.interval = step.max(self.interval / 2);
        }
        self.last = now;
        self.newest = self.newest.max(newest);
        let Some(since) = self.silent_since.take() else { return false };
        if self.gaps.len() == MAX_GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back((since, now));
        true
    }

    /// When its silence is counted from: not before the collector itself was there to hear.
    fn heard(&self, started: Timestamp) -> Timestamp {
        if self.last < started { started.plus(GRACE).minus(self.patience()) } else { self.last }
    }

    fn patience(&self) -> Duration {
        SILENCE.max(Duration::from_millis(u64::try_from(self.interval).unwrap_or(0)) * 3)
    }

    fn is_silent(&self, now: Timestamp, started: Timestamp) -> bool {
        now.since(self.heard(started)) > self.patience()
    }

    /// Not heard since the collector started, and still within the grace.
    fn waits(&self, now: Timestamp, started: Timestamp) -> bool {
        self.last < started && !self.is_silent(now, started)
    }

    fn freshness(&self, now: Timestamp, started: Timestamp) -> Freshness {
        if self.silent_since.is_some() || self.waits(now, started) {
            return Freshness::Silent;
        }
        let interval = Duration::from_millis(u64::try_from(self.interval).unwrap_or(0));
        if now.since(self.newest) > LATE.max(interval * 3) { Freshness::Behind } else { Freshness::Current }
    }
}

impl Target {
    fn up(&self, time: Timestamp, value: f64) -> NewSample {
        let labels = [("__name__", "up"), ("job", self.job.as_str()), ("instance", self.instance.as_str())];
        NewSample { labels: Labels::from_pairs(labels), time, value }
    }
}

/// Writes `up` until told to stop.
pub async fn run(presence: Presence, store: Arc<dyn MetricStore>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = clock::now();
        let (samples, writes) = presence.tick(now);
        if let Err(error) = series::append(&*store, &samples, METRICS, now).await {
            tracing::warn!(%error, "`up` could not be written");
        }
        if !writes.is_empty()
            && let Err(error) = presence.state.write(AREA, writes).await
        {
            tracing::warn!(%error, "what is known of agents could not be written");
        }
    }
}

/// The agents' targets in a request, each with the time of its newest sample. Damaged requests have none: the store
/// will refuse them.
fn targets_of(request: &[u8]) -> Vec<(Target, Timestamp)> {
    let mut found: Vec<(Target, Timestamp)> = Vec::new();
    for resource in Request::new(request).resources().flatten() {
        let attributes = &resource.resource.attributes;
        let (Some(job), Some(instance)) =
            (attributes.get_str("service.name"), attributes.get_str("service.instance.id"))
        else {
            continue;
        };
        let mut newest = None;
        for scope in resource.scopes().flatten().filter(|scope| scope.scope.name == AGENT_SCOPE) {
            // One scrape gives all samples of a scope one time; the first metric tells it.
            let times = scope.metrics().flatten().filter_map(|metric| first_time(&metric.data)).take(1);
            newest = newest.into_iter().chain(times).max();
        }
        if let Some(newest) = newest {
            let target = Target { job: job.to_owned(), instance: instance.to_owned() };
            found.push((target, newest.to_timestamp()));
        }
    }
    found
}

fn first_time(data: &Data<'_>) -> Option<Nanos> {
    match data {
        Data::Gauge(points) | Data::Sum { points, .. } => points.iter().flatten().next().map(|point| point.time),
        _ => None,
    }
}

/// A store whose appends are noticed and whose answers are marked.
#[derive(Debug)]
struct Watched {
    store: Arc<dyn MetricStore>,
    presence: Presence,
}

impl MetricStore for Watched {
    fn append(&self, request: Bytes, now: Timestamp) -> BoxFuture<'_, Result<Appended, Error>> {
        Box::pin(async move {
            let targets = targets_of(&request);
            let appended = self.store.append(request, now).await?;
            self.presence.observe(targets, now);
            Ok(appended)
        })
    }

    fn select(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Series>, Error>> {
        Box::pin(async move {
            let (from, to) = (selection.from, selection.to);
            let mut series = self.store.select(selection).await?;
            let gaps = self.presence.gaps(from, to);
            if !gaps.is_empty() {
                series.iter_mut().for_each(|series| mark(series, &gaps));
            }
            Ok(series)
        })
    }

    fn series(&self, listing: Listing) -> BoxFuture<'_, Result<Vec<Labels>, Error>> {
        self.store.series(listing)
    }

    fn label_names(&self, listing: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        self.store.label_names(listing)
    }

    fn label_values(&self, name: String, listing: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        self.store.label_values(name, listing)
    }

    fn metadata(&self, metric: Option<String>, limit: usize) -> BoxFuture<'_, Result<Vec<MetricMetadata>, Error>> {
        self.store.metadata(metric, limit)
    }
}

#[cfg(test)]
mod tests {
    use yagura_codec::{
        attributes::{PointAttributes, ResourceAttributes, ScopeAttributes},
        metrics::{Encoder, MetricKind, NewNumber, Number},
    };
    use yagura_model::metric::is_stale;

    use super::*;
    use crate::storage::{MatchOp, Matcher, memory};

    struct Setup {
        presence: Presence,
        store: Arc<dyn MetricStore>,
        state: Arc<dyn StateStore>,
    }

    fn setup() -> Setup {
        let storage = memory::open();
        let presence = Presence::open(Arc::clone(&storage.state), at(0)).unwrap();
        Setup { store: presence.watch(storage.metrics), presence, state: storage.state }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_700_000_000_000 + seconds * 1000)
    }

    fn batch(scope: &str, seconds: i64) -> Bytes {
        let mut encoder = Encoder::default();
        let resource = [("service.name", "node-exporter"), ("service.instance.id", "web-1")];
        encoder.begin_resource(&ResourceAttributes::from_pairs(resource));
        encoder.begin_scope(scope, "", &ScopeAttributes::new());
        encoder.begin_metric("node_load1", "", "", MetricKind::Gauge);
        encoder.number(&NewNumber {
            attributes: &[&PointAttributes::new()],
            start: Nanos(0),
            time: at(seconds).to_nanos(),
            value: Number::Int(1),
        });
        Bytes::from(encoder.finish())
    }

    impl Setup {
        /// An agent's batch about `sampled` that arrives at `arrives`.
        async fn batch(&self, sampled: i64, arrives: i64) {
            self.store.append(batch(AGENT_SCOPE, sampled), at(arrives)).await.unwrap();
        }

        fn up(&self, now: i64) -> Vec<f64> {
            self.presence.tick(at(now)).0.iter().map(|sample| sample.value).collect()
        }

        fn freshness(&self, now: i64) -> Freshness {
            self.presence.freshness(&Labels::from_pairs([("instance", "web-1")]), at(now))
        }

        /// Seconds of the samples, markers with a minus.
        async fn read(&self) -> Vec<i64> {
            let matchers = vec![Matcher::new("__name__", MatchOp::Equal, "node_load1").unwrap()];
            let selection = Selection { matchers, from: at(0), to: at(100_000), max_samples: 1000 };
            let series = self.store.select(selection).await.unwrap();
            let second =
                |sample: &Sample| (sample.time.0 - at(0).0) / 1000 * if is_stale(sample.value) { -1 } else { 1 };
            series[0].samples.iter().map(second).collect()
        }
    }

    #[tokio::test]
    async fn an_agent_is_up_while_its_batches_come_and_down_when_they_stop() {
        let setup = setup();
        assert_eq!(setup.up(0), [0.0; 0]);
        setup.batch(10, 10).await;
        setup.batch(20, 20).await;
        assert_eq!(setup.up(30), [1.0]);
        assert_eq!(setup.up(50), [1.0]);
        assert_eq!(setup.up(51), [0.0]);
        assert_eq!(setup.freshness(51), Freshness::Silent);
        setup.batch(60, 60).await;
        assert_eq!(setup.up(60), [1.0]);
        assert_eq!(setup.freshness(60), Freshness::Current);
    }

    #[tokio::test]
    async fn an_agent_with_a_long_interval_is_given_three_of_them() {
        let setup = setup();
        setup.batch(0, 0).await;
        setup.batch(60, 60).await;
        assert_eq!(setup.up(60 + 180), [1.0]);
        assert_eq!(setup.up(60 + 181), [0.0]);
    }

    #[tokio::test]
    async fn a_silence_is_not_taken_for_a_long_interval() {
        let setup = setup();
        setup.batch(0, 0).await;
        setup.batch(10, 10).await;
        assert_eq!(setup.up(100), [0.0]);
        setup.batch(3000, 3000).await;
        assert_eq!(setup.up(3000), [1.0]);
        assert_eq!(setup.up(3031), [0.0]);
    }

    #[tokio::test]
    async fn other_senders_are_not_missed() {
        let setup = setup();
        setup.store.append(batch("io.opentelemetry.contrib", 1), at(1)).await.unwrap();
        assert_eq!(setup.up(100), [0.0; 0]);
        assert_eq!(setup.freshness(100), Freshness::Unknown);
    }

    #[tokio::test]
    async fn series_of_a_silent_agent_are_stale_and_whole_again_with_the_backlog() {
        let setup = setup();
        setup.batch(10, 10).await;
        setup.batch(20, 20).await;
        assert_eq!(setup.read().await, [10, 20]);
        setup.up(55);
        assert_eq!(setup.read().await, [10, 20, -55]);
        setup.batch(120, 120).await;
        assert_eq!(setup.read().await, [10, 20, -55, 120], "it was away and has nothing to tell of that time");
        setup.batch(60, 121).await;
        assert_eq!(setup.read().await, [10, 20, 60, 120], "the backlog came");
    }

    #[tokio::test]
    async fn a_backlog_is_not_the_present() {
        let setup = setup();
        setup.batch(10, 10).await;
        setup.batch(20, 20).await;
        setup.up(60);
        setup.batch(30, 3600).await;
        assert_eq!(setup.freshness(3600), Freshness::Behind);
        setup.batch(3600, 3601).await;
        assert_eq!(setup.freshness(3601), Freshness::Current);
    }

    #[tokio::test]
    async fn after_a_restart_an_agent_has_time_to_come_back_and_is_missed_if_it_does_not() {
        let setup = setup();
        setup.batch(10, 10).await;
        let (_, writes) = setup.presence.tick(at(20));
        setup.state.write(AREA, writes).await.unwrap();
        let presence = Presence::open(Arc::clone(&setup.state), at(5000)).unwrap();
        let again = Setup { store: setup.store, presence, state: setup.state };
        assert_eq!(again.up(5010), [0.0; 0], "nothing is known yet");
        assert_eq!(again.freshness(5010), Freshness::Silent);
        assert_eq!(again.up(5091), [0.0]);
    }

    #[tokio::test]
    async fn after_a_day_the_node_is_taken_for_gone() {
        let setup = setup();
        setup.batch(10, 10).await;
        assert_eq!(setup.up(100), [0.0]);
        assert!(is_stale(setup.up(100 + 86_401)[0]));
        assert_eq!(setup.up(100 + 86_410), [0.0; 0]);
    }
}
