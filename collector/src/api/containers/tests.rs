use super::*;
use crate::{query::promql::Limits, series, storage::memory};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn an_id_is_found_in_every_shape_of_path() {
    let shapes = [
        format!("/docker/{ID}"),
        format!("/system.slice/docker-{ID}.scope"),
        format!("/kubepods.slice/kubepods-podabc.slice/cri-containerd-{ID}.scope"),
        format!("/docker/{ID}/init.scope"),
        ID.to_owned(),
    ];
    for shape in shapes {
        assert_eq!(container_id(&shape), Some(ID), "{shape}");
    }
    for other in ["/", "", "/system.slice/ssh.service", ID.trim_start_matches('0'), &format!("{ID}a")] {
        assert_eq!(container_id(other), None, "{other}");
    }
}

const NOW: Timestamp = Timestamp(1_800_000_000_000);

type Made<'a> = (&'a str, &'a [(&'a str, &'a str)], fn(f64) -> f64);

/// A store with samples every ten seconds for two minutes; `value` is given the seconds since the first.
async fn engine(series: &[Made<'_>]) -> Engine {
    let storage = memory::open();
    let mut samples = Vec::new();
    for (name, labels, value) in series {
        for step in 0..13_i32 {
            let seconds = f64::from(step) * 10.0;
            let labels = labels.iter().copied().chain([("__name__", *name), ("instance", "n1")]);
            let time = NOW.minus(Duration::from_secs(120)).plus(Duration::from_secs_f64(seconds));
            samples.push(series::NewSample { labels: Labels::from_pairs(labels), time, value: value(seconds) });
        }
    }
    let appended = series::append(&*storage.metrics, &samples, &[], NOW).await.unwrap();
    assert_eq!(appended.accepted, u64::try_from(samples.len()).unwrap());
    Engine::new(storage.metrics, Limits::default())
}

#[tokio::test]
async fn a_container_is_put_together_from_both_sources() {
    let path = format!("/docker/{ID}");
    let kernel: &[(&str, &str)] = &[("id", &path), ("name", "web"), ("image", "nginx"), ("service", "shop")];
    let docker: &[(&str, &str)] = &[("id", ID), ("name", "web"), ("image", "nginx"), ("compose_project", "shopstack")];
    let state: &[(&str, &str)] = &[("id", ID), ("state", "running")];
    let engine = engine(&[
        ("yagura_container_info", docker, |_| 1.0),
        ("yagura_container_state", state, |_| 1.0),
        ("yagura_container_restarts_total", docker, |_| 0.0),
        ("container_cpu_usage_seconds_total", kernel, |seconds| seconds * 0.25),
        ("container_spec_cpu_quota", kernel, |_| 50_000.0),
        ("container_spec_cpu_period", kernel, |_| 100_000.0),
        ("container_memory_working_set_bytes", kernel, |_| 95.0),
        ("container_spec_memory_limit_bytes", kernel, |_| 100.0),
        ("container_last_seen", kernel, |seconds| 1_800_000_000.0 - 120.0 + seconds),
    ])
    .await;
    let answer = list(&engine, NOW, true).await.unwrap();
    assert_eq!(answer.partial, Vec::<String>::new());
    assert_eq!(answer.newest, NOW);
    let [web] = &answer.containers[..] else { panic!("{:?}", answer.containers) };
    assert_eq!((web.name.as_str(), web.node.as_str(), web.service.as_str()), ("web", "n1", "shop"));
    assert_eq!(web.labels.get("compose_project").map(String::as_str), Some("shopstack"));
    assert_eq!(web.state.as_deref(), Some("running"));
    assert_eq!((web.cpu, web.cpu_limit), (Some(0.25), Some(0.5)));
    assert_eq!((web.memory, web.memory_limit), (Some(95.0), Some(100.0)));
    assert_eq!(web.restarts, Some(0.0));
    assert_eq!(web.net_rx, None, "absent is not zero");
    assert_eq!((web.level, web.why.join("")), (Level::Warning, "uses 95 % of its memory limit".to_owned()));
    let history = web.history.as_ref().unwrap();
    assert_eq!((history.len(), history.first(), history.last()), (30, Some(&None), Some(&Some(0.25))));
}

#[tokio::test]
async fn without_a_docker_socket_a_container_has_the_beginning_of_its_id() {
    let path = format!("/docker/{ID}");
    let kernel: &[(&str, &str)] = &[("id", &path)];
    let slice: &[(&str, &str)] = &[("id", "/system.slice/ssh.service")];
    let engine = engine(&[
        ("container_memory_working_set_bytes", kernel, |_| 95.0),
        ("container_memory_working_set_bytes", slice, |_| 95.0),
    ])
    .await;
    let answer = list(&engine, NOW, false).await.unwrap();
    let names: Vec<&str> = answer.containers.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["0123456789ab"], "a service of the machine is no container");
    assert_eq!(answer.containers[0].state, None);
}

#[tokio::test]
async fn containers_of_a_silent_agent_stay_in_the_list() {
    let path = format!("/docker/{ID}");
    let kernel: &[(&str, &str)] = &[("id", &path), ("name", "web")];
    let engine = engine(&[
        ("container_last_seen", kernel, |seconds| 1_800_000_000.0 - 120.0 + seconds),
        ("up", &[("job", "cadvisor")], |_| 0.0),
    ])
    .await;
    // Ten minutes later the series are stale to an instant query, the silence is still said.
    let later = NOW.plus(Duration::from_secs(270));
    let answer = list(&engine, later, false).await.unwrap();
    assert_eq!(answer.containers.len(), 1);
    assert_eq!(answer.containers[0].level, Level::NoData);
}
