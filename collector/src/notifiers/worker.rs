//! Sends what waits, one channel after its own pace: a rate, waits that were asked for, back-off after failures.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use yagura_daemon::{backoff::Backoff, clock, http_client::Client, tls::ClientFiles};
use yagura_model::Timestamp;

use super::{
    Notifier, Outcome,
    file::{Config, Integration, SecretText},
    integration,
    queue::Item,
    slack, webhook,
};

/// A message that was refused for this long is old news.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// The first and the longest wait after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Alerts that a message's entry in the history names.
const MAX_NAMED: usize = 100;
/// A message under way when we are told to stop has this long; after that it is sent again by the next start.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// Counters of the notifiers.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    attempts: Family<OutcomeLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    receiver: String,
    integration: &'static str,
    outcome: &'static str,
}

impl Metrics {
    /// Counters that are shown in a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "notification_attempts",
            "Attempts to tell a receiver, by what became of them",
            metrics.attempts.clone(),
        );
        metrics
    }

    fn count(&self, receiver: &str, integration: &'static str, outcome: &'static str) {
        let labels = OutcomeLabels { receiver: receiver.to_owned(), integration, outcome };
        self.attempts.get_or_create(&labels).inc();
    }
}

impl Integration {
    /// The name of the way.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slack(_) => "slack",
            Self::Webhook(_) => "webhook",
        }
    }
}

/// Ways that share one queue, because they share one limit: for Slack those of one webhook and channel.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    ways: Vec<(String, usize)>,
    is_slack: bool,
}

/// A webhook, and the channel that it is asked to use instead of its own.
type SlackChannel = (SecretText, Option<String>);

/// The channels of a config.
pub(super) fn channels(config: &Config) -> Vec<Channel> {
    let mut channels: Vec<(Option<SlackChannel>, Channel)> = Vec::new();
    for receiver in &config.receivers {
        for (place, integration) in receiver.integrations.iter().enumerate() {
            let way = (receiver.name.clone(), place);
            let shared = match integration {
                Integration::Slack(slack) => Some((slack.url.clone(), slack.channel.clone())),
                Integration::Webhook(_) => None,
            };
            let same = channels.iter_mut().find(|(known, _)| known.is_some() && *known == shared);
            match same {
                Some((_, channel)) => channel.ways.push(way),
                None => {
                    let channel = Channel { ways: vec![way], is_slack: shared.is_some() };
                    channels.push((shared, channel));
                }
            }
        }
    }
    channels.into_iter().map(|(_, channel)| channel).collect()
}

impl Channel {
    pub(super) fn receiver(&self) -> &str {
        self.ways.first().map_or("", |(receiver, _)| receiver)
    }

    /// What TLS trusts; the ways of a Slack channel trust what the system does.
    pub(super) fn tls(&self, config: &Config) -> ClientFiles {
        let first = self.ways.first().and_then(|(receiver, place)| integration(config, receiver, *place));
        match first {
            Some(Integration::Webhook(webhook)) => webhook.tls.clone(),
            _ => ClientFiles::default(),
        }
    }

    fn takes(&self, item: &Item) -> bool {
        self.ways.iter().any(|(receiver, place)| *receiver == item.notification.receiver && *place == item.integration)
    }
}

/// A bucket that fills at a rate and lets through what it holds.
#[derive(Debug)]
struct Bucket {
    held: f64,
    since: Instant,
}

impl Bucket {
    fn full() -> Self {
        Self { held: slack::BURST, since: Instant::now() }
    }

    /// Takes one; the answer is how long to wait first.
    fn take(&mut self) -> Duration {
        let now = Instant::now();
        self.held = (self.held + now.duration_since(self.since).as_secs_f64() * slack::PER_SECOND).min(slack::BURST);
        self.since = now;
        self.held -= 1.0;
        Duration::try_from_secs_f64(-self.held / slack::PER_SECOND).unwrap_or_default()
    }
}

/// Sends the messages of one channel until told to stop.
pub(super) async fn run(notifier: Notifier, channel: Channel, client: Client, stop: CancellationToken) {
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    let mut bucket = Bucket::full();
    loop {
        let queued = notifier.0.queued.notified();
        let next = notifier.core().queue.next(|item| channel.takes(item));
        if next.is_none() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = queued => continue,
            }
        }
        if channel.is_slack && paused(&stop, bucket.take()).await {
            return;
        }
        // The wait may have brought newer news of the same group.
        let Some((ticket, item)) = notifier.core().queue.next(|item| channel.takes(item)) else { continue };
        let sending = notifier.send(&client, &item);
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_CHANCE).await;
        };
        let outcome = tokio::select! {
            outcome = sending => outcome,
            () = late => return,
        };
        let now = clock::now();
        let wait = match outcome {
            Outcome::Delivered => {
                backoff.reset();
                notifier.take_out(&ticket).await;
                notifier.record(&item, "sent", "", now).await;
                Duration::ZERO
            }
            Outcome::Permanent(reason) => {
                notifier.take_out(&ticket).await;
                notifier.record(&item, "refused", &reason, now).await;
                Duration::ZERO
            }
            Outcome::Retry { reason, .. } if now.since(item.since) > GIVE_UP => {
                notifier.take_out(&ticket).await;
                notifier.record(&item, "dropped", &format!("not delivered for a day; last: {reason}"), now).await;
                Duration::ZERO
            }
            Outcome::Retry { after, reason } => {
                // What the other side asks for is obeyed to the letter; only silence is met with our own waits.
                let wait = after.unwrap_or_else(|| backoff.next_wait());
                if backoff.attempts() <= 1 {
                    notifier.record(&item, "retrying", &reason, now).await;
                } else {
                    notifier.count(&item, "retrying");
                }
                wait
            }
        };
        if paused(&stop, wait).await {
            return;
        }
    }
}

/// Waits; whether the stop came first.
async fn paused(stop: &CancellationToken, wait: Duration) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none()
}

impl Notifier {
    async fn send(&self, client: &Client, item: &Item) -> Outcome {
        let (notification, url) = (&item.notification, &self.0.external_url);
        match integration(&self.0.config, &notification.receiver, item.integration) {
            Some(Integration::Slack(slack)) => slack::send(client, slack, notification, url).await,
            Some(Integration::Webhook(webhook)) => webhook::send(client, webhook, notification, url).await,
            None => Outcome::Permanent("the receiver is gone".to_owned()),
        }
    }

    async fn take_out(&self, ticket: &super::queue::Ticket) {
        let key = self.core().queue.done(ticket);
        if let Some(key) = key {
            self.settle(vec![(key, None)]).await;
        }
    }

    fn kind(&self, item: &Item) -> &'static str {
        integration(&self.0.config, &item.notification.receiver, item.integration).map_or("gone", Integration::kind)
    }

    fn count(&self, item: &Item, outcome: &'static str) {
        self.0.metrics.count(&item.notification.receiver, self.kind(item), outcome);
    }

    /// Counts, remembers and, if somebody should act, logs what became of a message.
    pub(super) async fn record(&self, item: &Item, outcome: &'static str, reason: &str, now: Timestamp) {
        self.count(item, outcome);
        let notification = &item.notification;
        let way = (notification.receiver.clone(), item.integration);
        {
            let mut broken = self.0.broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match outcome {
                "sent" => drop(broken.remove(&way)),
                "refused" => drop(broken.insert(way, reason.to_owned())),
                _ => {}
            }
        }
        match outcome {
            "sent" => {}
            "retrying" => tracing::warn!(receiver = notification.receiver, reason, "a notification is tried again"),
            _ => tracing::error!(receiver = notification.receiver, outcome, reason, "nobody was told"),
        }
        let entry = json!({
            "at": now.0,
            "receiver": notification.receiver,
            "integration": self.kind(item),
            "state": notification.status(),
            "alerts": notification.alerts.iter().take(MAX_NAMED).map(|alert| &alert.labels).collect::<Vec<_>>(),
            "status": outcome,
            "reason": reason,
        });
        if let Err(error) = self.0.history.add(now, &[entry]).await {
            tracing::warn!(%error, "what became of a notification could not be written down");
        }
    }
}
