//! What can be typed after `yagura`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

use crate::duration;

/// See, search and be told about everything that runs in containers.
#[derive(Debug, Parser)]
#[command(name = "yagura", version, propagate_version = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  yagura up                                   watch this machine; the UI is at http://127.0.0.1:7400
  yagura logs -f --service shop               follow the logs of a service
  yagura query 'rate(node_cpu_seconds_total[1m])'
  yagura top                                  containers by CPU and memory
  yagura alerts                               what is pending and firing";

const UP_EXAMPLES: &str = "\
Examples:
  yagura up                                   everything with its defaults, data under ./yagura-data
  yagura up --data /var/lib/yagura --config yagura.yaml
  yagura up --listen 0.0.0.0:7400 --insecure  open to the network without a token; only where you trust it

The config file has an `agent:` and a `collector:` block; every key has a default. YAGURA_SLACK_WEBHOOK, when set,
is where alerts are sent.";

const LOGS_EXAMPLES: &str = "\
Examples:
  yagura logs --since 15m error               lines of the last 15 minutes with `error` in them
  yagura logs -f --container 'shop-.*'        follow every container whose whole name matches
  yagura logs --service shop --level error --output json | jq .line";

const QUERY_EXAMPLES: &str = "\
Examples:
  yagura query 'sum by (name) (rate(container_cpu_usage_seconds_total[1m]))'
  yagura query --at 2026-01-31T12:00:00Z up
  yagura query --output json node_load1 | jq '.[].value'";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the agent and the collector on this machine.
    Up(Up),
    /// Search logs, or follow them.
    Logs(Logs),
    /// Evaluate a PromQL expression.
    Query(Query),
    /// Containers by CPU and memory, refreshed in place.
    Top(Top),
    /// Alerts that are pending or firing.
    Alerts(Plain),
    /// Synthetic checks and how they stand.
    Checks(Plain),
    /// Agents: their health, what is missing and why, what became of every log byte.
    Agents(Plain),
}

#[derive(Debug, clap::Args)]
#[command(after_help = UP_EXAMPLES)]
pub(crate) struct Up {
    /// Where everything is kept.
    #[arg(long, default_value = "yagura-data", value_name = "FOLDER")]
    pub(crate) data: PathBuf,
    /// Address of the UI and of the APIs [default: 127.0.0.1:7400].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// A YAML file with an `agent:` and a `collector:` block.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Listen on addresses others can reach without asking for a token.
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// Which collector to ask, and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Server {
    /// The collector to ask.
    #[arg(long, env = "YAGURA_SERVER", default_value = "http://127.0.0.1:7400", value_name = "URL")]
    pub(crate) server: String,
    /// A file with the token to send; the environment variable YAGURA_TOKEN is read too.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// For whom the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// As [`Output`], for lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineOutput {
    /// Time, container, level and line, in colour on a terminal.
    Text,
    /// One JSON object a line: time, labels, line.
    Json,
    /// The lines alone.
    Raw,
}

/// A command that lists something.
#[derive(Debug, clap::Args)]
pub(crate) struct Plain {
    #[command(flatten)]
    pub(crate) server: Server,
    /// How to print it.
    #[arg(long, short, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

#[derive(Debug, clap::Args)]
#[command(after_help = LOGS_EXAMPLES)]
pub(crate) struct Logs {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Go on with new lines as they come.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only this service.
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// Only this environment.
    #[arg(long)]
    pub(crate) env: Option<String>,
    /// Only containers whose whole name matches this regular expression.
    #[arg(long, value_name = "REGEX")]
    pub(crate) container: Option<String>,
    /// Only this stream: stdout or stderr.
    #[arg(long)]
    pub(crate) stream: Option<String>,
    /// Only this level: debug, info, warn, error, …
    #[arg(long)]
    pub(crate) level: Option<String>,
    /// Any LogQL stream selector instead of the options above, such as '{namespace="shop"}'.
    #[arg(long, value_name = "LOGQL", conflicts_with_all = ["service", "env", "container", "stream", "level"])]
    pub(crate) query: Option<String>,
    /// How far back to begin: 30s, 5m, 2h, 1d.
    #[arg(long, default_value = "1h", value_parser = duration::parse)]
    pub(crate) since: Duration,
    /// At most this many lines of the past, the newest ones.
    #[arg(long, short = 'n', default_value_t = 1000, value_name = "LINES")]
    pub(crate) tail: usize,
    /// How to print them.
    #[arg(long, short, value_enum, default_value = "text")]
    pub(crate) output: LineOutput,
    /// Only lines with this text.
    pub(crate) text: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = QUERY_EXAMPLES)]
pub(crate) struct Query {
    #[command(flatten)]
    pub(crate) server: Server,
    /// How to print it.
    #[arg(long, short, value_enum, default_value = "table")]
    pub(crate) output: Output,
    /// When: RFC 3339 or Unix seconds; now unless given.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// The expression.
    pub(crate) promql: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print once instead of refreshing.
    #[arg(long)]
    pub(crate) once: bool,
    /// How often to refresh.
    #[arg(long, default_value = "2s", value_parser = duration::parse)]
    pub(crate) every: Duration,
    /// How to print it (`json` prints once).
    #[arg(long, short, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }
}
