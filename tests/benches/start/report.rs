//! The tables: medians of all rounds, and their ratios between kinds.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use comfy_table::Table;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use tests::benchmark::table;

use crate::job::{JOBS, Job};
use crate::kind::{Kind, Kinds};
use crate::process::{Process, Times};

/// The goals for the functions, as ratios of medians in one run.
const INIT_CPU_OF_HELLO_MAX: [(Job, f64); 4] = [
    (Job::Submit, 1.25),
    (Job::Status, 1.25),
    (Job::Worker, 1.6),
    (Job::Callback, 1.6),
];
const FIRST_OF_CALLS_MAX: f64 = 1.2;
const WARM_CPU_OF_CALLS_MAX: f64 = 1.15;
const INIT_CPU_OF_PYTHON_MIN: f64 = 100.0;
const WARM_CPU_OF_PYTHON_MIN: f64 = 7.0;
const MEMORY_OF_PYTHON_MIN: f64 = 6.0;
const INIT_CPU_OF_FULL_FILE_MAX: f64 = 1.05;
const MCP_WARM_CPU_OF_FORRST_MAX: f64 = 1.1;

/// All measurements.
#[derive(Default)]
pub(crate) struct Report(BTreeMap<(Job, Kind), Measured>);

#[derive(Default)]
struct Measured {
    init: Vec<Times>,
    first: Vec<Times>,
    warm: Vec<Times>,
    memory_peak_kb: Vec<u64>,
}

impl Report {
    pub(crate) fn started(&mut self, job: Job, kind: Kind, process: &Process) {
        self.of(job, kind).init.push(process.times);
    }

    pub(crate) fn first(&mut self, job: Job, kind: Kind, process: &Process) {
        self.of(job, kind).first.push(process.times);
    }

    pub(crate) fn warm(&mut self, job: Job, kind: Kind, process: &Process) {
        self.of(job, kind).warm.push(process.times);
    }

    pub(crate) fn ended(&mut self, job: Job, kind: Kind, process: &Process) {
        let peak = process.memory_peak_kb();
        self.of(job, kind).memory_peak_kb.push(peak);
    }

    fn of(&mut self, job: Job, kind: Kind) -> &mut Measured {
        self.0.entry((job, kind)).or_default()
    }

    pub(crate) fn print(&self, kinds: &Kinds) {
        let mut table = table(
            [
                "function",
                "",
                "init ms",
                "init CPU",
                "first ms",
                "first CPU",
                "warm ms",
                "warm CPU",
                "peak MB",
                "binary MB",
                "zipped MB",
            ],
            2,
        );
        for job in JOBS {
            for kind in Kind::ALL {
                let Some(measured) = self.0.get(&(job, kind)) else {
                    continue;
                };
                let Medians {
                    init,
                    first,
                    warm,
                    memory_peak_kb,
                } = measured.medians();
                let (binary, zipped) = match kinds.binary(kind, job) {
                    Some(path) => sizes(&std::fs::read(path).unwrap()),
                    None => (String::new(), String::new()),
                };
                table.add_row([
                    job.name().to_owned(),
                    kind.name().to_owned(),
                    millis(init.wall),
                    millis(init.cpu),
                    millis(first.wall),
                    millis(first.cpu),
                    millis(warm.wall),
                    millis(warm.cpu),
                    format!("{:.1}", memory_peak_kb / 1024.0),
                    binary,
                    zipped,
                ]);
            }
        }
        println!("{table}\n");
        println!("{}", self.ratios());
        if let Some(version) = kinds.python_version() {
            println!("\n{version}");
        }
    }

    fn ratios(&self) -> Table {
        let mut table = table(["function", "ratio", "measured", "goal", ""], 2);
        for job in JOBS {
            let medians = |kind| Some(self.0.get(&(job, kind))?.medians());
            let (Some(ferry), Some(hello), Some(calls)) = (
                medians(Kind::Ferry),
                medians(Kind::Hello),
                medians(Kind::Calls),
            ) else {
                continue;
            };
            let init_max = INIT_CPU_OF_HELLO_MAX.iter().find(|(of, _)| *of == job);
            let mut at_most = |what: &str, ratio: f64, max: f64| {
                let met = if ratio <= max { "met" } else { "missed" };
                let goal = format!("≤ {max}");
                table.add_row([job.name(), what, &format!("{ratio:.2}"), &goal, met]);
            };
            at_most(
                "init CPU ÷ hello's",
                ratio(ferry.init.cpu, hello.init.cpu),
                init_max.unwrap().1,
            );
            let first = ratio(ferry.first.wall, calls.first.wall);
            at_most("first ms ÷ bare calls'", first, FIRST_OF_CALLS_MAX);
            let warm = ratio(ferry.warm.cpu, calls.warm.cpu);
            at_most("warm CPU ÷ bare calls'", warm, WARM_CPU_OF_CALLS_MAX);
            if let Some(full) = medians(Kind::FullFile) {
                let full = ratio(full.init.cpu, ferry.init.cpu);
                at_most(
                    "init CPU with 50 functions ÷ without",
                    full,
                    INIT_CPU_OF_FULL_FILE_MAX,
                );
            }
            if let (Some(mcp), Some(forrst)) = (medians(Kind::Mcp), medians(Kind::Forrst)) {
                let warm = ratio(mcp.warm.cpu, forrst.warm.cpu);
                at_most(
                    "warm CPU by MCP ÷ by Forrst",
                    warm,
                    MCP_WARM_CPU_OF_FORRST_MAX,
                );
            }
            let Some(python) = medians(Kind::Python) else {
                continue;
            };
            for (what, ratio, min) in [
                (
                    "Python's init CPU ÷ Ferry's",
                    ratio(python.init.cpu, ferry.init.cpu),
                    INIT_CPU_OF_PYTHON_MIN,
                ),
                (
                    "Python's warm CPU ÷ Ferry's",
                    ratio(python.warm.cpu, ferry.warm.cpu),
                    WARM_CPU_OF_PYTHON_MIN,
                ),
                (
                    "Python's peak MB ÷ Ferry's",
                    python.memory_peak_kb / ferry.memory_peak_kb,
                    MEMORY_OF_PYTHON_MIN,
                ),
            ] {
                let met = if ratio >= min { "met" } else { "missed" };
                let goal = format!("≥ {min}");
                table.add_row([job.name(), what, &format!("{ratio:.1}"), &goal, met]);
            }
        }
        table
    }
}

struct Medians {
    init: Times,
    first: Times,
    warm: Times,
    memory_peak_kb: f64,
}

impl Measured {
    fn medians(&self) -> Medians {
        let times = |all: &[Times]| Times {
            wall: median(all.iter().map(|times| times.wall)),
            cpu: median(all.iter().map(|times| times.cpu)),
        };
        let peak = median(self.memory_peak_kb.iter().copied());
        Medians {
            init: times(&self.init),
            first: times(&self.first),
            warm: times(&self.warm),
            memory_peak_kb: f64::from(u32::try_from(peak).unwrap()),
        }
    }
}

fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64()
}

fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1000.0)
}

/// The sizes of a binary and of its archive for Lambda, in MB of 10⁶ bytes.
fn sizes(binary: &[u8]) -> (String, String) {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(binary).unwrap();
    let zipped = encoder.finish().unwrap();
    let megabytes = |bytes: usize| format!("{:.2}", f64::from(u32::try_from(bytes).unwrap()) / 1e6);
    (megabytes(binary.len()), megabytes(zipped.len()))
}
