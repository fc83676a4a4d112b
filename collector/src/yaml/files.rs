//! Finds the files that a pattern of the config names.

use std::path::Path;

use super::{Faults, fault};

/// Files that match `pattern`, sorted. A `*` stands for any text within the last part of the path; a pattern without
/// one names one file, which must exist.
pub(crate) fn find(pattern: &str) -> Result<Vec<String>, Faults> {
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
