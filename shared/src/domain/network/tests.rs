use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn allowed(list: &str) -> AllowedNetworks {
    list.parse::<AllowedNetworks>().unwrap()
}

/// Special blocks. The addresses directly before and after each, if any, are public.
const SPECIAL_BLOCKS: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "::/3",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
];

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => Some(Ipv4Addr::from_bits(v4.to_bits().checked_sub(1)?).into()),
        IpAddr::V6(v6) => Some(Ipv6Addr::from_bits(v6.to_bits().checked_sub(1)?).into()),
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => Some(Ipv4Addr::from_bits(v4.to_bits().checked_add(1)?).into()),
        IpAddr::V6(v6) => Some(Ipv6Addr::from_bits(v6.to_bits().checked_add(1)?).into()),
    }
}

#[test]
fn every_special_block_ends_where_the_registry_says() {
    for block in SPECIAL_BLOCKS {
        let block: IpNet = block.parse().unwrap();
        let (first, last) = (block.network(), block.broadcast());
        for special in [first, last] {
            assert!(!is_globally_routable(special), "{special}");
        }
        for public in [before(first), after(last)].into_iter().flatten() {
            assert!(is_globally_routable(public), "{public}");
        }
    }
}

#[test]
fn an_ipv6_address_after_global_unicast_is_not_public() {
    assert!(is_globally_routable(ip("3fff:ffff::")));
    for address in [
        "4000::", "5f00::1", "fc00::1", "fd00::1", "fe80::1", "fec0::1", "ff02::1",
    ] {
        assert!(!is_globally_routable(ip(address)), "{address}");
    }
}

#[test]
fn an_allowed_network_allows_only_the_addresses_that_it_contains() {
    let allowed = allowed("127.0.0.1/32, ::1/128 10.20.0.0/16,fd12::/16");
    for address in ["127.0.0.1", "::1", "10.20.255.255", "fd12:3456::1"] {
        assert_eq!(
            Reach::Public.check(ip(address), &allowed),
            Ok(()),
            "{address}"
        );
        assert_eq!(
            Reach::AllowedNetworks.check(ip(address), &allowed),
            Ok(()),
            "{address}"
        );
    }
    for address in [
        "127.0.0.2",
        "::2",
        "10.21.0.0",
        "fd13::",
        "::ffff:127.0.0.1",
        "::ffff:10.20.0.1",
    ] {
        assert_eq!(
            Reach::Public.check(ip(address), &allowed),
            Err(RefusedAddress::NotPublic),
            "{address}"
        );
    }
    for address in ["1.1.1.1", "2606:4700::1111"] {
        assert_eq!(
            Reach::Public.check(ip(address), &allowed),
            Ok(()),
            "{address}"
        );
        assert_eq!(
            Reach::AllowedNetworks.check(ip(address), &allowed),
            Err(RefusedAddress::OutsideAllowedNetworks),
            "{address}"
        );
    }
}

#[test]
fn an_embedded_address_must_be_allowed_in_both_its_forms() {
    let nat64 = allowed("64:ff9b::/96");
    assert_eq!(Reach::Public.check(ip("64:ff9b::1.1.1.1"), &nat64), Ok(()));
    assert_eq!(
        Reach::Public.check(ip("64:ff9b::10.0.0.1"), &nat64),
        Err(RefusedAddress::NotPublic)
    );
    for (list, address) in [
        ("::/96 127.0.0.0/8", "::127.0.0.1"),
        ("::ffff:0:0/96 127.0.0.0/8", "::ffff:127.0.0.1"),
        ("::ffff:0:0:0/96 127.0.0.0/8", "::ffff:0:127.0.0.1"),
        ("64:ff9b::/96 127.0.0.0/8", "64:ff9b::127.0.0.1"),
        ("2001::/32 127.0.0.0/8", "2001::80ff:fffe"),
        ("2002::/16 127.0.0.0/8", "2002:7f00:1::"),
    ] {
        assert_eq!(
            Reach::Public.check(ip(address), &allowed(list)),
            Ok(()),
            "{address}"
        );
        for half in list.split(' ') {
            assert_eq!(
                Reach::Public.check(ip(address), &allowed(half)),
                Err(RefusedAddress::NotPublic),
                "{address} with {half} alone"
            );
        }
    }
}

#[test]
fn no_setting_allows_the_addresses_of_cloud_services() {
    let everything = allowed("0.0.0.0/0 ::/0");
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd00:ec2::123",
        "fd00:ec2::253",
        "64:ff9b:1::169.254.169.254",
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
        "::169.254.169.254",
        "::ffff:169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::",
        "2001::5601:5601",
    ] {
        for reach in [Reach::Public, Reach::AllowedNetworks] {
            assert_eq!(
                reach.check(ip(address), &everything),
                Err(RefusedAddress::CloudService),
                "{address}"
            );
        }
    }
}

#[test]
fn an_error_names_the_entry_by_its_position_and_not_by_its_content() {
    assert!(allowed("").is_empty());
    assert!(allowed(" ,\n, ").is_empty());
    for (list, position) in [
        ("10.0.0.0", 1),
        ("10.0.0.0/33", 1),
        ("10.0.0.1/8", 1),
        ("localhost", 1),
        ("10.0.0.0/8,,secret", 2),
        ("10.0.0.0/8 ::/0\t127.1/8", 3),
    ] {
        let error = list.parse::<AllowedNetworks>().unwrap_err();
        assert_eq!(error, InvalidNetwork { position }, "{list}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[test]
fn a_network_of_all_addresses_is_found_by_its_position() {
    for (list, position) in [
        ("", None),
        ("10.0.0.0/8 0.0.0.0/1 128.0.0.0/1 ::/1", None),
        ("0.0.0.0/0", Some(1)),
        ("10.0.0.0/8, ::/0", Some(2)),
    ] {
        assert_eq!(
            allowed(list).position_of_all_addresses(),
            position,
            "{list}"
        );
    }
}

#[test]
fn a_network_that_contains_the_host_itself_is_found_by_its_position() {
    for list in [
        "",
        "1.0.0.0/8 126.0.0.0/8 128.0.0.0/3 169.253.0.0/16 169.255.0.0/16 10.20.0.0/16",
        "::2/128 fd12::/16 fec0::/10 fe00::/9 64:ff9b::/96 2000::/3",
        "::ffff:10.20.0.0/112 ::ffff:126.0.0.0/104 ::fffe:127.0.0.1/128",
    ] {
        assert_eq!(
            allowed(list).position_of_loopback_or_link_local(),
            None,
            "{list}"
        );
    }
    for network in [
        "0.0.0.0/0",
        "0.0.0.0/1",
        "0.0.0.0/32",
        "127.0.0.1/32",
        "127.0.0.0/8",
        "126.0.0.0/7",
        "127.255.255.255/32",
        "169.254.169.254/32",
        "169.254.0.0/15",
        "160.0.0.0/4",
        "::/0",
        "::/1",
        "::/128",
        "::1/128",
        "fe80::/10",
        "fe80::1/128",
        "fc00::/6",
        "::ffff:127.0.0.1/128",
        "::ffff:169.254.169.254/128",
        "::ffff:0.0.0.0/128",
        "::ffff:0:0/96",
        "::/8",
    ] {
        assert_eq!(
            allowed(network).position_of_loopback_or_link_local(),
            Some(1),
            "{network}"
        );
        let list = format!("10.20.0.0/16 {network}");
        assert_eq!(
            allowed(&list).position_of_loopback_or_link_local(),
            Some(2),
            "{list}"
        );
    }
}

proptest! {
    #[test]
    fn an_address_that_embeds_an_ipv4_address_is_not_public(bits: u32) {
        let (high, low) = ((bits >> 16) as u16, (bits & 0xffff) as u16);
        for segments in [
            [0, 0, 0, 0, 0, 0, high, low],
            [0, 0, 0, 0, 0, 0xffff, high, low],
            [0, 0, 0, 0, 0xffff, 0, high, low],
            [0x64, 0xff9b, 0, 0, 0, 0, high, low],
            [0x64, 0xff9b, 1, 0, 0, 0, high, low],
            [0x2001, 0, 0, 0, 0, 0, !high, !low],
            [0x2002, high, low, 0, 0, 0, 0, 1],
        ] {
            prop_assert!(!is_globally_routable(IpAddr::from(segments)));
        }
    }

    #[test]
    fn without_allowed_networks_only_public_addresses_are_allowed(v4: u32, v6: u128) {
        for address in [IpAddr::V4(v4.into()), IpAddr::V6(v6.into())] {
            let none = AllowedNetworks::default();
            prop_assert_eq!(
                Reach::Public.check(address, &none).is_ok(),
                is_globally_routable(address)
            );
            prop_assert!(Reach::AllowedNetworks.check(address, &none).is_err());
        }
    }
}
