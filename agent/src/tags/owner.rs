//! Evidence in who made a pod: the name of its workload, from the pod's controller alone.

use super::{Pairs, labels};

/// What the pod's controller owner reference says.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// `ReplicaSet`, `Job`, `StatefulSet`, …
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// The workload a pod belongs to. A Deployment's ReplicaSets end in the pod's template hash and a CronJob's Jobs in
/// the minute they are for, so neither needs to be watched to know its name.
#[must_use]
pub fn workload<'a>(owner: Owner<'a>, pod_labels: &Pairs) -> &'a str {
    match owner.kind {
        "ReplicaSet" => labels::get(pod_labels, "pod-template-hash")
            .and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'))
            .unwrap_or(owner.name),
        "Job" => match owner.name.rsplit_once('-') {
            // Minutes since the epoch: 8 digits from 1989 to 2160.
            Some((name, minute)) if minute.len() == 8 && minute.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => owner.name,
        },
        _ => owner.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, name: &str, hash: &str, expected: &str) {
        let labels = [("pod-template-hash".into(), hash.into())];
        assert_eq!(workload(Owner { kind, name }, &labels), expected, "{kind} {name}");
    }

    #[test]
    fn the_workload_is_found_by_the_name_of_the_owner() {
        check("ReplicaSet", "web-b54744f54", "b54744f54", "web");
        check("ReplicaSet", "web-b54744f54", "other", "web-b54744f54");
        check("ReplicaSet", "b54744f54", "b54744f54", "b54744f54");
        check("Job", "report-29919310", "", "report");
        check("Job", "import-2026", "", "import-2026");
        check("Job", "always-fails", "", "always-fails");
        check("StatefulSet", "store", "", "store");
    }
}
