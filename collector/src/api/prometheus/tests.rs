use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use yagura_model::{Kind, Labels, Metric, Timestamp};

use super::*;
use crate::{
    api::federate,
    query::promql::Limits,
    series::{NewSample, append},
    storage::memory,
};

/// 2026-01-01, a whole minute.
const START: i64 = 1_767_225_600_000;

struct Server(SocketAddr);

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Server {
    /// Two series of a counter and one of a gauge, a sample every 15 s for ten minutes.
    async fn start(samples: Vec<NewSample>) -> Self {
        let storage = memory::open();
        let known = Metric { name: "up", kind: Kind::Gauge, unit: "", help: "whether it answers" };
        append(&*storage.metrics, &samples, &[known], clock::now()).await.unwrap();
        let engine = Engine::new(Arc::clone(&storage.metrics), Limits::default());
        let router = Router::new()
            .nest("/prom", router(Arc::clone(&storage.metrics), engine))
            .merge(federate::router(storage.metrics));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self(address)
    }

    async fn usual() -> Self {
        let mut samples = Vec::new();
        for step in 0..=40 {
            let time = Timestamp(START + step * 15_000);
            let mut add = |pairs: &[(&str, &str)], value: f64| {
                samples.push(NewSample { labels: Labels::from_pairs(pairs.iter().copied()), time, value });
            };
            add(&[("__name__", "requests_total"), ("path", "/a")], step as f64 * 15.0);
            add(&[("__name__", "requests_total"), ("path", "/b")], step as f64 * 30.0);
            add(&[("__name__", "up"), ("http.status", "x")], 1.0);
        }
        Self::start(samples).await
    }

    async fn send(&self, request: String) -> Reply {
        let mut stream = TcpStream::connect(self.0).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head, body: bytes[end + 4..].to_vec() }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    async fn post(&self, path: &str, form: &str) -> Reply {
        let length = form.len();
        let head = "host: x\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded";
        self.send(format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{form}")).await
    }
}

#[tokio::test]
async fn an_instant_query_answers_by_get_and_by_post() {
    let server = Server::usual().await;
    let time = START / 1000 + 600;
    let expected = json!({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {"path": "/a"}, "value": [time, "1"]}, {"metric": {"path": "/b"}, "value": [time, "2"]},
    ]}});
    let form = format!("query=irate(requests_total%5B5m%5D)&time={time}");
    assert_eq!(server.get(&format!("/prom/api/v1/query?{form}")).await.json(), expected);
    assert_eq!(server.post("/prom/api/v1/query", &form).await.json(), expected);
    let split = server.post(&format!("/prom/api/v1/query?time={time}"), "query=irate(requests_total%5B5m%5D)").await;
    assert_eq!(split.json(), expected);
}

#[tokio::test]
async fn the_type_of_a_result_stands_before_it() {
    let server = Server::usual().await;
    let check = async |query: &str, expected: &str| {
        let reply = server.get(&format!("/prom/api/v1/query?query={query}&time=4")).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, expected), "{query}");
    };
    check("1%2B1", r#"{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}"#).await;
    check("%22a%22", r#"{"status":"success","data":{"resultType":"string","result":[4,"a"]}}"#).await;
    check("nothing", r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#).await;
    check("1%2F0", r#"{"status":"success","data":{"resultType":"scalar","result":[4,"+Inf"]}}"#).await;
}

#[tokio::test]
async fn a_range_query_answers_a_matrix_whatever_the_times_look_like() {
    let server = Server::usual().await;
    let (start, end) = (START / 1000, START / 1000 + 30);
    let expected = json!([{"metric": {"__name__": "requests_total", "path": "/a"},
        "values": [[start, "0"], [start + 15, "15"], [end, "30"]]}]);
    for (start, end, step) in [
        (format!("{start}"), format!("{end}.000"), "15"),
        ("2026-01-01T00:00:00Z".to_owned(), "2026-01-01T00:00:30Z".to_owned(), "15s"),
    ] {
        let query = format!("query=requests_total%7Bpath%3D%22%2Fa%22%7D&start={start}&end={end}&step={step}");
        let reply = server.post("/prom/api/v1/query_range", &query).await.json();
        assert_eq!(reply["data"]["resultType"], "matrix");
        assert_eq!(reply["data"]["result"], expected);
    }
}

#[tokio::test]
async fn faults_have_the_codes_and_words_of_prometheus() {
    let server = Server::usual().await;
    let check = async |path: &str, status: u16, kind: &str, text: &str| {
        let reply = server.get(&format!("/prom/api/v1/{path}")).await;
        let expected = json!({"status": "error", "errorType": kind, "error": text});
        assert_eq!((reply.status, reply.json()), (status, expected), "{path}");
    };
    let bad = "bad_data";
    check("query?query=sum(", 400, bad, "invalid parameter \"query\": 1:5: parse error: unexpected end of input").await;
    check("query", 400, bad, "invalid parameter \"query\": 1:1: parse error: no expression found in input").await;
    check("query?query=1&time=x", 400, bad, "invalid parameter \"time\": cannot parse \"x\" to a valid timestamp")
        .await;
    check("query?query=1&timeout=x", 400, bad, "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration")
        .await;
    check(
        "query_range?query=1&end=1&step=1",
        400,
        bad,
        "invalid parameter \"start\": cannot parse \"\" to a valid timestamp",
    )
    .await;
    check(
        "query_range?query=1&start=2&end=1&step=1",
        400,
        bad,
        "invalid parameter \"end\": end timestamp must not be before start time",
    )
    .await;
    let step = "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. \
                Try a positive integer";
    check("query_range?query=1&start=1&end=1&step=0", 400, bad, step).await;
    check("query_range?query=1&start=1&end=1&step=-5", 400, bad, step).await;
    check(
        "query_range?query=1&start=0&end=11001&step=1",
        400,
        bad,
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
    )
    .await;
    check(
        "query_range?query=up%5B5m%5D&start=0&end=1&step=1",
        400,
        bad,
        "invalid parameter \"query\": invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
    )
    .await;
    let time = START / 1000;
    check(
        &format!("query?query=label_replace(requests_total,%22path%22,%22%22,%22%22,%22%22)&time={time}"),
        422,
        "execution",
        "vector cannot contain metrics with the same labelset",
    )
    .await;
    check("series", 400, bad, "no match[] parameter provided").await;
    check("labels?match[]=%7B", 400, bad, "invalid parameter \"match[]\": 1:2: parse error: unexpected end of input in label matching, expected identifier or \"}\"").await;
    check("labels?limit=-1", 400, bad, "invalid parameter \"limit\": cannot parse \"-1\" to a valid limit").await;
    let reply = server.get("/prom/api/v1/query?query=1&timeout=0").await;
    assert_eq!((reply.status, &reply.json()["errorType"]), (503, &json!("timeout")));
    assert_eq!(server.get("/prom/api/v1/no_such_path").await.status, 404);
}

#[tokio::test]
async fn a_range_may_have_as_many_points_as_in_prometheus() {
    let server = Server::usual().await;
    let reply = server.get("/prom/api/v1/query_range?query=1&start=0&end=11000&step=1").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["data"]["result"][0]["values"].as_array().unwrap().len(), 11_001);
}

#[tokio::test]
async fn names_values_and_series_are_listed_and_cut() {
    let server = Server::usual().await;
    let data = async |path: &str| server.get(&format!("/prom/api/v1/{path}")).await.json();
    assert_eq!(data("labels").await["data"], json!(["__name__", "http_status", "path"]).clone());
    assert_eq!(data("label/__name__/values").await["data"], json!(["requests_total", "up"]));
    assert_eq!(data("label/path/values?match[]=up").await["data"], json!([]));
    assert_eq!(
        data("series?match[]=requests_total%7Bpath%3D%22%2Fa%22%7D&match[]=nothing").await["data"],
        json!([{"__name__": "requests_total", "path": "/a"}])
    );
    let cut = data("label/path/values?limit=1").await;
    assert_eq!(cut, json!({"status": "success", "data": ["/a"], "warnings": ["results truncated due to limit"]}));
    let whole = data("label/path/values?limit=2").await;
    assert_eq!(whole, json!({"status": "success", "data": ["/a", "/b"]}));
    let time = START / 1000;
    let cut = data(&format!("query?query=requests_total&limit=1&time={time}")).await;
    assert_eq!(cut["data"]["result"].as_array().unwrap().len(), 1);
    assert_eq!(cut["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn grafanas_probes_are_answered() {
    let server = Server::usual().await;
    let data = async |path: &str| server.get(&format!("/prom/api/v1/{path}")).await.json();
    assert_eq!(data("query?query=1%2B1&time=4").await["data"]["result"], json!([4, "2"]));
    // Its times are milliseconds.
    let exemplars = data(&format!("query_exemplars?query=test&start={START}&end={}", START + 1_800_000)).await;
    assert_eq!(exemplars, json!({"status": "success", "data": []}));
    let build = data("status/buildinfo").await;
    assert!(build["data"]["version"].as_str().unwrap().starts_with("3."));
    assert_eq!(build["data"].get("features"), None);
    assert_eq!(
        data("metadata?metric=up").await["data"],
        json!({"up": [{"type": "gauge", "help": "whether it answers", "unit": ""}]})
    );
    assert_eq!(data("format_query?query=sum(up)by(job)").await["data"], "sum by (job) (up)");
}

#[tokio::test]
async fn warnings_and_stats_are_given_when_there_are_any() {
    let server = Server::usual().await;
    let time = START / 1000 + 60;
    let reply = server.get(&format!("/prom/api/v1/query?query=quantile(2,up)&time={time}&stats=all")).await.json();
    let warning = "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)";
    assert_eq!(reply["warnings"], json!([warning]));
    assert_eq!(reply.get("infos"), None);
    assert!(reply["data"]["stats"]["samples"]["totalQueryableSamples"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_who_can_read_it() {
    let server = Server::usual().await;
    let path = "/prom/api/v1/query_range?query=1&start=0&end=1000&step=1";
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept-encoding: gzip\r\n\r\n");
    let reply = server.send(request).await;
    assert!(reply.head.contains("content-encoding: gzip"), "{}", reply.head);
    assert!(!server.get(path).await.head.contains("content-encoding"));
}

#[tokio::test]
async fn federation_gives_the_latest_of_each_series() {
    // The page is about now, so the samples are too.
    let now = clock::now();
    let sample = |name: &str, value: f64, ago: u64| NewSample {
        labels: Labels::from_pairs([("__name__", name), ("job", "a")]),
        time: now.minus(std::time::Duration::from_secs(ago)),
        value,
    };
    let samples = vec![sample("up", 0.0, 60), sample("up", 1.0, 30), sample("old", 1.0, 900), sample("other", 5.0, 10)];
    let server = Server::start(samples).await;
    let page = server.get("/federate?match[]=up&match[]=old").await;
    let time = now.0 - 30_000;
    assert_eq!(page.text(), format!("# TYPE up untyped\nup{{job=\"a\"}} 1 {time}\n"));
    let page = server.get("/federate").await.text();
    assert!(page.contains("other{job=\"a\"} 5 ") && page.contains("up{job=\"a\"} 1 "), "{page}");
    assert_eq!(server.get("/federate?match[]=%7B").await.status, 400);
}
