//! Evidence in an image reference: `[registry[:port]/]path/name[:tag][@digest]`.

/// The parts of an image reference that say something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Image<'a> {
    /// The last part of its path: `web` of `registry.example.com:5000/shop/web:1.4.2`.
    pub name: Option<&'a str>,
    /// Its tag.
    pub tag: Option<&'a str>,
}

/// Takes a reference apart. An image given by its id (`sha256:…`, or 12 and more hexadecimal digits) has no name.
#[must_use]
pub fn parse(reference: &str) -> Image<'_> {
    let reference = reference.trim();
    let undigested = reference.split_once('@').map_or(reference, |(before, _)| before);
    // A colon before the last slash belongs to the registry's port.
    let last = undigested.rsplit_once('/').map_or(undigested, |(_, last)| last);
    let (name, tag) = last.split_once(':').map_or((last, None), |(name, tag)| (name, Some(tag)));
    let is_id = |text: &str| text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id(reference) || (name == "sha256" && tag.is_some_and(is_id)) {
        return Image::default();
    }
    Image { name: Some(name).filter(|name| !name.is_empty()), tag: tag.filter(|tag| !tag.is_empty()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &str, name: Option<&str>, tag: Option<&str>) {
        assert_eq!(parse(reference), Image { name, tag }, "{reference}");
    }

    #[test]
    fn the_short_name_is_the_last_part_of_the_path() {
        check("nginx", Some("nginx"), None);
        check("nginx:1.27-alpine", Some("nginx"), Some("1.27-alpine"));
        check("library/redis", Some("redis"), None);
        check("docker.io/library/redis:7", Some("redis"), Some("7"));
        check("localhost:5000/web", Some("web"), None);
        check("registry.example.com:5000/shop/web:1.4.2", Some("web"), Some("1.4.2"));
        check("ghcr.io/a/b/c@sha256:0123456789abcdef", Some("c"), None);
        check("ghcr.io/a/b/c:v1@sha256:0123456789abcdef", Some("c"), Some("v1"));
        check("[::1]:5000/web:2", Some("web"), Some("2"));
        check("localhost/podman-built:latest", Some("podman-built"), Some("latest"));
        check(" nginx ", Some("nginx"), None);
    }

    #[test]
    fn an_id_is_no_name() {
        check("sha256:ead68cc2291a87e4cf1fe00b1bfed745142285f75e5a94a427d8b817001eb4c4", None, None);
        check("ead68cc2291a87e4cf1fe00b1bfed745142285f75e5a94a427d8b817001eb4c4", None, None);
        check("ead68cc2291a", None, None);
        check("cafe", Some("cafe"), None);
    }

    #[test]
    fn nonsense_has_no_parts() {
        check("", None, None);
        check("a/", None, None);
        check("a/:", None, None);
        check("@sha256:00", None, None);
    }
}
