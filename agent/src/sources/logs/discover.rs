//! Which logs there are, and which files belong to one log.
//!
//! A log is what one container (one run of it, in Kubernetes) or one program writes: a chain of files by rotation.
//! Names say where to look and in which order; what a file *is* its content says (see the module's doc).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{file::FileId, line::Format};
use crate::inventory::ContainerId;

/// Where one log is written, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The directory all its files are in.
    pub(crate) directory: PathBuf,
    /// The name of the file that is written now; rotated ones begin with it.
    pub(crate) name: String,
    /// Whose it is.
    pub(crate) owner: Owner,
}

/// Whose log it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A docker container.
    Docker(ContainerId),
    /// One run of a container of a pod.
    Pod(PodContainer),
    /// A plain file; the tags come from the config.
    Plain(Arc<[(Arc<str>, Arc<str>)]>),
}

/// What the path of a pod's log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodContainer {
    pub(crate) namespace: Arc<str>,
    pub(crate) pod: Arc<str>,
    /// The part after the last `_`: the pod's uid, or the config hash of a static pod.
    pub(crate) uid: Arc<str>,
    pub(crate) container: Arc<str>,
    /// How often the container was restarted before.
    pub(crate) run: u32,
}

impl Place {
    /// What all generations of this log begin with.
    pub(crate) fn key(&self) -> Arc<str> {
        match &self.owner {
            Owner::Docker(id) => docker_key(id),
            Owner::Pod(pod) => format!("{}/{}/{}:", pod.uid, pod.container, pod.run).into(),
            Owner::Plain(_) => format!("{}:", self.path().display()).into(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    pub(crate) fn format(&self) -> Format {
        match self.owner {
            Owner::Docker(_) => Format::JsonFile,
            Owner::Pod(_) => Format::Cri,
            Owner::Plain(_) => Format::Plain,
        }
    }
}

/// What the generations of a docker container's log begin with.
pub(crate) fn docker_key(id: &ContainerId) -> Arc<str> {
    format!("{id}:").into()
}

/// The log of a docker container in its directory.
pub(crate) fn docker_place(directory: &Path) -> Option<Place> {
    let id = ContainerId::parse(directory.file_name()?.to_str()?)?;
    Some(Place { directory: directory.to_owned(), name: format!("{id}-json.log"), owner: Owner::Docker(id) })
}

/// The logs below docker's directory of containers.
pub(crate) fn docker_logs(root: &Path) -> io::Result<Vec<Place>> {
    Ok(directories(root)?.iter().filter_map(|directory| docker_place(directory)).collect())
}

/// The logs below `/var/log/pods`: `<namespace>_<pod>_<uid>/<container>/<run>.log`.
pub(crate) fn pod_logs(root: &Path) -> io::Result<Vec<Place>> {
    let mut places = Vec::new();
    for pod in directories(root)? {
        // A pod's directory may go at any time; then it has no logs.
        for container in directories(&pod).unwrap_or_default() {
            places.extend(runs(&pod, &container));
        }
    }
    Ok(places)
}

/// The directories in which a log of a pod may appear: of pods, and of their containers.
pub(crate) fn pod_directories(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    for pod in directories(root).unwrap_or_default() {
        found.extend(directories(&pod).unwrap_or_default());
        found.push(pod);
    }
    found
}

fn runs(pod: &Path, container: &Path) -> Vec<Place> {
    let Some(mut parts) = pod.file_name().and_then(|name| name.to_str()).map(|name| name.rsplitn(3, '_')) else {
        return Vec::new();
    };
    let (Some(uid), Some(pod), Some(namespace)) = (parts.next(), parts.next(), parts.next()) else { return Vec::new() };
    let Some(name) = container.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let owner = |run| {
        let [namespace, pod, uid, container] = [namespace, pod, uid, name].map(Arc::from);
        Owner::Pod(PodContainer { namespace, pod, uid, container, run })
    };
    let mut runs: Vec<u32> = file_names(container)
        .unwrap_or_default()
        .iter()
        .filter_map(|name| name.split_once(".log")?.0.parse().ok())
        .collect();
    runs.sort_unstable();
    runs.dedup();
    let place = |run| Place { directory: container.to_owned(), name: format!("{run}.log"), owner: owner(run) };
    runs.into_iter().map(place).collect()
}

/// Plain files whose path matches `pattern`: `*` and `?` stand for characters of one name.
pub(crate) fn plain_logs(pattern: &str, exclude: &[String], tags: &Arc<[(Arc<str>, Arc<str>)]>) -> Vec<Place> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = found.iter().flat_map(|directory| matching(directory, part)).collect();
    }
    let excluded = |path: &Path| {
        let name = path.to_string_lossy();
        exclude.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
    };
    found
        .into_iter()
        .filter(|path| path.is_file() && !excluded(path))
        .filter_map(|path| {
            let (directory, name) = (path.parent()?.to_owned(), path.file_name()?.to_str()?.to_owned());
            Some(Place { directory, name, owner: Owner::Plain(Arc::clone(tags)) })
        })
        .collect()
}

fn matching(directory: &Path, part: &str) -> Vec<PathBuf> {
    if !part.contains(['*', '?']) {
        return vec![directory.join(part)];
    }
    let names = file_names(directory).unwrap_or_default();
    names.iter().filter(|name| matches(part.as_bytes(), name.as_bytes())).map(|name| directory.join(name)).collect()
}

/// Whether `name` matches `pattern`; takes time in proportion to the product of their lengths at worst.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut rest, mut text) = (pattern, name);
    // Where to go on when what follows the last star turns out not to match.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (rest, text) {
            ([b'*', after @ ..], _) => {
                retry = Some((after, text));
                rest = after;
            }
            ([], []) => return true,
            ([wanted, after @ ..], [found, after_found @ ..]) if wanted == found || *wanted == b'?' => {
                (rest, text) = (after, after_found);
            }
            _ => match retry {
                Some((after, [_, shorter @ ..])) => {
                    (rest, text) = (after, shorter);
                    retry = Some((after, shorter));
                }
                _ => return false,
            },
        }
    }
}

fn directories(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        // A link may lead to a directory elsewhere; the type of a link is asked of its target.
        let kind = entry.file_type()?;
        if kind.is_dir() || (kind.is_symlink() && entry.path().is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn file_names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

/// One file of a log, as a directory lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    /// 0 for the file that is written now; the larger, the older.
    pub(crate) age: u64,
    pub(crate) compressed: bool,
    pub(crate) id: FileId,
}

/// The files of a log that are there now, the oldest first. No directory is no files.
pub(crate) fn list(place: &Place) -> io::Result<Vec<Listed>> {
    let names = match file_names(&place.directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let mut listed = Vec::new();
    for name in names {
        let Some((age, compressed)) = name.strip_prefix(&*place.name).and_then(age) else { continue };
        let path = place.directory.join(&name);
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_file() {
            listed.push(Listed { path, age, compressed, id: FileId::of(&metadata) });
        }
    }
    // Of a plain file and its compressed copy the plain one comes first.
    listed.sort_unstable_by(|one, other| other.age.cmp(&one.age).then(one.compressed.cmp(&other.compressed)));
    Ok(listed)
}

/// How old a file is by what follows the log's name: nothing, docker's `.2`, kubelet's `.20261120-084329`, logrotate's
/// `-20261120`, each with or without `.gz`. What is half written (`.tmp`) is no file yet.
fn age(suffix: &str) -> Option<(u64, bool)> {
    let (suffix, compressed) = suffix.strip_suffix(".gz").map_or((suffix, false), |suffix| (suffix, true));
    if suffix.is_empty() {
        return (!compressed).then_some((0, false));
    }
    let stamp = suffix.strip_prefix(['.', '-'])?;
    if stamp.len() < 8 {
        return stamp.parse().ok().filter(|age| *age > 0).map(|age| (age, compressed));
    }
    if !stamp.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return None;
    }
    let digits: String = stamp.chars().filter(char::is_ascii_digit).collect();
    // A date without a time is the start of its day.
    let digits = format!("{digits:0<14}");
    Some((u64::MAX.checked_sub(digits.parse().ok()?)?, compressed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(place: &Place) -> Vec<String> {
        let name = |listed: Listed| listed.path.file_name().unwrap().to_str().unwrap().to_owned();
        list(place).unwrap().into_iter().map(name).collect()
    }

    #[test]
    fn dockers_files_are_listed_from_the_oldest() {
        let root = tempfile::tempdir().unwrap();
        let id = "a".repeat(64);
        let directory = root.path().join(&id);
        fs::create_dir(&directory).unwrap();
        fs::create_dir(root.path().join("not-a-container")).unwrap();
        for suffix in ["", ".1", ".2.gz", ".10", ".1.gz", ".tmp", ".old", ".0"] {
            fs::write(directory.join(format!("{id}-json.log{suffix}")), "x").unwrap();
        }
        fs::write(directory.join("config.v2.json"), "x").unwrap();
        let places = docker_logs(root.path()).unwrap();
        assert_eq!(places.len(), 1);
        let expected = [".10", ".2.gz", ".1", ".1.gz", ""].map(|suffix| format!("{id}-json.log{suffix}"));
        assert_eq!(names(&places[0]), expected);
        assert_eq!(&*places[0].key(), format!("{id}:"));
    }

    #[test]
    fn pods_are_found_by_their_path() {
        let root = tempfile::tempdir().unwrap();
        let container = root.path().join("shop_web-1_0a-0b/app");
        fs::create_dir_all(&container).unwrap();
        for name in ["0.log", "1.log", "1.log.20261120-084329", "1.log.20261120-084219.gz", "1.log.20261120-084219.tmp"]
        {
            fs::write(container.join(name), "x").unwrap();
        }
        let places = pod_logs(root.path()).unwrap();
        assert_eq!(places.iter().map(|place| place.name.as_str()).collect::<Vec<_>>(), ["0.log", "1.log"]);
        assert_eq!(names(&places[1]), ["1.log.20261120-084219.gz", "1.log.20261120-084329", "1.log"]);
        let Owner::Pod(pod) = &places[1].owner else { panic!("not a pod") };
        assert_eq!(
            (&*pod.namespace, &*pod.pod, &*pod.uid, &*pod.container, pod.run),
            ("shop", "web-1", "0a-0b", "app", 1)
        );
        assert_eq!(&*places[1].key(), "0a-0b/app/1:");
    }

    #[test]
    fn plain_files_match_patterns() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a/x.log", "a/y.log", "b/x.log", "a/x.txt", "a/x.log.1"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let pattern = format!("{}/?/*.log", root.path().display());
        let found = plain_logs(&pattern, &["*/y.log".to_owned()], &Arc::from([]));
        let mut found: Vec<_> =
            found.iter().map(|place| place.path().strip_prefix(root.path()).unwrap().to_owned()).collect();
        found.sort();
        assert_eq!(found, [PathBuf::from("a/x.log"), PathBuf::from("b/x.log")]);
    }

    #[test]
    fn patterns_match_as_shells_do() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?x", "éx", false),
            ("*.log", "x.log.1", false),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
