//! The only place that prints.
//!
//! Text that came from clients cannot forge lines or move the cursor: control characters are shown, never sent.

use super::error::CliError;
use crate::audit::is_hidden;
use comfy_table::{ContentLineStyle, Row, Table, TableStyle};
use serde::Serialize;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use tracing_subscriber::EnvFilter;

/// What standard output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// People: lines and tables.
    Text,
    /// Programs: JSON and nothing else; remarks go to standard error.
    Json,
}

/// Where commands say what they have to say.
pub struct Output {
    format: Format,
    is_terminal: bool,
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
}

impl Output {
    /// On standard output and standard error.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            is_terminal: io::stdout().is_terminal(),
            out: Mutex::new(Box::new(io::stdout())),
            err: Mutex::new(Box::new(io::stderr())),
        }
    }

    /// What standard output is for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// One line for people. A line break within it is shown, not made.
    pub fn line(&self, text: impl fmt::Display) -> Result<(), CliError> {
        match self.format {
            Format::Text => self.write(format!("{}\n", Visible(&text.to_string())).as_bytes()),
            Format::Json => {
                self.note(text);
                Ok(())
            }
        }
    }

    /// One line beside the result, on standard error. Nobody reading it is no failure.
    pub fn note(&self, text: impl fmt::Display) {
        let mut err = self.err.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = err.write_all(format!("{}\n", Visible(&text.to_string())).as_bytes());
    }

    /// Something allowed that deserves attention, on standard error.
    pub fn warning(&self, text: impl fmt::Display) {
        self.note(format_args!("warning: {text}"));
    }

    /// Why the command ended, on standard error; the last line says what to do.
    pub fn error(&self, error: &CliError) {
        match error {
            CliError::OutputClosed => {}
            CliError::Problem(problem) => {
                self.note(format_args!("error: {}", problem.message));
                problem.details.iter().for_each(|line| self.note(format_args!("  {line}")));
                self.note(&problem.remedy);
            }
        }
    }

    /// One value as one line of JSON, whatever the format.
    pub fn json(&self, value: &impl Serialize) -> Result<(), CliError> {
        let json = serde_json::to_string(value).map_err(|error| {
            CliError::failed(format_args!("the result cannot be shown as JSON: {error}"), "leave out --json")
        })?;
        self.write(format!("{}\n", AsciiJson(&json)).as_bytes())
    }

    /// A listing: a JSON array of `items`, or a table with a heading per column and a row of `cells` per item.
    pub fn listing<T: Serialize>(
        &self,
        headings: &[&str],
        items: &[T],
        cells: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Json => self.json(&items),
            Format::Text => self.write(table(headings, items.iter().map(cells)).as_bytes()),
        }
    }

    /// A message on a line: its topic, if wanted, and its payload. For programs the payload is as it is; on a terminal
    /// its control characters are shown. A topic never breaks the line.
    pub fn message(&self, topic: Option<&str>, payload: &[u8]) -> Result<(), CliError> {
        let topic = topic.map_or_else(String::new, |topic| format!("{} ", Visible(topic)));
        if self.is_terminal {
            return self.write(format!("{topic}{}\n", Visible(&String::from_utf8_lossy(payload))).as_bytes());
        }
        self.write(&[topic.as_bytes(), payload, b"\n"].concat())
    }

    /// Lines for programs, as they are.
    pub fn text(&self, lines: &str) -> Result<(), CliError> {
        self.write(lines.as_bytes())
    }

    fn write(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::OutputClosed,
            _ => CliError::failed(
                format_args!("cannot write to standard output: {error}"),
                "check where the output goes: the disk may be full",
            ),
        })
    }
}

/// What developers want to know goes to standard error; `SECUREMQ_TRACE=debug` asks for more.
pub fn start_tracing() {
    let filter = EnvFilter::try_from_env("SECUREMQ_TRACE").unwrap_or_else(|_| EnvFilter::new("warn"));
    // A second start in one process, as in tests, keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
}

/// Columns two spaces apart, headings in capitals, no lines drawn: easy on the eye and on `grep`.
fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new().content_lines(ContentLineStyle::none()).header_lines(ContentLineStyle::none()));
    table.set_header(Row::from(headings.iter().map(|heading| heading.to_uppercase()).collect::<Vec<_>>()));
    table.add_rows(rows.map(|cells| Row::from(cells.iter().map(|cell| Visible(cell).to_string()).collect::<Vec<_>>())));
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    format!("{}\n", table.trim_fmt())
}

/// Text with every character shown that would otherwise move the cursor, reorder the line or hide.
pub struct Visible<'a>(pub &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\n' => f.write_str("\\n"),
            '\r' => f.write_str("\\r"),
            '\t' => f.write_str("\\t"),
            _ if is_hidden(c) => write!(f, "\\u{{{:x}}}", u32::from(c)),
            _ => f.write_char(c),
        })
    }
}

/// JSON in which such characters, all of them inside strings, are escapes.
struct AsciiJson<'a>(&'a str);

impl fmt::Display for AsciiJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match is_hidden(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(f, "\\u{unit:04x}")),
            false => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests;
