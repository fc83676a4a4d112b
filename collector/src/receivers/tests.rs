//! A real server and a real client between them, over loopback; storage is the reference engine, or one that refuses.

use std::{net::SocketAddr, sync::Mutex};

use axum::{
    Router,
    body::Body,
    http::{Method, Request as HttpRequest, Response, StatusCode, header::RETRY_AFTER},
};
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;
use yagura_codec::{compress, grpc, response::PartialSuccess};
use yagura_daemon::{serve, shutdown::CancellationToken};
use yagura_model::{Labels, Nanos, Timestamp, TraceId, metric::is_stale};

use super::*;
use crate::storage::{Listing, MatchOp, Matcher, MetricMetadata, MetricStore, Selection, Series, memory};

const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A server with its storage and its own metrics.
struct Server {
    address: SocketAddr,
    storage: Storage,
    page: Arc<Mutex<Registry>>,
    stop: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn start(storage: Storage, settings: Settings) -> Server {
    let mut registry = Registry::default();
    let receiver = Receiver::new(storage.clone(), settings, &mut registry);
    let router = Router::new()
        .merge(otlp_http::router(receiver.clone()))
        .nest("/prom", remote_write::router(receiver.clone()))
        .merge(otlp_grpc::router(receiver));
    let listener = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(serve::run(listener, router, None, stop.clone()));
    Server { address, storage, page: Arc::new(Mutex::new(registry)), stop }
}

async fn memory_server() -> Server {
    start(memory::open(), Settings::default()).await
}

impl Server {
    /// Sends a request; HTTP/2 for gRPC, 1.1 for the others.
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let http2 = headers.iter().any(|(_, value)| value.starts_with("application/grpc"));
        let client: Client<HttpConnector, Body> = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        let mut request = HttpRequest::builder().method(Method::POST).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(client.request(request.body(Body::from(body)).unwrap()).await.unwrap()).await
    }

    async fn grpc(&self, path: &str, message: &[u8]) -> Answer {
        let mut body = Vec::new();
        grpc::put_frame(&mut body, false, message);
        self.post(path, &[("content-type", "application/grpc"), ("te", "trailers")], body).await
    }

    async fn stored(&self, name: &str) -> Vec<(Labels, f64)> {
        let now = clock::now();
        let selection = Selection {
            matchers: vec![Matcher::new("__name__", MatchOp::Equal, name).unwrap()],
            from: now.minus(Duration::from_secs(3600)),
            to: now,
            max_samples: 1000,
        };
        let series = self.storage.metrics.select(selection).await.unwrap();
        series
            .into_iter()
            .flat_map(|series| series.samples.into_iter().map(move |s| (series.labels.clone(), s.value)))
            .collect()
    }

    fn counter(&self, line: &str) -> bool {
        let page = yagura_daemon::admin::encode(&self.page.lock().unwrap());
        page.lines().any(|known| known == line)
    }
}

/// An answer with its headers and trailers in one map.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

async fn read(response: Response<hyper::body::Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let mut headers = parts.headers;
    headers.extend(collected.trailers().cloned().unwrap_or_default());
    Answer { status: parts.status, headers, body: collected.to_bytes() }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn grpc_status(&self) -> Status {
        assert_eq!(self.status, StatusCode::OK, "gRPC's own status says what went wrong");
        let code = self.header("grpc-status").unwrap().parse().unwrap();
        Status::from_headers(code, self.header("grpc-message"), self.header("grpc-status-details-bin"))
    }

    fn grpc_message(&self) -> &[u8] {
        assert_eq!(self.grpc_status(), Status::new(Code::Ok, ""));
        grpc::Frame::unary(&self.body, 1000).unwrap().payload
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn resource() -> Option<Resource> {
    let attributes = vec![text("service.name", "shop"), text("service.instance.id", "n1")];
    Some(Resource { attributes, ..Resource::default() })
}

fn gauge(name: &str, time: Timestamp, value: f64) -> ExportMetricsServiceRequest {
    let point = NumberDataPoint {
        time_unix_nano: u64::try_from(time.to_nanos().0).unwrap(),
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    };
    let data = Some(metric::Data::Gauge(Gauge { data_points: vec![point] }));
    let metrics = vec![Metric { name: name.to_owned(), data, ..Metric::default() }];
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { resource: resource(), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

fn log(line: &str) -> ExportLogsServiceRequest {
    let record = LogRecord {
        time_unix_nano: u64::try_from(clock::now_nanos().0).unwrap(),
        body: Some(AnyValue { value: Some(Value::StringValue(line.to_owned())) }),
        ..LogRecord::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: resource(), scope_logs, ..ResourceLogs::default() }],
    }
}

fn trace() -> ExportTraceServiceRequest {
    let now = u64::try_from(clock::now_nanos().0).unwrap();
    let span = Span {
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        name: "GET /".into(),
        start_time_unix_nano: now,
        end_time_unix_nano: now + 5,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: resource(), scope_spans, ..ResourceSpans::default() }],
    }
}

async fn log_lines(storage: &Storage) -> Vec<String> {
    let now = clock::now_nanos();
    let selection = storage::LogSelection {
        matchers: vec![],
        filters: vec![],
        severities: vec![],
        fields: vec![],
        range: Nanos(now.0 - 3_600_000_000_000)..Nanos(now.0 + 1),
        direction: storage::Direction::Forward,
        limit: 100,
        max_bytes: 1 << 30,
    };
    storage.logs.select(selection).await.unwrap().into_iter().map(|entry| entry.line).collect()
}

#[tokio::test]
async fn the_three_services_store_what_they_are_sent_over_grpc() {
    let server = memory_server().await;
    let metrics = server.grpc(METRICS, &gauge("load", clock::now(), 1.5).encode_to_vec()).await;
    assert_eq!(metrics.grpc_message(), b"", "all was taken");
    let stored = server.stored("load").await;
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].0.get("job"), stored[0].1), (Some("shop"), 1.5));

    assert_eq!(server.grpc(LOGS, &log("hello").encode_to_vec()).await.grpc_message(), b"");
    assert_eq!(log_lines(&server.storage).await, ["hello"]);

    assert_eq!(server.grpc(TRACES, &trace().encode_to_vec()).await.grpc_message(), b"");
    let id = TraceId(u128::from_be_bytes([7; 16]));
    assert!(server.storage.traces.trace(id).await.unwrap().is_some());
    assert!(server.counter(r#"yagura_collector_receiver_accepted_items_total{signal="logs"} 1"#));
}

fn compressed(encoding: compress::Encoding, message: &[u8]) -> Vec<u8> {
    match encoding {
        compress::Encoding::Identity => message.to_vec(),
        compress::Encoding::Zstd => {
            let mut out = Vec::new();
            compress::zstd_compress(1, message, &mut out).unwrap();
            out
        }
        compress::Encoding::Gzip => {
            use std::io::Write as _;
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(message).unwrap();
            encoder.finish().unwrap()
        }
    }
}

async fn grpc_compressed(server: &Server, name: &str, flag: bool, payload: &[u8]) -> Answer {
    let mut body = Vec::new();
    grpc::put_frame(&mut body, flag, payload);
    server.post(LOGS, &[("content-type", "application/grpc+proto"), ("grpc-encoding", name)], body).await
}

#[tokio::test]
async fn compressed_requests_are_read_by_both_protocols() {
    let server = memory_server().await;
    // Long enough to be decompressed on another thread.
    let line: String = (0..20_000).map(|n| format!("{n:x} ")).collect();
    let message = log(&line).encode_to_vec();
    for encoding in [compress::Encoding::Gzip, compress::Encoding::Zstd, compress::Encoding::Identity] {
        let bytes = compressed(encoding, &message);
        let over_grpc =
            grpc_compressed(&server, encoding.name(), encoding != compress::Encoding::Identity, &bytes).await;
        assert_eq!(over_grpc.grpc_message(), b"");
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", encoding.name())];
        let over_http = server.post("/v1/logs", &headers, bytes).await;
        assert_eq!((over_http.status, &*over_http.body), (StatusCode::OK, &b""[..]));
    }
    // A frame may say that it is not compressed although the call could be.
    assert_eq!(grpc_compressed(&server, "zstd", false, &message).await.grpc_message(), b"");
    let lines = log_lines(&server.storage).await;
    assert_eq!(lines.len(), 7);
    assert!(lines.iter().all(|stored| *stored == line));
}

#[tokio::test]
async fn items_that_are_refused_for_good_are_told_as_partial_success() {
    let server = memory_server().await;
    let late = clock::now().plus(Duration::from_secs(3600));
    let request = gauge("load", late, 1.0);
    let answer = server.grpc(METRICS, &request.encode_to_vec()).await;
    let partial = PartialSuccess::parse(answer.grpc_message()).unwrap().unwrap();
    assert_eq!(partial.rejected, 1);
    assert!(partial.message.starts_with("1 in_the_future ("), "{}", partial.message);

    let json = serde_json::to_vec(&request).unwrap();
    let answer = server.post("/v1/metrics", &[("content-type", "application/json")], json).await;
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(said["partialSuccess"]["rejectedDataPoints"], "1");
    assert!(
        server.counter(r#"yagura_collector_receiver_rejected_items_total{signal="metrics",reason="in_the_future"} 2"#)
    );
}

#[tokio::test]
async fn json_is_stored_like_protobuf() {
    let server = memory_server().await;
    let json = [("content-type", "application/json; charset=utf-8")];
    let metrics = serde_json::to_vec(&gauge("load", clock::now(), 2.0)).unwrap();
    let answer = server.post("/v1/metrics", &json, metrics).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"{}"[..]));
    assert_eq!(server.stored("load").await.len(), 1);
    let traces = serde_json::to_vec(&trace()).unwrap();
    assert_eq!(server.post("/v1/traces", &json, traces).await.status, StatusCode::OK);
    let answer = server.post("/v1/logs", &json, b"{\"resourceLogs\": 5}".to_vec()).await;
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, said["code"].as_u64()), (StatusCode::BAD_REQUEST, Some(3)));
}

#[tokio::test]
async fn grpc_calls_that_cannot_be_served_end_with_their_own_status() {
    let limits = Limits { body: 2000, message: 4000, ..Limits::default() };
    let server = start(memory::open(), Settings { limits, ..Settings::default() }).await;
    let code = |answer: &Answer| answer.grpc_status().code;
    let message = log("x").encode_to_vec();

    assert_eq!(code(&server.grpc("/some.Service/Method", &message).await), Code::Unimplemented);
    let snappy = grpc_compressed(&server, "snappy", true, &message).await;
    assert_eq!(code(&snappy), Code::Unimplemented);
    assert_eq!(snappy.header("grpc-accept-encoding"), Some("identity,gzip,zstd"));
    assert_eq!(code(&server.grpc(LOGS, b"\xff\xff").await), Code::InvalidArgument);
    assert_eq!(code(&grpc_compressed(&server, "zstd", true, b"garbage").await), Code::InvalidArgument);

    let long = server.grpc(LOGS, &log(&"x".repeat(2000)).encode_to_vec()).await.grpc_status();
    assert_eq!((long.code, long.is_retryable()), (Code::ResourceExhausted, false), "it would be too long again");
    let bomb = compressed(compress::Encoding::Zstd, &log(&"x".repeat(1 << 20)).encode_to_vec());
    let bomb = grpc_compressed(&server, "zstd", true, &bomb).await.grpc_status();
    assert_eq!((bomb.code, bomb.is_retryable()), (Code::ResourceExhausted, false));
    assert!(bomb.message.contains("4000 bytes when decompressed"), "{}", bomb.message);

    let web = server.post(LOGS, &[("content-type", "application/json")], message).await;
    assert_eq!(web.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(log_lines(&server.storage).await.is_empty());
    let line =
        r#"yagura_collector_receiver_refused_requests_total{signal="logs",protocol="otlp_grpc",reason="too_large"} 2"#;
    assert!(server.counter(line));
}

#[tokio::test]
async fn http_requests_that_cannot_be_served_are_answered_in_their_own_encoding() {
    let limits = Limits { body: 2000, message: 4000, ..Limits::default() };
    let server = start(memory::open(), Settings { limits, ..Settings::default() }).await;
    let protobuf = ("content-type", "application/x-protobuf");
    let check = async |headers: &[(&str, &str)], body: Vec<u8>, status: StatusCode, code: Code| {
        let answer = server.post("/v1/logs", headers, body).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, Some(protobuf.1)));
        assert_eq!(Status::parse(&answer.body).unwrap().code, code);
    };
    let too_large = StatusCode::PAYLOAD_TOO_LARGE;
    check(&[protobuf], vec![0; 2001], too_large, Code::ResourceExhausted).await;
    let bomb = compressed(compress::Encoding::Gzip, &vec![0; 100_000]);
    check(&[protobuf, ("content-encoding", "gzip")], bomb, too_large, Code::ResourceExhausted).await;
    check(&[protobuf], b"\xff\xff".to_vec(), StatusCode::BAD_REQUEST, Code::InvalidArgument).await;
    let br = ("content-encoding", "br");
    check(&[protobuf, br], vec![], StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unimplemented).await;

    let answer = server.post("/v1/logs", &[("content-type", "text/plain")], vec![]).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(answer.header("content-type"), Some("application/json"), "what everybody can read");
}

#[tokio::test]
async fn only_who_has_a_token_may_send() {
    let settings = Settings { tokens: vec![Secret::new("other"), Secret::new("secret")], ..Settings::default() };
    let server = start(memory::open(), settings).await;
    let message = log("x").encode_to_vec();
    let status = server.grpc(LOGS, &message).await.grpc_status();
    assert_eq!((status.code, status.is_retryable()), (Code::Unauthenticated, false));
    let headers = [("content-type", "application/x-protobuf"), ("authorization", "Bearer wrong")];
    assert_eq!(server.post("/v1/logs", &headers, message.clone()).await.status, StatusCode::UNAUTHORIZED);
    let headers = [("content-type", "application/x-protobuf"), ("authorization", "Bearer secret")];
    assert_eq!(server.post("/v1/logs", &headers, message).await.status, StatusCode::OK);
}

/// A store that cannot.
#[derive(Debug)]
struct Refusing(fn() -> storage::Error);

impl MetricStore for Refusing {
    fn append(&self, _: Bytes, _: Timestamp) -> BoxFuture<'_, Result<Appended, storage::Error>> {
        let error = (self.0)();
        Box::pin(async { Err(error) })
    }
    fn select(&self, _: Selection) -> BoxFuture<'_, Result<Vec<Series>, storage::Error>> {
        Box::pin(async { Ok(vec![]) })
    }
    fn series(&self, _: Listing) -> BoxFuture<'_, Result<Vec<Labels>, storage::Error>> {
        Box::pin(async { Ok(vec![]) })
    }
    fn label_names(&self, _: Listing) -> BoxFuture<'_, Result<Vec<String>, storage::Error>> {
        Box::pin(async { Ok(vec![]) })
    }
    fn label_values(&self, _: String, _: Listing) -> BoxFuture<'_, Result<Vec<String>, storage::Error>> {
        Box::pin(async { Ok(vec![]) })
    }
    fn metadata(&self, _: Option<String>, _: usize) -> BoxFuture<'_, Result<Vec<MetricMetadata>, storage::Error>> {
        Box::pin(async { Ok(vec![]) })
    }
}

async fn refusing(error: fn() -> storage::Error) -> Server {
    let storage = Storage { metrics: Arc::new(Refusing(error)), ..memory::open() };
    start(storage, Settings::default()).await
}

fn full() -> storage::Error {
    storage::Error::Unavailable { reason: "the disk is full".into(), retry_after: Duration::from_millis(2500) }
}

#[tokio::test]
async fn a_store_that_cannot_now_asks_for_another_try() {
    let server = refusing(full).await;
    let message = gauge("load", clock::now(), 1.0).encode_to_vec();
    let status = server.grpc(METRICS, &message).await.grpc_status();
    assert_eq!((status.code, status.retry_after), (Code::Unavailable, Some(Duration::from_millis(2500))));
    assert!(status.message.contains("the disk is full"), "{}", status.message);

    let answer = server.post("/v1/metrics", &[("content-type", "application/x-protobuf")], message).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header(RETRY_AFTER.as_str()), Some("3"), "whole seconds, rounded up");
    assert_eq!(Status::parse(&answer.body).unwrap(), status);
    let json = serde_json::to_vec(&gauge("load", clock::now(), 1.0)).unwrap();
    let answer = server.post("/v1/metrics", &[("content-type", "application/json")], json).await;
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["details"][0]["retryDelay"], "2.5s");
}

#[tokio::test]
async fn a_store_that_failed_does_not_make_the_sender_drop_its_data() {
    let server = refusing(|| storage::Error::Failed("poisoned".into())).await;
    let status = server.grpc(METRICS, &gauge("load", clock::now(), 1.0).encode_to_vec()).await.grpc_status();
    assert!(status.is_retryable() && status.retry_after.is_some(), "{status:?}");
}

#[test]
fn a_refusal_says_in_every_protocol_whether_to_try_again() {
    let slow = Duration::from_secs(30);
    for (refusal, over_grpc, over_http) in [
        (Refusal::Busy, true, true),
        (Refusal::Unavailable { reason: "full".into(), retry_after: slow }, true, true),
        (Refusal::Slow(slow), true, false),
        (Refusal::TooLarge { limit: 1, when: "" }, false, false),
        (Refusal::Malformed("cut".into()), false, false),
        (Refusal::Encoding("br".into()), false, false),
        (Refusal::Unauthenticated, false, false),
    ] {
        assert_eq!(refusal.status().is_retryable(), over_grpc, "{refusal}");
        // The codes that OTLP over HTTP retries.
        let retried = [429, 502, 503, 504].contains(&otlp_http::http_status(&refusal).as_u16());
        assert_eq!(retried, over_http, "{refusal}");
    }
}

/// A remote-write request: one series with its samples, and what is known of its metric.
fn write_request(name: &str, samples: &[(i64, f64)]) -> Vec<u8> {
    use yagura_codec::pb;
    let mut series = Vec::new();
    for (label, value) in [("__name__", name), ("job", "prometheus"), ("instance", "p1")] {
        let mut pair = Vec::new();
        pb::put_bytes(&mut pair, 1, label.as_bytes());
        pb::put_bytes(&mut pair, 2, value.as_bytes());
        pb::put_message(&mut series, 1, &pair);
    }
    for (time, value) in samples {
        let mut sample = Vec::new();
        pb::put_fixed64(&mut sample, 1, value.to_bits());
        pb::put_uint(&mut sample, 2, time.cast_unsigned());
        pb::put_message(&mut series, 2, &sample);
    }
    let mut metadata = Vec::new();
    pb::put_uint(&mut metadata, 1, 1);
    pb::put_bytes(&mut metadata, 2, name.as_bytes());
    pb::put_bytes(&mut metadata, 4, b"Requests.");
    let mut request = Vec::new();
    pb::put_message(&mut request, 1, &series);
    pb::put_message(&mut request, 3, &metadata);
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}

const REMOTE_WRITE: [(&str, &str); 3] = [
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

#[tokio::test]
async fn remote_write_is_stored_with_its_type_and_its_ends() {
    let server = memory_server().await;
    let now = clock::now().0;
    let stale = yagura_model::metric::stale_nan();
    let body = write_request("requests_total", &[(now - 20_000, 5.0), (now - 10_000, stale)]);
    let answer = server.post("/prom/api/v1/write", &REMOTE_WRITE, body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let stored = server.stored("requests_total").await;
    assert_eq!(stored.len(), 2);
    assert_eq!((stored[0].0.get("job"), stored[0].0.get("instance")), (Some("prometheus"), Some("p1")));
    assert!(stored[0].1 == 5.0 && is_stale(stored[1].1));
    let metadata = server.storage.metrics.metadata(Some("requests_total".into()), 1).await.unwrap();
    assert_eq!((metadata[0].kind, metadata[0].help.as_str()), ("counter", "Requests."));
}

#[tokio::test]
async fn remote_write_refuses_what_it_does_not_know() {
    let server = memory_server().await;
    let [_, snappy, version] = REMOTE_WRITE;
    let v2 = ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request");
    let answer = server.post("/prom/api/v1/write", &[v2, snappy, version], vec![]).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let answer = server.post("/prom/api/v1/write", &REMOTE_WRITE, b"garbage".to_vec()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "Prometheus drops it instead of sending it for ever");
    let late = clock::now().0 + 3_600_000;
    let answer = server.post("/prom/api/v1/write", &REMOTE_WRITE, write_request("x", &[(late, 1.0)])).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body.starts_with(b"1 in_the_future"));
    let server = refusing(full).await;
    let body = write_request("x", &[(clock::now().0, 1.0)]);
    let answer = server.post("/prom/api/v1/write", &REMOTE_WRITE, body).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "Prometheus sends it again");
}
