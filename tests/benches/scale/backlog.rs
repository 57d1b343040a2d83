//! Operations that wait in the queue: how fast the workers complete them, and how they slow callers
//! down meanwhile.

use std::time::Duration;

use comfy_table::Table;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::json;
use shared::queue::Dispatch;
use tests::benchmark::{Watch, table};
use tests::metered::{Metered, MeteredServices};

use crate::stored::{pending, put};
use crate::throughput;
use crate::times::{millis, quantile, rate};

const AT_ONCE: usize = 16;
const PROBES: usize = 50;

pub(crate) async fn measure(waiting: usize) -> Table {
    let services = MeteredServices::start().await;
    let (store, dispatch) = (services.store.clone(), services.dispatch.clone());
    let watch = Watch::start();
    stream::iter(0..waiting)
        .for_each_concurrent(AT_ONCE, async |_| {
            let operation = pending("local:anonymous", &json!({"name": "Riga"}));
            dispatch.send(&Dispatch::of(&operation), 0).await.unwrap();
            put(&store, &operation).await;
        })
        .await;
    let stored = watch.took();
    let watch = Watch::start();
    let running = services.bundle(Metered::new(Duration::ZERO), 4, 10).await;
    // Callers submit and poll while the worker serves the backlog.
    let (mut submits, mut polls) = (Vec::new(), Vec::new());
    for _ in 0..PROBES {
        let probe = Watch::start();
        let id = running.caller.submit(&throughput::echo()).await;
        submits.push(probe.took());
        let probe = Watch::start();
        running.caller.get(&format!("/operations/{id}")).await;
        polls.push(probe.took());
    }
    running.drain().await;
    let completed = watch.took();
    running.bundle.stop().await;
    let mut table = table(
        [
            "waiting in the queue",
            "sent and stored, operations/s",
            "worked off, operations/s",
            "a submit meanwhile, median ms",
            "a poll meanwhile, median ms",
        ],
        1,
    );
    table.add_row([
        waiting.to_string(),
        rate(waiting, stored),
        rate(waiting + PROBES, completed),
        millis(quantile(&mut submits, 0.5)),
        millis(quantile(&mut polls, 0.5)),
    ]);
    table
}
