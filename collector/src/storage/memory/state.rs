//! Small state in a map.

use std::{collections::BTreeMap, sync::Mutex};

use futures_util::future::BoxFuture;

use super::lock;
use crate::storage::{Error, StateStore};

/// All areas.
#[derive(Debug, Default)]
pub(super) struct State(Mutex<BTreeMap<(&'static str, String), Vec<u8>>>);

impl StateStore for State {
    fn get(&self, area: &'static str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(lock(&self.0).get(&(area, key.to_owned())).cloned())
    }

    fn list(&self, area: &'static str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let held = lock(&self.0);
        let own = held.range((area, String::new())..).take_while(|((known, _), _)| *known == area);
        Ok(own.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn write(&self, area: &'static str, changes: Vec<(String, Option<Vec<u8>>)>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut held = lock(&self.0);
            for (key, value) in changes {
                match value {
                    Some(value) => held.insert((area, key), value),
                    None => held.remove(&(area, key)),
                };
            }
            Ok(())
        })
    }
}
