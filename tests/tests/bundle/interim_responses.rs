//! A receiver that sends interim responses without end, to a callback function that has a small
//! function's share of a processor.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::processes::Process;
use tests::receiver::{Receiver, SECRET};
use tests::wait::until;

use super::TIMED;
use super::local_program::{LocalProgram, answer};

/// The default of `CALLBACK_TIMEOUT_SECONDS`.
const TIMEOUT_MS: u64 = 5000;

/// How far a recorded duration may exceed the timeout: a few pauses of a throttled process, on a
/// busy machine.
const SCHEDULING_MS: u64 = 500;

/// Callbacks in the batch of the flooded one, to a receiver that answers at once.
const NEIGHBOURS: usize = 3;

/// The URL of a receiver that sends 103 (Early Hints, RFC 8297) with large headers, without end and
/// as fast as they are read.
fn start_flood() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || flood(stream));
        }
    });
    url
}

fn flood(mut stream: TcpStream) -> std::io::Result<()> {
    let link = format!("link: </{}>; rel=preload\r\n", "x".repeat(200));
    let head = format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", link.repeat(50));
    let heads = head.repeat(100);
    // The request's head is enough to answer.
    let _ = stream.read(&mut [0; 1024])?;
    loop {
        stream.write_all(heads.as_bytes())?;
    }
}

/// Limits a process to 15 % of a processor until it is dropped.
struct Throttled {
    process_id: Pid,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Throttled {
    const RUNS: Duration = Duration::from_millis(15);
    const PAUSES: Duration = Duration::from_millis(85);

    /// Stops the process until [`Throttled::run`].
    fn stopped(process: &Process) -> Self {
        let process_id = Pid::from_raw(i32::try_from(process.id).unwrap());
        kill(process_id, Signal::SIGSTOP).unwrap();
        Self {
            process_id,
            stop: None,
            thread: None,
        }
    }

    fn run(&mut self) {
        let process_id = self.process_id;
        let (stop, stopped) = channel();
        self.stop = Some(stop);
        self.thread = Some(thread::spawn(move || {
            let phases = [
                (Signal::SIGCONT, Self::RUNS),
                (Signal::SIGSTOP, Self::PAUSES),
            ];
            for (signal, lasts) in phases.into_iter().cycle() {
                let lives = kill(process_id, signal).is_ok();
                if !lives || stopped.recv_timeout(lasts) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        }));
    }
}

impl Drop for Throttled {
    /// Continues the process: a stopped one would outlive the test.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = kill(self.process_id, Signal::SIGCONT);
    }
}

/// The path of a completed operation, whose callback is due if it has one.
async fn completed(local: &LocalProgram, callback_url: Option<&str>) -> String {
    let mut body = json!({"function": "demo.echo"});
    if let Some(url) = callback_url {
        body["callback_url"] = url.into();
    }
    let request = local.post("/operations", &body);
    let (status, operation) = answer(request.header("prefer", "wait=20")).await;
    assert_eq!(status, 200, "{operation}");
    format!("/operations/{}", operation["id"].as_str().unwrap())
}

/// The first delivery attempt of an operation's callback.
async fn attempt(local: &LocalProgram, path: &str) -> Value {
    until("an attempt", async || {
        let (_, operation) = answer(local.get(path)).await;
        operation["callback"]["attempts"].get(0).cloned()
    })
    .await
}

#[tokio::test]
async fn a_flood_of_interim_responses_ends_by_the_timeout_and_delays_no_other_callback() {
    let _timed = TIMED.lock().await;
    let flood = start_flood();
    let (gate, prompt) = (Receiver::start().await, Receiver::start().await);
    // One batch at a time, and one attempt of each callback.
    let local = LocalProgram::start(
        &["--instances", "1"],
        &[
            ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
            ("CALLBACK_RETRY_SECONDS", "3600"),
            ("WEBHOOK_SECRETS", SECRET),
        ],
    )
    .await;
    let children = Process::children_of(local.child.id().unwrap()).await;
    let sender = children.iter().find(|child| child.name == "callback");

    // While the sender is stopped in a batch of one message, the next batch fills.
    gate.hold();
    completed(&local, Some(&gate.url)).await;
    until("a batch", async || gate.received().pop()).await;
    let mut sender = Throttled::stopped(sender.unwrap());
    gate.release();
    let flooded = completed(&local, Some(&flood)).await;
    let mut neighbours = Vec::new();
    for _ in 0..NEIGHBOURS {
        neighbours.push(completed(&local, Some(&prompt.url)).await);
    }
    // The worker sends an operation's callback message before it takes the next operation, so after
    // this one every message has been sent.
    completed(&local, None).await;
    sender.run();

    let attempt_at_flood = attempt(&local, &flooded).await;
    for path in &neighbours {
        let attempt = attempt(&local, path).await;
        assert_eq!(attempt["status_code"], 200, "{attempt}");
        assert!(attempt["duration_ms"].as_u64().unwrap() <= TIMEOUT_MS);
    }
    let reason = "more than 64 KiB before the end of the response's headers";
    assert_eq!(attempt_at_flood["error"], reason);
    let duration_ms = attempt_at_flood["duration_ms"].as_u64().unwrap();
    assert!(
        duration_ms <= TIMEOUT_MS + SCHEDULING_MS,
        "{attempt_at_flood}"
    );
    drop(sender);
    drop(local.stop().await);
}
