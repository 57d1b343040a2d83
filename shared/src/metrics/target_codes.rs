//! The values of the dimension `code`.

/// Why a target did not complete an attempt. A target chooses the code of an error that it reports,
/// so such an error counts by whether another attempt may follow: as `PERMANENT` or `RETRYABLE`.
pub const TARGET_CODES: [&str; 11] = [
    "TARGET_CRASHED",
    "TARGET_TIMED_OUT",
    "TARGET_THROTTLED",
    "TARGET_UNAVAILABLE",
    "TARGET_UNREACHABLE",
    "TARGET_LOST",
    "TARGET_REFUSED",
    "TARGET_ANSWER_INVALID",
    "RESULT_TOO_LARGE",
    "PERMANENT",
    "RETRYABLE",
];
