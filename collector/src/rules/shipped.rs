//! The rules of `deploy/rules/`, built in: what is used when the config names none.

use yagura_daemon::config::ConfigError;

use super::file::{self, Group};

/// Names and texts of the built-in files.
pub const FILES: &[(&str, &str)] = &[
    ("node.yaml", include_str!("../../../deploy/rules/node.yaml")),
    ("containers.yaml", include_str!("../../../deploy/rules/containers.yaml")),
    ("checks.yaml", include_str!("../../../deploy/rules/checks.yaml")),
    ("yagura.yaml", include_str!("../../../deploy/rules/yagura.yaml")),
    ("logs.yagura.yaml", include_str!("../../../deploy/rules/logs.yagura.yaml")),
];

/// The built-in groups.
pub fn groups() -> Result<Vec<Group>, ConfigError> {
    let mut groups = Vec::new();
    for (name, text) in FILES {
        groups.extend(file::parse(&format!("built-in/{name}"), text)?);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_are_good() {
        let groups = groups().unwrap();
        assert_eq!(groups.len(), FILES.len());
        let on_disk = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/rules")).unwrap();
        let on_disk = on_disk.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "yaml"));
        assert_eq!(on_disk.count(), FILES.len(), "every file of deploy/rules is built in");
    }
}
