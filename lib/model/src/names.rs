//! OpenTelemetry's resource attribute names on the wire, Prometheus' and Datadog's label names at the edge: one table.

/// The tag `service`; for drop-in series the resource's `service.name` is the `job` instead (see [`RESOURCE_JOB`]).
pub const SERVICE_NAME: &str = "service.name";

/// Which of a service's processes tells; for drop-in series the node's name, Prometheus' `instance`.
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";

/// Resource attributes that become labels of a log stream (or of a span's resource), and under which label.
///
/// Source: OpenTelemetry semantic conventions v1.44 (`model/{service,deployment,container,k8s,host,log}`); the labels
/// are those of cAdvisor, kube-state-metrics and Datadog's unified service tagging. `source` and `role` are ours and
/// have one name everywhere.
pub const RESOURCE_LABELS: &[(&str, &str)] = &[
    (SERVICE_NAME, "service"),
    ("deployment.environment.name", "env"),
    ("deployment.environment", "env"),
    ("role", "role"),
    ("source", "source"),
    ("k8s.cluster.name", "cluster"),
    ("k8s.namespace.name", "namespace"),
    ("k8s.pod.name", "pod"),
    ("k8s.container.name", "container"),
    ("container.name", "container"),
    ("k8s.node.name", "node"),
    ("host.name", "node"),
    ("log.iostream", "stream"),
];

/// In a metrics resource: attribute to label, as Prometheus' own OTLP receiver does it.
pub const RESOURCE_JOB: &[(&str, &str)] = &[(SERVICE_NAME, "job"), (SERVICE_INSTANCE_ID, "instance")];

/// The label that a resource attribute of a log or span becomes; `None` when it is carried as a field instead.
#[must_use]
pub fn resource_label(attribute: &str) -> Option<&'static str> {
    RESOURCE_LABELS.iter().find(|(known, _)| *known == attribute).map(|(_, label)| *label)
}

/// `name` as a legal label name: every other character becomes `_`, a leading digit gets one in front.
#[must_use]
pub fn sanitize_label(name: &str) -> String {
    let mut label = String::with_capacity(name.len());
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        label.push('_');
    }
    label.extend(name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }));
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_become_the_labels_people_know() {
        assert_eq!(resource_label("k8s.pod.name"), Some("pod"));
        assert_eq!(resource_label("process.pid"), None);
        assert_eq!(sanitize_label("9p.k8s-name"), "_9p_k8s_name");
    }
}
