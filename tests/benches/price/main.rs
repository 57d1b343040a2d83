//! What operations cost. The benchmark runs a mix of operations on the local bundle, counts
//! everything that AWS would bill, multiplies it by the list prices, and compares the sum with the
//! same work on other services. It does the same for work in legs, and for a sleep between legs.
//!
//! Requests and units come from the requests on the wire, invocations and durations from the
//! processes, bytes of log from what they wrote. Parameters set what is assumed: how long AWS takes
//! to answer a call and a receiver to answer a callback, and how many processes there are. Each
//! process is assumed to have a whole processor. Starts are left out.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark has no caller to return an error to"
)]

mod alternatives;
mod bill;
mod long_work;
mod mix;
mod price_list;

use clap::Parser;
use comfy_table::{CellAlignment, Table};
use tests::benchmark::{build_functions_and, table};

use crate::alternatives::Alternative;
use crate::bill::Bill;
use crate::long_work::LongWork;
use crate::mix::{Load, Mix};
use crate::price_list::PriceList;

/// Measures what operations cost.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    mix: Mix,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Arguments { mix, .. } = Arguments::parse();
    build_functions_and(&[]).await;
    let prices = PriceList::read();

    let calm = mix.run(Load::OneByOne).await;
    let busy = mix.run(Load::Together).await;
    let long = LongWork::measure(&mix).await;

    println!("{mix}\n");
    println!("{}\n", quantities(&calm, &busy));
    println!("{}\n", amounts(&calm, &busy, &prices));
    println!("{}\n", compare(&calm, &busy, &mix, &prices));
    for (work, services) in long.compared(&mix, &prices) {
        println!("{}\n", compare_long_work(work, &services));
    }
    println!(
        "list prices of {} in {}, without free tiers; \
        tests/benches/price/prices.json has their sources",
        prices.as_of, prices.region
    );
}

/// The requests of one operation.
fn quantities(calm: &Bill, busy: &Bill) -> Table {
    let mut table = table(["an operation takes", "one by one", "many at once"], 1);
    let names: std::collections::BTreeSet<_> = calm.steps().chain(busy.steps()).collect();
    for name in names {
        let each = [calm, busy].map(|bill| bill.step(name));
        let [calm, busy] = each.map(|each| format!("{each:.3}"));
        table.add_row([name.clone(), calm, busy]);
    }
    table
}

/// The price of a million operations, by item.
fn amounts(calm: &Bill, busy: &Bill, prices: &PriceList) -> Table {
    let mut table = table(
        ["a million operations", "one by one", "", "many at once", ""],
        1,
    );
    let mut totals = [0.0; 2];
    for (item, calm, busy) in calm
        .items()
        .into_iter()
        .zip(busy.items())
        .map(|((item, calm), (_, busy))| (item, calm, busy))
    {
        let amounts = [calm, busy].map(|each| each * 1e6 * prices.of(item.key));
        totals[0] += amounts[0];
        totals[1] += amounts[1];
        table.add_row([
            item.name.to_owned(),
            item.amount(calm),
            dollars(amounts[0]),
            item.amount(busy),
            dollars(amounts[1]),
        ]);
    }
    table.add_row([
        "total".to_owned(),
        String::new(),
        dollars(totals[0]),
        String::new(),
        dollars(totals[1]),
    ]);
    table
}

fn compare(calm: &Bill, busy: &Bill, mix: &Mix, prices: &PriceList) -> Table {
    let mut table = table(["the same work on", "a million", "of which"], 1);
    let batches = format!(
        "as above, without logs\n(WorkerBatchSize {}, work that waits)",
        mix.batch_size
    );
    for (load, bill, what) in [
        ("one by one", calm, "as above, without logs"),
        ("many at once", busy, &batches),
    ] {
        // The alternatives are calculated without logs, too.
        let total = bill.total_without_logs(prices) * 1e6;
        table.add_row([&format!("Ferry, {load}"), &dollars(total), what]);
    }
    add_services(&mut table, &alternatives::all(mix, prices));
    table
}

fn compare_long_work(work: &str, services: &[Alternative]) -> Table {
    let mut table = table([work, "a million", "of which"], 1);
    add_services(&mut table, services);
    table
}

/// Adds a row for each service, with the price of a million operations and its parts.
fn add_services(table: &mut Table, services: &[Alternative]) {
    for service in services {
        let parts: Vec<_> = service
            .parts
            .iter()
            .map(|(what, each)| format!("{what} {}", dollars(each * 1e6)))
            .collect();
        table.add_row([
            service.name.to_owned(),
            dollars(service.total() * 1e6),
            parts.join("\n"),
        ]);
    }
    table
        .column_mut(2)
        .unwrap()
        .set_cell_alignment(CellAlignment::Left);
}

fn dollars(amount: f64) -> String {
    format!("${amount:.2}")
}
