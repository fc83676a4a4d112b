//! A whole collector on free ports: from a check that fails to a message, and back; restarts and bad starts.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the exemption for tests does not reach functions beside them"
)]

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::any};
use bytes::Bytes;
use http::Request;
use tokio::task::JoinHandle;
use yagura_collector::{app::Collector, config::Config};
use yagura_daemon::{
    http_client::{Client, Limits},
    shutdown::CancellationToken,
    tls::ClientFiles,
};

/// A collector that runs, and a client for it.
struct Running {
    url: String,
    login: Option<String>,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    client: Client,
}

async fn start(config: &str) -> Running {
    let config: Config =
        yagura_daemon::config::parse("collector.yaml", config, &std::collections::HashMap::new()).unwrap();
    let collector = Collector::start(config).await.unwrap();
    let url = format!("http://{}", collector.addresses().http);
    let login = collector.login_url().map(str::to_owned);
    let stop = CancellationToken::new();
    let task = tokio::spawn(collector.run(stop.clone()));
    Running { url, login, stop, task, client: Client::new(&ClientFiles::default()).unwrap() }
}

impl Running {
    async fn ask(&self, method: &str, path: &str, body: &str) -> (StatusCode, serde_json::Value) {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/json");
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let response = self.client.request(request, Limits::default()).await.unwrap();
        let value = serde_json::from_slice(response.body())
            .unwrap_or_else(|_| String::from_utf8_lossy(response.body()).into_owned().into());
        (response.status(), value)
    }

    async fn get(&self, path: &str) -> serde_json::Value {
        let (status, value) = self.ask("GET", path, "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {value}");
        value
    }

    /// Asks until the answer is as wanted.
    async fn until(&self, path: &str, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        for _ in 0..1200 {
            let value = self.get(path).await;
            if wanted(&value) {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{path} never came to be as wanted; now: {}", self.get(path).await);
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.task).await.expect("it stops in time").unwrap().unwrap();
    }
}

/// A server that answers every request with what `answer` says.
async fn server(answer: impl Fn(&str) -> StatusCode + Clone + Send + Sync + 'static) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let handler = any(move |body: String| {
        let status = answer(&body);
        async move { (status, "ok") }
    });
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    url
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Waits for a condition that others bring about.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1200 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_fails_reaches_slack_and_its_return_too() {
    let folder = tempfile::tempdir().unwrap();
    let up = Arc::new(AtomicBool::new(true));
    let told: Arc<Mutex<Vec<serde_json::Value>>> = Arc::default();
    let (shop_up, slack_told) = (Arc::clone(&up), Arc::clone(&told));
    let shop =
        server(move |_| if shop_up.load(Ordering::SeqCst) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
            .await;
    let slack = server(move |body| {
        slack_told.lock().unwrap().push(serde_json::from_str(body).unwrap());
        StatusCode::OK
    })
    .await;
    let secret = write(folder.path(), "slack-url", &format!("{slack}/services/T0/B0/verysecret"));
    let rules = write(
        folder.path(),
        "rules.yaml",
        "groups:\n  - name: shop\n    interval: 1s\n    rules:\n      - alert: ShopDown\n        \
         expr: probe_success{check=\"shop\"} == 0\n        for: 1s\n        labels: {severity: critical}\n        \
         annotations: {summary: '{{ $labels.check }} is down'}\n",
    );
    let notify = write(
        folder.path(),
        "notify.yaml",
        &format!(
            "route: {{receiver: slack, group_wait: 0s, group_interval: 1s}}\nreceivers:\n  - name: slack\n    \
             slack_configs: [{{api_url_file: {secret}, send_resolved: true}}]\n"
        ),
    );
    let checks = write(
        folder.path(),
        "checks.yaml",
        &format!(
            "checks:\n  - {{name: shop, url: '{shop}/', interval: 1s, allow_private: true, tags: {{service: shop}}}}\n"
        ),
    );
    let config = format!(
        "listen: 127.0.0.1:0\notlp: 127.0.0.1:0\nstorage: {{path: {}}}\nrules: [{rules}]\nnotify: {notify}\nchecks: [{checks}]\n",
        folder.path().join("data").display()
    );
    let collector = start(&config).await;
    let success = "/prom/api/v1/query?query=probe_success";
    let value = |answer: &serde_json::Value| answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned);
    let answer = collector.until(success, |answer| value(answer).as_deref() == Some("1")).await;
    assert_eq!(answer["data"]["result"][0]["metric"]["service"], "shop");

    up.store(false, Ordering::SeqCst);
    let firing = |answer: &serde_json::Value| answer["data"]["alerts"][0]["state"] == "firing";
    let alerts = collector.until("/prom/api/v1/alerts", firing).await;
    assert_eq!(alerts["data"]["alerts"][0]["value"], "0e+00");
    eventually("Slack is told", || !told.lock().unwrap().is_empty()).await;
    assert_eq!(told.lock().unwrap()[0]["text"], "*[FIRING:1] ShopDown · shop*");
    let history = collector
        .until("/api/alerts/history", |answer| {
            let notifications = answer["history"][0]["notifications"].as_array();
            notifications.is_some_and(|list| !list.is_empty())
        })
        .await;
    assert_eq!(history["history"][0]["notifications"][0]["status"], "sent");
    assert_eq!(history["history"][0]["changes"][1]["to"], "firing");

    // A restart in between must neither forget the alert nor tell it twice.
    collector.stop().await;
    let collector = start(&config).await;
    assert!(collector.login.is_none(), "only the first start makes a token");
    let alerts = collector.get("/alertmanager/api/v2/alerts").await;
    assert_eq!(alerts[0]["labels"]["alertname"], "ShopDown");
    up.store(true, Ordering::SeqCst);
    eventually("Slack is told of the end", || told.lock().unwrap().len() > 1).await;
    let messages = told.lock().unwrap().clone();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[1]["text"], "*[RESOLVED] ShopDown · shop*");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_answers_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let collector =
        start(&format!("listen: 127.0.0.1:0\notlp: 127.0.0.1:0\nstorage: {{path: {}}}\n", data.display())).await;
    use std::os::unix::fs::PermissionsExt as _;
    let token = data.join("admin-token");
    assert_eq!(std::fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(collector.login.as_ref().unwrap().contains(std::fs::read_to_string(token).unwrap().trim()));

    let rules = collector.get("/prom/api/v1/rules?type=alert&rule_name[]=NodeDown").await;
    assert_eq!(rules["data"]["groups"][0]["rules"][0]["name"], "NodeDown");
    assert_eq!(rules["data"]["groups"].as_array().unwrap().len(), 1);
    let page = collector.get("/prom/api/v1/rules?group_limit=1").await;
    let token = page["data"]["groupNextToken"].as_str().unwrap().to_owned();
    let next = collector.get(&format!("/prom/api/v1/rules?group_limit=1&group_next_token={token}")).await;
    assert_ne!(page["data"]["groups"][0]["name"], next["data"]["groups"][0]["name"]);
    assert!(collector.get("/metrics").await.as_str().unwrap().contains("yagura_collector_store_samples_total"));
    assert_eq!(collector.get("/alertmanager/api/v2/receivers").await[0]["name"], "nobody");

    let (status, answer) = collector.ask("GET", "/api/nothing", "").await;
    assert_eq!((status.as_u16(), answer["status"].as_str()), (404, Some("error")));
    let posted = r#"[{"labels": {"alertname": "Posted", "a": "b"}, "generatorURL": "http://g"}]"#;
    assert_eq!(collector.ask("POST", "/alertmanager/api/v2/alerts", posted).await.0, StatusCode::OK);
    let (status, answer) = collector.ask("POST", "/alertmanager/api/v2/alerts", r#"[{"labels": {}}]"#).await;
    assert_eq!((status.as_u16(), answer.as_str()), (400, Some("at least one label pair required")));
    let silence = r#"{"matchers": [{"name": "a", "value": "b"}], "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2100-01-01T00:00:00Z", "createdBy": "me", "comment": "known"}"#;
    let (status, made) = collector.ask("POST", "/alertmanager/api/v2/silences", silence).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let alerts = collector.get("/alertmanager/api/v2/alerts").await;
    assert_eq!(alerts[0]["status"]["state"], "suppressed");
    assert_eq!(alerts[0]["status"]["silencedBy"][0], made["silenceID"]);
    assert_eq!(collector.get("/alertmanager/api/v2/alerts?silenced=false").await, serde_json::json!([]));
    let path = format!("/alertmanager/api/v2/silence/{}", made["silenceID"].as_str().unwrap());
    assert_eq!(collector.ask("DELETE", &path, "").await.0, StatusCode::OK);
    assert_eq!(collector.get(&path).await["status"]["state"], "expired");
    assert_eq!(collector.get("/alertmanager/api/v2/alerts").await[0]["status"]["state"], "active");
    collector.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_and_a_folder_that_cannot_be_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let refused = async |text: String| {
        let config: Config =
            yagura_daemon::config::parse("collector.yaml", &text, &std::collections::HashMap::new()).unwrap();
        let error = Collector::start(config).await.err().unwrap();
        yagura_daemon::http_client::causes(&error)
    };
    let data = folder.path().display();
    let error = refused(format!("listen: {address}\notlp: 127.0.0.1:0\nstorage: {{path: {data}}}\n")).await;
    assert!(error.contains(&address.to_string()) && error.contains("in use") && error.contains("listen"), "{error}");
    let error = refused("listen: 127.0.0.1:0\notlp: 127.0.0.1:0\nstorage: {path: /proc/yagura}\n".to_owned()).await;
    assert!(error.contains("/proc/yagura"), "{error}");
}
