//! The task that keeps a connection and several requests on it, and knows every batch that has no answer yet.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::{Request, Uri};
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use tokio::time::{Instant, sleep_until, timeout};
use yagura_codec::grpc::Code;
use yagura_daemon::{backoff::Backoff, clock, secret::SecretFile, shutdown::CancellationToken};

use super::{
    Config, Metrics, State, StatusCell,
    connection::Connection,
    metrics::{KindLabel, SignalLabel},
    otlp_grpc::{self, Answer, Failure},
    parse_endpoint,
};
use crate::buffer::{Batch, Buffer, Outcome, Ticket};

/// Requests in flight: enough that a collector that syncs every few milliseconds is kept busy.
const MAX_IN_FLIGHT: usize = 8;
/// Bytes in flight, before compression.
const MAX_IN_FLIGHT_BYTES: usize = 8 * 1024 * 1024;
/// First and longest wait before another attempt. The longest is short: when a collector returns, people look.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// A collector may ask for more patience, but not for ever.
const MAX_PATIENCE: Duration = Duration::from_secs(300);
/// How long memory may be emptied to the collector when the agent stops; the rest goes to disk.
const DRAIN: Duration = Duration::from_secs(1);
/// Smaller batches are compressed where they are; it takes microseconds.
const SMALL: usize = 32 * 1024;

/// Sends what the buffer gives until told to stop; then what memory still holds, for a moment. What has no answer by
/// then is given back to the buffer.
pub async fn run(
    config: Config,
    buffer: Buffer,
    status: StatusCell,
    metrics: Metrics,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut sender = Sender::new(&config, buffer, status, metrics);
    sender.run(&config, &stop).await;
    sender.give_back();
    Ok(())
}

#[derive(Debug)]
struct Sender {
    endpoints: Vec<Uri>,
    current: usize,
    token: Option<SecretFile>,
    timeout: Duration,
    buffer: Buffer,
    status: StatusCell,
    metrics: Metrics,
    /// Batches that are being sent, by a number of ours.
    open: HashMap<u64, Pending>,
    next_id: u64,
    open_bytes: usize,
    /// Batches that are to be sent again.
    again: VecDeque<Pending>,
    backoff: Backoff,
    paused_until: Option<Instant>,
    /// Refusals that were logged already.
    named: HashSet<Code>,
    rejection_named: bool,
    delivered: u64,
}

#[derive(Debug)]
struct Pending {
    ticket: Ticket,
    /// The compressed request, once it was made.
    frame: Option<Bytes>,
}

/// Why a connection is not served any more.
enum Ended {
    Stopped,
    Broken,
}

/// The end of one attempt: which, the frame it sent, and what came back.
type Attempt = (u64, Option<Bytes>, Answer);

impl Sender {
    fn new(config: &Config, buffer: Buffer, status: StatusCell, metrics: Metrics) -> Self {
        Self {
            endpoints: config.endpoints.iter().filter_map(|endpoint| parse_endpoint(endpoint)).collect(),
            current: 0,
            token: config.token_file.clone().map(SecretFile::new),
            timeout: config.timeout.0,
            buffer,
            status,
            metrics,
            open: HashMap::new(),
            next_id: 0,
            open_bytes: 0,
            again: VecDeque::new(),
            backoff: Backoff::new(RETRY.0, RETRY.1),
            paused_until: None,
            named: HashSet::new(),
            rejection_named: false,
            delivered: 0,
        }
    }

    async fn run(&mut self, config: &Config, stop: &CancellationToken) {
        let mut reconnect = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let Some(endpoint) = self.endpoints.get(self.current).cloned() else { return stop.cancelled().await };
            let opened = stop.run_until_cancelled(Connection::open(&endpoint, &config.tls)).await;
            match opened {
                None => return,
                Some(Ok(connection)) => {
                    let before = self.delivered;
                    self.metrics.connected.set(1);
                    let ended = self.serve(connection, &endpoint, stop).await;
                    self.metrics.connected.set(0);
                    if matches!(ended, Ended::Stopped) {
                        return;
                    }
                    if self.delivered > before {
                        reconnect.reset();
                    }
                    self.status.tell(&endpoint.to_string(), State::Missing, "the connection broke");
                }
                Some(Err(error)) => {
                    self.status.tell(&endpoint.to_string(), State::Missing, &error.to_string());
                    self.current = (self.current + 1) % self.endpoints.len();
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(reconnect.next_wait())).await.is_none() {
                return;
            }
        }
    }

    /// Uses a connection until it breaks, or until the agent is to stop and memory is empty.
    async fn serve(&mut self, mut connection: Connection, endpoint: &Uri, stop: &CancellationToken) -> Ended {
        let mut in_flight = FuturesUnordered::new();
        let mut deadline: Option<Instant> = None;
        // What went wrong on another connection is no reason to wait on this one.
        self.paused_until = None;
        let ended = loop {
            let room =
                self.paused_until.is_none() && self.open.len() < MAX_IN_FLIGHT && self.open_bytes < MAX_IN_FLIGHT_BYTES;
            if room {
                let last = deadline.and_then(|_| self.buffer.try_next_live());
                let ticket = last.map(|ticket| Pending { ticket, frame: None });
                if let Some(pending) = self.again.pop_front().or(ticket) {
                    in_flight.push(self.start(pending, endpoint, &connection.requests));
                    continue;
                }
            }
            if deadline.is_some() && self.open.is_empty() {
                break Ended::Stopped;
            }
            tokio::select! {
                Some(attempt) = in_flight.next(), if !in_flight.is_empty() => self.finish(attempt, endpoint),
                ticket = self.buffer.next(), if room && deadline.is_none() => {
                    in_flight.push(self.start(Pending { ticket, frame: None }, endpoint, &connection.requests));
                }
                () = sleep_until(self.paused_until.unwrap_or_else(Instant::now)), if self.paused_until.is_some() => {
                    self.paused_until = None;
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => break Ended::Stopped,
                () = stop.cancelled(), if deadline.is_none() => deadline = Some(Instant::now() + DRAIN),
                () = connection.ended() => break Ended::Broken,
            }
        };
        if matches!(ended, Ended::Broken) {
            // Requests end with their connection; none is left without an answer.
            while let Some(attempt) = in_flight.next().await {
                self.finish(attempt, endpoint);
            }
        }
        ended
    }

    /// Begins an attempt; its batch stays in `open` until [`Sender::finish`].
    fn start(
        &mut self,
        pending: Pending,
        endpoint: &Uri,
        requests: &SendRequest<Full<Bytes>>,
    ) -> impl Future<Output = Attempt> + use<> {
        let id = self.next_id;
        self.next_id += 1;
        let batch = pending.ticket.batch.clone();
        let frame = pending.frame.clone();
        self.open_bytes += batch.body.len();
        self.open.insert(id, pending);
        self.metrics.requests.get_or_create(&SignalLabel { signal: batch.signal }).inc();
        self.metrics.in_flight.set(i64::try_from(self.open.len()).unwrap_or(i64::MAX));
        let token = self.token.as_mut().map(|file| file.current().cloned().map_err(|error| error.to_string()));
        let (endpoint, requests, limit) = (endpoint.clone(), requests.clone(), self.timeout);
        let (signal, bytes) = (batch.signal, self.metrics.bytes.clone());
        async move {
            let frame = match frame {
                Some(frame) => frame,
                None => match compress(batch).await {
                    Ok(frame) => frame,
                    Err(reason) => return (id, None, Answer::Refused { code: Code::Internal, reason }),
                },
            };
            let token = match token.transpose() {
                Ok(token) => token,
                Err(reason) => return (id, Some(frame), not_allowed(reason)),
            };
            let Some(request) = otlp_grpc::request(&endpoint, signal, frame.clone(), token.as_ref()) else {
                return (id, Some(frame), not_allowed("the token cannot be sent in a header".into()));
            };
            let length = u64::try_from(frame.len()).unwrap_or(u64::MAX);
            bytes.get_or_create(&SignalLabel { signal }).inc_by(length);
            (id, Some(frame), ask(requests, request, limit).await)
        }
    }

    /// Does with a batch what the answer says.
    fn finish(&mut self, (id, frame, answer): Attempt, endpoint: &Uri) {
        let Some(Pending { ticket, .. }) = self.open.remove(&id) else { return };
        self.open_bytes = self.open_bytes.saturating_sub(ticket.batch.body.len());
        self.metrics.in_flight.set(i64::try_from(self.open.len()).unwrap_or(i64::MAX));
        let label = SignalLabel { signal: ticket.batch.signal };
        match answer {
            Answer::Delivered { rejected, message } => {
                self.metrics.rejected.get_or_create(&label).inc_by(rejected);
                self.metrics.items.get_or_create(&label).inc_by(ticket.batch.items.saturating_sub(rejected));
                if rejected > 0 && !self.rejection_named {
                    self.rejection_named = true;
                    tracing::warn!(rejected, reason = message, "the collector refused a part of a batch");
                }
                self.delivered += 1;
                self.backoff.reset();
                self.status.succeeded(&endpoint.to_string(), clock::now());
                self.buffer.settle(ticket, Outcome::Delivered);
            }
            Answer::Refused { code, reason } => {
                self.metrics.dropped.get_or_create(&label).inc_by(ticket.batch.items);
                if self.named.insert(code) {
                    let items = ticket.batch.items;
                    tracing::warn!(?code, reason, items, "the collector refused a batch for good; it is dropped");
                }
                self.buffer.settle(ticket, Outcome::Refused(reason));
            }
            Answer::Retry { kind, after, reason } => {
                self.metrics.failures.get_or_create(&KindLabel { kind }).inc();
                self.status.tell(&endpoint.to_string(), State::Degraded, &reason);
                let wait = self.backoff.next_wait_at_least(after.map(|after| after.min(MAX_PATIENCE)));
                let until = Instant::now() + wait;
                self.paused_until = Some(self.paused_until.map_or(until, |paused| paused.max(until)));
                self.again.push_back(Pending { ticket, frame });
            }
        }
    }

    /// What has no answer is the buffer's again.
    fn give_back(&mut self) {
        let open = self.open.drain().map(|(_, pending)| pending);
        for pending in self.again.drain(..).chain(open) {
            self.buffer.give_back(pending.ticket);
        }
    }
}

fn not_allowed(reason: String) -> Answer {
    Answer::Retry { kind: Failure::NotAllowed, after: None, reason }
}

async fn compress(batch: Batch) -> Result<Bytes, String> {
    let framed = if batch.body.len() <= SMALL {
        otlp_grpc::frame(&batch)
    } else {
        tokio::task::spawn_blocking(move || otlp_grpc::frame(&batch)).await.map_err(|error| error.to_string())?
    };
    framed.map_err(|error| error.to_string())
}

async fn ask(mut requests: SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>, limit: Duration) -> Answer {
    let exchange = async {
        let response = match requests.ready().await {
            Ok(()) => requests.send_request(request).await,
            Err(error) => Err(error),
        };
        otlp_grpc::answer(response).await
    };
    timeout(limit, exchange).await.unwrap_or_else(|_| Answer::Retry {
        kind: Failure::Connection,
        after: None,
        reason: format!("no answer within {}s", limit.as_secs()),
    })
}
