//! The table that the demonstration summarizes.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::domain::limits::ARGUMENTS_BYTES_MAX;

/// Time zones, their locations, and their UTC offsets on four days of 2025. Source: the time zone
/// database 2025b of the Internet Assigned Numbers Authority (<https://www.iana.org/time-zones>),
/// which is in the public domain.
const SAMPLE: &str = include_str!("../../../../data/time_zones.csv");

/// The most bytes read of a file. It bounds the read of an endless file, and is far more than a
/// call takes, so that the error can state the exact size of nearly every file that is too large.
const FILE_BYTES_READ_MAX: usize = 16 * 1024 * 1024;

/// A table that fits into a call's arguments.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    csv: String,
}

/// Why a file cannot be an argument. The function validates the CSV.
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
    /// The table in this file, or the program's sample.
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
        // Before the check for UTF-8, since the last character may be cut off.
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

    /// The arguments for `csv.summarize`.
    pub(super) fn arguments(&self) -> Value {
        json!({ "csv": self.csv })
    }
}

/// Up to [`FILE_BYTES_READ_MAX`] bytes and one more, and a lower bound of the file's size.
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
