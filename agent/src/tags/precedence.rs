//! Which evidence wins: one chain per tag, as data, each step with the reason for its place.
//!
//! What was said of exactly this container beats what was said of its pod; what a person wrote for tagging beats
//! what was written for another purpose; what the program itself will put on its spans beats what others think of it
//! (or its logs and spans would have different names); and what can only be guessed comes last.

use std::{borrow::Cow, collections::BTreeMap};

use super::{Evidence, clean, env, image, labels};

/// The tags that have a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// The technology that wrote it.
    Source,
    /// What the team calls it.
    Service,
    /// `prod`, `staging`, …
    Env,
    /// The part it plays.
    Role,
    /// The version of the service.
    Version,
}

/// Where a tag may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A pod's label or annotation for one container: the prefix, the container's name, the suffix.
    OfContainer(&'static str, &'static str),
    /// The given field of the first object in `ad.datadoghq.com/<container>.logs` or `com.datadoghq.ad.logs`.
    LogsAnnotation(&'static str),
    /// A label of the pod.
    PodLabel(&'static str),
    /// An annotation of the pod.
    PodAnnotation(&'static str),
    /// A label of the container.
    Label(&'static str),
    /// A free tag of this name (`com.datadoghq.ad.tags`, `ad.datadoghq.com/tags`).
    FreeTag(&'static str),
    /// A variable of the container's environment.
    Env(&'static str),
    /// A key of `OTEL_RESOURCE_ATTRIBUTES` in the container's environment.
    OtelResource(&'static str),
    /// A label of the pod's namespace.
    NamespaceLabel(&'static str),
    /// Set by a rule of the agent's config.
    Rule(&'static str),
    /// One of the agent's `tags`.
    AgentTag(&'static str),
    /// The name of the Deployment, StatefulSet, … that made the pod.
    Workload,
    /// `web` of `registry.example.com:5000/shop/web:1.4.2`.
    ImageName,
    /// `1.4.2` of the same, if it is not `latest`.
    ImageTag,
    /// The container's name.
    ContainerName,
}

/// One step of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Where to look.
    pub place: Place,
    /// Why there, and why at this point.
    pub why: &'static str,
}

const fn step(place: Place, why: &'static str) -> Step {
    Step { place, why }
}

const OF_ONE: &str = "written for tagging, of exactly this container";
const LOGS: &str = "written for tagging, of exactly this container, where people already say how its logs are called";
const UNIFIED: &str = "Datadog's unified service tagging on the pod: written for tagging";
const OTEL: &str = "OpenTelemetry's annotation: written for tagging, newer and rarer than Datadog's";
const PROGRAM: &str = "what the program puts on its own spans, so that logs and spans agree";
const WELL_KNOWN: &str = "Kubernetes' recommended label: about the application, though not for tagging";
const DOCKER: &str = "Datadog's unified service tagging on the container: written for tagging, where there is no pod";
const FREE: &str = "a free tag that happens to have this name";
const PLAIN: &str = "the plain word as a label; may have been meant for something else";
const COMPOSE: &str = "what compose calls the service: made by a machine, but from the team's own file";
const RULE: &str = "the operator's rule: fills what the team left open, never overrides what it wrote";
const NODE: &str = "said of everything on the node";
const GUESS: &str = "a guess";

/// The chain of `source`.
pub const SOURCE: &[Step] = &[
    step(Place::LogsAnnotation("source"), LOGS),
    step(Place::Label("source"), PLAIN),
    step(Place::PodLabel("source"), PLAIN),
    step(Place::FreeTag("source"), FREE),
    step(Place::Rule("source"), RULE),
    step(Place::ImageName, "an image is mostly called after the program in it"),
];

/// The chain of `service`.
pub const SERVICE: &[Step] = &[
    step(Place::OfContainer("tags.datadoghq.com/", ".service"), OF_ONE),
    step(Place::LogsAnnotation("service"), LOGS),
    step(Place::PodLabel("tags.datadoghq.com/service"), UNIFIED),
    step(Place::PodAnnotation("resource.opentelemetry.io/service.name"), OTEL),
    step(Place::Env("DD_SERVICE"), PROGRAM),
    step(Place::Env("OTEL_SERVICE_NAME"), PROGRAM),
    step(Place::OtelResource("service.name"), "as OTEL_SERVICE_NAME, which by specification wins over it"),
    step(Place::PodLabel("app.kubernetes.io/name"), WELL_KNOWN),
    step(Place::Label("com.datadoghq.tags.service"), DOCKER),
    step(Place::FreeTag("service"), FREE),
    step(Place::Label("service"), PLAIN),
    step(Place::PodLabel("service"), PLAIN),
    step(Place::Label("com.docker.compose.service"), COMPOSE),
    step(Place::Rule("service"), RULE),
    step(Place::Workload, "mostly called after the service it runs"),
    step(Place::ImageName, "Datadog's fallback for logs"),
    step(Place::ContainerName, "an image given by its id says nothing"),
];

/// The chain of `env`.
pub const ENV: &[Step] = &[
    step(Place::OfContainer("tags.datadoghq.com/", ".env"), OF_ONE),
    step(Place::PodLabel("tags.datadoghq.com/env"), UNIFIED),
    step(Place::PodAnnotation("resource.opentelemetry.io/deployment.environment.name"), OTEL),
    step(Place::PodAnnotation("resource.opentelemetry.io/deployment.environment"), "its older name"),
    step(Place::Env("DD_ENV"), PROGRAM),
    step(Place::OtelResource("deployment.environment.name"), PROGRAM),
    step(Place::OtelResource("deployment.environment"), "its older name"),
    step(Place::Label("com.datadoghq.tags.env"), DOCKER),
    step(Place::FreeTag("env"), FREE),
    step(Place::Label("env"), PLAIN),
    step(Place::PodLabel("env"), PLAIN),
    step(Place::Rule("env"), RULE),
    step(Place::NamespaceLabel("env"), "said of everything in the namespace"),
    step(Place::AgentTag("env"), NODE),
];

/// The chain of `role`.
pub const ROLE: &[Step] = &[
    step(Place::Label("role"), PLAIN),
    step(Place::PodLabel("role"), PLAIN),
    step(Place::FreeTag("role"), FREE),
    step(Place::PodLabel("app.kubernetes.io/component"), WELL_KNOWN),
    step(Place::Rule("role"), RULE),
];

/// The chain of `version`. The label `org.opencontainers.image.version` is not asked: an image inherits it from its
/// base, so that most say the version of a distribution.
pub const VERSION: &[Step] = &[
    step(Place::OfContainer("tags.datadoghq.com/", ".version"), OF_ONE),
    step(Place::PodLabel("tags.datadoghq.com/version"), UNIFIED),
    step(Place::PodAnnotation("resource.opentelemetry.io/service.version"), OTEL),
    step(Place::Env("DD_VERSION"), PROGRAM),
    step(Place::OtelResource("service.version"), PROGRAM),
    step(Place::PodLabel("app.kubernetes.io/version"), WELL_KNOWN),
    step(Place::Label("com.datadoghq.tags.version"), DOCKER),
    step(Place::FreeTag("version"), FREE),
    step(Place::Label("version"), PLAIN),
    step(Place::PodLabel("version"), PLAIN),
    step(Place::Rule("version"), RULE),
    step(Place::ImageTag, GUESS),
];

impl Tag {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Source, Self::Service, Self::Env, Self::Role, Self::Version];

    /// Its name as a label, and in the agent's config.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Service => "service",
            Self::Env => "env",
            Self::Role => "role",
            Self::Version => "version",
        }
    }

    /// Where it may come from, first hit wins.
    #[must_use]
    pub fn chain(self) -> &'static [Step] {
        match self {
            Self::Source => SOURCE,
            Self::Service => SERVICE,
            Self::Env => ENV,
            Self::Role => ROLE,
            Self::Version => VERSION,
        }
    }
}

/// Whether a free tag may not have this name: the tags with a chain.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    Tag::ALL.iter().any(|tag| tag.name() == name)
}

/// What the chains look into.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Of the container.
    pub evidence: &'a Evidence<'a>,
    /// What the agent's rules set.
    pub rule: &'a BTreeMap<String, String>,
    /// The agent's `tags`.
    pub agent: &'a BTreeMap<String, String>,
    /// Free tags on the container or its pod.
    pub free: &'a BTreeMap<String, String>,
}

/// The first value of a tag's chain, and the step that had it. Empty values and templates that nobody filled in
/// (`%%env_X%%`, `${X}`) are no hits.
#[must_use]
pub fn first(tag: Tag, known: &Known<'_>) -> Option<(String, &'static Step)> {
    tag.chain().iter().find_map(|step| {
        let value = clean(&look(step.place, known)?);
        let filled = !value.is_empty() && !value.contains("%%") && !value.contains("${");
        filled.then_some((value, step))
    })
}

fn look<'a>(place: Place, known: &Known<'a>) -> Option<Cow<'a, str>> {
    let evidence = known.evidence;
    let pod = evidence.pod.unwrap_or_default();
    let found = match place {
        Place::OfContainer(prefix, suffix) => {
            let key = format!("{prefix}{}{suffix}", evidence.container);
            labels::get(pod.labels, &key).or_else(|| labels::get(pod.annotations, &key))
        }
        Place::LogsAnnotation(field) => return labels::logs_field(evidence, field).map(Cow::Owned),
        Place::PodLabel(key) => labels::get(pod.labels, key),
        Place::PodAnnotation(key) => labels::get(pod.annotations, key),
        Place::Label(key) => labels::get(evidence.labels, key),
        Place::FreeTag(name) => known.free.get(name).map(String::as_str),
        Place::Env(name) => env::get(evidence.env, name),
        Place::OtelResource(key) => return env::otel_resource(evidence.env, key).map(Cow::Owned),
        Place::NamespaceLabel(key) => labels::get(pod.namespace_labels, key),
        Place::Rule(name) => known.rule.get(name).map(String::as_str),
        Place::AgentTag(name) => known.agent.get(name).map(String::as_str),
        Place::Workload => Some(pod.workload),
        Place::ImageName => image::parse(evidence.image).name,
        Place::ImageTag => image::parse(evidence.image).tag.filter(|tag| *tag != "latest"),
        Place::ContainerName => Some(evidence.container),
    };
    found.map(Cow::Borrowed)
}
