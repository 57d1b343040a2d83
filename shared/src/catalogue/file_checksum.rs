//! `file.checksum`: the checksum of a file of any size.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ArgumentError, Function};
use crate::domain::backoff::RetryPolicy;
use crate::domain::caller_url::CallerUrl;

#[derive(Debug)]
pub struct FileChecksum;

/// The arguments of `file.checksum`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The file: an `https` URL with a public host, such as a presigned URL of Amazon S3. Redirects
    /// are not followed.
    pub url: String,
}

/// The result of `file.checksum`.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Output {
    /// The file's size.
    pub bytes: u64,
    /// The file's SHA-256 in lower-case hexadecimal, as `sha256sum` prints it.
    pub sha256: String,
}

impl Function for FileChecksum {
    const NAME: &'static str = "file.checksum";
    const VERSION: &'static str = "1.0.0";
    const DESCRIPTION: &'static str = "Reads a file at a URL and returns its SHA-256 checksum.";
    const ATTEMPTS_MAX: u32 = 5;
    /// Half of it is a leg of a file that can be resumed: a worker that dies loses what its leg has
    /// read. Any other file has all of it.
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
    const DEADLINE_SECS: u32 = 86_400;
    const RETRY: RetryPolicy = RetryPolicy {
        initial: Duration::from_secs(2),
        max: Duration::from_secs(300),
    };

    type Args = Args;
    type Output = Output;

    /// Which hosts are allowed depends on the deployment; the worker checks it.
    fn validate(args: &Args) -> Result<(), ArgumentError> {
        CallerUrl::check_text(&args.url)
            .map_err(|refused| ArgumentError::of_member("url", refused.to_string()))
    }
}
