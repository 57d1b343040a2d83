//! Slow receivers. The tests move the clock, and each of them hangs if the deadline does not hold.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::receiver::RawReceiver;
use super::*;

/// Notifies the test when the sender reads the time, which it does first at its start.
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
async fn post_to_slow_drip(head: &str) -> Exchange {
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
        let attempt = post_to_slow_drip(head).await;
        assert_eq!(attempt.outcome, failed(Failure::TimedOut));
        assert_eq!(attempt.duration, TIMEOUT);
    }
    assert_eq!(Failure::TimedOut.to_string(), "timed out");
}

#[tokio::test]
async fn a_name_that_is_never_resolved_times_out() {
    #[derive(Debug)]
    struct Silent(Arc<Notify>);
    impl Resolve for Silent {
        fn resolve(&self, _: Name) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
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
    let sender = Sender::on(network, allowed(""), TIMEOUT, clock_of_sender);
    let wait = async {
        asked.notified().await;
        clock.advance(TIMEOUT);
    };
    let (attempt, ()) = tokio::join!(post(&sender, "https://hooks.example.com/"), wait);
    assert_eq!(attempt.outcome, failed(Failure::TimedOut));
}

/// A timer fires late when its thread was busy or stopped, and the response may come before it.
#[tokio::test]
async fn a_response_after_the_deadline_does_not_count_even_if_the_timer_is_late() {
    struct LateTimer(ManualClock);
    impl Clock for LateTimer {
        fn now(&self) -> Timestamp {
            self.0.now()
        }

        fn sleep_until(&self, _: Timestamp) -> BoxFuture<'_, ()> {
            Box::pin(std::future::pending())
        }
    }
    for (after, outcome) in [
        (TIMEOUT * 9 / 10, answered(200)),
        (TIMEOUT, failed(Failure::TimedOut)),
    ] {
        let receiver = RawReceiver::start().await;
        let clock = manual_clock();
        let late = LateTimer(clock.clone());
        let sender = sender_with(
            LOOPBACK,
            &Names::answering(&[]),
            RootCertStore::empty(),
            late,
        );
        let response = async {
            let mut stream = receiver.request().await;
            clock.advance(after);
            let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(response).await.unwrap();
        };
        let to = format!("http://127.0.0.1:{}/", receiver.port);
        let (attempt, ()) = tokio::join!(post(&sender, &to), response);
        assert_eq!(attempt.outcome, outcome);
        assert_eq!(attempt.duration, after);
    }
}

/// The clock never reaches the deadline, so only the connection's own timeout can end this.
#[tokio::test]
async fn a_handshake_that_is_never_answered_ends_before_the_deadline() {
    let silent = RawReceiver::start().await;
    let network = Network {
        names: Names::answering(&[]),
        roots: RootCertStore::empty(),
    };
    let clock = Arc::new(manual_clock());
    let timeout = Duration::from_millis(100);
    let sender = Sender::on(network, allowed(LOOPBACK), timeout, clock);
    let attempt = post(&sender, &format!("https://127.0.0.1:{}/", silent.port)).await;
    assert_eq!(attempt.outcome, failed(Failure::TimedOut));
}

/// The clock never reaches the deadline, so this would never end if the body were waited for. The
/// rest of the body is not read either: the connection ends.
#[tokio::test]
async fn a_response_is_complete_with_its_headers() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\na part",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "HTTP/1.1 200 OK\r\n\r\nup to the end",
    ] {
        let receiver = RawReceiver::start().await;
        let names = Names::answering(&[]);
        let sender = sender_with(LOOPBACK, &names, RootCertStore::empty(), manual_clock());
        let response = async {
            let mut stream = receiver.request().await;
            stream.write_all(head.as_bytes()).await.unwrap();
            stream
        };
        let to = format!("http://127.0.0.1:{}/", receiver.port);
        let (attempt, mut stream) = tokio::join!(post(&sender, &to), response);
        assert_eq!(attempt.outcome, answered(200), "{head:?}");
        assert_eq!(attempt.duration, Duration::ZERO);
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "{head:?}");
    }
}
