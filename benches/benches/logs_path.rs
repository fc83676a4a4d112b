//! Log lines from a file in the page cache to encoded OTLP batches, on one core.
//!
//! `cargo bench -p yagura-benches --bench logs_path` writes files of some MiB to `/dev/shm` and reads each several
//! times; the fastest counts. CPU time of this process is measured, not the clock.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{fmt::Write as _, fs, hint::black_box, path::Path, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use yagura_agent::sources::logs::{Format, read_through};

/// Bytes of each file.
const SIZE: usize = 64 << 20;
const RUNS: usize = 7;

fn main() -> anyhow::Result<()> {
    let directory = tempfile::Builder::new().prefix("yagura-bench-").tempdir_in("/dev/shm")?;
    let path = directory.path().join("log");
    let plain = "GET /api/items took 12 ms for user 4711, cache warm, 17 rows, region tokyo, shard 3";
    let json =
        r#"{"level":"info","ts":1795164514.46,"msg":"request served","path":"/api/items","status":200,"took_ms":12}"#;
    let traced =
        r#"{"level":"info","msg":"served","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331"}"#;
    println!("{:<34} {:>6} {:>12} {:>9} {:>8}", "lines", "bytes", "lines/s", "MB/s", "ns/line");
    measure("CRI, 150 bytes", &path, Format::Cri, &cri(&padded("INFO ", plain, 150 - 40)))?;
    measure("CRI, 1000 bytes", &path, Format::Cri, &cri(&padded("INFO ", plain, 1000 - 40)))?;
    measure("CRI, JSON with a level", &path, Format::Cri, &cri(json))?;
    measure("CRI, JSON with a trace", &path, Format::Cri, &cri(traced))?;
    measure("json-file, 150 bytes", &path, Format::JsonFile, &docker(&padded("INFO ", plain, 150 - 67)))?;
    measure("json-file, JSON with a level", &path, Format::JsonFile, &docker(json))?;
    measure("json-file, JSON with a trace", &path, Format::JsonFile, &docker(traced))?;
    Ok(())
}

/// `text` repeated to a length.
fn padded(start: &str, text: &str, length: usize) -> String {
    let mut padded: String = start.chars().chain(text.chars().chain(" ".chars()).cycle()).take(length).collect();
    padded.truncate(length);
    padded
}

fn cri(text: &str) -> impl Fn(u32) -> String {
    move |number| format!("2026-11-20T08:15:22.{:09}Z stdout F {text}\n", number % 1_000_000_000)
}

fn docker(text: &str) -> impl Fn(u32) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    move |number| {
        let nanos = number % 1_000_000_000;
        format!("{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-20T08:15:22.{nanos:09}Z\"}}\n")
    }
}

fn measure(name: &str, path: &Path, format: Format, line: &impl Fn(u32) -> String) -> anyhow::Result<()> {
    let mut text = String::with_capacity(SIZE + 4096);
    for number in 0.. {
        if text.len() >= SIZE {
            break;
        }
        write!(text, "{}", line(number))?;
    }
    fs::write(path, &text)?;
    let mut best = Duration::MAX;
    let mut records = 0;
    for _ in 0..RUNS {
        let before = cpu_time();
        let summary = read_through(path, format, |batch| {
            black_box(batch.body.len());
        })?;
        best = best.min(cpu_time() - before);
        anyhow::ensure!(summary.malformed == 0, "the generated lines are not in their format");
        records = summary.records;
    }
    let seconds = best.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (lines, bytes) = (records as f64, text.len() as f64);
    let (rate, speed, cost) = (lines / seconds, bytes / seconds / 1e6, seconds / lines * 1e9);
    println!("{name:<34} {:>6.0} {rate:>12.0} {speed:>9.0} {cost:>8.0}", bytes / lines);
    Ok(())
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
