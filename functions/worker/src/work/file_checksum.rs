//! The work of `file.checksum`: reads a file in legs of a minute.
//!
//! The state is the hash of what was read and the file's version. The next leg requests the rest of
//! the file, of the same version. When a connection breaks after it delivered some of it, the leg
//! ends there, so a bad network slows the work down but hardly repeats it.

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
/// A leg that ends earlier than the file has read at least this.
const LEG_BYTES_MIN: u64 = 256 * 1024;
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
        let leg_ends_at = context.now() + context.time_left() / 2;
        let (mut checkpoint, mut file) = Checkpoint::open(&args.url, state, &context).await?;
        let leg_began_at = checkpoint.bytes;
        let mut report_at = checkpoint.bytes;
        // How the leg ended: the wait before the next one.
        let after = loop {
            if checkpoint.has_all() {
                break None;
            }
            let chunk = match file.next().await {
                Ok(Some(chunk)) => chunk,
                // A host that did not say the size has delivered all of it.
                Ok(None) if checkpoint.version.bytes().is_none() => break None,
                // The connection broke, or the host delivered a part of what was left.
                Ok(None) | Err(Broken) if checkpoint.can_resume(leg_began_at) => {
                    break Some(BROKEN_WAIT);
                }
                Ok(None) | Err(Broken) => return Err(Broken.into()),
            };
            checkpoint.bytes += chunk.len() as u64;
            checkpoint.hash.update(&chunk);
            if checkpoint.bytes >= report_at {
                report_at = checkpoint.bytes + REPORT_BYTES;
                checkpoint.report(&context);
            }
            if context.now() >= leg_ends_at && !checkpoint.has_all() {
                if !checkpoint.version.is_resumable() {
                    return Err(download::not_resumable());
                }
                if checkpoint.bytes < leg_began_at + LEG_BYTES_MIN {
                    let message = "the host sends too slowly";
                    return Err(WorkError::retryable("FILE_UNAVAILABLE", message));
                }
                break Some(Duration::ZERO);
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

    /// Whether another leg can go on from what this one has read. A leg that read little is tried
    /// again instead: its attempts are counted, so a host cannot occupy workers for days.
    fn can_resume(&self, leg_began_at: u64) -> bool {
        self.bytes >= leg_began_at + LEG_BYTES_MIN && self.version.is_resumable()
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
