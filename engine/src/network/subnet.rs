//! Addresses of a network: arithmetic only. Owns: reading them, which of them no machine can have, and
//! the order in which they are given away. Does not own: which are given away already (`places.rs`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{NetworkError, ReservedFor};

/// Prefix of an IPv4 network that names none, as the daemon has it.
const USUAL_PREFIX: u8 = 24;

/// A network's address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subnet {
    network: IpAddr,
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
        // What a mask has above 32 bits is no part of an IPv4 address.
        IpAddr::V4(_) => Ipv4Addr::from_bits((bits & u128::from(u32::MAX)) as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

/// Reads an address.
///
/// # Errors
/// [`NetworkError::InvalidAddress`].
pub(super) fn parse(text: &str) -> Result<IpAddr, NetworkError> {
    text.trim()
        .parse()
        .map_err(|_| invalid(text, "it is no IP address"))
}

fn invalid(given: &str, reason: &'static str) -> NetworkError {
    NetworkError::InvalidAddress {
        given: given.chars().take(100).collect(),
        reason,
    }
}

/// Reads a netmask, of either kind.
fn prefix_of(mask: &str) -> Option<u8> {
    match mask.trim().parse::<IpAddr>().ok()? {
        IpAddr::V4(mask) => {
            let bits = mask.to_bits();
            let prefix = bits.leading_ones();
            (bits.count_ones() == prefix).then_some(prefix as u8)
        }
        IpAddr::V6(mask) => {
            let bits = mask.to_bits();
            let prefix = bits.leading_ones();
            (bits.count_ones() == prefix).then_some(prefix as u8)
        }
    }
}

impl Subnet {
    /// Reads `192.168.0.0/24`, or an address beside a mask. Whatever the address has beyond the
    /// prefix is left out.
    ///
    /// # Errors
    /// [`NetworkError::InvalidAddress`], [`NetworkError::InvalidMask`], [`NetworkError::TwoMasks`],
    /// [`NetworkError::TooSmall`].
    pub(crate) fn parse(ip: &str, mask: Option<&str>) -> Result<Subnet, NetworkError> {
        let (host, within) = match ip.split_once('/') {
            Some((host, prefix)) => (host, Some(prefix)),
            None => (ip, None),
        };
        let host =
            parse(host).map_err(|_| invalid(ip, "it is no IP address, with a prefix or not"))?;
        let within = within
            .map(|prefix| {
                let digits = prefix.bytes().all(|b| b.is_ascii_digit());
                let prefix: Option<u8> = prefix.parse().ok().filter(|_| digits);
                prefix
                    .filter(|prefix| *prefix <= width(host))
                    .ok_or_else(|| invalid(ip, "its prefix is no length of this family"))
            })
            .transpose()?;
        let beside = mask
            .map(|mask| {
                let fits = |it: &u8| mask.contains(':') != host.is_ipv4() && *it <= width(host);
                prefix_of(mask)
                    .filter(fits)
                    .ok_or_else(|| NetworkError::InvalidMask {
                        given: mask.chars().take(100).collect(),
                    })
            })
            .transpose()?;
        let prefix = match (within, beside) {
            (Some(within), Some(beside)) if within != beside => {
                return Err(NetworkError::TwoMasks {
                    ip: ip.to_owned(),
                    mask: mask.unwrap_or_default().to_owned(),
                });
            }
            (Some(prefix), _) | (None, Some(prefix)) => prefix,
            (None, None) if host.is_ipv4() => USUAL_PREFIX,
            (None, None) => {
                return Err(invalid(
                    ip,
                    "an IPv6 network needs a prefix, as in `fd00::/64`",
                ));
            }
        };
        let subnet = Subnet {
            network: host,
            prefix,
        };
        let subnet = Subnet {
            network: address(host, bits(host) & subnet.mask_bits()),
            prefix,
        };
        if subnet.last_host_bits() <= subnet.first_host_bits() {
            return Err(NetworkError::TooSmall {
                address: subnet.to_string(),
            });
        }
        let first = subnet.first_host();
        let broadcast = matches!(first, IpAddr::V4(first) if first.is_broadcast());
        if first.is_multicast() || first.is_loopback() || broadcast {
            return Err(invalid(ip, "no machine can have addresses of this range"));
        }
        Ok(subnet)
    }

    /// Its address, the first one of all.
    pub(crate) fn network(self) -> IpAddr {
        self.network
    }

    pub(crate) fn prefix(self) -> u8 {
        self.prefix
    }

    fn mask_bits(self) -> u128 {
        let host = width(self.network) - self.prefix;
        u128::MAX.checked_shl(u32::from(host)).unwrap_or(0)
    }

    /// The mask as an address.
    pub(crate) fn mask(self) -> IpAddr {
        address(self.network, self.mask_bits())
    }

    fn first_host_bits(self) -> u128 {
        // The address of an IPv6 network is the first one of a host as well, as the daemon counts.
        bits(self.network) + u128::from(self.network.is_ipv4())
    }

    fn last_host_bits(self) -> u128 {
        let last = bits(self.network) | (!self.mask_bits() & bits(self.all_ones()));
        last - u128::from(self.network.is_ipv4() && last > 0)
    }

    fn all_ones(self) -> IpAddr {
        address(self.network, u128::MAX)
    }

    /// The first address that a host can have: the daemon gives it to the owner.
    pub(crate) fn first_host(self) -> IpAddr {
        address(self.network, self.first_host_bits())
    }

    pub(crate) fn contains(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.network.is_ipv4()
            && bits(ip) & self.mask_bits() & bits(self.all_ones()) == bits(self.network)
    }

    /// Whether a host can have the address.
    ///
    /// # Errors
    /// [`NetworkError::OutsideNetwork`], [`NetworkError::Reserved`].
    pub(crate) fn check_host(self, ip: IpAddr) -> Result<(), NetworkError> {
        if !self.contains(ip) {
            return Err(NetworkError::OutsideNetwork {
                address: ip,
                network: self.to_string(),
            });
        }
        let what = match bits(ip) {
            bits if bits < self.first_host_bits() => ReservedFor::Network,
            bits if bits > self.last_host_bits() => ReservedFor::Broadcast,
            _ => return Ok(()),
        };
        Err(NetworkError::Reserved { address: ip, what })
    }

    /// The addresses that hosts can have, each once, beginning after `last`.
    pub(super) fn hosts_after(self, last: IpAddr) -> impl Iterator<Item = IpAddr> {
        let (first, end) = (self.first_host_bits(), self.last_host_bits());
        let next = match bits(last) {
            bits if (first..end).contains(&bits) => bits + 1,
            _ => first,
        };
        (next..=end)
            .chain(first..next)
            .map(move |bits| address(self.network, bits))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_is_read_with_a_prefix_or_beside_a_mask() {
        for (given, mask, expected, netmask, first) in [
            (
                "192.168.0.0/24",
                None,
                "192.168.0.0/24",
                "255.255.255.0",
                "192.168.0.1",
            ),
            (
                "192.168.0.0/24",
                Some("255.255.255.0"),
                "192.168.0.0/24",
                "255.255.255.0",
                "192.168.0.1",
            ),
            (
                "10.0.0.5",
                Some("255.255.0.0"),
                "10.0.0.0/16",
                "255.255.0.0",
                "10.0.0.1",
            ),
            ("10.8.0.9", None, "10.8.0.0/24", "255.255.255.0", "10.8.0.1"),
            (
                "10.8.0.4/30",
                None,
                "10.8.0.4/30",
                "255.255.255.252",
                "10.8.0.5",
            ),
            (
                "fd00::7/64",
                None,
                "fd00::/64",
                "ffff:ffff:ffff:ffff::",
                "fd00::",
            ),
        ] {
            let subnet = Subnet::parse(given, mask).expect(given);
            assert_eq!(subnet.to_string(), expected);
            assert_eq!(subnet.mask(), ip(netmask));
            assert_eq!(subnet.first_host(), ip(first));
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_is_wrong_with_it() {
        let refused = |ip: &str, mask| Subnet::parse(ip, mask).expect_err(ip);
        for bad in [
            "zz",
            "",
            "10.0.0/24",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "fd00::",
            "224.0.0.0/8",
            "127.0.0.0/8",
            "fd00::/129",
        ] {
            let error = refused(bad, None);
            assert!(
                matches!(&error, NetworkError::InvalidAddress { given, .. } if given == bad),
                "{error:?}"
            );
        }
        for bad in ["zz", "255.0.255.0", "24", "ffff::"] {
            let error = refused("10.0.0.0", Some(bad));
            assert!(
                matches!(&error, NetworkError::InvalidMask { given } if given == bad),
                "{error:?}"
            );
        }
        let error = refused("10.0.0.0/24", Some("255.255.0.0"));
        assert!(matches!(error, NetworkError::TwoMasks { .. }), "{error:?}");
        for small in ["10.0.0.0/31", "10.0.0.0/32", "fd00::/128"] {
            let error = refused(small, None);
            assert!(matches!(error, NetworkError::TooSmall { .. }), "{error:?}");
        }
    }

    #[test]
    fn hosts_have_neither_the_network_s_address_nor_the_one_of_all() {
        let subnet = Subnet::parse("10.8.0.0/29", None).expect("a network");
        let all: Vec<_> = subnet.hosts_after(ip("10.8.0.4")).collect();
        let expected: Vec<_> = [5, 6, 1, 2, 3, 4]
            .map(|n| ip(&format!("10.8.0.{n}")))
            .into();
        assert_eq!(all, expected);
        assert_eq!(
            subnet.hosts_after(ip("10.8.0.6")).next(),
            Some(ip("10.8.0.1"))
        );
        assert!(matches!(
            subnet.check_host(ip("10.8.0.0")),
            Err(NetworkError::Reserved {
                what: ReservedFor::Network,
                ..
            })
        ));
        assert!(matches!(
            subnet.check_host(ip("10.8.0.7")),
            Err(NetworkError::Reserved {
                what: ReservedFor::Broadcast,
                ..
            })
        ));
        assert!(matches!(
            subnet.check_host(ip("10.8.0.8")),
            Err(NetworkError::OutsideNetwork { .. })
        ));
        assert!(matches!(
            subnet.check_host(ip("fd00::1")),
            Err(NetworkError::OutsideNetwork { .. })
        ));
        assert!(subnet.check_host(ip("10.8.0.6")).is_ok());
    }
}
