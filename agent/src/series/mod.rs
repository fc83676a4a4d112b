//! What a metric source writes and both `/metrics` and OTLP read: the series of one job, each with its last value.
//!
//! A source opens a scrape with [`Table::begin`], says every sample it has with [`Table::sample`], and closes it with
//! [`Table::finish`]. A series that a scrape did not mention has ended: it is written once more with a staleness
//! marker and forgotten. Labels are kept, not built anew: a sample of a known series allocates nothing.
//!
//! * `text` writes the table in the Prometheus text format,
//! * `otlp` encodes it as an `ExportMetricsServiceRequest`.

pub mod otlp;
pub mod text;

use std::{
    collections::{HashMap, HashSet},
    hash::Hasher,
    sync::Arc,
};

use xxhash_rust::xxh3::Xxh3;
use yagura_model::{Metric, Tags, Timestamp};

/// A sample's value; integers stay integers, which the store keeps in fewer bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// Any number.
    Float(f64),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    #[expect(clippy::cast_precision_loss, reason = "past 2^63 a float is all that is left")]
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Float(value as f64), Self::Int)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

/// A set of labels that many series share: one container, one pod, the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScopeId(u32);

/// Labels that many series share, and since when their counters count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Labels and then tags, without those tags whose name is a label's.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// When the counters of these series were zero: the container's start, the machine's boot.
    pub start: Timestamp,
}

/// Labels of one series. Series with the same ones hold the same: `cpu="total"` is on every container, and comparing
/// one text over and over is cheaper than comparing a copy for each.
pub type OwnLabels = Arc<[(Box<str>, Box<str>)]>;

/// One series and its last value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What is measured.
    pub metric: &'static Metric,
    /// Which labels it shares with others.
    pub scope: ScopeId,
    /// Its own labels.
    pub labels: OwnLabels,
    /// The value of the last scrape.
    pub value: Value,
    /// The scrape that said it.
    seen: u64,
}

/// The series of one job on this node.
#[derive(Debug)]
pub struct Table {
    /// OTLP's `service.name`, Prometheus' `job`: whose place these series take (`node-exporter`, `cadvisor`, `yagura-agent`).
    pub job: &'static str,
    /// OTLP's `service.instance.id`, Prometheus' `instance`: the node's name.
    pub instance: Box<str>,
    /// When the last scrape was.
    pub time: Timestamp,
    scrape: u64,
    scopes: HashMap<ScopeId, Scope>,
    next_scope: u32,
    entries: Vec<Entry>,
    /// Every set of labels that an entry has.
    label_sets: HashSet<OwnLabels>,
    /// Where the next sample is looked for first: a source says its series in the same order every time.
    guess: usize,
    /// How many entries this scrape has mentioned.
    mentioned: usize,
    /// Hash of (metric, scope, labels) to a place in `entries`; the next hash is tried when two fall together.
    index: HashMap<u64, usize, Identity>,
    /// Series the last scrape did not mention any more.
    ended: Vec<Entry>,
    /// Scopes that only `ended` still needs.
    leaving: Vec<ScopeId>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(job: &'static str, instance: &str) -> Self {
        Self {
            job,
            instance: instance.into(),
            time: Timestamp::default(),
            scrape: 0,
            scopes: HashMap::new(),
            next_scope: 0,
            entries: Vec::new(),
            label_sets: HashSet::new(),
            guess: 0,
            mentioned: 0,
            index: HashMap::default(),
            ended: Vec::new(),
            leaving: Vec::new(),
        }
    }

    /// Registers labels that many series share. A label wins over a tag of the same name.
    pub fn add_scope(&mut self, labels: &[(&str, &str)], tags: &Tags, start: Timestamp) -> ScopeId {
        let own = labels.iter().copied().filter(|(_, value)| !value.is_empty());
        let tags = tags.labels().filter(|(tag, _)| !labels.iter().any(|(label, _)| label == tag));
        let labels = own.chain(tags).map(|(name, value)| (name.into(), value.into())).collect();
        let id = ScopeId(self.next_scope);
        self.next_scope = self.next_scope.wrapping_add(1);
        self.scopes.insert(id, Scope { labels, start });
        id
    }

    /// Says that the counters of a scope started anew: its container was started again under the same labels.
    pub fn set_start(&mut self, id: ScopeId, start: Timestamp) {
        if let Some(scope) = self.scopes.get_mut(&id) {
            scope.start = start;
        }
    }

    /// Ends every series of a scope; the next [`Table::finish`] marks them stale.
    pub fn remove_scope(&mut self, id: ScopeId) {
        self.leaving.push(id);
    }

    /// Opens a scrape.
    pub fn begin(&mut self, now: Timestamp) {
        self.time = now;
        self.scrape += 1;
        (self.guess, self.mentioned) = (0, 0);
        for id in std::mem::take(&mut self.ended).into_iter().map(|entry| entry.scope).collect::<Vec<_>>() {
            if self.leaving.contains(&id) {
                self.scopes.remove(&id);
            }
        }
        let scopes = &self.scopes;
        self.leaving.retain(|id| scopes.contains_key(id));
    }

    /// Says the value of one series; the last one said in a scrape counts. `labels` must come in the same order each
    /// time, must not repeat a name, and win over the scope's.
    pub fn sample(
        &mut self,
        scope: ScopeId,
        metric: &'static Metric,
        labels: &[(&str, &str)],
        value: impl Into<Value>,
    ) {
        let value = value.into();
        if self.set(self.guess, scope, metric, labels, value) {
            return;
        }
        let mut hash = hash(scope, metric, labels);
        while let Some(place) = self.index.get(&hash) {
            if self.set(*place, scope, metric, labels, value) {
                return;
            }
            hash = hash.wrapping_add(1);
        }
        self.index.insert(hash, self.entries.len());
        self.guess = self.entries.len() + 1;
        self.mentioned += 1;
        let labels = self.intern(labels);
        self.entries.push(Entry { metric, scope, labels, value, seen: self.scrape });
    }

    fn intern(&mut self, labels: &[(&str, &str)]) -> OwnLabels {
        let labels: OwnLabels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        if let Some(held) = self.label_sets.get(&labels) {
            return Arc::clone(held);
        }
        self.label_sets.insert(Arc::clone(&labels));
        labels
    }

    /// Sets the value of the entry at `place`, if that is the series meant.
    #[inline]
    fn set(
        &mut self,
        place: usize,
        scope: ScopeId,
        metric: &'static Metric,
        labels: &[(&str, &str)],
        value: Value,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(place).filter(|entry| entry.is(scope, metric, labels)) else {
            return false;
        };
        entry.value = value;
        self.mentioned += usize::from(entry.seen != self.scrape);
        entry.seen = self.scrape;
        self.guess = place + 1;
        true
    }

    /// Closes a scrape: what it did not mention has ended.
    pub fn finish(&mut self) {
        if self.mentioned == self.entries.len() && self.leaving.is_empty() {
            return;
        }
        let (scrape, leaving) = (self.scrape, &self.leaving);
        let gone = |entry: &Entry| entry.seen != scrape || leaving.contains(&entry.scope);
        if !self.entries.iter().any(gone) {
            return;
        }
        self.ended = self.entries.extract_if(.., |entry| gone(entry)).collect();
        self.label_sets.retain(|labels| Arc::strong_count(labels) > 1);
        self.index.clear();
        for (place, entry) in self.entries.iter().enumerate() {
            let mut hash = hash_owned(entry);
            while self.index.contains_key(&hash) {
                hash = hash.wrapping_add(1);
            }
            self.index.insert(hash, place);
        }
    }

    /// Every live series.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The series that ended with the last scrape; each needs one staleness marker.
    #[must_use]
    pub fn ended(&self) -> &[Entry] {
        &self.ended
    }

    /// The labels an entry shares with others, without those it has itself.
    pub fn shared_labels<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        let shared = self.scopes.get(&entry.scope).map_or(&[][..], |scope| scope.labels.as_slice());
        let overridden = |name: &str| entry.labels.iter().any(|(own, _)| &**own == name);
        shared.iter().map(|(name, value)| (&**name, &**value)).filter(move |(name, _)| !overridden(name))
    }

    /// Since when an entry's counter counts.
    #[must_use]
    pub fn start(&self, entry: &Entry) -> Timestamp {
        self.scopes.get(&entry.scope).map_or_else(Timestamp::default, |scope| scope.start)
    }
}

impl Entry {
    fn is(&self, scope: ScopeId, metric: &'static Metric, labels: &[(&str, &str)]) -> bool {
        self.scope == scope
            && (std::ptr::eq(self.metric, metric) || self.metric.name == metric.name)
            && self.labels.len() == labels.len()
            && self.labels.iter().zip(labels).all(|(held, said)| (&*held.0, &*held.1) == *said)
    }
}

fn hash(scope: ScopeId, metric: &Metric, labels: &[(&str, &str)]) -> u64 {
    hash_of(scope, metric, labels.iter().copied())
}

fn hash_owned(entry: &Entry) -> u64 {
    hash_of(entry.scope, entry.metric, entry.labels.iter().map(|(name, value)| (&**name, &**value)))
}

fn hash_of<'a>(scope: ScopeId, metric: &Metric, labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&scope.0.to_le_bytes());
    hasher.update(metric.name.as_bytes());
    for (name, value) in labels {
        hasher.update(name.as_bytes());
        hasher.update(b"\xff");
        hasher.update(value.as_bytes());
        hasher.update(b"\xfe");
    }
    hasher.digest()
}

/// The keys of the index are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct Identity;

impl std::hash::BuildHasher for Identity {
    type Hasher = IdentityHasher;
    fn build_hasher(&self) -> IdentityHasher {
        IdentityHasher(0)
    }
}

#[derive(Debug)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yagura_model::Kind;

    const CPU: Metric = Metric { name: "cpu_seconds_total", kind: Kind::Counter, unit: "s", help: "CPU time." };
    const UP: Metric = Metric { name: "up", kind: Kind::Gauge, unit: "", help: "Whether it is up." };

    fn scrape(table: &mut Table, time: i64, samples: &[(ScopeId, &'static Metric, &str, f64)]) {
        table.begin(Timestamp(time));
        for (scope, metric, cpu, value) in samples {
            table.sample(*scope, metric, &[("cpu", cpu)], *value);
        }
        table.finish();
    }

    #[test]
    fn a_series_not_mentioned_has_ended_once() {
        let mut table = Table::new("node-exporter", "n1");
        let host = table.add_scope(&[], &Tags::default(), Timestamp(7));
        scrape(&mut table, 1, &[(host, &CPU, "0", 1.0), (host, &CPU, "1", 2.0), (host, &UP, "0", 1.0)]);
        assert_eq!((table.entries().len(), table.ended().len()), (3, 0));
        scrape(&mut table, 2, &[(host, &CPU, "1", 3.0)]);
        assert_eq!((table.entries().len(), table.ended().len()), (1, 2));
        assert_eq!(table.entries()[0].value, Value::Float(3.0));
        assert_eq!(table.start(&table.entries()[0]), Timestamp(7));
        scrape(&mut table, 3, &[(host, &CPU, "1", 4.0), (host, &CPU, "0", 9.0)]);
        assert_eq!((table.entries().len(), table.ended().len()), (2, 0));
    }

    #[test]
    fn labels_win_over_the_scope_and_the_scope_over_tags() {
        let mut table = Table::new("cadvisor", "n1");
        let tags = Tags { service: "shop".into(), env: "prod".into(), ..Tags::default() };
        let scope = table.add_scope(&[("service", "own"), ("cpu", "total"), ("id", "")], &tags, Timestamp(0));
        scrape(&mut table, 1, &[(scope, &CPU, "0", 1.0)]);
        let shared: Vec<_> = table.shared_labels(&table.entries()[0]).collect();
        assert_eq!(shared, [("service", "own"), ("env", "prod")]);
    }

    #[test]
    fn a_removed_scope_ends_its_series_and_is_forgotten() {
        let mut table = Table::new("cadvisor", "n1");
        let [one, other] = ["1", "2"].map(|id| table.add_scope(&[("id", id)], &Tags::default(), Timestamp(0)));
        scrape(&mut table, 1, &[(one, &CPU, "0", 1.0), (other, &CPU, "0", 1.0)]);
        table.remove_scope(one);
        scrape(&mut table, 2, &[(other, &CPU, "0", 2.0)]);
        let ended: Vec<_> = table.shared_labels(&table.ended()[0]).collect();
        assert_eq!(ended, [("id", "1")], "the marker still needs the labels");
        scrape(&mut table, 3, &[(other, &CPU, "0", 3.0)]);
        assert_eq!((table.ended().len(), table.scopes.len()), (0, 1));
    }

    #[test]
    fn series_share_labels_and_forget_them_when_all_have_ended() {
        let mut table = Table::new("cadvisor", "n1");
        let [one, other] = ["1", "2"].map(|id| table.add_scope(&[("id", id)], &Tags::default(), Timestamp(0)));
        scrape(&mut table, 1, &[(one, &CPU, "0", 1.0), (other, &CPU, "0", 1.0), (other, &CPU, "1", 1.0)]);
        assert!(Arc::ptr_eq(&table.entries()[0].labels, &table.entries()[1].labels));
        scrape(&mut table, 2, &[(one, &CPU, "0", 1.0)]);
        scrape(&mut table, 3, &[(other, &CPU, "0", 1.0)]);
        assert_eq!(table.label_sets.len(), 1);
    }

    #[test]
    fn the_order_of_samples_does_not_matter() {
        let mut table = Table::new("cadvisor", "n1");
        let host = table.add_scope(&[], &Tags::default(), Timestamp(0));
        scrape(&mut table, 1, &[(host, &CPU, "0", 1.0), (host, &CPU, "1", 2.0), (host, &UP, "0", 3.0)]);
        scrape(
            &mut table,
            2,
            &[(host, &UP, "0", 6.0), (host, &CPU, "1", 5.0), (host, &CPU, "1", 5.5), (host, &CPU, "0", 4.0)],
        );
        let values: Vec<_> = table.entries().iter().map(|entry| entry.value).collect();
        assert_eq!(values, [Value::Float(4.0), Value::Float(5.5), Value::Float(6.0)]);
        assert!(table.ended().is_empty());
        scrape(&mut table, 3, &[(host, &CPU, "0", 4.0), (host, &CPU, "0", 4.0), (host, &CPU, "0", 4.0)]);
        assert_eq!((table.entries().len(), table.ended().len()), (1, 2), "saying one thrice mentions one");
    }
}
