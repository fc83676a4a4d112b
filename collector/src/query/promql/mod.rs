//! Prometheus' query language: text in, values out.
//!
//! [`parse()`] gives an [`Expr`]; an [`Engine`] evaluates it over a [`MetricStore`](crate::storage::MetricStore) at an
//! instant or over a range. Time and budgets are arguments; a query that would go over its budget ends with an error
//! that says so.
//!
//! What flows: `parse` (text → tree) → `plan` (which samples each selector needs) → the store, once per distinct
//! selector → `eval` (tree → columns, one value per step; `window`, `binary`, `matching`, `aggregate`, `functions`)
//! → the answer. Evaluation is synchronous, on a thread for blocking work, and looks at its deadline and at whether
//! anybody still waits.
//!
//! It agrees with Prometheus' own test scripts (`collector/tests/promql_scripts.rs`). As in those, a metric's name is
//! removed at the very end of the query, so `label_replace` and `by (__name__)` still see it. Native histograms are
//! not held by the store and not known here; they would be a second kind of column beside `values`.

mod aggregate;
pub(crate) mod ast;
mod binary;
mod control;
mod engine;
mod error;
mod eval;
mod functions;
mod matching;
mod notes;
mod parse;
mod plan;
mod print;
mod value;
mod window;

pub use ast::{Expr, Span, ValueType};
pub use engine::{Engine, Limits};
pub use error::{ParseError, QueryError};
pub use functions::names as function_names;
pub use parse::parse;
pub use value::{QueryResult, Stats, Value, VectorSample};

pub(crate) use parse::literal::duration as parse_duration;
