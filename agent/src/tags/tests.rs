//! Evidence as lines of text in, tags as text out; only `check` knows the API.

use super::*;

/// Lines: `name N`, `image I`, `label K=V`, `env K=V`, `pod-label K=V`, `annotation K=V`, `namespace-label K=V`,
/// `workload W`, `tag K=V` (agent), `rule LABEL=PATTERN -> K=V`.
#[derive(Default)]
struct Case {
    name: String,
    image: String,
    labels: Vec<(Arc<str>, Arc<str>)>,
    env: Vec<String>,
    pod: bool,
    pod_labels: Vec<(Arc<str>, Arc<str>)>,
    annotations: Vec<(Arc<str>, Arc<str>)>,
    namespace_labels: Vec<(Arc<str>, Arc<str>)>,
    workload: String,
    tags: BTreeMap<String, String>,
    rules: Vec<RuleConfig>,
}

fn pair(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap()
}

fn arcs(text: &str) -> (Arc<str>, Arc<str>) {
    let (name, value) = pair(text);
    (name.into(), value.into())
}

fn read(text: &str) -> Case {
    let mut case = Case::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap();
        case.pod |= matches!(word, "pod-label" | "annotation" | "namespace-label" | "workload");
        match word {
            "name" => case.name = rest.to_owned(),
            "image" => case.image = rest.to_owned(),
            "label" => case.labels.push(arcs(rest)),
            "env" => case.env.push(rest.to_owned()),
            "pod-label" => case.pod_labels.push(arcs(rest)),
            "annotation" => case.annotations.push(arcs(rest)),
            "namespace-label" => case.namespace_labels.push(arcs(rest)),
            "workload" => case.workload = rest.to_owned(),
            "tag" => drop(case.tags.insert(pair(rest).0.into(), pair(rest).1.into())),
            "rule" => {
                let (condition, set) = rest.split_once(" -> ").unwrap();
                let (label, pattern) = pair(condition);
                let mut matching = MatchConfig::default();
                match label {
                    "container" => matching.container = Some(pattern.into()),
                    "image" => matching.image = Some(pattern.into()),
                    _ => drop(matching.labels.insert(label.into(), pattern.into())),
                }
                let set = BTreeMap::from([(pair(set).0.to_owned(), pair(set).1.to_owned())]);
                case.rules.push(RuleConfig { matching, set });
            }
            _ => panic!("{line}"),
        }
    }
    case
}

fn check(text: &str, expected: &str) {
    let case = read(text);
    let pod = Pod {
        labels: &case.pod_labels,
        annotations: &case.annotations,
        namespace_labels: &case.namespace_labels,
        workload: &case.workload,
    };
    let evidence = Evidence {
        container: &case.name,
        image: &case.image,
        labels: &case.labels,
        env: &case.env,
        pod: case.pod.then_some(pod),
    };
    let tags = resolve(&evidence, &Rules::new(&case.tags, &case.rules).unwrap());
    let version = Some(("version", &*tags.version)).filter(|(_, version)| !version.is_empty());
    let shown: Vec<_> = tags.labels().chain(version).map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(shown.join(" "), expected, "{text}");
}

#[test]
fn a_bare_container_is_called_after_its_image() {
    check("name c1\n image registry:5000/shop/web:1.4.2", "service=web source=web version=1.4.2");
    check("name c1\n image nginx:latest", "service=nginx source=nginx");
    check("name c1\n image sha256:ead68cc2291a87e4cf1fe00b1bfed745142285f75e5a94a427d8b817001eb4c4", "service=c1");
}

/// Each line beats all below it; the test takes them away one by one from the top.
fn check_chain(common: &str, tag: &str, places: &[&str]) {
    for start in 0..places.len() {
        let lines: Vec<_> = places[start..].iter().enumerate().collect();
        let text: String = lines
            .iter()
            .map(|(place, line)| format!("{}\n", line.replace('?', &(start + place).to_string())))
            .collect();
        let case = read(&format!("{common}\n{text}"));
        let pod = Pod {
            labels: &case.pod_labels,
            annotations: &case.annotations,
            namespace_labels: &case.namespace_labels,
            workload: &case.workload,
        };
        let evidence = Evidence {
            container: &case.name,
            image: &case.image,
            labels: &case.labels,
            env: &case.env,
            pod: Some(pod),
        };
        let tags = resolve(&evidence, &Rules::new(&case.tags, &case.rules).unwrap());
        let value = match tag {
            "source" => tags.source,
            "service" => tags.service,
            "env" => tags.env,
            "role" => tags.role,
            _ => tags.version,
        };
        assert_eq!(&*value, format!("v{start}"), "{tag}: {text}");
    }
}

#[test]
fn the_chain_of_service_is_that_of_the_design() {
    check_chain(
        "name app",
        "service",
        &[
            "pod-label tags.datadoghq.com/app.service=v?",
            r#"annotation ad.datadoghq.com/app.logs=[{"source":"x","service":"v?"}]"#,
            "pod-label tags.datadoghq.com/service=v?",
            "annotation resource.opentelemetry.io/service.name=v?",
            "env DD_SERVICE=v?",
            "env OTEL_SERVICE_NAME=v?",
            "env OTEL_RESOURCE_ATTRIBUTES=a=b,service.name=v?",
            "pod-label app.kubernetes.io/name=v?",
            "label com.datadoghq.tags.service=v?",
            r#"label com.datadoghq.ad.tags=["service:v?"]"#,
            "label service=v?",
            "pod-label service=v?",
            "label com.docker.compose.service=v?",
            "rule container=app -> service=v?",
            "workload v?",
            "image shop/v?:1",
        ],
    );
}

#[test]
fn the_chain_of_env_is_that_of_the_design() {
    check_chain(
        "name app",
        "env",
        &[
            "annotation tags.datadoghq.com/app.env=v?",
            "pod-label tags.datadoghq.com/env=v?",
            "annotation resource.opentelemetry.io/deployment.environment.name=v?",
            "annotation resource.opentelemetry.io/deployment.environment=v?",
            "env DD_ENV=v?",
            "env OTEL_RESOURCE_ATTRIBUTES=deployment.environment=x,deployment.environment.name=v?",
            "label com.datadoghq.tags.env=v?",
            r#"annotation ad.datadoghq.com/tags={"env":"v?"}"#,
            "label env=v?",
            "pod-label env=v?",
            "rule container=a.* -> env=v?",
            "namespace-label env=v?",
            "tag env=v?",
        ],
    );
}

#[test]
fn the_chains_of_role_source_and_version_are_those_of_the_design() {
    check_chain(
        "name app",
        "role",
        &["label role=v?", "pod-label role=v?", "pod-label app.kubernetes.io/component=v?", "rule image= -> role=v?"],
    );
    check_chain(
        "name app",
        "source",
        &[
            r#"label com.datadoghq.ad.logs=[{"source":"v?"}]"#,
            "label source=v?",
            "pod-label source=v?",
            "rule container=app -> source=v?",
            "image v?",
        ],
    );
    check_chain(
        "name app",
        "version",
        &[
            "pod-label tags.datadoghq.com/app.version=v?",
            "pod-label tags.datadoghq.com/version=v?",
            "env DD_VERSION=v?",
            "env OTEL_RESOURCE_ATTRIBUTES=service.version=v?",
            "pod-label app.kubernetes.io/version=v?",
            "label com.datadoghq.tags.version=v?",
            "image web:v?",
        ],
    );
}

#[test]
fn empty_values_and_unfilled_templates_are_no_hits() {
    check("name a\n image web\n env DD_SERVICE=\n label service=%%env_X%%", "service=web source=web");
    check(
        "name a\n image web\n label service=${SERVICE}\n label com.docker.compose.service=shop",
        "service=shop source=web",
    );
    check("name a\n image web\n env DD_SERVICE=  \n label env= prod ", "env=prod service=web source=web");
}

#[test]
fn the_environment_of_a_container_counts_without_kubernetes() {
    check(
        "name a\n image web:2\n env DD_ENV=prod\n env DD_SERVICE=shop\n env DD_VERSION=7\n label role=worker",
        "env=prod role=worker service=shop source=web version=7",
    );
}

#[test]
fn free_tags_are_labels_and_the_nearest_wins() {
    check(
        "name a\n image web\n tag team=node\n tag region=tokyo\n tag env=prod\n rule container=a -> team=rule",
        "env=prod service=web source=web region=tokyo team=rule",
    );
    check(
        r#"name a
        image web
        tag team=node
        rule container=a -> team=rule
        label com.datadoghq.ad.tags=["team:own","cost-center:7","source:redis"]"#,
        "service=web source=redis cost_center=7 team=own",
    );
    check(
        "name a\n image web\n annotation ad.datadoghq.com/a.tags={\"t\":\"one\"}\n annotation ad.datadoghq.com/tags={\"t\":\"all\"}",
        "service=web source=web t=one",
    );
}

#[test]
fn rules_match_whole_values_and_the_first_that_sets_a_tag_counts() {
    check("name web-1\n image x\n rule container=web -> service=a", "service=x source=x");
    check(
        "name web-1\n image x\n rule container=web-.* -> service=a\n rule image=x -> service=b",
        "service=a source=x",
    );
    check("name a\n image x\n label team=shop\n rule team=shop|pay -> role=web", "role=web service=x source=x");
    check("name a\n image x\n pod-label team=pay\n rule team=shop|pay -> role=web", "role=web service=x source=x");
    check("name a\n image x\n rule team=shop -> role=web", "service=x source=x");
}

#[test]
fn a_rule_that_cannot_work_is_refused_by_name() {
    let rule = |pattern: &str, set: &[(&str, &str)]| RuleConfig {
        matching: MatchConfig { image: Some(pattern.into()), ..MatchConfig::default() },
        set: set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
    };
    let error = |rules: &[RuleConfig]| Rules::new(&BTreeMap::new(), rules).unwrap_err().to_string();
    assert!(
        error(&[rule("a", &[("x", "y")]), rule("(", &[("x", "y")])]).starts_with("rules[1].match.image: regex parse")
    );
    assert_eq!(error(&[rule("a", &[])]), "rules[0].set: expected at least one tag");
}

#[test]
fn values_are_bounded_and_free_tags_too() {
    let long = "é".repeat(500);
    check(&format!("name a\n image x\n label service={long}"), &format!("service={} source=x", "é".repeat(200)));
    let many: Vec<_> = (10..40).map(|number| format!("\"t{number}:v\"")).collect();
    let case = read(&format!("name a\n image x\n label com.datadoghq.ad.tags=[{}]", many.join(",")));
    let evidence = Evidence { container: &case.name, labels: &case.labels, ..Evidence::default() };
    assert_eq!(resolve(&evidence, &Rules::default()).extra.len(), FREE_TAGS);
}

#[test]
fn the_node_has_its_agents_tags() {
    let tags = BTreeMap::from([("env".to_owned(), "prod".to_owned()), ("rack".to_owned(), "7".to_owned())]);
    let host = of_node("host", &Rules::new(&tags, &[]).unwrap());
    assert_eq!(
        host.labels().collect::<Vec<_>>(),
        [("env", "prod"), ("service", "host"), ("source", "host"), ("rack", "7")]
    );
}
