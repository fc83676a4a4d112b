//! What the agent answers on its own port: `/metrics` and its parts, `/live`, `/ready`, `/status`.
//!
//! Works without any collector: Prometheus can scrape an agent that sends nothing anywhere.

use std::{
    fmt,
    sync::{Arc, MutexGuard, PoisonError},
};

use axum::{Json, Router, http::StatusCode, response::Response, routing::get};
use serde_json::{Value, json};
use yagura_daemon::admin::{self, Readiness};

use crate::{
    series::{Table, text},
    sources::{Output, Page},
};

/// Makes the answer of `/status`.
#[derive(Clone)]
pub struct Status(Arc<dyn Fn() -> Value + Send + Sync>);

impl Status {
    /// Asks `make` at each request.
    pub fn new(make: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// The status as it is now.
    #[must_use]
    pub fn now(&self) -> Value {
        (self.0)()
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Status")
    }
}

/// Every page of the agent.
pub fn router(out: Output, readiness: Readiness, status: Status) -> Router {
    let mut router = Router::new().route("/status", get(async move || Json(status.now())));
    for page in Page::ALL {
        let out = out.clone();
        router = router.route(&format!("/metrics/{}", page.name()), get(async move || metrics(&out, Some(page))));
    }
    router
        .route("/metrics", get(async move || metrics(&out, None)))
        .route("/", get(index))
        .fallback(not_found)
        .merge(admin::health(readiness))
}

/// The tables of one page, or of all, in the text format.
fn metrics(out: &Output, page: Option<Page>) -> Response {
    let tables = out.tables(page);
    let locked: Vec<MutexGuard<'_, Table>> =
        tables.iter().map(|table| table.lock().unwrap_or_else(PoisonError::into_inner)).collect();
    admin::text_page(text::encode(&locked.iter().map(|table| &**table).collect::<Vec<_>>()))
}

/// What there is, for whoever opens the port in a browser.
async fn index() -> String {
    let pages = Page::ALL.iter().map(|page| format!("/metrics/{}\n", page.name())).collect::<String>();
    format!("yagura-agent {}\n\n/metrics\n{pages}/live\n/ready\n/status\n", env!("CARGO_PKG_VERSION"))
}

async fn not_found() -> (StatusCode, Json<Value>) {
    (StatusCode::NOT_FOUND, Json(json!({"error": "no such path; GET / lists those there are"})))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio_util::sync::CancellationToken;
    use yagura_daemon::{
        http_client::{Client, Limits},
        serve,
        tls::ClientFiles,
    };
    use yagura_model::{Kind, Metric, Tags, Timestamp};

    use super::*;
    use crate::sources::testing;

    const LOAD: Metric = Metric { name: "node_load1", kind: Kind::Gauge, unit: "", help: "Load." };
    const SEEN: Metric = Metric { name: "container_last_seen", kind: Kind::Gauge, unit: "s", help: "Seen." };

    fn table(job: &'static str, metric: &'static Metric) -> Arc<Mutex<Table>> {
        let mut table = Table::new(job, "n1");
        let scope = table.add_scope(&[], &Tags::default(), Timestamp(0));
        table.begin(Timestamp(1));
        table.sample(scope, metric, &[], 1.5);
        table.finish();
        Arc::new(Mutex::new(table))
    }

    #[tokio::test]
    async fn each_page_shows_its_own_series_and_metrics_all_of_them() {
        let out = testing::context("host").out;
        out.page(Page::Node, table("node-exporter", &LOAD));
        out.page(Page::Cadvisor, table("cadvisor", &SEEN));
        let readiness = Readiness::waiting_for(&["buffer"]);
        let router = router(out, readiness.clone(), Status::new(|| json!({"node": "n1"})));
        let listener = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve::run(listener, router, None, stop.clone()));
        let client = Client::new(&ClientFiles::default()).unwrap();
        let get = async |path: &str| {
            let request = http::Request::get(format!("http://{address}{path}")).body(bytes::Bytes::new()).unwrap();
            let answer = client.request(request, Limits::default()).await.unwrap();
            (answer.status().as_u16(), String::from_utf8(answer.into_body().to_vec()).unwrap())
        };
        let (_, node) = get("/metrics/node").await;
        assert!(node.contains("node_load1 1.5\n") && !node.contains("container_last_seen"), "{node}");
        let (_, all) = get("/metrics").await;
        assert!(all.contains("node_load1 1.5\n") && all.contains("container_last_seen 1.5\n"), "{all}");
        assert_eq!(get("/status").await, (200, r#"{"node":"n1"}"#.to_owned()));
        assert_eq!(get("/live").await.0, 200);
        assert_eq!(get("/ready").await.0, 503);
        readiness.ready("buffer");
        assert_eq!(get("/ready").await.0, 200);
        assert_eq!(get("/nowhere").await.0, 404);
        stop.cancel();
        server.await.unwrap().unwrap();
    }
}
