//! The table that is summarized.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::domain::limits::ARGUMENTS_BYTES_MAX;

/// Time zones, where they are, and their offsets from UTC in 2025 on four days, from the time zone database 2025b of the
/// Internet Assigned Numbers Authority (<https://www.iana.org/time-zones>), which is in the public domain.
const SAMPLE: &str = include_str!("../../../../data/time_zones.csv");

/// What is read of a file, in bytes. It is far beyond what a call takes, so that the size of nearly
/// every file that is too large is known, and files without an end are as well.
const FILE_BYTES_READ_MAX: usize = 16 * 1024 * 1024;

/// A table that fits into a call.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    csv: String,
}

/// Why a file is no table to call with. What is in it, the function says.
#[derive(Debug, thiserror::Error)]
pub(super) enum TableError {
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{} is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    #[error(
        "{} is too large: its {bytes} bytes are {arguments_bytes} bytes of arguments, more than \
         the {ARGUMENTS_BYTES_MAX} bytes ({} KiB) that a call takes",
        .path.display(),
        ARGUMENTS_BYTES_MAX / 1024
    )]
    TooLarge {
        path: PathBuf,
        bytes: usize,
        arguments_bytes: usize,
    },
    #[error(
        "{} is too large: it has at least {bytes_min} bytes, and a call takes \
         {ARGUMENTS_BYTES_MAX} bytes ({} KiB) of arguments",
        .path.display(),
        ARGUMENTS_BYTES_MAX / 1024
    )]
    FarTooLarge { path: PathBuf, bytes_min: u64 },
}

impl Table {
    /// The table in this file, or the one that comes with the program.
    pub(super) fn read(path: Option<PathBuf>) -> Result<Self, TableError> {
        let Some(path) = path else {
            return Ok(Self {
                name: "time_zones.csv".to_owned(),
                csv: SAMPLE.to_owned(),
            });
        };
        let (bytes, bytes_min) = match read(&path) {
            Ok(read) => read,
            Err(error) => return Err(TableError::Unreadable(path, error)),
        };
        // Not UTF-8 yet: its end may be within a character.
        if bytes.len() > FILE_BYTES_READ_MAX {
            return Err(TableError::FarTooLarge { path, bytes_min });
        }
        let Ok(csv) = String::from_utf8(bytes) else {
            return Err(TableError::NotUtf8(path));
        };
        let name = path.display().to_string();
        let table = Self { name, csv };
        let arguments_bytes = table.arguments().to_string().len();
        if arguments_bytes > ARGUMENTS_BYTES_MAX {
            return Err(TableError::TooLarge {
                path,
                bytes: table.csv.len(),
                arguments_bytes,
            });
        }
        Ok(table)
    }

    /// What `csv.summarize` is called with.
    pub(super) fn arguments(&self) -> Value {
        json!({ "csv": self.csv })
    }
}

/// One byte more than [`FILE_BYTES_READ_MAX`] at most, and how many there are at least.
fn read(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let file = File::open(path)?;
    // A device or a pipe has a length of 0.
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_READ_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    let bytes_min = length.max(bytes.len() as u64);
    Ok((bytes, bytes_min))
}
