//! Which containers need a person, and why, in words.

use std::time::Duration;

use serde::Serialize;
use yagura_model::Timestamp;

use super::Container;

/// Held back in a quarter of its periods, a service is slow for everybody who uses it.
const THROTTLED: f64 = 0.25;
/// The kernel reclaims hard before it kills; there is little time left from here.
const NEAR_MEMORY_LIMIT: f64 = 0.9;
/// So many restarts within an hour are a loop.
const RESTART_LOOP: f64 = 3.0;
/// Two intervals and some delay.
const SILENT_AFTER: Duration = Duration::from_secs(30);
/// How long a bad end is news.
const NEWS: Duration = Duration::from_secs(3600);
/// 128 + SIGTERM: somebody stopped it.
const STOPPED: f64 = 143.0;

/// How a container or host does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Well.
    #[default]
    Ok,
    /// Quiet on purpose: paused.
    Muted,
    /// Nothing is heard of it.
    NoData,
    /// It will need somebody soon.
    Warning,
    /// It needs somebody now.
    Critical,
}

/// What the judgement looks at besides what is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    /// Within the last hour.
    pub(super) oom_kills: f64,
    /// Docker says so of the last end.
    pub(super) oom_killed: bool,
    /// Within the last hour.
    pub(super) restarts: f64,
    /// The agent of its node is silent.
    pub(super) silent: bool,
}

/// Sets `level` and `why`.
pub(super) fn judge(one: &mut Container, now: Timestamp) {
    let mut found: Vec<(Level, String)> = Vec::new();
    ends(one, now, &mut found);
    let running = one.state.as_deref().is_none_or(|state| state == "running");
    if running {
        running_reasons(one, now, &mut found);
    }
    // The order within a level is the order above: what ended first, then what may end.
    found.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    one.level = found.first().map_or(Level::Ok, |(level, _)| *level);
    if one.state.as_deref() == Some("paused") && one.level == Level::Ok {
        one.level = Level::Muted;
    }
    one.why = found.into_iter().map(|(_, why)| why).collect();
}

/// Whether it ended in a way that somebody should know of.
pub(super) fn ended_badly(one: &Container) -> bool {
    matches!(one.state.as_deref(), Some("exited" | "dead"))
        && one.exit_code.is_some_and(|code| code != 0.0 && code != STOPPED)
}

fn ends(one: &Container, now: Timestamp, found: &mut Vec<(Level, String)>) {
    let state = one.state.as_deref().unwrap_or_default();
    let recently = one.seen.is_some_and(|seen| now.since(seen) <= NEWS);
    if one.facts.oom_kills >= 1.0 {
        found.push((Level::Critical, format!("was OOM-killed {} in the last hour", times(one.facts.oom_kills))));
    } else if one.facts.oom_killed && (state == "restarting" || ended_lately(one, now)) {
        found.push((Level::Critical, "was OOM-killed".to_owned()));
    }
    if state == "restarting" {
        found.push((Level::Critical, "is restarting".to_owned()));
    }
    if one.facts.restarts >= 1.0 {
        let level = if one.facts.restarts >= RESTART_LOOP { Level::Critical } else { Level::Warning };
        found.push((level, format!("was restarted {} in the last hour", times(one.facts.restarts))));
    }
    if state == "dead" {
        found.push((Level::Critical, "is dead: docker could not remove it".to_owned()));
    } else if ended_badly(one) && recently && !one.facts.oom_killed {
        found.push((Level::Warning, format!("ended with code {}", one.exit_code.unwrap_or_default())));
    }
}

/// Whether the run before this one, or the one that ended, ended within the last hour.
fn ended_lately(one: &Container, now: Timestamp) -> bool {
    let running = one.state.as_deref().is_none_or(|state| state == "running");
    let end = if running { one.started } else { one.seen };
    end.is_some_and(|end| now.since(end) <= NEWS)
}

fn running_reasons(one: &Container, now: Timestamp, found: &mut Vec<(Level, String)>) {
    if one.health.as_deref() == Some("unhealthy") {
        found.push((Level::Critical, "is unhealthy".to_owned()));
    }
    if let Some(share) = one.throttled.filter(|share| *share >= THROTTLED) {
        found.push((Level::Warning, format!("is throttled {:.0} % of the time", share * 100.0)));
    }
    if let (Some(used), Some(limit)) = (one.memory, one.memory_limit)
        && used >= limit * NEAR_MEMORY_LIMIT
    {
        found.push((Level::Warning, format!("uses {:.0} % of its memory limit", used / limit * 100.0)));
    }
    if let Some(seen) = one.seen.filter(|seen| one.facts.silent || now.since(*seen) > SILENT_AFTER) {
        found.push((Level::NoData, format!("has sent no data for {}", spoken(now.since(seen)))));
    }
}

fn times(count: f64) -> String {
    if count <= 1.0 { "once".to_owned() } else { format!("{count} times") }
}

/// A duration in one part: `40 s`, `12 min`, `3 h`.
pub(crate) fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=99 => format!("{seconds} s"),
        seconds @ 100..=5999 => format!("{} min", seconds / 60),
        seconds @ 6000..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(10_000_000);

    fn judged(change: impl FnOnce(&mut Container)) -> (Level, String) {
        let mut one = Container { state: Some("running".to_owned()), seen: Some(NOW), ..Container::default() };
        change(&mut one);
        judge(&mut one, NOW);
        (one.level, one.why.join(", "))
    }

    #[test]
    fn a_container_within_its_limits_needs_nobody() {
        assert_eq!(judged(|_| {}), (Level::Ok, String::new()));
        assert_eq!(judged(|one| one.throttled = Some(0.24)).0, Level::Ok);
        assert_eq!(judged(|one| one.state = Some("paused".to_owned())).0, Level::Muted);
    }

    #[test]
    fn the_worst_comes_first() {
        let (level, why) = judged(|one| {
            one.throttled = Some(0.43);
            one.facts.oom_kills = 2.0;
        });
        assert_eq!(level, Level::Critical);
        assert_eq!(why, "was OOM-killed 2 times in the last hour, is throttled 43 % of the time");
    }

    #[test]
    fn memory_near_its_limit_is_said_and_memory_without_one_is_not() {
        let near = judged(|one| (one.memory, one.memory_limit) = (Some(96.0), Some(100.0)));
        assert_eq!(near, (Level::Warning, "uses 96 % of its memory limit".to_owned()));
        assert_eq!(judged(|one| one.memory = Some(96.0)).0, Level::Ok);
    }

    #[test]
    fn a_bad_end_is_news_for_an_hour() {
        let ended = |code: f64, seen: i64| {
            judged(|one| {
                one.state = Some("exited".to_owned());
                one.exit_code = Some(code);
                one.seen = Some(Timestamp(NOW.0 - seen));
            })
        };
        assert_eq!(ended(1.0, 3_600_000), (Level::Warning, "ended with code 1".to_owned()));
        assert_eq!(ended(1.0, 3_600_001).0, Level::Ok);
        assert_eq!(ended(0.0, 0).0, Level::Ok);
        assert_eq!(ended(143.0, 0).0, Level::Ok, "somebody stopped it");
    }

    #[test]
    fn an_oom_kill_of_the_last_run_is_news_for_an_hour_after_the_new_start() {
        let started = |ago: i64| {
            judged(|one| {
                one.facts.oom_killed = true;
                one.started = Some(Timestamp(NOW.0 - ago));
            })
        };
        assert_eq!(started(3_600_000), (Level::Critical, "was OOM-killed".to_owned()));
        assert_eq!(started(3_600_001).0, Level::Ok);
    }

    #[test]
    fn one_restart_is_a_warning_and_a_loop_is_critical() {
        assert_eq!(
            judged(|one| one.facts.restarts = 1.0),
            (Level::Warning, "was restarted once in the last hour".to_owned())
        );
        assert_eq!(judged(|one| one.facts.restarts = 3.0).0, Level::Critical);
        assert_eq!(judged(|one| one.state = Some("restarting".to_owned())).1, "is restarting");
    }

    #[test]
    fn silence_is_a_state_of_its_own() {
        let silent = judged(|one| one.seen = Some(Timestamp(NOW.0 - 120_000)));
        assert_eq!(silent, (Level::NoData, "has sent no data for 2 min".to_owned()));
        assert_eq!(judged(|one| one.seen = None).0, Level::Ok, "never seen by the kernel's side is not silence");
    }

    #[test]
    fn durations_are_said_in_one_part() {
        let said = [5, 99, 100, 7200, 172_800].map(|seconds| spoken(Duration::from_secs(seconds)));
        assert_eq!(said, ["5 s", "99 s", "1 min", "2 h", "2 d"]);
    }
}
