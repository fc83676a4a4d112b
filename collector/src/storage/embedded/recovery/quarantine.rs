//! Keyspaces that do not open (or, thoroughly, that cannot be read to their end) are set aside.
//!
//! fjall opens all keyspaces or none and does not say which one failed. So each is tried alone: in a directory beside
//! the database with a copy of fjall's own small keyspace 0, which knows their names, and no journal.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use fjall::{Database, KeyspaceCreateOptions};

use super::{Lost, MARKER, Place, Recovery};
use crate::storage::embedded::keyspaces;

/// Sets aside what is damaged; true when there was something, and the rest may open now.
pub(super) fn set_aside(place: &Place, thorough: bool, recovery: &mut Recovery) -> io::Result<bool> {
    let folder = place.db.join("keyspaces");
    if !folder.join("0").try_exists()? {
        return Ok(false);
    }
    let names = keyspaces::names(&place.db);
    let trial = place.db.with_extension("trial");
    if trial.try_exists()? {
        // A start before this one did not come to its end; what it tried goes back.
        put_back(&trial, &folder)?;
    }
    let mut found = false;
    if !opens(&trial, &folder, None, false)? {
        return Ok(false);
    }
    for entry in fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()? {
        let name = entry.file_name().to_string_lossy().into_owned();
        // The engine panics over a directory whose name is no number.
        let foreign = name.parse::<u64>().is_err();
        if name == "0" || !foreign && opens(&trial, &folder, Some(&name), thorough)? {
            continue;
        }
        let known = names.get(&name).cloned().unwrap_or_else(|| format!("number {name}"));
        let aside = place.aside(&format!("keyspace-{known}"))?;
        let bytes = size(&entry.path());
        fs::rename(entry.path(), &aside)?;
        let (what, extent) = (format!("keyspace {known}"), format!("{bytes} bytes"));
        recovery.lost.push(Lost { what, extent, kept_in: Some(aside) });
        found = true;
    }
    Ok(found)
}

/// Moves keyspaces that were left in a trial back to their place.
fn put_back(trial: &Path, folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(trial.join("keyspaces"))? {
        let entry = entry?;
        let target = folder.join(entry.file_name());
        if entry.file_name() != "0" && !target.try_exists()? {
            fs::rename(entry.path(), target)?;
        }
    }
    fs::remove_dir_all(trial)
}

/// Whether keyspace 0 opens, alone or together with one other.
fn opens(trial: &Path, folder: &Path, other: Option<&str>, thorough: bool) -> io::Result<bool> {
    let inside = trial.join("keyspaces");
    fs::create_dir_all(&inside)?;
    fs::write(trial.join("version"), MARKER)?;
    fs::write(trial.join("lock"), b"")?;
    copy(&folder.join("0"), &inside.join("0"))?;
    if let Some(name) = other {
        fs::rename(folder.join(name), inside.join(name))?;
    }
    let readable = catch_unwind(AssertUnwindSafe(|| read(trial, thorough))).is_ok_and(|read| read.is_ok());
    if let Some(name) = other {
        let left = inside.join(name);
        // The engine removes a keyspace that it does not know by name; then there is nothing to put back.
        if left.try_exists()? {
            fs::rename(left, folder.join(name))?;
        }
    }
    fs::remove_dir_all(trial)?;
    Ok(readable)
}

fn read(trial: &Path, thorough: bool) -> Result<(), fjall::Error> {
    let db = Database::builder(trial).worker_threads(1).open()?;
    if thorough {
        for name in db.list_keyspace_names() {
            for item in db.keyspace(&name, KeyspaceCreateOptions::default)?.iter() {
                item.into_inner()?;
            }
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let size_of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size_of).sum()
}
