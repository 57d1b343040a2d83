//! The history of an operation's attempts: what the holder records, and what follows from it.
//!
//! The holder of an attempt records how it ended, together with its outcome. A worker that dies
//! records nothing, so the next holder adds its attempt as lost; until then, a reader infers it.

use super::limits::{ATTEMPT_CODE_CHARS_MAX, ATTEMPTS_KEPT_MAX};
use super::operation::{Operation, State};
use super::time::Timestamp;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    Completed,
    /// It failed, and the operation with it.
    Failed,
    /// It failed, and another attempt follows.
    Retried,
    /// It saved a state, from which the next attempt continues.
    Continued,
    /// The operation was cancelled while it ran.
    Cancelled,
    /// Its worker stopped before it recorded an outcome.
    Lost,
}

impl AttemptEnd {
    pub const ALL: [Self; 6] = [
        Self::Completed,
        Self::Failed,
        Self::Retried,
        Self::Continued,
        Self::Cancelled,
        Self::Lost,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::Continued => "continued",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

/// One attempt of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEntry {
    /// From 1, over all legs.
    pub number: u32,
    /// `None` when a later claim has replaced it.
    pub started_at: Option<Timestamp>,
    /// `None` while the attempt runs, and when it was lost.
    pub ended_at: Option<Timestamp>,
    /// `None` while the attempt runs.
    pub end: Option<AttemptEnd>,
    /// The code of its error, cut to [`ATTEMPT_CODE_CHARS_MAX`] characters.
    pub code: Option<String>,
}

impl AttemptEntry {
    #[must_use]
    pub const fn lost(number: u32) -> Self {
        Self {
            number,
            started_at: None,
            ended_at: None,
            end: Some(AttemptEnd::Lost),
            code: None,
        }
    }
}

impl Operation {
    /// The entries that the holder of the present attempt records with its outcome: at most
    /// [`ATTEMPTS_KEPT_MAX`], the oldest first.
    #[must_use]
    pub fn attempts_with(
        &self,
        end: AttemptEnd,
        code: Option<&str>,
        now: Timestamp,
    ) -> Vec<AttemptEntry> {
        let mut entries = self.attempts.clone();
        entries.extend((self.recorded_to() + 1..self.attempt).map(AttemptEntry::lost));
        entries.push(AttemptEntry {
            number: self.attempt,
            started_at: self.attempt_started_at,
            ended_at: Some(now),
            end: Some(end),
            code: code.map(|code| code.chars().take(ATTEMPT_CODE_CHARS_MAX).collect()),
        });
        last_kept(entries)
    }

    /// The last [`ATTEMPTS_KEPT_MAX`] attempts, the oldest first: those on record, those that were
    /// lost, and the one that runs. An attempt that a release without a history recorded is left
    /// out.
    #[must_use]
    pub fn history(&self) -> Vec<AttemptEntry> {
        let mut entries = self.attempts.clone();
        let recorded_to = self.recorded_to();
        entries.extend((recorded_to + 1..self.attempt).map(AttemptEntry::lost));
        if recorded_to < self.attempt {
            let (end, ended_at) = match self.state {
                State::Pending | State::Processing { .. } => (None, None),
                State::Cancelled { at } => (Some(AttemptEnd::Cancelled), Some(at)),
                // Its holder would have recorded the end, so the operation was given up.
                State::Completed { .. } | State::Failed { .. } => (Some(AttemptEnd::Lost), None),
            };
            entries.push(AttemptEntry {
                number: self.attempt,
                started_at: self.attempt_started_at,
                ended_at,
                end,
                code: None,
            });
        }
        last_kept(entries)
    }

    /// The last attempt whose outcome is on record, by any release: an entry is missing when the
    /// release had no history, or when the record had no room for it.
    fn recorded_to(&self) -> u32 {
        let ended = match &self.state {
            // By its holder.
            State::Completed { .. }
            | State::Failed {
                claim_id: Some(_), ..
            } => self.attempt,
            // By another, after the holder had recorded the outcome, which removes the start. What
            // else would show that it did, such as the last error, the end has removed.
            State::Cancelled { .. } | State::Failed { .. } if self.attempt_started_at.is_none() => {
                self.attempt
            }
            _ => 0,
        };
        let entry = self.attempts.last().map_or(0, |entry| entry.number);
        let error = self.last_error.as_ref().map_or(0, |last| last.attempt);
        entry.max(error).max(self.attempts_before_leg()).max(ended)
    }
}

fn last_kept(mut entries: Vec<AttemptEntry>) -> Vec<AttemptEntry> {
    entries.drain(..entries.len().saturating_sub(ATTEMPTS_KEPT_MAX));
    entries
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::id::ClaimId;
    use super::super::json::Json;
    use super::super::operation::{LastError, OperationError, Payload, SavedState};
    use super::*;

    const START: Timestamp = Timestamp::from_secs(100);
    const NOW: Timestamp = Timestamp::from_secs(200);

    fn claim_id() -> ClaimId {
        ClaimId::from_bytes([1; 16])
    }

    /// In its attempt number `attempt`, with the entries of these attempts on record.
    fn running(attempt: u32, recorded: &[u32]) -> Operation {
        let entries = recorded.iter().map(|number| AttemptEntry {
            number: *number,
            started_at: Some(START),
            ended_at: Some(START + Duration::from_secs(1)),
            end: Some(AttemptEnd::Retried),
            code: Some("OLD".to_owned()),
        });
        Operation {
            attempt,
            attempts: entries.collect(),
            attempt_started_at: Some(START),
            state: State::Processing {
                claim_id: claim_id(),
                lease_until: NOW,
            },
            ..Operation::sample()
        }
    }

    /// Each entry in short: its number and its end.
    fn short(entries: &[AttemptEntry]) -> String {
        let entries = entries.iter().map(|entry| {
            let end = entry.end.map_or("running", AttemptEnd::as_str);
            format!("{} {end}", entry.number)
        });
        entries.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn attempts_without_an_entry_were_lost_and_the_last_one_runs() {
        for (attempt, recorded, history) in [
            (0, &[][..], ""),
            (1, &[], "1 running"),
            (3, &[], "1 lost, 2 lost, 3 running"),
            (2, &[1], "1 retried, 2 running"),
            (4, &[1], "1 retried, 2 lost, 3 lost, 4 running"),
            (3, &[2], "2 retried, 3 running"),
            (2, &[1, 2], "1 retried, 2 retried"),
        ] {
            let operation = running(attempt, recorded);
            assert_eq!(short(&operation.history()), history, "{recorded:?}");
        }
    }

    #[test]
    fn a_holder_records_its_attempt_after_those_that_were_lost() {
        let entries = running(4, &[2]).attempts_with(AttemptEnd::Failed, Some("BAD"), NOW);
        assert_eq!(short(&entries), "2 retried, 3 lost, 4 failed");
        let own = AttemptEntry {
            number: 4,
            started_at: Some(START),
            ended_at: Some(NOW),
            end: Some(AttemptEnd::Failed),
            code: Some("BAD".to_owned()),
        };
        assert_eq!(entries[2], own);
        let long = "X".repeat(33);
        let entries = running(1, &[]).attempts_with(AttemptEnd::Failed, Some(&long), NOW);
        assert_eq!(entries[0].code, Some("X".repeat(32)));
    }

    #[test]
    fn the_last_ten_attempts_are_kept() {
        let ten: Vec<_> = (1..=10).collect();
        let entries = running(11, &ten).attempts_with(AttemptEnd::Completed, None, NOW);
        assert_eq!((entries.len(), entries[0].number), (10, 2));
        let entries = running(30, &ten).history();
        assert_eq!((entries.len(), entries[0].number), (10, 21));
    }

    #[test]
    fn an_attempt_that_another_release_recorded_is_not_lost() {
        let retried = Operation {
            last_error: Some(LastError {
                attempt: 2,
                error: OperationError::new("FAILED", "", None),
            }),
            ..running(4, &[])
        };
        assert_eq!(short(&retried.history()), "3 lost, 4 running");
        let continued = Operation {
            saved_state: Some(SavedState {
                attempt: 2,
                value: Payload::External,
            }),
            ..running(3, &[])
        };
        assert_eq!(short(&continued.history()), "3 running");
    }

    #[test]
    fn an_attempt_whose_recorded_outcome_found_no_room_is_left_out_after_a_cancel_too() {
        for state in [
            State::Cancelled { at: NOW },
            State::Failed {
                at: NOW,
                errors: Vec::new(),
                claim_id: None,
            },
        ] {
            let ended = Operation {
                state,
                attempt_started_at: None,
                ..running(2, &[])
            };
            assert_eq!(short(&ended.history()), "");
        }
    }

    #[test]
    fn the_end_of_an_operation_says_what_became_of_its_last_attempt() {
        let ended = |state| Operation {
            state,
            ..running(2, &[1])
        };
        let failed = |claim_id| State::Failed {
            at: NOW,
            errors: Vec::new(),
            claim_id,
        };
        let completed = State::Completed {
            at: NOW,
            result: Payload::Inline(Json::empty_object()),
            claim_id: claim_id(),
        };
        for (state, history) in [
            (State::Cancelled { at: NOW }, "1 retried, 2 cancelled"),
            (failed(None), "1 retried, 2 lost"),
            // Its entry found no room.
            (failed(Some(claim_id())), "1 retried"),
            (completed, "1 retried"),
        ] {
            assert_eq!(short(&ended(state).history()), history);
        }
    }
}
