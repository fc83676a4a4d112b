//! What a LogQL query says.

use std::time::Duration;

use regex::Regex;

use super::template::Template;
use crate::storage::{LineFilter, Matcher};

/// A whole query.
#[derive(Clone, Debug)]
pub enum Expr {
    /// Records.
    Log(LogExpr),
    /// Numbers.
    Metric(MetricExpr),
}

/// A stream selector and what is done with each record.
#[derive(Clone, Debug)]
pub struct LogExpr {
    /// On the stream's labels.
    pub matchers: Vec<Matcher>,
    /// In order.
    pub stages: Vec<Stage>,
}

/// One step of a pipeline.
#[derive(Clone, Debug)]
pub enum Stage {
    /// `|=`, `!=`, `|~`, `!~`.
    Line(LineFilter),
    /// `| json`, with the fields to take (all when empty): label and path.
    Json(Vec<(String, Vec<PathStep>)>),
    /// `| logfmt`, with the fields to take (all when empty): label and key.
    Logfmt {
        /// Stop at the first thing that is not `key=value`.
        strict: bool,
        /// Keep keys without a value.
        keep_empty: bool,
        /// Label and key.
        fields: Vec<(String, String)>,
    },
    /// `| pattern`.
    Pattern(Vec<PatternPart>),
    /// `| regexp`: named groups become labels.
    Regexp(Regex),
    /// `| unpack`: a JSON object whose `_entry` becomes the line.
    Unpack,
    /// `| decolorize`: without ANSI colours.
    Decolorize,
    /// `| level="error" and duration > 1s`.
    Filter(LabelFilter),
    /// `| line_format`.
    LineFormat(Template),
    /// `| label_format`: label and what it becomes.
    LabelFormat(Vec<(String, LabelFormat)>),
    /// `| drop`: labels, or labels with a condition on their value.
    Drop(Vec<LabelPick>),
    /// `| keep`.
    Keep(Vec<LabelPick>),
}

/// A step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// A key of an object.
    Key(String),
    /// A place in an array.
    Index(usize),
}

/// A part of a `pattern`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternPart {
    /// This text.
    Literal(String),
    /// Anything up to the next literal, as a label; `None` for `<_>`.
    Capture(Option<String>),
}

/// A condition on a record's labels.
#[derive(Clone, Debug)]
pub enum LabelFilter {
    /// A text comparison.
    Text(Matcher),
    /// A comparison of numbers; durations are seconds, sizes bytes.
    Number {
        /// The label.
        label: String,
        /// The comparison.
        op: Comparison,
        /// With what.
        value: f64,
        /// How the label's text is read.
        unit: Unit,
    },
    /// Both.
    And(Box<LabelFilter>, Box<LabelFilter>),
    /// One of both.
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// How a text is read as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As it is.
    Plain,
    /// `1.5s`, `20ms`: seconds.
    Duration,
    /// `1.5MiB`, `20kB`: bytes.
    Bytes,
}

/// What `label_format` sets a label to.
#[derive(Clone, Debug)]
pub enum LabelFormat {
    /// Another label's value; that label goes.
    Rename(String),
    /// A template.
    Template(Template),
}

/// A label of `drop` or `keep`.
#[derive(Clone, Debug)]
pub struct LabelPick {
    /// Its name.
    pub name: String,
    /// The condition on its value, if there is one.
    pub matcher: Option<Matcher>,
}

/// A query that gives numbers.
#[derive(Clone, Debug)]
pub enum MetricExpr {
    /// A number.
    Number(f64),
    /// `vector(1)`.
    Vector(f64),
    /// A function over the records of a window.
    Range(Box<RangeExpr>),
    /// `sum by (…) (…)`.
    Aggregate(Box<AggregateExpr>),
    /// `a + b`.
    Binary(Box<BinaryExpr>),
}

/// `rate({…} [5m])`.
#[derive(Clone, Debug)]
pub struct RangeExpr {
    /// The function.
    pub op: RangeOp,
    /// The argument of `quantile_over_time`.
    pub parameter: f64,
    /// The records.
    pub log: LogExpr,
    /// The label whose number counts, and how it is read.
    pub unwrap: Option<(String, Unit)>,
    /// The window.
    pub range: Duration,
    /// How far back it lies.
    pub offset: Duration,
    /// `by` or `without` of the function itself.
    pub grouping: Option<Grouping>,
}

/// The functions over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are LogQL's")]
pub enum RangeOp {
    Rate,
    RateCounter,
    Count,
    BytesRate,
    Bytes,
    Sum,
    Avg,
    Min,
    Max,
    First,
    Last,
    Stddev,
    Stdvar,
    Quantile,
    Absent,
}

/// `sum by (…) (…)`.
#[derive(Clone, Debug)]
pub struct AggregateExpr {
    /// The operation.
    pub op: AggregateOp,
    /// The argument of `topk` and `bottomk`.
    pub parameter: f64,
    /// Which labels stay.
    pub grouping: Option<Grouping>,
    /// Over what.
    pub inner: MetricExpr,
}

/// The operations over series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are LogQL's")]
pub enum AggregateOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
}

/// `by (…)` or `without (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Whether the labels are those that go.
    pub without: bool,
    /// The labels.
    pub labels: Vec<String>,
}

/// `a op b`.
#[derive(Clone, Debug)]
pub struct BinaryExpr {
    /// The operator.
    pub op: BinaryOp,
    /// `bool`: 0 and 1 instead of a filter.
    pub bool: bool,
    /// `on (…)` (`without` false) or `ignoring (…)`.
    pub matching: Option<Grouping>,
    /// Left.
    pub left: MetricExpr,
    /// Right.
    pub right: MetricExpr,
}

/// The operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are LogQL's")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Compare(Comparison),
    And,
    Or,
    Unless,
}

/// The comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    /// Whether it holds.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "equality of numbers is what is asked for")]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
        }
    }
}

impl BinaryOp {
    /// How strongly it binds; higher first. `^` binds to the right.
    #[must_use]
    pub fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Compare(_) => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod => 5,
            Self::Pow => 6,
        }
    }

    /// Arithmetic of two numbers.
    #[must_use]
    pub fn arithmetic(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Sub => left - right,
            Self::Mul => left * right,
            Self::Div => left / right,
            Self::Mod => left % right,
            Self::Pow => left.powf(right),
            Self::Compare(comparison) => f64::from(u8::from(comparison.holds(left, right))),
            Self::And | Self::Or | Self::Unless => left,
        }
    }
}
