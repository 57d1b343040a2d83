//! Holds callbacks to what their receivers make of them: over TLS, each with one key, which a library of somebody else's verifies
//! with.
//!
//! The receivers of a run are those of [`language::Language::of_this_run`], and are printed: Rust in this process, and Python and Node as
//! processes of their own when `RECEIVERS` names a directory that `tests/references.sh` has prepared for them. Whatever is
//! missing there fails the run.

mod authority;
mod deliveries;
mod in_process;
mod keys;
mod language;
mod readme;

mod receiver;

use std::sync::LazyLock;

use tests::bundle::SharedBundle;

use authority::Authority;

/// Whom the bundle trusts besides Mozilla's authorities.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("trusted"));

/// In the middle of a rotation, and with receivers that verify with a public key.
static ROTATING: SharedBundle = SharedBundle::new(|| {
    let secrets = [keys::NEW_SECRET, keys::OLD_SECRET, keys::SIGNING_KEY];
    environment([
        ("CALLBACK_RETRY_SECONDS", "0"),
        ("CALLBACK_ROOT_CERTIFICATES", &AUTHORITY.pem()),
        ("WEBHOOK_SECRETS", &secrets.join(",")),
    ])
});

/// With the secret that it has when nobody says otherwise.
static DEVELOPMENT: SharedBundle = SharedBundle::new(|| environment([]));

fn environment<const N: usize>(
    variables: [(&'static str, &str); N],
) -> Vec<(&'static str, String)> {
    let every_bundles = [
        // Refusals are what the tests are after, and no warning.
        ("AWS_LAMBDA_LOG_LEVEL", "ERROR"),
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
    ];
    every_bundles
        .into_iter()
        .chain(variables)
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}
