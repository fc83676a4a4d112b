//! The live tail: every durable record goes to one broadcast channel, each reader keeps what it wants.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{LineFilter, LogEntry, Matcher, Tailed};

/// Records a reader may be behind before it misses some: a tenth of a second at full speed, and 16 MiB at most for
/// common lines.
pub(super) const TAIL_ENTRIES: usize = 32 << 10;

/// What one reader sees.
pub(super) fn stream(
    receiver: Receiver<Arc<LogEntry>>,
    matchers: Vec<Matcher>,
    filters: Vec<LineFilter>,
) -> BoxStream<'static, Tailed> {
    stream::unfold((receiver, matchers, filters), |(mut receiver, matchers, filters)| async move {
        loop {
            let tailed = match receiver.recv().await {
                Ok(entry) => {
                    let wanted = matchers.iter().all(|matcher| matcher.matches_labels(&entry.labels))
                        && filters.iter().all(|filter| filter.passes(&entry.line));
                    if !wanted {
                        continue;
                    }
                    Tailed::Entry(entry)
                }
                Err(RecvError::Lagged(missed)) => Tailed::Missed(missed),
                Err(RecvError::Closed) => return None,
            };
            return Some((tailed, (receiver, matchers, filters)));
        }
    })
    .boxed()
}
