//! Files that only the user of this program can read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use shared::random::{Random, SystemRandom};

/// Writes a file that only its user can read, and replaces what `path` names. It never writes into
/// an existing file, which others may be able to read, or through a symbolic link, which may name
/// any file of the user. The temporary name is random, so no other user can create it first.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    // A device, or a link to one such as /dev/stdout, must not be replaced.
    let is_special = |found: fs::Metadata| !found.is_file() && !found.is_dir();
    if fs::metadata(path).is_ok_and(is_special) {
        return Err(io::Error::other("it is not a file"));
    }
    let random: &dyn Random = &SystemRandom;
    let mut new_name = name.to_owned();
    new_name.push(format!(".{:032x}", u128::from_ne_bytes(random.bytes())));
    let new = path.with_file_name(new_name);
    let written = write_new(&new, content).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The first error is returned.
        let _ = fs::remove_file(&new);
    }
    written
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path)?.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_no_file() {
        let directory = std::env::temp_dir().join(format!("ferry-{}", std::process::id()));
        // The temporary file is written, but cannot replace a directory.
        let path = directory.join("taken.env");
        fs::create_dir_all(&path).unwrap();
        let error = replace(&path, b"secret").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        replace(&directory.join("missing/new.env"), b"secret").unwrap_err();
        replace(&directory.join(".."), b"secret").unwrap_err();
        replace(Path::new("/dev/null"), b"secret").unwrap_err();
        let link = directory.join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        replace(&link, b"secret").unwrap_err();
        fs::remove_file(link).unwrap();
        let entries = fs::read_dir(&directory).unwrap();
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["taken.env"]);
        fs::remove_dir_all(directory).unwrap();
    }
}
