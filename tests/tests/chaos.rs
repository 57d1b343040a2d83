//! Chaos on the bundle: operations are submitted, cancelled and called back, start later, continue
//! and sleep while the functions' processes are killed, messages are duplicated, the store
//! throttles, stalls and loses responses, and the target of registered work fails. No accepted
//! operation may be lost.
//!
//! `cargo test` runs it for a few seconds; `CHAOS_SECONDS` sets another duration, and `CHAOS_SEED`
//! repeats the choices of an earlier run. It prints its figures.

mod callers;
mod duplicates;
mod kills;
mod long_work;
mod store;
mod target;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use local::bundle::{Bundle, Settings};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Environment;
use shared::random::{Random, SeededRandom};
use tests::bundle::{self, linked_functions};
use tests::receiver::{Receiver, SECRET};

use callers::Callers;
use duplicates::Queues;
use store::FaultyStore;
use target::Target;

const SECONDS_DEFAULT: u64 = 5;

/// The random choices of a run.
#[derive(Clone)]
struct Chance(Arc<dyn Random>);

impl Chance {
    /// True for this share of the calls.
    fn is(&self, share: f64) -> bool {
        self.0.fraction() < share
    }

    fn of<'a, T>(&self, choices: &'a [T]) -> Option<&'a T> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "below the length, which is small"
        )]
        let index = (self.0.fraction() * choices.len() as f64) as usize;
        choices.get(index)
    }
}

#[tokio::test]
async fn nothing_that_was_accepted_is_lost() {
    let environment = Environment::from_process();
    let seconds = |name, default| {
        let number = environment.optional(name).map(|text| text.parse().unwrap());
        number.unwrap_or(default)
    };
    let duration = Duration::from_secs(seconds("CHAOS_SECONDS", SECONDS_DEFAULT));
    let seed = seconds(
        "CHAOS_SEED",
        u64::try_from(SystemClock.now().as_millis()).unwrap(),
    );
    println!("CHAOS_SEED={seed} CHAOS_SECONDS={}", duration.as_secs());
    let chance = Chance(Arc::new(SeededRandom::new(seed)));

    let receiver = Receiver::start().await;
    let store = FaultyStore::start(chance.clone()).await;
    let target = Target::start(chance.clone()).await;
    let functions = linked_functions("chaos");
    let settings = settings(&store, &target, functions.clone());
    let bundle = Bundle::start(settings).await.unwrap();
    store.forward_to(&bundle);
    let queues = Queues::of(&bundle);
    queues.shorten_visibility().await;

    let callers = Callers::new(bundle.url(), &receiver, &target, chance.clone());
    let ends_at = SystemClock.now() + duration;
    store.start_faults();
    let (operations, kills, duplicates) = tokio::join!(
        callers.until(ends_at),
        kills::until(ends_at, &functions, chance.clone()),
        queues.duplicate_until(ends_at, chance),
    );
    let faults = store.stop_faults();
    let mut figures = callers.check(&operations).await;
    (figures.kills, figures.duplicates, figures.faults) = (kills, duplicates, faults);
    println!("{figures}");
    bundle.stop().await;
    figures.assert_nothing_lost();
}

fn settings(store: &FaultyStore, target: &Target, functions_directory: PathBuf) -> Settings {
    let own = [
        // The functions would log an error for each fault.
        ("AWS_LAMBDA_LOG_LEVEL", "FATAL"),
        ("AWS_ENDPOINT_URL_DYNAMODB", store.url.as_str()),
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
        ("CALLBACK_RETRY_SECONDS", "1,1,1,1,1,1,1,1,1,1"),
        ("LEASE_SECONDS", "5"),
        ("WEBHOOK_SECRETS", SECRET),
    ];
    Settings {
        worker_batch_size: 4,
        functions_directory,
        functions_file: None,
        ..bundle::settings(
            own.into_iter()
                .chain(target.environment())
                .map(|(name, value)| (name, value.to_owned()))
                .collect(),
        )
    }
}
