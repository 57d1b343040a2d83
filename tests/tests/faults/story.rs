//! The stories.

use std::ops::Range;

use serde_json::{Value, json};
use tests::samples::incompressible;
use worker::Runner;

use crate::schedule::Schedule;
use crate::{paced, saving};

/// A step of a story. Each runs as a separate process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    Submit,
    Cancel,
    Worker,
    /// A worker that dies at its work, if it claims any.
    LostWorker,
    /// The same, for a message that was received before, so that it reads first.
    LostWorkerAgain,
    Callback,
    Redeliver,
    /// Redrives the operation, once it has ended, and later repeats that request.
    Redrive,
    Erase,
    /// Time passes, in seconds.
    Wait(u64),
}

pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) processes: &'static [Process],
    /// One request body for each operation.
    pub(crate) bodies: &'static [fn() -> Value],
    /// What each receiver answers first: status and `Retry-After`.
    pub(crate) responses: &'static [(u16, Option<&'static str>)],
    /// The statuses that it may end in: the first when nothing goes wrong, else any of them,
    /// because a fault can prevent a step. A redrive completes.
    ends: &'static [&'static str],
    /// Attempts that fail without a fault.
    pub(crate) lost_attempts: usize,
    /// The work that workers run instead of the catalogue's.
    pub(crate) work: Option<&'static [Runner]>,
    /// Messages that a worker receives at once.
    pub(crate) batch: i32,
    /// The processes whose calls are given faults. `None` is all of them; a range leaves the
    /// others' calls to other stories.
    pub(crate) faulted: Option<Range<usize>>,
    /// Whether the callbacks' secrets are in Secrets Manager.
    pub(crate) has_stored_secrets: bool,
    /// Whether the operations' function is registered, and its target fails at the first attempt.
    pub(crate) has_target: bool,
}

use Process::{
    Callback, Cancel, Erase, LostWorker, LostWorkerAgain, Redeliver, Redrive, Submit, Wait,
};

/// A worker that dies before its first request leaves the message invisible for the queue's
/// visibility timeout of 15 minutes. With this deadline, two such workers do not make an operation
/// late.
const HOUR_SECS: u32 = 3600;

const PLAIN: Story = Story {
    name: "",
    processes: &[],
    bodies: &[],
    responses: &[],
    ends: &["completed"],
    lost_attempts: 0,
    work: None,
    batch: 1,
    faulted: None,
    has_stored_secrets: false,
    has_target: false,
};

pub(crate) static STORIES: [Story; 19] = [
    Story {
        name: "completes",
        processes: &[Submit, Process::Worker, Callback],
        bodies: &[|| json!({"function": "demo.echo", "arguments": {"n": 1}})],
        ..PLAIN
    },
    Story {
        name: "large",
        processes: &[Submit, Process::Worker, Callback],
        bodies: &[|| json!({"function": "demo.echo", "arguments": large(), "metadata": large()})],
        ..PLAIN
    },
    Story {
        name: "retried",
        processes: &[Submit, Process::Worker, Process::Worker, Callback, Callback],
        bodies: &[|| {
            let arguments = json!({"retryable": true, "succeed_on_attempt": 2});
            json!({
                "function": "demo.fail", "arguments": arguments,
                "deadline_seconds": 4 * HOUR_SECS,
            })
        }],
        responses: &[(500, None)],
        lost_attempts: 1,
        ..PLAIN
    },
    Story {
        name: "fails",
        processes: &[Submit, Process::Worker, Callback],
        bodies: &[|| json!({"function": "demo.fail", "deadline_seconds": 4 * HOUR_SECS})],
        ends: &["failed"],
        ..PLAIN
    },
    Story {
        name: "cancelled",
        processes: &[Submit, Cancel, Process::Worker, Callback],
        bodies: &[|| json!({"function": "demo.echo", "arguments": {"n": 1}})],
        // The caller does not repeat the cancel, so a cancel that died first has no effect.
        ends: &["cancelled", "completed"],
        ..PLAIN
    },
    Story {
        name: "redelivered",
        processes: &[Submit, Process::Worker, Callback, Redeliver, Callback],
        bodies: &[|| json!({"function": "demo.echo", "arguments": large(), "ttl_seconds": 60})],
        ..PLAIN
    },
    Story {
        name: "given-up",
        // One lost worker for each attempt, each followed by its lease.
        processes: &[
            Submit,
            LostWorker,
            Wait(61),
            LostWorkerAgain,
            Wait(61),
            LostWorkerAgain,
            Wait(61),
            Process::Worker,
            Callback,
        ],
        bodies: &[|| {
            let arguments = json!({"retryable": true, "succeed_on_attempt": 1});
            json!({
                "function": "demo.fail", "arguments": arguments,
                "deadline_seconds": 4 * HOUR_SECS,
            })
        }],
        ends: &["failed", "completed"],
        lost_attempts: 3,
        ..PLAIN
    },
    Story {
        name: "late",
        processes: &[Submit, Wait(60), Process::Worker, Callback],
        bodies: &[
            || json!({"function": "demo.echo", "arguments": {"n": 1}, "deadline_seconds": 60}),
        ],
        ends: &["failed", "completed"],
        ..PLAIN
    },
    Story {
        name: "erased",
        processes: &[Submit, Process::Worker, Callback, Erase],
        bodies: &[|| json!({"function": "demo.echo", "arguments": large()})],
        ..PLAIN
    },
    Story {
        // Heartbeats and progress in the middle of work that outlasts a lease.
        name: "long",
        processes: &[Submit, Process::Worker, Callback],
        faulted: Some(1..2),
        bodies: &[|| paced("long", "only", &json!({"at_secs": [0, 30, 62]}))],
        work: Some(&paced::RUNNERS),
        ..PLAIN
    },
    Story {
        // Three operations in one invocation, which makes their requests concurrently: one works
        // for two heartbeats, one panics and is retried, one completes at once.
        name: "batch",
        processes: &[Submit, Process::Worker, Process::Worker, Callback],
        bodies: &[
            || paced("batch", "long", &json!({"at_secs": [0, 30]})),
            || {
                paced(
                    "batch",
                    "panics",
                    &json!({"at_secs": [0], "succeeds_on": 2}),
                )
            },
            || paced("batch", "short", &json!({"at_secs": [0]})),
        ],
        lost_attempts: 1,
        work: Some(&paced::RUNNERS),
        batch: 3,
        faulted: Some(1..3),
        ..PLAIN
    },
    Story {
        // The first sender reads the secrets at its start, and again once they reach their maximum
        // age.
        name: "stored-secrets",
        processes: &[Submit, Process::Worker, Callback, Wait(600), Callback],
        bodies: &[|| json!({"function": "demo.echo", "arguments": {"n": 1}})],
        responses: &[(503, Some("600"))],
        faulted: Some(2..5),
        has_stored_secrets: true,
        ..PLAIN
    },
    Story {
        name: "registered",
        processes: &[Submit, Process::Worker, Process::Worker, Callback],
        bodies: &[|| {
            json!({
                "function": "image.resize", "arguments": {"key": "a.png"},
                "deadline_seconds": 4 * HOUR_SECS,
            })
        }],
        lost_attempts: 1,
        has_target: true,
        ..PLAIN
    },
    Story {
        name: "continues",
        processes: &[
            Submit,
            Process::Worker,
            Process::Worker,
            Process::Worker,
            Callback,
        ],
        faulted: Some(1..4),
        bodies: &[|| long(3, 0)],
        ..PLAIN
    },
    Story {
        // States that do not fit the head.
        name: "continues-large",
        processes: &[Submit, Process::Worker, Process::Worker, Callback],
        faulted: Some(1..3),
        bodies: &[|| {
            json!({
                "function": "demo.echo", "arguments": {"legs": 3},
                "deadline_seconds": 4 * HOUR_SECS,
            })
        }],
        work: Some(&saving::RUNNERS),
        ..PLAIN
    },
    Story {
        // A wait of more than one hop.
        name: "sleeps",
        processes: &[
            Submit,
            Process::Worker,
            Wait(900),
            Process::Worker,
            Wait(100),
            Process::Worker,
            Callback,
        ],
        faulted: Some(1..6),
        bodies: &[|| long(2, 1000)],
        ..PLAIN
    },
    Story {
        name: "cancelled-asleep",
        processes: &[
            Submit,
            Process::Worker,
            Cancel,
            Wait(900),
            Process::Worker,
            Callback,
        ],
        faulted: Some(1..6),
        bodies: &[|| long(2, 1000)],
        ends: &["cancelled", "completed"],
        ..PLAIN
    },
    Story {
        // A start that is more than one hop ahead.
        name: "starts-later",
        processes: &[
            Submit,
            Wait(900),
            Process::Worker,
            Wait(100),
            Process::Worker,
            Callback,
        ],
        bodies: &[|| {
            json!({
                "function": "demo.echo", "arguments": {"n": 1}, "start_after_seconds": 1000,
                "deadline_seconds": 4 * HOUR_SECS,
            })
        }],
        ..PLAIN
    },
    Story {
        // Fails at its deadline, asleep after its first leg, with a state that does not fit the
        // head. The redrive takes the second leg.
        name: "redriven",
        processes: &[
            Submit,
            Process::Worker,
            Wait(900),
            Process::Worker,
            Callback,
            Redrive,
            Redrive,
            Process::Worker,
            Redrive,
            Callback,
        ],
        faulted: Some(5..10),
        bodies: &[|| {
            json!({
                "function": "demo.echo", "arguments": {"legs": 2, "wait_seconds": 1000},
                "deadline_seconds": 900,
            })
        }],
        ends: &["failed"],
        work: Some(&saving::RUNNERS),
        ..PLAIN
    },
];

/// The request body of an operation with this many legs.
fn long(legs: u32, wait_seconds: u32) -> Value {
    let arguments = json!({"legs": legs, "wait_seconds": wait_seconds});
    json!({
        "function": "demo.long", "arguments": arguments, "deadline_seconds": 4 * HOUR_SECS,
    })
}

/// The request body of an operation with [`paced`] work.
fn paced(story: &str, name: &str, plan: &Value) -> Value {
    let mut arguments = plan.clone();
    arguments["story"] = json!(story);
    arguments["name"] = json!(name);
    json!({"function": "demo.echo", "arguments": arguments, "deadline_seconds": 4 * HOUR_SECS})
}

impl Story {
    pub(crate) fn ends_after(&self, schedule: &Schedule) -> &'static [&'static str] {
        if schedule.len() == 0 {
            &self.ends[..1]
        } else {
            self.ends
        }
    }
}

/// A payload that is stored as a separate item, compressed or not.
fn large() -> Value {
    json!({ "text": incompressible(2000) })
}
