//! Holds the Markdown pages to the code: their states, routes, settings, limits, metrics, tests,
//! commands and links. Without these tests a page is right on the day it is written, and no longer.

mod installs;
mod limits;
mod members;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use local::bundle::{FUNCTIONS, PASSED_ON};
use shared::domain::limits as bounds;
use shared::domain::transition::{Status, Step, Verdict, verdict};
use shared::http::ROUTES;
use shared::metrics::{
    CODE, FUNCTION, Metric, NAMESPACE_DEFAULT, OUTCOME, SERVICE, TARGET_CODES, VERSION,
};
use tests::metrics::unit_name;
use tests::readme::{part, root};

const README: &str = "README.md";
const PROTOCOL: &str = "shared/README.md";
const SETTINGS: &str = "infra/SETTINGS.md";
const RUNBOOK: &str = "infra/RUNBOOK.md";
const TESTS: &str = "tests/README.md";

/// The files in `shared` that read settings, each with what the source of a function that uses it
/// contains.
const SHARED_READERS: [(&str, &str); 7] = [
    ("aws.rs", "Aws::new("),
    ("metrics.rs", "lambda::run("),
    ("telemetry.rs", "lambda::run("),
    ("http/request.rs", "RequestSettings::new("),
    ("catalogue.rs", "Catalogue::load("),
    ("catalogue/file.rs", "Catalogue::load("),
    ("config.rs", ".signature_versions()"),
];

#[test]
fn the_states_are_those_of_the_transition_table() {
    let mut arrows = String::from("```mermaid\nstateDiagram-v2\n");
    let present = Status::ALL.map(Some);
    for from in std::iter::once(None).chain(present) {
        for to in Status::ALL {
            let labels: Vec<_> = Step::ALL
                .into_iter()
                .filter_map(|step| match verdict(from, step) {
                    Verdict::To(reached) if reached == to => Some(label(step).to_owned()),
                    Verdict::ToAfterLease(reached) if reached == to => {
                        Some(format!("{}*", label(step)))
                    }
                    Verdict::To(_) | Verdict::ToAfterLease(_) | Verdict::Refused => None,
                })
                .collect();
            if !labels.is_empty() {
                let from = from.map_or("[*]", Status::as_str);
                writeln!(arrows, "    {from} --> {to}: {}", labels.join(", ")).unwrap();
            }
        }
    }
    for end in Status::ALL
        .into_iter()
        .filter(|status| status.is_terminal())
    {
        writeln!(arrows, "    {end} --> [*]").unwrap();
    }
    assert_eq!(part(PROTOCOL, "states"), format!("{arrows}```"));
}

const fn label(step: Step) -> &'static str {
    match step {
        Step::Create => "create",
        Step::Claim => "claim",
        Step::Heartbeat => "heartbeat",
        Step::Complete => "complete",
        Step::Fail => "fail",
        Step::Retry => "retry",
        Step::Continue => "continue",
        Step::GiveUp => "give up",
        Step::Cancel => "cancel",
    }
}

#[test]
fn the_routes_are_those_of_the_list_of_routes() {
    let rows = rows(README, "routes");
    let written = rows.iter().map(|row| row[0].trim_matches('`').to_owned());
    let routes = ROUTES.map(|route| format!("{} {}", route.method(), route.path()));
    assert_eq!(written.collect::<BTreeSet<_>>(), BTreeSet::from(routes));
}

#[test]
fn the_settings_are_those_that_the_functions_read() {
    let mut read: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for function in FUNCTIONS {
        let source = sources(&format!("functions/{}/src", function.name));
        let mut names: BTreeSet<_> = source.values().flat_map(|text| settings(text)).collect();
        let whole: String = source.into_values().collect();
        for (file, marker) in SHARED_READERS {
            if whole.contains(marker) {
                let shared = sources("shared/src").remove(Path::new(file)).unwrap();
                names.extend(settings(&shared));
            }
        }
        for name in names {
            read.entry(name).or_default().insert(function.name);
        }
    }
    let written: BTreeMap<_, BTreeSet<_>> = rows(SETTINGS, "settings")
        .into_iter()
        .map(|row| {
            let functions = match row[1] {
                "all" => FUNCTIONS.iter().map(|function| function.name).collect(),
                some => some.split(", ").collect(),
            };
            (row[0].trim_matches('`').to_owned(), functions)
        })
        .collect();
    assert_eq!(written, read);
}

#[test]
fn no_shared_setting_is_overlooked() {
    let readers: BTreeSet<_> = sources("shared/src")
        .into_iter()
        .filter(|(_, text)| !settings(text).is_empty())
        .map(|(path, _)| path)
        .collect();
    assert_eq!(
        readers,
        SHARED_READERS
            .map(|(file, _)| PathBuf::from(file))
            .into_iter()
            .collect()
    );
}

#[test]
fn the_settings_have_the_bounds_of_the_code() {
    let retry = bounds::CALLBACK_RETRY_SECS.map(|wait| wait.to_string());
    for (name, default, range) in [
        (
            "LEASE_SECONDS",
            bounds::LEASE_SECS_DEFAULT.to_string(),
            format!("{} to {}", bounds::LEASE_SECS_MIN, bounds::LEASE_SECS_MAX),
        ),
        (
            "WORKER_TIMEOUT_SECONDS",
            bounds::WORKER_TIMEOUT_SECS_DEFAULT.to_string(),
            format!(
                "{} to {}",
                bounds::WORKER_TIMEOUT_SECS_MIN,
                bounds::WORKER_TIMEOUT_SECS_MAX
            ),
        ),
        (
            "TARGET_KEEP_ALIVE_SECONDS",
            bounds::TARGET_KEEP_ALIVE_SECS_DEFAULT.to_string(),
            format!("1 to {}", bounds::TARGET_KEEP_ALIVE_SECS_MAX),
        ),
        (
            "FORRST_WAIT_SECONDS",
            bounds::FORRST_WAIT_SECS_DEFAULT.to_string(),
            format!("0 to {}", bounds::WAIT_SECS_MAX),
        ),
        (
            "WAIT_SECONDS_MAX",
            bounds::WAIT_SECS_MAX_DEFAULT.to_string(),
            format!("0 to {}", bounds::WAIT_SECS_MAX),
        ),
        (
            "CALLBACK_TIMEOUT_SECONDS",
            bounds::CALLBACK_TIMEOUT_SECS_DEFAULT.to_string(),
            format!("1 to {}", bounds::CALLBACK_TIMEOUT_SECS_MAX),
        ),
        (
            "CALLBACK_RETRY_SECONDS",
            retry.join(","),
            format!(
                "up to {}, each up to {}",
                bounds::CALLBACK_RETRIES_MAX,
                bounds::CALLBACK_RETRY_AFTER_SECS_MAX
            ),
        ),
    ] {
        let rows = rows(SETTINGS, "settings");
        let row = rows.iter().find(|row| row[0] == format!("`{name}`"));
        assert_eq!(row.unwrap()[2..4], [default, range], "{name}");
    }
}

#[test]
fn the_settings_passed_on_are_those_of_the_local_bundle() {
    let written: Vec<_> = part(SETTINGS, "passed on")
        .split(',')
        .map(|name| name.trim().trim_matches('`'))
        .collect();
    assert_eq!(written, PASSED_ON);
}

#[test]
fn the_metrics_are_those_of_the_code() {
    let written: Vec<Vec<String>> = rows(RUNBOOK, "metrics")
        .into_iter()
        .map(|row| row[..4].iter().map(|cell| (*cell).to_owned()).collect())
        .collect();
    let counted: Vec<Vec<String>> = Metric::ALL
        .into_iter()
        .map(|metric| {
            let code = |name: &str| format!("`{name}`");
            let dimensions = [
                Some(SERVICE),
                metric.function().and(Some(FUNCTION)),
                metric.outcome().and(Some(OUTCOME)),
                metric.version().and(Some(VERSION)),
                metric.code().and(Some(CODE)),
            ];
            let dimensions: Vec<_> = dimensions.into_iter().flatten().map(code).collect();
            vec![
                code(metric.name()),
                metric.outcome().map(code).unwrap_or_default(),
                unit_name(metric),
                dimensions.join(", "),
            ]
        })
        .collect();
    assert_eq!(written, counted);
    let settings = rows(SETTINGS, "settings");
    let row = settings.iter().find(|row| row[0] == "`METRICS_NAMESPACE`");
    assert_eq!(row.unwrap()[2], format!("`{NAMESPACE_DEFAULT}`"));
}

#[test]
fn the_codes_of_targets_errors_are_those_of_the_code() {
    let rows = rows(RUNBOOK, "metrics");
    let row = rows.iter().find(|row| row[0] == "`TargetErrors`").unwrap();
    let listed = row[4].split('`').skip(1).step_by(2);
    let codes: Vec<_> = listed.filter(|word| *word != CODE).collect();
    assert_eq!(codes, TARGET_CODES);
}

#[test]
fn the_members_of_log_lines_are_those_of_the_code() {
    let written: BTreeSet<_> = rows(RUNBOOK, "log fields")
        .iter()
        .flat_map(|row| row[0].split(", "))
        .map(|name| name.trim_matches('`'))
        .collect();
    let source = sources("shared/src").remove(Path::new("telemetry.rs"));
    let source = source.unwrap();
    let calls = source.split("_span!(\n").skip(1);
    let calls = calls.chain(source.split("info!(\n").skip(1));
    let fields = calls.flat_map(|call| {
        let lines = call.lines().map(str::trim);
        lines.take_while(|line| !line.starts_with(')'))
    });
    let logged: BTreeSet<_> = fields
        .map(|field| field.split(&['=', ',']).next().unwrap().trim())
        .filter(|name| !name.starts_with('"'))
        .collect();
    assert_eq!(written, logged);
}

#[test]
fn the_log_messages_are_those_of_the_code() {
    let sources = sources("functions").into_values();
    let sources: String = sources
        .chain(self::sources("shared/src").into_values())
        .collect();
    for row in rows(RUNBOOK, "log messages") {
        let message = row[0].trim_matches('`');
        assert!(sources.contains(&format!("\"{message}")), "{message}");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let mut names = 0;
    for row in rows(TESTS, "held by") {
        for link in row[1].split(", ") {
            let (name, path) = link.split_once("`](").unwrap();
            let (name, path) = (name.trim_start_matches("[`"), path.trim_end_matches(')'));
            let path = root().join(pages::resolve(TESTS, path));
            assert!(is_test(&path, name), "{link}");
            names += 1;
        }
    }
    assert!(names > 30);
    assert!(!is_test(&root().join("tests/tests/readme.rs"), "is_test"));
}

/// Whether a source has this test, or makes it by a macro from a line of `NAME: "…",`.
fn is_test(path: &Path, name: &str) -> bool {
    let source = std::fs::read_to_string(path).unwrap();
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let is_declared = |at: usize| {
        let attributes = lines[..at].iter().rev();
        let mut attributes = attributes.take_while(|line| line.starts_with("#["));
        attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    };
    let declares = |line: &str| {
        let function = line.trim_start_matches("async ").strip_prefix("fn ");
        function.is_some_and(|function| function.starts_with(&format!("{name}(")))
    };
    lines.iter().enumerate().any(|(at, line)| {
        declares(line) && is_declared(at) || line.starts_with(&format!("{name}: \""))
    })
}

/// Of the conformance suite, which is not a function.
#[test]
fn the_settings_of_the_conformance_suite_are_those_that_it_reads() {
    let source = sources("tests/tests/conformance").remove(Path::new("server.rs"));
    let source = source.unwrap();
    let words: Vec<_> = source.split('"').collect();
    let read: BTreeSet<_> = words
        .iter()
        .copied()
        // The one of the bundle's own functions.
        .filter(|word| word.starts_with("FORRST_") && *word != "FORRST_WAIT_SECONDS")
        .collect();
    let mut written = BTreeSet::new();
    for row in rows(TESTS, "conformance") {
        written.insert(row[0].trim_matches('`'));
        if let Some(default) = row[1].strip_prefix('`') {
            let default = default.trim_end_matches('`');
            assert!(source.contains(default), "{default}");
        }
    }
    assert_eq!(written, read);
}

/// The cells of a table in a page, without its head.
fn rows(page: &str, name: &str) -> Vec<Vec<&'static str>> {
    let cells = |row: &'static str| row.trim_matches('|').split('|').map(str::trim).collect();
    let rows: Vec<_> = part(page, name).lines().skip(2).map(cells).collect();
    assert!(!rows.is_empty());
    rows
}

/// Every source below a directory, by its path from there, without its tests.
fn sources(directory: &str) -> BTreeMap<PathBuf, String> {
    let top = root().join(directory);
    let mut sources = BTreeMap::new();
    let mut directories = vec![top.clone()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.file_stem().is_some_and(|name| name == "tests") {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let path = path.strip_prefix(&top).unwrap().to_owned();
                sources.insert(path, text.to_owned());
            }
        }
    }
    sources
}

/// The settings that a source names: words of capitals in quotes, where it reads the environment.
fn settings(source: &str) -> BTreeSet<String> {
    let reads = [
        ".allowed_networks(",
        ".queue(",
        "number(",
        "optional(",
        "required(",
        "switch(",
    ];
    if !source.contains("Environment") || !reads.iter().any(|read| source.contains(read)) {
        return BTreeSet::new();
    }
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let quoted = code.flat_map(|line| line.split('"').skip(1).step_by(2));
    quoted
        .filter(|word| {
            word.contains('_')
                && word
                    .bytes()
                    .all(|byte| byte == b'_' || byte.is_ascii_uppercase())
        })
        .map(str::to_owned)
        .collect()
}
