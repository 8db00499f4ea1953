//! How a command ends: its exit code, what went wrong, and what to do about it.

use std::fmt;
use std::process::ExitCode;

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: what was asked for is done.
    Done,
    /// 1: it could not be done.
    Failed,
    /// 2: the command line makes no sense.
    Usage,
    /// 3: what it was asked about does not exist.
    NotFound,
    /// 4: it may not be done.
    Denied,
}

impl Exit {
    /// The number the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Denied => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub enum CliError {
    /// Something went wrong, and there is something to do about it.
    Problem(Problem),
    /// Whoever read the output has gone, as `head` does: no failure, and nothing more to say.
    OutputClosed,
}

/// What went wrong, in the order it is printed.
#[derive(Debug)]
pub struct Problem {
    /// What the shell sees.
    pub exit: Exit,
    /// What and why: lower case, no full stop.
    pub message: String,
    /// More about it, a line each: several problems, or the errors underneath.
    pub details: Vec<String>,
    /// What to do next, printed as the last line.
    pub remedy: String,
}

impl CliError {
    /// It could not be done (1).
    pub fn failed(message: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message, remedy)
    }

    /// The command line makes no sense (2). What clap can tell, it tells itself.
    pub fn usage(message: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message, remedy)
    }

    /// What it was asked about does not exist (3).
    pub fn not_found(message: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(Exit::NotFound, message, remedy)
    }

    /// It may not be done (4).
    pub fn denied(message: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(Exit::Denied, message, remedy)
    }

    /// The same with more lines between the message and the remedy.
    #[must_use]
    pub fn with_details(mut self, details: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        if let Self::Problem(problem) = &mut self {
            problem.details.extend(details.into_iter().map(|line| line.to_string()));
        }
        self
    }

    /// What the shell sees.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Problem(problem) => problem.exit,
            Self::OutputClosed => Exit::Done,
        }
    }

    fn new(exit: Exit, message: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::Problem(Problem { exit, message: message.to_string(), details: Vec::new(), remedy: remedy.to_string() })
    }
}
