//! Addresses that must never be connected to.

use shared::domain::network::RefusedAddress;

use super::receiver::{Canary, Receiver};
use super::*;

const NOT_PUBLIC: Outcome = Outcome::Failed {
    reason: Failure::AddressNotAllowed(RefusedAddress::NotPublic),
};

#[tokio::test]
async fn a_name_with_any_private_answer_is_refused() {
    let canary = Canary::start();
    canary.assert_reachable_at(IpAddr::from([127, 0, 0, 1]));
    let answers: [&'static [&'static str]; 11] = [
        &["127.0.0.1"],
        &["::1"],
        &["0.0.0.0"],
        &["::ffff:127.0.0.1"],
        &["::127.0.0.1"],
        &["64:ff9b::127.0.0.1"],
        &["10.0.0.1"],
        &["127.0.0.1", "8.8.8.8"],
        &["8.8.8.8", "127.0.0.1"],
        &["8.8.8.8", "2001:4860:4860::8888", "::1"],
        &["2001:4860:4860::8888", "8.8.8.8", "8.8.4.4", "127.0.0.1"],
    ];
    for answer in answers {
        for networks in ["", "10.99.0.0/16"] {
            let names = Names::answering(&[answer]);
            let sender = sender(networks, &names);
            let to = format!("https://hooks.example.com:{}/", canary.port);
            let attempt = post(&sender, &to).await;
            assert_eq!(attempt.outcome, NOT_PUBLIC, "{answer:?}");
            assert_eq!(names.asked(), ["hooks.example.com"]);
        }
    }
    canary.assert_untouched();
}

#[tokio::test]
async fn the_clouds_own_services_are_refused_whatever_is_allowed() {
    for answer in ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254"] {
        let names = Names::answering(&[&[answer]]);
        let sender = sender("0.0.0.0/0 ::/0", &names);
        for scheme in ["http", "https"] {
            let attempt = post(&sender, &format!("{scheme}://hooks.example.com/")).await;
            let refused = Failure::AddressNotAllowed(RefusedAddress::CloudService);
            assert_eq!(attempt.outcome, failed(refused), "{answer}");
        }
    }
}

/// A name that resolves to a private address at the second lookup. Its mapped form would reach the
/// receiver's port.
#[tokio::test]
async fn a_name_is_resolved_and_checked_for_each_connection() {
    let close = [(axum::http::header::CONNECTION, "close")];
    let receiver = Receiver::answering(close).await;
    let names = Names::answering(&[&["127.0.0.1"], &["::ffff:127.0.0.1"]]);
    let sender = sender(LOOPBACK, &names);
    let to = format!("http://hooks.example.com:{}/", receiver.port);

    assert_eq!(post(&sender, &to).await.outcome, answered(200));
    let refused = Failure::AddressNotAllowed(RefusedAddress::OutsideAllowedNetworks);
    assert_eq!(post(&sender, &to).await.outcome, failed(refused));

    assert_eq!(names.asked().len(), 2);
    assert_eq!(receiver.visits().len(), 1);
}

/// If the name were looked up once to check it and once more to connect, the connection would use
/// the second answer.
#[tokio::test]
async fn a_connection_uses_the_addresses_that_were_checked() {
    let receiver = Receiver::answering(()).await;
    let names = Names::answering(&[&["127.0.0.1"], &["192.0.2.1"]]);
    let sender = sender(LOOPBACK, &names);
    let to = format!("http://hooks.example.com:{}/", receiver.port);
    assert_eq!(post(&sender, &to).await.outcome, answered(200));
    assert_eq!(names.asked(), ["hooks.example.com"]);
}

#[tokio::test]
async fn an_address_in_the_url_is_checked_when_it_is_used() {
    let canary = Canary::start();
    let names = Names::answering(&[]);
    for networks in ["", "10.99.0.0/16"] {
        let sender = sender(networks, &names);
        for host in ["127.0.0.1", "[::1]", "10.0.0.1"] {
            let attempt = post(&sender, &format!("https://{host}:{}/", canary.port)).await;
            assert_eq!(attempt.outcome, NOT_PUBLIC, "{host}");
        }
    }
    canary.assert_untouched();
}

#[tokio::test]
async fn http_and_private_names_are_reached_in_allowed_networks_only() {
    let canary = Canary::start();
    let port = canary.port;
    for to in [
        format!("http://hooks.example.com:{port}/"),
        format!("http://localhost:{port}/"),
        format!("https://receiver:{port}/"),
        format!("https://receiver.internal:{port}/"),
    ] {
        for (networks, answer, refused) in [
            ("", "127.0.0.1", Failure::NoAllowedNetwork),
            ("", "8.8.8.8", Failure::NoAllowedNetwork),
            (
                "10.99.0.0/16",
                "127.0.0.1",
                Failure::AddressNotAllowed(RefusedAddress::OutsideAllowedNetworks),
            ),
            (
                "10.99.0.0/16",
                "8.8.8.8",
                Failure::AddressNotAllowed(RefusedAddress::OutsideAllowedNetworks),
            ),
        ] {
            let sender = sender(networks, &Names::answering(&[&[answer]]));
            let attempt = post(&sender, &to).await;
            assert_eq!(attempt.outcome, failed(refused), "{to} at {answer}");
        }
    }
    canary.assert_untouched();
}

#[tokio::test]
async fn a_name_without_addresses_is_not_found() {
    for names in [Names::answering(&[]), Names::answering(&[&[]])] {
        let attempt = post(&sender("", &names), "https://hooks.example.com/?secret").await;
        assert_eq!(attempt.outcome, failed(Failure::NameNotFound));
    }
}
