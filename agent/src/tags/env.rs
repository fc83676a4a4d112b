//! Evidence in a container's environment: Datadog's and OpenTelemetry's variables.

/// The value of a variable; of two with one name the last, as the program sees it.
#[must_use]
pub fn get<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter().rev().find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='))
}

/// The value of `key` in `OTEL_RESOURCE_ATTRIBUTES`: pairs `key=value` separated by commas, percent-encoded.
/// A pair that is none is passed over, the others count.
#[must_use]
pub fn otel_resource(env: &[String], key: &str) -> Option<String> {
    let pairs = get(env, "OTEL_RESOURCE_ATTRIBUTES")?.split(',');
    let mut decoded = pairs.filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decode(name), value));
    decoded.find(|(name, _)| name == key).map(|(_, value)| decode(value))
}

/// `text` with `%2C` and the like replaced. What is no such sequence stays as it is; bytes that are not UTF-8 are
/// replaced.
fn decode(text: &str) -> String {
    let text = text.trim();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.split_first_chunk::<2>()).flatten();
        let byte = escaped.and_then(|(digits, after)| Some((hex(*digits)?, after)));
        let (byte, after) = byte.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variable: &str, key: &str, expected: Option<&str>) {
        let env = ["PATH=/bin".to_owned(), format!("OTEL_RESOURCE_ATTRIBUTES={variable}")];
        assert_eq!(otel_resource(&env, key).as_deref(), expected, "{variable}");
    }

    #[test]
    fn otel_resource_attributes_are_percent_encoded_pairs() {
        check("service.name=shop,service.version=1", "service.name", Some("shop"));
        check(" service.name = shop ", "service.name", Some("shop"));
        check("service.name=a%2Cb%20%E6%AB%93", "service.name", Some("a,b 櫓"));
        check("x,service.name=shop,=", "service.name", Some("shop"));
        check("service.name=100%,x=%zz%4", "service.name", Some("100%"));
        check("service.name=%FF", "service.name", Some("\u{fffd}"));
        check("service.name=a=b", "service.name", Some("a=b"));
        check("my.service.name=x", "service.name", None);
        check("", "service.name", None);
    }

    #[test]
    fn of_two_variables_the_last_counts_and_a_prefix_is_none() {
        let env = ["A=1", "AB=2", "A=3", "B"].map(ToOwned::to_owned);
        assert_eq!(get(&env, "A"), Some("3"));
        assert_eq!(get(&env, "B"), None);
    }
}
