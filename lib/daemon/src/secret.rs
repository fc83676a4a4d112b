//! Secrets come from files (`*_file` keys), so that they are in no config, no process list and no log.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// Larger than any token; a path mistaken for a log file must not be read whole.
const MAX_BYTES: u64 = 64 * 1024;

/// A secret's text; it is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read the secret file {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing but white space.
    #[error("the secret file {0} is empty")]
    Empty(PathBuf),
    /// Not one line of text.
    #[error("the secret file {0} must hold one line of at most 64 KiB of text")]
    NotOneLine(PathBuf),
}

impl Secret {
    /// The secret `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to be sent, never to be logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads a secret: one line; white space around it is dropped.
pub fn read(path: &Path) -> Result<Secret, Error> {
    let failed = |source| Error::Read { path: path.into(), source };
    if fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
        return Err(Error::NotOneLine(path.into()));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::Empty(path.into()));
    }
    if text.contains(|c: char| c.is_control()) {
        return Err(Error::NotOneLine(path.into()));
    }
    Ok(Secret::new(text))
}

/// A secret that is read again when its file changes, as orchestrators replace tokens under a running process.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    read_as: Option<(std::time::SystemTime, u64)>,
    secret: Option<Secret>,
}

impl SecretFile {
    /// The secret in `path`; not read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), read_as: None, secret: None }
    }

    /// The secret as the file has it now. When the file is gone for a moment the last one read is given.
    pub fn current(&mut self) -> Result<&Secret, Error> {
        let stamp = fs::metadata(&self.path).and_then(|meta| Ok((meta.modified()?, meta.len()))).ok();
        if self.secret.is_none() || (stamp.is_some() && stamp != self.read_as) {
            match (read(&self.path), &self.secret) {
                (Ok(secret), _) => {
                    self.secret = Some(secret);
                    self.read_as = stamp;
                }
                (Err(error), None) => return Err(error),
                (Err(_), Some(_)) => {}
            }
        }
        self.secret.as_ref().ok_or_else(|| Error::Empty(self.path.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_secret_is_dropped_and_debug_hides_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), " s3cret\n").unwrap();
        let secret = read(file.path()).unwrap();
        assert_eq!(secret.expose(), "s3cret");
        assert!(!format!("{secret:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_no_secret_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(read(file.path()), Err(Error::Empty(_))));
        fs::write(file.path(), "one\ntwo").unwrap();
        assert!(matches!(read(file.path()), Err(Error::NotOneLine(_))));
        let missing = read(Path::new("/nonexistent/token")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read the secret file /nonexistent/token"), "{missing}");
    }

    #[test]
    fn a_replaced_file_is_read_again_and_a_missing_one_keeps_the_last_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "first").unwrap();
        let mut file = SecretFile::new(&path);
        assert_eq!(file.current().unwrap().expose(), "first");
        fs::write(&path, "the second").unwrap();
        assert_eq!(file.current().unwrap().expose(), "the second");
        fs::remove_file(&path).unwrap();
        assert_eq!(file.current().unwrap().expose(), "the second");
    }
}
