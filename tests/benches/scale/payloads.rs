//! What an operation costs and how long it takes, by the size of its arguments, which are also its
//! result.

use std::time::Duration;

use comfy_table::Table;
use serde_json::json;
use tests::benchmark::{Watch, table};
use tests::meter::Units;
use tests::metered::{Metered, MeteredServices};
use tests::samples::incompressible;

use crate::stored::{pending, put};
use crate::throughput::took;
use crate::times::{millis, quantile};

const SIZES: [usize; 7] = [100, 400, 1_000, 4_000, 16_000, 64_000, 260_000];
const EACH: u32 = 20;

pub(crate) async fn measure() -> Table {
    let mut table = table(
        [
            "bytes of arguments and result",
            "writes",
            "index writes",
            "message requests",
            "reads of the worker",
            "reads of a poll before",
            "… and after the end",
            "submit, ms",
            "submit to completed, ms",
        ],
        1,
    );
    let services = MeteredServices::start().await;
    let running = services.bundle(Metered::new(Duration::ZERO), 2, 1).await;
    for bytes in SIZES {
        let arguments = json!({"text": incompressible(bytes)});
        let body = json!({"function": "demo.echo", "arguments": arguments});
        let (mut submits, mut ends) = (Vec::new(), Vec::new());
        drop(running.metered.take());
        for _ in 0..EACH {
            let watch = Watch::start();
            let id = running.caller.submit(&body).await;
            submits.push(watch.took());
            running.drain().await;
            ends.push(took(&running, &id).await);
        }
        let units: Units = running
            .metered
            .take()
            .iter()
            .filter(|charge| charge.step != "poll an empty queue")
            .map(|charge| charge.units)
            .sum();
        let each = |units: f64| format!("{:.1}", units / f64::from(EACH));
        let id = running.caller.submit(&body).await;
        running.drain().await;
        drop(running.metered.take());
        running.caller.get(&format!("/operations/{id}")).await;
        let after: Units = running
            .metered
            .take()
            .iter()
            .map(|charge| charge.units)
            .sum();
        let pending = pending("local:anonymous", &arguments);
        put(&running.services().store, &pending).await;
        drop(running.metered.take());
        running
            .caller
            .get(&format!("/operations/{}", pending.id))
            .await;
        let before: Units = running
            .metered
            .take()
            .iter()
            .map(|charge| charge.units)
            .sum();
        table.add_row([
            bytes.to_string(),
            each(units.writes),
            each(units.index_writes),
            each(f64::from(units.queue_requests)),
            each(units.reads),
            format!("{:.1}", before.reads),
            format!("{:.1}", after.reads),
            millis(quantile(&mut submits, 0.5)),
            millis(quantile(&mut ends, 0.5)),
        ]);
    }
    running.bundle.stop().await;
    table
}
