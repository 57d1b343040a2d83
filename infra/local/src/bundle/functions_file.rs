//! The functions file: read at the start and when it changes.
//!
//! The functions read a copy, which is replaced only by valid content. So a process that starts
//! while the file has an error, or while an editor writes it, has the functions that all have.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use shared::catalogue::file::source::Source;
use shared::catalogue::{Entry, LocalTarget, file};
use shared::random::{Random, SystemRandom};
use shared::request::FieldError;
use shared::schema::schema_errors;

use crate::targets::TargetSettings;

const COPY: &str = "functions.json";

/// What a valid file registers.
pub(super) struct Content {
    pub(super) entries: Vec<Entry>,
    /// One for each function.
    pub(super) targets: Vec<TargetSettings>,
}

pub(super) struct FunctionsFile {
    /// Absolute.
    path: PathBuf,
    /// It bounds the attempts.
    worker_timeout_secs: u32,
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
    /// At least one. Each continues the path, such as `:9:26 /functions/0/attempts must be …`.
    pub errors: Vec<String>,
}

fn lines(path: &Path, errors: &[String]) -> String {
    let line = |error: &String| format!("{}{error}", path.display());
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl FunctionsFile {
    /// # Errors
    ///
    /// When the file cannot be read or copied, and with all errors in it.
    pub(super) fn open(
        path: &Path,
        worker_timeout_secs: u32,
    ) -> Result<(Self, Content), FileError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let failed = |error: io::Error| FileError {
            path: path.clone(),
            errors: vec![format!(" cannot be used: {error}")],
        };
        let modified = modified(&path);
        let content = fs::read(&path).map_err(failed)?;
        let directory = TemporaryDirectory::create().map_err(failed)?;
        let file = Self {
            path,
            worker_timeout_secs,
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
        let content = read(&self.content, self.worker_timeout_secs);
        let content = content.map_err(|errors| self.error(errors))?;
        // Renamed, so that no process reads half of it.
        let new = self.directory.0.join("functions.new.json");
        fs::write(&new, &self.content)
            .and_then(|()| fs::rename(new, self.copy()))
            .map_err(|error| self.error(vec![format!(" cannot be copied: {error}")]))?;
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

fn read(content: &[u8], worker_timeout_secs: u32) -> Result<Content, Vec<String>> {
    let text = std::str::from_utf8(content).map_err(|_| vec![" must be UTF-8".to_owned()])?;
    let mut source = Source::new(text);
    if let Some((position, detail)) = source.syntax_error() {
        return Err(vec![format!(":{position} {detail}")]);
    }
    let mut located = |errors: Vec<FieldError>| -> Vec<_> {
        let errors = errors.iter();
        let located = errors.map(|error| format!(":{} {error}", source.locate(&error.pointer)));
        located.collect()
    };
    let entries = file::read(text, worker_timeout_secs).map_err(&mut located)?;
    let errors = schema_errors(&entries);
    if !errors.is_empty() {
        return Err(located(errors));
    }
    let targets = targets(&entries);
    Ok(Content { entries, targets })
}

/// Several functions may have one Lambda function. It runs as one target, with the longest timeout,
/// and one of them says how.
fn targets(entries: &[Entry]) -> Vec<TargetSettings> {
    let mut by_function = HashMap::<_, (Duration, Option<LocalTarget>)>::new();
    let with_targets = || {
        entries
            .iter()
            .filter_map(|entry| Some((entry, entry.target()?)))
    };
    for (entry, target) in with_targets() {
        let (timeout, local) = by_function.entry(target.function.as_str()).or_default();
        *timeout = entry.attempt_timeout.max(*timeout);
        *local = local.take().or_else(|| target.local.clone());
    }
    let settings = with_targets().map(|(entry, target)| {
        let (timeout, local) = by_function[target.function.as_str()].clone();
        TargetSettings {
            name: entry.name.to_owned(),
            version: entry.version.to_owned(),
            lambda_function: target.function.clone(),
            timeout,
            local,
        }
    });
    settings.collect()
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
