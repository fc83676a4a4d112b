//! How the collector's own YAML files (rules, notify, checks) are read: strictly, and with errors that say where.
//!
//! In: the text of a file and its name. Out: a value, or [`Faults`] that print as `file:line:column: key: what`.
//! These files hold `$labels` and `$1` of their own, so nothing in them is expanded from the environment.

mod duration;
mod files;

use std::fmt;

use serde::de::DeserializeOwned;

pub use duration::{DurationText, format_duration, parse_duration};
pub(crate) use files::find;
pub use serde_saphyr::{Location, Spanned};

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named in the config.
    pub file: String,
    /// Line and column, counted from 1, when known.
    pub place: Option<(u64, u64)>,
    /// What is wrong, the key's name first.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.text),
            None => write!(f, "{}: {}", self.file, self.text),
        }
    }
}

/// Everything that is wrong in some files, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{fault}")?;
        }
        Ok(())
    }
}

/// Collects what is wrong in one file while it is being checked.
#[derive(Debug)]
pub(crate) struct Collector<'a> {
    file: &'a str,
    faults: Vec<Fault>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self { file, faults: Vec::new() }
    }

    /// Notes a fault at a place.
    pub(crate) fn fault(&mut self, location: Location, text: impl Into<String>) {
        self.faults.push(Fault { file: self.file.to_owned(), place: place(location), text: text.into() });
    }

    /// The value, unless something was wrong.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Faults> {
        if self.faults.is_empty() { Ok(value) } else { Err(Faults(self.faults)) }
    }
}

fn place(location: Location) -> Option<(u64, u64)> {
    (location.line() > 0).then(|| (location.line(), location.column()))
}

/// A fault without a place: a file that cannot be read, for instance.
pub(crate) fn fault(file: &str, text: impl Into<String>) -> Faults {
    Faults(vec![Fault { file: file.to_owned(), place: None, text: text.into() }])
}

/// Reads a whole document; an empty one is the default value.
pub(crate) fn parse<T: DeserializeOwned + Default>(file: &str, text: &str) -> Result<T, Faults> {
    let only_comments = text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    });
    if only_comments {
        return Ok(T::default());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location().and_then(place);
        let text = error.to_string();
        // The library ends its text with the place, which we have put in front already.
        let text = text.split(" at line ").next().unwrap_or(&text).to_owned();
        Faults(vec![Fault { file: file.to_owned(), place, text }])
    })
}

/// Reads a file and then its YAML.
pub(crate) fn load<T: DeserializeOwned + Default>(file: &str) -> Result<T, Faults> {
    parse(file, &read(file)?)
}

/// The text of a file, at most 4 MiB.
pub(crate) fn read(file: &str) -> Result<String, Faults> {
    const MAX: u64 = 4 << 20;
    let size = std::fs::metadata(file).map_err(|error| fault(file, format!("cannot be read: {error}")))?.len();
    if size > MAX {
        return Err(fault(file, format!("is larger than {MAX} bytes")));
    }
    std::fs::read_to_string(file).map_err(|error| fault(file, format!("cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Example {
        number: u32,
        #[allow(dead_code, reason = "only its name matters")]
        nested: Option<Box<Example>>,
    }

    fn check(text: &str, expected: &str) {
        let error = parse::<Example>("x.yaml", text).unwrap_err().to_string();
        assert_eq!(error, expected);
    }

    #[test]
    fn an_error_says_file_line_and_column() {
        check("number: 1\nnested:\n  nubmer: 2\n", "x.yaml:3:3: unknown field `nubmer`, expected `number` or `nested`");
        check("number: five\n", "x.yaml:1:9: invalid number: five");
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse::<Example>("x.yaml", "# nothing\n---\n").unwrap().number, 0);
    }
}
