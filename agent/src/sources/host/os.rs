//! Which system is installed: `os-release`.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, gauge},
};

const INFO: Metric = gauge("node_os_info", "", "The installed system, in its labels; always 1.");
const VERSION: Metric = gauge("node_os_version", "", "The version of the installed system, as far as it is a number.");

pub(super) const METRICS: &[Metric] = &[INFO, VERSION];

/// Labels and the variables they are from.
const LABELS: [(&str, &str); 12] = [
    ("build_id", "BUILD_ID"),
    ("id", "ID"),
    ("id_like", "ID_LIKE"),
    ("image_id", "IMAGE_ID"),
    ("image_version", "IMAGE_VERSION"),
    ("name", "NAME"),
    ("pretty_name", "PRETTY_NAME"),
    ("variant", "VARIANT"),
    ("variant_id", "VARIANT_ID"),
    ("version", "VERSION"),
    ("version_codename", "VERSION_CODENAME"),
    ("version_id", "VERSION_ID"),
];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let file = if host.root("etc/os-release").is_ok() { "etc/os-release" } else { "usr/lib/os-release" };
    let text = host.root(file)?;
    let labels = LABELS.map(|(label, name)| (label, variable(text, name)));
    sampler.put_info(&INFO, &labels);
    // The first two numbers count: 22.04, 12.
    let id = variable(text, "VERSION_ID");
    let end = id.match_indices('.').nth(1).map_or(id.len(), |(at, _)| at);
    if let Some(version) = id.get(..end).and_then(|id| id.parse::<f64>().ok()) {
        let labels = ["ID", "ID_LIKE", "NAME"].map(|name| variable(text, name));
        let [id, like, name] = labels;
        sampler.put_value(&VERSION, &[("id", id), ("id_like", like), ("name", name)], version);
    }
    Ok(())
}

/// The value of a shell assignment, without its quotes.
fn variable<'a>(text: &'a str, name: &str) -> &'a str {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
    let unquoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    unquoted.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::variable;

    #[test]
    fn quotes_are_taken_off_and_other_names_left_alone() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nNAME='Debian'\nVERSION_ID=12\nID=\n";
        assert_eq!(variable(text, "NAME"), "Debian");
        assert_eq!(variable(text, "PRETTY_NAME"), "Debian GNU/Linux 12");
        assert_eq!(variable(text, "VERSION_ID"), "12");
        assert_eq!((variable(text, "ID"), variable(text, "VERSION")), ("", ""));
    }
}
