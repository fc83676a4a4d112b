//! Where a check may connect. Whoever can write a check can make the collector talk; so addresses inside are refused
//! unless the check's file says otherwise. Every resolved address is judged, at every redirect, and the very address
//! that was judged is the one connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// `address/bits`, or an address alone.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
        (bits <= most).then_some(Self { address, bits })
    }

    /// Whether `address` lies in it; an IPv4-mapped address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, embedded(address)) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                let cut = |address: Ipv4Addr| u32::from(address).checked_shr(shift).unwrap_or(0);
                cut(network) == cut(address)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                let cut = |address: Ipv6Addr| u128::from(address).checked_shr(shift).unwrap_or(0);
                cut(network) == cut(address)
            }
            _ => false,
        }
    }
}

/// Ranges that are not the public internet, and what they are.
/// Source: IANA's special-purpose address registries; the cloud metadata addresses are in the link-local ranges and
/// in `fd00::/8`.
const INSIDE: &[(&str, &str)] = &[
    ("0.0.0.0/8", "this host"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "this host"),
    ("::1/128", "loopback"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
];

/// What an address is when it is not on the public internet.
#[must_use]
pub fn inside(address: IpAddr) -> Option<&'static str> {
    let networks = INSIDE.iter().filter_map(|(network, what)| Some((Network::parse(network)?, what)));
    networks.filter(|(network, _)| network.contains(address)).map(|(_, what)| *what).next()
}

/// The IPv4 address inside an IPv6 one that is only a wrapping (mapped, NAT64, 6to4), else the address itself.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [.., c, d] = v6.segments();
    let low = || Ipv4Addr::from((u32::from(c) << 16) | u32::from(d));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => IpAddr::V4(low()),
        [0x2002, a, b, ..] => IpAddr::V4(Ipv4Addr::from((u32::from(a) << 16) | u32::from(b))),
        _ => address,
    }
}

/// Whether a check may connect to an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Addresses inside are fine, all of them.
    pub allow_private: bool,
    /// These are fine.
    pub allow: Vec<Network>,
}

impl Policy {
    /// What speaks against an address: its kind.
    #[must_use]
    pub fn refuses(&self, address: IpAddr) -> Option<&'static str> {
        if self.allow_private || self.allow.iter().any(|network| network.contains(address)) {
            return None;
        }
        inside(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, expected: Option<&str>) {
        assert_eq!(inside(address.parse().unwrap()), expected, "{address}");
    }

    #[test]
    fn addresses_inside_are_known_in_every_dress() {
        check("8.8.8.8", None);
        check("2606:4700::1111", None);
        check("172.32.0.1", None);
        check("172.31.255.255", Some("private"));
        check("169.254.169.254", Some("link-local"));
        check("fd00:ec2::254", Some("private"));
        check("::ffff:127.0.0.1", Some("loopback"));
        check("64:ff9b::a9fe:a9fe", Some("link-local"));
        check("2002:7f00:1::", Some("loopback"));
        check("0.0.0.0", Some("this host"));
        check("::", Some("this host"));
        check("100.127.0.1", Some("carrier-grade NAT"));
        check("255.255.255.255", Some("reserved"));
    }

    #[test]
    fn an_allow_list_opens_only_what_it_names() {
        let policy = Policy { allow: vec![Network::parse("10.1.0.0/16").unwrap()], ..Policy::default() };
        assert_eq!(policy.refuses("10.1.2.3".parse().unwrap()), None);
        assert_eq!(policy.refuses("10.2.2.3".parse().unwrap()), Some("private"));
        assert_eq!(policy.refuses("::ffff:10.1.2.3".parse().unwrap()), None);
        assert!(Policy { allow_private: true, ..Policy::default() }.refuses("127.0.0.1".parse().unwrap()).is_none());
        assert_eq!(Network::parse("10.0.0.0/33"), None);
        assert!(Network::parse("0.0.0.0/0").unwrap().contains("9.9.9.9".parse().unwrap()));
    }
}
