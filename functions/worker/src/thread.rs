//! Runs work on a thread of the blocking pool, with its own async runtime.
//!
//! So the task that holds the operation stays responsive however long the work computes, and
//! everything that the work spawned ends with its runtime. Nothing may keep running once the
//! invocation has responded: Lambda then freezes the process, and would thaw it inside the next
//! invocation.

use shared::domain::json::Json;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::Span;

use crate::context::Context;
use crate::work::{Returned, Runner};

/// How work ended.
#[derive(Debug)]
pub(crate) enum WorkEnd {
    Returned(Returned),
    Panicked,
    /// It awaited when it was aborted.
    Aborted,
}

/// Starts work. The handle completes once the work and all that it spawned have ended; `abort` ends
/// work that awaits.
///
/// Tokio keeps the threads for later attempts, since a new one takes a tenth of a millisecond. So
/// what work leaves in thread-locals is visible to the work of other owners. When the operating
/// system refuses a thread tokio panics, and the invocation fails as by a crash.
pub(crate) fn start(
    runner: &'static Runner,
    arguments: Json,
    state: Option<Json>,
    context: Context,
    abort: watch::Receiver<bool>,
) -> JoinHandle<WorkEnd> {
    // The work's own log lines name the operation as well.
    let span = Span::current();
    spawn_blocking(move || span.in_scope(|| run(runner, arguments, state, context, abort)))
}

fn run(
    runner: &Runner,
    arguments: Json,
    state: Option<Json>,
    context: Context,
    mut abort: watch::Receiver<bool>,
) -> WorkEnd {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the attempt fails: no async runtime for its work");
            return WorkEnd::Panicked;
        }
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            // The abort first, so that work which is already aborted does not begin.
            biased;
            _ = abort.wait_for(|abort| *abort) => WorkEnd::Aborted,
            returned = (runner.run)(arguments, state, context) => WorkEnd::Returned(returned),
        }
    });
    // Waits for blocking tasks that the work spawned.
    drop(runtime);
    ended
}
