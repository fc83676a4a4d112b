//! What `/status` and the metrics say of logs.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use yagura_daemon::clock;
use yagura_model::{Kind, Metric, Tags};

use super::{
    accounting::{Account, Reason},
    checkpoint::Damage,
    discover::Owner,
    tail::Tailer,
};
use crate::{
    series::{ScopeId, Table},
    sources::{Context, Page},
};

const READ: Metric = counter("yagura_agent_log_read_bytes_total", "By", "Bytes of log files that were read.");
const SEEN: Metric = counter("yagura_agent_log_seen_bytes_total", "By", "Bytes that were found in log files.");
const DELIVERED: Metric = counter(
    "yagura_agent_log_delivered_bytes_total",
    "By",
    "Bytes of log files that the collector or the disk buffer answers for.",
);
const SPOOLED: Metric = counter(
    "yagura_agent_log_spooled_bytes_total",
    "By",
    "Bytes of log files that went to the disk buffer before rotation could delete them.",
);
const RECORDS: Metric = counter("yagura_agent_log_records_total", "1", "Records made of log lines.");
const MALFORMED: Metric =
    counter("yagura_agent_log_malformed_lines_total", "1", "Lines that are not in their file's format.");
const GIVEN_UP: Metric =
    counter("yagura_agent_log_given_up_bytes_total", "By", "Bytes of log files that were lost, by reason.");
const LAG: Metric = gauge("yagura_agent_log_lag_bytes", "By", "Bytes of log files that are not delivered yet.");
const FOLLOWED: Metric = gauge("yagura_agent_log_followed", "1", "Logs that are followed.");
const HELD: Metric = gauge("yagura_agent_log_held_bytes", "By", "Bytes of deleted log files that are held open.");
const FLYING: Metric =
    gauge("yagura_agent_log_unanswered_bytes", "By", "Bytes of batches that wait for the collector's answer.");

/// Every metric of this source. Those in bytes have the label `container` (a name, a pod's container, a path).
pub const METRICS: &[Metric] =
    &[SEEN, READ, DELIVERED, SPOOLED, RECORDS, MALFORMED, GIVEN_UP, LAG, FOLLOWED, HELD, FLYING];

/// Logs with series of their own; the rest is summed up under `other`.
const SERIES: usize = 300;

/// Logs that the status names, those that lag most.
const NAMED: usize = 20;

/// How often the status is renewed, and the series.
const STATUS: Duration = Duration::from_secs(1);
const SERIES_EVERY: Duration = Duration::from_secs(10);

/// How long a full buffer is waited for with series.
const PUBLISH: Duration = Duration::from_millis(500);

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit, help }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help }
}

/// Tells how the source does.
pub(crate) struct Report {
    context: Context,
    table: Arc<Mutex<Table>>,
    scope: ScopeId,
    last_status: Option<Duration>,
    last_series: Option<Duration>,
    fresh: bool,
    damage: Option<String>,
}

impl Report {
    pub(crate) fn new(context: &Context) -> Self {
        let mut table = Table::new("yagura-agent", &context.node.name);
        let tags = Tags { source: "yagura".into(), service: "yagura-agent".into(), ..Tags::default() };
        let scope = table.add_scope(&[], &tags, clock::now());
        let table = Arc::new(Mutex::new(table));
        context.out.page(Page::Own, Arc::clone(&table));
        let context = context.clone();
        Self { context, table, scope, last_status: None, last_series: None, fresh: false, damage: None }
    }

    /// The checkpoint was damaged.
    pub(crate) fn damaged(&mut self, damage: &Damage) {
        let set_aside = damage.set_aside.display().to_string();
        tracing::warn!(set_aside, bytes = damage.bytes, "the checkpoint was damaged; logs are read again from before");
        self.damage = Some(format!("the checkpoint was damaged and is set aside as {set_aside}"));
    }

    /// There is no inotify.
    pub(crate) fn unwatched(&mut self, error: &io::Error) {
        tracing::warn!(%error, "no inotify; log files are looked at every second");
    }

    /// Renews the status and the series when their time has come.
    pub(crate) fn tell(&mut self, tailer: &Tailer, asked: usize, now: Duration) {
        if self.last_status.is_none_or(|last| now.saturating_sub(last) >= STATUS) {
            self.last_status = Some(now);
            self.context.status.set("through_api", asked);
            self.tell_status(tailer);
        }
        if self.last_series.is_none_or(|last| now.saturating_sub(last) >= SERIES_EVERY) {
            self.last_series = Some(now);
            self.fill(tailer);
            self.fresh = true;
        }
    }

    /// Sends the series away, if they are new. A full buffer must not keep logs from being read: then these samples
    /// are left out.
    pub(crate) async fn publish(&mut self) {
        if std::mem::take(&mut self.fresh) {
            let sent = tokio::time::timeout(PUBLISH, self.context.out.publish(&self.table)).await;
            self.context.status.set("series_left_out", sent.is_err());
        }
    }

    fn tell_status(&self, tailer: &Tailer) {
        let status = &self.context.status;
        let total = tailer.total();
        status.set("followed", tailer.logs.len());
        status.set("seen", total.seen);
        status.set("read", total.read);
        status.set("delivered", total.delivered);
        status.set("spooled", total.spooled);
        status.set("given_up", given_up(&total));
        status.set("lag_bytes", tailer.lag());
        status.set("logs", lagging(tailer));
        let gaps = tailer.gaps.iter().map(
            |gap| json!({"generation": gap.generation, "from": gap.from, "to": gap.to, "reason": gap.reason.name()}),
        );
        status.set("gaps", gaps.collect::<Vec<_>>());
        status.set(
            "unreadable",
            json!(
                tailer
                    .unreadable
                    .iter()
                    .map(|(path, why)| (path.display().to_string(), why))
                    .collect::<std::collections::BTreeMap<_, _>>()
            ),
        );
        if let Some(reason) = &tailer.unwritten {
            status.degraded(reason.clone(), "free space or mend the disk; after a restart lines are sent again");
        } else if let Some(reason) = &self.damage {
            status.degraded(reason.clone(), "nothing is lost; delete the file that was set aside");
        } else if let Some(reason) = &tailer.unwatched {
            status.degraded(reason.clone(), "raise fs.inotify.max_user_watches; new lines come a second later");
        } else if let Some(reason) = tailer.cannot_see() {
            status.degraded(reason, "mount the directory into the agent, readable");
        } else {
            status.ok();
        }
    }

    fn fill(&self, tailer: &Tailer) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.begin(clock::now());
        let scope = self.scope;
        let mut other = tailer.past.clone();
        let mut other_lag = 0;
        for (index, log) in tailer.logs.values().enumerate() {
            if index < SERIES {
                fill_account(&mut table, scope, &name(&log.place.owner, &log.key), &log.account, log.lag());
            } else {
                other.add(&log.account);
                other_lag += log.lag();
            }
        }
        fill_account(&mut table, scope, "other", &other, other_lag);
        table.sample(scope, &FOLLOWED, &[], tailer.logs.len() as u64);
        table.sample(scope, &HELD, &[], tailer.logs.values().map(super::chain::Log::held_bytes).sum::<u64>());
        table.sample(scope, &FLYING, &[], tailer.flying as u64);
        table.finish();
    }
}

fn fill_account(table: &mut Table, scope: ScopeId, container: &str, account: &Account, lag: u64) {
    let labels = [("container", container)];
    for (metric, value) in [
        (&SEEN, account.seen),
        (&READ, account.read),
        (&DELIVERED, account.delivered),
        (&SPOOLED, account.spooled),
        (&RECORDS, account.records),
        (&MALFORMED, account.malformed),
        (&LAG, lag),
    ] {
        table.sample(scope, metric, &labels, value);
    }
    for reason in Reason::ALL {
        if let Some(bytes) = account.given_up.get(&reason) {
            table.sample(scope, &GIVEN_UP, &[("container", container), ("reason", reason.name())], *bytes);
        }
    }
}

/// What people call a log.
fn name(owner: &Owner, key: &str) -> String {
    match owner {
        Owner::Docker(id) => id.short().to_owned(),
        Owner::Pod(pod) => format!("{}/{}/{}", pod.namespace, pod.pod, pod.container),
        Owner::Plain(_) => key.trim_end_matches(':').to_owned(),
    }
}

fn given_up(account: &Account) -> Value {
    account.given_up.iter().map(|(reason, bytes)| (reason.name().to_owned(), json!(bytes))).collect()
}

/// The logs that lag most.
fn lagging(tailer: &Tailer) -> Value {
    let mut logs: Vec<_> = tailer.logs.values().map(|log| (log.lag(), log)).collect();
    logs.sort_by_key(|(lag, _)| std::cmp::Reverse(*lag));
    let one = |(lag, log): &(u64, &super::chain::Log)| {
        json!({
            "name": name(&log.place.owner, &log.key), "seen": log.account.seen, "read": log.account.read,
            "delivered": log.account.delivered, "given_up": given_up(&log.account), "lag_bytes": lag,
        })
    };
    logs.iter().take(NAMED).map(one).collect()
}
