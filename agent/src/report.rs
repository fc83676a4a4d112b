//! What the agent says about itself: `/status`, and the same as a log record to the collector, every half minute and
//! whenever the state of a source changes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use yagura_codec::{
    AnyValue,
    attributes::{RecordAttributes, ResourceAttributes, ScopeAttributes},
    logs::{Encoder, NewRecord},
};
use yagura_daemon::clock;
use yagura_model::{Nanos, Severity, Timestamp, names::SERVICE_NAME};

use crate::{
    buffer::{Batch, Buffer, Signal},
    export::StatusCell,
    inventory::{Inventory, State},
    sources::{Context, Node},
    status::Board,
};

/// The kind of event that a status record is.
pub const STATUS_EVENT: &str = "yagura.agent.status";

/// How often the status is shipped when nothing changes.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long changes gather: at start every source reports.
const GATHER: Duration = Duration::from_secs(1);

/// Everything the status is made of; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// The machine.
    pub node: Arc<Node>,
    /// When the agent was started.
    pub started: Timestamp,
    /// How the sources do.
    pub board: Board,
    /// What waits.
    pub buffer: Buffer,
    /// How delivery does.
    pub export: StatusCell,
    /// What runs here.
    pub inventory: Inventory,
}

impl Reporter {
    /// The status as it is now.
    #[must_use]
    pub fn now(&self) -> Value {
        let sources = self.board.sources();
        let logs = sources.iter().find(|source| source.name == "logs");
        let logged = ["seen", "read", "delivered", "spooled", "given_up", "lag_bytes"];
        let logs: Map<String, Value> =
            logged.into_iter().filter_map(|key| Some((key.to_owned(), logs?.detail.get(key)?.clone()))).collect();
        let usage = self.buffer.usage();
        let running = self.inventory.all().iter().filter(|container| container.state == State::Running).count();
        json!({
            "node": self.node.name,
            "cluster": self.node.cluster,
            "version": env!("CARGO_PKG_VERSION"),
            "started": self.started,
            "sources": sources,
            "buffer": {
                "memory_bytes": usage.memory_bytes,
                "disk_bytes": usage.disk_bytes,
                "disk_limit": usage.disk_limit,
                "dropped_batches": usage.dropped_batches,
            },
            "export": self.export.current(),
            "logs": logs,
            "containers": running,
        })
    }

    /// Ships the status until told to stop.
    pub async fn ship(self, context: Context) -> Result<(), Infallible> {
        let mut changes = self.board.changes();
        loop {
            if context.stop.run_until_cancelled(sleep(GATHER)).await.is_none() {
                return Ok(());
            }
            changes.mark_unchanged();
            let body = record(&self.node, &self.now().to_string(), clock::now_nanos());
            let batch = Batch { signal: Signal::Logs, body: body.into(), items: 1 };
            if let Err(error) = self.buffer.keep(batch, false).await {
                tracing::debug!(%error, "the status was not shipped");
            }
            let next = sleep_until(Instant::now() + INTERVAL);
            tokio::select! {
                () = context.stop.cancelled() => return Ok(()),
                () = next => {}
                changed = changes.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// The status as an OTLP request with one record.
fn record(node: &Node, status: &str, now: Nanos) -> Vec<u8> {
    let mut resource = ResourceAttributes::from_pairs([
        (SERVICE_NAME, "yagura-agent"),
        ("source", "yagura"),
        ("host.name", &node.name),
    ]);
    if let Some(cluster) = &node.cluster {
        resource.put_str("k8s.cluster.name", cluster);
    }
    for (tag, attribute) in [("env", "deployment.environment.name"), ("role", "role")] {
        if let Some(value) = node.tags.get(tag) {
            resource.put_str(attribute, value);
        }
    }
    let mut attributes = RecordAttributes::new();
    attributes.put_str("event", STATUS_EVENT);
    let mut encoder = Encoder::new(Vec::new());
    encoder.begin_resource(&resource);
    encoder.begin_scope();
    encoder.scope("yagura-agent", env!("CARGO_PKG_VERSION"), &ScopeAttributes::new());
    encoder.record(&NewRecord {
        time: now,
        observed: now,
        severity_number: Severity::Info.number(),
        severity_text: "INFO",
        body: AnyValue::Str(status),
        attributes: &[&attributes],
        event_name: STATUS_EVENT,
        ..NewRecord::default()
    });
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing;
    use opentelemetry_proto::tonic::{
        collector::logs::v1::ExportLogsServiceRequest, common::v1::any_value::Value as AnyProto,
    };
    use prost::Message as _;

    fn reporter(context: &Context, board: Board) -> Reporter {
        Reporter {
            node: Arc::clone(&context.node),
            started: Timestamp(5),
            board,
            buffer: context.out.buffer().clone(),
            export: StatusCell::default(),
            inventory: context.inventory.clone(),
        }
    }

    #[test]
    fn the_status_names_what_is_missing_and_sums_the_logs_up() {
        let board = Board::default();
        let logs = board.handle("logs");
        logs.set("seen", 10);
        logs.set("given_up", json!({"rotated": 3}));
        logs.set("followed", 2);
        board.handle("docker").missing("no socket", "mount it");
        let status = reporter(&testing::context("x"), board).now();
        assert_eq!(status["logs"], json!({"seen": 10, "given_up": {"rotated": 3}}));
        assert_eq!(status["sources"][1]["reason"], "no socket");
        assert_eq!(status["export"]["state"], "none");
        assert_eq!(status["started"], 5);
        assert_eq!(status["buffer"]["dropped_batches"], 0);
        assert_eq!(status["containers"], 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_status_is_shipped_at_start_on_change_and_every_half_minute() {
        let context = testing::context("report");
        let board = Board::default();
        let docker = board.handle("docker");
        let (buffer, stop) = (context.out.buffer().clone(), context.stop.clone());
        let shipping = tokio::spawn(reporter(&context, board).ship(context));
        let start = Instant::now();
        let mut shipped = Vec::new();
        for _ in 0..2 {
            let ticket = buffer.next().await;
            shipped.push((start.elapsed().as_secs(), ticket.batch.body.clone()));
        }
        docker.missing("gone", "");
        let ticket = buffer.next().await;
        shipped.push((start.elapsed().as_secs(), ticket.batch.body.clone()));
        let times: Vec<u64> = shipped.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [1, 32, 33]);
        let request = ExportLogsServiceRequest::decode(shipped[2].1.clone()).unwrap();
        let record = &request.resource_logs[1].scope_logs[0].log_records[0];
        assert_eq!(record.event_name, STATUS_EVENT);
        let Some(AnyProto::StringValue(body)) = &record.body.as_ref().unwrap().value else { panic!("no text") };
        assert_eq!(serde_json::from_str::<Value>(body).unwrap()["sources"][0]["state"], "missing");
        stop.cancel();
        assert_eq!(shipping.await.unwrap(), Ok(()));
    }
}
