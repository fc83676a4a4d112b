//! What a cgroup path says: which container, which pod. Pure text.
//!
//! Shapes seen in the wild (a container's id is 64 hexadecimal digits):
//!
//! * docker alone: `/docker/<id>`, `/system.slice/docker-<id>.scope`; podman `/machine.slice/libpod-<id>.scope`;
//! * kubelet with cgroupfs: `/kubepods[/burstable|/besteffort]/pod<uid>/<id>`, with CRI-O `crio-<id>`;
//! * kubelet with systemd: `/kubepods.slice/kubepods-<qos>.slice/kubepods-<qos>-pod<uid>.slice/<runtime>-<id>.scope`,
//!   dashes of the uid written `_`; no QoS level for Guaranteed; `.scope` may be missing;
//! * old containerd under systemd: `/system.slice/containerd.service/kubepods-…-pod<uid>.slice:cri-containerd:<id>`;
//! * any of them below another root (`/kubelet.slice/kubelet-kubepods.slice/…` in kind), or with a child of the
//!   runtime's own below (`…/container`);
//! * the pod of a static pod has the hash of its file for a uid: 32 hexadecimal digits without dashes.

use std::sync::Arc;

use crate::inventory::ContainerId;

/// What a cgroup is, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/`: the machine.
    Root,
    /// A container, and the uid of its pod if it is in one.
    Container(ContainerId, Option<Arc<str>>),
    /// A pod: the parent of its containers.
    Pod(Arc<str>),
    /// All pods, or all of one quality of service class.
    Pods,
    /// Something else, which may have containers below.
    Other,
}

/// Units of systemd in which nothing starts containers.
const DEAD_ENDS: &[&str] = &[".mount", ".socket", ".swap", ".timer", ".device", ".scope", ".target"];

/// What the cgroup at `path` (from the root of the hierarchy) is.
#[must_use]
pub fn parse(path: &str) -> Kind {
    let mut pod = None;
    let mut last = Kind::Root;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        pod = pod_uid(part).or(pod);
        if let Some(id) = container_id(part) {
            // Nothing below a container is another one: it is that container's own business.
            return Kind::Container(id, pod);
        }
        last = match pod_uid(part) {
            Some(uid) => Kind::Pod(uid),
            None if is_pods(part) || (last == Kind::Pods && matches!(part, "burstable" | "besteffort")) => Kind::Pods,
            None => Kind::Other,
        };
    }
    last
}

/// Whether containers may be found below a cgroup with this last part.
#[must_use]
pub fn may_hold_containers(part: &str) -> bool {
    !DEAD_ENDS.iter().any(|suffix| part.ends_with(suffix))
}

/// `kubepods`, `kubepods.slice`, `kubepods-burstable.slice`, `kubelet-kubepods.slice`, …
fn is_pods(part: &str) -> bool {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let name = name.strip_suffix("-burstable").or_else(|| name.strip_suffix("-besteffort")).unwrap_or(name);
    name == "kubepods" || name.ends_with("-kubepods")
}

/// The uid in `pod<uid>`, `…-pod<uid>.slice`, `…-pod<uid>.slice:cri-containerd:<id>`, with dashes.
fn pod_uid(part: &str) -> Option<Arc<str>> {
    let name = part.split_once(':').map_or(part, |(name, _)| name);
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let uid = name.strip_prefix("pod").or_else(|| name.rsplit_once("-pod").map(|(_, uid)| uid))?;
    let uid = uid.replace('_', "-");
    let hex = uid.bytes().filter(|byte| byte.is_ascii_hexdigit()).count();
    let dashes = uid.bytes().filter(|byte| *byte == b'-').count();
    (hex == 32 && (dashes == 0 || dashes == 4) && uid.len() == hex + dashes).then(|| uid.into())
}

/// The id in `<id>`, `<runtime>-<id>`, `<runtime>-<id>.scope`, `….slice:<runtime>:<id>`.
fn container_id(part: &str) -> Option<ContainerId> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let (prefix, digits) = name.split_at_checked(name.len().checked_sub(64)?)?;
    // The monitor of a container carries its id too: `crio-conmon-<id>`, `libpod-conmon-<id>`.
    let fits = prefix.is_empty() || (prefix.ends_with(['-', ':']) && !prefix.ends_with("conmon-"));
    ContainerId::parse(digits).filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "7f878bf691541c3afb94015cfbf20718e6183b50ccb8b51c6739aa1e415ae6af";
    const UID: &str = "39f13790-a884-4ef6-8b01-94b9eacd4121";

    /// `ID`, `UID` and `U_D` in `path` stand for a container id, a pod uid, and a pod uid with `_`.
    fn check(path: &str, expected: &str) {
        let path = path.replace("U_D", &UID.replace('-', "_")).replace("UID", UID).replace("ID", ID);
        let shown = match parse(&path) {
            Kind::Root => "root".to_owned(),
            Kind::Container(id, None) => format!("container {id}"),
            Kind::Container(id, Some(uid)) => format!("container {id} of pod {uid}"),
            Kind::Pod(uid) => format!("pod {uid}"),
            Kind::Pods => "pods".to_owned(),
            Kind::Other => "other".to_owned(),
        };
        assert_eq!(shown.replace(UID, "UID").replace(ID, "ID"), expected, "{path}");
    }

    #[test]
    fn containers_of_docker_and_podman_are_found() {
        check("/docker/ID", "container ID");
        check("/system.slice/docker-ID.scope", "container ID");
        check("/docker/buildx/ID", "container ID");
        check("/ecs/task-1/ID", "container ID");
        check("/machine.slice/libpod-ID.scope", "container ID");
        check("/machine.slice/libpod-ID.scope/container", "container ID");
        check("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", "container ID");
        check("/libpod_parent/libpod-ID", "container ID");
    }

    #[test]
    fn containers_of_pods_are_found_whatever_the_driver() {
        check("/kubepods/podUID/ID", "container ID of pod UID");
        check("/kubepods/burstable/podUID/ID", "container ID of pod UID");
        check("/kubepods/besteffort/podUID/crio-ID", "container ID of pod UID");
        check("/kubepods/burstable/podUID/crio-ID/container", "container ID of pod UID");
        let systemd = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice";
        for runtime in ["cri-containerd", "crio", "docker"] {
            check(&format!("{systemd}/{runtime}-ID.scope"), "container ID of pod UID");
            check(&format!("{systemd}/{runtime}-ID"), "container ID of pod UID");
        }
        check("/kubepods.slice/kubepods-podU_D.slice/cri-containerd-ID.scope", "container ID of pod UID");
        check(
            "/system.slice/containerd.service/kubepods-besteffort-podU_D.slice:cri-containerd:ID",
            "container ID of pod UID",
        );
        check(
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podU_D.slice/cri-containerd-ID.scope",
            "container ID of pod UID",
        );
        check("/kubelet/kubepods/burstable/podUID/ID", "container ID of pod UID");
    }

    #[test]
    fn a_static_pod_has_a_hash_for_a_uid() {
        let path = format!("/kubepods/burstable/podb940ae57ef9dcf3977a5c87523789ad5/{ID}");
        let expected =
            Kind::Container(ContainerId::parse(ID).unwrap(), Some("b940ae57ef9dcf3977a5c87523789ad5".into()));
        assert_eq!(parse(&path), expected);
    }

    #[test]
    fn parents_are_told_apart() {
        check("/", "root");
        check("", "root");
        check("/kubepods", "pods");
        check("/kubepods/besteffort", "pods");
        check("/kubepods.slice", "pods");
        check("/kubepods.slice/kubepods-burstable.slice", "pods");
        check("/kubelet.slice/kubelet-kubepods.slice", "pods");
        check("/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice", "pods");
        check("/kubepods/podUID", "pod UID");
        check("/kubepods.slice/kubepods-podU_D.slice", "pod UID");
        check("/system.slice", "other");
        check("/system.slice/docker.service", "other");
        check("/burstable", "other");
        check("/docker", "other");
    }

    #[test]
    fn what_only_looks_like_a_container_is_none() {
        check("/machine.slice/libpod-conmon-ID.scope", "other");
        check("/system.slice/crio-conmon-ID.scope", "other");
        check("/docker/xID", "other");
        check("/docker/櫓ID", "other");
        check(&format!("/docker/{}", ID.to_uppercase()), "other");
        check(&format!("/docker/{}", ID.strip_prefix('7').unwrap()), "other");
        check("/kubepods/pod12/x", "other");
        check("/podman", "other");
        check("/kubepods/pod39f13790-a884-4ef6-8b0194b9eacd4121", "other");
    }

    #[test]
    fn only_units_that_hold_no_containers_are_passed_over() {
        assert!(may_hold_containers("user@1000.service"));
        assert!(may_hold_containers("kubepods.slice"));
        assert!(!may_hold_containers("session-1.scope"));
        assert!(!may_hold_containers("docker.socket"));
    }
}
