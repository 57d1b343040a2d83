//! Receivers that end a reused connection.

use shared::domain::network::RefusedAddress;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::receiver::{RawReceiver, read_request};
use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

/// Makes a connection that has answered once and is kept.
async fn reusable(sender: &Sender, receiver: &RawReceiver, to: &str) -> TcpStream {
    let response = async {
        let mut stream = receiver.request().await;
        stream.write_all(OK).await.unwrap();
        stream
    };
    let (attempt, stream) = tokio::join!(post(sender, to), response);
    assert_eq!(attempt.outcome, answered(200));
    stream
}

/// How a receiver ends a connection after it has received a request.
#[derive(Debug, Clone, Copy)]
enum End {
    Closed,
    Reset,
    InTheMiddleOfTheHeaders,
}

impl End {
    async fn of(self, mut stream: TcpStream) {
        match self {
            Self::Closed => {}
            Self::Reset => stream.set_zero_linger().unwrap(),
            Self::InTheMiddleOfTheHeaders => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nconte").await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_connection_whose_response_came_whole_is_used_again() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n\r\n",
    ] {
        let receiver = RawReceiver::start().await;
        let sender = sender(LOOPBACK, &Names::answering(&[]));
        let to = format!("http://127.0.0.1:{}/", receiver.port);
        let mut stream = reusable(&sender, &receiver, &to).await;
        for _ in 0..2 {
            let responses = async {
                read_request(&mut stream).await;
                stream.write_all(response.as_bytes()).await.unwrap();
            };
            let (attempt, ()) = tokio::join!(post(&sender, &to), responses);
            assert_eq!(attempt.outcome, answered(200), "{response:?}");
            receiver.assert_no_other_connection();
        }
    }
}

#[tokio::test]
async fn a_reused_connection_that_ends_is_replaced_at_once() {
    for end in [End::Closed, End::Reset, End::InTheMiddleOfTheHeaders] {
        let receiver = RawReceiver::start().await;
        let names = Names::answering(&[&["127.0.0.1"]]);
        let sender = sender(LOOPBACK, &names);
        let to = format!("http://hooks.example.com:{}/", receiver.port);
        let mut stream = reusable(&sender, &receiver, &to).await;
        let responses = async {
            let first = read_request(&mut stream).await;
            end.of(stream).await;
            let mut stream = receiver.connection().await;
            let second = read_request(&mut stream).await;
            stream.write_all(ACCEPTED).await.unwrap();
            assert_eq!(first, second, "byte for byte the same attempt");
        };
        let (attempt, ()) = tokio::join!(post(&sender, &to), responses);
        assert_eq!(attempt.outcome, answered(202), "{end:?}");
        receiver.assert_no_other_connection();
        // The address was checked once for each connection.
        assert_eq!(names.asked().len(), 2, "{end:?}");
    }
}

/// The receiver has processed the request, so an invalid response is no reason to send it again.
#[tokio::test]
async fn an_invalid_response_on_a_reused_connection_costs_no_second_request() {
    let large = format!("HTTP/1.1 200 OK\r\nlarge: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(1000));
    for (response, reason) in [
        ("no HTTP at all\r\n\r\n", Failure::NoValidResponse),
        ("\x16\x03\x01\x00\x05hello", Failure::NoValidResponse),
        ("HTTP/9.9 200 OK\r\n\r\n", Failure::NoValidResponse),
        ("HTTP/1.1 2OO OK\r\n\r\n", Failure::NoValidResponse),
        (
            "HTTP/1.1 200 OK\r\na header without a colon\r\n\r\n",
            Failure::NoValidResponse,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            Failure::NoValidResponse,
        ),
        (&large, Failure::HeadTooLarge),
        (&many, Failure::NoValidResponse),
    ] {
        let shown = &response[..response.len().min(60)];
        let receiver = RawReceiver::start().await;
        let sender = sender(LOOPBACK, &Names::answering(&[]));
        let to = format!("http://127.0.0.1:{}/", receiver.port);
        let mut stream = reusable(&sender, &receiver, &to).await;
        let responses = async {
            read_request(&mut stream).await;
            // The sender does not read all of a large response.
            let _ = stream.write_all(response.as_bytes()).await;
            stream
        };
        let (attempt, _stream) = tokio::join!(post(&sender, &to), responses);
        assert_eq!(attempt.outcome, failed(reason), "{shown:?}");
        receiver.assert_no_other_connection();
    }
}

#[tokio::test]
async fn no_request_is_sent_on_a_connection_that_is_known_to_have_ended() {
    let receiver = RawReceiver::start().await;
    let sender = sender(LOOPBACK, &Names::answering(&[]));
    let to = format!("http://127.0.0.1:{}/", receiver.port);
    let mut stream = reusable(&sender, &receiver, &to).await;
    stream.shutdown().await.unwrap();
    // The sender closes its side once it knows.
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    let (attempt, ()) = tokio::join!(post(&sender, &to), receiver.answer(ACCEPTED));
    assert_eq!(attempt.outcome, answered(202));
    receiver.assert_no_other_connection();
}

/// The second try does not get another reused connection that has ended, however many there are.
#[tokio::test]
async fn the_second_try_has_a_fresh_connection_though_others_are_idle() {
    let receiver = RawReceiver::start().await;
    let sender = sender(LOOPBACK, &Names::answering(&[]));
    let to = format!("http://127.0.0.1:{}/", receiver.port);
    let responses = async {
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(receiver.request().await);
        }
        for stream in &mut streams {
            stream.write_all(OK).await.unwrap();
        }
        streams
    };
    let posts = async { tokio::join!(post(&sender, &to), post(&sender, &to), post(&sender, &to)) };
    let (_, mut streams) = tokio::join!(posts, responses);
    // The one that gets the next request ends.
    let responses = async {
        let requests = streams
            .iter_mut()
            .map(|stream| Box::pin(read_request(stream)));
        let (_, ended, others) = futures_util::future::select_all(requests).await;
        drop(others);
        drop(streams.remove(ended));
        receiver.answer(ACCEPTED).await;
        streams
    };
    let (attempt, streams) = tokio::join!(post(&sender, &to), responses);
    assert_eq!(attempt.outcome, answered(202));
    receiver.assert_no_other_connection();
    for stream in streams {
        let sent = stream.try_read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(sent, Err(io::ErrorKind::WouldBlock), "no third request");
    }
}

#[tokio::test]
async fn a_fresh_connection_that_ends_is_not_replaced() {
    let receiver = RawReceiver::start().await;
    let sender = sender(LOOPBACK, &Names::answering(&[]));
    let to = format!("http://127.0.0.1:{}/", receiver.port);
    let (attempt, ()) = tokio::join!(post(&sender, &to), receiver.answer(b""));
    assert_eq!(attempt.outcome, failed(Failure::NoValidResponse));
    receiver.assert_no_other_connection();

    let mut stream = reusable(&sender, &receiver, &to).await;
    let responses = async {
        read_request(&mut stream).await;
        drop(stream);
        receiver.answer(b"").await;
    };
    let (attempt, ()) = tokio::join!(post(&sender, &to), responses);
    assert_eq!(attempt.outcome, failed(Failure::NoValidResponse));
    receiver.assert_no_other_connection();
}

#[tokio::test]
async fn the_address_of_the_second_try_is_checked_as_well() {
    let receiver = RawReceiver::start().await;
    let names = Names::answering(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let sender = sender(LOOPBACK, &names);
    let to = format!("http://hooks.example.com:{}/", receiver.port);
    let mut stream = reusable(&sender, &receiver, &to).await;
    let end = async {
        read_request(&mut stream).await;
        drop(stream);
    };
    let (attempt, ()) = tokio::join!(post(&sender, &to), end);
    let refused = Failure::AddressNotAllowed(RefusedAddress::OutsideAllowedNetworks);
    assert_eq!(attempt.outcome, failed(refused));
    receiver.assert_no_other_connection();
}

#[tokio::test]
async fn both_tries_have_one_deadline() {
    let receiver = RawReceiver::start().await;
    let clock = manual_clock();
    let names = Names::answering(&[]);
    let sender = sender_with(LOOPBACK, &names, RootCertStore::empty(), clock.clone());
    let to = format!("http://127.0.0.1:{}/", receiver.port);
    let mut stream = reusable(&sender, &receiver, &to).await;
    let stall = async {
        read_request(&mut stream).await;
        clock.advance(TIMEOUT / 2);
        drop(stream);
        let stalled = receiver.request().await;
        clock.advance(TIMEOUT / 2);
        stalled
    };
    let (attempt, _stalled) = tokio::join!(post(&sender, &to), stall);
    assert_eq!(attempt.outcome, failed(Failure::TimedOut));
    assert_eq!(attempt.duration, TIMEOUT);
    receiver.assert_no_other_connection();
}
