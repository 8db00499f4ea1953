//! Where a value of the configuration comes from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value comes from. A later one here wins over an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// A line of the configuration file, counted from 1.
    File(Arc<Path>, usize),
    /// The environment variable of that name.
    Variable(String),
    /// The flag of that name.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// What a variable begins with that sets an option: `SECUREMQ__LOG__KEEP_DAYS` is `log.keep_days`.
pub const VARIABLE_PREFIX: &str = "SECUREMQ__";

/// The variable that sets an option.
pub(super) fn variable_name(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

/// An option as it holds, and who said so.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The name of the option: `limits.max_connections`, `listeners[0].url`.
    pub key: String,
    /// Its value as TOML.
    pub value: toml::Value,
    /// Where the value comes from.
    pub source: Source,
}
