//! Go templates, as far as rule files and notifications use them.
//!
//! In: a template's text, values, and (for `query`) results that the caller fetches. Out: text, or an error that
//! names what is wrong; nothing here panics or runs for ever. To add a function: a line in `functions::call`.
//!
//! The language: <https://pkg.go.dev/text/template>; the functions:
//! <https://prometheus.io/docs/prometheus/latest/configuration/template_reference/>.

mod eval;
mod functions;
mod parse;
mod value;

use std::collections::BTreeMap;

pub(crate) use functions::query_escape;
pub use value::Value;
pub(crate) use value::format_exponent;

/// What is wrong with a template, or with what it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A template that was read without error.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(parse::Parsed);

impl Template {
    /// Reads a template; fails on bad syntax and on a function that does not exist.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let parsed = parse::parse(text)?;
        functions::check_names(&parsed)?;
        Ok(Self(parsed))
    }

    /// This template, which can also call the blocks that another defines.
    #[must_use]
    pub fn with_definitions(mut self, other: &Self) -> Self {
        for (name, body) in &other.0.defined {
            self.0.defined.entry(name.clone()).or_insert_with(|| body.clone());
        }
        self
    }

    /// Writes the template with what `scope` holds.
    pub fn expand(&self, scope: &Scope) -> Result<String, Expand> {
        eval::expand(&self.0, scope)
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Self>>(values: I) -> Self {
        Self::List(values.into_iter().collect())
    }
}

/// What a template can see.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// What `.` and `$` are.
    pub dot: Option<Value>,
    /// `$labels`, `$value` and so on, without the `$`.
    pub variables: Vec<(&'static str, Value)>,
    /// `externalURL` and `pathPrefix`.
    pub external_url: String,
    /// What queries gave, by their text; filled by the caller when [`Expand::NeedsQuery`] asks.
    pub queries: BTreeMap<String, Result<Value, String>>,
}

/// Why a template was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Expand {
    /// The template calls `query` with this text; put its result into the scope and try again.
    #[error("needs the result of query {0:?}")]
    NeedsQuery(String),
    /// It cannot be written.
    #[error(transparent)]
    Failed(#[from] Error),
}

#[cfg(test)]
mod tests;
