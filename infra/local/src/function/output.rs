//! What a process writes: its standard output is held back until it has started, then passed on
//! line by line; its standard error is passed on at once.
//!
//! A process that does not start says why in its log. Its starter reports that, so it must not be printed as well.
//!
//! What functions write may quote what callers sent. A log line in JSON escapes some of what a
//! terminal obeys, and a panic's text none of it, so all of it is escaped here
//! ([`shared::terminal`]), which leaves JSON its value.

use std::io::{self, BufRead, BufReader, PipeWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use shared::lambda::CANNOT_RUN;
use shared::terminal::VisibleLines;
use tokio::sync::oneshot;

/// The most that is held back, in bytes: what a start says at the lowest log level is less. More is passed on at once.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// How long the last lines of an ended process are waited for. Only a process that it started itself keeps them back.
const END_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Output {
    held: Held,
    ended: [oneshot::Receiver<()>; 2],
}

/// What is held back; `None` once everything is passed on.
#[derive(Debug, Clone)]
struct Held(Arc<Mutex<Option<Vec<u8>>>>);

impl Output {
    /// Starts to read, and returns what the process is to write to: its standard output and error.
    pub(super) fn open() -> io::Result<(Self, [PipeWriter; 2])> {
        let held = Held(Arc::new(Mutex::new(Some(Vec::new()))));
        let taking = held.clone();
        let (stdout, stdout_ended) = read("output", move |line| taking.take(line))?;
        let (stderr, stderr_ended) = read("errors", |line| print_to(io::stderr().lock(), line))?;
        let ended = [stdout_ended, stderr_ended];
        Ok((Self { held, ended }, [stdout, stderr]))
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
        let ended = futures_util::future::join_all(&mut self.ended);
        let _ = tokio::time::timeout(END_MAX, ended).await;
        self.held.lock().take().unwrap_or_default()
    }
}

/// Gives each line to `take`, on a thread: a terminal that accepts no more must hold up the
/// functions' logs alone.
fn read(
    name: &str,
    take: impl Fn(&[u8]) + Send + 'static,
) -> io::Result<(PipeWriter, oneshot::Receiver<()>)> {
    let (reader, writer) = io::pipe()?;
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let mut lines = BufReader::new(reader);
            let mut line = Vec::new();
            // An error is an end like any other: nothing more can be read.
            while let Ok(1..) = lines.read_until(b'\n', &mut line) {
                take(&line);
                line.clear();
            }
            drop(end);
        })?;
    Ok((writer, ended))
}

impl Held {
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

pub(super) fn print(lines: &[u8]) {
    print_to(io::stdout().lock(), lines);
}

/// An output that is no longer read must not end the bundle.
fn print_to(mut output: impl Write, lines: &[u8]) {
    if !lines.is_empty() {
        let written = VisibleLines(&mut output).write_all(lines);
        let _ = written.and_then(|()| output.flush());
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
        let (output, [mut stdout, stderr]) = Output::open().unwrap();
        stdout.write_all(b"one\ntwo").unwrap();
        drop((stdout, stderr));
        assert_eq!(output.rest().await, b"one\ntwo");
    }
}
