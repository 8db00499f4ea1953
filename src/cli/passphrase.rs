//! Where a passphrase comes from: a file, standard input, or somebody who types it. Never an argument.

use super::error::CliError;
use super::input::secret_line;
use crate::store::PrivateFile;
use clap::{Args, ValueHint};
use secrecy::{ExposeSecret, SecretString};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Where a passphrase comes from.
#[derive(Debug, Args)]
pub struct PassphraseSource {
    /// Read the passphrase from this file of mode 0600
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase from the first line of standard input
    #[arg(long, conflicts_with = "passphrase_file")]
    passphrase_stdin: bool,
}

impl PassphraseSource {
    /// Whether one of the options was given.
    pub fn is_given(&self) -> bool {
        self.passphrase_file.is_some() || self.passphrase_stdin
    }

    /// A passphrase that is new: typed twice, and long enough that it is not found by trying.
    pub fn new_passphrase(&self) -> Result<SecretString, CliError> {
        let prompt = dialoguer::Password::new()
            .with_prompt("Passphrase")
            .with_confirmation("The same again", "That was not the same.");
        let passphrase = self.read(prompt)?;
        if passphrase.expose_secret().chars().count() < SHORTEST {
            return Err(CliError::usage(
                format_args!("the passphrase is shorter than {SHORTEST} characters"),
                "take a longer one, as four words that have nothing to do with each other",
            ));
        }
        Ok(passphrase)
    }

    /// One that was set before.
    pub fn passphrase(&self, of: &Path) -> Result<SecretString, CliError> {
        self.read(dialoguer::Password::new().with_prompt(format!("Passphrase of {}", of.display())))
    }

    fn read(&self, prompt: dialoguer::Password<'_>) -> Result<SecretString, CliError> {
        if let Some(path) = &self.passphrase_file {
            return read_secret(path);
        }
        let failed = |error: &dyn std::fmt::Display| {
            CliError::failed(
                format_args!("no passphrase was given: {error}"),
                "try again, or say where it comes from with --passphrase-file or --passphrase-stdin",
            )
        };
        if self.passphrase_stdin {
            return secret_line().map_err(|error| failed(&error));
        }
        if !std::io::stdin().is_terminal() {
            return Err(failed(&"nobody can be asked"));
        }
        prompt.interact().map(SecretString::from).map_err(|error| failed(&error))
    }
}

/// The secret in a file of mode 0600, without the line break at its end.
pub fn read_secret(path: &Path) -> Result<SecretString, CliError> {
    secret_text(path, &PrivateFile::read(path, SECRET_LIMIT)?)
}

/// The secret that these bytes of a file are.
pub fn secret_text(path: &Path, bytes: &[u8]) -> Result<SecretString, CliError> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        CliError::failed(format_args!("{} is not UTF-8 text", path.display()), "write the secret as plain text")
    })?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

/// The longest passphrase or key that is read, in bytes.
pub const SECRET_LIMIT: u64 = 4096;
/// A passphrase guards a file that may be tried for years, each try costing a tenth of a second.
const SHORTEST: usize = 12;
