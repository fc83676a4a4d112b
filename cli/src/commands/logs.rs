//! `yagura logs`: search, or follow.
//!
//! Following asks again and again for the last few seconds and prints what it has not printed yet, so that nothing is
//! missed or repeated when the collector goes away and comes back, or when an agent delivers late.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    io::{IsTerminal, Write},
    time::Duration,
};

use serde_json::{Value, json};
use yagura_daemon::clock;
use yagura_model::Nanos;

use crate::{
    args::{LineOutput, Logs},
    client::Client,
    table::printable,
};

/// How often a followed log is asked for.
const PAUSE: Duration = Duration::from_millis(250);
/// How late a line may arrive and still be shown while following.
const OVERLAP: Duration = Duration::from_secs(10);
/// Lines asked for at once; the collector's own limit.
const PAGE: usize = 5000;

pub(crate) async fn run(args: Logs) -> anyhow::Result<()> {
    let client = Client::new(&args.server)?;
    let query = logql(&args);
    let end = clock::now_nanos();
    let start = back(end, args.since);
    let printer = Printer::new(args.output);
    let mut past = page(&client, &query, start, end, "backward", args.tail.min(PAGE)).await?;
    past.reverse();
    printer.print(&past)?;
    if !args.follow {
        return Ok(());
    }
    let floor = past.first().map_or(end, |line| line.time).max(back(end, OVERLAP));
    let mut follow = Follow::new(floor, &past);
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = clock::now_nanos();
        // A collector that is away for a moment is asked again; nothing is lost, the overlap has it.
        let Ok(found) = follow_pages(&client, &query, follow.start(), Nanos(now.0 + 1)).await else { continue };
        printer.print(&follow.unseen(found))?;
    }
}

/// What has been printed lately, so that it is not printed twice.
struct Follow {
    /// Nothing older is looked for.
    floor: Nanos,
    newest: Nanos,
    seen: HashSet<(Nanos, u64)>,
}

impl Follow {
    fn new(floor: Nanos, printed: &[Line]) -> Self {
        let mut follow = Self { floor, newest: floor, seen: HashSet::new() };
        follow.unseen(printed.iter().filter(|line| line.time >= floor).cloned().collect());
        follow
    }

    /// From where to ask next.
    fn start(&self) -> Nanos {
        back(self.newest, OVERLAP).max(self.floor)
    }

    /// The lines not printed before, which are from now on.
    fn unseen(&mut self, mut lines: Vec<Line>) -> Vec<Line> {
        // The same text twice at one instant is two lines when the collector gives it twice.
        let mut turns = std::collections::HashMap::<(Nanos, u64), u64>::new();
        lines.retain(|line| {
            let turn = turns.entry((line.time, line.hash(0))).or_default();
            *turn += 1;
            self.seen.insert((line.time, line.hash(*turn)))
        });
        self.newest = lines.iter().map(|line| line.time).max().unwrap_or(self.newest).max(self.newest);
        let start = self.start();
        self.seen.retain(|(time, _)| *time >= start);
        lines
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Line {
    time: Nanos,
    labels: Value,
    text: String,
}

impl Line {
    fn hash(&self, turn: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.text, self.labels.to_string(), turn).hash(&mut hasher);
        hasher.finish()
    }
}

/// Every line of a range, oldest first, page by page.
async fn follow_pages(client: &Client, query: &str, start: Nanos, end: Nanos) -> anyhow::Result<Vec<Line>> {
    let mut found = Vec::new();
    let mut start = start;
    loop {
        let lines = page(client, query, start, end, "forward", PAGE).await?;
        let full = lines.len() >= PAGE;
        let last = lines.last().map_or(end, |line| line.time);
        found.extend(lines);
        if !full || last <= start {
            return Ok(found);
        }
        // The last instant may have been cut in two: take it again as a whole.
        found.retain(|line: &Line| line.time < last);
        start = last;
    }
}

async fn page(
    client: &Client,
    query: &str,
    start: Nanos,
    end: Nanos,
    direction: &str,
    limit: usize,
) -> anyhow::Result<Vec<Line>> {
    let [start, end, limit] = [start.0.to_string(), end.0.to_string(), limit.to_string()];
    let parameters = [("query", query), ("start", &start), ("end", &end), ("direction", direction), ("limit", &limit)];
    let answer = client.get("/loki/api/v1/query_range", &parameters).await?;
    let streams = answer.pointer("/data/result").and_then(Value::as_array);
    let mut lines: Vec<_> = streams.into_iter().flatten().flat_map(lines_of).collect();
    // Each stream is sorted; a stable sort keeps the order of lines of one instant.
    lines.sort_by_key(|line| if direction == "forward" { line.time.0 } else { -line.time.0 });
    Ok(lines)
}

fn lines_of(stream: &Value) -> Vec<Line> {
    let labels = stream.get("stream").cloned().unwrap_or_default();
    let values = stream.get("values").and_then(Value::as_array);
    let line = |value: &Value| {
        let time = value.get(0)?.as_str()?.parse().ok()?;
        Some(Line { time: Nanos(time), labels: labels.clone(), text: value.get(1)?.as_str()?.to_owned() })
    };
    values.into_iter().flatten().filter_map(line).collect()
}

/// The LogQL query for what was typed.
fn logql(args: &Logs) -> String {
    let mut query = args.query.clone().unwrap_or_else(|| selector(args));
    if let Some(level) = &args.level {
        query.push_str(&format!(" | detected_level={level:?}"));
    }
    if let Some(text) = &args.text {
        query.push_str(&format!(" |= {text:?}"));
    }
    query
}

fn selector(args: &Logs) -> String {
    let exact = [("service", &args.service), ("env", &args.env), ("stream", &args.stream)];
    let mut matchers: Vec<_> =
        exact.iter().filter_map(|(name, value)| Some(format!("{name}={:?}", value.as_ref()?))).collect();
    if let Some(container) = &args.container {
        matchers.push(format!("container=~{container:?}"));
    }
    if matchers.is_empty() {
        // LogQL wants one matcher that does not match the empty value; every stream has a source.
        matchers.push("source=~\".+\"".to_owned());
    }
    format!("{{{}}}", matchers.join(","))
}

fn back(time: Nanos, duration: Duration) -> Nanos {
    Nanos(time.0.saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
}

struct Printer {
    output: LineOutput,
    colour: bool,
}

impl Printer {
    fn new(output: LineOutput) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { output, colour }
    }

    fn print(&self, lines: &[Line]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        for line in lines {
            match self.output {
                LineOutput::Raw => writeln!(out, "{}", line.text)?,
                LineOutput::Json => {
                    writeln!(
                        out,
                        "{}",
                        json!({"time": line.time.0.to_string(), "labels": line.labels, "line": line.text})
                    )?;
                }
                LineOutput::Text => writeln!(out, "{}", self.pretty(line))?,
            }
        }
        out.flush()?;
        Ok(())
    }

    fn pretty(&self, line: &Line) -> String {
        let label = |name: &str| line.labels.get(name).and_then(Value::as_str).unwrap_or_default();
        let who = ["pod", "container", "service"].map(label).into_iter().find(|who| !who.is_empty()).unwrap_or("-");
        let time = jiff::Timestamp::from_nanosecond(i128::from(line.time.0)).unwrap_or_default();
        let time = time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S%.3f").to_string();
        let text = printable(&line.text);
        let level = label("detected_level");
        let level = if level.is_empty() { label("level") } else { level };
        if !self.colour {
            return format!("{time} {who} {level:<5} {text}");
        }
        // One of six colours by the name of who wrote it; red and yellow are kept for levels.
        let hue = [36, 35, 34, 32, 96, 95].get(who.bytes().map(usize::from).sum::<usize>() % 6).copied().unwrap_or(36);
        let mark = match level {
            "error" | "fatal" | "critical" => 31,
            "warn" => 33,
            _ => 90,
        };
        format!("\x1b[90m{time}\x1b[0m \x1b[{hue}m{who}\x1b[0m \x1b[{mark}m{level:<5}\x1b[0m {text}")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn check(typed: &[&str], expected: &str) {
        let args = Args::parse_from(["yagura", "logs"].iter().chain(typed));
        let Command::Logs(logs) = args.command else { panic!("not logs") };
        assert_eq!(logql(&logs), expected);
    }

    #[test]
    fn what_is_typed_becomes_logql() {
        check(&[], r#"{source=~".+"}"#);
        check(&["--service", "shop", "oh \"no\""], r#"{service="shop"} |= "oh \"no\"""#);
        check(&["--container", "a.*", "--level", "error"], r#"{container=~"a.*"} | detected_level="error""#);
        check(&["--query", r#"{pod="a"} | json"#, "x"], r#"{pod="a"} | json |= "x""#);
    }

    fn line(time: i64, text: &str) -> Line {
        Line { time: Nanos(time), labels: json!({}), text: text.to_owned() }
    }

    #[test]
    fn a_followed_line_is_printed_once_and_late_ones_too() {
        let second = 1_000_000_000;
        let mut follow = Follow::new(Nanos(0), &[line(5, "a"), line(5, "a")]);
        assert_eq!(follow.unseen(vec![line(5, "a"), line(5, "a"), line(7, "b")]), [line(7, "b")]);
        assert_eq!(follow.unseen(vec![line(5, "a"), line(5, "a"), line(6, "late"), line(7, "b")]), [line(6, "late")]);
        assert_eq!(follow.unseen(vec![line(100 * second, "c")]), [line(100 * second, "c")]);
        assert_eq!(follow.start(), Nanos(90 * second));
        assert_eq!(follow.seen.len(), 1, "what is older than the overlap is forgotten");
    }
}
