//! The table that is summarized.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::domain::limits::ARGUMENTS_BYTES_MAX;

/// Time zones, where they are, and their offsets from UTC in 2025 on four days, from the time zone database 2025b of the
/// Internet Assigned Numbers Authority (<https://www.iana.org/time-zones>), which is in the public domain.
const SAMPLE: &str = include_str!("../../../../data/time_zones.csv");

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
    #[error("{} is too large: as arguments it has more than {} KiB", .0.display(), ARGUMENTS_BYTES_MAX / 1024)]
    TooLarge(PathBuf),
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
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) => return Err(TableError::Unreadable(path, error)),
        };
        let Ok(csv) = String::from_utf8(bytes) else {
            return Err(TableError::NotUtf8(path));
        };
        let name = path.display().to_string();
        let table = Self { name, csv };
        if table.arguments().to_string().len() > ARGUMENTS_BYTES_MAX {
            return Err(TableError::TooLarge(path));
        }
        Ok(table)
    }

    /// What `csv.summarize` is called with.
    pub(super) fn arguments(&self) -> Value {
        json!({ "csv": self.csv })
    }
}

/// No more than tells that it is too much.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(ARGUMENTS_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
