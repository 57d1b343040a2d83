//! What the benchmarks have in common: functions as they are deployed, the machine's time, numbers and tables.

use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use local::build::build;
use local::bundle::FUNCTIONS;
use shared::config::Environment;

/// Builds the functions as they are deployed, released and with the features that they need and no others, together with these
/// packages.
pub async fn build_functions_and(packages: &[&str]) {
    let environment = Environment::of_process();
    let mut all = packages.to_vec();
    all.extend(FUNCTIONS.map(|function| function.name));
    eprintln!("building {}", all.join(", "));
    let cargo = environment.optional("CARGO").unwrap_or("cargo");
    build(cargo, &all, true).await.unwrap();
}

/// A table whose columns are numbers, but for the first so many.
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

/// When something began, by the machine's own time.
pub struct Watch(Instant);

impl Watch {
    /// Now.
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark measures the machine's own time"
    )]
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago that was.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A count, for arithmetic: below 2³².
#[must_use]
pub fn number(count: impl TryInto<u32>) -> f64 {
    let Ok(count) = count.try_into() else {
        panic!("too much to count");
    };
    f64::from(count)
}
