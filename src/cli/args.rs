//! The tree of commands.

use super::acl::AclCommand;
use super::apikey::ApiKeyCommand;
use super::backup::BackupCommand;
use super::bench::BenchCommand;
use super::cert::CertCommand;
use super::class::ClassCommand;
use super::config::ConfigCommand;
use super::context::GlobalFlags;
use super::key::KeyCommand;
use super::logs::LogsCommand;
use super::publish::PublishCommand;
use super::restore::RestoreCommand;
use super::serve::ServeCommand;
use super::subscribe::SubscribeCommand;
use super::transfer::{ExportCommand, ImportCommand};
use super::user::UserCommand;
use super::web::WebCommand;
use crate::config::ListenUrl;
use clap::{Parser, Subcommand};

/// The secure MQTT broker: 3.1, 3.1.1 and 5.0 over TLS, every acknowledged message stored, everything on disk sealed
#[derive(Debug, Parser)]
#[command(name = "securemq", version, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied.")]
pub struct Arguments {
    /// The flags of every command.
    #[command(flatten)]
    pub flags: GlobalFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do: each command is one file with its arguments, its help and its `run`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the broker
    Serve(ServeCommand),
    /// Open the administration in a browser
    Web(WebCommand),
    /// Add, change, list and remove users
    User(UserCommand),
    /// Add, change, list and remove classes: teachers, students and their topics
    Class(ClassCommand),
    /// Add, list, remove and try out the rules of access
    Acl(AclCommand),
    /// Add, list and remove keys for programs that use the API
    #[command(name = "apikey")]
    ApiKey(ApiKeyCommand),
    /// Show what happened: logins, subscriptions, messages, administration
    Logs(LogsCommand),
    /// Make and list certificates: the authority's, the broker's and those of clients
    Cert(CertCommand),
    /// Seal everything with a new key, or list the keys
    Key(KeyCommand),
    /// Write everything to one sealed file, or check such a file
    Backup(BackupCommand),
    /// Put a backup in the place of the data
    Restore(RestoreCommand),
    /// Write users or rules as lines of JSON
    Export(ExportCommand),
    /// Read users or rules from lines of JSON, all of them or none
    Import(ImportCommand),
    /// Publish messages
    #[command(name = "pub", alias = "publish")]
    Publish(PublishCommand),
    /// Print messages as they come
    #[command(name = "sub", alias = "subscribe")]
    Subscribe(SubscribeCommand),
    /// Measure a broker
    Bench(Box<BenchCommand>),
    /// Check the configuration or show what holds
    Config(ConfigCommand),
}

impl Command {
    /// The listeners named on the command line, which replace the configured ones.
    pub fn listen(&self) -> &[ListenUrl] {
        match self {
            Self::Serve(command) => command.listen(),
            Self::Web(_)
            | Self::User(_)
            | Self::Class(_)
            | Self::ApiKey(_)
            | Self::Acl(_)
            | Self::Logs(_)
            | Self::Key(_)
            | Self::Cert(_) => &[],
            Self::Config(command) => command.listen(),
            Self::Export(_) | Self::Import(_) => &[],
            Self::Publish(_) | Self::Subscribe(_) | Self::Backup(_) | Self::Restore(_) | Self::Bench(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_tree_of_commands_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_secret_can_be_given_as_an_argument() {
        let mut commands = vec![Arguments::command()];
        while let Some(command) = commands.pop() {
            for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
                let name = argument.get_id().as_str();
                let tells = ["password", "passphrase", "secret"].iter().any(|word| name.contains(word));
                assert!(!tells || name.ends_with("file"), "`{} --{name}` would show in `ps`", command.get_name());
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
