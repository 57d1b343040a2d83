//! Where work runs: on a thread of its own with an async runtime of its own.
//!
//! The one that holds the operation stays responsive however long the work computes, and when the work is over its thread has
//! ended with everything that it spawned. Nothing may be left running when the invocation answers: Lambda freezes the process
//! then, and would thaw it inside the next invocation.

use std::panic::{AssertUnwindSafe, catch_unwind};

use shared::domain::json::Json;
use tokio::sync::{oneshot, watch};
use tracing::Span;

use crate::context::Context;
use crate::work::{Runner, WorkError};

/// How work ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself.
    Returned(Result<Json, WorkError>),
    /// By panicking.
    Panicked,
    /// Because it was told to.
    Aborted,
}

/// Starts work. The answer comes once the thread has nothing left to do but end; `abort` ends work that awaits.
pub(crate) fn start(
    runner: &'static Runner,
    arguments: Json,
    context: Context,
    abort: watch::Receiver<bool>,
) -> oneshot::Receiver<Ended> {
    let (ended, receiver) = oneshot::channel();
    // What the work logs is logged for the operation, too.
    let span = Span::current();
    let body = move || {
        let _entered = span.entered();
        // The process's panic hook has told where it was; that it was is a failed attempt.
        let outcome = catch_unwind(AssertUnwindSafe(|| run(runner, arguments, context, abort)));
        let _ = ended.send(outcome.unwrap_or(Ended::Panicked));
    };
    // Without a thread the sender is dropped, which the receiver takes for a panic: a failed attempt.
    if let Err(error) = std::thread::Builder::new()
        .name("work".to_owned())
        .spawn(body)
    {
        tracing::error!(%error, "no thread for work");
    }
    receiver
}

fn run(
    runner: &Runner,
    arguments: Json,
    context: Context,
    mut abort: watch::Receiver<bool>,
) -> Ended {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime for work");
            return Ended::Panicked;
        }
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            // First, so that work is not begun when nobody wants it.
            biased;
            _ = abort.wait_for(|abort| *abort) => Ended::Aborted,
            returned = (runner.run)(arguments, context) => Ended::Returned(returned),
        }
    });
    // Waits for blocking tasks that the work left behind.
    drop(runtime);
    ended
}
