//! Being told to stop: SIGINT, SIGTERM or the caller cancel one token.
//!
//! Stopping has three signals. The token: produce no more. A closed channel: nothing more will come, finish. A
//! deadline ([`crate::tasks::Tasks::join`]): give up, and name what is still running.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
pub use tokio_util::sync::CancellationToken;

/// Exit status of a process that a second signal ended at once, as shells show an interrupted one.
const INTERRUPTED: i32 = 130;

/// A token that SIGINT or SIGTERM cancels. A second signal ends the process at once: whoever asks twice will not wait.
pub fn on_signal() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = token.clone();
    tokio::spawn(async move {
        for again in [false, true] {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            if again {
                tracing::warn!(signal = name, "told to stop again, stopping at once");
                std::process::exit(INTERRUPTED);
            }
            tracing::info!(signal = name, "stopping");
            stop.cancel();
        }
    });
    Ok(token)
}
