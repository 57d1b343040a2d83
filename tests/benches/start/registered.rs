//! What registered functions cost: reading their file at a start, and checking arguments against a
//! schema in `submit`.

use std::hint::black_box;
use std::time::Duration;

use comfy_table::Table;
use serde_json::{Value, json};
use shared::catalogue::{Entry, file};
use shared::domain::json::Json;
use shared::domain::limits::WORKER_TIMEOUT_SECS_DEFAULT;
use shared::schema::Validators;
use tests::benchmark::{Watch, table};

use crate::kind::{MEMBERS, full_file, wide_file, wide_function};

/// The size of the arguments, in bytes.
const BYTES: usize = 1024;
const CHECKS: u32 = 10_000;
const READS: u32 = 100;
/// The goal, for [`BYTES`] of arguments with [`MEMBERS`] members.
const CHECK_MAX: Duration = Duration::from_micros(50);

/// Compares the check with what parsing the same text takes.
pub(crate) fn measure() -> Table {
    let mut table = table(["registered functions", "µs", "goal", ""], 1);
    let file = json!({"format": 1, "functions": [wide_function(0)]});
    let entries = file::read(&file.to_string(), WORKER_TIMEOUT_SECS_DEFAULT).unwrap();
    let arguments: Json = arguments().to_string().parse().unwrap();
    let text = arguments.as_str();
    assert_eq!(text.len(), BYTES);
    let validators = Validators::default();

    let first = check(&validators, &entries[0], &arguments, 1);
    let checked = check(&validators, &entries[0], &arguments, CHECKS);
    let watch = Watch::start();
    for _ in 0..CHECKS {
        let value: Value = serde_json::from_str(black_box(text)).unwrap();
        black_box(value);
    }
    let parsed = watch.took() / CHECKS;

    let met = if checked <= CHECK_MAX {
        "met"
    } else {
        "missed"
    };
    table.add_row([
        "1 KB of arguments, ten members: first check, compiles the schema",
        &micros(first),
    ]);
    let goal = format!("≤ {}", CHECK_MAX.as_micros());
    table.add_row(["each check after it", &micros(checked), &goal, met]);
    table.add_row(["parsing alone, with serde_json", &micros(parsed)]);
    for (what, functions) in [("two", full_file()), ("ten", wide_file())] {
        let file = json!({"format": 1, "functions": functions}).to_string();
        let watch = Watch::start();
        for _ in 0..READS {
            black_box(file::read(black_box(&file), WORKER_TIMEOUT_SECS_DEFAULT).unwrap());
        }
        let what = format!(
            "a file of {} functions with {what} arguments each, {} KB",
            functions.len(),
            file.len() / 1000
        );
        table.add_row([&*what, &micros(watch.took() / READS)]);
    }
    table
}

/// How long a check takes, on average.
fn check(validators: &Validators, entry: &Entry, arguments: &Json, checks: u32) -> Duration {
    let watch = Watch::start();
    for _ in 0..checks {
        validators.check(entry, black_box(arguments)).unwrap();
    }
    watch.took() / checks
}

fn arguments() -> Value {
    // `{"member_0":"…","member_1":…}`: 14 bytes for each member that are not its text, and a brace.
    let texts = BYTES - 14 * MEMBERS - 1;
    let member = |number: usize| {
        let length = texts / MEMBERS + usize::from(number < texts % MEMBERS);
        (format!("member_{number}"), json!("a".repeat(length)))
    };
    (0..MEMBERS).map(member).collect()
}

fn micros(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e6)
}
