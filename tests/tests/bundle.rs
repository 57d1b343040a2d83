//! Stories over HTTP, on the whole bundle with the functions' processes.

mod callback;
mod cancel;
mod concurrent_submits;
mod console_queues;
mod erase;
mod failure;
#[cfg(unix)]
mod fairness;
#[cfg(unix)]
mod functions_file;
#[cfg(target_os = "linux")]
mod guard;
mod idempotency;
#[cfg(unix)]
mod interim_responses;
mod list;
mod local_program;
#[cfg(unix)]
mod logs;
#[cfg(unix)]
mod long_work;
mod program;
#[cfg(unix)]
mod program_waits;
mod protocols;
mod refusal;
mod status;
#[cfg(unix)]
mod terminal;

use tests::bundle::SharedBundle;
use tests::receiver::SECRET;
use tokio::sync::Mutex;

/// Held by tests that measure durations, so that they do not slow each other down.
static TIMED: Mutex<()> = Mutex::const_new(());

static BUNDLE: SharedBundle = SharedBundle::new(|| {
    let environment = [
        ("AWS_LAMBDA_LOG_LEVEL", "WARN"),
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
        // The shortest, because tests wait for the leases of crashed workers.
        ("LEASE_SECONDS", "5"),
        ("WEBHOOK_SECRETS", SECRET),
    ];
    environment
        .map(|(name, value)| (name, value.to_owned()))
        .into()
});
