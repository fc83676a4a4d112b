//! `GET /api/live?feeds=a,b`: server-sent events for those who look.
//!
//! A feed is read on its interval only while somebody listens, once for all listeners; a new listener gets the last
//! reading at once. A listener that is too slow misses readings, not the newest one. Besides the feeds, `beat` comes
//! every few seconds, so that a browser can tell a quiet collector from a dead one.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::get,
};
use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::answer;

/// How often `beat` is sent.
const BEAT: Duration = Duration::from_secs(5);

/// Reads a feed: JSON, or why there is none.
pub type Read = Arc<dyn Fn() -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync>;

/// Something that listeners are told every `every`.
#[derive(Clone)]
pub struct Feed {
    /// The event's name.
    pub name: &'static str,
    /// How often it is read while somebody listens.
    pub every: Duration,
    /// Reads it.
    pub read: Read,
}

/// A feed of what `read` gives, as JSON.
pub(crate) fn feed<T, F>(name: &'static str, every: Duration, read: impl Fn() -> F + Send + Sync + 'static) -> Feed
where
    T: Serialize,
    F: Future<Output = Result<T, String>> + Send + 'static,
{
    let read = move || -> BoxFuture<'static, Result<Bytes, String>> {
        let reading = read();
        Box::pin(async move {
            let value = reading.await?;
            serde_json::to_vec(&value).map(Bytes::from).map_err(|error| error.to_string())
        })
    };
    Feed { name, every, read: Arc::new(read) }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("name", &self.name).field("every", &self.every).finish_non_exhaustive()
    }
}

/// The feeds and their listeners; cheap to clone.
#[derive(Clone, Debug)]
pub struct Live {
    channels: Arc<Vec<Channel>>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Channel {
    feed: Feed,
    latest: watch::Sender<Option<Event>>,
    /// Somebody came.
    wake: Notify,
}

impl Live {
    /// Feeds that end when `stop` is cancelled.
    #[must_use]
    pub fn new(feeds: Vec<Feed>, stop: CancellationToken) -> Self {
        let channel = |feed| Channel { feed, latest: watch::Sender::new(None), wake: Notify::new() };
        Self { channels: Arc::new(feeds.into_iter().map(channel).collect()), stop }
    }

    /// Reads the feeds that have listeners, until told to stop.
    pub async fn run(self) {
        let pumps = futures_util::future::join_all(self.channels.iter().map(pump));
        self.stop.run_until_cancelled(pumps).await;
    }

    /// `GET /live`.
    pub fn router(&self) -> Router {
        Router::new().route("/live", get(listen)).with_state(self.clone())
    }
}

async fn pump(channel: &Channel) {
    loop {
        if channel.latest.receiver_count() == 0 {
            // What is held is old by the time somebody comes back.
            channel.latest.send_replace(None);
            channel.wake.notified().await;
            continue;
        }
        let event = match (channel.feed.read)().await {
            Ok(body) => Event::default().event(channel.feed.name).data(String::from_utf8_lossy(&body)),
            Err(reason) => {
                let body = serde_json::json!({"feed": channel.feed.name, "error": reason}).to_string();
                Event::default().event("trouble").data(body)
            }
        };
        channel.latest.send_replace(Some(event));
        tokio::time::sleep(channel.feed.every).await;
    }
}

/// The query string of `/live`.
#[derive(Debug, Deserialize)]
struct Wanted {
    /// Names of feeds, by comma.
    #[serde(default)]
    feeds: String,
}

async fn listen(State(live): State<Live>, Query(wanted): Query<Wanted>) -> Response {
    let mut receivers = Vec::new();
    for name in wanted.feeds.split(',').filter(|name| !name.is_empty()) {
        let Some(channel) = live.channels.iter().find(|channel| channel.feed.name == name) else {
            return answer::failure(StatusCode::BAD_REQUEST, "bad_data", &format!("no feed is called {name:?}"));
        };
        receivers.push(channel.latest.subscribe());
        channel.wake.notify_one();
    }
    let feeds = stream::select_all(receivers.into_iter().map(|receiver| follow(receiver).boxed()));
    let all = stream::select(feeds, beats().boxed()).map(Ok::<_, Infallible>);
    let mut response = Sse::new(all.take_until(live.stop.cancelled_owned())).into_response();
    response.headers_mut().insert("x-accel-buffering", http::HeaderValue::from_static("no"));
    response
}

/// Every reading from the held one on.
fn follow(mut receiver: watch::Receiver<Option<Event>>) -> impl stream::Stream<Item = Event> {
    receiver.mark_changed();
    stream::unfold(receiver, |mut receiver| async move {
        loop {
            receiver.changed().await.ok()?;
            let event = receiver.borrow_and_update().clone();
            if let Some(event) = event {
                return Some((event, receiver));
            }
        }
    })
}

fn beats() -> impl stream::Stream<Item = Event> {
    stream::unfold(tokio::time::interval(BEAT), |mut interval| async move {
        interval.tick().await;
        let now = yagura_daemon::clock::now();
        Some((Event::default().event("beat").data(format!("{{\"at\":{}}}", now.0)), interval))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    fn counting(reads: &Arc<AtomicU32>) -> Feed {
        let reads = Arc::clone(reads);
        feed("count", Duration::from_secs(5), move || {
            let count = reads.fetch_add(1, Ordering::Relaxed);
            async move { if count == 1 { Err("once".to_owned()) } else { Ok(count) } }
        })
    }

    async fn ask(live: &Live, query: &str) -> Response {
        let request = Request::get(format!("/live{query}")).body(Body::empty()).unwrap();
        TowerToHyperService::new(live.router()).call(request).await.unwrap()
    }

    /// The next part of a stream that is not a beat.
    async fn next(body: &mut Body) -> String {
        loop {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let text = String::from_utf8(frame.to_vec()).unwrap();
            if !text.contains("event: beat") {
                return text;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_is_read_only_while_somebody_listens() {
        let reads = Arc::new(AtomicU32::new(0));
        let stop = CancellationToken::new();
        let live = Live::new(vec![counting(&reads)], stop.clone());
        let pump = tokio::spawn(live.clone().run());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(reads.load(Ordering::Relaxed), 0);

        let mut body = ask(&live, "?feeds=count").await.into_body();
        assert_eq!(next(&mut body).await, "event: count\ndata: 0\n\n");
        assert_eq!(next(&mut body).await, "event: trouble\ndata: {\"feed\":\"count\",\"error\":\"once\"}\n\n");
        assert_eq!(next(&mut body).await, "event: count\ndata: 2\n\n");
        drop(body);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let after = reads.load(Ordering::Relaxed);
        assert!(after <= 4, "{after} reads");
        stop.cancel();
        pump.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn listeners_are_let_go_when_the_collector_stops() {
        let stop = CancellationToken::new();
        let live = Live::new(Vec::new(), stop.clone());
        let body = ask(&live, "").await.into_body();
        stop.cancel();
        assert!(body.collect().await.unwrap().to_bytes().len() < 100);
    }

    #[tokio::test]
    async fn a_feed_that_nobody_has_is_named() {
        let live = Live::new(Vec::new(), CancellationToken::new());
        let response = ask(&live, "?feeds=nothing").await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("nothing"));
    }
}
