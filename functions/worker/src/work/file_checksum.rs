//! The work of `file.checksum`: reads a file in legs of a minute.
//!
//! The state is the hash of what was read and the file's version. The next leg requests the rest of
//! the file, of the same version. When a connection breaks after it delivered bytes, the leg ends
//! there, so a bad network slows the work down but does not repeat it.

mod download;
mod hash;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::catalogue::file_checksum::{Args, FileChecksum, Output};

use self::download::{Download, Version};
use self::hash::Hash;
use super::{LongWork, Next, WorkError};
use crate::context::Context;

/// The wait before the next leg after a connection broke.
const BROKEN_WAIT: Duration = Duration::from_secs(1);
/// Bytes between two reports of progress.
const REPORT_BYTES: u64 = MIB;
const MIB: u64 = 1024 * 1024;

/// What was read so far.
#[derive(Debug, Serialize, Deserialize)]
pub struct Progress {
    bytes: u64,
    hash: Hash,
    version: Version,
}

impl LongWork for FileChecksum {
    type State = Progress;

    async fn run(
        args: Args,
        state: Option<Progress>,
        context: Context,
    ) -> Result<Next<Output, Progress>, WorkError> {
        let leg_ends_at = context.now() + context.time_left() / 2;
        let clients = context.clients();
        let (mut read, mut file) = match state {
            None => {
                let file = Download::start(&args.url, clients).await?;
                let read = Progress {
                    bytes: 0,
                    hash: Hash::default(),
                    version: file.version().clone(),
                };
                (read, file)
            }
            Some(read) => {
                let (url, bytes) = (&args.url, read.bytes);
                let file = Download::resume(url, clients, bytes, &read.version).await?;
                (read, file)
            }
        };
        let leg_began_at = read.bytes;
        let mut report_at = read.bytes;
        loop {
            let chunk = match file.next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(_) if read.bytes > leg_began_at && read.version.is_resumable() => {
                    let (state, after) = (read, BROKEN_WAIT);
                    return Ok(Next::Continue { state, after });
                }
                Err(broken) => return Err(broken.into()),
            };
            read.bytes += chunk.len() as u64;
            read.hash.update(&chunk);
            if read.bytes >= report_at {
                report_at = read.bytes + REPORT_BYTES;
                read.report(&context);
            }
            if context.now() >= leg_ends_at {
                if !read.version.is_resumable() {
                    return Err(download::not_resumable());
                }
                let (state, after) = (read, Duration::ZERO);
                return Ok(Next::Continue { state, after });
            }
        }
        Ok(Next::Done(Output {
            bytes: read.bytes,
            sha256: read.hash.finish(),
        }))
    }
}

impl Progress {
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
