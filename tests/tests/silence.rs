//! Targets on a network that falls silent, with the worker's own connections over real TCP.
//!
//! `tests/targets.sh` runs it in a separate network namespace, and each target is in another one
//! at the end of a virtual cable, so that its network can vanish. The world's clock does not move
//! while an attempt runs: its deadline never comes, and only the connection can end it.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Once, mpsc};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};
use shared::metrics::Metric;
use tests::benchmark::Watch;
use tests::metrics::{Counted, key};
use tests::queues::QueueKind;
use tests::target::{FunctionsFile, resize};
use tests::world::World;

const RESULT: &str = r#"{"key":"b.png"}"#;

/// What a target does with a connection.
#[derive(Clone, Copy)]
enum Act {
    /// Reads the request and returns [`RESULT`] after this time.
    ReturnAfter(Duration),
    /// Reads the request. Then its network vanishes until [`Peer::restore`].
    Vanish,
    /// Its network vanishes while the request is on its way.
    VanishEarly,
}

/// A target in a separate network namespace.
struct Peer {
    url: String,
    log: Arc<Mutex<Log>>,
    restore: mpsc::Sender<()>,
}

/// What a target received.
#[derive(Default)]
struct Log {
    connections: usize,
    /// The attempts whose requests were read.
    attempts: Vec<Value>,
    /// TCP segments while it was silent.
    probes: u64,
}

impl Peer {
    /// A target that takes each of these acts for one connection.
    fn start(acts: Vec<Act>) -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        use_empty_network();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = Arc::<Mutex<Log>>::default();
        let (restore, restored) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        let for_thread = Arc::clone(&log);
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let tests = std::process::id();
            ip(&format!(
                "link add peer type veth peer name worker{number} netns {tests}"
            ));
            ip(&format!("address add 10.77.{number}.2/24 dev peer"));
            ip("link set peer up");
            let listener = TcpListener::bind(format!("10.77.{number}.2:8080")).unwrap();
            ready.send(()).unwrap();
            for act in acts {
                let (connection, _) = listener.accept().unwrap();
                serve(connection, act, &for_thread, &restored);
            }
        });
        is_ready.recv().expect("the target listens");
        ip(&format!(
            "address add 10.77.{number}.1/24 dev worker{number}"
        ));
        ip(&format!("link set worker{number} up"));
        Self {
            url: format!("http://10.77.{number}.2:8080"),
            log,
            restore,
        }
    }

    /// Brings a network back that has vanished.
    fn restore(&self) {
        self.restore.send(()).unwrap();
    }
}

fn serve(mut connection: TcpStream, act: Act, log: &Mutex<Log>, restored: &mpsc::Receiver<()>) {
    log.lock().unwrap().connections += 1;
    if matches!(act, Act::VanishEarly) {
        // The rest does not fit into the buffers as long as nothing is read.
        connection.peek(&mut [0]).unwrap();
    } else {
        let attempt = read_attempt(&mut connection);
        log.lock().unwrap().attempts.push(attempt);
    }
    match act {
        Act::ReturnAfter(silence) => {
            let before = received_segments();
            std::thread::sleep(silence);
            log.lock().unwrap().probes = received_segments() - before;
            let length = RESULT.len();
            let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{RESULT}");
            connection.write_all(response.as_bytes()).unwrap();
        }
        Act::Vanish | Act::VanishEarly => {
            ip("link set peer down");
            restored.recv().expect("the test restores the network");
            ip("link set peer up");
        }
    }
}

/// Reads a request, and returns the number of its attempt.
fn read_attempt(connection: &mut TcpStream) -> Value {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let count = connection.read(&mut part).unwrap();
        assert_ne!(count, 0, "the worker closed the connection");
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let document = text.split_once("\r\n\r\n").map(|(_, body)| body);
        if let Some(Ok(document)) = document.map(serde_json::from_str::<Value>) {
            return document["data"]["attempt"].clone();
        }
    }
}

/// The TCP segments that this thread's namespace has received.
fn received_segments() -> u64 {
    let counts = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut rows = counts.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
    let mut counts = names.split(' ').zip(values.split(' '));
    let (_, count) = counts.find(|(name, _)| *name == "InSegs").unwrap();
    count.parse().unwrap()
}

/// Nothing but loopback: a machine's own network must not be changed.
fn use_empty_network() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let devices = std::fs::read_to_string("/proc/net/dev").unwrap();
        let mut names = devices.lines().filter_map(|line| line.split_once(':'));
        assert!(
            names.all(|(name, _)| name.trim() == "lo"),
            "this is not an empty network namespace; tests/targets.sh makes one"
        );
        ip("link set lo up");
    });
}

fn ip(arguments: &str) {
    let run = Command::new("ip").args(arguments.split(' ')).status();
    assert!(run.unwrap().success(), "ip {arguments}");
}

/// A world with a submitted operation of the target's function.
struct Story {
    world: World,
    id: String,
    _file: FunctionsFile,
}

impl Story {
    /// `keep_alive_secs` in place of the default.
    async fn start(peer: &Peer, keep_alive_secs: Option<&str>) -> Self {
        let mut function = resize();
        function["timeout_seconds"] = json!(870);
        let file = FunctionsFile::new(&[function]);
        let registered = ("FUNCTIONS_FILE", file.path());
        let endpoint = ("AWS_ENDPOINT_URL_LAMBDA", peer.url.as_str());
        let world = match keep_alive_secs {
            Some(secs) => {
                let keep_alive = ("TARGET_KEEP_ALIVE_SECONDS", secs);
                World::with([registered, endpoint, keep_alive]).await
            }
            None => World::with([registered, endpoint]).await,
        };
        // Larger than the buffers of a connection that nothing is read from.
        let arguments = json!({"key": "x".repeat(200 * 1024)});
        let submission = json!({"function": "image.resize", "arguments": arguments});
        let response = world.submit(submission).await;
        Self {
            id: response.json["id"].as_str().unwrap().to_owned(),
            world,
            _file: file,
        }
    }

    /// Runs an attempt, which must end within this time, and returns how long it took.
    async fn attempt(&self, longest: Duration) -> Duration {
        let watch = Watch::start();
        let ended = tokio::time::timeout(longest, self.world.pump(QueueKind::Dispatch)).await;
        assert!(ended.expect("the attempt ends"));
        watch.took()
    }

    async fn assert_completed_at_attempt(&self, attempt: u32) {
        let done = self.world.show(&self.id).await;
        let result: Value = serde_json::from_str(RESULT).unwrap();
        assert_eq!(
            (&done["status"], &done["attempt"], &done["result"]),
            (&json!("completed"), &json!(attempt), &result)
        );
    }
}

/// The target stays silent for a time in which the connection is probed at least so often.
async fn assert_awaited(silence_secs: u64, keep_alive_secs: Option<&str>, probes_min: u64) {
    let silence = Duration::from_secs(silence_secs);
    let peer = Peer::start(vec![Act::ReturnAfter(silence)]);
    let story = Story::start(&peer, keep_alive_secs).await;
    let took = story.attempt(silence + Duration::from_secs(10)).await;
    assert!(took >= silence, "{took:?}");
    story.assert_completed_at_attempt(1).await;
    let log = peer.log.lock().unwrap();
    assert_eq!((log.connections, &log.attempts), (1, &vec![json!(1)]));
    assert!(log.probes >= probes_min, "{} probes", log.probes);
}

/// The network vanishes, which the first attempt notices within these seconds. When the network is
/// back, another attempt completes the operation.
async fn assert_lost(act: Act, keep_alive_secs: Option<&str>, noticed: [u64; 2]) {
    let peer = Peer::start(vec![act, Act::ReturnAfter(Duration::ZERO)]);
    let story = Story::start(&peer, keep_alive_secs).await;
    let counted = Counted::start();
    let [earliest, latest] = noticed.map(Duration::from_secs);
    let took = story.attempt(latest).await;
    println!("noticed after {took:.1?}");
    assert!(took >= earliest, "{took:?}");
    assert!(
        counted
            .take()
            .contains_key(&key(Metric::TargetError("TARGET_LOST")))
    );
    assert_eq!(story.world.show(&story.id).await["status"], "processing");
    assert_eq!(peer.log.lock().unwrap().connections, 1);
    peer.restore();
    story.world.drain().await;
    story.assert_completed_at_attempt(2).await;
    assert_eq!(peer.log.lock().unwrap().connections, 2);
}

mod short {
    use super::*;

    #[tokio::test]
    async fn a_target_may_be_silent_while_its_network_acknowledges_probes() {
        assert_awaited(5, Some("1"), 3).await;
    }

    #[tokio::test]
    async fn a_network_that_vanishes_while_the_target_works_loses_the_attempt() {
        assert_lost(Act::Vanish, Some("1"), [3, 9]).await;
    }

    #[tokio::test]
    async fn a_network_that_vanishes_while_the_request_is_sent_loses_the_attempt() {
        assert_lost(Act::VanishEarly, Some("1"), [3, 9]).await;
    }
}

/// With the default interval of probes.
mod long {
    use super::*;

    #[tokio::test]
    async fn a_target_may_be_silent_for_longer_than_nat_gateways_allow() {
        assert_awaited(400, None, 12).await;
    }

    #[tokio::test]
    async fn a_network_that_vanishes_is_noticed_in_a_minute() {
        assert_lost(Act::Vanish, None, [55, 75]).await;
        assert_lost(Act::VanishEarly, None, [55, 75]).await;
    }
}
