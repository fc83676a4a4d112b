//! What rotation, truncation and deletion do to a chain, and how a file is known again: by its content.

use std::{fs, io, time::Duration};

use super::{
    accounting::Reason,
    chain::{Chained, Log},
    checkpoint::{Checkpoints, Position},
    discover::{self, Listed},
    file::{FileId, Head, LogFile},
    line::Format,
};

/// A directory that changes while it is listed is listed again, so often.
const ATTEMPTS: usize = 5;

/// How long after a rotation a runtime may still append to the old file. Docker has closed it before; with CRI the
/// writer changes over after the new file exists.
const SETTLE: Duration = Duration::from_secs(1);

/// How long a file without a name and without a successor is watched for more, while its directory is there.
const LINGER: Duration = Duration::from_secs(5);

/// How much of two files is compared, just before the end of the shorter one.
const COMPARED: usize = 4096;

/// A part of a file that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) generation: String,
    pub(crate) from: u64,
    /// `None` when nobody knows how long the file was.
    pub(crate) to: Option<u64>,
    pub(crate) reason: Reason,
}

/// What a found file is.
enum Verdict {
    /// Its first line is not whole.
    Unknown,
    /// A copy of a file of the chain.
    Copy(usize),
    /// Answered for to its end.
    Finished(String),
    /// Begun before.
    Resume(String, Position),
    /// Never seen.
    New(String),
}

struct Found {
    listed: Listed,
    file: LogFile,
}

impl Log {
    /// Looks whether the file that is written is still the one we think; cheap when nothing happened. Gaps found are
    /// added to `gaps`.
    pub(crate) fn refresh(
        &mut self,
        checkpoints: &mut Checkpoints,
        salt: Option<u64>,
        now: Duration,
        gaps: &mut Vec<Gap>,
    ) -> io::Result<()> {
        let written = match fs::metadata(self.place.path()) {
            Ok(metadata) => Some((FileId::of(&metadata), metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        self.written_exists = written.is_some();
        let last = self.files.back_mut().filter(|last| last.age == 0 && last.unlinked.is_none());
        let same = match (last, written) {
            (Some(last), Some((id, length))) if last.file.id == id => {
                let whole = length >= last.read && last.head.map_or(Ok(true), |head| last.file.begins_with(head))?;
                if !whole {
                    last.emptied = true;
                }
                whole
            }
            (None, None) => self.listed && self.files.is_empty() && !self.directory_exists,
            _ => false,
        };
        // What we hold is named before anything new is: its copies must be known as such.
        self.identify(checkpoints, salt)?;
        if !same || !self.listed {
            self.relist(checkpoints, salt, now, gaps)?;
            self.identify(checkpoints, salt)?;
        }
        // A rotated file in which nothing was written.
        self.files.retain(|file| file.generation.is_some() || file.seen > 0 || file.closing.is_none());
        Ok(())
    }

    /// Takes the files' lengths, and names those whose first line has become whole.
    fn identify(&mut self, checkpoints: &mut Checkpoints, salt: Option<u64>) -> io::Result<()> {
        let mut unnamed = Vec::new();
        for file in self.files.iter_mut().filter(|file| !file.emptied && file.end.is_none()) {
            if let Some(length) = file.file.length()?
                && length > file.seen
            {
                self.account.seen += length - file.seen;
                file.seen = length;
            }
            if file.generation.is_none() && file.seen > 0 {
                unnamed.push(file.number);
            }
        }
        for number in unnamed {
            let Some(place) = self.files.iter().position(|file| file.number == number) else { continue };
            let Some(mut file) = self.files.remove(place) else { continue };
            let named = self.name(&mut file, checkpoints, salt);
            self.files.insert(place, file);
            named?;
        }
        Ok(())
    }

    fn name(&self, file: &mut Chained, checkpoints: &mut Checkpoints, salt: Option<u64>) -> io::Result<()> {
        let closed = file.age > 0 || file.unlinked.is_some();
        let Some(head) = file.file.head(closed)? else {
            file.head = Some(file.file.beginning()?);
            return Ok(());
        };
        file.head = Some(head);
        // It was the written one when it was found, and is no copy of another.
        let listed = Listed { path: file.path.clone(), age: 0, compressed: false, id: file.file.id };
        match self.judge(&file.file, &listed, head, &[], checkpoints, salt)? {
            Verdict::New(generation) => file.generation = Some(generation.into()),
            Verdict::Resume(generation, position) => {
                file.generation = Some(generation.into());
                file.resume(&position);
            }
            Verdict::Unknown | Verdict::Copy(_) | Verdict::Finished(_) => {}
        }
        file.remember(checkpoints);
        Ok(())
    }

    /// Reads the directory and puts the chain in order.
    fn relist(
        &mut self,
        checkpoints: &mut Checkpoints,
        salt: Option<u64>,
        now: Duration,
        gaps: &mut Vec<Gap>,
    ) -> io::Result<()> {
        self.directory_exists = self.place.directory.is_dir();
        let (listed, found) = self.steady_listing()?;
        self.rename(&listed, now);
        self.identify(checkpoints, salt)?;
        let present: Vec<FileId> = listed.iter().map(|listed| listed.id).collect();
        let mut on_disk: Vec<String> = Vec::new();
        for found in found {
            self.adopt(found, &present, checkpoints, salt, &mut on_disk)?;
        }
        self.close_emptied(gaps);
        self.forget_gone(checkpoints, &on_disk, gaps);
        self.oldest_age = listed.iter().map(|listed| listed.age).max().unwrap_or(0);
        self.plan_closing(now);
        self.listed = true;
        Ok(())
    }

    /// The files of the directory, and those of them, opened, that are not in the chain.
    fn steady_listing(&self) -> io::Result<(Vec<Listed>, Vec<Found>)> {
        let mut listed = discover::list(&self.place)?;
        for _ in 0..ATTEMPTS {
            let mut found = Vec::new();
            let mut moved = false;
            for entry in listed.iter().filter(|entry| !self.holds(entry.id)) {
                match LogFile::open(&entry.path, entry.compressed) {
                    Ok(file) if file.id == entry.id => found.push(Found { listed: entry.clone(), file }),
                    Ok(_) => moved = true,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => moved = true,
                    Err(error) => return Err(error),
                }
            }
            let again = discover::list(&self.place)?;
            if !moved && again == listed {
                return Ok((listed, found));
            }
            listed = again;
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "the directory changes all the time"))
    }

    fn holds(&self, id: FileId) -> bool {
        self.files.iter().any(|file| !file.emptied && file.file.id == id)
    }

    /// Notes the names that the files of the chain have now.
    fn rename(&mut self, listed: &[Listed], now: Duration) {
        for file in &mut self.files {
            match listed.iter().find(|entry| !file.emptied && entry.id == file.file.id) {
                Some(entry) => {
                    file.path.clone_from(&entry.path);
                    file.age = entry.age;
                    file.unlinked = None;
                }
                None => file.unlinked = file.unlinked.or(Some(now)),
            }
        }
    }

    /// Puts a file into the chain, if it holds what is not answered for.
    fn adopt(
        &mut self,
        mut found: Found,
        present: &[FileId],
        checkpoints: &mut Checkpoints,
        salt: Option<u64>,
        on_disk: &mut Vec<String>,
    ) -> io::Result<()> {
        let written = found.listed.age == 0;
        let head = match found.file.head(!written) {
            Ok(head) => head,
            // Half written, or damaged: its plain file is still there, or comes back as whole at the next look.
            Err(_) if found.listed.compressed => return Ok(()),
            Err(error) => return Err(error),
        };
        let verdict = match head {
            None => Verdict::Unknown,
            Some(head) => self.judge(&found.file, &found.listed, head, present, checkpoints, salt)?,
        };
        let mut position = None;
        let generation = match verdict {
            Verdict::Unknown if written => None,
            // Rotated and empty.
            Verdict::Unknown => return Ok(()),
            Verdict::Copy(index) => {
                self.take_copy(index, found);
                return Ok(());
            }
            Verdict::Finished(generation) => {
                on_disk.push(generation);
                return Ok(());
            }
            Verdict::Resume(generation, known) => {
                position = Some(known);
                Some(generation)
            }
            Verdict::New(generation) => Some(generation),
        };
        let mut file = Chained::new(self.next_number, found.file, found.listed.path, found.listed.age);
        file.generation = generation.map(Into::into);
        file.head = head.filter(|_| file.generation.is_some());
        if let Some(position) = position {
            file.resume(&position);
        }
        file.seen = file.file.length()?.unwrap_or(0);
        self.account.seen += file.seen.saturating_sub(file.done.least());
        self.next_number += 1;
        // From now on it is missed when it is gone.
        file.remember(checkpoints);
        self.insert(file);
        Ok(())
    }

    /// Puts a new file in its place. Files come from the oldest to the newest, so that it is the last but where a
    /// listing was missed; numbers follow the order of the chain.
    fn insert(&mut self, file: Chained) {
        let newer = |other: &Chained| !other.emptied && other.unlinked.is_none() && other.age < file.age;
        let place = self.files.iter().position(newer).unwrap_or(self.files.len());
        self.files.insert(place, file);
        if place + 1 < self.files.len() {
            // An older file turned up behind its time: lines that are open in newer ones are read again after it.
            self.rewind();
            for file in &mut self.files {
                file.number = self.next_number;
                self.next_number += 1;
            }
        }
    }

    /// What a file is that is not in the chain.
    fn judge(
        &self,
        file: &LogFile,
        listed: &Listed,
        head: Head,
        present: &[FileId],
        checkpoints: &Checkpoints,
        salt: Option<u64>,
    ) -> io::Result<Verdict> {
        let base = format!("{}{:032x}", self.key, head.hash);
        let written = listed.age == 0;
        for (index, known) in self.files.iter().enumerate() {
            if !known.generation.as_deref().is_some_and(|generation| generation.starts_with(&base)) {
                continue;
            }
            // The written name never holds a copy: it is another file with the same first line.
            if !written && (known.emptied || listed.compressed || same_content(&known.file, file)?) {
                return Ok(Verdict::Copy(index));
            }
        }
        let length = file.length()?;
        let mut taken = 0;
        for (generation, position) in checkpoints.positions(&base) {
            taken += 1;
            if self.files.iter().any(|file| file.generation.as_deref() == Some(&**generation)) {
                continue;
            }
            let id = FileId { device: position.device, inode: position.inode };
            // The written name again: the file it was is still there, or was ended, or has shrunk.
            let other = written
                && ((id != listed.id && present.contains(&id))
                    || position.finished
                    || length.is_some_and(|length| length < position.done.least()));
            if other {
                continue;
            }
            return Ok(if position.finished {
                Verdict::Finished(generation.to_string())
            } else {
                Verdict::Resume(generation.to_string(), position.clone())
            });
        }
        let unremembered =
            |generation: &str| generation.starts_with(&base) && checkpoints.position(generation).is_none();
        let chained = self.files.iter().filter_map(|file| file.generation.as_deref());
        taken += chained.filter(|generation| unremembered(generation)).count();
        // Without a checkpoint nobody knows how often a plain file began with this line.
        let salt = salt.filter(|_| self.place.format() == Format::Plain);
        Ok(Verdict::New(match (taken, salt) {
            (0, None) => base,
            (ordinal, None) => format!("{base}+{ordinal}"),
            (ordinal, Some(salt)) => format!("{base}+{ordinal}~{salt:016x}"),
        }))
    }

    /// A copy of a file of the chain: worth having only where the file itself was emptied.
    fn take_copy(&mut self, index: usize, found: Found) {
        if let Some(file) = self.files.get_mut(index).filter(|file| file.emptied && file.end.is_none()) {
            file.file = found.file;
            file.path = found.listed.path;
            file.age = found.listed.age;
            file.emptied = false;
            file.unlinked = None;
        }
    }

    /// A truncated file of which there is no copy ends where it was read.
    fn close_emptied(&mut self, gaps: &mut Vec<Gap>) {
        for file in self.files.iter_mut().filter(|file| file.emptied && file.end.is_none()) {
            file.end = Some(file.read);
            let lost = file.seen.saturating_sub(file.read);
            self.account.give_up(Reason::Truncated, lost);
            if let Some(generation) = file.generation.as_deref().filter(|_| lost > 0) {
                let (from, to) = (file.read, Some(file.seen));
                gaps.push(Gap { generation: generation.to_owned(), from, to, reason: Reason::Truncated });
            }
        }
        // Without a first line there was nothing to lose, and nothing to name it by.
        self.files.retain(|file| !(file.emptied && file.generation.is_none()));
    }

    /// Forgets generations of which no file is left.
    fn forget_gone(&mut self, checkpoints: &mut Checkpoints, on_disk: &[String], gaps: &mut Vec<Gap>) {
        let mut gone = Vec::new();
        for (generation, position) in checkpoints.positions(&self.key) {
            let chained = self.files.iter().any(|file| file.generation.as_ref() == Some(generation));
            if chained || on_disk.iter().any(|known| **known == **generation) {
                continue;
            }
            let lost = position.seen.saturating_sub(position.done.least());
            if !position.finished {
                self.account.give_up(Reason::GoneWhileAway, lost);
                let (generation, from) = (generation.to_string(), position.done.least());
                gaps.push(Gap { generation, from, to: None, reason: Reason::GoneWhileAway });
            }
            gone.push(generation.clone());
        }
        for generation in gone {
            checkpoints.forget(&generation);
        }
    }

    /// When the end of each file becomes final.
    fn plan_closing(&mut self, now: Duration) {
        let docker = self.place.format() == Format::JsonFile;
        let settle = if docker { Duration::ZERO } else { SETTLE };
        let count = self.files.len();
        let (directory_exists, running) = (self.directory_exists, self.running);
        for (index, file) in self.files.iter_mut().enumerate() {
            let has_successor = index + 1 < count;
            let wait = if file.file.is_compressed() {
                Some(Duration::ZERO)
            } else if has_successor {
                Some(settle)
            } else if file.unlinked.is_none() {
                None
            } else if !directory_exists {
                Some(settle)
            } else if docker && running != Some(false) {
                // Deleted by hand: its writer may go on for as long as it likes.
                None
            } else {
                Some(LINGER)
            };
            file.closing = wait.map(|wait| file.closing.unwrap_or(now + wait));
        }
    }
}

/// Whether the shorter of two files is the beginning of the other, judged by its last bytes.
fn same_content(one: &LogFile, other: &LogFile) -> io::Result<bool> {
    let (Some(length), Some(other_length)) = (one.length()?, other.length()?) else { return Ok(true) };
    let end = length.min(other_length);
    let compared = end.min(COMPARED as u64);
    let length = usize::try_from(compared).unwrap_or(COMPARED);
    let from = end - compared;
    Ok(one.plain_bytes(from, length)? == other.plain_bytes(from, length)?)
}
