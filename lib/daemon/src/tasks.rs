//! Named tasks: each is joined, one that ends early is an error, and what outlives its deadline is named.

use std::{borrow::Cow, collections::HashMap, future::Future, time::Duration};

use tokio::{
    task::{Id, JoinError, JoinSet},
    time::Instant,
};

/// Tasks that belong together and stop together. Dropping them aborts those still running.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, Cow<'static, str>>,
}

/// A task that ended.
#[derive(Debug)]
pub struct Ended {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Whether it ended as it should; a panic is an error.
    pub result: anyhow::Result<()>,
}

/// The deadline passed before every task had ended.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("still running after {}s: {}", waited.as_secs(), names.join(", "))]
pub struct StillRunning {
    /// How long was waited.
    pub waited: Duration,
    /// Who was still running, by name; they were aborted.
    pub names: Vec<String>,
}

impl Tasks {
    /// No tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task.
    pub fn spawn<E: Into<anyhow::Error>>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self.set.spawn(async move { task.await.map_err(Into::into) });
        self.names.insert(handle.id(), name.into());
    }

    /// Who is running, by name.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.names.values().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    /// The next task that ends; waits for ever when there is none, so that it fits a `select!`.
    pub async fn ended(&mut self) -> Ended {
        match self.set.join_next_with_id().await {
            Some(joined) => self.account(joined),
            None => std::future::pending().await,
        }
    }

    /// Waits until all have ended. Those that have not when the deadline passes are aborted and named.
    /// An error of a task is logged: nobody is left to handle it.
    pub async fn join(mut self, deadline: Duration) -> Result<(), StillRunning> {
        let until = Instant::now() + deadline;
        loop {
            match tokio::time::timeout_at(until, self.set.join_next_with_id()).await {
                Ok(None) => return Ok(()),
                Ok(Some(joined)) => {
                    let Ended { name, result } = self.account(joined);
                    if let Err(error) = result {
                        tracing::warn!(task = %name, error = format_args!("{error:#}"), "task failed while stopping");
                    }
                }
                Err(_) => return Err(StillRunning { waited: deadline, names: self.names() }),
            }
        }
    }

    fn account(&mut self, joined: Result<(Id, anyhow::Result<()>), JoinError>) -> Ended {
        let (id, result) = match joined {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(anyhow::Error::new(error))),
        };
        Ended { name: self.names.remove(&id).unwrap_or_default(), result }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::CancellationToken;

    type Result = std::result::Result<(), std::io::Error>;

    #[tokio::test(start_paused = true)]
    async fn what_outlives_the_deadline_is_named_and_aborted() {
        let mut tasks = Tasks::new();
        tasks.spawn("quick", async { Result::Ok(()) });
        tasks.spawn("stuck", std::future::pending::<Result>());
        let error = tasks.join(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "still running after 5s: stuck");
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_listen_to_the_token_are_joined() {
        let (stop, mut tasks) = (CancellationToken::new(), Tasks::new());
        let child = stop.clone();
        tasks.spawn("listener", async move {
            child.cancelled().await;
            Result::Ok(())
        });
        stop.cancel();
        assert_eq!(tasks.join(Duration::from_secs(5)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_named_task() {
        let mut tasks = Tasks::new();
        tasks.spawn("careless", async {
            if true {
                panic!("at the disco");
            }
            Result::Ok(())
        });
        let ended = tasks.ended().await;
        assert_eq!(ended.name, "careless");
        assert!(ended.result.is_err());
        assert!(tasks.names().is_empty());
    }
}
