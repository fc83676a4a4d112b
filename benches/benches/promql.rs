//! How long dashboard queries take over many series: `cargo bench -p yagura-benches --bench promql`.
//!
//! `YAGURA_SERIES` (10,000) and `YAGURA_HOURS` (6) set the size; samples are 30 s apart, steps 60 s. With
//! `YAGURA_OPENMETRICS=<file>` the data are written there instead, for `promtool tsdb create-blocks-from openmetrics`,
//! so that Prometheus can be asked the same. What is measured is the evaluator over samples in memory: no decoding of
//! blocks, but a copy of every sample read.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    io::{BufWriter, Write},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use tokio::time::Instant;
use yagura_benches::metrics::{START, SeriesStore, dashboard_series};
use yagura_collector::query::promql::{Engine, Limits};
use yagura_model::Timestamp;

/// What dashboards ask, from the cheapest.
const QUERIES: &[&str] = &[
    "sum(gauge)",
    "max by (job) (gauge)",
    "gauge{job=\"job-1\"} > 0.5",
    "rate(requests_total{job=\"job-1\"}[5m])",
    "sum by (instance) (rate(requests_total[5m]))",
    "sum by (job) (rate(requests_total{code=~\"5..\"}[5m])) / sum by (job) (rate(requests_total[5m]))",
    "topk(10, sum by (instance) (rate(requests_total[5m])))",
    "histogram_quantile(0.99, sum by (le, job) (rate(duration_seconds_bucket[5m])))",
    "avg by (job) (avg_over_time(gauge[5m]))",
    "gauge * on (instance) group_left (version) build_info",
    "count by (code) (increase(requests_total[1h]) > 10)",
    "max_over_time(sum by (job) (rate(requests_total[5m]))[30m:1m])",
];

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> anyhow::Result<()> {
    let (count, hours) = (number("YAGURA_SERIES", 10_000), number("YAGURA_HOURS", 6));
    let series = dashboard_series(count, hours);
    if let Some(path) = std::env::var_os("YAGURA_OPENMETRICS") {
        let file = std::fs::File::create(path).context("cannot create the file")?;
        let mut out = BufWriter::new(file);
        for one in &series {
            for sample in &one.samples {
                writeln!(out, "{} {} {}", one.labels, sample.value, sample.time.seconds())?;
            }
        }
        writeln!(out, "# EOF")?;
        return out.flush().context("cannot write the file");
    }
    let samples: usize = series.iter().map(|series| series.samples.len()).sum();
    println!("{} series, {samples} samples, {hours} h", series.len());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let engine = Engine::new(Arc::new(SeriesStore::new(series)), Limits::default());
    let end = Timestamp(START + i64::try_from(hours)? * 3_600_000);
    let mut medians = Vec::new();
    for query in QUERIES {
        let mut times = Vec::new();
        for _ in 0..5 {
            let started = Instant::now();
            let answer = runtime.block_on(engine.range(query, Timestamp(START), end, Duration::from_secs(60)))?;
            times.push(started.elapsed());
            std::hint::black_box(Bytes::from(format!("{:?}", answer.stats)));
        }
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        medians.push(median);
        println!("{:>9.1} ms  {query}", median.as_secs_f64() * 1000.0);
    }
    medians.sort_unstable();
    let middle = medians.get(medians.len() / 2).copied().unwrap_or_default();
    println!("{:>9.1} ms  median of all", middle.as_secs_f64() * 1000.0);
    Ok(())
}
