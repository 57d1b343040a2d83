//! Where work runs: on a thread that it has to itself while it lasts, with an async runtime of its own.
//!
//! The one that holds the operation stays responsive however long the work computes, and when the work is over its runtime has
//! ended with everything that was spawned on it. Nothing may be left running when the invocation answers: Lambda freezes the
//! process then, and would thaw it inside the next invocation.

use shared::domain::json::Json;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
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

/// Starts work. The answer comes once nothing is left of it; `abort` ends work that awaits.
///
/// Threads are tokio's, which keeps them for later attempts: a new one takes a tenth of a millisecond. So what work leaves in
/// thread-locals is met by other owners'. When no thread is to be had tokio panics, and the invocation fails as by a crash.
pub(crate) fn start(
    runner: &'static Runner,
    arguments: Json,
    context: Context,
    abort: watch::Receiver<bool>,
) -> JoinHandle<Ended> {
    // What the work logs is logged for the operation, too.
    let span = Span::current();
    spawn_blocking(move || span.in_scope(|| run(runner, arguments, context, abort)))
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
