//! The limit on the bytes before the end of a response's headers. The clock does not move, so that
//! nothing but this limit ends a flood.

use shared::domain::limits::RESPONSE_HEAD_BYTES_MAX;
use tokio::io::AsyncWriteExt;

use super::receiver::{RawReceiver, read_request};
use super::*;

const LIMIT: usize = RESPONSE_HEAD_BYTES_MAX;
const EARLY_HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";

/// A final head of `bytes` bytes.
fn final_head(bytes: usize) -> String {
    let (start, end) = (
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-pad: ",
        "\r\n\r\n",
    );
    let pad = "x".repeat(bytes - start.len() - end.len());
    [start, &pad, end].concat()
}

/// Interim responses and a final head, of `bytes` bytes together.
fn heads_after_hints(bytes: usize) -> String {
    let hints = EARLY_HINTS.repeat(bytes / EARLY_HINTS.len() - 2);
    let rest = bytes - hints.len();
    hints + &final_head(rest)
}

async fn post_to_raw_receiver(response: &[u8]) -> Outcome {
    let receiver = RawReceiver::start().await;
    let names = Names::answering(&[]);
    let sender = sender_with(LOOPBACK, &names, RootCertStore::empty(), manual_clock());
    let to = format!("http://127.0.0.1:{}/", receiver.port);
    let responses = async {
        let mut stream = receiver.request().await;
        // The sender does not read all of a long response.
        let _ = stream.write_all(response).await;
        stream
    };
    let (attempt, _stream) = tokio::join!(post(&sender, &to), responses);
    receiver.assert_no_other_connection();
    attempt.outcome
}

#[tokio::test]
async fn a_flood_of_interim_responses_ends_at_the_limit() {
    let link = format!("link: </{}>; rel=preload\r\n", "x".repeat(1000));
    let large = format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", link.repeat(50));
    for head in ["HTTP/1.1 103\r\n\r\n", EARLY_HINTS, &large] {
        let receiver = RawReceiver::start().await;
        let names = Names::answering(&[]);
        let sender = sender_with(LOOPBACK, &names, RootCertStore::empty(), manual_clock());
        let to = format!("http://127.0.0.1:{}/", receiver.port);
        let heads = head.repeat(1 + LIMIT / head.len());
        let flood = async {
            let mut stream = receiver.request().await;
            while stream.write_all(heads.as_bytes()).await.is_ok() {}
        };
        let (attempt, ()) = tokio::join!(post(&sender, &to), flood);
        assert_eq!(attempt.outcome, failed(Failure::HeadTooLarge));
        receiver.assert_no_other_connection();
    }
    assert_eq!(
        Failure::HeadTooLarge.to_string(),
        "more than 64 KiB before the end of the response's headers"
    );
}

#[tokio::test]
async fn heads_up_to_the_limit_are_a_response() {
    for heads in [final_head, heads_after_hints] {
        let outcome = post_to_raw_receiver(heads(LIMIT).as_bytes()).await;
        assert_eq!(outcome, answered(200));
        let outcome = post_to_raw_receiver(heads(LIMIT + 1).as_bytes()).await;
        assert_eq!(outcome, failed(Failure::HeadTooLarge));
    }
}

#[tokio::test]
async fn a_body_that_comes_with_its_head_does_not_count() {
    let body = "x".repeat(4 << 20);
    for bytes in [100, LIMIT - 1, LIMIT] {
        let length = format!("content-length: {}", body.len());
        // The same number of bytes, with this length in it.
        let head = final_head(bytes - length.len() + "content-length: 0".len());
        let head = head.replace("content-length: 0", &length);
        assert_eq!(head.len(), bytes);
        let outcome = post_to_raw_receiver(format!("{head}{body}").as_bytes()).await;
        assert_eq!(outcome, answered(200), "{bytes}");
    }
}

#[tokio::test]
async fn each_response_on_a_reused_connection_has_the_whole_limit() {
    let receiver = RawReceiver::start().await;
    let sender = sender(LOOPBACK, &Names::answering(&[]));
    let to = format!("http://127.0.0.1:{}/", receiver.port);
    let responses = async {
        let mut stream = receiver.connection().await;
        for _ in 0..3 {
            read_request(&mut stream).await;
            let head = final_head(LIMIT - 1);
            stream.write_all(head.as_bytes()).await.unwrap();
        }
        stream
    };
    let posts = async {
        for _ in 0..3 {
            assert_eq!(post(&sender, &to).await.outcome, answered(200));
        }
    };
    let ((), _stream) = tokio::join!(posts, responses);
    receiver.assert_no_other_connection();
}
