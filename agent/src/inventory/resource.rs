//! A container as OpenTelemetry names it: the resource of its log records and events.

use yagura_codec::attributes::ResourceAttributes;

use super::Container;

/// The resource attributes of a container's records, under the names of [`yagura_model::names::RESOURCE_LABELS`].
/// `source` is the container's own unless given: an event about a container is written by its runtime.
#[must_use]
pub fn attributes(
    container: &Container,
    source: Option<&str>,
    node: &str,
    cluster: Option<&str>,
) -> ResourceAttributes {
    let tags = &container.tags;
    let mut resource = ResourceAttributes::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            resource.put_str(name, value);
        }
    };
    put("service.name", &tags.service);
    put("deployment.environment.name", &tags.env);
    put("service.version", &tags.version);
    put("role", &tags.role);
    put("source", source.unwrap_or(&tags.source));
    put("container.id", container.id.as_str());
    put("container.image.name", &container.image);
    put("host.name", node);
    put("k8s.cluster.name", cluster.unwrap_or_default());
    match &container.pod {
        None => put("container.name", &container.name),
        Some(pod) => {
            put("k8s.namespace.name", &pod.namespace);
            put("k8s.pod.name", &pod.name);
            put("k8s.pod.uid", &pod.uid);
            put("k8s.container.name", &container.name);
        }
    }
    for (name, value) in tags.extra.iter() {
        put(name, value);
    }
    resource
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use yagura_model::Tags;

    use super::{
        super::{Pod, testing::container},
        *,
    };

    fn shown(container: &Container, source: Option<&str>) -> Vec<String> {
        let resource = attributes(container, source, "n1", None);
        let pairs = resource.view().iter().map(Result::unwrap);
        pairs.map(|(name, value)| format!("{name}={}", value.as_str().unwrap())).collect()
    }

    #[test]
    fn a_container_is_named_as_opentelemetry_does_and_what_is_unknown_is_left_out() {
        let mut one = container("a", "web");
        one.tags = Arc::new(Tags {
            service: "shop".into(),
            source: "nginx".into(),
            extra: [("team".into(), "blue".into())].into(),
            ..Tags::default()
        });
        let id = format!("container.id={}", "a".repeat(64));
        let image = "container.image.name=registry.example.com/shop/web:1.5.0";
        let expected =
            ["service.name=shop", "source=nginx", &id, image, "host.name=n1", "container.name=web", "team=blue"];
        assert_eq!(shown(&one, None), expected);
        assert_eq!(shown(&one, Some("docker"))[1], "source=docker");
    }

    #[test]
    fn a_container_of_a_pod_has_its_name_there() {
        let mut one = container("a", "app");
        one.pod = Some(Arc::new(Pod { namespace: "shop".into(), name: "web-1".into(), uid: "u".into() }));
        let expected = ["k8s.namespace.name=shop", "k8s.pod.name=web-1", "k8s.pod.uid=u", "k8s.container.name=app"];
        assert_eq!(shown(&one, None)[3..], expected);
    }
}
