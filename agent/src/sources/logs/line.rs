//! What every file format comes down to: pieces of text with a time and a stream.

use yagura_model::Nanos;

/// Which of a container's two outputs wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The line does not say: a plain file, or damage.
    Unknown,
}

/// How many streams there are; per-stream state is an array of this length.
pub(crate) const STREAMS: usize = 3;

/// A value for each stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerStream<T>([T; STREAMS]);

impl Stream {
    /// All of them.
    pub(crate) const ALL: [Self; STREAMS] = [Self::Stdout, Self::Stderr, Self::Unknown];

    /// As OpenTelemetry's `log.iostream` has it; empty when unknown.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Unknown => "",
        }
    }

    /// The stream that a runtime calls so.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"stdout" => Some(Self::Stdout),
            b"stderr" => Some(Self::Stderr),
            _ => None,
        }
    }
}

impl<T> PerStream<T> {
    pub(crate) fn new(values: [T; STREAMS]) -> Self {
        Self(values)
    }

    pub(crate) fn get(&self, stream: Stream) -> &T {
        let [stdout, stderr, unknown] = &self.0;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
            Stream::Unknown => unknown,
        }
    }

    pub(crate) fn get_mut(&mut self, stream: Stream) -> &mut T {
        let [stdout, stderr, unknown] = &mut self.0;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
            Stream::Unknown => unknown,
        }
    }

    pub(crate) fn values(&self) -> &[T; STREAMS] {
        &self.0
    }
}

impl PerStream<u64> {
    /// The smallest.
    pub(crate) fn least(&self) -> u64 {
        self.0.iter().copied().min().unwrap_or(0)
    }
}

/// One line of a log file, read; its text was appended to the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// Who wrote it.
    pub(crate) stream: Stream,
    /// When; all fragments of one line share it with docker, not with CRI.
    pub(crate) time: Nanos,
    /// Whether this ends the line that the program wrote.
    pub(crate) complete: bool,
}

/// How the lines of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Docker's `json-file`.
    JsonFile,
    /// Kubernetes' CRI.
    Cri,
    /// The program's own lines.
    Plain,
}
