//! How rule, route and check files are found and read; what is wrong with them is said with file, line and column.

use std::path::Path;

use yagura_daemon::config::{ConfigError, Fault, place_of};

/// A file of rules or routes larger than this is a mistake.
const MAX_BYTES: u64 = 4 << 20;

/// Files that match `pattern`, sorted. A `*` stands for any text within the last part of the path; a pattern without
/// one names one file, which must exist.
pub(crate) fn find(pattern: &str) -> Result<Vec<String>, ConfigError> {
    let path = Path::new(pattern);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.contains('*') {
        return if path.is_file() { Ok(vec![pattern.to_owned()]) } else { Err(fault(pattern, "no such file")) };
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // A folder that is not there holds no file, as an empty one does.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fault(pattern, format!("cannot be listed: {error}"))),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let matches = entry.file_name().to_str().is_some_and(|candidate| glob(name, candidate));
        if matches && entry.path().is_file() {
            found.push(folder.join(entry.file_name()).to_string_lossy().into_owned());
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether `text` matches `pattern`, in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).filter_map(|at| text.get(at..)).any(|tail| glob(rest, tail))),
    }
}

/// The text of a file.
pub(crate) fn read(file: &str) -> Result<String, ConfigError> {
    let failed = |error| fault(file, format!("cannot read the file: {error}"));
    if std::fs::metadata(file).map_err(failed)?.len() > MAX_BYTES {
        return Err(fault(file, format!("the file is larger than {MAX_BYTES} bytes")));
    }
    std::fs::read_to_string(file).map_err(failed)
}

/// An error without a place.
pub(crate) fn fault(file: &str, text: impl Into<String>) -> ConfigError {
    let fault = Fault { place: None, key: String::new(), text: text.into() };
    ConfigError { file: file.to_owned(), faults: vec![fault] }
}

/// Collects what is wrong in one file while it is being checked.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    file: &'a str,
    text: &'a str,
    faults: Vec<Fault>,
}

impl<'a> Checked<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, faults: Vec::new() }
    }

    /// Notes a fault of `key` (`groups[0].rules[2].expr`). A key that is not in the file is looked for one level up.
    pub(crate) fn fault(&mut self, key: &str, text: impl Into<String>) {
        let parent = key.rsplit_once('.').map_or("", |(parent, _)| parent);
        let place = place_of(self.text, key).or_else(|| place_of(self.text, parent));
        self.faults.push(Fault { place, key: key.to_owned(), text: text.into() });
    }

    /// The value, unless something was wrong.
    pub(crate) fn finish<T>(mut self, value: T) -> Result<T, ConfigError> {
        self.faults.sort_by_key(|fault| fault.place);
        if self.faults.is_empty() {
            return Ok(value);
        }
        Err(ConfigError { file: self.file.to_owned(), faults: self.faults })
    }
}

/// Reads every file below `good` and `bad` of a folder of this crate. A bad one begins with lines `#! …` that say what
/// a person is shown.
#[cfg(test)]
pub(crate) fn check_fixtures(folder: &str, read: impl Fn(&str, &str) -> Result<(), ConfigError>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    for kind in ["good", "bad"] {
        let mut files: Vec<_> =
            std::fs::read_dir(folder.join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{kind}");
        for path in files {
            let text = std::fs::read_to_string(&path).unwrap();
            let expected: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("#! ")).collect();
            let name = path.file_name().unwrap().to_str().unwrap();
            let shown = read(name, &text).map_or_else(|error| error.to_string(), |()| String::new());
            assert_eq!(shown, expected.join("\n"), "{}", path.display());
            assert_eq!(kind == "bad", !shown.is_empty(), "{}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(glob("*.yaml", "a.yaml"));
        assert!(glob("a*b*", "aXbY"));
        assert!(!glob("*.yaml", "a.yml"));
        assert!(!glob("a*", "b"));
    }

    #[test]
    fn files_are_found_in_order_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yaml", "c.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = find(&folder.path().join("*.yaml").to_string_lossy()).unwrap();
        assert_eq!(found.iter().map(|file| file.rsplit('/').next().unwrap()).collect::<Vec<_>>(), ["a.yaml", "b.yaml"]);
        assert_eq!(find("/nowhere/x.yaml").unwrap_err().to_string(), "/nowhere/x.yaml: no such file");
        assert_eq!(find("/nowhere/*.yaml").unwrap(), Vec::<String>::new());
    }
}
