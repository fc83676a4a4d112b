//! Rules.
pub mod alert;
pub mod file;
pub mod template;

mod expression;
