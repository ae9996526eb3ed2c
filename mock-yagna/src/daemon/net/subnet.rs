//! Addresses of a virtual network: arithmetic only, with the daemon's words for bad input.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::NetError;

/// Mask of a network that names none.
const USUAL_MASK: &str = "255.255.255.0";

/// A network's address as it was given, host part included, and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subnet {
    ip: IpAddr,
    prefix: u8,
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// An address of the same family as `like`.
fn address(like: IpAddr, bits: u128) -> IpAddr {
    match like {
        // The upper bits of a mask are no part of it.
        IpAddr::V4(_) => Ipv4Addr::from_bits((bits & u128::from(u32::MAX)) as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

/// An address that a node can have.
pub(crate) fn host(text: &str) -> Result<IpAddr, NetError> {
    let ip: IpAddr = text.parse()?;
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || broadcast {
        return Err(NetError::NotAllowed(ip));
    }
    Ok(ip)
}

/// An address with a prefix may have zeros before the digits of its parts, three digits at the most.
fn lenient(text: &str) -> Option<IpAddr> {
    let part = |part: &str| {
        let digits = part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
        let number = part.trim_start_matches('0');
        let number = if number.is_empty() && !part.is_empty() {
            "0"
        } else {
            number
        };
        digits.then(|| number.to_owned())
    };
    let plain: Option<Vec<String>> = text.split('.').map(part).collect();
    let plain = plain.map_or_else(|| text.to_owned(), |parts| parts.join("."));
    plain.parse().ok()
}

impl Subnet {
    /// Reads `a.b.c.d/nn`, or an address beside a mask.
    pub(super) fn parse(ip: &str, mask: Option<&str>) -> Result<Subnet, NetError> {
        let Some((address, prefix)) = ip.split_once('/') else {
            let ip: IpAddr = ip.parse()?;
            let prefix = match ip {
                IpAddr::V4(_) => {
                    let mask: Ipv4Addr = mask.unwrap_or(USUAL_MASK).parse()?;
                    // What follows a gap in the mask does not count.
                    mask.to_bits().leading_ones() as u8
                }
                IpAddr::V6(_) => 128,
            };
            return Ok(Subnet { ip, prefix });
        };
        let is_number = prefix.bytes().all(|b| b.is_ascii_digit())
            && (prefix == "0" || !prefix.starts_with('0'));
        let prefix = prefix.parse().ok().filter(|_| is_number);
        let subnet = lenient(address).zip(prefix);
        let subnet = subnet.map(|(ip, prefix)| Subnet { ip, prefix });
        subnet
            .filter(|subnet| subnet.prefix <= width(subnet.ip))
            .ok_or_else(|| NetError::Subnet(ip.to_owned()))
    }

    fn mask_bits(self) -> u128 {
        let host = width(self.ip) - self.prefix;
        u128::MAX.checked_shl(u32::from(host)).unwrap_or(0)
    }

    /// The mask as an address.
    pub(super) fn mask(self) -> IpAddr {
        address(self.ip, self.mask_bits())
    }

    /// The first address that a host can have.
    pub(super) fn first_host(self) -> IpAddr {
        let network = bits(self.ip) & self.mask_bits();
        // Networks of one or two IPv4 addresses, and all of IPv6, have no reserved one.
        let reserved = self.ip.is_ipv4() && self.prefix < 31;
        address(self.ip, network + u128::from(reserved))
    }

    pub(super) fn contains(self, ip: IpAddr) -> bool {
        let differs = (bits(self.ip) ^ bits(ip)) & self.mask_bits();
        ip.is_ipv4() == self.ip.is_ipv4() && address(ip, differs) == address(ip, 0)
    }

    /// `ip` with this network's prefix.
    pub(super) fn with_prefix(self, ip: IpAddr) -> String {
        Subnet { ip, ..self }.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ip: &str, mask: Option<&str>) -> Result<[String; 3], String> {
        let subnet = Subnet::parse(ip, mask).map_err(|error| error.to_string())?;
        Ok([
            subnet.to_string(),
            subnet.mask().to_string(),
            subnet.first_host().to_string(),
        ])
    }

    #[test]
    fn networks_are_read_as_the_daemon_reads_them() {
        for (ip, mask, expected) in [
            (
                "192.168.0.0/24",
                None,
                ["192.168.0.0/24", "255.255.255.0", "192.168.0.1"],
            ),
            (
                "10.0.0.5",
                Some("255.255.0.0"),
                ["10.0.0.5/16", "255.255.0.0", "10.0.0.1"],
            ),
            (
                "10.8.0.0",
                None,
                ["10.8.0.0/24", "255.255.255.0", "10.8.0.1"],
            ),
            (
                "10.8.0.0",
                Some("255.0.255.0"),
                ["10.8.0.0/8", "255.0.0.0", "10.0.0.1"],
            ),
            (
                "10.8.0.0/32",
                None,
                ["10.8.0.0/32", "255.255.255.255", "10.8.0.0"],
            ),
            (
                "10.8.0.0/31",
                None,
                ["10.8.0.0/31", "255.255.255.254", "10.8.0.0"],
            ),
            ("0.0.0.0/0", None, ["0.0.0.0/0", "0.0.0.0", "0.0.0.1"]),
            (
                "010.0.0.0/24",
                None,
                ["10.0.0.0/24", "255.255.255.0", "10.0.0.1"],
            ),
            ("fd00::/8", None, ["fd00::/8", "ff00::", "fd00::"]),
        ] {
            assert_eq!(told(ip, mask), Ok(expected.map(str::to_owned)), "{ip}");
        }
        let address = "Invalid IP address: invalid IP address syntax".to_owned();
        assert_eq!(told("zz", None), Err(address));
        let mask = "Invalid IP address: invalid IPv4 address syntax".to_owned();
        assert_eq!(told("10.8.0.0", Some("zz")), Err(mask));
        for bad in [
            "10.8.0.0/99",
            "zz/24",
            "10.8.0.0/-1",
            "10.8.0.0/",
            "/",
            "10.0.0.0/024",
            "10.0.0.0/+24",
            "10.0.0/24",
        ] {
            assert_eq!(
                told(bad, None),
                Err(format!("Invalid network IP address: {bad}"))
            );
        }
    }

    #[test]
    fn membership_is_by_prefix_and_family() {
        let subnet = Subnet::parse("10.7.1.9/16", None).expect("a network");
        let inside = |ip: &str| subnet.contains(ip.parse().expect("an address"));
        assert!(inside("10.7.255.255") && inside("10.7.0.0"));
        assert!(!inside("10.8.0.0") && !inside("::10.7.0.1") && !inside("::"));
        let all = Subnet::parse("0.0.0.0/0", None).expect("a network");
        assert!(all.contains("255.1.2.3".parse().expect("an address")));
    }
}
