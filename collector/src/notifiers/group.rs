//! Which groups there are and when each is told: the state machine behind the notifiers.
//!
//! In: alerts ([`Groups::put`]) and the time ([`Groups::tick`]). Out: [`Flush`]es, each with the notifications that a
//! group needs now. There is no I/O here: the caller writes a flush down and says so with [`Groups::flushed`].
//!
//! The meaning is Alertmanager's (`dispatch/dispatch.go`, `notify/notify.go`): a new group waits `group_wait`, then is
//! looked at every `group_interval`; a receiver is told when something new fires, when all (or, if it wants that, any)
//! have ended, and again after `repeat_interval`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use yagura_model::{Labels, Timestamp};

use super::{
    file::{Config, Integration},
    inhibit::{self, Source},
    message::{Notification, Told, fingerprint},
    route::{self, Route},
    silence::Silences,
};

/// After a flush could not be written down.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// What was told is remembered at least this long.
const REMEMBER: Duration = Duration::from_secs(5 * 24 * 3600);

/// An alert that comes in.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// Who it is.
    pub labels: Labels,
    /// What is said about it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it ends or ended; `None` until it is said.
    pub ends_at: Option<Timestamp>,
    /// Where its expression can be seen.
    pub generator_url: String,
}

/// An alert that is held.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) alert: Incoming,
    pub(super) updated_at: Timestamp,
    /// Places of the routes that took it.
    pub(super) routes: Vec<usize>,
}

impl Held {
    fn ended(&self, now: Timestamp) -> bool {
        self.alert.ends_at.is_some_and(|ends| ends <= now)
    }
}

/// Alerts that are told together.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) route: usize,
    pub(super) labels: Labels,
    pub(super) members: BTreeSet<u64>,
    next_flush: Timestamp,
    flushed: bool,
}

/// What a receiver was told last about a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) firing: BTreeSet<u64>,
    pub(super) resolved: BTreeSet<u64>,
    pub(super) at: Timestamp,
}

/// A group that is due.
#[derive(Clone, Debug)]
pub(super) struct Flush {
    group: String,
    /// What is to be sent: the place of the integration within the receiver, and the message.
    pub(super) notifications: Vec<(usize, Notification)>,
    /// What was told, by the log's key.
    pub(super) entries: Vec<(String, Entry)>,
    /// Alerts that had ended, with when they were last touched.
    ended: Vec<(u64, Timestamp)>,
}

/// Why an alert is not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Muted {
    pub(super) silenced_by: Vec<String>,
    pub(super) inhibited_by: Option<u64>,
}

impl Muted {
    pub(super) fn is_muted(&self) -> bool {
        !self.silenced_by.is_empty() || self.inhibited_by.is_some()
    }
}

/// All alerts, groups, and what was told.
#[derive(Debug)]
pub(super) struct Groups {
    config: Arc<Config>,
    pub(super) alerts: BTreeMap<u64, Held>,
    pub(super) groups: BTreeMap<String, Group>,
    log: HashMap<String, Entry>,
}

impl Groups {
    pub(super) fn new(config: Arc<Config>, log: HashMap<String, Entry>) -> Self {
        Self { config, alerts: BTreeMap::new(), groups: BTreeMap::new(), log }
    }

    /// Takes in alerts.
    pub(super) fn put(&mut self, incoming: Vec<Incoming>, now: Timestamp) {
        for mut alert in incoming {
            let print = fingerprint(&alert.labels);
            if let Some(held) = self.alerts.get(&print) {
                let goes_on = !held.ended(now) && alert.ends_at.is_none_or(|ends| ends > now);
                if goes_on {
                    // One that goes on firing keeps its beginning, whatever the sender says later.
                    alert.starts_at = alert.starts_at.min(held.alert.starts_at);
                }
            }
            let routes = route::matching(&self.config.routes, &alert.labels);
            for place in &routes {
                self.join(*place, print, &alert, now);
            }
            self.alerts.insert(print, Held { alert, updated_at: now, routes });
        }
    }

    fn join(&mut self, place: usize, print: u64, alert: &Incoming, now: Timestamp) {
        let Some(route) = self.config.routes.get(place) else { return };
        let labels = route.group_labels(&alert.labels);
        let key = group_key(route, &labels);
        let wait = route.timing.group_wait;
        let group = self.groups.entry(key).or_insert_with(|| Group {
            route: place,
            labels,
            members: BTreeSet::new(),
            next_flush: now.plus(wait),
            flushed: false,
        });
        group.members.insert(print);
        // An alert that has waited already (we were restarted, say) does not wait again.
        if !group.flushed && alert.starts_at.plus(wait) < now {
            group.next_flush = now;
        }
    }

    /// When the next group is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.groups.values().map(|group| group.next_flush).min()
    }

    /// The groups that are due, each with what must be told.
    pub(super) fn tick(&mut self, silences: &Silences, now: Timestamp) -> Vec<Flush> {
        let due: Vec<String> =
            self.groups.iter().filter(|(_, group)| group.next_flush <= now).map(|(key, _)| key.clone()).collect();
        let mut flushes = Vec::with_capacity(due.len());
        for key in due {
            let Some(route) = self.groups.get(&key).and_then(|group| self.config.routes.get(group.route)) else {
                self.groups.remove(&key);
                continue;
            };
            let (interval, muted) = (route.timing.group_interval, self.is_time_muted(route, now));
            flushes.push(self.flush(&key, muted, silences, now));
            if let Some(group) = self.groups.get_mut(&key) {
                group.next_flush = now.plus(interval);
                group.flushed = true;
            }
        }
        flushes
    }

    fn flush(&self, key: &str, time_muted: bool, silences: &Silences, now: Timestamp) -> Flush {
        let mut flush =
            Flush { group: key.to_owned(), notifications: Vec::new(), entries: Vec::new(), ended: Vec::new() };
        let Some(group) = self.groups.get(key) else { return flush };
        let Some(route) = self.config.routes.get(group.route) else { return flush };
        let mut told = Vec::new();
        for print in &group.members {
            let Some(held) = self.alerts.get(print) else { continue };
            let ended = held.ended(now);
            if ended {
                flush.ended.push((*print, held.updated_at));
            }
            if !self.muted(&held.alert.labels, silences, now).is_muted() {
                told.push(Told {
                    labels: held.alert.labels.clone(),
                    annotations: held.alert.annotations.clone(),
                    starts_at: held.alert.starts_at,
                    ends_at: held.alert.ends_at.filter(|_| ended),
                    generator_url: held.alert.generator_url.clone(),
                    fingerprint: *print,
                });
            }
        }
        if told.is_empty() || time_muted {
            return flush;
        }
        told.sort_by_key(|alert| (alert.ends_at.is_some(), alert.starts_at));
        let receiver = self.config.receivers.iter().find(|receiver| receiver.name == route.receiver);
        let integrations = receiver.map(|receiver| receiver.integrations.as_slice()).unwrap_or_default();
        for (index, integration) in integrations.iter().enumerate() {
            let log_key = format!("{key}\n{}\n{index}", route.receiver);
            let entry = entry_of(&told, now);
            let sends_resolved = integration.sends_resolved();
            if !needs_update(self.log.get(&log_key), &entry, sends_resolved, route.timing.repeat_interval, now) {
                continue;
            }
            let nothing_to_say = !sends_resolved && entry.firing.is_empty();
            flush.entries.push((log_key, entry));
            if nothing_to_say {
                continue;
            }
            let mut alerts = told.clone();
            alerts.retain(|alert| sends_resolved || alert.ends_at.is_none());
            flush.notifications.push((
                index,
                Notification {
                    group_key: key.to_owned(),
                    receiver: route.receiver.clone(),
                    group_labels: group.labels.clone(),
                    alerts,
                    created_at: now,
                },
            ));
        }
        flush
    }

    /// A flush was written down, or could not be.
    pub(super) fn flushed(&mut self, flush: Flush, written: bool, now: Timestamp) {
        let Some(group) = self.groups.get_mut(&flush.group) else { return };
        if !written {
            group.next_flush = now.plus(TRY_AGAIN);
            return;
        }
        self.log.extend(flush.entries);
        for (print, updated_at) in flush.ended {
            let touched = self.alerts.get(&print).is_some_and(|held| held.updated_at != updated_at);
            if !touched {
                group.members.remove(&print);
            }
        }
        if group.members.is_empty() {
            self.groups.remove(&flush.group);
        }
        let used: BTreeSet<u64> = self.groups.values().flat_map(|group| group.members.iter().copied()).collect();
        self.alerts.retain(|print, _| used.contains(print));
    }

    /// Forgets what was told long ago; the answer is the keys.
    pub(super) fn forget(&mut self, now: Timestamp) -> Vec<String> {
        let longest = self.config.routes.iter().map(|route| route.timing.repeat_interval).max().unwrap_or_default();
        let keep = REMEMBER.max(longest * 2);
        let old: Vec<String> =
            self.log.iter().filter(|(_, entry)| now.since(entry.at) > keep).map(|(key, _)| key.clone()).collect();
        for key in &old {
            self.log.remove(key);
        }
        old
    }

    /// Why an alert with these labels is not told.
    pub(super) fn muted(&self, labels: &Labels, silences: &Silences, now: Timestamp) -> Muted {
        let silenced_by = silences.silencing(labels, now);
        let inhibited_by = if self.config.inhibit.is_empty() {
            None
        } else {
            let firing = self.alerts.iter().filter(|(_, held)| !held.ended(now));
            let firing: Vec<Source> =
                firing.map(|(print, held)| Source { fingerprint: *print, labels: held.alert.labels.clone() }).collect();
            inhibit::inhibited_by(&self.config.inhibit, &firing, labels)
        };
        Muted { silenced_by, inhibited_by }
    }

    /// Names of the time intervals that keep a route quiet now.
    pub(super) fn muting_intervals(&self, route: &Route, now: Timestamp) -> Vec<String> {
        let within = |name: &&String| {
            self.config
                .intervals
                .get(*name)
                .is_some_and(|intervals| intervals.iter().any(|interval| interval.contains(now)))
        };
        let mut muting: Vec<String> = route.mute.iter().filter(within).cloned().collect();
        if !route.active.is_empty() && !route.active.iter().any(|name| within(&name)) {
            muting.extend(route.active.iter().cloned());
        }
        muting
    }

    fn is_time_muted(&self, route: &Route, now: Timestamp) -> bool {
        !self.muting_intervals(route, now).is_empty()
    }

    /// Firing alerts with their fingerprints.
    pub(super) fn firing(&self, now: Timestamp) -> impl Iterator<Item = (u64, &Held)> {
        self.alerts.iter().filter(move |(_, held)| !held.ended(now)).map(|(print, held)| (*print, held))
    }
}

impl Integration {
    /// Whether the end of an alert is told too.
    #[must_use]
    pub fn sends_resolved(&self) -> bool {
        match self {
            Self::Slack(slack) => slack.send_resolved,
            Self::Webhook(webhook) => webhook.send_resolved,
        }
    }
}

fn group_key(route: &Route, labels: &Labels) -> String {
    format!("{}:{labels}", route.key)
}

fn entry_of(told: &[Told], now: Timestamp) -> Entry {
    let prints = |ended: bool| {
        told.iter().filter(|alert| alert.ends_at.is_some() == ended).map(|alert| alert.fingerprint).collect()
    };
    Entry { firing: prints(false), resolved: prints(true), at: now }
}

fn needs_update(last: Option<&Entry>, new: &Entry, sends_resolved: bool, repeat: Duration, now: Timestamp) -> bool {
    let Some(last) = last else { return !new.firing.is_empty() };
    if !new.firing.is_subset(&last.firing) {
        return true;
    }
    // The end of all is written down even for who does not want to hear it, so that the next beginning is news.
    if new.firing.is_empty() {
        return !last.firing.is_empty();
    }
    if sends_resolved && !new.resolved.is_subset(&last.resolved) {
        return true;
    }
    now.since(last.at) >= repeat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifiers::{file, matcher, silence::NewSilence};

    struct Setup {
        groups: Groups,
        silences: Silences,
        log: Vec<String>,
    }

    const SIMPLE: &str = "
route: {receiver: hook, group_by: [alertname], group_wait: 10s, group_interval: 60s, repeat_interval: 1h}
receivers: [{name: hook, webhook_configs: [{url: 'http://127.0.0.1/'}]}]
";

    fn setup(yaml: &str) -> Setup {
        let config = Arc::new(file::parse("notify.yaml", yaml).unwrap());
        Setup { groups: Groups::new(config, HashMap::new()), silences: Silences::default(), log: Vec::new() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_700_000_000_000 + seconds * 1000)
    }

    impl Setup {
        fn fire(&mut self, now: i64, labels: &str) {
            self.put(now, labels, None);
        }

        fn end(&mut self, now: i64, labels: &str) {
            self.put(now, labels, Some(at(now)));
        }

        fn put(&mut self, now: i64, labels: &str, ends_at: Option<Timestamp>) {
            let pairs = labels.split(',').map(|pair| pair.split_once('=').unwrap());
            let labels = Labels::from_pairs(pairs);
            let starts_at = at(now);
            let alert =
                Incoming { labels, annotations: BTreeMap::new(), starts_at, ends_at, generator_url: String::new() };
            self.groups.put(vec![alert], at(now));
        }

        /// Runs until `until`; the answer is what was told: second, receiver, alerts that fire and `-` alerts that ended.
        fn run(&mut self, until: i64) -> Vec<String> {
            while let Some(due) = self.groups.next_due().filter(|due| *due <= at(until)) {
                for flush in self.groups.tick(&self.silences, due) {
                    for (_, told) in &flush.notifications {
                        let mut alerts: Vec<String> = told
                            .alerts
                            .iter()
                            .map(|alert| {
                                let sign = if alert.ends_at.is_some() { "-" } else { "" };
                                let name = |label: &str| alert.labels.get(label).unwrap_or_default().to_owned();
                                format!("{sign}{}{}", name("alertname"), name("x"))
                            })
                            .collect();
                        alerts.sort_unstable();
                        let second = (due.0 - at(0).0) / 1000;
                        self.log.push(format!("{second} {}: {}", told.receiver, alerts.join(" ")));
                    }
                    self.groups.flushed(flush, true, due);
                }
            }
            std::mem::take(&mut self.log)
        }
    }

    #[test]
    fn a_group_waits_then_is_told_and_repeated() {
        let mut setup = setup(SIMPLE);
        setup.fire(0, "alertname=A,x=1");
        setup.fire(5, "alertname=A,x=2");
        assert_eq!(setup.run(9), Vec::<String>::new());
        assert_eq!(setup.run(3600), ["10 hook: A1 A2"]);
        assert_eq!(setup.run(3700), ["3610 hook: A1 A2"], "repeated after an hour");
    }

    #[test]
    fn news_waits_for_the_interval_and_old_news_is_not_told_again() {
        let mut setup = setup(SIMPLE);
        setup.fire(0, "alertname=A,x=1");
        assert_eq!(setup.run(20), ["10 hook: A1"]);
        setup.fire(25, "alertname=A,x=2");
        setup.fire(26, "alertname=A,x=1");
        assert_eq!(setup.run(200), ["70 hook: A1 A2"]);
        setup.end(201, "alertname=A,x=1");
        assert_eq!(setup.run(300), ["250 hook: -A1 A2"]);
        setup.end(301, "alertname=A,x=2");
        assert_eq!(setup.run(1000), ["310 hook: -A2"]);
        assert!(setup.groups.groups.is_empty() && setup.groups.alerts.is_empty());
        setup.fire(2000, "alertname=A,x=1");
        assert_eq!(setup.run(2100), ["2010 hook: A1"]);
    }

    #[test]
    fn an_alert_that_ends_within_group_wait_is_not_told() {
        let mut setup = setup(SIMPLE);
        setup.fire(0, "alertname=A");
        setup.end(5, "alertname=A");
        assert_eq!(setup.run(100), Vec::<String>::new());
    }

    #[test]
    fn what_was_told_survives_a_restart() {
        let mut before = setup(SIMPLE);
        before.fire(0, "alertname=A");
        assert_eq!(before.run(20), ["10 hook: A"]);
        let mut after = setup(SIMPLE);
        after.groups.log = before.groups.log;
        let old = |ends_at| Incoming {
            labels: Labels::from_pairs([("alertname", "A")]),
            annotations: BTreeMap::new(),
            starts_at: at(0),
            ends_at,
            generator_url: String::new(),
        };
        after.groups.put(vec![old(None)], at(100));
        assert_eq!(after.run(110), Vec::<String>::new(), "it was told before");
        after.groups.put(vec![old(Some(at(120)))], at(120));
        assert_eq!(after.run(200), ["160 hook: -A"]);
    }

    #[test]
    fn a_flush_that_could_not_be_written_down_is_tried_again() {
        let mut setup = setup(SIMPLE);
        setup.fire(0, "alertname=A");
        for flush in setup.groups.tick(&Silences::default(), at(10)) {
            assert_eq!(flush.notifications.len(), 1);
            setup.groups.flushed(flush, false, at(10));
        }
        assert_eq!(setup.run(60), ["15 hook: A"]);
    }

    #[test]
    fn a_silence_holds_back_and_its_end_tells() {
        let mut setup = setup(SIMPLE);
        let new = NewSilence {
            id: None,
            matchers: matcher::parse("x=1").unwrap(),
            starts_at: at(0),
            ends_at: at(100),
            created_by: String::new(),
            comment: String::new(),
        };
        setup.silences.set(new, "s".to_owned(), at(0)).unwrap();
        setup.fire(0, "alertname=A,x=1");
        setup.fire(0, "alertname=B,x=2");
        assert_eq!(setup.run(99), ["10 hook: B2"]);
        assert_eq!(setup.run(200), ["130 hook: A1"]);
    }

    #[test]
    fn inhibited_alerts_are_not_told() {
        let mut setup = setup(&format!(
            "{SIMPLE}inhibit_rules: [{{source_matchers: [alertname=Down], target_matchers: [alertname!=Down], equal: [x]}}]\n"
        ));
        setup.fire(0, "alertname=Down,x=1");
        setup.fire(0, "alertname=A,x=1");
        setup.fire(0, "alertname=A,x=2");
        assert_eq!(setup.run(60), ["10 hook: A2", "10 hook: Down1"]);
        setup.end(61, "alertname=Down,x=1");
        assert_eq!(setup.run(200), ["70 hook: A1 A2", "70 hook: -Down1"]);
    }

    #[test]
    fn routes_are_taken_deepest_first_and_continue_goes_on() {
        let mut setup = setup(
            "
route:
  receiver: all
  group_wait: 1s
  routes:
    - {receiver: log, continue: true, matchers: ['alertname=~\".+\"'], group_by: [alertname]}
    - receiver: db
      matchers: [team=db]
      routes: [{receiver: pager, matchers: [severity=critical]}]
    - {receiver: never, match: {team: db}}
receivers:
  - {name: all, webhook_configs: [{url: 'http://x/'}]}
  - {name: log, webhook_configs: [{url: 'http://x/'}]}
  - {name: db, webhook_configs: [{url: 'http://x/'}]}
  - {name: pager, webhook_configs: [{url: 'http://x/'}]}
  - {name: never, webhook_configs: [{url: 'http://x/'}]}
",
        );
        let mut told = |labels: &str, now| {
            setup.fire(now, labels);
            setup.run(now + 1)
        };
        assert_eq!(told("alertname=A,team=web", 0), ["1 log: A"]);
        assert_eq!(told("alertname=B,team=db,severity=critical", 10), ["11 log: B", "11 pager: B"]);
        assert_eq!(told("alertname=C,team=db,severity=info", 20), ["21 log: C", "21 db: C"]);
        assert_eq!(told("team=none", 30), ["31 all: "]);
    }

    #[test]
    fn a_receiver_that_wants_no_resolved_hears_of_the_next_beginning() {
        let mut setup = setup(&SIMPLE.replace("url: 'http://127.0.0.1/'", "url: 'http://x/', send_resolved: false"));
        setup.fire(0, "alertname=A");
        assert_eq!(setup.run(20), ["10 hook: A"]);
        setup.end(20, "alertname=A");
        assert_eq!(setup.run(100), Vec::<String>::new());
        setup.fire(200, "alertname=A");
        assert_eq!(setup.run(300), ["210 hook: A"]);
    }

    #[test]
    fn nobody_is_told_outside_of_the_active_hours() {
        // at(0) is a Tuesday, 22:13:20 UTC.
        let mut setup = setup(&format!(
            "{}time_intervals: [{{name: late, time_intervals: [{{times: [{{start_time: '22:15', end_time: '23:00'}}]}}]}}]\n",
            SIMPLE.replace("group_wait", "active_time_intervals: [late], group_wait")
        ));
        setup.fire(0, "alertname=A");
        assert_eq!(setup.run(300), ["130 hook: A"]);
    }
}
