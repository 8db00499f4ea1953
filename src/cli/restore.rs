//! `securemq restore`: a backup in the place of the data, whole or not at all.

use super::administration::{existing_database, record};
use super::backup::{key_of, moment, show};
use super::context::Context;
use super::database::key_for_new;
use super::error::CliError;
use super::passphrase::PassphraseSource;
use crate::server::FolderLock;
use crate::store::{Backup, Existing, Protection, create_private_folder};
use clap::{Args, ValueHint};
use std::path::PathBuf;

/// Put a backup in the place of the data
#[derive(Debug, Args)]
#[command(after_help = "\
The broker must be stopped. Everything in the backup is checked first; what is then interrupted leaves the old data or
the new, never half. A backup with a passphrase of its own is sealed for the master key of this machine, which is made
if there is none.

  securemq restore /backup/monday.smqb --data-dir /var/lib/securemq")]
pub struct RestoreCommand {
    /// The file that `securemq backup` wrote
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    #[command(flatten)]
    source: PassphraseSource,
    /// Set the data aside that is there, under new names, and put the backup in its place
    #[arg(long)]
    force: bool,
}

impl RestoreCommand {
    /// Restores.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let folder = context.data_dir();
        let existing = if self.force { Existing::Replace } else { Existing::Refuse };
        let backup = Backup::open(&self.file).await?;
        if existing == Existing::Refuse {
            Backup::demand_empty(folder)?;
        }
        create_private_folder(folder)?;
        let lock = FolderLock::take(folder).await?;
        let key = key_of(context, &backup, &self.source, &self.file)?;
        backup.demand_key(&key).await?;
        let (new_key, made) = match backup.protection() {
            Protection::MasterKey => (key.clone(), None),
            Protection::Passphrase => key_for_new(&context.config.key, folder)?,
        };
        let (report, aside) = backup.restore(&key, &new_key, folder, existing).await?;
        let output = &context.output;
        if let Some(path) = made {
            output.line(format_args!("made the master key {} - keep a copy elsewhere", path.display()))?;
        }
        for path in aside {
            output.line(format_args!("the old data is {}", path.display()))?;
        }
        // Whoever records a change waits for the broker that has the folder.
        drop(lock);
        let database = existing_database(context).await?;
        record(&database, "restore", format!("backup of {}", moment(&report))).await?;
        database.close().await?;
        show(context, &self.file, &report, &[])?;
        output.line(format_args!("restored to {}; start it with: securemq serve", folder.display()))
    }
}
