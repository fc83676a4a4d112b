//! Groups against the memory store and the real PromQL engine.

use std::collections::BTreeMap;

use yagura_model::metric::is_stale;

use super::*;
use crate::{
    notifiers,
    query::{logql, promql},
    series::{self, NewSample},
    storage::{MatchOp, Matcher, Selection, memory},
};

struct Setup {
    storage: storage::Storage,
    engine: promql::Engine,
    presence: Presence,
    notifier: Notifier,
    file: String,
    groups: Vec<Group>,
    environment: Environment,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(1_700_000_000_000 + seconds * 1000)
}

impl Setup {
    async fn new(yaml: &str) -> Self {
        Self::over(memory::open(), yaml, 0).await
    }

    /// As after a restart: what is stored stays, all else begins anew.
    async fn restart(self, yaml: &str, now: i64) -> Self {
        Self::over(self.storage, yaml, now).await
    }

    async fn over(storage: storage::Storage, yaml: &str, now: i64) -> Self {
        // Extensions are allowed everywhere here; files are tested with `fixtures`.
        let file = "test.yagura.yaml".to_owned();
        let presence = Presence::open(Arc::clone(&storage.state), at(now)).unwrap();
        let store = presence.watch(Arc::clone(&storage.metrics));
        let engine = promql::Engine::new(Arc::clone(&store), promql::Limits::default());
        let logs = logql::Engine::new(Arc::clone(&storage.logs), logql::Limits::default());
        let state = Arc::clone(&storage.state);
        let metrics = notifiers::Metrics::default();
        let routes = notifiers::file::Config::nobody();
        let notifier = Notifier::open(routes, "http://y".to_owned(), Arc::clone(&state), metrics).await.unwrap();
        let environment = Environment {
            queries: Queries { promql: query::ask_promql(engine.clone()), logql: query::ask_logql(logs) },
            store,
            state: Arc::clone(&state),
            notifier: notifier.clone(),
            presence: presence.clone(),
            history: History::open(state, HISTORY_AREA, MAX_HISTORY).unwrap(),
            surroundings: Surroundings {
                external_labels: Labels::from_pairs([("site", "tokyo")]),
                external_url: "http://y".to_owned(),
            },
            started: at(now),
            metrics: Metrics::default(),
        };
        let specs = file::parse(&file, yaml).unwrap();
        let mut groups: Vec<Group> = specs.into_iter().map(|spec| Group::new(spec, Duration::from_secs(15))).collect();
        restore(&mut groups, &environment, at(now)).await.unwrap();
        Self { storage, engine, presence, notifier, file, groups, environment }
    }

    /// Stores a sample, as an agent of this instance would.
    async fn sample(&self, seconds: i64, series: &str, value: f64) {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter_map(|pair| pair.split_once('='));
        let labels = Labels::from_pairs(labels.chain([("__name__", name)]));
        let sample = NewSample { labels, time: at(seconds), value };
        series::append(&*self.environment.store, &[sample], &[], at(seconds)).await.unwrap();
    }

    async fn evaluate(&mut self, seconds: i64) {
        for group in &mut self.groups {
            group.evaluate(at(seconds), &self.environment).await;
        }
    }

    /// What a query gives, as `labels value`.
    async fn query(&self, text: &str, seconds: i64) -> Vec<String> {
        let value = self.engine.instant(text, at(seconds)).await.unwrap().value;
        let mut shown: Vec<String> = query::samples_of(value)
            .unwrap()
            .iter()
            .map(|sample| format!("{} {}", sample.labels, sample.value))
            .collect();
        shown.sort_unstable();
        shown
    }

    fn rule(&self, place: usize) -> &group::RuleState {
        &self.groups[0].rules[place]
    }

    /// Alerts as the notifiers know them, those that fire.
    fn told(&self, seconds: i64) -> Vec<String> {
        self.notifier.alerts(at(seconds)).iter().map(|alert| alert.labels.to_string()).collect()
    }
}

const TWO_RECORDS: &str = "
groups:
  - name: g
    rules:
      - {record: 'job:x:sum', expr: 'sum by (job) (x)', labels: {from: rule}}
      - {record: twice, expr: 'job:x:sum * 2'}
";

#[tokio::test]
async fn a_rule_sees_what_the_rule_before_it_recorded() {
    let mut setup = Setup::new(TWO_RECORDS).await;
    setup.sample(0, "x{job=a,instance=1}", 1.0).await;
    setup.sample(0, "x{job=a,instance=2}", 2.0).await;
    setup.evaluate(10).await;
    assert_eq!(setup.query("job:x:sum", 10).await, [r#"job:x:sum{from="rule", job="a"} 3"#]);
    assert_eq!(setup.query("twice", 10).await, [r#"twice{from="rule", job="a"} 6"#]);
    assert_eq!(setup.rule(1).health, Health::Good);
}

#[tokio::test]
async fn a_recorded_series_that_vanishes_ends_at_once() {
    let mut setup = Setup::new(TWO_RECORDS).await;
    setup.sample(0, "x{job=a}", 1.0).await;
    setup.evaluate(10).await;
    setup.evaluate(400).await;
    let matchers = vec![Matcher::new("__name__", MatchOp::Equal, "job:x:sum").unwrap()];
    let selection = Selection { matchers, from: at(0), to: at(1000), max_samples: 100 };
    let series = setup.storage.metrics.select(selection).await.unwrap();
    let last = series[0].samples.last().unwrap();
    assert!(is_stale(last.value) && last.time == at(400));
}

#[tokio::test]
async fn the_query_offset_moves_the_question_and_the_answer() {
    let mut setup = Setup::new(&TWO_RECORDS.replace("rules:", "query_offset: 1m\n    rules:")).await;
    setup.sample(0, "x{job=a}", 1.0).await;
    setup.sample(50, "x{job=a}", 9.0).await;
    setup.evaluate(100).await;
    assert_eq!(setup.query("job:x:sum", 45).await, [r#"job:x:sum{from="rule", job="a"} 1"#]);
}

#[tokio::test]
async fn what_a_rule_does_wrong_is_said_and_ends_nothing() {
    let mut setup = Setup::new(
        "
groups:
  - name: g
    limit: 2
    rules:
      - {record: one, expr: x, labels: {job: ''}}
      - {record: two, expr: x}
",
    )
    .await;
    setup.sample(0, "x{job=a}", 1.0).await;
    setup.evaluate(10).await;
    assert_eq!(setup.query("one", 10).await, ["one 1"]);
    setup.sample(20, "x{job=b}", 1.0).await;
    setup.evaluate(20).await;
    let error = "vector contains metrics with the same labelset after applying rule labels";
    assert_eq!(setup.rule(0).last_error.as_deref(), Some(error));
    assert_eq!(setup.query("one", 20).await, ["one 1"], "what was written before stands");
    setup.sample(30, "x{job=c}", 1.0).await;
    setup.evaluate(30).await;
    assert_eq!(setup.rule(1).last_error.as_deref(), Some("exceeded limit of 2 with 3 series"));
    assert_eq!(setup.rule(1).health, Health::Bad);
}

const HIGH: &str = r#"
groups:
  - name: g
    rules:
      - alert: High
        expr: x > 5
        for: 1m
        labels: {severity: '{{ if gt $value 100.0 }}critical{{ else }}warning{{ end }}'}
        annotations:
          summary: '{{ $labels.job }} is at {{ $value }} in {{ $externalLabels.site }}'
          others: '{{ query "count(x)" | first | value }} in all'
          broken: '{{ $labels.a.b }}'
"#;

#[tokio::test]
async fn an_alert_goes_its_way_and_leaves_its_series() {
    let mut setup = Setup::new(HIGH).await;
    setup.sample(0, "x{job=a}", 9.0).await;
    setup.sample(0, "x{job=b}", 1.0).await;
    setup.evaluate(10).await;
    let pending = r#"ALERTS{alertname="High", alertstate="pending", job="a", severity="warning"} 1"#;
    assert_eq!(setup.query("ALERTS", 10).await, [pending]);
    assert_eq!(setup.told(10), Vec::<String>::new());
    setup.evaluate(70).await;
    let firing = pending.replace("pending", "firing");
    assert_eq!(setup.query("ALERTS", 70).await, [firing], "the pending series ended");
    assert_eq!(
        setup.query("ALERTS_FOR_STATE", 70).await,
        [r#"ALERTS_FOR_STATE{alertname="High", job="a", severity="warning"} 1700000010"#]
    );
    assert_eq!(setup.told(70), [r#"{alertname="High", job="a", severity="warning", site="tokyo"}"#]);
    let view = view::of(&setup.groups[0]);
    let RuleViewKind::Alerting { alerts, state, .. } = &view.rules[0].kind else { panic!("an alerting rule") };
    assert_eq!(*state, alert::State::Firing);
    assert_eq!(alerts[0].annotations["summary"], "a is at 9 in tokyo");
    assert_eq!(alerts[0].annotations["others"], "2 in all");
    assert_eq!(alerts[0].annotations["broken"], "<error expanding template: no field a>");
    setup.sample(80, "x{job=a}", 1.0).await;
    setup.evaluate(80).await;
    assert_eq!(setup.query("ALERTS", 80).await, Vec::<String>::new());
    assert_eq!(setup.told(81), Vec::<String>::new());
    let changes: Vec<String> = setup
        .environment
        .history
        .newest(10)
        .unwrap()
        .iter()
        .rev()
        .map(|change| format!("{} {}", change["from"].as_str().unwrap(), change["to"].as_str().unwrap()))
        .collect();
    assert_eq!(changes, ["inactive pending", "pending firing", "firing inactive"]);
}

#[tokio::test]
async fn alert_states_survive_a_restart() {
    let mut setup = Setup::new(HIGH).await;
    setup.sample(0, "x{job=a}", 9.0).await;
    setup.evaluate(10).await;
    let mut setup = setup.restart(HIGH, 60).await;
    setup.evaluate(71).await;
    assert_eq!(setup.rule(0).alerts.state(), alert::State::Firing, "the waiting did not begin anew");
    let mut setup = setup.restart(HIGH, 500).await;
    assert_eq!(setup.told(500).len(), 1, "it goes on firing");
    setup.evaluate(510).await;
    assert_eq!(setup.rule(0).alerts.state(), alert::State::Firing, "the data had no time to come");
    setup.evaluate(600).await;
    assert_eq!(setup.rule(0).alerts.state(), alert::State::Inactive);
    assert_eq!(setup.query("ALERTS", 600).await, Vec::<String>::new());
}

#[tokio::test]
async fn alerts_of_a_rule_that_is_gone_end() {
    let mut setup = Setup::new(HIGH).await;
    setup.sample(0, "x{job=a}", 9.0).await;
    setup.evaluate(10).await;
    setup.evaluate(70).await;
    assert_eq!(setup.told(71).len(), 1);
    let setup = setup.restart(TWO_RECORDS, 80).await;
    assert_eq!(setup.told(81), Vec::<String>::new());
    assert_eq!(setup.storage.state.list(AREA).unwrap(), []);
}

#[tokio::test]
async fn a_query_that_fails_ends_no_alert() {
    let many = HIGH.replace("x > 5", "x > on (job) group_left y * 0 + 5");
    let mut setup = Setup::new(&many).await;
    setup.sample(0, "x{job=a}", 9.0).await;
    setup.sample(0, "y{job=a,n=1}", 1.0).await;
    setup.evaluate(10).await;
    setup.evaluate(70).await;
    assert_eq!(setup.rule(0).alerts.state(), alert::State::Firing);
    setup.sample(75, "y{job=a,n=2}", 1.0).await;
    setup.evaluate(80).await;
    assert_eq!(setup.rule(0).health, Health::Bad);
    assert_eq!(setup.rule(0).alerts.state(), alert::State::Firing);
    assert_eq!(setup.told(81).len(), 1);
}

#[tokio::test]
async fn missing_data_are_what_the_rule_says_they_are() {
    let with = |word: &str| HIGH.replace("for: 1m", &format!("missing_data: {word}"));
    for (word, expected) in [("resolve", "inactive"), ("keep", "firing"), ("fire", "firing")] {
        let mut setup = Setup::new(&with(word)).await;
        setup.sample(0, "x{job=a}", 9.0).await;
        setup.sample(390, "x{job=b}", 1.0).await;
        setup.evaluate(10).await;
        setup.evaluate(400).await;
        let held = setup.rule(0).alerts.held.values().find(|alert| alert.labels.get("job") == Some("a")).unwrap();
        assert_eq!(held.state.as_str(), expected, "{word}");
        setup.sample(410, "x{job=a}", 1.0).await;
        setup.evaluate(410).await;
        assert_eq!(setup.rule(0).alerts.state().as_str(), "inactive", "{word}: data say that all is well");
    }
    let mut setup = Setup::new(&with("fire")).await;
    setup.evaluate(10).await;
    assert_eq!(
        setup.query("ALERTS", 10).await,
        [r#"ALERTS{alertname="High", alertstate="firing", severity="warning"} 1"#]
    );
}

#[tokio::test]
async fn alerts_of_an_agent_that_fell_silent_are_held() {
    let mut setup = Setup::new(&HIGH.replace("for: 1m", "for: 0s")).await;
    setup.presence.hear("node-exporter", "web", at(0), at(0));
    setup.sample(0, "x{job=a,instance=web}", 9.0).await;
    setup.evaluate(10).await;
    assert_eq!(setup.rule(0).alerts.state(), alert::State::Firing);
    setup.presence.look(at(100));
    setup.evaluate(400).await;
    assert_eq!(setup.rule(0).alerts.state(), alert::State::Firing, "nobody said that it is over");
    let alert = setup.rule(0).alerts.active().next().unwrap();
    assert_eq!(alert.missing_since, Some(at(400)));
    // It is back, but what it delivers first is old: neither an end nor a beginning may be read from it.
    setup.presence.hear("node-exporter", "web", at(110), at(410));
    setup.sample(410, "x{job=b,instance=web}", 9.0).await;
    setup.evaluate(410).await;
    let states: BTreeMap<&str, &str> =
        setup.rule(0).alerts.active().map(|a| (a.labels.get("job").unwrap(), a.state.as_str())).collect();
    assert_eq!(states, BTreeMap::from([("a", "firing"), ("b", "pending")]));
    setup.presence.hear("node-exporter", "web", at(419), at(420));
    setup.evaluate(420).await;
    let states: BTreeMap<&str, &str> =
        setup.rule(0).alerts.active().map(|a| (a.labels.get("job").unwrap(), a.state.as_str())).collect();
    assert_eq!(states, BTreeMap::from([("b", "firing")]), "it caught up");
}

#[tokio::test]
async fn silence_itself_is_not_held_because_of_silence() {
    let silent = HIGH.replace("x > 5", "up == 0").replace("for: 1m", "for: 0s");
    let mut setup = Setup::new(&silent).await;
    setup.presence.hear("node-exporter", "web", at(0), at(0));
    setup.sample(40, "up{job=node-exporter,instance=web}", 0.0).await;
    setup.evaluate(45).await;
    assert_eq!(setup.rule(0).alerts.state(), alert::State::Firing);
    setup.presence.hear("node-exporter", "web", at(1), at(50));
    setup.sample(50, "up{job=node-exporter,instance=web}", 1.0).await;
    setup.evaluate(51).await;
    assert_eq!(setup.rule(0).alerts.state(), alert::State::Inactive, "it is up, even while it catches up");
}

#[tokio::test]
async fn a_logql_group_asks_the_logs() {
    let mut setup = Setup::new(
        "
groups:
  - name: g
    type: logql
    rules:
      - {alert: Many, expr: 'vector(3) > 2', annotations: {summary: '{{ $value }} lines'}}
",
    )
    .await;
    setup.evaluate(10).await;
    assert_eq!(setup.rule(0).last_error, None);
    assert_eq!(setup.rule(0).alerts.state(), alert::State::Firing);
    assert!(setup.file.ends_with(".yagura.yaml"));
}

#[test]
fn slots_are_the_same_after_a_restart_and_never_in_the_past() {
    let interval = Duration::from_secs(15);
    let first = next_slot(at(0), interval, 4000);
    assert!(first > at(0) && first.since(at(0)) <= interval);
    assert_eq!(next_slot(first.minus(Duration::from_millis(1)), interval, 4000), first);
    assert_eq!(next_slot(first, interval, 4000), first.plus(interval));
    assert_eq!((first.0 - 4000).rem_euclid(15_000), 0);
}

#[test]
fn good_files_are_read_and_bad_ones_refused_with_their_faults() {
    crate::files::check_fixtures("src/rules/fixtures", |file, text| file::parse(file, text).map(drop));
}
