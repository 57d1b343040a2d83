//! The output of a process. Its standard output is buffered until the process has started, then
//! printed line by line; its standard error is printed at once.
//!
//! A process that does not start logs why. The error of its start reports that line, so the log is
//! not printed as well.
//!
//! Functions may log text from callers. JSON escapes some of the control sequences that a terminal
//! interprets, and a panic's text none, so all output is escaped here ([`shared::terminal`]). JSON
//! keeps its value.

use std::io::{self, BufRead, BufReader, PipeWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use shared::lambda::CANNOT_RUN;
use shared::terminal::VisibleLines;
use tokio::sync::oneshot;

/// More than a start logs at the lowest log level. Anything more is printed at once.
const BUFFER_BYTES_MAX: usize = 1024 * 1024;

/// How much of a process's standard error an error quotes.
const FIRST_LINES_MAX: usize = 20;
const LINE_CHARS_MAX: usize = 200;

/// How long to wait for the last lines of an ended process. A child of that process may keep its
/// pipes open.
const END_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Output {
    stdout: Buffer,
    first_errors: FirstLines,
    ended: [oneshot::Receiver<()>; 2],
}

/// The output of a process that was not printed.
#[derive(Debug)]
pub(super) struct Rest {
    /// The lines in the buffer; standard error was printed.
    pub(super) stdout: Vec<u8>,
    /// The first lines of standard error, which say why a process did not start.
    pub(super) first_errors: String,
    print: fn(&[u8]),
}

/// The lines until the start; `None` once lines are printed at once.
#[derive(Debug, Clone)]
struct Buffer {
    lines: Arc<Mutex<Option<Vec<u8>>>>,
    print: fn(&[u8]),
}

impl Output {
    /// Starts to read, and returns the process's standard output and standard error. `prefix` is
    /// printed before each line, and all of the output to standard error: the standard output of
    /// this program has its own results and the functions' logs.
    pub(super) fn open(prefix: &str) -> io::Result<(Self, [PipeWriter; 2])> {
        let buffer = Buffer {
            lines: Arc::new(Mutex::new(Some(Vec::new()))),
            print: if prefix.is_empty() {
                print
            } else {
                print_error
            },
        };
        let writer = buffer.clone();
        let (stdout, stdout_ended) = read("output", prefix, move |line, _| writer.write(line))?;
        let first_errors = FirstLines::default();
        let first = first_errors.clone();
        let (stderr, stderr_ended) = read("errors", prefix, move |line, text| {
            first.add(text);
            print_error(line);
        })?;
        let output = Self {
            stdout: buffer,
            first_errors,
            ended: [stdout_ended, stderr_ended],
        };
        Ok((output, [stdout, stderr]))
    }

    /// Prints the buffered lines, and from now on every line at once.
    pub(super) fn release(&self) {
        let mut buffer = self.stdout.lock();
        if let Some(lines) = buffer.take() {
            (self.stdout.print)(&lines);
        }
    }

    /// What is left once the process has ended.
    pub(super) async fn rest(mut self) -> Rest {
        // An error says that the thread has ended.
        let ended = futures_util::future::join_all(&mut self.ended);
        let _ = tokio::time::timeout(END_MAX, ended).await;
        Rest {
            stdout: self.stdout.lock().take().unwrap_or_default(),
            first_errors: self.first_errors.text(),
            print: self.stdout.print,
        }
    }
}

/// Passes each line to `write`, with and without the prefix, on a thread, because a terminal that
/// accepts no more output must block nothing but the functions' logs.
fn read(
    name: &str,
    prefix: &str,
    write: impl Fn(&[u8], &[u8]) + Send + 'static,
) -> io::Result<(PipeWriter, oneshot::Receiver<()>)> {
    let (reader, writer) = io::pipe()?;
    let (end, ended) = oneshot::channel();
    let prefix = prefix.to_owned();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let mut lines = BufReader::new(reader);
            let mut line = Vec::new();
            // Nothing can be read after an error either.
            while let Ok(1..) = lines.read_until(b'\n', &mut line) {
                if prefix.is_empty() {
                    write(&line, &line);
                } else {
                    write(&prefixed(&prefix, &line), &line);
                }
                line.clear();
            }
            drop(end);
        })?;
    Ok((writer, ended))
}

/// `line` with the prefix. CloudWatch shows a carriage return as a line break, so Lambda's runtime
/// for Python writes one between the lines of a stack trace.
fn prefixed(prefix: &str, line: &[u8]) -> Vec<u8> {
    let parts = line.trim_ascii_end().split(|byte| *byte == b'\r');
    let parts = parts.map(|part| [prefix.as_bytes(), part].concat());
    let mut lines = parts.collect::<Vec<_>>().join(&b'\n');
    lines.push(b'\n');
    lines
}

/// The first lines of a process's standard error.
#[derive(Debug, Clone, Default)]
struct FirstLines(Arc<Mutex<Vec<String>>>);

impl FirstLines {
    fn add(&self, line: &[u8]) {
        let mut lines = self.lock();
        if lines.len() < FIRST_LINES_MAX {
            let line = String::from_utf8_lossy(line);
            lines.push(line.trim_end().chars().take(LINE_CHARS_MAX).collect());
        }
    }

    fn text(&self) -> String {
        self.lock().join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        // Each change is one step, so a panic leaves the lines complete.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    fn write(&self, line: &[u8]) {
        let mut buffer = self.lock();
        match buffer.as_mut() {
            Some(lines) if lines.len() + line.len() <= BUFFER_BYTES_MAX => lines.extend(line),
            Some(lines) => {
                (self.print)(lines);
                (self.print)(line);
                *buffer = None;
            }
            None => (self.print)(line),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        // Each change is one step, so a panic leaves the buffer complete.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rest {
    pub(super) fn print(&self) {
        (self.print)(&self.stdout);
    }
}

/// Removes from a log the line in which a function reports why it cannot run, and returns the
/// reason. The other lines stay.
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

/// The message of a log line in either format, text or JSON.
fn message(line: &str) -> String {
    let message = serde_json::from_str::<Value>(line)
        .ok()
        .and_then(|line| Some(line.get("message")?.as_str()?.to_owned()));
    message.unwrap_or_else(|| line.to_owned())
}

fn print(lines: &[u8]) {
    print_to(io::stdout().lock(), lines);
}

fn print_error(lines: &[u8]) {
    print_to(io::stderr().lock(), lines);
}

/// Errors are ignored: an output that nothing reads any more must not end the bundle.
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
    fn a_refusal_is_taken_from_a_log_in_either_format_and_other_lines_stay() {
        for (log, problem, rest) in [
            (
                "2026-11-23T19:13:50.652Z ERROR cannot run: TABLE_NAME is not set\n",
                Some("TABLE_NAME is not set"),
                "",
            ),
            (
                "first\n\
                 {\"level\":\"ERROR\",\"message\":\"cannot run: X must be \\\"y\\\"\"}\n\
                 last",
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
    async fn the_output_of_a_process_that_ends_before_it_has_started_is_not_printed() {
        for (prefix, lines) in [
            ("", "one\ntwo\rthree"),
            ("resize: ", "resize: one\nresize: two\nresize: three\n"),
        ] {
            let (output, [mut stdout, mut stderr]) = Output::open(prefix).unwrap();
            stdout.write_all(b"one\ntwo\rthree").unwrap();
            stderr.write_all("why\n".repeat(30).as_bytes()).unwrap();
            drop((stdout, stderr));
            let rest = output.rest().await;
            assert_eq!(String::from_utf8(rest.stdout).unwrap(), lines);
            assert_eq!(rest.first_errors, ["why"; 20].join("\n"));
        }
    }
}
