//! What every command is given.

use super::error::CliError;
use super::output::{Format, Output};
use crate::config::{self, Config, ConfigError, Flags, ListenUrl, Setting};
use clap::{Args, ValueHint};
use std::path::{Path, PathBuf};

/// The flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct GlobalFlags {
    /// Configuration file; config.toml.example in the source has every option
    #[arg(long, global = true, value_name = "FILE", env = "SECUREMQ_CONFIG", hide_env_values = true, value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Folder of the database, the keys and the certificates [default: $SECUREMQ_DATA_DIR or securemq-data]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    data_dir: Option<PathBuf>,
    /// Print JSON on standard output and everything else on standard error
    #[arg(long, global = true)]
    json: bool,
}

impl GlobalFlags {
    /// What standard output is for.
    pub fn format(&self) -> Format {
        match self.json {
            true => Format::Json,
            false => Format::Text,
        }
    }
}

/// What every command is given: what the operator wants, and where to say things.
pub struct Context {
    /// The checked configuration: defaults, file, environment and flags together.
    pub config: Config,
    /// Every option as it holds, and where it comes from.
    pub settings: Vec<Setting>,
    /// Where commands say what they have to say.
    pub output: Output,
}

impl Context {
    /// Reads the configuration; `listen` replaces the configured listeners unless it is empty.
    pub fn load(flags: GlobalFlags, listen: Vec<ListenUrl>) -> Result<Self, CliError> {
        let output = Output::new(flags.format());
        let flags = Flags { config: flags.config, data_dir: flags.data_dir, listen };
        let loaded = config::load(&flags, std::env::vars_os())?;
        Ok(Self { config: loaded.config, settings: loaded.settings, output })
    }

    /// The folder that holds the database, the keys and the certificates.
    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::failed(&error, "correct this; `securemq config check` says whether everything is right")
            .with_details(&error.problems)
    }
}
