//! When the files of a handler were last written.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::path::Path;
use std::time::SystemTime;

/// Files and directories below one directory that are checked. A change of others is not noticed.
const ENTRIES_MAX: usize = 2000;

/// Extensions of files that handlers are made of. Others may be what a handler writes, or this
/// program's own output: a change of it would be printed, and change it again.
const CODE: [&str; 12] = [
    "cjs", "class", "jar", "js", "json", "mjs", "php", "py", "rb", "sh", "so", "ts",
];

/// The newest file below a directory that a handler is made of. Left out are the functions file,
/// which may be in it, and what no author of a handler edits: dependencies, what compilers write,
/// and hidden files.
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
                Ok(found) if is_code(&entry.path(), &found) => {
                    newest = newest.max(found.modified().ok());
                }
                // Or removed since it was listed.
                Ok(_) | Err(_) => {}
            }
        }
    }
    newest
}

fn is_code(path: &Path, found: &Metadata) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    // A program, such as `bootstrap`.
    #[cfg(unix)]
    let is_executable = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o100 != 0;
    #[cfg(not(unix))]
    let is_executable = found.is_file() && extension == Some("exe");
    is_executable || extension.is_some_and(|extension| CODE.contains(&extension))
}
