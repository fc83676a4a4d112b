//! The agent itself: what its stages count, what it costs, and how its sources do.
//!
//! The stages count with `prometheus-client`; here its text is read back into a table, so that the same figures are on
//! `/metrics/self` and on their way to the collector, like those of every other source.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::registry::Registry;
use yagura_daemon::admin;
use yagura_model::{Kind, Metric, Timestamp};

use super::{Context, Page, poll::Ticks};
use crate::{
    buffer, export,
    series::{ScopeId, Table},
    status::{Board, State},
    tags,
};

/// How often the agent looks at itself.
const INTERVAL: Duration = Duration::from_secs(10);

const INFO: Metric =
    Metric { name: "yagura_agent_info", kind: Kind::Gauge, unit: "", help: "Constant 1, with the agent's version." };
const START: Metric = Metric {
    name: "yagura_agent_start_time_seconds",
    kind: Kind::Gauge,
    unit: "s",
    help: "When the agent was started, in seconds since 1970.",
};
const MEMORY: Metric = Metric {
    name: "yagura_agent_resident_memory_bytes",
    kind: Kind::Gauge,
    unit: "By",
    help: "Resident memory of the agent.",
};
const CPU: Metric = Metric {
    name: "yagura_agent_cpu_seconds_total",
    kind: Kind::Counter,
    unit: "s",
    help: "CPU time the agent has used.",
};
const SOURCE: Metric = Metric {
    name: "yagura_agent_source_state",
    kind: Kind::Gauge,
    unit: "",
    help: "How a source does: 1 for the state it is in (ok, degraded, missing), 0 for the others.",
};

/// What this source adds to what the stages count.
pub const METRICS: &[Metric] = &[INFO, START, MEMORY, CPU, SOURCE];

/// The metrics that the registry may hold.
const COUNTED: [&[Metric]; 2] = [buffer::METRICS, export::METRICS];

/// Looks at the agent until told to stop.
pub async fn run(registry: Registry, board: Board, started: Timestamp, context: Context) -> Result<(), Infallible> {
    let table = Arc::new(Mutex::new(Table::new("yagura-agent", &context.node.name)));
    let scope = lock(&table).add_scope(&[], &tags::of_node("yagura", &context.node.rules), started);
    context.out.page(Page::Own, Arc::clone(&table));
    let mut ticks = Ticks::new(INTERVAL);
    while let Some(now) = ticks.next(&context).await {
        {
            let mut table = lock(&table);
            table.begin(now);
            table.sample(scope, &INFO, &[("version", env!("CARGO_PKG_VERSION"))], 1_i64);
            table.sample(scope, &START, &[], started.seconds());
            cost(&mut table, scope);
            sources(&mut table, scope, &board);
            counted(&mut table, scope, &admin::encode(&registry));
            table.finish();
        }
        context.out.publish(&table).await;
    }
    Ok(())
}

fn lock(table: &Mutex<Table>) -> std::sync::MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Memory and CPU; left out when the kernel does not tell.
fn cost(table: &mut Table, scope: ScopeId) {
    let Ok(stat) = procfs::process::Process::myself().and_then(|me| me.stat()) else { return };
    table.sample(scope, &MEMORY, &[], stat.rss.saturating_mul(procfs::page_size()));
    #[expect(clippy::cast_precision_loss, reason = "a float holds ticks of 10 ms for longer than any agent runs")]
    table.sample(scope, &CPU, &[], (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64);
}

fn sources(table: &mut Table, scope: ScopeId, board: &Board) {
    for source in board.sources() {
        for (state, name) in [(State::Ok, "ok"), (State::Degraded, "degraded"), (State::Missing, "missing")] {
            let labels = [("name", source.name), ("state", name)];
            table.sample(scope, &SOURCE, &labels, i64::from(source.state == state));
        }
    }
}

/// Reads the samples of a page in the text format.
fn counted(table: &mut Table, scope: ScopeId, page: &str) {
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let metric = COUNTED.iter().flat_map(|metrics| metrics.iter()).find(|metric| metric.name == name);
        let (Some(metric), Some(labels)) = (metric, parse_labels(labels)) else { continue };
        let labels: Vec<(&str, &str)> = labels;
        if let Ok(value) = value.parse::<i64>() {
            table.sample(scope, metric, &labels, value);
        } else if let Ok(value) = value.parse::<f64>() {
            table.sample(scope, metric, &labels, value);
        }
    }
}

/// `a="b",c="d"}`. The values are words of ours, which hold neither quotes nor commas.
fn parse_labels(text: &str) -> Option<Vec<(&str, &str)>> {
    let pairs = text.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').map(|(name, value)| (name, value.trim_matches('"')))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buffer::{Batch, Buffer, Signal},
        series::text,
        sources::testing,
    };

    #[tokio::test(start_paused = true)]
    async fn what_the_stages_count_is_on_the_agents_own_page() {
        let buffer = Buffer::in_memory(1000);
        let context = testing::context_with("own", buffer.clone());
        let (board, mut registry) = (Board::default(), Registry::default());
        board.handle("docker").missing("no socket", "mount it");
        buffer.metrics().register(&mut registry);
        export::Metrics::default().register(&mut registry);
        let large = Batch { signal: Signal::Logs, body: vec![0; 900].into(), items: 3 };
        for _ in 0..2 {
            buffer.keep(large.clone(), false).await.unwrap();
        }
        let (out, stop) = (context.out.clone(), context.stop.clone());
        let running = tokio::spawn(run(registry, board, Timestamp(5000), context));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let tables = out.tables(Some(Page::Own));
        let page = text::encode(&[&lock(&tables[0])]);
        for line in [
            "yagura_agent_buffer_dropped_items_total{reason=\"memory_full\",service=\"yagura\",source=\"yagura\"}",
            "yagura_agent_source_state{name=\"docker\",service=\"yagura\",source=\"yagura\",state=\"missing\"} 1",
            "yagura_agent_source_state{name=\"docker\",service=\"yagura\",source=\"yagura\",state=\"ok\"} 0",
            "yagura_agent_start_time_seconds{service=\"yagura\",source=\"yagura\"} 5",
            "# TYPE yagura_agent_export_connected gauge",
            "# TYPE yagura_agent_cpu_seconds_total counter",
        ] {
            assert!(page.contains(line), "{line} is missing from\n{page}");
        }
        stop.cancel();
        assert_eq!(running.await.unwrap(), Ok(()));
    }

    #[test]
    fn everything_that_is_registered_is_described() {
        let mut registry = Registry::default();
        buffer::Metrics::default().register(&mut registry);
        export::Metrics::default().register(&mut registry);
        let page = admin::encode(&registry);
        let announced: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        assert!(announced.len() > 10);
        for name in announced {
            let known = COUNTED.iter().any(|metrics| metrics.iter().any(|metric| metric.name == name));
            assert!(known, "{name} is in no METRICS");
        }
    }
}
