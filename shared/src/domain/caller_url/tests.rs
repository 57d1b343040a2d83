use std::fmt::Write as _;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

mod accepted;
mod refused;

/// The networks that are allowed in the tests of local URLs.
const LOCAL: &str = "127.0.0.0/8, ::1/128, 10.1.0.0/16";

fn none() -> AllowedNetworks {
    AllowedNetworks::default()
}

fn local() -> AllowedNetworks {
    LOCAL.parse::<AllowedNetworks>().unwrap()
}

fn reason(text: &str, allowed: &AllowedNetworks) -> Option<RefusedUrlReason> {
    CallerUrl::parse(text, allowed).err().map(|url| url.reason)
}

/// Collects every URL of a table that is checked differently, so that one run shows them all.
fn assert_refused(table: &[(RefusedUrlReason, &[&str])], allowed: &AllowedNetworks) {
    let mut wrong = String::new();
    for (why, urls) in table {
        for url in *urls {
            let found = reason(url, allowed);
            if found != Some(*why) {
                writeln!(wrong, "{url:?}: {found:?}, not {why:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn assert_accepted(urls: &[&str], allowed: &AllowedNetworks) {
    for url in urls {
        let accepted = CallerUrl::parse(url, allowed).map_err(|refused| refused.reason);
        assert_eq!(accepted.as_ref().map(CallerUrl::as_str), Ok(*url), "{url}");
    }
}

#[test]
fn accepts_public_https() {
    for allowed in [none(), local()] {
        assert_accepted(accepted::PUBLIC, &allowed);
    }
}

#[test]
fn accepts_a_local_url_only_where_its_network_is_allowed() {
    assert_accepted(accepted::LOCAL, &local());
    for url in accepted::LOCAL {
        assert!(reason(url, &none()).is_some(), "{url}");
    }
}

#[test]
fn refuses_every_other_url_with_its_reason() {
    assert_refused(refused::ALWAYS, &none());
    assert_refused(refused::PRIVATE_NAMES, &none());
}

#[test]
fn refuses_cloud_services_whichever_networks_are_allowed() {
    let everything = "0.0.0.0/0 ::/0".parse::<AllowedNetworks>().unwrap();
    for allowed in [none(), local(), everything] {
        assert_refused(refused::CLOUD, &allowed);
    }
}

#[test]
fn an_allowed_network_allows_no_other_network() {
    assert_refused(refused::WITH_LOCAL_ALLOWED, &local());
}

#[test]
fn the_tables_are_complete_and_list_each_url_once() {
    let refused = [refused::ALWAYS, refused::CLOUD, refused::PRIVATE_NAMES];
    let mut urls: Vec<_> = refused
        .iter()
        .copied()
        .flatten()
        .flat_map(|(_, urls)| *urls)
        .collect();
    urls.extend(accepted::PUBLIC);
    let count = urls.len();
    urls.sort_unstable();
    urls.dedup();
    assert_eq!(urls.len(), count, "a URL is listed twice");
    assert!(count - accepted::PUBLIC.len() >= 300, "{count}");
    assert!(accepted::PUBLIC.len() >= 60);
}

#[test]
fn only_https_with_a_public_name_or_address_reaches_public_addresses() {
    for (url, reach) in [
        ("https://example.com/", Reach::Public),
        ("https://1.1.1.1/", Reach::Public),
        ("https://127.0.0.1/", Reach::Public),
        ("http://example.com/", Reach::AllowedNetworks),
        ("http://127.0.0.1/", Reach::AllowedNetworks),
        ("https://receiver/", Reach::AllowedNetworks),
        ("https://localhost/", Reach::AllowedNetworks),
    ] {
        assert_eq!(
            CallerUrl::parse(url, &local()).unwrap().reach(),
            reach,
            "{url}"
        );
    }
}

#[test]
fn distinguishes_an_address_from_a_name() {
    for (url, address) in [
        ("https://example.com/", None),
        ("https://1.1.1.1:8443/", Some("1.1.1.1")),
        (
            "https://[2606:4700:4700:0::1111]:8443/",
            Some("2606:4700:4700::1111"),
        ),
    ] {
        let address = address.map(|text| text.parse().unwrap());
        assert_eq!(
            CallerUrl::parse(url, &none()).unwrap().address(),
            address,
            "{url}"
        );
    }
}

#[test]
fn refuses_a_url_or_a_host_name_that_is_too_long() {
    let fill = |chars: usize| {
        let start = "https://example.com/";
        format!("{start}{}", "a".repeat(chars - start.len()))
    };
    assert_eq!(reason(&fill(2_048), &none()), None);
    assert_eq!(
        reason(&fill(2_049), &none()),
        Some(RefusedUrlReason::TooLong)
    );

    let label = "a".repeat(49);
    let longest = format!("{label}.{label}.{label}.{label}.{}.com", "a".repeat(49));
    assert_eq!(longest.len(), 253);
    for (host, expected) in [
        (longest.clone(), None),
        (format!("{longest}."), None),
        (format!("a{longest}"), Some(RefusedUrlReason::HostName)),
    ] {
        assert_eq!(
            reason(&format!("https://{host}/"), &none()),
            expected,
            "{host}"
        );
    }
}

#[test]
fn hides_the_query() {
    for (text, shown) in [
        (
            "https://example.com/p?token=secret&x=?",
            "https://example.com/p?REDACTED",
        ),
        ("https://example.com?secret", "https://example.com?REDACTED"),
        ("https://example.com/p", "https://example.com/p"),
    ] {
        let url = CallerUrl::parse(text, &none()).unwrap();
        assert_eq!(url.redacted(), shown);
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), format!("CallerUrl({shown:?})"));
        assert_eq!(url.as_str(), text);
    }
}

/// What a caller reads, which must be the same whichever networks are allowed.
#[track_caller]
fn sentence(url: &str) -> String {
    let everything = "0.0.0.0/0 ::/0".parse::<AllowedNetworks>().unwrap();
    let mut sentences: Vec<_> = [none(), local(), everything]
        .iter()
        .filter_map(|allowed| CallerUrl::parse(url, allowed).err())
        .map(|refused| refused.to_string())
        .collect();
    sentences.dedup();
    assert_eq!(sentences.len(), 1, "{url}: {sentences:?}");
    sentences.remove(0)
}

#[test]
fn the_response_names_an_error_of_the_text_but_not_why_a_host_is_refused() {
    use RefusedUrlReason::{Character, Fragment, Port, Scheme, Slashes, UserInfo};

    let tables = [refused::ALWAYS, refused::CLOUD, refused::PRIVATE_NAMES];
    for (reason, urls) in tables.iter().copied().flatten() {
        let expected = match reason {
            Character => "must be ASCII without spaces, control characters or backslashes",
            Fragment => "must not have a fragment (#)",
            Scheme => "must be an https URL",
            Slashes => "must have two slashes after the scheme",
            UserInfo => "must not have a user name or password",
            Port => "must have a port from 1 to 65535, or none",
            _ => "must have a public host",
        };
        for url in *urls {
            assert_eq!(sentence(url), expected, "{url:?}");
        }
    }
    let long = format!("https://10.0.0.1/{}", "x".repeat(2_048));
    assert_eq!(sentence(&long), "must have at most 2048 characters");
}

/// Whether `http` is allowed depends on the networks, so the response about it must not.
#[test]
fn the_response_to_http_is_the_same_whichever_networks_are_allowed() {
    for (url, expected) in [
        ("http://10.0.0.1/", "must be an https URL"),
        ("http://10.1.0.1/", "must be an https URL"),
        ("http://8.8.8.8/", "must be an https URL"),
        ("http://example.com/", "must be an https URL"),
        ("http://localhost/", "must be an https URL"),
        ("http://169.254.169.254/", "must be an https URL"),
        ("http://0x7f.1/", "must be an https URL"),
        ("http://exam_ple.com/", "must be an https URL"),
        ("http://", "must be an https URL"),
        (
            "http://user@10.0.0.1/",
            "must not have a user name or password",
        ),
        (
            "http://10.0.0.1:0/",
            "must have a port from 1 to 65535, or none",
        ),
        ("http:10.0.0.1/", "must have two slashes after the scheme"),
        ("http://10.0.0.1/#", "must not have a fragment (#)"),
    ] {
        assert_eq!(sentence(url), expected, "{url}");
    }
}

/// Every notation of an IPv4 address that `inet_aton` reads: one to four parts, each decimal, octal
/// or hexadecimal.
fn notation() -> impl Strategy<Value = (Ipv4Addr, String)> {
    (
        any::<u32>(),
        1..=4_usize,
        proptest::array::uniform4(0..6_u8),
    )
        .prop_map(|(bits, parts, radices)| {
            let octets = bits.to_be_bytes();
            let mut numbers: Vec<u32> = octets[..parts - 1]
                .iter()
                .map(|octet| u32::from(*octet))
                .collect();
            numbers.push(
                octets[parts - 1..]
                    .iter()
                    .fold(0, |number, octet| number << 8 | u32::from(*octet)),
            );
            let written: Vec<_> = numbers
                .iter()
                .zip(radices)
                .map(|(number, radix)| match radix {
                    0 => format!("0x{number:x}"),
                    1 => format!("0X{number:08X}"),
                    2 => format!("0{number:o}"),
                    // More frequent than the others, so that canonical addresses are generated too.
                    _ => number.to_string(),
                })
                .collect();
            (bits.into(), written.join("."))
        })
}

proptest! {
    #[test]
    fn an_ipv4_address_is_accepted_only_in_plain_notation_and_only_when_public(
        (address, written) in notation(),
    ) {
        let canonical = written == address.to_string();
        let public = Reach::Public.check(address.into(), &none()).is_ok();
        for url in [format!("https://{written}/"), format!("https://{written}:8443/x")] {
            let is_accepted = CallerUrl::parse(&url, &none()).is_ok();
            prop_assert_eq!(is_accepted, canonical && public, "{}", url);
        }
    }

    #[test]
    fn an_ipv6_address_is_checked_in_any_notation(bits: u128, zeros in 0..8_usize) {
        // Leading zeros produce the prefixes of embedded addresses.
        let address = Ipv6Addr::from_bits(bits >> (16 * zeros));
        let public = Reach::Public.check(address.into(), &none()).is_ok();
        let segments = address.segments();
        let full = segments.map(|segment| format!("{segment:04X}")).join(":");
        let [.., high, low] = segments;
        let low = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
        let dotted = format!("{}:{low}", &full[..29]);
        for host in [address.to_string(), full, dotted] {
            let url = format!("https://[{host}]/");
            prop_assert_eq!(CallerUrl::parse(&url, &none()).is_ok(), public, "{}", url);
        }
    }

    #[test]
    fn the_client_reads_the_same_host_in_an_accepted_url(text in any_url()) {
        for allowed in [none(), local()] {
            let Ok(accepted) = CallerUrl::parse(&text, &allowed) else { continue };
            let read = Url::parse(accepted.as_str()).unwrap();
            let host = read.host_str().unwrap();
            if accepted.address().is_none() {
                prop_assert!(text.to_ascii_lowercase().contains(host), "{}", text);
            }
            prop_assert!(read.scheme() == "https" || accepted.reach() == Reach::AllowedNetworks);
            prop_assert!(read.scheme() == "https" || !allowed.is_empty());
            prop_assert!(read.username().is_empty() && read.password().is_none());
            prop_assert_ne!(read.port(), Some(0));
            if let Some(address) = accepted.address() {
                prop_assert_eq!(host.trim_matches(['[', ']']).parse(), Ok(address));
                prop_assert_eq!(accepted.reach().check(address, &allowed), Ok(()));
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), tail in any::<String>()) {
        let starts = ["https://", "https://[", "https://a:"];
        for text in starts.map(|start| format!("{start}{tail}")).into_iter().chain([text]) {
            let _ = CallerUrl::parse(&text, &none());
            let _ = CallerUrl::parse(&text, &local());
        }
    }
}

/// Texts so similar to URLs that a good part of them is accepted.
fn any_url() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![
        4 => Just("https://"),
        1 => Just("http://"),
        1 => Just("HTTPS://"),
        1 => Just("https:/"),
    ];
    let host = prop_oneof![
        "[a-zA-Z0-9-]{1,5}(\\.[a-z0-9-]{1,5}){0,3}\\.?",
        "[0-9]{1,3}(\\.[0-9]{1,3}){3}",
        "\\[[0-9a-f:.%]{2,12}\\]",
        "[!-~]{1,9}",
        Just("127.0.0.1".to_owned()),
    ];
    let port =
        prop_oneof![3 => Just(String::new()), 1 => Just(":8443".to_owned()), 1 => ":[0-9+]{0,6}"];
    (scheme, host, port, "[/?@][!-~]{0,9}|")
        .prop_map(|(scheme, host, port, rest)| format!("{scheme}{host}{port}{rest}"))
}
