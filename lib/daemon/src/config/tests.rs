use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields, default)]
struct Config {
    listen: String,
    retries: u32,
    quiet: bool,
    sources: Sources,
    endpoints: Vec<String>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields, default)]
struct Sources {
    host: Option<Host>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Host {
    interval: DurationText,
    #[serde(default)]
    memory: SizeText,
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        for (number, endpoint) in self.endpoints.iter().enumerate() {
            if !endpoint.starts_with("http") {
                faults.add(format_args!("endpoints[{number}]"), "expected an address");
            }
        }
        if let Some(host) = &self.sources.host {
            faults.within("sources.host", |faults| {
                if host.interval.0.is_zero() {
                    faults.add("interval", "expected more than nothing");
                }
                if host.memory.0 == 1 {
                    faults.add("memory", "expected more");
                }
            });
        }
    }
}

fn environment() -> HashMap<String, String> {
    [("NODE", "n1"), ("TRICKY", "a: b # c"), ("EMPTY", "")].map(|(name, value)| (name.into(), value.into())).into()
}

/// A config and what a person is told about it, without the file's name.
fn check(text: &str, expected: &str) {
    let said = match parse::<Config>("c.yaml", text, &environment()) {
        Ok(config) => format!("{config:?}"),
        Err(error) => error.to_string().replace("c.yaml:", ""),
    };
    assert_eq!(said, expected, "for:\n{text}");
}

#[test]
fn faults_of_type_say_place_key_and_expectation() {
    check("retries: many", "1:10: retries: expected a whole number that is not negative");
    check("retries: -1", "1:10: retries: expected a whole number that is not negative");
    check("quiet: yes", "1:8: quiet: expected true or false");
    check(
        "sources:\n  host:\n    interval: soon",
        "3:5: sources.host.interval: expected a duration such as 10s, 1h30m or 15d, found string \"soon\"",
    );
    check(
        "sources:\n  host: {interval: 10s, memory: 1mb}",
        "2:25: sources.host.memory: expected a size such as 64MiB or 1GiB, found string \"1mb\"",
    );
    check("endpoints: 5", "1:12: endpoints: expected sequence start");
}

#[test]
fn unknown_and_missing_keys_are_named_with_the_nearest_known_one() {
    check(
        "listen: x\nsources:\n  hots: {}",
        "3:3: sources.hots: unknown key, expected one of host; did you mean host?",
    );
    check("zzz: 1", "1:1: zzz: unknown key, expected one of listen, retries, quiet, sources, endpoints");
    check("sources:\n  host: {}", "2:9: sources.host.interval: expected a value: this key is required");
    check("listen: a\nlisten: b", "2:1: listen: this key is given twice");
}

#[test]
fn every_fault_of_validation_is_told_with_its_place() {
    check(
        "endpoints:\n  - http://a\n  - b\n  - c\nsources: {host: {interval: 0s, memory: 1}}",
        "3:5: endpoints[1]: expected an address\n4:5: endpoints[2]: expected an address\n\
         5:18: sources.host.interval: expected more than nothing\n5:32: sources.host.memory: expected more",
    );
}

#[test]
fn the_environment_is_put_in_as_text_not_as_yaml() {
    let config: Config =
        parse("c", "listen: ${TRICKY}\nendpoints: [\"http://${NODE}:1\", 'http${NONE:-s}']", &environment()).unwrap();
    assert_eq!(config.listen, "a: b # c");
    assert_eq!(config.endpoints, ["http://n1:1", "https"]);
    let config: Config = parse("c", "listen: ${EMPTY:-default}\nretries: ${NONE:-3}", &environment()).unwrap();
    assert_eq!((config.listen.as_str(), config.retries), ("default", 3));
    check(
        "listen: ${NOPE}",
        "1:9: listen: the environment variable NOPE is not set; write ${NOPE:-default} to do without it",
    );
}

#[test]
fn a_file_of_comments_is_a_config_of_defaults() {
    for text in ["", "# nothing\n\n", "---\n# nothing"] {
        assert_eq!(parse::<Config>("c", text, &environment()), Ok(Config::default()));
    }
}

#[test]
fn text_that_is_no_yaml_has_a_place_too() {
    let error = parse::<Config>("c.yaml", "listen: [1\nretries: 2", &environment()).unwrap_err();
    assert!(error.faults[0].place.is_some(), "{error}");
    let error = load::<Config>(Path::new("/nonexistent/c.yaml")).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/c.yaml: cannot read the file: "), "{error}");
}

#[test]
fn other_formats_keep_their_dollars() {
    let config: Config = parse_verbatim("c", "listen: ${NOPE} $x").unwrap();
    assert_eq!(config.listen, "${NOPE} $x");
    assert_eq!(place_of("groups:\n  - rules:\n      - expr: up", "groups[0].rules[0].expr"), Some((3, 9)));
}
