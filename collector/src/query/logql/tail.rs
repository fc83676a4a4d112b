//! A query of records followed as they come.

use futures_util::{StreamExt, stream::BoxStream};

use super::{
    Engine, Error,
    ast::{Expr, Stage},
    parse, pipeline,
    pipeline::Row,
    stored,
};
use crate::storage::Tailed;

/// What following gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Followed {
    /// A record that passed the pipeline.
    Row(Row),
    /// So many were passed over because the reader was too slow; some of them might not have passed.
    Missed(u64),
}

impl Engine {
    /// Records that pass a query, as they become durable, from now on.
    pub fn tail(&self, query: &str) -> Result<BoxStream<'static, Followed>, Error> {
        let Expr::Log(log) = parse(query)? else {
            return Err(Error::Execution("only a query of records can be followed, not one of numbers".to_owned()));
        };
        let matchers = log.matchers.iter().map(stored).collect();
        // The store sees a line before any stage has changed it: only the filters that come first are its own.
        let first = log.stages.iter().map_while(|stage| match stage {
            Stage::Line(filter) => Some(filter.clone()),
            _ => None,
        });
        let tail = self.store.tail(matchers, first.collect());
        let follow = move |tailed| {
            let followed = match tailed {
                Tailed::Missed(count) => Some(Followed::Missed(count)),
                Tailed::Entry(entry) => {
                    let mut row = Row::new((*entry).clone());
                    pipeline::apply(&log.stages, &mut row).then_some(Followed::Row(row))
                }
            };
            std::future::ready(followed)
        };
        Ok(tail.filter_map(follow).boxed())
    }
}
