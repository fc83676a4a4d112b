//! Why a query could not be answered.

use std::time::Duration;

use crate::storage;

/// The text is not PromQL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: parse error: {message}")]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes from the start of the text.
    pub offset: usize,
    /// The line of that place, from 1.
    pub line: usize,
    /// Its column, in bytes from 1.
    pub column: usize,
}

impl ParseError {
    /// An error at a byte of the text.
    #[must_use]
    pub fn at(query: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = query.as_bytes().get(..offset).unwrap_or(query.as_bytes());
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        Self { message: message.into(), offset, line, column }
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It is not PromQL.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The time range or the step makes no sense.
    #[error("{0}")]
    BadRange(String),
    /// It is PromQL, but has no meaning over this data (many-to-many matching, the same labels twice, …).
    #[error("{0}")]
    Execution(String),
    /// It took longer than it may.
    #[error("query timed out after {0:?} in expression evaluation")]
    Timeout(Duration),
    /// The one who asked has gone.
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// It went over its budget.
    #[error("query processing would need more than {limit} {unit}; narrow its selectors or its time range")]
    TooMuch {
        /// The budget.
        limit: u64,
        /// `samples`, `series` or `points`.
        unit: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}
