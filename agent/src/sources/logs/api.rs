//! Logs that only the runtime's API gives: another driver than `json-file`, a daemon on another machine, files that may
//! not be read.
//!
//! The API names no offsets, so a record's range counts the bytes of its stream as they are delivered, from the first
//! one. A cursor (time of the last piece, how many pieces had that time, bytes so far) finds the place again: the
//! daemon is asked for everything since that second, and what the cursor has seen is passed over. A clock that is set
//! back hides lines from a later reading; that is the API's limit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bollard::{container::LogOutput, query_parameters::LogsOptionsBuilder};
use futures_util::StreamExt;
use memchr::memchr;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};
use xxhash_rust::xxh3::xxh3_64;
use yagura_daemon::{backoff::Backoff, clock};
use yagura_model::Nanos;

use super::{
    batch::{Part, Resource, Writer},
    checkpoint::{Checkpoints, Cursor},
    discover::Owner,
    join::{Joins, Limits, Line, Piece, Spot},
    line::{Format, Fragment, PerStream, Stream},
    stamp::StampReader,
};
use crate::{
    buffer::{Batch, Outcome},
    inventory::{Container, ContainerId, State},
    sources::{Context, Node, docker},
};

/// A batch of this size is sent at once; nothing more is read until it is answered.
const BATCH: usize = 256 * 1024;

/// How long lines gather.
const LINGER: Duration = Duration::from_millis(80);

/// How long a container must be known before its log is asked for: its file may turn up, or its description be whole.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a container that has ended is looked at again: it may be started anew.
const AGAIN: Duration = Duration::from_secs(2);

/// Logs followed at once; each holds a connection.
const FOLLOWED: usize = 256;

/// What followers share.
#[derive(Clone)]
struct Shared {
    context: Context,
    docker: docker::Config,
    line: usize,
    patience: Duration,
    checkpoints: Arc<Mutex<Checkpoints>>,
}

/// Starts and ends followers.
pub(crate) struct Api {
    shared: Shared,
    /// Since when a container is wanted, and who follows it.
    followers: HashMap<ContainerId, (Instant, Option<AbortHandle>)>,
}

impl Api {
    pub(crate) fn new(
        context: &Context,
        docker: docker::Config,
        limits: (usize, Duration),
        checkpoints: Checkpoints,
    ) -> Self {
        let (line, patience) = limits;
        let checkpoints = Arc::new(Mutex::new(checkpoints));
        let shared = Shared { context: context.clone(), docker, line, patience, checkpoints };
        Self { shared, followers: HashMap::new() }
    }

    /// Follows these containers and no others. One that ended keeps its follower until its log is read.
    pub(crate) fn follow(&mut self, wanted: &[Arc<Container>]) {
        self.followers.retain(|id, (_, task)| {
            let kept = wanted.iter().any(|container| container.id == *id)
                || task.as_ref().is_some_and(|task| !task.is_finished());
            if !kept && let Some(task) = task {
                task.abort();
            }
            kept
        });
        for container in wanted {
            let count = self.followers.values().filter(|(_, task)| task.is_some()).count();
            let (since, task) = self.followers.entry(container.id.clone()).or_insert_with(|| (Instant::now(), None));
            if task.is_none() && since.elapsed() >= PATIENCE && count < FOLLOWED {
                *task = Some(tokio::spawn(follow(self.shared.clone(), Arc::clone(container))).abort_handle());
            }
        }
    }

    /// Stops following a container whose file was found.
    pub(crate) fn forget(&mut self, id: &ContainerId) {
        if let Some((_, Some(task))) = self.followers.remove(id) {
            task.abort();
        }
    }

    /// How many logs are followed.
    pub(crate) fn len(&self) -> usize {
        self.followers.values().filter(|(_, task)| task.as_ref().is_some_and(|task| !task.is_finished())).count()
    }

    /// Ends all followers.
    pub(crate) fn close(&mut self) {
        for (_, task) in self.followers.values() {
            task.iter().for_each(AbortHandle::abort);
        }
        self.followers.clear();
    }
}

/// Follows one container until it is gone.
async fn follow(shared: Shared, container: Arc<Container>) {
    let hold = shared.context.inventory.hold(&container.id);
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    loop {
        let mut reader = Reader::new(&container, &shared);
        match read(&shared, &container, &mut reader).await {
            Ok(()) => backoff.reset(),
            Err(Stop::Gone) => break,
            Err(Stop::Broken) => {
                sleep(backoff.next_wait()).await;
                continue;
            }
        }
        // The log has ended with the container; a new start goes on with it.
        loop {
            match shared.context.inventory.get(&container.id) {
                None => return,
                Some(now) if matches!(now.state, State::Running | State::Paused) => break,
                Some(now) if now.log != container.log => return,
                Some(_) => sleep(AGAIN).await,
            }
        }
    }
    drop(hold);
}

/// Why a reading ended before the log did.
enum Stop {
    /// The daemon does not know the container.
    Gone,
    /// The connection, or nobody took a batch; it is read again.
    Broken,
}

async fn read(shared: &Shared, container: &Container, reader: &mut Reader) -> Result<(), Stop> {
    let (daemon, _) = docker::connect::connect(&shared.docker).await.map_err(|_| Stop::Broken)?;
    let options =
        LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).timestamps(true).since(reader.since());
    let mut frames = Box::pin(daemon.logs(container.id.as_str(), Some(options.build())));
    let mut due = Instant::now() + LINGER;
    loop {
        tokio::select! {
            frame = frames.next() => match frame {
                Some(Ok(frame)) => reader.take(&frame),
                Some(Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. })) => {
                    return Err(Stop::Gone);
                }
                Some(Err(_)) => return Err(Stop::Broken),
                None => break,
            },
            () = sleep_until(due) => {
                reader.cut_overdue();
                flush(shared, reader).await?;
                due = Instant::now() + LINGER;
            }
        }
        if reader.len() >= BATCH {
            flush(shared, reader).await?;
        }
    }
    reader.cut_all();
    flush(shared, reader).await
}

/// Sends what was read and, once it is answered for, moves the cursors.
async fn flush(shared: &Shared, reader: &mut Reader) -> Result<(), Stop> {
    let Some(batch) = reader.batch(clock::now_nanos()) else { return Ok(()) };
    match shared.context.out.buffer().send(batch).await.await {
        Ok(Outcome::Delivered | Outcome::Refused(_)) => {}
        Err(_) => return Err(Stop::Broken),
    }
    let moved = reader.settled();
    let checkpoints = Arc::clone(&shared.checkpoints);
    let written = tokio::task::spawn_blocking(move || {
        let mut checkpoints = checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, cursor) in moved {
            checkpoints.set_cursor(&key, cursor);
        }
        checkpoints.write(false)
    });
    if let Ok(Err(error)) = written.await {
        tracing::warn!(%error, "the cursors of logs read from the runtime are not on disk");
    }
    Ok(())
}

/// One stream as it is delivered.
#[derive(Debug, Default)]
struct Source {
    key: Arc<str>,
    generation: String,
    /// Where an earlier reading stopped; what comes before is passed over.
    resume: Cursor,
    /// Pieces with its time that were passed over.
    passed: u64,
    /// After the last piece taken.
    now: Cursor,
    /// Before the open line, or `now`.
    settled: Cursor,
    /// Up to where batches answer.
    said: u64,
    lines: Vec<Line>,
}

/// Makes records of what the API delivers.
struct Reader {
    sources: PerStream<Source>,
    joins: Joins,
    text: Vec<u8>,
    stamps: StampReader,
    resource: Resource,
    writer: Writer,
    line: usize,
    patience: Duration,
    start: Instant,
}

impl Reader {
    fn new(container: &Container, shared: &Shared) -> Self {
        let checkpoints = shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        Self::with(container, &shared.context.node, &checkpoints, shared.line, shared.patience)
    }

    fn with(container: &Container, node: &Node, checkpoints: &Checkpoints, line: usize, patience: Duration) -> Self {
        let source = |stream: Stream| {
            let key: Arc<str> = format!("{}:api:{}", container.id, stream.name()).into();
            let resume = checkpoints.cursor(&key).cloned().unwrap_or_default();
            let generation = if resume.first == 0 { String::new() } else { format!("{key}:{:016x}", resume.first) };
            let (now, settled, said) = (resume.clone(), resume.clone(), resume.offset);
            Source { key, generation, resume, passed: 0, now, settled, said, lines: Vec::new() }
        };
        Self {
            sources: PerStream::new(Stream::ALL.map(source)),
            joins: Joins::default(),
            text: Vec::new(),
            stamps: StampReader::default(),
            resource: Resource::new(&Owner::Docker(container.id.clone()), Some(container), node),
            writer: Writer::default(),
            line,
            patience,
            start: Instant::now(),
        }
    }

    /// The second from which the daemon must tell: that of the stream that is furthest behind.
    fn since(&self) -> i32 {
        let times = self.sources.values().iter().map(|source| source.resume.time).filter(|time| *time > 0);
        times.min().and_then(|time| i32::try_from(time / 1_000_000_000).ok()).unwrap_or(0)
    }

    fn take(&mut self, frame: &LogOutput) {
        let (stream, bytes) = match frame {
            LogOutput::StdErr { message } => (Stream::Stderr, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
                (Stream::Stdout, message)
            }
        };
        let mut rest: &[u8] = bytes;
        while !rest.is_empty() {
            let length = memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
            let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            self.take_piece(stream, piece);
            rest = after;
        }
    }

    /// Takes `<time> <text>`, with a newline where the line ends.
    fn take_piece(&mut self, stream: Stream, piece: &[u8]) {
        let source = self.sources.get_mut(stream);
        let stamped = memchr(b' ', piece).and_then(|space| {
            let (stamp, text) = piece.split_at_checked(space)?;
            Some((self.stamps.read(stamp)?, text.get(1..)?))
        });
        let (time, text) = stamped.unwrap_or((Nanos(source.now.time), piece));
        if source.passes_over(time) {
            return;
        }
        if source.now.first == 0 {
            // Never 0, which means none.
            source.now.first = xxh3_64(piece).max(1);
            source.generation = format!("{}:{:016x}", source.key, source.now.first);
        }
        let was_open = self.joins.open(stream).is_some();
        let before = source.now.clone();
        source.now.count = if time.0 == source.now.time { source.now.count + 1 } else { 1 };
        source.now.time = time.0;
        source.now.offset += text.len() as u64;
        let complete = text.ends_with(b"\n");
        let start = self.text.len();
        self.text.extend_from_slice(text.strip_suffix(b"\n").unwrap_or(text));
        let spot = |offset| Spot { file: 0, offset };
        let piece = Piece {
            fragment: Fragment { stream, time, complete },
            text: start..self.text.len(),
            from: spot(before.offset),
            to: spot(source.now.offset),
        };
        let limits = Limits { format: Format::JsonFile, line: self.line, now: self.start.elapsed() };
        self.joins.take(piece, &mut self.text, limits, &mut source.lines);
        match self.joins.open(stream) {
            None => source.settled = source.now.clone(),
            // Another line may have been ended by this one's time.
            Some(open) if !was_open || open.from.offset == before.offset => source.settled = before,
            Some(_) => {}
        }
    }

    fn cut_overdue(&mut self) {
        self.cut(self.patience);
    }

    fn cut_all(&mut self) {
        self.cut(Duration::ZERO);
    }

    fn cut(&mut self, patience: Duration) {
        let now = self.start.elapsed();
        for stream in Stream::ALL {
            if self.joins.open(stream).is_some_and(|open| open.waiting(now) >= patience) {
                let source = self.sources.get_mut(stream);
                source.lines.extend(self.joins.cut(stream, &mut self.text));
                source.settled = source.now.clone();
            }
        }
    }

    fn len(&self) -> usize {
        self.text.len()
    }

    /// What was read since the last one; `None` when that is no whole line.
    fn batch(&mut self, observed: Nanos) -> Option<Batch> {
        for stream in Stream::ALL {
            let source = self.sources.get_mut(stream);
            if source.lines.is_empty() {
                continue;
            }
            let covered = source.said..source.settled.offset;
            let part = Part { generation: &source.generation, stream, covered, lines: &source.lines, end: 0 };
            self.writer.put(&self.resource, &part, &self.text, observed);
            source.said = source.settled.offset;
            source.lines.clear();
        }
        self.text.clear();
        (self.writer.len() > 0).then(|| self.writer.finish())
    }

    /// Where each stream stands once the last batch is answered for.
    fn settled(&self) -> Vec<(Arc<str>, Cursor)> {
        let sources = self.sources.values().iter().filter(|source| source.settled.first != 0);
        sources.map(|source| (Arc::clone(&source.key), source.settled.clone())).collect()
    }
}

impl Source {
    /// Whether an earlier reading has had the next piece.
    fn passes_over(&mut self, time: Nanos) -> bool {
        if self.resume.first == 0 || time.0 > self.resume.time {
            return false;
        }
        if time.0 == self.resume.time {
            self.passed += 1;
            return self.passed <= self.resume.count;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{logs::tests::store::Store, testing};

    fn frame(stderr: bool, text: &str) -> LogOutput {
        let message = text.to_owned().into();
        if stderr { LogOutput::StdErr { message } } else { LogOutput::StdOut { message } }
    }

    /// What the daemon has, with pieces of equal times, of two streams, and of one long line.
    fn frames() -> Vec<(i64, LogOutput)> {
        [
            (1, false, "one\n"),
            (1, false, "two\n"),
            (1, true, "err\n"),
            (1, false, "three\n"),
            (2, false, "long "),
            (2, true, "mid\n"),
            (2, false, "line\n"),
            (3, false, "four\n"),
            (4, false, "no end"),
        ]
        .map(|(second, stderr, text)| (second, frame(stderr, &format!("1970-01-01T00:00:{second:02}Z {text}"))))
        .into()
    }

    /// Reads everything from the cursors on, stops after `stop` frames and answers for a batch after each `every`.
    fn read(checkpoints: &mut Checkpoints, store: &mut Store, stop: usize, every: usize, answered: bool) {
        let container = crate::inventory::testing::container("a", "web");
        let node = testing::context("logs").node;
        let mut reader = Reader::with(&container, &node, checkpoints, 1 << 20, Duration::from_secs(5));
        let since = i64::from(reader.since());
        let all = frames().len();
        let mut deliver = |reader: &mut Reader| {
            if let Some(batch) = reader.batch(Nanos(1)) {
                store.take(&batch.body);
                if answered {
                    reader.settled().into_iter().for_each(|(key, cursor)| checkpoints.set_cursor(&key, cursor));
                }
            }
        };
        for (index, (_, frame)) in frames().iter().filter(|(second, _)| *second >= since).take(stop).enumerate() {
            reader.take(frame);
            if index % every == every - 1 {
                deliver(&mut reader);
            }
        }
        if stop >= all {
            reader.cut_all();
        }
        deliver(&mut reader);
    }

    #[test]
    fn wherever_a_reading_stops_the_next_gives_each_line_once() {
        for stop in 0..=frames().len() {
            for every in 1..4 {
                for answered in [true, false] {
                    let directory = tempfile::tempdir().unwrap();
                    let (mut checkpoints, _) = Checkpoints::open(&directory.path().join("api")).unwrap();
                    let mut store = Store::default();
                    read(&mut checkpoints, &mut store, stop, every, answered);
                    read(&mut checkpoints, &mut store, 100, every, true);
                    let expected = ["one", "two", "three", "long line", "four", "no end"];
                    assert_eq!(store.bodies("stdout"), expected, "stopped after {stop}, a batch after {every}");
                    assert_eq!(store.bodies("stderr"), ["err", "mid"]);
                }
            }
        }
    }
}
