//! An upgrade to this release from the one before it, and a rollback: the functions of both serve
//! one table and its queues, and no operation is lost, stranded or run too early.
//!
//! `tests/overlap.sh` builds the functions of the release before this one, and names their
//! directory in `PREVIOUS_FUNCTIONS`.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod deployment;

use callers::Callers;
use deployment::{Deployment, Release};

/// The functions whose aliases move one after the other in an upgrade.
const UPGRADE: [&[&str]; 3] = [&["status", "callback"], &["worker"], &["submit"]];

#[tokio::test]
async fn an_upgrade_loses_no_operation() {
    let mut deployment = Deployment::start("upgrade", Release::Previous).await;
    let mut callers = Callers::start().await;
    callers.work(&deployment).await;
    for functions in UPGRADE {
        deploy(&mut deployment, functions, Release::This, &mut callers).await;
    }
    callers.check_all(&deployment).await;
    deployment.stop().await;
}

/// The worker goes first, as when its deployment alone fails: submit goes on to accept what the
/// worker of the release before cannot run.
#[tokio::test]
async fn a_rollback_loses_no_operation() {
    let mut deployment = Deployment::start("rollback", Release::This).await;
    let mut callers = Callers::start().await;
    callers.work(&deployment).await;
    for functions in [&["worker"][..], &["submit", "status", "callback"]] {
        deploy(&mut deployment, functions, Release::Previous, &mut callers).await;
    }
    for functions in UPGRADE {
        deploy(&mut deployment, functions, Release::This, &mut callers).await;
    }
    callers.check_all(&deployment).await;
    deployment.stop().await;
}

/// Replaces the functions in one half of the deployment and then in the other, with work in between
/// and afterwards.
async fn deploy(
    deployment: &mut Deployment,
    functions: &[&str],
    release: Release,
    callers: &mut Callers,
) {
    for half in 0..deployment.halves.len() {
        deployment.halves[half].deploy(functions, release).await;
        callers.work(deployment).await;
    }
}
