//! `securemq config`: is the configuration right, and what holds?

use super::context::Context;
use super::error::CliError;
use crate::auth::TlsFolder;
use crate::config::{ListenUrl, Setting};
use crate::server::certificate_problems;
use clap::{Args, Subcommand};
use serde::Serialize;

/// Check the configuration or show what holds
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Find everything that is wrong with file, environment and flags together
    ///
    /// Prints every problem with its line, its option and what would be right, or "ok". Certificate, key and CA files that it
    /// names are read, too, and compared. Nothing is started or changed.
    Check(Listen),
    /// Print every option as it holds, and where it comes from
    Show(Listen),
}

#[derive(Debug, Args)]
struct Listen {
    /// Listen here, as with `serve`; any number, they replace the configured listeners
    #[arg(long, value_name = "URL")]
    listen: Vec<ListenUrl>,
}

impl ConfigCommand {
    /// The listeners named on the command line.
    pub fn listen(&self) -> &[ListenUrl] {
        match &self.action {
            Action::Check(flags) | Action::Show(flags) => &flags.listen,
        }
    }

    /// Does what the command says. A wrong configuration does not come this far: reading it has failed by now.
    pub fn run(self, context: &Context) -> Result<(), CliError> {
        match self.action {
            Action::Check(_) => check(context),
            Action::Show(_) => show(context),
        }
    }
}

fn check(context: &Context) -> Result<(), CliError> {
    for warning in context.config.warnings() {
        context.output.warning(warning);
    }
    let problems = certificate_problems(&context.config, &TlsFolder::of(context.data_dir()));
    if !problems.is_empty() {
        return Err(CliError::failed(
            "the configuration names files that cannot be used",
            "name a certificate in PEM with those between it and its CA, and the key that it was made for, readable for the \
             user that the broker runs as; without any the broker makes its own in tls/",
        )
        .with_details(problems));
    }
    context.output.line("ok")
}

/// An option of `config show --json`.
#[derive(Serialize)]
struct Row<'a> {
    key: &'a str,
    value: &'a toml::Value,
    source: String,
}

impl<'a> Row<'a> {
    fn new(setting: &'a Setting) -> Self {
        Self { key: &setting.key, value: &setting.value, source: setting.source.to_string() }
    }
}

fn show(context: &Context) -> Result<(), CliError> {
    let rows: Vec<Row<'_>> = context.settings.iter().map(Row::new).collect();
    context.output.listing(&["option", "value", "source"], &rows, |row| {
        vec![row.key.to_owned(), row.value.to_string(), row.source.clone()]
    })
}
