//! Who a client of the command line is: user name, password, and where the password comes from.

use super::error::CliError;
use super::input;
use super::output::Visible;
use crate::protocol::{Credentials, Text};
use crate::store::PrivateFile;
use bytes::Bytes;
use clap::{Args, ValueHint};
use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};

/// Who a client is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who")]
pub struct LoginArguments {
    /// User name; without a flag that says otherwise the password is asked for on the terminal
    #[arg(long, value_name = "NAME", value_parser = text)]
    pub user: Option<Text>,
    /// The first line of standard input is the password
    #[arg(long, requires = "user", conflicts_with = "password_file")]
    password_stdin: bool,
    /// The first line of this file, which only you may read (mode 0600), is the password
    #[arg(long, value_name = "FILE", requires = "user", value_hint = ValueHint::FilePath)]
    password_file: Option<PathBuf>,
    /// Certificate that shows who you are, as `securemq cert issue --user` makes it
    #[arg(long, value_name = "FILE", requires = "key", value_hint = ValueHint::FilePath)]
    pub cert: Option<PathBuf>,
    /// Private key of the certificate, which only you may read (mode 0600)
    #[arg(long, value_name = "FILE", requires = "cert", value_hint = ValueHint::FilePath)]
    pub key: Option<PathBuf>,
}

impl LoginArguments {
    /// User name and password. A certificate proves who it is, so that nobody is asked for a password beside it.
    pub fn credentials(&self) -> Result<Credentials, CliError> {
        let Some(user) = &self.user else { return Ok(Credentials::default()) };
        let password = match &self.password_file {
            Some(path) => Some(from_file(path)?),
            None if self.password_stdin => Some(from_stdin()?),
            None if self.cert.is_some() => None,
            None => Some(asked(user)?),
        };
        let password = password.map(|password| Bytes::copy_from_slice(password.expose_secret().as_bytes()));
        Ok(Credentials { user_name: Some(user.clone()), password })
    }
}

/// An MQTT string of the command line.
pub fn text(value: &str) -> Result<Text, String> {
    Text::try_from(value).map_err(|error| format!("it {error}"))
}

fn from_file(path: &Path) -> Result<SecretString, CliError> {
    let bytes = PrivateFile::read(path, LONGEST_FILE)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        CliError::failed(format_args!("{} is not UTF-8 text", path.display()), "write the password as plain text")
    })?;
    Ok(SecretString::from(text.lines().next().unwrap_or_default()))
}

fn from_stdin() -> Result<SecretString, CliError> {
    input::secret_line().map_err(|error| {
        CliError::failed(
            format_args!("the password cannot be read from standard input: {error}"),
            "write it as the first line: printf '%s\\n' \"$PASSWORD\" | securemq ...",
        )
    })
}

fn asked(user: &Text) -> Result<SecretString, CliError> {
    let prompt = format!("Password of {}", Visible(user.as_str()));
    let password = dialoguer::Password::new().with_prompt(prompt).allow_empty_password(true).interact();
    password.map(SecretString::from).map_err(|dialoguer::Error::IO(error)| {
        CliError::usage(
            format_args!("the password cannot be asked for: {error}"),
            "use --password-stdin or --password-file FILE",
        )
    })
}

/// In bytes.
const LONGEST_FILE: u64 = 64 * 1024;
