//! Where metrics, logs and traces are kept: three traits and a small one for state, and the engines behind them.
//!
//! Everything enters as the bytes of an OTLP export request (protobuf), whoever made it: an agent, a remote-write
//! sender, a recording rule, a check. What comes back from `append` is durable and visible. All meaning of a query
//! language lives above these traits. They assume neither one process nor one machine: an engine may be a database.
//!
//! * [`memory`]: the reference engine, for tests;
//! * [`embedded`]: fjall, the default;
//! * `conformance`: the suite that every engine passes.
//!
//! To add an engine: a folder here, one arm in `open`, and `conformance` passes. What a point or a record becomes
//! is the same in all of them and lies in `samples` and `records`.

pub mod config;
pub mod embedded;
pub mod memory;
mod ranges;
mod records;
mod samples;
mod tail;

#[cfg(test)]
mod conformance;

use std::{fmt::Debug, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
use yagura_model::{Labels, Nanos, Severity, Timestamp};

/// Opens the engine that `config` asks for; says what was found and lost. Blocks, maybe for seconds.
pub fn open(config: &config::Config, now: Timestamp) -> Result<(Storage, embedded::Recovery), embedded::OpenError> {
    embedded::open(config, now)
}

/// The opened engine: one handle for each kind of data.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Samples.
    pub metrics: Arc<dyn MetricStore>,
    /// Log records.
    pub logs: Arc<dyn LogStore>,
    /// Spans.
    pub traces: Arc<dyn TraceStore>,
    /// Rules' and notifiers' memory.
    pub state: Arc<dyn StateStore>,
    /// The engine itself: its figures, and the way to close it.
    pub engine: Arc<dyn Engine>,
}

/// What an engine does beside holding data.
pub trait Engine: Send + Sync + Debug {
    /// Makes everything acknowledged durable and stops the engine's threads. Later calls fail as unavailable.
    fn close(&self) -> BoxFuture<'_, Result<(), Error>>;
    /// Moves everything from memory into blocks, which an engine otherwise does by and by; for measuring, and before
    /// the directory is copied.
    fn settle(&self) -> BoxFuture<'_, Result<(), Error>>;
    /// The engine's own figures, for `/metrics`.
    fn figures(&self) -> Figures;
}

/// An engine's own figures. Counters start at zero when it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Series with samples not yet in a block.
    pub active_series: u64,
    /// Log streams with records not yet in a block.
    pub active_streams: u64,
    /// Bytes of samples and records held in memory.
    pub head_bytes: u64,
    /// Bytes of the directory on disk; 0 in memory.
    pub disk_bytes: u64,
    /// Bytes not yet sealed into blocks, replayed at the next start.
    pub inbox_bytes: u64,
    /// Samples stored.
    pub samples: u64,
    /// Records stored.
    pub records: u64,
    /// Spans stored.
    pub spans: u64,
    /// Items that were there already.
    pub duplicates: u64,
    /// Items refused for good, by reason.
    pub rejected: Vec<(RejectReason, u64)>,
    /// Group commits, and how long they took in all.
    pub commits: u64,
    /// Time spent in group commits.
    pub commit_time: Duration,
    /// Blocks and chunks written.
    pub sealed: u64,
    /// Whole days dropped by retention.
    pub dropped_days: u64,
    /// Blocks, chunks or files that could not be read.
    pub damaged: u64,
}

/// What became of an appended request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Items stored now.
    pub accepted: u64,
    /// Items that were there already; not an error.
    pub duplicates: u64,
    /// Items refused for good, by reason.
    pub rejected: Vec<Rejected>,
}

/// Items of a request that will never be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why; also the value of the label `reason` in our own metrics.
    pub reason: RejectReason,
    /// How many.
    pub count: u64,
    /// The first of them, for the sender's log: the series or stream, and what was wrong.
    pub example: String,
}

/// Why an item was refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// Older than retention.
    TooOld,
    /// More than ten minutes ahead of the collector's clock.
    InTheFuture,
    /// The same series and time with another value; the first one stays.
    Conflict,
    /// The cap on series (or streams) is reached.
    Cardinality,
    /// Too many or too long labels, or a name that is empty.
    BadLabels,
    /// A kind of data this engine does not hold (an exponential histogram).
    Unsupported,
    /// A delta older than the newest one of its series; its counter has moved on.
    OutOfOrder,
}

impl RejectReason {
    /// All reasons.
    pub const ALL: &[Self] = &[
        Self::TooOld,
        Self::InTheFuture,
        Self::Conflict,
        Self::Cardinality,
        Self::BadLabels,
        Self::Unsupported,
        Self::OutOfOrder,
    ];

    /// The value of the label `reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::InTheFuture => "in_the_future",
            Self::Conflict => "conflict",
            Self::Cardinality => "cardinality",
            Self::BadLabels => "bad_labels",
            Self::Unsupported => "unsupported",
            Self::OutOfOrder => "out_of_order",
        }
    }
}

/// Why the store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is not what OTLP says it is; sending it again will not help.
    #[error("malformed OTLP request: {0}")]
    Malformed(String),
    /// Try again later: the disk is full or slow, the engine is being reopened.
    #[error("storage is not taking writes: {reason}")]
    Unavailable {
        /// What is wrong, and the way out.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// A query went over its budget.
    #[error("query reads more than {limit} {unit}; narrow its selector or its time range")]
    TooMuch {
        /// The budget.
        limit: u64,
        /// `samples`, `series`, `bytes` or `steps`.
        unit: &'static str,
    },
    /// The engine failed.
    #[error("storage failed: {0}")]
    Failed(String),
}

/// How a label is compared; an absent label has the empty value, as in Prometheus.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// The comparison.
    pub op: MatchOp,
    /// What it is compared with (the pattern of a regular expression, unanchored as written).
    pub value: String,
    /// The compiled, anchored expression of `=~` and `!~`.
    pub regex: Option<regex::Regex>,
}

/// The four comparisons of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends.
    Regex,
    /// `!~`
    NotRegex,
}

impl Appended {
    /// Counts one item refused for good; the first of a reason gives the example.
    pub fn reject(&mut self, reason: RejectReason, example: impl FnOnce() -> String) {
        match self.rejected.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.count += 1,
            None => self.rejected.push(Rejected { reason, count: 1, example: example() }),
        }
    }
}

impl Matcher {
    /// A matcher; fails on a bad regular expression.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, regex::Error> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => {
                Some(regex::RegexBuilder::new(&format!("^(?s:{value})$")).size_limit(4 << 20).build()?)
            }
        };
        Ok(Self { name: name.to_owned(), op, value: value.to_owned(), regex })
    }

    /// Whether a value passes; `""` stands for an absent label.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let regex = |value: &str| self.regex.as_ref().is_some_and(|regex| regex.is_match(value));
        match self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Regex => regex(value),
            MatchOp::NotRegex => !regex(value),
        }
    }

    /// Whether a set of labels passes.
    #[must_use]
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or_default())
    }
}

/// One value of a series at one time. A staleness marker is [`yagura_model::metric::stale_nan`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub time: Timestamp,
    /// How much.
    pub value: f64,
}

/// A series with its samples, sorted by time, no time twice.
#[derive(Clone, Debug)]
pub struct Series {
    /// Who it is, `__name__` included.
    pub labels: Labels,
    /// Its samples within the range asked for, staleness markers included.
    pub samples: Vec<Sample>,
}

/// What to read: series that match, samples within `[from, to]`, both ends included.
#[derive(Clone, Debug)]
pub struct Selection {
    /// All must pass.
    pub matchers: Vec<Matcher>,
    /// First instant.
    pub from: Timestamp,
    /// Last instant.
    pub to: Timestamp,
    /// More samples than this is [`Error::TooMuch`].
    pub max_samples: u64,
}

/// What to list: names of things that existed between `from` and `to`.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Any of these sets must pass; none means everything.
    pub any_of: Vec<Vec<Matcher>>,
    /// First instant.
    pub from: Timestamp,
    /// Last instant.
    pub to: Timestamp,
    /// At most this many; 0 for no limit.
    pub limit: usize,
}

/// What is known of a metric's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricMetadata {
    /// The name.
    pub name: String,
    /// Prometheus' word: `counter`, `gauge`, `histogram`, `summary`, `unknown`.
    pub kind: &'static str,
    /// The unit that the sender gave.
    pub unit: String,
    /// The description that the sender gave.
    pub help: String,
}

/// Samples, by series.
pub trait MetricStore: Send + Sync + Debug {
    /// Stores an `ExportMetricsServiceRequest`. Idempotent by (series, time): the first value stays.
    /// Data-point attributes become labels, `service.name` and `service.instance.id` of the resource `job` and
    /// `instance`; deltas become cumulative; `NoRecordedValue` a staleness marker; classic histograms and summaries
    /// their Prometheus series.
    fn append(&self, request: Bytes, now: Timestamp) -> BoxFuture<'_, Result<Appended, Error>>;
    /// Series with samples, sorted by labels.
    fn select(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Series>, Error>>;
    /// The labels of series, sorted.
    fn series(&self, listing: Listing) -> BoxFuture<'_, Result<Vec<Labels>, Error>>;
    /// Label names, sorted.
    fn label_names(&self, listing: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>>;
    /// The values of one label, sorted.
    fn label_values(&self, name: String, listing: Listing) -> BoxFuture<'_, Result<Vec<String>, Error>>;
    /// What is known of metrics (of one, if named), sorted by name.
    fn metadata(&self, metric: Option<String>, limit: usize) -> BoxFuture<'_, Result<Vec<MetricMetadata>, Error>>;
}

/// A log record as it is read back.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// When it happened.
    pub time: Nanos,
    /// Its stream: `service env role source container pod namespace node cluster stream`, those it has.
    pub labels: Labels,
    /// The line.
    pub line: String,
    /// How bad.
    pub severity: Severity,
    /// Everything else it carries (`trace_id`, `span_id`, `container_id`, attributes), sorted by name.
    pub fields: Vec<(String, String)>,
    /// Where it stood in its file; ties in time are broken by it. Zero when it came from no file.
    pub offset: u64,
}

/// A condition on the line.
#[derive(Clone, Debug)]
pub enum LineFilter {
    /// `|=`: any of these texts.
    Contains(Vec<String>),
    /// `!=`: none of these texts.
    NotContains(Vec<String>),
    /// `|~`: the expression is found.
    Regex(regex::Regex),
    /// `!~`: the expression is not found.
    NotRegex(regex::Regex),
}

impl LineFilter {
    /// Whether a line passes.
    #[must_use]
    pub fn passes(&self, line: &str) -> bool {
        let has = |text: &String| memchr::memmem::find(line.as_bytes(), text.as_bytes()).is_some();
        match self {
            Self::Contains(texts) => texts.iter().any(has),
            Self::NotContains(texts) => !texts.iter().any(has),
            Self::Regex(regex) => regex.is_match(line),
            Self::NotRegex(regex) => !regex.is_match(line),
        }
    }
}

/// Which end of the range comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// What to read of logs: times in `[range.start, range.end)`.
#[derive(Clone, Debug)]
pub struct LogSelection {
    /// On the stream's labels; all must pass.
    pub matchers: Vec<Matcher>,
    /// On the line; all must pass.
    pub filters: Vec<LineFilter>,
    /// On `level` (severity's word); empty for any.
    pub severities: Vec<Severity>,
    /// On fields such as `trace_id`; all must pass.
    pub fields: Vec<Matcher>,
    /// First instant included, last one not.
    pub range: Range<Nanos>,
    /// From which end.
    pub direction: Direction,
    /// At most this many entries.
    pub limit: usize,
    /// More raw bytes read than this is [`Error::TooMuch`].
    pub max_bytes: u64,
}

/// A count of steps above this is a mistake of the caller.
const MAX_STEPS: i64 = 100_000;

impl LogSelection {
    /// Whether an entry passes everything but the matchers and the range.
    fn passes(&self, entry: &LogEntry) -> bool {
        let field = |name: &str| {
            let found = entry.fields.binary_search_by(|(known, _)| known.as_str().cmp(name));
            found.ok().and_then(|at| entry.fields.get(at)).map_or("", |(_, value)| value.as_str())
        };
        (self.severities.is_empty() || self.severities.contains(&entry.severity))
            && self.filters.iter().all(|filter| filter.passes(&entry.line))
            && self.fields.iter().all(|matcher| matcher.matches(field(&matcher.name)))
    }

    /// How many steps the range has; the last one may be shorter.
    fn steps(&self, step: Duration) -> Result<usize, Error> {
        let step = i64::try_from(step.as_nanos()).unwrap_or(i64::MAX).max(1);
        let length = self.range.end.0.saturating_sub(self.range.start.0).max(0);
        let steps = length / step + i64::from(length % step != 0);
        if steps > MAX_STEPS {
            return Err(Error::TooMuch { limit: 100_000, unit: "steps" });
        }
        Ok(usize::try_from(steps).unwrap_or(0))
    }

    /// The step that an instant of the range falls into.
    fn step_of(&self, time: Nanos, step: Duration) -> usize {
        let step = i64::try_from(step.as_nanos()).unwrap_or(i64::MAX).max(1);
        usize::try_from(time.0.saturating_sub(self.range.start.0) / step).unwrap_or(usize::MAX)
    }
}

/// One stream and how much it holds in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its labels.
    pub labels: Labels,
    /// Records.
    pub entries: u64,
    /// Bytes of their lines.
    pub bytes: u64,
}

/// How many records fell into each step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCounts {
    /// The stream's labels and `level`.
    pub labels: Labels,
    /// For each step from the range's start: records, bytes of their lines.
    pub steps: Vec<(u64, u64)>,
}

/// Log records, by stream.
pub trait LogStore: Send + Sync + Debug {
    /// Stores an `ExportLogsServiceRequest`. Idempotent as [`yagura_model::delivery`] says.
    fn append(&self, request: Bytes, now: Timestamp) -> BoxFuture<'_, Result<Appended, Error>>;
    /// Records in order of time (then of their place in their file).
    fn select(&self, selection: LogSelection) -> BoxFuture<'_, Result<Vec<LogEntry>, Error>>;
    /// Counts by stream, level and step; `limit` and `direction` are not looked at.
    fn count(&self, selection: LogSelection, step: Duration) -> BoxFuture<'_, Result<Vec<LogCounts>, Error>>;
    /// The streams that match and have records in the range.
    fn streams(&self, matchers: Vec<Matcher>, range: Range<Nanos>) -> BoxFuture<'_, Result<Vec<StreamInfo>, Error>>;
    /// Records as they become durable, from now on. A reader that is too slow is told how many it missed.
    fn tail(&self, matchers: Vec<Matcher>, filters: Vec<LineFilter>) -> BoxStream<'static, Tailed>;
}

/// What a live tail gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Tailed {
    /// A record.
    Entry(Arc<LogEntry>),
    /// This many were passed over because the reader was too slow.
    Missed(u64),
}

/// Spans, by trace.
pub trait TraceStore: Send + Sync + Debug {
    /// Stores an `ExportTraceServiceRequest`. Idempotent by (trace id, span id, kind, service).
    fn append(&self, request: Bytes, now: Timestamp) -> BoxFuture<'_, Result<Appended, Error>>;
    /// Every span of a trace, as an `ExportTraceServiceRequest`; `None` when there is none.
    fn trace(&self, id: yagura_model::TraceId) -> BoxFuture<'_, Result<Option<Bytes>, Error>>;
}

/// Small things that must survive a restart: alert states, silences, what was notified. Durable when it returns.
pub trait StateStore: Send + Sync + Debug {
    /// The value of a key.
    fn get(&self, area: &'static str, key: &str) -> Result<Option<Vec<u8>>, Error>;
    /// All keys and values of an area, sorted by key.
    fn list(&self, area: &'static str) -> Result<Vec<(String, Vec<u8>)>, Error>;
    /// Applies all changes or none; `None` deletes.
    fn write(&self, area: &'static str, changes: Vec<(String, Option<Vec<u8>>)>) -> BoxFuture<'_, Result<(), Error>>;
}
