//! Which addresses a request to a caller's URL may be sent to.
//!
//! Ferry posts to and reads URLs that its callers choose, from inside its operator's network. This
//! module separates the two: it refuses every address that is not globally routable unicast, unless
//! the operator has allowed its network. It checks addresses; [`caller_url`](super::caller_url)
//! checks a URL's text. If this module is wrong, a caller can make Ferry send requests to the
//! operator's private hosts or to the cloud's own services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The networks that an operator has opened to callers' URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedNetworks(Vec<IpNet>);

/// An entry of a list of networks that is not one in CIDR notation, or has bits set after its
/// prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {position} is not a network such as 10.20.0.0/16")]
pub struct InvalidNetwork {
    /// From 1.
    pub position: usize,
}

/// Which addresses one URL may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses, and addresses in the allowed networks.
    Public,
    /// Addresses in the allowed networks only: for `http`, and for names that have a meaning in a
    /// private network only.
    AllowedNetworks,
}

/// Why an address was refused. For the log: callers do not see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusedAddress {
    /// A link-local address, or one at which a cloud serves credentials. No setting allows these.
    #[error("an address at which a cloud serves credentials")]
    CloudService,
    /// Not globally routable unicast, and not in an allowed network.
    #[error("not a public address")]
    NotPublic,
    /// Not in an allowed network, although the URL requires it.
    #[error("not in an allowed network")]
    OutsideAllowedNetworks,
}

impl AllowedNetworks {
    /// The position, from 1, of the first entry that contains every address of its family.
    #[must_use]
    pub fn position_of_all_addresses(&self) -> Option<usize> {
        self.first(|network| network.prefix_len() == 0)
    }

    /// The position, from 1, of the first entry that contains an address by which a host reaches
    /// itself or its own link.
    #[must_use]
    pub fn position_of_loopback_or_link_local(&self) -> Option<usize> {
        // Two networks overlap when one contains the other.
        let overlaps =
            |network: &IpNet, own: &IpNet| network.contains(own) || own.contains(network);
        self.first(|network| OWN_HOST.iter().any(|own| overlaps(network, own)))
    }

    fn first(&self, matches: impl Fn(&IpNet) -> bool) -> Option<usize> {
        self.0.iter().position(matches).map(|index| index + 1)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares an IPv6 address with IPv6 networks only, whatever it embeds: 127.0.0.0/8 does not
    /// contain `::ffff:127.0.0.1`.
    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Reads a list in CIDR notation, separated by commas, white space or both. An empty list allows no
/// network. The error has the position of the first entry that is not a network, and does not quote
/// it.
impl FromStr for AllowedNetworks {
    type Err = InvalidNetwork;

    fn from_str(list: &str) -> Result<Self, InvalidNetwork> {
        list.split(|c: char| c == ',' || c.is_whitespace())
            .filter(|entry| !entry.is_empty())
            .zip(1..)
            .map(|(entry, position)| {
                entry
                    .parse()
                    .ok()
                    // `10.1.2.3/8` is a mistake: either half may be the one that was meant.
                    .filter(|network: &IpNet| *network == network.trunc())
                    .ok_or(InvalidNetwork { position })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Reach {
    /// Decides whether a request may be sent to `address`.
    ///
    /// An IPv6 address that embeds an IPv4 address (mapped, compatible, translated, NAT64, 6to4,
    /// Teredo) is a second way to write the IPv4 address, and a gateway on the path may translate
    /// it. A receiver that is reachable over IPv4 never needs this form. It is refused unless an
    /// allowed network contains it, and then the embedded address must be allowed as well: opening
    /// `64:ff9b::/96` for a NAT64 gateway does not open 10.0.0.0/8 behind it.
    ///
    /// # Errors
    ///
    /// The reason for the refusal.
    pub fn check(self, address: IpAddr, allowed: &AllowedNetworks) -> Result<(), RefusedAddress> {
        let embedded = embedded_ipv4(address).map(IpAddr::V4);
        if is_cloud_service(address) || embedded.is_some_and(is_cloud_service) {
            return Err(RefusedAddress::CloudService);
        }
        if allowed.contains(address) {
            return match embedded {
                Some(inner) if !is_globally_routable(inner) && !allowed.contains(inner) => {
                    Err(RefusedAddress::NotPublic)
                }
                _ => Ok(()),
            };
        }
        match self {
            Self::Public if is_globally_routable(address) => Ok(()),
            Self::Public => Err(RefusedAddress::NotPublic),
            Self::AllowedNetworks => Err(RefusedAddress::OutsideAllowedNetworks),
        }
    }
}

/// Whether an address is globally routable unicast, by the IANA special-purpose address registries
/// ([IPv4], [IPv6]).
///
/// Stricter than their column "globally reachable" where no receiver can run: relay and DNS
/// anycast, and all of `2001::/23`.
///
/// [IPv4]: https://www.iana.org/assignments/iana-ipv4-special-registry
/// [IPv6]: https://www.iana.org/assignments/iana-ipv6-special-registry
#[must_use]
pub fn is_globally_routable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !is_cloud_service(address) && !SPECIAL_IPV4.iter().any(|network| network.contains(&v4))
        }
        IpAddr::V6(v6) => {
            GLOBAL_UNICAST_IPV6.contains(&v6)
                && !SPECIAL_IPV6.iter().any(|network| network.contains(&v6))
        }
    }
}

/// The addresses at which clouds serve credentials, configuration and health to the machine itself.
fn is_cloud_service(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || CLOUD_SERVICES_IPV4.contains(&v4),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || CLOUD_SERVICES_IPV6
                    .iter()
                    .any(|network| network.contains(&v6))
        }
    }
}

/// The IPv4 address that an IPv6 address embeds, by the schemes with a fixed layout.
fn embedded_ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else {
        return None;
    };
    let bits = v6.to_bits();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the lowest 32 bits are what is asked for"
    )]
    let low = bits as u32;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "bits 16 to 48, counted from the highest"
    )]
    let after_6to4_prefix = (bits >> 80) as u32;
    match v6.segments() {
        // `::` and `::1` are not IPv4-compatible addresses (RFC 4291, 2.5).
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Compatible and mapped (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052; RFC 8215 for
        // local-use prefixes).
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _]
        | [0x64, 0xff9b, 1, ..] => Some(low.into()),
        // Teredo inverts the bits of the client's address (RFC 4380, 4).
        [0x2001, 0, ..] => Some((!low).into()),
        [0x2002, ..] => Some(after_6to4_prefix.into()),
        _ => None,
    }
}

/// Addresses by which a host reaches itself or its own link. Linux treats the unspecified address
/// as loopback.
const OWN_HOST: [IpNet; 8] = [
    IpNet::V4(ipv4([0, 0, 0, 0], 8)),
    IpNet::V4(ipv4([127, 0, 0, 0], 8)),
    IpNet::V4(ipv4([169, 254, 0, 0], 16)),
    IpNet::V6(ipv6([0, 0, 0], 127)), // unspecified and loopback, RFC 4291
    IpNet::V6(ipv6([0xfe80, 0, 0], 10)),
    IpNet::V6(mapped([0, 0, 0, 0], 8)),
    IpNet::V6(mapped([127, 0, 0, 0], 8)),
    IpNet::V6(mapped([169, 254, 0, 0], 16)),
];

/// Besides the link-local network, which is refused as a whole.
const CLOUD_SERVICES_IPV4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(168, 63, 129, 16), // Azure's platform address, otherwise public
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba Cloud's metadata
    Ipv4Addr::new(192, 0, 0, 192),   // Oracle Cloud's metadata, first generation
];

/// Besides the link-local network.
const CLOUD_SERVICES_IPV6: [Ipv6Net; 2] = [
    // AWS: metadata at ::254, DNS at ::253, time at ::123, EKS Pod Identity at ::23
    ipv6([0xfd00, 0xec2, 0], 32),
    // Google Cloud: metadata at ::254
    ipv6([0xfd20, 0xce, 0], 32),
];

const SPECIAL_IPV4: [Ipv4Net; 18] = [
    ipv4([0, 0, 0, 0], 8),       // "this network", RFC 791
    ipv4([10, 0, 0, 0], 8),      // private use, RFC 1918
    ipv4([100, 64, 0, 0], 10),   // shared by carriers, RFC 6598
    ipv4([127, 0, 0, 0], 8),     // loopback, RFC 1122
    ipv4([169, 254, 0, 0], 16),  // link-local, RFC 3927
    ipv4([172, 16, 0, 0], 12),   // private use, RFC 1918
    ipv4([192, 0, 0, 0], 24),    // protocol assignments, RFC 6890
    ipv4([192, 0, 2, 0], 24),    // documentation, RFC 5737
    ipv4([192, 31, 196, 0], 24), // AS112 anycast, RFC 7535
    ipv4([192, 52, 193, 0], 24), // AMT relay anycast, RFC 7450
    ipv4([192, 88, 99, 0], 24),  // 6to4 relay anycast, RFC 7526
    ipv4([192, 168, 0, 0], 16),  // private use, RFC 1918
    ipv4([192, 175, 48, 0], 24), // AS112 anycast, RFC 7534
    ipv4([198, 18, 0, 0], 15),   // benchmarking, RFC 2544
    ipv4([198, 51, 100, 0], 24), // documentation, RFC 5737
    ipv4([203, 0, 113, 0], 24),  // documentation, RFC 5737
    ipv4([224, 0, 0, 0], 4),     // multicast, RFC 5771
    ipv4([240, 0, 0, 0], 4),     // reserved, RFC 1112, and the broadcast address
];

/// Global unicast, RFC 4291. Every other address is reserved, local or multicast, and so refused
/// without an entry below.
const GLOBAL_UNICAST_IPV6: Ipv6Net = ipv6([0x2000, 0, 0], 3);

const SPECIAL_IPV6: [Ipv6Net; 5] = [
    ipv6([0x2001, 0, 0], 23), // protocol assignments with Teredo and ORCHID, RFC 2928
    ipv6([0x2001, 0xdb8, 0], 32), // documentation, RFC 3849
    ipv6([0x2002, 0, 0], 16), // 6to4, RFC 3056
    ipv6([0x2620, 0x4f, 0x8000], 48), // AS112 anycast, RFC 7534
    ipv6([0x3fff, 0, 0], 20), // documentation, RFC 9637
];

const fn ipv4([a, b, c, d]: [u8; 4], prefix_bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_bits)
}

const fn ipv6([a, b, c]: [u16; 3], prefix_bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix_bits)
}

/// A network of IPv4-mapped IPv6 addresses, `::ffff:a.b.c.d`.
const fn mapped([a, b, c, d]: [u8; 4], prefix_bits: u8) -> Ipv6Net {
    let address = Ipv4Addr::new(a, b, c, d).to_ipv6_mapped();
    Ipv6Net::new_assert(address, 96 + prefix_bits)
}

#[cfg(test)]
mod tests;
