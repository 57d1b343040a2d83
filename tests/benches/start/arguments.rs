//! What it costs to check the arguments of a registered function against its schema, in `submit`.

use std::hint::black_box;
use std::time::Duration;

use comfy_table::Table;
use serde_json::{Value, json};
use shared::catalogue::{Entry, file};
use shared::domain::json::Json;
use shared::schema::Validators;
use tests::benchmark::{Watch, table};

use crate::kind::{MEMBERS, registered};

/// The size of the arguments, in bytes.
const BYTES: usize = 1024;
const CHECKS: u32 = 10_000;
/// The goal, for [`BYTES`] of arguments with [`MEMBERS`] members.
const CHECK_MAX: Duration = Duration::from_micros(50);

/// Compares the check with what parsing the same text takes.
pub(crate) fn measure() -> Table {
    let file = json!({"format": 1, "functions": [registered(0)]});
    let entries = file::read(&file.to_string()).unwrap();
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
    let mut table = table(["1 KB of arguments with ten members", "µs", "goal", ""], 1);
    table.add_row(["the first check, which compiles the schema", &micros(first)]);
    let goal = format!("≤ {}", CHECK_MAX.as_micros());
    table.add_row(["each check after it", &micros(checked), &goal, met]);
    table.add_row(["parsing alone, with serde_json", &micros(parsed)]);
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
