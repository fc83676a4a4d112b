//! Small state: read from its keyspace, written by the committer.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    Embedded,
    keyspaces::{Change, Space, failed},
    writer::Job,
};
use crate::storage::{Error, StateStore};

/// All areas.
#[derive(Debug)]
pub(super) struct State(pub(super) Arc<Embedded>);

fn key(area: &str, key: &str) -> Vec<u8> {
    [area.as_bytes(), b"\0", key.as_bytes()].concat()
}

impl StateStore for State {
    fn get(&self, area: &'static str, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let value = self.0.store()?.keyspaces.state.get(key(area, name)).map_err(failed)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn list(&self, area: &'static str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let prefix = key(area, "");
        let mut all = Vec::new();
        for item in self.0.store()?.keyspaces.state.prefix(&prefix) {
            let (key, value) = item.into_inner().map_err(failed)?;
            let name = key.get(prefix.len()..).unwrap_or_default();
            all.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        }
        Ok(all)
    }

    fn write(&self, area: &'static str, changes: Vec<(String, Option<Vec<u8>>)>) -> BoxFuture<'_, Result<(), Error>> {
        // Of two changes of one key the later counts; a batch must not hold both.
        let last: std::collections::BTreeMap<String, Option<Vec<u8>>> = changes.into_iter().collect();
        let changes =
            last.into_iter().map(|(name, value)| Change { space: Space::State, key: key(area, &name), value });
        let changes = changes.collect();
        Box::pin(self.0.ask(|reply| Job::State { changes, reply }))
    }
}
