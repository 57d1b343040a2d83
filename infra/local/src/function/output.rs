//! What a process writes to its standard output: held back until it has started, then passed on line by line.
//!
//! A process that does not start says why in its log. Its starter reports that, so it must not be printed as well.

use std::io::{self, BufRead, BufReader, PipeWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use shared::lambda::CANNOT_RUN;
use tokio::sync::oneshot;

/// The most that is held back, in bytes: what a start says at the lowest log level is less. More is passed on at once.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// How long the last lines of an ended process are waited for. Only a process that it started itself keeps them back.
const END_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Output {
    held: Held,
    ended: oneshot::Receiver<()>,
}

/// What is held back; `None` once everything is passed on.
#[derive(Debug, Clone)]
struct Held(Arc<Mutex<Option<Vec<u8>>>>);

impl Output {
    /// Starts to read, and returns what the process is to write to.
    pub(super) fn open() -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let held = Held(Arc::new(Mutex::new(Some(Vec::new()))));
        let (end, ended) = oneshot::channel();
        let read = held.clone();
        // A thread, since a standard output that accepts no more must hold up the functions' logs alone.
        std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                read.read(BufReader::new(reader));
                drop(end);
            })?;
        Ok((Self { held, ended }, writer))
    }

    /// Passes on what is held back, and from now on everything at once.
    pub(super) fn pass_on(&self) {
        let mut held = self.held.lock();
        if let Some(held) = held.take() {
            print(&held);
        }
    }

    /// What is still held back once the process has ended.
    pub(super) async fn rest(mut self) -> Vec<u8> {
        // An error says that the thread has ended.
        let _ = tokio::time::timeout(END_MAX, &mut self.ended).await;
        self.held.lock().take().unwrap_or_default()
    }
}

impl Held {
    fn read(&self, mut lines: impl BufRead) {
        let mut line = Vec::new();
        // An error is an end like any other: nothing more can be read.
        while let Ok(1..) = lines.read_until(b'\n', &mut line) {
            self.take(&line);
            line.clear();
        }
    }

    fn take(&self, line: &[u8]) {
        let mut held = self.lock();
        match held.as_mut() {
            Some(bytes) if bytes.len() + line.len() <= HELD_BYTES_MAX => bytes.extend(line),
            Some(bytes) => {
                print(bytes);
                print(line);
                *held = None;
            }
            None => print(line),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        // Bytes are whole between any two calls.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out of a log why a function refused to start, in the function's own words. The rest of the log stays.
pub(super) fn take_refusal(log: &mut Vec<u8>) -> Option<String> {
    let text = String::from_utf8_lossy(log).into_owned();
    let refusal = text.lines().rev().find_map(|line| {
        let problem = message(line).split_once(CANNOT_RUN)?.1.to_owned();
        Some((line, problem))
    });
    let (refusal, problem) = refusal?;
    let others = text.lines().filter(|line| *line != refusal);
    *log = others
        .flat_map(|line| [line, "\n"])
        .collect::<String>()
        .into();
    Some(problem)
}

/// The message of a line: lines are text, or JSON.
fn message(line: &str) -> String {
    let message = serde_json::from_str::<Value>(line)
        .ok()
        .and_then(|line| Some(line.get("message")?.as_str()?.to_owned()));
    message.unwrap_or_else(|| line.to_owned())
}

/// An output that is no longer read must not end the bundle.
pub(super) fn print(bytes: &[u8]) {
    if !bytes.is_empty() {
        let mut output = io::stdout().lock();
        let _ = output.write_all(bytes).and_then(|()| output.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_in_either_format_and_the_rest_is_kept() {
        for (log, problem, rest) in [
            (
                "2026-11-23T19:13:50.652Z ERROR cannot run: TABLE_NAME is not set\n",
                Some("TABLE_NAME is not set"),
                "",
            ),
            (
                "first\n{\"level\":\"ERROR\",\"message\":\"cannot run: X must be \\\"y\\\"\"}\nlast",
                Some("X must be \"y\""),
                "first\nlast\n",
            ),
            ("thread panicked\n", None, "thread panicked\n"),
            ("", None, ""),
        ] {
            let mut bytes = log.as_bytes().to_vec();
            assert_eq!(take_refusal(&mut bytes).as_deref(), problem, "{log}");
            assert_eq!(String::from_utf8(bytes).unwrap(), rest, "{log}");
        }
    }

    #[tokio::test]
    async fn what_an_ended_process_said_before_it_had_started_is_held_back() {
        let (output, mut writer) = Output::open().unwrap();
        writer.write_all(b"one\ntwo").unwrap();
        drop(writer);
        assert_eq!(output.rest().await, b"one\ntwo");
    }
}
