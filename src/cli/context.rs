//! What every command is given.

use super::output::Output;
use crate::config::Config;
use std::path::Path;

/// What every command is given: what the operator wants, and where to say things.
pub struct Context {
    /// The checked configuration: defaults, file, environment and flags together.
    pub config: Config,
    /// Where commands say what they have to say.
    pub output: Output,
}

impl Context {
    /// The folder that holds the database, the keys and the certificates.
    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }
}
