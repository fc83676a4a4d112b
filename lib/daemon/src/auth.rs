//! Who may ask: the rules of a listener that leaves this machine, and bearer tokens.
//!
//! A listener on loopback needs nothing. One that others can reach needs a token or client certificates, and a token
//! that leaves the machine needs TLS; anything else is a config error unless the user says `insecure`.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Uri, header::AUTHORIZATION};
use subtle::ConstantTimeEq as _;

use crate::{config::Faults, secret::Secret};

/// How a listener is guarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Requests must carry a bearer token.
    pub token: bool,
    /// The listener speaks TLS.
    pub tls: bool,
    /// The user said that none of this is wanted.
    pub insecure: bool,
}

/// Adds a fault when `listen` can be reached from outside without the protection that needs.
pub fn check_listener(key: &str, listen: SocketAddr, guard: Guard, faults: &mut Faults) {
    if guard.insecure || listen.ip().to_canonical().is_loopback() || (guard.token && guard.tls) {
        return;
    }
    let missing = match (guard.token, guard.tls) {
        (false, false) => "a token file and TLS",
        (false, true) => "a token file",
        _ => "TLS, or the token can be read on the way",
    };
    faults.add(
        key,
        format_args!(
            "expected a loopback address: {listen} can be reached from other machines, which needs {missing} \
             (or `insecure: true`)"
        ),
    );
}

/// Adds a fault when a token would be sent in the clear to another machine.
pub fn check_endpoint(key: &str, endpoint: &Uri, sends_token: bool, insecure: bool, faults: &mut Faults) {
    if insecure || !sends_token || endpoint.scheme_str() != Some("http") || is_this_machine(endpoint) {
        return;
    }
    faults.add(key, "expected https: the token would be readable on the way (or say `insecure: true`)");
}

/// Whether the host of `uri` is loopback by its spelling; names other than `localhost` are not looked up.
#[must_use]
pub fn is_this_machine(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Whether the request carries this bearer token; the time it takes does not tell how much of it was right.
#[must_use]
pub fn has_bearer(headers: &HeaderMap, token: &Secret) -> bool {
    let value = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let Some((scheme, given)) = value.split_at_checked(7) else { return false };
    scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.trim_ascii().ct_eq(token.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str, guard: Guard) -> Vec<String> {
        let mut faults = Faults::default();
        check_listener("listen", address.parse().unwrap(), guard, &mut faults);
        faults.texts()
    }

    #[test]
    fn loopback_needs_no_guard() {
        for address in ["127.0.0.1:1", "127.8.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(listener(address, Guard::default()), Vec::<String>::new(), "{address}");
        }
    }

    #[test]
    fn an_open_listener_is_a_fault_that_says_the_way_out() {
        let open = listener("0.0.0.0:7400", Guard::default());
        assert!(open[0].contains("needs a token file and TLS (or `insecure: true`)"), "{open:?}");
        let only_token = listener("[::]:7400", Guard { token: true, ..Guard::default() });
        assert!(only_token[0].contains("needs TLS"), "{only_token:?}");
        assert!(listener("10.0.0.1:1", Guard { token: true, tls: true, insecure: false }).is_empty());
        assert!(listener("10.0.0.1:1", Guard { insecure: true, ..Guard::default() }).is_empty());
    }

    #[test]
    fn a_token_is_not_sent_in_the_clear_off_this_machine() {
        let faults = |uri: &str, token, insecure| {
            let mut faults = Faults::default();
            check_endpoint("endpoints", &uri.parse().unwrap(), token, insecure, &mut faults);
            faults.texts().len()
        };
        assert_eq!(faults("http://collector:7417", true, false), 1);
        assert_eq!(faults("http://collector:7417", true, true), 0);
        assert_eq!(faults("http://collector:7417", false, false), 0);
        assert_eq!(faults("https://collector:7417", true, false), 0);
        assert_eq!(faults("http://localhost:7417", true, false), 0);
        assert_eq!(faults("http://[::1]:7417", true, false), 0);
        assert_eq!(faults("http://127.0.0.1.evil.example:7417", true, false), 1);
    }

    #[test]
    fn only_the_whole_token_is_let_in() {
        let token = Secret::new("abc");
        let asks = |value: &str| has_bearer(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]), &token);
        assert!(asks("Bearer abc") && asks("bearer abc"));
        for wrong in ["Bearer ab", "Bearer abcd", "Basic abc", "abc", "Bearer "] {
            assert!(!asks(wrong), "{wrong}");
        }
        assert!(!has_bearer(&HeaderMap::new(), &token));
    }
}
