use std::process::Command;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use standardwebhooks::Webhook;
use tokio::net::TcpSocket;

use super::receiver::{Canary, RawReceiver, Receiver};
use super::*;

#[tokio::test]
async fn a_signed_post_arrives_byte_for_byte() {
    let receiver = Receiver::answering(StatusCode::NO_CONTENT).await;
    let names = Names::answering(&[&["127.0.0.1"]]);
    let sender = sender(LOOPBACK, &names);
    let body = "{ \"text\" : \"Grüße \\u0000\" }\n".as_bytes();
    let to = url(&format!(
        "http://hooks.example.com:{}/in?token=a%20b",
        receiver.port
    ));

    let attempt = sender.post(&to, &signer(), "msg_1", body.to_vec()).await;

    assert_eq!(attempt.outcome, answered(204));
    let [visit] = &receiver.visits()[..] else {
        panic!("not visited once");
    };
    assert_eq!(visit.method, "POST");
    assert_eq!(visit.uri, "/in?token=a%20b");
    assert_eq!(visit.body, body);
    let sent = |name: &str| visit.headers[name].to_str().unwrap();
    assert_eq!(sent("content-type"), "application/json");
    assert_eq!(
        sent("user-agent"),
        concat!("Ferry/", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(sent("host"), format!("hooks.example.com:{}", receiver.port));
    assert_eq!(sent("webhook-id"), "msg_1");
    assert_eq!(
        sent("webhook-timestamp"),
        attempt.started_at.as_secs().to_string()
    );
    let verifier = Webhook::new(SECRET).unwrap();
    verifier.verify(&visit.body, &visit.headers).unwrap();
}

#[tokio::test]
async fn every_attempt_has_its_own_time_and_signature() {
    let receiver = Receiver::answering(StatusCode::INTERNAL_SERVER_ERROR).await;
    let clock = manual_clock();
    let names = Names::answering(&[&["127.0.0.1"]]);
    let sender = sender_with(LOOPBACK, &names, RootCertStore::empty(), clock.clone());
    let to = format!("http://hooks.example.com:{}/", receiver.port);

    post(&sender, &to).await;
    clock.advance(Duration::from_secs(30));
    post(&sender, &to).await;

    let visits = receiver.visits();
    assert_eq!(visits[0].headers["webhook-timestamp"], "1700000000");
    assert_eq!(visits[1].headers["webhook-timestamp"], "1700000030");
    assert_eq!(
        visits[0].headers["webhook-id"],
        visits[1].headers["webhook-id"]
    );
    assert_ne!(
        visits[0].headers["webhook-signature"],
        visits[1].headers["webhook-signature"]
    );
}

#[tokio::test]
async fn any_status_is_a_response() {
    for status in [200, 202, 299, 304, 400, 404, 410, 429, 500, 503, 599] {
        let receiver = RawReceiver::start().await;
        let names = Names::answering(&[]);
        let sender = sender(LOOPBACK, &names);
        let to = format!("http://127.0.0.1:{}/", receiver.port);
        let response = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
        let (attempt, ()) = tokio::join!(post(&sender, &to), receiver.answer(response.as_bytes()));
        assert_eq!(attempt.outcome, answered(status));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let canary = Canary::start();
    for status in [301, 302, 303, 307, 308] {
        for target in [
            format!("http://127.0.0.1:{}/", canary.port),
            "/elsewhere".to_owned(),
        ] {
            let receiver = Receiver::answering(redirect(status, target)).await;
            let sender = sender(LOOPBACK, &Names::answering(&[]));
            let attempt = post(&sender, &format!("http://127.0.0.1:{}/", receiver.port)).await;
            assert_eq!(attempt.outcome, answered(status));
            assert_eq!(receiver.visits().len(), 1);
        }
    }
    canary.assert_untouched();
}

fn redirect(status: u16, location: String) -> impl IntoResponse + Clone + Send + Sync {
    (
        StatusCode::from_u16(status).unwrap(),
        [(header::LOCATION, location)],
    )
}

#[tokio::test]
async fn only_429_and_503_may_ask_for_a_wait() {
    for (status, retry_after) in [
        (200, None),
        (400, None),
        (429, Some(Duration::from_secs(7))),
        (500, None),
        (503, Some(Duration::from_secs(7))),
    ] {
        let code = StatusCode::from_u16(status).unwrap();
        let receiver = Receiver::answering((code, [(header::RETRY_AFTER, "7")])).await;
        let sender = sender(LOOPBACK, &Names::answering(&[]));
        let attempt = post(&sender, &format!("http://127.0.0.1:{}/", receiver.port)).await;
        assert_eq!(
            attempt.outcome,
            Outcome::Responded {
                status,
                retry_after
            }
        );
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let receiver = Receiver::answering("short").await;
    let names = Names::answering(&[&["127.0.0.1"]]);
    let sender = sender(LOOPBACK, &names);
    let to = format!("http://hooks.example.com:{}/", receiver.port);
    for _ in 0..3 {
        assert_eq!(post(&sender, &to).await.outcome, answered(200));
    }
    let visits = receiver.visits();
    assert_eq!(visits.len(), 3);
    assert!(visits.iter().all(|visit| visit.from == visits[0].from));
    assert_eq!(names.asked(), ["hooks.example.com"]);
}

#[tokio::test]
async fn the_sender_stops_reading_an_endless_response() {
    let receiver = RawReceiver::start().await;
    let sender = sender_with(
        LOOPBACK,
        &Names::answering(&[]),
        RootCertStore::empty(),
        // It never reaches the deadline: if the body were read to its end, this would never end.
        manual_clock(),
    );
    let pour = async {
        use tokio::io::AsyncWriteExt;
        let mut stream = receiver.request().await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
    };
    let to = format!("http://127.0.0.1:{}/", receiver.port);
    let (attempt, ()) = tokio::join!(post(&sender, &to), pour);
    assert_eq!(attempt.outcome, answered(200));
}

#[tokio::test]
async fn a_response_that_is_not_http_counts_as_no_response() {
    for response in [
        "",
        "220 mail.example.com ESMTP\r\n",
        "HTTP/1.1 200 OK\r\ncontent-",
        "HTTP/9.9 200 OK\r\n\r\n",
        "\u{0}\u{1}\u{2}",
    ] {
        let receiver = RawReceiver::start().await;
        let sender = sender(LOOPBACK, &Names::answering(&[]));
        let to = format!("http://127.0.0.1:{}/", receiver.port);
        let (attempt, ()) = tokio::join!(post(&sender, &to), receiver.answer(response.as_bytes()));
        assert_eq!(
            attempt.outcome,
            failed(Failure::NoValidResponse),
            "{response:?}"
        );
    }
}

#[tokio::test]
async fn a_port_without_a_listener_refuses_the_connection() {
    // Bound, so that no other process gets the port, but not listening.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    let sender = sender(LOOPBACK, &Names::answering(&[]));
    let attempt = post(&sender, &format!("http://{address}/?secret")).await;
    assert_eq!(attempt.outcome, failed(Failure::ConnectionRefused));
    assert_eq!(Failure::ConnectionRefused.to_string(), "connection refused");
}

#[tokio::test]
async fn the_systems_resolver_knows_localhost() {
    let receiver = Receiver::answering(()).await;
    let networks = allowed("127.0.0.0/8 ::1/128");
    let roots = RootCertStore::empty();
    let sender = Sender::new(roots, networks, TIMEOUT, Arc::new(SystemClock));
    let attempt = post(&sender, &format!("http://localhost:{}/", receiver.port)).await;
    assert_eq!(attempt.outcome, answered(200));
}

/// The environment of a running process cannot be changed safely, so a test from above runs in a
/// process that starts with proxies.
#[test]
fn proxies_in_the_environment_are_ignored() {
    let proxy = Canary::start();
    let mut delivery = Command::new(std::env::current_exe().unwrap());
    delivery.args([
        "--exact",
        "sender::tests::delivery::a_signed_post_arrives_byte_for_byte",
    ]);
    delivery.env_remove("NO_PROXY").env_remove("no_proxy");
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        let url = format!("http://127.0.0.1:{}", proxy.port);
        delivery
            .env(name, &url)
            .env(name.to_ascii_uppercase(), &url);
    }
    let output = delivery.output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}");
    assert!(report.contains("1 passed"), "{report}");
    proxy.assert_untouched();
}
