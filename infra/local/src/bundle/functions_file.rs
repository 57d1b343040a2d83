//! The functions file: read at the start and when it changes.
//!
//! The functions read a copy, which is replaced only by valid content. So a process that starts
//! while the file has an error, or while an editor writes it, has the functions that all have.

use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use shared::catalogue::{Entry, file};
use shared::random::{Random, SystemRandom};
use shared::request::FieldError;
use shared::schema::schema_errors;

use crate::targets::TargetSettings;

const COPY: &str = "functions.json";

/// What a valid file registers.
pub(super) struct Content {
    pub(super) entries: Vec<Entry>,
    /// Their targets, each once.
    pub(super) targets: Vec<TargetSettings>,
}

pub(super) struct FunctionsFile {
    /// Absolute.
    path: PathBuf,
    directory: TemporaryDirectory,
    /// When the last content was written.
    modified: Option<SystemTime>,
    /// The last content, valid or not.
    content: Vec<u8>,
}

/// Why the functions file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.path, .errors))]
pub struct FileError {
    pub path: PathBuf,
    /// At least one. Each completes a sentence that begins with the path.
    pub errors: Vec<String>,
}

fn lines(path: &Path, errors: &[String]) -> String {
    let line = |error: &String| format!("{} {error}", path.display());
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl FunctionsFile {
    /// # Errors
    ///
    /// When the file cannot be read or copied, and with all errors in it.
    pub(super) fn open(path: &Path) -> Result<(Self, Content), FileError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let failed = |error: io::Error| FileError {
            path: path.clone(),
            errors: vec![format!("cannot be used: {error}")],
        };
        let modified = modified(&path);
        let content = fs::read(&path).map_err(failed)?;
        let directory = TemporaryDirectory::create().map_err(failed)?;
        let file = Self {
            path,
            directory,
            modified,
            content,
        };
        let content = file.accept()?;
        Ok((file, content))
    }

    /// The copy that the functions read.
    pub(super) fn copy(&self) -> PathBuf {
        self.directory.0.join(COPY)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory for this process and its functions only.
    pub(super) fn directory(&self) -> PathBuf {
        self.directory.0.clone()
    }

    /// The functions when the file has changed since the last call. A file that is missing has not
    /// changed: an editor may be about to write it.
    ///
    /// # Errors
    ///
    /// With all errors in the changed file, once. The copy stays as it was.
    pub(super) fn changed(&mut self) -> Option<Result<Content, FileError>> {
        let modified = modified(&self.path);
        if modified == self.modified {
            return None;
        }
        let content = fs::read(&self.path).ok()?;
        self.modified = modified;
        if content == self.content {
            return None;
        }
        self.content = content;
        Some(self.accept())
    }

    /// Replaces the copy by the last content.
    fn accept(&self) -> Result<Content, FileError> {
        let content = read(&self.content).map_err(|errors| self.error(errors))?;
        // Renamed, so that no process reads half of it.
        let new = self.directory.0.join("functions.new.json");
        fs::write(&new, &self.content)
            .and_then(|()| fs::rename(new, self.copy()))
            .map_err(|error| self.error(vec![format!("cannot be copied: {error}")]))?;
        Ok(content)
    }

    fn error(&self, errors: Vec<String>) -> FileError {
        FileError {
            path: self.path.clone(),
            errors,
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

fn read(content: &[u8]) -> Result<Content, Vec<String>> {
    let text = std::str::from_utf8(content).map_err(|_| vec!["must be UTF-8".to_owned()])?;
    let described =
        |errors: Vec<FieldError>| -> Vec<_> { errors.iter().map(ToString::to_string).collect() };
    let entries = file::read(text).map_err(described)?;
    let errors = schema_errors(&entries);
    if !errors.is_empty() {
        return Err(described(errors));
    }
    let targets = by_lambda_function(&entries)?;
    Ok(Content { entries, targets })
}

/// Several versions may have one Lambda function, which then runs as one target.
fn by_lambda_function(entries: &[Entry]) -> Result<Vec<TargetSettings>, Vec<String>> {
    let (mut targets, mut errors) = (Vec::<TargetSettings>::new(), Vec::new());
    for (index, entry) in entries.iter().enumerate() {
        let Some(target) = entry.target() else {
            continue;
        };
        let settings = TargetSettings {
            name: entry.name.to_owned(),
            version: entry.version.to_owned(),
            lambda_function: target.function.clone(),
            timeout: entry.attempt_timeout,
            local: target.local.clone(),
        };
        let mut known = targets.iter_mut();
        let same = known.find(|known| known.lambda_function == settings.lambda_function);
        match same {
            None => targets.push(settings),
            Some(same) if same.local.is_none() || settings.local.is_none() => {
                same.timeout = same.timeout.max(settings.timeout);
                same.local = same.local.take().or(settings.local);
            }
            Some(same) if same.local == settings.local => {
                same.timeout = same.timeout.max(settings.timeout);
            }
            Some(same) => errors.push(format!(
                "/functions/{index}/target/local must be that of {} {}, which has the same Lambda \
                 function",
                same.name, same.version
            )),
        }
    }
    if errors.is_empty() {
        Ok(targets)
    } else {
        Err(errors)
    }
}

/// A directory that only this user can read, since the file may have secrets in `environment`.
/// Removed when dropped.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn create() -> io::Result<Self> {
        let random: &dyn Random = &SystemRandom;
        let name = format!("ferry-{:032x}", u128::from_ne_bytes(random.bytes()));
        let path = std::env::temp_dir().join(name);
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // Nothing is left to report an error to.
        let _ = fs::remove_dir_all(&self.0);
    }
}
