//! What a daemon says on stderr: text for people, JSON for collectors of logs.

use std::io::IsTerminal as _;

use serde::Deserialize;
use tracing_subscriber::{EnvFilter, util::TryInitError};

use crate::config::{Faults, Validate};

/// Overrides `log.level`, in the syntax of `tracing`'s filters: `info,yagura_agent::export=debug`.
pub const LEVEL_VARIABLE: &str = "YAGURA_LOG";

/// The `log` block.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,yagura_agent::export=debug`.
    pub level: String,
    /// `text` or `json`.
    pub format: Format,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self { level: "info".into(), format: Format::Text }
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        if EnvFilter::try_new(&self.level).is_err() {
            faults.add("level", "expected a level such as info, or a filter such as info,yagura_agent::export=debug");
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The environment variable holds no filter.
    #[error("{LEVEL_VARIABLE} is not a log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody did it before.
    #[error("logging is set up already")]
    Twice(#[from] TryInitError),
}

/// Sends events to stderr from here on. The environment's level wins over the config's.
pub fn init(config: &Config) -> Result<(), Error> {
    let filter = match std::env::var(LEVEL_VARIABLE) {
        Ok(level) if !level.trim().is_empty() => EnvFilter::try_new(level)?,
        _ => EnvFilter::try_new(&config.level)?,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(config.format == Format::Text && std::io::stderr().is_terminal());
    let subscriber: Box<dyn tracing::Subscriber + Send + Sync> = match config.format {
        Format::Text => Box::new(builder.finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).finish()),
    };
    tracing_subscriber::util::SubscriberInitExt::try_init(subscriber)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_no_filter_is_a_fault() {
        let mut faults = Faults::default();
        Config { level: "lo=ud=ly".into(), ..Config::default() }.validate(&mut faults);
        assert_eq!(faults.texts().len(), 1);
        let mut faults = Faults::default();
        Config { level: "info,yagura_agent::export=debug".into(), ..Config::default() }.validate(&mut faults);
        assert!(faults.texts().is_empty());
    }
}
