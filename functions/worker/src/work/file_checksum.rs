//! The work of `file.checksum`: reads a file in legs of a minute.
//!
//! The state is the hash of what was read and the file's version. The next leg requests the rest of
//! the file, of the same version. When a connection breaks after it delivered some of it, the leg
//! ends there, so a bad network slows the work down but hardly repeats it. A file without a version
//! is read in one attempt.

mod download;
mod hash;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::catalogue::file_checksum::{Args, FileChecksum, Output};

use self::download::{Broken, Download, Version};
use self::hash::Hash;
use super::{LongWork, Next, WorkError};
use crate::context::Context;

/// The wait before the next leg after a connection broke.
const BROKEN_WAIT: Duration = Duration::from_secs(1);
/// Bytes between two reports of progress.
const REPORT_BYTES: u64 = MIB;
/// A leg that ends earlier than the file has read at least this for each minute that it had.
const MINUTE_BYTES_MIN: u64 = 256 * 1024;
const MIB: u64 = 1024 * 1024;

/// What was read so far.
#[derive(Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    bytes: u64,
    hash: Hash,
    version: Version,
}

impl LongWork for FileChecksum {
    type State = Checkpoint;

    async fn run(
        args: Args,
        state: Option<Checkpoint>,
        context: Context,
    ) -> Result<Next<Output, Checkpoint>, WorkError> {
        let (began_at, time_left) = (context.now(), context.time_left());
        let (mut checkpoint, mut file) = Checkpoint::open(&args.url, state, &context).await?;
        let is_resumable = checkpoint.version.is_resumable();
        let leg = leg_time(time_left, is_resumable);
        let leg_ends_at = began_at + leg;
        let enough = checkpoint.bytes + bytes_min(leg);
        let mut report_at = checkpoint.bytes;
        // How the leg ended: the wait before the next one.
        let after = loop {
            if checkpoint.has_all() {
                break None;
            }
            // A leg that read little is tried again instead of resumed: its attempts are counted, so
            // a host cannot occupy workers for days.
            let can_resume = is_resumable && checkpoint.bytes >= enough;
            let chunk = match file.next().await {
                Ok(Some(chunk)) => chunk,
                // A host that did not say the size has delivered all of it.
                Ok(None) if checkpoint.version.bytes().is_none() => break None,
                // The connection broke, or the host delivered a part of what was left.
                Ok(None) | Err(Broken) if can_resume => break Some(BROKEN_WAIT),
                Ok(None) | Err(Broken) => return Err(Broken.into()),
            };
            // The next leg requests this chunk again: if the size is not known, only the chunk shows
            // that there is something left to request.
            if context.now() >= leg_ends_at {
                if !is_resumable {
                    return Err(download::not_resumable());
                }
                if !can_resume {
                    let message = "the host sends too slowly";
                    return Err(WorkError::retryable("FILE_UNAVAILABLE", message));
                }
                break Some(Duration::ZERO);
            }
            checkpoint.bytes += chunk.len() as u64;
            checkpoint.hash.update(&chunk);
            if checkpoint.bytes >= report_at {
                report_at = checkpoint.bytes + REPORT_BYTES;
                checkpoint.report(&context);
            }
        };
        Ok(match after {
            Some(after) => Next::Continue {
                state: checkpoint,
                after,
            },
            None => Next::Done(Output {
                bytes: checkpoint.bytes,
                sha256: checkpoint.hash.finish(),
            }),
        })
    }
}

/// How long a leg reads. The second half of the attempt is for a host that is silent when the leg
/// ends. A file that cannot be resumed gets nearly all of the attempt; the rest is for the error.
fn leg_time(time_left: Duration, is_resumable: bool) -> Duration {
    if is_resumable {
        time_left / 2
    } else {
        time_left * 19 / 20
    }
}

/// At least one, so that each leg gets further.
fn bytes_min(leg: Duration) -> u64 {
    (MINUTE_BYTES_MIN * leg.as_secs() / 60).max(1)
}

impl Checkpoint {
    /// Where the work begins, and the download of what is left.
    async fn open(
        url: &str,
        state: Option<Self>,
        context: &Context,
    ) -> Result<(Self, Download), WorkError> {
        let clients = context.clients();
        let Some(mut checkpoint) = state else {
            let file = Download::start(url, clients).await?;
            let checkpoint = Self {
                bytes: 0,
                hash: Hash::default(),
                version: file.version().clone(),
            };
            return Ok((checkpoint, file));
        };
        let (bytes, version) = (checkpoint.bytes, &checkpoint.version);
        let file = Download::resume(url, clients, bytes, version).await?;
        checkpoint.version.learn_size(file.version());
        Ok((checkpoint, file))
    }

    fn has_all(&self) -> bool {
        self.version.bytes() == Some(self.bytes)
    }

    fn report(&self, context: &Context) {
        let read = self.bytes / MIB;
        match self.version.bytes() {
            Some(all) => {
                #[expect(clippy::cast_precision_loss, reason = "a fraction for callers")]
                let fraction = self.bytes as f64 / all.max(1) as f64;
                context.progress(fraction, &format!("{read} of {} MiB", all.div_ceil(MIB)));
            }
            None => context.progress(0.0, &format!("{read} MiB")),
        }
    }
}
