//! Strangers that take their time. The clock is moved by hand, and each test hangs if the deadline does not hold.

use shared::clock::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use super::receiver::RawReceiver;
use super::*;

/// Tells when the sender looks at the time, which it does at the start and again when it has an answer's headers.
struct WatchedClock {
    clock: ManualClock,
    read: Arc<Notify>,
}

impl Clock for WatchedClock {
    fn now(&self) -> Timestamp {
        self.read.notify_one();
        self.clock.now()
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'_, ()> {
        self.clock.sleep_until(wake)
    }
}

/// Posts to a receiver that sends `head` and then a byte a second, up to the deadline.
async fn post_to_slow_drip(head: &str, head_is_whole: bool) -> Exchange {
    let receiver = RawReceiver::start().await;
    let (clock, read) = (manual_clock(), Arc::new(Notify::new()));
    let watched = WatchedClock {
        clock: clock.clone(),
        read: Arc::clone(&read),
    };
    let names = Names::answering(&[]);
    let sender = sender_with(LOOPBACK, &names, RootCertStore::empty(), watched);
    let drip = async {
        let mut stream = receiver.request().await;
        read.notified().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        if head_is_whole {
            read.notified().await;
        }
        for _ in 0..TIMEOUT.as_secs() {
            stream.write_all(b"x").await.unwrap();
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(1));
        }
        stream
    };
    let to = format!("http://127.0.0.1:{}/", receiver.port);
    let (attempt, _stream) = tokio::join!(post(&sender, &to), drip);
    attempt
}

#[tokio::test]
async fn dripping_headers_time_out() {
    for head in ["HTTP/1.1 200 ", "HTTP/1.1 200 OK\r\nx-drip: "] {
        let attempt = post_to_slow_drip(head, false).await;
        assert_eq!(attempt.outcome, failed(Failure::TimedOut));
        assert_eq!(attempt.duration, TIMEOUT);
    }
    assert_eq!(Failure::TimedOut.to_string(), "timed out");
}

#[tokio::test]
async fn a_name_that_is_never_resolved_times_out() {
    struct Silent(Arc<Notify>);
    impl Resolve for Silent {
        fn resolve(&self, _: Name) -> Resolving {
            self.0.notify_one();
            Box::pin(std::future::pending())
        }
    }
    let asked = Arc::new(Notify::new());
    let clock = manual_clock();
    let network = Network {
        names: Arc::new(Silent(Arc::clone(&asked))),
        roots: RootCertStore::empty(),
    };
    let clock_of_sender = Arc::new(clock.clone());
    let sender = Sender::on(network, allowed(""), TIMEOUT, clock_of_sender).unwrap();
    let wait = async {
        asked.notified().await;
        clock.advance(TIMEOUT);
    };
    let (attempt, ()) = tokio::join!(post(&sender, "https://hooks.example.com/"), wait);
    assert_eq!(attempt.outcome, failed(Failure::TimedOut));
}

/// The deadline stands still: only the time for the connection can end this.
#[tokio::test]
async fn a_handshake_that_is_never_answered_leaves_time_for_the_rest() {
    let silent = RawReceiver::start().await;
    let network = Network {
        names: Names::answering(&[]),
        roots: RootCertStore::empty(),
    };
    let clock = Arc::new(manual_clock());
    let timeout = Duration::from_millis(100);
    let sender = Sender::on(network, allowed(LOOPBACK), timeout, clock).unwrap();
    let attempt = post(&sender, &format!("https://127.0.0.1:{}/", silent.port)).await;
    assert_eq!(attempt.outcome, failed(Failure::TimedOut));
}

/// The receiver has answered: it may have taken the callback, and a second one would be its duplicate.
#[tokio::test]
async fn a_dripping_body_does_not_undo_the_answer() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n";
    let attempt = post_to_slow_drip(head, true).await;
    assert_eq!(attempt.outcome, answered(200));
    assert_eq!(attempt.duration, TIMEOUT);
}
