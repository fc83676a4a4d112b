//! Rules.
pub mod file;
pub mod template;

mod expression;
