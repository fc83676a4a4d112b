//! The whole way, against small servers on 127.0.0.1.

use std::collections::BTreeMap;

use axum::{Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use yagura_daemon::secret::Secret;
use yagura_model::Labels;

use super::{file::SecretText, *};
use crate::storage::memory;

/// Status, `Retry-After`, body.
type Answer = (u16, Option<&'static str>, &'static str);

/// A stand-in for a webhook: answers by its script, then `ok`; keeps what it took.
#[derive(Clone)]
struct Fake {
    url: String,
    script: Arc<Mutex<Vec<Answer>>>,
    asked: Arc<Mutex<Vec<(tokio::time::Instant, serde_json::Value)>>>,
    news: Arc<Notify>,
}

impl Fake {
    async fn start(script: &[Answer]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/services/T0/B0/verysecret", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script.iter().rev().copied().collect()));
        let fake = Self { url, script, asked: Arc::default(), news: Arc::default() };
        let router = Router::new().fallback(post(answer)).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    /// Waits until it was asked `count` times.
    async fn asked(&self, count: usize) -> Vec<(tokio::time::Instant, serde_json::Value)> {
        loop {
            let news = self.news.notified();
            let asked = self.asked.lock().unwrap().clone();
            if asked.len() >= count {
                return asked;
            }
            tokio::time::timeout(Duration::from_secs(60), news).await.expect("the fake is asked in time");
        }
    }
}

async fn answer(State(fake): State<Fake>, body: Bytes) -> impl IntoResponse {
    let message = serde_json::from_slice(&body).unwrap();
    fake.asked.lock().unwrap().push((tokio::time::Instant::now(), message));
    let (status, retry_after, text) = fake.script.lock().unwrap().pop().unwrap_or((200, None, "ok"));
    fake.news.notify_waiters();
    let mut headers = http::HeaderMap::new();
    if let Some(seconds) = retry_after {
        headers.insert("retry-after", seconds.parse().unwrap());
    }
    (StatusCode::from_u16(status).unwrap(), headers, text)
}

fn slack_config(url: &str) -> Config {
    let mut config = Config::slack(SecretText::Inline(Secret::new(url)));
    config.routes[0].timing.group_wait = Duration::ZERO;
    config.routes[0].timing.group_interval = Duration::from_millis(100);
    config
}

fn incoming(name: &str, ends_at: Option<Timestamp>) -> Incoming {
    Incoming {
        labels: Labels::from_pairs([("alertname", name), ("env", "test")]),
        annotations: BTreeMap::from([("summary".to_owned(), format!("{name} happened"))]),
        starts_at: clock::now(),
        ends_at,
        generator_url: String::new(),
    }
}

async fn open(config: Config, state: &Arc<dyn StateStore>) -> Notifier {
    Notifier::open(config, "http://yagura".to_owned(), Arc::clone(state), Metrics::default()).await.unwrap()
}

/// Waits for a condition that the workers bring about.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it happens in time");
}

fn outcomes(notifier: &Notifier) -> Vec<String> {
    let mut outcomes: Vec<String> =
        notifier.history(100).unwrap().iter().map(|entry| entry["status"].as_str().unwrap().to_owned()).collect();
    outcomes.reverse();
    outcomes
}

#[tokio::test]
async fn a_429_is_obeyed_and_the_page_arrives_with_its_newest_news() {
    let fake = Fake::start(&[(429, Some("0.2"), r#"{"ok":false,"error":"rate_limited"}"#)]).await;
    let state = memory::open().state;
    let notifier = open(slack_config(&fake.url), &state).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(notifier.clone().run(stop.clone()));
    notifier.put(vec![incoming("A", None)], clock::now());
    fake.asked(1).await;
    // It ends while Slack has asked us to wait: what is sent then is the end, which says what was.
    notifier.put(vec![incoming("A", Some(clock::now()))], clock::now());
    let asked = fake.asked(2).await;
    assert!(asked[1].0 - asked[0].0 >= Duration::from_millis(190), "Retry-After was obeyed");
    assert_eq!(asked[0].1["text"], "*[FIRING:1] A · test*");
    assert_eq!(asked[1].1["text"], "*[RESOLVED] A · test*");
    until(|| outcomes(&notifier) == ["retrying", "sent"]).await;
    assert_eq!(notifier.waiting(), 0);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_too_large_arrives_in_its_short_form() {
    let fake = Fake::start(&[(400, None, "invalid_blocks")]).await;
    let state = memory::open().state;
    let notifier = open(slack_config(&fake.url), &state).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(notifier.clone().run(stop.clone()));
    notifier.put(vec![incoming("A", None)], clock::now());
    let asked = fake.asked(2).await;
    let short = &asked[1].1["attachments"][0]["blocks"];
    assert_eq!(short.as_array().unwrap().len(), 1);
    until(|| outcomes(&notifier) == ["sent"]).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_webhook_that_is_gone_is_shown_as_broken_without_its_secret() {
    let fake = Fake::start(&[(404, None, "channel_not_found")]).await;
    let state = memory::open().state;
    let notifier = open(slack_config(&fake.url), &state).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(notifier.clone().run(stop.clone()));
    notifier.put(vec![incoming("A", None)], clock::now());
    until(|| outcomes(&notifier) == ["refused"]).await;
    let broken = notifier.broken();
    assert_eq!(broken, [("slack".to_owned(), 0, "Slack answered 404: channel_not_found".to_owned())]);
    notifier.put(vec![incoming("B", None)], clock::now());
    until(|| notifier.broken().is_empty()).await;
    let shown = format!("{:?} {:?} {}", notifier.history(10), notifier.broken(), notifier.config_text());
    assert!(!shown.contains("verysecret"), "{shown}");
    assert!(!format!("{notifier:?}").contains("verysecret"));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn what_waited_is_sent_after_a_restart_and_what_was_told_is_not_told_again() {
    let state = memory::open().state;
    // Nobody listens on a port that was just given back.
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = format!("http://{}/x/verysecret", taken.local_addr().unwrap());
    drop(taken);
    let first = open(slack_config(&nowhere), &state).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(first.clone().run(stop.clone()));
    let alert = incoming("A", None);
    first.put(vec![alert.clone()], clock::now());
    until(|| outcomes(&first) == ["retrying"]).await;
    let reason = first.history(1).unwrap()[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("cannot reach 127.0.0.1") && !reason.contains("verysecret"), "{reason}");
    stop.cancel();
    running.await.unwrap();

    let fake = Fake::start(&[]).await;
    let second = open(slack_config(&fake.url), &state).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(second.clone().run(stop.clone()));
    second.put(vec![alert], clock::now());
    let asked = fake.asked(1).await;
    assert_eq!(asked[0].1["text"], "*[FIRING:1] A · test*");
    until(|| second.waiting() == 0).await;
    second.put(vec![incoming("B", None)], clock::now());
    let asked = fake.asked(2).await;
    assert_eq!(asked[1].1["text"], "*[FIRING:1] B · test*", "A was told already");
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_webhook_gets_its_credentials() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(post(move |headers: http::HeaderMap| {
        let value = headers.get("authorization").unwrap().to_str().unwrap().to_owned();
        log.lock().unwrap().push(value);
        async { "" }
    }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let text = format!(
        "route: {{receiver: hook, group_wait: 0s}}\n\
         receivers: [{{name: hook, webhook_configs: [{{url: 'http://{address}/', \
         http_config: {{basic_auth: {{username: me, password: secret}}}}}}]}}]\n"
    );
    let notifier = open(file::parse("notify.yaml", &text).unwrap(), &memory::open().state).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(notifier.clone().run(stop.clone()));
    notifier.put(vec![incoming("A", None)], clock::now());
    until(|| !seen.lock().unwrap().is_empty()).await;
    assert_eq!(*seen.lock().unwrap(), ["Basic bWU6c2VjcmV0"]);
    assert!(!notifier.config_text().contains("secret}"), "{}", notifier.config_text());
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_silence_survives_a_restart() {
    let state = memory::open().state;
    let notifier = open(Config::nobody(), &state).await;
    let now = clock::now();
    let new = NewSilence {
        id: None,
        matchers: matcher::parse("alertname=A").unwrap(),
        starts_at: now,
        ends_at: now.plus(Duration::from_secs(60)),
        created_by: "me".to_owned(),
        comment: "known".to_owned(),
    };
    let id = notifier.set_silence(new, now).await.unwrap();
    assert_eq!(id.len(), 36);
    let again = open(Config::nobody(), &state).await;
    again.put(vec![incoming("A", None), incoming("B", None)], now);
    let suppressed: Vec<(String, bool)> = again
        .alerts(now)
        .iter()
        .map(|alert| (alert.labels.get("alertname").unwrap().to_owned(), alert.is_suppressed()))
        .collect();
    let mut suppressed = suppressed;
    suppressed.sort();
    assert_eq!(suppressed, [("A".to_owned(), true), ("B".to_owned(), false)]);
    assert_eq!(again.groups(now).len(), 2);
}
