//! Which hosts a function may reach, and in which networks they may be.
//!
//! A host is allowed by its origin: `https://api.example.com`, with a port where it is not the scheme's own;
//! `https://*.example.com` stands for every name below. Private, loopback and link-local addresses are out of reach even
//! under an allowed name, unless the entry itself is such an address or `localhost`, or their network is allowed too.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What a function may reach. By default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    /// The origins.
    pub origins: Vec<Origin>,
    /// Private networks that allowed names may be in.
    pub networks: Vec<Network>,
}

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `http` or `https`.
    scheme: String,
    /// Lower case; of an IPv6 address without brackets; without the `*.` of a wildcard.
    host: String,
    /// True when names below `host` are meant.
    below: bool,
    port: u16,
}

/// An IP network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl AllowedHosts {
    /// True when a request may go there, by its name.
    #[must_use]
    pub fn allow(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.origins.iter().any(|origin| origin.scheme == scheme && origin.port == port && origin.names(host))
    }

    /// True when an allowed host may be at this address.
    #[must_use]
    pub fn allow_address(&self, host: &str, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if !is_private(address) || self.networks.iter().any(|network| network.contains(address)) {
            return true;
        }
        // An address was named as such, so it is meant; and everybody knows where localhost is.
        host.parse::<IpAddr>().is_ok_and(|named| named.to_canonical() == address)
            || (host == "localhost" && address.is_loopback())
    }
}

impl Origin {
    fn names(&self, host: &str) -> bool {
        if self.below {
            return host.strip_suffix(self.host.as_str()).is_some_and(|label| label.len() > 1 && label.ends_with('.'));
        }
        self.host == host
    }
}

impl FromStr for Origin {
    type Err = &'static str;

    /// Reads `SCHEME://HOST[:PORT]`. The error is a clause that fits after the text.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "is no origin such as https://api.example.com or http://localhost:8080";
        let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return Err("has a scheme that handlers cannot speak: http and https they can"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err("has more than scheme, host and port: whole hosts are allowed, not paths");
        }
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => {
                host.parse::<Ipv6Addr>().map_err(|_| FORM)?;
                (host, port.strip_prefix(':'))
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            Some(port) => port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(FORM)?,
            None => default_port,
        };
        let (host, below) = host.strip_prefix("*.").map_or((host, false), |host| (host, true));
        let is_name = |host: &str| {
            let is_label = |label: &str| {
                !label.is_empty()
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            };
            host.trim_end_matches('.').split('.').all(is_label)
        };
        if !(is_name(host) || host.parse::<Ipv6Addr>().is_ok()) {
            return Err(FORM);
        }
        Ok(Self { scheme, host: host.to_ascii_lowercase(), below, port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, below, port } = self;
        let below = if *below { "*." } else { "" };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{below}{host}:{port}")
        }
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    /// Reads `ADDRESS/BITS`. The error is a clause that fits after the text.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "is no network such as 10.0.0.0/8 or fd00::/8";
        let (address, bits) = text.split_once('/').ok_or(FORM)?;
        let address: IpAddr = address.parse().map_err(|_| FORM)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse::<u8>().ok().filter(|bits| *bits <= most).ok_or(FORM)?;
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// True for an address that is not of the public Internet: one's own machine, one's own networks, a cloud's metadata.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                || address == Ipv4Addr::BROADCAST
                || first == 0
                // Carriers' own (RFC 6598), protocol assignments (RFC 6890), benchmarks (RFC 2544), reserved.
                || (first == 100 && (64..128).contains(&second))
                || (first == 192 && second == 0)
                || (first == 198 && (second == 18 || second == 19))
                || first >= 240
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                // NAT64 (RFC 6052) and 6to4 (RFC 3056) carry IPv4 addresses, private ones too.
                || matches!(address.segments(), [0x64, 0xff9b, ..] | [0x2002, ..])
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn hosts(origins: &[&str], networks: &[&str]) -> AllowedHosts {
        AllowedHosts {
            origins: origins.iter().map(|origin| origin.parse().unwrap()).collect(),
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_less() {
        let hosts = hosts(&["https://API.example.com", "http://localhost:8080", "https://*.amazonaws.com"], &[]);
        for (scheme, host, port) in [
            ("https", "api.example.com", 443),
            ("http", "localhost", 8080),
            ("https", "sqs.eu-west-1.amazonaws.com", 443),
        ] {
            assert!(hosts.allow(scheme, host, port), "{host}");
        }
        for (scheme, host, port) in [
            ("http", "api.example.com", 80),
            ("https", "api.example.com", 8443),
            ("https", "evil-api.example.com", 443),
            ("https", "api.example.com.evil.org", 443),
            ("https", "amazonaws.com", 443),
            ("https", "evilamazonaws.com", 443),
        ] {
            assert!(!hosts.allow(scheme, host, port), "{host}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_its_form() {
        for text in
            ["api.example.com", "https://", "https://a/b", "https://u@a", "ftp://a", "https://a:0", "https://a b"]
        {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
        assert_eq!("http://[::1]:80".parse::<Origin>().unwrap().to_string(), "http://[::1]:80");
    }

    #[test]
    fn an_allowed_name_does_not_lead_into_private_networks() {
        let hosts = hosts(&["https://api.example.com"], &["10.1.0.0/16", "fd00::/8"]);
        let may = |address: &str| hosts.allow_address("api.example.com", address.parse().unwrap());
        for address in ["93.184.216.34", "2606:2800:220:1::1", "10.1.2.3", "fd00::5"] {
            assert!(may(address), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.2.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "::ffff:127.0.0.1",
            "fe80::1",
            "fc00::1",
            "64:ff9b::7f00:1",
        ] {
            assert!(!may(address), "{address}");
        }
    }

    #[test]
    fn an_address_that_is_named_as_such_is_meant() {
        let hosts = hosts(&["http://127.0.0.1:9324"], &[]);
        assert!(hosts.allow_address("127.0.0.1", "127.0.0.1".parse().unwrap()));
        assert!(hosts.allow_address("localhost", "::1".parse().unwrap()));
        assert!(!hosts.allow_address("localhost", "10.0.0.1".parse().unwrap()));
    }
}
