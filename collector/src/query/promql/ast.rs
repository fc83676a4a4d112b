//! A parsed and checked query: our own tree, with the place in the text of each part.

use std::fmt;

use crate::{
    query::promql::functions::Function,
    storage::{MatchOp, Matcher},
};

/// A part of the query's text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// A parsed query.
#[derive(Clone, Debug)]
pub struct Expr {
    pub(crate) node: Node,
    pub(crate) span: Span,
}

/// The types that an expression can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A number.
    Scalar,
    /// A text.
    String,
    /// One sample of each series.
    Vector,
    /// A range of samples of each series.
    Matrix,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Number(f64),
    Text(Text),
    Vector(Selector),
    Matrix { selector: Selector, range: Length },
    Subquery(Box<Subquery>),
    Call { function: &'static Function, args: Vec<Expr> },
    Aggregate(Box<Aggregate>),
    Binary(Box<Binary>),
    Negate(Box<Expr>),
    Paren(Box<Expr>),
}

/// A string literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub value: String,
    /// Whether it is UTF-8; what is not has been replaced in `value`.
    pub valid: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Selector {
    /// `__name__` included.
    pub matchers: Vec<Matcher>,
    pub offset: Length,
    pub at: Option<At>,
    pub edges: Edges,
    /// Which of the query's selections holds its series.
    pub id: usize,
}

/// How a selector treats the edges of its range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Edges {
    /// Only samples within the range.
    #[default]
    Plain,
    /// `anchored`: the last sample before the range stands for its start.
    Anchored,
    /// `smoothed`: values at the edges are interpolated.
    Smoothed,
}

/// What `@` fixes the time at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Start,
    End,
    /// Milliseconds since the epoch.
    Time(i64),
}

#[derive(Clone, Debug)]
pub(crate) struct Subquery {
    pub expr: Expr,
    pub range: Length,
    pub step: Option<Length>,
    pub offset: Length,
    pub at: Option<At>,
}

#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub op: Aggregator,
    pub param: Option<Expr>,
    pub expr: Expr,
    pub without: bool,
    pub labels: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregator {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    Quantile,
    CountValues,
    Limitk,
    LimitRatio,
}

#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub op: Operator,
    pub lhs: Expr,
    pub rhs: Expr,
    pub returns_bool: bool,
    pub matching: Matching,
}

/// How the series of both sides find each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matching {
    pub on: bool,
    pub labels: Vec<String>,
    pub cardinality: Cardinality,
    /// The labels taken over from the "one" side.
    pub include: Vec<String>,
    pub fill_left: Option<f64>,
    pub fill_right: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cardinality {
    #[default]
    OneToOne,
    ManyToOne,
    OneToMany,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Unless,
}

impl Operator {
    pub(crate) fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// A duration: fixed, or reckoned from the query's step and range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Length {
    /// Milliseconds.
    Fixed(i64),
    Computed {
        formula: Box<Formula>,
        span: Span,
        must_be_positive: bool,
    },
}

impl Default for Length {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

/// Arithmetic on durations, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Formula {
    Seconds(f64),
    Step,
    Range,
    Negate(Box<Formula>),
    Pair(Box<Formula>, FormulaOp, Box<Formula>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormulaOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Min,
    Max,
}

impl Expr {
    /// The type of its value.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        let mut expr = self;
        loop {
            match &expr.node {
                Node::Number(_) => return ValueType::Scalar,
                Node::Text(_) => return ValueType::String,
                Node::Vector(_) | Node::Aggregate(_) => return ValueType::Vector,
                Node::Matrix { .. } | Node::Subquery(_) => return ValueType::Matrix,
                Node::Call { function, .. } => return function.returns,
                // A binary expression is a scalar only if both sides are; the left side is the deep one.
                Node::Binary(binary) if binary.rhs.value_type() == ValueType::Scalar => expr = &binary.lhs,
                Node::Binary(_) => return ValueType::Vector,
                Node::Negate(inner) | Node::Paren(inner) => expr = inner,
            }
        }
    }

    /// The metric names that its selectors ask for by `=`, in order of the text.
    #[must_use]
    pub fn metric_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.visit(&mut |expr| {
            if let Node::Vector(selector) | Node::Matrix { selector, .. } = &expr.node {
                names.extend(selector.name());
            }
        });
        names
    }

    /// The matchers of each selector, in order of the text.
    #[must_use]
    pub fn selectors(&self) -> Vec<&[Matcher]> {
        let mut selectors = Vec::new();
        self.visit(&mut |expr| {
            if let Node::Vector(selector) | Node::Matrix { selector, .. } = &expr.node {
                selectors.push(selector.matchers.as_slice());
            }
        });
        selectors
    }

    /// The matchers, if the whole query is one plain selector (what `match[]` takes).
    #[must_use]
    pub fn into_matchers(self) -> Option<Vec<Matcher>> {
        match self.node {
            Node::Vector(selector) if selector.at.is_none() && selector.offset == Length::default() => {
                Some(selector.matchers)
            }
            _ => None,
        }
    }

    /// Calls `see` for this expression and all below it, parents first, in order of the text.
    pub(crate) fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Expr)) {
        let mut rest = vec![self];
        while let Some(expr) = rest.pop() {
            see(expr);
            let below = rest.len();
            match &expr.node {
                Node::Number(_) | Node::Text(_) | Node::Vector(_) | Node::Matrix { .. } => {}
                Node::Subquery(subquery) => rest.push(&subquery.expr),
                Node::Call { args, .. } => rest.extend(args),
                Node::Aggregate(aggregate) => rest.extend(aggregate.param.iter().chain([&aggregate.expr])),
                Node::Binary(binary) => rest.extend([&binary.lhs, &binary.rhs]),
                Node::Negate(inner) | Node::Paren(inner) => rest.push(inner),
            }
            if let Some(children) = rest.get_mut(below..) {
                children.reverse();
            }
        }
    }

    /// This expression without the parentheses around it.
    pub(crate) fn unwrapped(&self) -> &Self {
        let mut expr = self;
        while let Node::Paren(inner) = &expr.node {
            expr = inner;
        }
        expr
    }
}

impl Selector {
    pub(crate) fn name(&self) -> Option<&str> {
        let is_name = |matcher: &&Matcher| matcher.name == yagura_model::labels::NAME && matcher.op == MatchOp::Equal;
        self.matchers.iter().find(is_name).map(|matcher| matcher.value.as_str())
    }
}
