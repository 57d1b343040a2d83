//! Sends callbacks over TLS to receivers that verify them with the reference libraries, each with
//! one key.
//!
//! [`language::Language::of_this_run`] chooses and prints the receivers: Rust in this process, and
//! Python and Node in other processes if `RECEIVERS` is a directory that `tests/references.sh` has
//! prepared. The run fails if anything is missing there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authority;
mod deliveries;
mod in_process;
mod keys;
mod language;
mod readme;

mod receiver;

use std::sync::LazyLock;

use tests::bundle::SharedBundle;

use crate::authority::Authority;

/// The authority that the bundle trusts in addition to Mozilla's.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("trusted"));

/// A bundle in the middle of a rotation, with a key for receivers that verify with a public key.
static ROTATING: SharedBundle = SharedBundle::new(|| {
    let secrets = [keys::NEW_SECRET, keys::OLD_SECRET, keys::SIGNING_KEY];
    environment([
        ("CALLBACK_RETRY_SECONDS", "0"),
        ("CALLBACK_ROOT_CERTIFICATES", &AUTHORITY.pem()),
        ("WEBHOOK_SECRETS", &secrets.join(",")),
    ])
});

/// A bundle with its default secret.
static DEVELOPMENT: SharedBundle = SharedBundle::new(|| environment([]));

fn environment<const N: usize>(
    variables: [(&'static str, &str); N],
) -> Vec<(&'static str, String)> {
    let common = [
        // The tests provoke refusals, which would log warnings.
        ("AWS_LAMBDA_LOG_LEVEL", "ERROR"),
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
    ];
    common
        .into_iter()
        .chain(variables)
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}
