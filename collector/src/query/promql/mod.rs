//! Prometheus' query language: text in, values out.
//!
//! [`parse`] gives an [`Expr`]; an [`Engine`] evaluates it over a [`MetricStore`] at an instant or over a range. Time
//! and budgets are arguments. A query that would go over its budget ends with an error that says so.

mod ast;
mod engine;
mod error;
mod value;

pub use ast::Expr;
pub use engine::{Engine, Limits};
pub use error::{ParseError, QueryError};
pub use value::{QueryResult, Stats, Value, VectorSample};

pub use crate::storage::{MetricStore, Sample, Series};
