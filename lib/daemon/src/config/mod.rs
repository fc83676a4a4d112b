//! Reading a config: strict YAML, `${VAR}` and `${VAR:-default}` from the environment, and faults that say where.
//!
//! What types can say is said by serde; what they cannot by [`Validate`], which collects every fault rather than the
//! first. Each fault is one line: `file:line:column: key: expected …`.
//!
//! * `values`: durations and sizes as people write them,
//! * `outline`: which key stands where in the text,
//! * `expand`: the environment inside quoted text (plain text is serde-saphyr's).

mod expand;
mod outline;
mod values;

use std::{
    collections::HashMap,
    fmt::{self, Display},
    fs,
    path::Path,
};

use serde::de::DeserializeOwned;

use outline::{Outline, Position};
pub use values::{DurationText, SizeText};

/// The exit status of a daemon that refuses its config: `EX_CONFIG` of sysexits.h.
pub const EXIT_CODE: u8 = 78;

/// What a config's types cannot say by themselves.
pub trait Validate {
    /// Adds every fault to `faults`; keys are relative to `self`.
    fn validate(&self, faults: &mut Faults);
}

/// Faults found so far, each with the key it concerns.
#[derive(Debug, Default)]
pub struct Faults {
    within: Vec<String>,
    found: Vec<(String, String)>,
}

impl Faults {
    /// Adds a fault of `key` (`listen`, `endpoints[0]`; empty for the block itself): what was expected, and why.
    pub fn add(&mut self, key: impl Display, expected: impl Display) {
        let path = path_of(self.within.iter().map(String::as_str).chain([key.to_string().as_str()]));
        self.found.push((path, expected.to_string()));
    }

    /// Checks a part that stands under `key`.
    pub fn check(&mut self, key: impl Display, part: &impl Validate) {
        self.within(key, |faults| part.validate(faults));
    }

    /// Runs `check` with `key` in front of every key it names.
    pub fn within(&mut self, key: impl Display, check: impl FnOnce(&mut Self)) {
        self.within.push(key.to_string());
        check(self);
        self.within.pop();
    }

    /// `key: text` of each fault, for tests.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.found.iter().map(|(key, text)| format!("{key}: {text}")).collect()
    }
}

fn path_of<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let mut path = String::new();
    for key in keys.filter(|key| !key.is_empty()) {
        if !path.is_empty() && !key.starts_with('[') {
            path.push('.');
        }
        path.push_str(key);
    }
    path
}

/// A config that cannot be used; one line for each fault.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file's name, as it was given.
    pub file: String,
    /// What is wrong; never empty.
    pub faults: Vec<Fault>,
}

/// One thing wrong in a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line and column from 1, when the fault has a place.
    pub place: Option<(u64, u64)>,
    /// The key, from the top: `sources.host.interval`; empty when there is none.
    pub key: String,
    /// What was expected.
    pub text: String,
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.file)?;
            if let Some((line, column)) = fault.place {
                write!(f, ":{line}:{column}")?;
            }
            if !fault.key.is_empty() {
                write!(f, ": {}", fault.key)?;
            }
            write!(f, ": {}", fault.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Reads and checks a config file; `${…}` comes from the process's environment.
pub fn load<T: DeserializeOwned + Validate>(path: &Path) -> Result<T, ConfigError> {
    load_with(path, |_| {})
}

/// The same, with what the command line says put in before it is checked.
pub fn load_with<T: DeserializeOwned + Validate>(path: &Path, change: impl FnOnce(&mut T)) -> Result<T, ConfigError> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| ConfigError {
        file: file.clone(),
        faults: vec![Fault { place: None, key: String::new(), text: format!("cannot read the file: {error}") }],
    })?;
    parse_with(&file, &text, &environment(), change)
}

/// The process's environment, as far as it is text.
#[must_use]
pub fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads and checks a config's text; `file` is only for messages.
pub fn parse<T: DeserializeOwned + Validate>(
    file: &str,
    text: &str,
    environment: &HashMap<String, String>,
) -> Result<T, ConfigError> {
    parse_with(file, text, environment, |_| {})
}

fn parse_with<T: DeserializeOwned + Validate>(
    file: &str,
    text: &str,
    environment: &HashMap<String, String>,
    change: impl FnOnce(&mut T),
) -> Result<T, ConfigError> {
    let failed = |faults| ConfigError { file: file.to_owned(), faults };
    let text = expand::quoted(text, environment).map_err(|fault| failed(vec![fault]))?;
    let text = if is_empty(&text) { "{}" } else { text.as_str() };
    read(text, Some(environment)).map_err(failed).and_then(|mut config: T| {
        change(&mut config);
        let mut faults = Faults::default();
        config.validate(&mut faults);
        if faults.found.is_empty() {
            return Ok(config);
        }
        let outline = Outline::of(text);
        let place = |key: &str| outline.as_ref().and_then(|outline| outline.place_of(key));
        let placed = faults.found.into_iter().map(|(key, text)| Fault { place: place(&key), key, text });
        Err(failed(placed.collect()))
    })
}

/// Reads a file of another's format (rules, routes) strictly, without touching `${…}`; `file` is only for messages.
pub fn parse_verbatim<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigError> {
    read(if is_empty(text) { "{}" } else { text }, None).map_err(|faults| ConfigError { file: file.to_owned(), faults })
}

/// Where `key` (`groups[0].rules[2].expr`) stands in a YAML text: line and column from 1.
#[must_use]
pub fn place_of(text: &str, key: &str) -> Option<(u64, u64)> {
    Outline::of(text)?.place_of(key)
}

/// A file of nothing but comments is a config with every default.
fn is_empty(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#') || line.trim() == "---")
}

fn options(environment: Option<&HashMap<String, String>>) -> serde_saphyr::Options {
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    match environment {
        Some(environment) => options.with_properties(environment.clone()),
        None => options,
    }
}

fn read<T: DeserializeOwned>(text: &str, environment: Option<&HashMap<String, String>>) -> Result<T, Vec<Fault>> {
    serde_saphyr::from_str_with_options(text, options(environment)).map_err(|error| {
        let position = error.location().map(|at| Position { line: at.line(), column: at.column() });
        let outline = Outline::of(text);
        let key = outline.zip(position).map(|(outline, at)| outline.key_at(at)).unwrap_or_default();
        let (key, text) = explain(&error, key);
        vec![Fault { place: position.map(|at| (at.line, at.column)), key, text }]
    })
}

/// The key and the text a person is shown for an error of the YAML reader.
fn explain(error: &serde_saphyr::Error, key: String) -> (String, String) {
    use serde_saphyr::Error as E;
    let text = match error.without_snippet() {
        E::SerdeUnknownField { field, expected, .. } => {
            let key = if last_of(&key) == field { key } else { path_of([key.as_str(), field].into_iter()) };
            return (key, format!("unknown key, expected one of {}{}", expected.join(", "), nearest(field, expected)));
        }
        E::SerdeMissingField { field, .. } => {
            return (path_of([key.as_str(), field].into_iter()), "expected a value: this key is required".into());
        }
        E::SerdeUnknownVariant { variant, expected, .. } => {
            format!("expected one of {}, found {variant}{}", expected.join(", "), nearest(variant, expected))
        }
        E::SerdeInvalidType { unexpected, expected, .. } | E::SerdeInvalidValue { unexpected, expected, .. } => {
            format!("expected {expected}, found {unexpected}")
        }
        E::InvalidScalar { ty, .. } => format!("expected {}", plain_type(ty)),
        E::InvalidBooleanStrict { .. } => "expected true or false".into(),
        E::Unexpected { expected, .. } => format!("expected {expected}"),
        E::DuplicateMappingKey { .. } => "this key is given twice".into(),
        E::UnresolvedProperty { name, .. } => unset(name),
        E::PropertyRequiredButUnset { name, message, .. } | E::PropertyRequiredButEmpty { name, message, .. } => {
            format!("{}: {message}", unset(name))
        }
        E::Message { msg, .. } => msg.clone(),
        other => without_place(&other.to_string()),
    };
    (key, text)
}

fn unset(name: &str) -> String {
    format!("the environment variable {name} is not set; write ${{{name}:-default}} to do without it")
}

/// Types are named as people who write YAML know them.
fn plain_type(ty: &str) -> &str {
    match ty {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "bool" | "boolean" => "true or false",
        other => other,
    }
}

/// The reader repeats the place, which stands in front already.
fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

fn last_of(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn nearest(word: &str, known: &[&'static str]) -> String {
    let close = known.iter().map(|candidate| (distance(word, candidate), candidate));
    match close.min_by_key(|(distance, _)| *distance) {
        Some((distance, candidate)) if distance <= word.len().div_ceil(3) => format!("; did you mean {candidate}?"),
        _ => String::new(),
    }
}

/// Levenshtein's distance, by rows.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, c) in one.chars().enumerate() {
        let mut left = number + 1;
        let mut next = vec![left];
        for (above, candidate) in row.windows(2).zip(&other) {
            let &[diagonal, up] = above else { continue };
            left = (left + 1).min(up + 1).min(diagonal + usize::from(c != *candidate));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
