//! Merges what the file, the environment and the flags say, and checks it.

use super::check::check;
use super::file::{line_of, parse_file};
use super::listener::ListenUrl;
use super::problem::{ConfigError, ConfigProblem, ProblemKind};
use super::settings::Config;
use super::source::{Setting, Source, VARIABLE_PREFIX};
use super::tree::{Entry, Table, Value};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--data-dir DIR`
    pub data_dir: Option<PathBuf>,
    /// `--listen URL`, any number; they replace the configured listeners.
    pub listen: Vec<ListenUrl>,
}

/// A configuration without problems, and where each of its values comes from.
#[derive(Debug)]
pub struct Loaded {
    /// What the operator wants.
    pub config: Config,
    /// Every option, in the order of `config.toml.example`.
    pub settings: Vec<Setting>,
}

/// The variable that says where the data folder is unless an option or flag does.
pub const DATA_DIR_VARIABLE: &str = "SECUREMQ_DATA_DIR";

/// No configuration is larger; a path to something else must not fill the memory.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The configuration as defaults, file, environment and flags together make it, a later one winning over an earlier; or
/// everything that is wrong with it.
pub fn load(flags: &Flags, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let (mut written, overrides) = variables(environment, &mut problems);
    if let Some(path) = &flags.config {
        match read_file(path).and_then(|text| parse_file(path, &text)) {
            Ok(table) => written.overlay(table),
            Err(more) => problems.extend(more),
        }
    }
    written.overlay(overrides);
    written.overlay(flag_values(flags, &mut problems));
    let (config, settings, more) = check(written);
    problems.extend(more);
    problems.sort_by(|one, other| one.source.cmp(&other.source));
    match problems.is_empty() {
        true => Ok(Loaded { config, settings }),
        false => Err(ConfigError { problems }),
    }
}

fn read_file(path: &Path) -> Result<String, Vec<ConfigProblem>> {
    let problem =
        |line, kind| vec![ConfigProblem { source: Source::File(path.into(), line), key: String::new(), kind }];
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error: io::Error| problem(1, ProblemKind::Unreadable(error)))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(problem(1, ProblemKind::TooLarge(MAX_FILE_BYTES)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
        problem(line, ProblemKind::NotUtf8)
    })
}

/// What lies under the file, and what lies over it.
fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<ConfigProblem>,
) -> (Table, Table) {
    let (mut below, mut above) = (Table::default(), Table::default());
    // Backwards by name: a variable for a whole group then replaces those for its options, and is reported.
    let mut environment: Vec<(OsString, OsString)> = environment.into_iter().collect();
    environment.sort_by(|one, other| other.cmp(one));
    for (name, value) in environment {
        let Some(name) = name.to_str() else { continue };
        let (table, key) = match name.strip_prefix(VARIABLE_PREFIX) {
            Some(rest) => (&mut above, rest.to_ascii_lowercase().replace("__", ".")),
            None if name == DATA_DIR_VARIABLE => (&mut below, "data_dir".to_owned()),
            None => continue,
        };
        let source = Source::Variable(name.to_owned());
        if let Some(text) = utf8(&value, &source, problems) {
            table.put(&key.split('.').collect::<Vec<_>>(), Entry { source, value: Value::Raw(text) });
        }
    }
    (below, above)
}

fn flag_values(flags: &Flags, problems: &mut Vec<ConfigProblem>) -> Table {
    let mut table = Table::default();
    if let Some(path) = &flags.data_dir {
        let source = Source::Flag("--data-dir");
        if let Some(text) = utf8(path.as_os_str(), &source, problems) {
            table.put(&["data_dir"], Entry { source, value: Value::String(text) });
        }
    }
    if !flags.listen.is_empty() {
        let entry = |value| Entry { source: Source::Flag("--listen"), value };
        let urls = flags.listen.iter().map(|url| entry(Value::String(url.to_string()))).collect();
        table.put(&["listeners"], entry(Value::Array(urls)));
    }
    table
}

fn utf8(text: &OsStr, source: &Source, problems: &mut Vec<ConfigProblem>) -> Option<String> {
    if text.to_str().is_none() {
        problems.push(ConfigProblem { source: source.clone(), key: String::new(), kind: ProblemKind::NotUtf8 });
    }
    text.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
