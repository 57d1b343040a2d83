//! What goes wrong in one run of a story, and its name: `3:lost+7:crash-before`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use shared::random::{Random, SeededRandom};
use tests::wire::Fault;

/// Faults, by the numbers of the calls that they hit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Schedule(BTreeMap<usize, Fault>);

/// A fault's name in the name of a schedule.
pub(crate) fn word(fault: Fault) -> &'static str {
    match fault {
        Fault::CrashBefore => "crash-before",
        Fault::CrashAfter => "crash-after",
        Fault::Lost => "lost",
        Fault::AlwaysLost => "always-lost",
        Fault::Throttled => "throttled",
        Fault::AlwaysThrottled => "always-throttled",
        Fault::AccessDenied => "denied",
    }
}

impl Schedule {
    /// Adds a fault.
    pub(crate) fn and(mut self, call: usize, fault: Fault) -> Self {
        self.0.insert(call, fault);
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn faults(&self) -> impl Iterator<Item = (usize, Fault)> {
        self.0.iter().map(|(call, fault)| (*call, *fault))
    }

    pub(crate) fn fault_at(&self, call: usize) -> Option<Fault> {
        self.0.get(&call).copied()
    }

    /// Schedules of three to six faults. Some lie past the `calls` of an undisturbed run, because
    /// recovery takes more calls.
    pub(crate) fn draw(seed: u64, calls: usize) -> impl Iterator<Item = Self> {
        let random = SeededRandom::new(seed);
        let below = move |bound: usize| {
            let random: &dyn Random = &random;
            usize::from(u16::from_ne_bytes(random.bytes())) % bound
        };
        std::iter::repeat_with(move || {
            let mut schedule = Self::default();
            for _ in 0..3 + below(4) {
                schedule = schedule.and(below(2 * calls), Fault::ALL[below(Fault::ALL.len())]);
            }
            schedule
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (call, fault)) in self.0.iter().enumerate() {
            let plus = if at > 0 { "+" } else { "" };
            write!(f, "{plus}{call}:{}", word(*fault))?;
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut schedule = Self::default();
        for part in name.split('+').filter(|part| !part.is_empty()) {
            let fault = part.split_once(':').and_then(|(call, named)| {
                let fault = Fault::ALL.into_iter().find(|fault| word(*fault) == named)?;
                Some((call.parse().ok()?, fault))
            });
            let (call, fault) = fault.ok_or_else(|| format!("{part} is not a fault"))?;
            schedule = schedule.and(call, fault);
        }
        Ok(schedule)
    }
}

#[test]
fn a_schedule_parses_from_its_name() {
    for schedule in Schedule::draw(1, 20).take(100) {
        assert_eq!(schedule.to_string().parse(), Ok(schedule));
    }
    assert!("3:late".parse::<Schedule>().is_err());
}
