use std::io::{Read, Write};
use std::thread;

use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use shared::domain::limits::RESPONSE_HEAD_BYTES_MAX;

use super::receiver::RawReceiver;
use super::*;
use shared::outbound::TlsFailure;

const NAME: &str = "hooks.example.com";

/// A receiver with a certificate for [`NAME`] that serves one request on each connection. Returns
/// its port and the roots that trust it.
fn start_receiver(change: impl FnOnce(&mut CertificateParams)) -> (u16, RootCertStore) {
    start_receiver_that_sends("", "content-length: 0\r\n", change)
}

/// The same, with interim responses before the response and these headers in it.
fn start_receiver_that_sends(
    interim: &str,
    headers: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> (u16, RootCertStore) {
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    change(&mut params);
    let signing_key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&signing_key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (interim, headers) = (interim.to_owned(), headers.to_owned());
    thread::spawn(move || answer_once(&listener, config, &interim, &headers));
    (port, roots)
}

/// Answers one request on each connection, and ends the connection at the second request.
fn answer_once(
    listener: &std::net::TcpListener,
    config: ServerConfig,
    interim: &str,
    headers: &str,
) -> io::Result<()> {
    let config = Arc::new(config);
    loop {
        let (stream, _) = listener.accept()?;
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        let mut tls = rustls::StreamOwned::new(connection, stream);
        // It ends early when the client refuses the certificate.
        let _ = read_request(&mut tls).and_then(|()| {
            // A server with several names chooses its certificate by this name.
            let status = match tls.conn.server_name() {
                Some(NAME) => "200 OK",
                _ => "421 Misdirected Request",
            };
            write!(tls, "{interim}HTTP/1.1 {status}\r\n{headers}\r\n")?;
            tls.flush()?;
            read_request(&mut tls)
        });
    }
}

fn read_request(stream: &mut impl Read) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n{}") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    Ok(())
}

async fn post_over_tls(port: u16, roots: RootCertStore, name: &str) -> Outcome {
    let names = Names::answering(&[&["127.0.0.1"]]);
    let sender = sender_with(LOOPBACK, &names, roots, SystemClock);
    post(&sender, &format!("https://{name}:{port}/"))
        .await
        .outcome
}

#[tokio::test]
async fn a_trusted_certificate_is_accepted_and_the_handshake_names_the_server() {
    for name in [NAME, "HOOKS.example.com", "hooks.example.com."] {
        let (port, roots) = start_receiver(|_| {});
        assert_eq!(
            post_over_tls(port, roots, name).await,
            answered(200),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_reused_connection_that_ends_is_replaced_at_once_over_tls_too() {
    let (port, roots) = start_receiver(|_| {});
    let names = Names::answering(&[&["127.0.0.1"]]);
    let sender = sender_with(LOOPBACK, &names, roots, SystemClock);
    for connections in [1, 2] {
        let attempt = post(&sender, &format!("https://{NAME}:{port}/")).await;
        assert_eq!(attempt.outcome, answered(200));
        assert_eq!(names.asked().len(), connections);
    }
}

#[tokio::test]
async fn a_flood_of_interim_responses_ends_at_the_limit_over_tls_too() {
    let early_hints = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
    let interim = early_hints.repeat(1 + RESPONSE_HEAD_BYTES_MAX / early_hints.len());
    let (port, roots) = start_receiver_that_sends(&interim, "content-length: 0\r\n", |_| {});
    let outcome = post_over_tls(port, roots, NAME).await;
    assert_eq!(outcome, failed(Failure::HeadTooLarge));
}

#[tokio::test]
async fn a_large_certificate_does_not_count_towards_the_response() {
    let headers = format!("content-length: 0\r\nx-pad: {}\r\n", "x".repeat(50_000));
    let (port, roots) = start_receiver_that_sends("", &headers, |params| {
        let names = (0..1000).map(|n| format!("number-{n}-of-a-thousand.example.com"));
        let names = names.map(|name| SanType::DnsName(name.try_into().unwrap()));
        params.subject_alt_names.extend(names);
    });
    assert_eq!(post_over_tls(port, roots, NAME).await, answered(200));
}

#[tokio::test]
async fn an_untrusted_issuer_is_refused() {
    let (port, _) = start_receiver(|_| {});
    let outcome = post_over_tls(port, RootCertStore::empty(), NAME).await;
    assert_eq!(outcome, failed(Failure::Tls(TlsFailure::UnknownIssuer)));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (port, roots) = start_receiver(|_| {});
    let outcome = post_over_tls(port, roots, "www.example.com").await;
    assert_eq!(outcome, failed(Failure::Tls(TlsFailure::OtherName)));
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let (port, roots) = start_receiver(|params| params.not_after = date_time_ymd(2001, 1, 1));
    let outcome = post_over_tls(port, roots, NAME).await;
    assert_eq!(outcome, failed(Failure::Tls(TlsFailure::Expired)));
}

#[tokio::test]
async fn a_server_of_plain_http_has_an_error_that_says_so() {
    use tokio::io::AsyncWriteExt;
    let receiver = RawReceiver::start().await;
    let response = async {
        let mut stream = receiver.connection().await;
        let text = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
        stream.write_all(text).await.unwrap();
        stream
    };
    let exchange = post_over_tls(receiver.port, RootCertStore::empty(), NAME);
    let (outcome, _stream) = tokio::join!(exchange, response);
    let reason = Failure::Tls(TlsFailure::NotTls);
    assert_eq!(outcome, failed(reason));
    assert_eq!(reason.to_string(), "TLS: the host does not speak TLS");
}
