//! When the files of a handler were last written.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// Files and directories below one directory that are checked. A change of others is not noticed.
const ENTRIES_MAX: usize = 2000;

/// The newest file below a directory. Left out are the functions file, which may be in it, and what
/// no author of a handler edits: dependencies, what compilers write, and hidden files.
pub(super) fn modified(directory: &Path, functions_file: &Path) -> Option<SystemTime> {
    let (mut directories, mut newest, mut left) = (vec![directory.to_owned()], None, ENTRIES_MAX);
    while let Some(directory) = directories.pop() {
        // A virtual environment of Python's (PEP 405).
        if directory.join("pyvenv.cfg").exists() {
            continue;
        }
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            left -= 1;
            if left == 0 {
                return newest;
            }
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_skipped = matches!(&*name, "__pycache__" | "node_modules" | "target")
                || name.starts_with('.');
            match entry.metadata() {
                _ if is_skipped => {}
                Ok(found) if found.is_dir() => directories.push(entry.path()),
                Ok(_) if entry.path() == functions_file => {}
                Ok(found) => newest = newest.max(found.modified().ok()),
                // Removed since it was listed.
                Err(_) => {}
            }
        }
    }
    newest
}
