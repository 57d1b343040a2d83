//! What the benchmarks share: release builds of the functions, the machine's time, tables.

use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use local::build::build;
use local::bundle::FUNCTIONS;
use shared::config::Environment;

/// Builds the functions as they are deployed, in release mode and with only the features that they
/// need, together with these packages.
pub async fn build_functions_and(packages: &[&str]) {
    let environment = Environment::from_process();
    let mut all = packages.to_vec();
    all.extend(FUNCTIONS.map(|function| function.name));
    eprintln!("building {}", all.join(", "));
    let cargo = environment.optional("CARGO").unwrap_or("cargo");
    build(cargo, &all, true).await.unwrap();
}

/// A table whose first `texts` columns are text and whose others are numbers.
#[must_use]
pub fn table<const N: usize>(header: [&str; N], texts: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(header);
    for column in table.column_iter_mut().skip(texts) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A stopwatch, by the machine's time.
pub struct Watch(Instant);

impl Watch {
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark measures the machine's time"
    )]
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Converts a count below 2³² for arithmetic.
#[must_use]
pub fn number(count: impl TryInto<u32>) -> f64 {
    let Ok(count) = count.try_into() else {
        panic!("a count of 2³² or more");
    };
    f64::from(count)
}
