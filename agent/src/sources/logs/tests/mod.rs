//! The tailer against directories that change under it: a simulation, recorded files, and single cases of rotation.

mod cases;
mod recorded;
mod running;
mod simulation;
pub(super) mod store;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use yagura_model::{Nanos, Timestamp};

use super::{
    checkpoint::Checkpoints,
    read::{Bounds, Scratch},
    tail::{Fate, Now, Outgoing, Settings, Tailer},
};
use crate::{inventory::Inventory, sources::Node};
use store::Store;

/// Reads small chunks, so that every boundary falls everywhere.
const CHUNK: usize = 512;

fn node() -> Arc<Node> {
    Arc::new(Node {
        name: "n1".into(),
        cluster: None,
        tags: BTreeMap::from([("env".to_owned(), "test".to_owned())]),
        rules: Arc::default(),
        boot: Timestamp(0),
    })
}

fn settings(root: &Path) -> Settings {
    Settings {
        docker: vec![root.join("docker")],
        pods: vec![root.join("pods")],
        files: Vec::new(),
        read_ahead: 4096,
        bounds: Bounds { line: 64 * 1024, patience: Duration::from_secs(5) },
        held_bytes: 1 << 30,
        held_age: Duration::from_secs(3600),
        node: node(),
    }
}

/// An agent that can be killed, with a store behind it.
struct Agent {
    settings: Settings,
    checkpoint: std::path::PathBuf,
    tailer: Tailer,
    inventory: Inventory,
    now: Duration,
    flying: Vec<Outgoing>,
    store: Store,
}

impl Agent {
    fn new(settings: Settings, root: &Path) -> Self {
        let checkpoint = root.join("logs.checkpoint");
        let tailer = start(&settings, &checkpoint);
        let (inventory, now) = (Inventory::new(), Duration::ZERO);
        Self { settings, checkpoint, tailer, inventory, now, flying: Vec::new(), store: Store::default() }
    }

    /// As `kill -9`: what was not answered is lost, and what was not written.
    fn kill(&mut self) {
        self.flying.clear();
        self.tailer = start(&self.settings, &self.checkpoint);
    }

    /// One turn after some time; the tags' patience is over after two seconds.
    fn turn(&mut self, passed: Duration, stalled: bool) {
        self.now += passed;
        let now = Now { wall: Nanos(1_000_000_000), steady: self.now };
        let turn = self.tailer.turn(now, stalled, &self.inventory);
        self.flying.extend(turn.batches);
    }

    /// The collector takes a batch, and its answer arrives.
    fn deliver(&mut self, index: usize) {
        let outgoing = self.flying.remove(index);
        self.store.take(&outgoing.batch.body);
        self.tailer.settle(outgoing.ticket, Fate::Delivered);
    }

    /// Turns and deliveries until nothing comes any more; lines that stay open are cut on the way.
    fn drain(&mut self) {
        for _ in 0..12 {
            loop {
                self.turn(Duration::from_secs(1), false);
                if self.flying.is_empty() {
                    break;
                }
                while !self.flying.is_empty() {
                    self.deliver(0);
                }
            }
        }
        assert_eq!(self.tailer.lag(), 0, "everything is delivered");
        assert_eq!(self.tailer.flying, 0);
    }
}

fn start(settings: &Settings, checkpoint: &Path) -> Tailer {
    let (checkpoints, damage) = Checkpoints::open(checkpoint).unwrap();
    assert_eq!(damage, None);
    let mut tailer = Tailer::new(settings.clone(), checkpoints, None, 42);
    tailer.scratch = Scratch::with_chunk(CHUNK);
    tailer
}
