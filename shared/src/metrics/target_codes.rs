//! The values of the dimension `code`.

use crate::domain::operation::FailureCode;
use crate::domain::target_code::TargetCode;

/// The values for errors whose code the target chose, by whether another attempt may follow.
pub const TARGET_PERMANENT: &str = "PERMANENT";
pub const TARGET_RETRYABLE: &str = "RETRYABLE";

/// Why a target did not complete an attempt.
pub const TARGET_CODES: [&str; 11] = [
    TargetCode::Crashed.as_str(),
    TargetCode::TimedOut.as_str(),
    TargetCode::Throttled.as_str(),
    TargetCode::Unavailable.as_str(),
    TargetCode::Unreachable.as_str(),
    TargetCode::Lost.as_str(),
    TargetCode::Refused.as_str(),
    TargetCode::AnswerInvalid.as_str(),
    FailureCode::ResultTooLarge.as_str(),
    TARGET_PERMANENT,
    TARGET_RETRYABLE,
];
