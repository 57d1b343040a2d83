//! What work in legs costs, and a sleep of a day between two of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::{Clock as _, ManualClock, SystemClock};
use shared::domain::limits::QUEUE_DELAY_SECS_MAX;
use tests::logs::Logs;
use tests::meter::Charge;
use tests::metered::{MeteredBundle, MeteredServices};

use crate::alternatives::{Alternative, Work, of_long_work};
use crate::bill::{Bill, Counted};
use crate::mix::{Load, Mix, usage_since};
use crate::price_list::PriceList;

const LEGS: u32 = 10;

/// How many operations of each kind: with more legs they take longer.
const OPERATIONS_MAX: usize = 50;

const DAY_SECS: u32 = 86_400;

/// The messages that a day's sleep takes. The leg before it sends the first.
const HOPS: u32 = DAY_SECS / QUEUE_DELAY_SECS_MAX;

/// How soon a hop is expected to have ended, and is checked again.
const HOP: Duration = Duration::from_millis(2);

/// The averages for one operation, one by one.
pub(crate) struct LongWork {
    ten_legs: Bill,
    two_legs: Bill,
    /// The hops of a day's sleep after the first message.
    hops: Bill,
}

impl LongWork {
    pub(crate) async fn measure(mix: &Mix) -> Self {
        let legs = async |legs: u32| {
            let work = |_| json!({"function": "demo.long", "arguments": {"legs": legs}});
            let operations = mix.operations.min(OPERATIONS_MAX);
            mix.run_work(Load::OneByOne, operations, &work).await
        };
        Self {
            ten_legs: legs(LEGS).await,
            two_legs: legs(2).await,
            hops: hops(mix).await,
        }
    }

    /// The price of an operation on Ferry and on other services.
    pub(crate) fn compared(
        &self,
        mix: &Mix,
        prices: &PriceList,
    ) -> [(&'static str, Vec<Alternative>); 2] {
        let mut slept = self.two_legs.parts(prices);
        for ((_, each), (_, hops)) in slept.iter_mut().zip(self.hops.parts(prices)) {
            *each += hops;
        }
        let sleep = Work {
            sleeps: 1,
            sleep_days: 1.0,
            ..Work::in_legs(2)
        };
        let compare = |ferry: [(&'static str, f64); 5], work| {
            let mut services = vec![Alternative {
                name: "Ferry, one by one",
                parts: ferry.into(),
            }];
            services.extend(of_long_work(work, mix, prices));
            services
        };
        [
            (
                "ten legs",
                compare(self.ten_legs.parts(prices), Work::in_legs(LEGS)),
            ),
            ("a day of sleep between two legs", compare(slept, sleep)),
        ]
    }
}

/// Lets an operation sleep. The queues' clock is moved on by one hop after another, while that of
/// the functions stays where it is: to them the sleep has always just begun.
async fn hops(mix: &Mix) -> Bill {
    let logs = Logs::collect(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("price.log"));
    let clock = ManualClock::new(SystemClock.now());
    let services = MeteredServices::by(Arc::new(clock.clone())).await;
    let running = services.bundle(mix.metered(), 1, 1).await;
    running.caller.submit(&asleep()).await;
    // The first leg, and a hop by a process that has started.
    acknowledged(&running).await;
    clock.advance(Duration::from_secs(QUEUE_DELAY_SECS_MAX.into()));
    acknowledged(&running).await;
    let before = (running.bundle.usage(), logs.bytes());
    let mut charges = Vec::new();
    for _ in 1..HOPS {
        clock.advance(Duration::from_secs(QUEUE_DELAY_SECS_MAX.into()));
        charges.extend(acknowledged(&running).await);
    }
    let counted = Counted {
        operations: 1,
        gateway_requests: 0,
        charges,
        usage: usage_since(before.0, &running.bundle),
        log_bytes: logs.bytes() - before.1,
    };
    running.bundle.stop().await;
    logs.end();
    Bill::new(&counted)
}

fn asleep() -> Value {
    let arguments = json!({"legs": 2, "wait_seconds": DAY_SECS});
    json!({
        "function": "demo.long", "arguments": arguments, "deadline_seconds": 2 * DAY_SECS,
    })
}

/// Waits until the next message is acknowledged, and returns all charges up to then.
async fn acknowledged(running: &MeteredBundle) -> Vec<Charge> {
    let mut charges = Vec::new();
    loop {
        charges.extend(running.metered.take());
        if charges
            .iter()
            .any(|charge: &Charge| charge.step == "acknowledge")
        {
            return charges;
        }
        tokio::time::sleep(HOP).await;
    }
}
