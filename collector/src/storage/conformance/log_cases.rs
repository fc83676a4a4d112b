//! What becomes of records, of pushed batches, and of state.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use yagura_daemon::config::DurationText;
use yagura_model::{Labels, Nanos, Severity, Timestamp};

use super::{
    DAY, HOUR, MINUTE, Mode, NOW, Subject, accepted, duplicates, reasons,
    requests::{
        all, any, bytes, everything, file, gauge, line, logs, metrics, nanos, point, queued, since, sum, tailed, texts,
    },
};
use crate::storage::{
    Appended, Direction, Error, LineFilter, LogCounts, LogEntry, LogSelection, MatchOp, RejectReason, Tailed,
};

pub(super) async fn batches(s: &mut Subject<'_>) {
    let delta = |sequence, after| {
        metrics(queued("a/1", sequence), vec![sum("d_total", 1, vec![since(-60_000, point(&[], after, 1.0))])])
    };
    assert_eq!(s.metrics(delta(1, -30)).await, accepted(1));
    assert_eq!(s.metrics(delta(2, -20)).await, accepted(1));
    assert_eq!(s.metrics(delta(1, -10)).await, duplicates(1), "the batch is known, whatever is in it");
    assert_eq!(s.shown(&[]).await, [r#"d_total{job="app"} 0@-60000 1@-30 2@-20"#]);
    let lines = |queue: &str, sequence| logs(queued(queue, sequence), None, vec![line(0, "pushed"), line(0, "again")]);
    assert_eq!(s.logs(lines("a/1", 1)).await, accepted(2), "logs have numbers of their own");
    assert_eq!(s.logs(lines("a/1", 1)).await, duplicates(2));
    assert_eq!(s.logs(lines("a/2", 1)).await, accepted(2));
    assert_eq!(s.logs(lines("a/1", 3)).await, accepted(2));
    assert_eq!(s.logs(lines("a/1", 2)).await, accepted(2), "in any order");
    assert_eq!(s.lines(everything()).await.len(), 8);
    let without = || logs(texts(&[("service.name", "app")]), None, vec![line(0, "no number")]);
    s.logs(without()).await;
    s.logs(without()).await;
    assert_eq!(s.lines(everything()).await.len(), 10, "what cannot be told apart is kept");
}

pub(super) async fn broken(s: &mut Subject<'_>) {
    let mut request = metrics(vec![], vec![gauge("g", vec![point(&[], 0, 1.0)])]).encode_to_vec();
    request.extend_from_slice(&[10, 200]);
    let refused = s.storage.metrics.append(Bytes::from(request), NOW).await;
    assert!(matches!(refused, Err(Error::Malformed(_))), "{refused:?}");
    let mut request = logs(vec![], None, vec![line(0, "x")]).encode_to_vec();
    request.extend_from_slice(&[10, 200]);
    let refused = s.storage.logs.append(Bytes::from(request), NOW).await;
    assert!(matches!(refused, Err(Error::Malformed(_))), "{refused:?}");
    s.after().await;
    assert_eq!(s.shown(&[]).await, Vec::<String>::new());
    assert_eq!(s.lines(everything()).await, Vec::<String>::new());
}

#[expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
pub(super) async fn ranges(s: &mut Subject<'_>) {
    let app = || texts(&[("service.name", "app")]);
    let first = || logs(app(), file("g", &[0..20]), vec![tailed(0..4, "one"), tailed(4..8, "two")]);
    assert_eq!(s.logs(first()).await, accepted(2));
    assert_eq!(s.logs(first()).await, duplicates(2));
    let over =
        logs(app(), file("g", &[4..40]), vec![tailed(4..8, "two"), tailed(8..20, "excluded"), tailed(20..26, "three")]);
    assert_eq!(s.logs(over).await, Appended { accepted: 1, duplicates: 2, rejected: vec![] });
    let cut = logs(app(), file("g", &[36..50]), vec![tailed(36..50, "overlapping!!")]);
    assert_eq!(s.logs(cut).await, accepted(1));
    let other = logs(app(), file("h", &[0..4]), vec![tailed(0..4, "one")]);
    assert_eq!(s.logs(other).await, accepted(1), "another file");
    assert_eq!(s.lines(everything()).await, ["one", "one", "two", "three", "lapping!!"]);
    let entries = s.storage.logs.select(everything()).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [0, 0, 4, 20, 40]);
    let twice = logs(app(), file("i", &[]), vec![tailed(0..4, "one"), tailed(0..4, "one")]);
    assert_eq!(s.logs(twice).await, Appended { accepted: 1, duplicates: 1, rejected: vec![] });
}

#[expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
pub(super) async fn parallel(s: &mut Subject<'_>) {
    let batch = |n: u64| {
        logs(
            texts(&[("service.name", "app")]),
            file("g", &[n * 4..n * 4 + 4]),
            vec![tailed(n * 4..n * 4 + 4, &format!("l{n:02}"))],
        )
    };
    let order = [5, 3, 9, 0, 1, 7, 2, 8, 4, 6];
    if s.mode == Mode::Plain {
        let appends = order.map(|n| s.storage.logs.append(bytes(&batch(n)), NOW));
        let done = futures_util::future::join_all(appends).await;
        assert!(done.into_iter().all(|done| done.unwrap() == accepted(1)));
    } else {
        for n in order {
            assert_eq!(s.logs(batch(n)).await, accepted(1));
        }
    }
    for n in 0..10 {
        assert_eq!(s.logs(batch(n)).await, duplicates(1));
    }
    let expected: Vec<String> = (0..10).map(|n| format!("l{n:02}")).collect();
    assert_eq!(s.lines(everything()).await, expected, "ties of time are broken by the place in the file");
}

pub(super) async fn records(s: &mut Subject<'_>) {
    let attributes = texts(&[
        ("service.name", "app"),
        ("deployment.environment", "old"),
        ("deployment.environment.name", "prod"),
        ("k8s.pod.name", "p"),
        ("log.iostream", "stderr"),
        ("container.id", "abc"),
    ]);
    let mut record = line(0, "hello");
    record.severity_number = 18;
    record.trace_id = (1..=16).collect();
    record.span_id = (1..=8).collect();
    record.event_name = "login".to_owned();
    record.attributes = texts(&[("http.status", "200"), ("container.id", "own")]);
    let mut structured = line(1, "");
    structured.severity_text = "WARN".to_owned();
    structured.body = any(Value::IntValue(5));
    let mut untimed = line(0, "untimed");
    untimed.time_unix_nano = 0;
    untimed.observed_time_unix_nano = nanos(Timestamp(NOW.0 + 2));
    assert_eq!(s.logs(logs(attributes, None, vec![record, structured, untimed])).await, accepted(3));
    let entries = s.storage.logs.select(everything()).await.unwrap();
    let labels = Labels::from_pairs([("service", "app"), ("env", "prod"), ("pod", "p"), ("stream", "stderr")]);
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = LogEntry {
        time: NOW.to_nanos(),
        labels,
        line: "hello".to_owned(),
        severity: Severity::Error,
        fields: vec![
            field("container_id", "own"),
            field("event", "login"),
            field("http_status", "200"),
            field("span_id", "0102030405060708"),
            field("trace_id", "0102030405060708090a0b0c0d0e0f10"),
        ],
        offset: 0,
    };
    assert_eq!(entries[0], expected);
    assert_eq!((entries[1].line.as_str(), entries[1].severity), ("5", Severity::Warn));
    assert_eq!(entries[1].fields, [field("container_id", "abc")]);
    assert_eq!((entries[2].line.as_str(), entries[2].time.0), ("untimed", NOW.to_nanos().0 + 2_000_000));
}

/// Two services with ten lines each, a second apart, with levels and trace ids.
async fn two_services(s: &mut Subject<'_>) {
    for (service, shift) in [("web", 0), ("db", 500)] {
        let record = |n: i64| {
            let mut record = line(n * 1000 + shift - 10_000, &format!("{service} request number {n}"));
            record.severity_number = if n % 5 == 0 { 17 } else { 9 };
            record.attributes = texts(&[("request_id", &format!("r{n}"))]);
            record
        };
        s.logs(logs(texts(&[("service.name", service)]), None, (0..10).map(record).collect())).await;
    }
}

pub(super) async fn log_selection(s: &mut Subject<'_>) {
    two_services(s).await;
    let web = || LogSelection { matchers: all(&[("service", MatchOp::Equal, "web")]), ..everything() };
    let contains = |texts: &[&str]| LineFilter::Contains(texts.iter().map(|text| (*text).to_owned()).collect());
    assert_eq!(s.lines(everything()).await.len(), 20);
    assert_eq!(
        s.lines(LogSelection { limit: 3, ..everything() }).await,
        ["web request number 0", "db request number 0", "web request number 1"]
    );
    let backward = LogSelection { limit: 3, direction: Direction::Backward, ..everything() };
    assert_eq!(s.lines(backward).await, ["db request number 9", "web request number 9", "db request number 8"]);
    let start = NOW.to_nanos().0 - 8_000_000_000;
    let part = LogSelection { range: Nanos(start)..Nanos(start + 2_000_000_000), ..web() };
    assert_eq!(s.lines(part).await, ["web request number 2", "web request number 3"], "the end is not included");
    let filtered = LogSelection { filters: vec![contains(&["number 3", "number 4"])], ..web() };
    assert_eq!(s.lines(filtered).await, ["web request number 3", "web request number 4"]);
    let without = LineFilter::NotContains(vec!["request".to_owned()]);
    assert_eq!(s.lines(LogSelection { filters: vec![without], ..web() }).await.len(), 0);
    let regex = LineFilter::Regex(regex::Regex::new("number [12]$").unwrap());
    let not = LineFilter::NotRegex(regex::Regex::new("2$").unwrap());
    assert_eq!(s.lines(LogSelection { filters: vec![regex, not], ..web() }).await, ["web request number 1"]);
    let errors = LogSelection { severities: vec![Severity::Error, Severity::Fatal], ..web() };
    assert_eq!(s.lines(errors).await, ["web request number 0", "web request number 5"]);
    let field = LogSelection { fields: all(&[("request_id", MatchOp::Equal, "r7")]), ..everything() };
    assert_eq!(s.lines(field).await, ["web request number 7", "db request number 7"]);
    let absent = LogSelection { fields: all(&[("request_id", MatchOp::Equal, "r77")]), ..everything() };
    assert_eq!(s.lines(absent).await.len(), 0);
    let words = LogSelection { filters: vec![contains(&["absent words here"])], ..everything() };
    assert_eq!(s.lines(words).await.len(), 0);
    let refused = s.storage.logs.select(LogSelection { max_bytes: 10, ..everything() }).await;
    assert!(matches!(refused, Err(Error::TooMuch { limit: 10, unit: "bytes" })), "{refused:?}");
}

pub(super) async fn log_counts(s: &mut Subject<'_>) {
    two_services(s).await;
    let range = Nanos(NOW.to_nanos().0 - 10_000_000_000)..NOW.to_nanos();
    let selection = || LogSelection { range: range.clone(), ..everything() };
    let shown = |counts: Vec<LogCounts>| {
        counts.iter().map(|count| format!("{} {:?}", count.labels, count.steps)).collect::<Vec<_>>()
    };
    let counts = s.storage.logs.count(selection(), Duration::from_secs(5)).await.unwrap();
    assert_eq!(
        shown(counts),
        [
            r#"{level="error", service="db"} [(1, 19), (1, 19)]"#,
            r#"{level="error", service="web"} [(1, 20), (1, 20)]"#,
            r#"{level="info", service="db"} [(4, 76), (4, 76)]"#,
            r#"{level="info", service="web"} [(4, 80), (4, 80)]"#,
        ]
    );
    let narrow = LogSelection {
        filters: vec![LineFilter::Contains(vec!["web".to_owned()])],
        severities: vec![Severity::Error],
        ..selection()
    };
    let counts = s.storage.logs.count(narrow, Duration::from_secs(60)).await.unwrap();
    assert_eq!(shown(counts), [r#"{level="error", service="web"} [(2, 40)]"#]);
    let streams = s.storage.logs.streams(all(&[("service", MatchOp::Regex, "w.*")]), range.clone()).await.unwrap();
    let shown: Vec<String> =
        streams.iter().map(|info| format!("{} {} {}", info.labels, info.entries, info.bytes)).collect();
    assert_eq!(shown, [r#"{service="web"} 10 200"#]);
    let none = Nanos(0)..Nanos(1);
    assert_eq!(s.storage.logs.streams(vec![], none).await.unwrap(), []);
}

pub(super) async fn log_retention(s: &mut Subject<'_>) {
    let seven_days = DurationText::seconds(7 * 24 * 3600);
    assert_eq!(s.config.retention.logs, seven_days);
    let app = || texts(&[("service.name", "app")]);
    let appended = s
        .logs(logs(
            app(),
            None,
            vec![line(-7 * DAY - 1, "old"), line(-7 * DAY + HOUR, "kept"), line(11 * MINUTE, "ahead")],
        ))
        .await;
    assert_eq!(appended.accepted, 1);
    assert_eq!(reasons(&appended), [(RejectReason::TooOld, 1), (RejectReason::InTheFuture, 1)]);
    assert_eq!(appended.rejected[0].example, r#"{service="app"}"#);
    assert_eq!(s.lines(everything()).await, ["kept"]);
    s.with(|config| config.max_streams = 1).await;
    s.logs(logs(app(), None, vec![line(0, "x")])).await;
    let more = s.logs(logs(texts(&[("service.name", "other")]), None, vec![line(0, "y")])).await;
    if s.mode == Mode::Plain {
        assert_eq!(reasons(&more), [(RejectReason::Cardinality, 1)]);
    }
}

pub(super) async fn tail(s: &mut Subject<'_>) {
    let filters = vec![LineFilter::NotContains(vec!["skipped".to_owned()])];
    let mut seen = s.storage.logs.tail(all(&[("service", MatchOp::Equal, "web")]), filters);
    let lines = || vec![line(0, "one"), line(0, "skipped"), line(0, "two")];
    for service in ["web", "db"] {
        let request = logs(texts(&[("service.name", service)]), None, lines());
        s.storage.logs.append(bytes(&request), NOW).await.unwrap();
    }
    for expected in ["one", "two"] {
        let Some(Tailed::Entry(entry)) = seen.next().await else { panic!("{expected} did not come") };
        assert_eq!((entry.line.as_str(), entry.labels.get("service")), (expected, Some("web")));
    }
    assert!(futures_util::poll!(seen.next()).is_pending(), "nothing of the other service");
}

pub(super) async fn state(s: &mut Subject<'_>) {
    let change = |key: &str, value: Option<&str>| (key.to_owned(), value.map(|value| value.as_bytes().to_vec()));
    let write = |s: &Subject<'_>, area, changes| {
        let state = s.storage.state.clone();
        async move { state.write(area, changes).await.unwrap() }
    };
    write(s, "rules", vec![change("b", Some("2")), change("a", Some("1")), change("c", Some("3"))]).await;
    write(s, "rule", vec![change("a", Some("other"))]).await;
    s.after().await;
    write(s, "rules", vec![change("b", None), change("a", Some("4")), change("a", Some("5"))]).await;
    s.after().await;
    let state = &s.storage.state;
    assert_eq!(state.get("rules", "a").unwrap().as_deref(), Some(&b"5"[..]));
    assert_eq!(state.get("rules", "b").unwrap(), None);
    let list = |area| state.list(area).unwrap().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!((list("rules"), list("rule"), list("none")), (vec!["a".into(), "c".into()], vec!["a".into()], vec![]));
}
