//! What a start does with a directory, damaged or not.
//!
//! ```text
//! <path>/db/         fjall's database
//! <path>/damaged/    what was set aside, never looked at again
//! ```
//!
//! 1. [`journal`]: batches of fjall's journals that are not whole are cut out, those after them kept.
//! 2. The database is opened. If it does not open, [`quarantine`] finds the keyspaces that are to blame and sets them
//!    aside; if that does not help, the whole database, and a new one is made.
//! 3. The inbox is replayed ([`super::replay`]).
//!
//! All of it is counted and named in the [`Recovery`] report. Damage that shows only when it is read (a flipped bit
//! in a table) is counted then, and the rest is served.

mod journal;
mod quarantine;

use std::{
    fmt, fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fjall::Database;
use tokio::time::Instant;
use yagura_model::Timestamp;

use super::{
    Store,
    counters::Counters,
    group::Group,
    keyspaces::{FORMAT, Keyspaces},
    metrics, replay,
};
use crate::storage::config::Config;

/// Bytes of tables that are kept in memory.
const CACHE: u64 = 32 << 20;
/// The journals may take so much before keyspaces are flushed for their sake.
const JOURNALS: u64 = 192 << 20;
/// Threads that flush and compact.
const WORKERS: usize = 2;

/// What a start found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Samples that were acknowledged but not yet in chunks.
    pub samples: u64,
    /// Records that were acknowledged but not yet in blocks.
    pub records: u64,
    /// What was damaged.
    pub lost: Vec<Lost>,
    /// How long the start took.
    pub took: Duration,
}

/// Something that was damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What: `keyspace logs-20261120`, `journal 7`, `inbox`.
    pub what: String,
    /// How much, in the words of its kind.
    pub extent: String,
    /// Where it was set aside, if it could be.
    pub kept_in: Option<PathBuf>,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replayed {} samples and {} records in {:?}", self.samples, self.records, self.took)?;
        for lost in &self.lost {
            write!(f, "; damaged: {} ({})", lost.what, lost.extent)?;
            if let Some(path) = &lost.kept_in {
                write!(f, ", set aside in {}", path.display())?;
            }
        }
        Ok(())
    }
}

/// Why the store cannot be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("cannot use {path} as storage.path: {source}; make it writable for this user, or name another directory")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("{path} is in use by another process; stop it, or set another storage.path")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It was written by a newer program.
    #[error(
        "{path} was written by a newer version (format {found}, this one knows {known}); use that one, or set another storage.path"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u8,
        /// Our format.
        known: u8,
    },
    /// Reading or writing failed in the middle.
    #[error("cannot open the store in {path}: {source}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The engine failed, and not for damage.
    #[error("cannot open the store in {path}: {reason}")]
    Failed {
        /// The directory.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

/// Opens the directory. With `suspect`, every keyspace is read whole first: the engine stumbled over damage that
/// opening alone does not show.
pub(super) fn open(
    config: &Config,
    counters: &Arc<Counters>,
    now: Timestamp,
    suspect: bool,
) -> Result<(Arc<Store>, Group, Recovery), OpenError> {
    let started = Instant::now();
    let path = &config.path;
    usable(path).map_err(|source| OpenError::Unusable { path: path.clone(), source })?;
    let place = Place { db: path.join("db"), damaged: path.join("damaged") };
    let io = |source| OpenError::Io { path: path.clone(), source };
    let mut recovery = Recovery::default();
    place.repair_marker(&mut recovery).map_err(io)?;
    journal::repair(&place, &mut recovery).map_err(io)?;
    if suspect {
        quarantine::set_aside(&place, true, &mut recovery).map_err(io)?;
    }
    let (keyspaces, damage) = match open_database(&place) {
        Ok(keyspaces) => (Some(keyspaces), None),
        Err(Failure::InUse) => return Err(OpenError::InUse { path: path.clone() }),
        Err(Failure::Io(source)) => return Err(io(source)),
        Err(Failure::Damaged(reason)) => (None, Some(reason)),
    };
    let keyspaces = match keyspaces {
        Some(keyspaces) => keyspaces,
        None => open_damaged(&place, &mut recovery, &damage.unwrap_or_default())
            .map_err(|failure| failure.into_error(path))?,
    };
    check_format(&keyspaces, path)?;
    let known = metrics::read::metadata(&keyspaces.meta, counters);
    let store = Store::new(config.clone(), keyspaces, metrics::Table::new(known), Arc::clone(counters), now);
    let (replayed, mut group) = replay::run(&store, now);
    recovery.samples = replayed.samples;
    recovery.records = replayed.records;
    for (count, what) in
        [(replayed.damaged, "entries not readable"), (replayed.unknown, "samples or records of unknown series")]
    {
        if count > 0 {
            recovery.lost.push(Lost { what: "inbox".to_owned(), extent: format!("{count} {what}"), kept_in: None });
        }
    }
    counters.damaged.fetch_add(recovery.lost.len() as u64, std::sync::atomic::Ordering::Relaxed);
    group.changes.push(super::keyspaces::Change::put(super::keyspaces::Space::Meta, b"version".to_vec(), vec![FORMAT]));
    recovery.took = started.elapsed();
    Ok((Arc::new(store), group, recovery))
}

/// The directories of a store.
#[derive(Debug)]
struct Place {
    db: PathBuf,
    damaged: PathBuf,
}

/// fjall's own marker: three letters and the number of its format.
const MARKER: &[u8] = b"FJL\x03";

impl Place {
    /// A free path for something that is set aside.
    fn aside(&self, name: &str) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.damaged)?;
        let mut number = 0;
        loop {
            let path = self.damaged.join(if number == 0 { name.to_owned() } else { format!("{name}.{number}") });
            if !path.try_exists()? {
                return Ok(path);
            }
            number += 1;
        }
    }

    /// Writes fjall's version marker again when it is not what it must be: there is one version only, and without
    /// the marker fjall would refuse a store that is whole, or make a new one over it.
    fn repair_marker(&self, recovery: &mut Recovery) -> io::Result<()> {
        let marker = self.db.join("version");
        let tables = self.db.join("keyspaces").join("0");
        let found = fs::read(&marker).ok();
        if !tables.try_exists()? || found.as_deref() == Some(MARKER) {
            return Ok(());
        }
        fs::write(&marker, MARKER)?;
        fs::File::open(&marker)?.sync_all()?;
        let extent = "written again".to_owned();
        recovery.lost.push(Lost { what: "version marker".to_owned(), extent, kept_in: None });
        Ok(())
    }
}

fn usable(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    let probe = path.join(".writable");
    fs::write(&probe, b"")?;
    fs::remove_file(&probe)
}

/// Why the database did not open.
#[derive(Debug)]
enum Failure {
    InUse,
    Io(io::Error),
    Damaged(String),
}

impl Failure {
    fn into_error(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::InUse => OpenError::InUse { path },
            Self::Io(source) => OpenError::Io { path, source },
            Self::Damaged(reason) => OpenError::Failed { path, reason },
        }
    }
}

impl From<fjall::Error> for Failure {
    fn from(error: fjall::Error) -> Self {
        use io::ErrorKind::{NotFound, UnexpectedEof};
        match error {
            fjall::Error::Locked => Self::InUse,
            // A file that is missing or short is damage; anything else is the system's.
            fjall::Error::Io(source) if !matches!(source.kind(), NotFound | UnexpectedEof) && is_system(&source) => {
                Self::Io(source)
            }
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Whether the operating system said so, rather than a decoder.
fn is_system(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | StorageFull) || error.raw_os_error() == Some(24)
}

/// Opens the database; a panic of a decoder over damaged bytes is damage.
fn open_database(place: &Place) -> Result<Keyspaces, Failure> {
    let open = || -> Result<Keyspaces, fjall::Error> {
        let db = Database::builder(&place.db)
            .manual_journal_persist(true)
            .cache_size(CACHE)
            .max_journaling_size(JOURNALS)
            .worker_threads(WORKERS)
            .open()?;
        Keyspaces::open(db, &place.db)
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(Failure::Damaged("the engine panicked".to_owned())),
    }
}

/// Sets aside as little as helps.
fn open_damaged(place: &Place, recovery: &mut Recovery, reason: &str) -> Result<Keyspaces, Failure> {
    tracing::error!(reason, path = %place.db.display(), "the store is damaged; setting aside what cannot be read");
    for thorough in [false, true] {
        if quarantine::set_aside(place, thorough, recovery).map_err(Failure::Io)? {
            match open_database(place) {
                Err(Failure::Damaged(_)) => {}
                other => return other,
            }
        }
    }
    let aside = place.aside("db").map_err(Failure::Io)?;
    fs::rename(&place.db, &aside).map_err(Failure::Io)?;
    recovery.lost.push(Lost { what: "the whole store".to_owned(), extent: reason.to_owned(), kept_in: Some(aside) });
    open_database(place)
}

fn check_format(keyspaces: &Keyspaces, path: &Path) -> Result<(), OpenError> {
    let version = keyspaces.meta.get(b"version").ok().flatten();
    match version.and_then(|version| version.first().copied()) {
        Some(found) if found > FORMAT => Err(OpenError::Newer { path: path.to_owned(), found, known: FORMAT }),
        _ => Ok(()),
    }
}
