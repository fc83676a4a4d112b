//! A parsed query.

/// A parsed query.
#[derive(Clone, Debug)]
pub struct Expr {}
