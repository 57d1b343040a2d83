//! The stories.

use std::ops::Range;

use serde_json::{Value, json};
use tests::samples::incompressible;
use worker::Runner;

use crate::paced;
use crate::schedule::Schedule;

/// What happens, each a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    Submit,
    Cancel,
    Worker,
    /// A worker that dies at its work, if it came to claim any.
    LostWorker,
    Callback,
    Redeliver,
    Erase,
    /// Nobody does anything for this long, in seconds.
    Nobody(u64),
}

pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) processes: &'static [Process],
    /// One for each operation.
    pub(crate) bodies: &'static [fn() -> Value],
    /// What each receiver answers first.
    pub(crate) answers: &'static [(u16, Option<&'static str>)],
    /// How it ends: as the first says when nothing goes wrong, else as any of them, for a fault can keep a step from being taken.
    ends: &'static [&'static str],
    /// Attempts that come to nothing without a fault.
    pub(crate) spends: usize,
    /// What workers know instead of the catalogue's.
    pub(crate) work: Option<&'static [Runner]>,
    /// Messages that a worker takes at once.
    pub(crate) batch: i32,
    /// The processes whose calls meet each fault, when other stories have the others' calls; all of them else.
    pub(crate) told_of: Option<Range<usize>>,
    /// Whether the secrets of callbacks are in Secrets Manager.
    pub(crate) has_stored_secrets: bool,
}

use Process::{Callback, Cancel, Erase, LostWorker, Nobody, Redeliver, Submit};

/// A worker that dies before its first request leaves the message hidden for the queue's own 15 minutes; with this deadline two
/// of them do not make an operation late.
const AN_HOUR_SECS: u32 = 3600;

const PLAIN: Story = Story {
    name: "",
    processes: &[],
    bodies: &[],
    answers: &[],
    ends: &["completed"],
    spends: 0,
    work: None,
    batch: 1,
    told_of: None,
    has_stored_secrets: false,
};

pub(crate) static STORIES: [Story; 12] = [
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
            json!({"function": "demo.fail", "arguments": arguments, "deadline_seconds": 4 * AN_HOUR_SECS})
        }],
        answers: &[(500, None)],
        spends: 1,
        ..PLAIN
    },
    Story {
        name: "fails",
        processes: &[Submit, Process::Worker, Callback],
        bodies: &[|| json!({"function": "demo.fail", "deadline_seconds": 4 * AN_HOUR_SECS})],
        ends: &["failed"],
        ..PLAIN
    },
    Story {
        name: "cancelled",
        processes: &[Submit, Cancel, Process::Worker, Callback],
        bodies: &[|| json!({"function": "demo.echo", "arguments": {"n": 1}})],
        // The caller does not ask again, so a cancel that died first has no effect.
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
        // As many as there are attempts, each followed by its lease.
        processes: &[
            Submit,
            LostWorker,
            Nobody(61),
            LostWorker,
            Nobody(61),
            LostWorker,
            Nobody(61),
            Process::Worker,
            Callback,
        ],
        bodies: &[|| {
            let arguments = json!({"retryable": true, "succeed_on_attempt": 1});
            json!({"function": "demo.fail", "arguments": arguments, "deadline_seconds": 4 * AN_HOUR_SECS})
        }],
        ends: &["failed", "completed"],
        spends: 3,
        ..PLAIN
    },
    Story {
        name: "late",
        processes: &[Submit, Nobody(60), Process::Worker, Callback],
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
        told_of: Some(1..2),
        bodies: &[|| paced("long", "only", &json!({"at_secs": [0, 30, 62]}))],
        work: Some(&paced::RUNNERS),
        ..PLAIN
    },
    Story {
        // Three in one invocation, whose messages come and go side by side: one at work for two heartbeats, one that panics and
        // is tried again, one that is done at once.
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
        spends: 1,
        work: Some(&paced::RUNNERS),
        batch: 3,
        told_of: Some(1..3),
        ..PLAIN
    },
    Story {
        // The secrets are read when the first sender starts, and again when they have been in use for a while.
        name: "stored-secrets",
        processes: &[Submit, Process::Worker, Callback, Nobody(600), Callback],
        bodies: &[|| json!({"function": "demo.echo", "arguments": {"n": 1}})],
        answers: &[(503, Some("600"))],
        told_of: Some(2..5),
        has_stored_secrets: true,
        ..PLAIN
    },
];

/// An operation of [`paced`] work.
fn paced(story: &str, name: &str, plan: &Value) -> Value {
    let mut arguments = plan.clone();
    arguments["story"] = json!(story);
    arguments["name"] = json!(name);
    json!({"function": "demo.echo", "arguments": arguments, "deadline_seconds": 4 * AN_HOUR_SECS})
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

/// A payload that gets an item of its own, compressed or not.
fn large() -> Value {
    json!({ "text": incompressible(2000) })
}
