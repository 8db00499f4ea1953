//! `securemq key`: another key for what is sealed, and another master key around it.

use super::administration::{existing_database, record};
use super::context::Context;
use super::database::{file_of, is_handed_over, master_key, new_key_of_environment};
use super::error::CliError;
use super::output::Format;
use super::passphrase::PassphraseSource;
use crate::config::KeySettings;
use crate::server::FolderLock;
use crate::store::{Database, KeyUse, MasterKey, NewKeyFile, Rotation, Salt};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde::Serialize;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Seal everything with a new key, or list the keys
#[derive(Debug, Args)]
pub struct KeyCommand {
    #[command(subcommand)]
    action: KeyAction,
}

#[derive(Debug, Subcommand)]
enum KeyAction {
    /// Make a new key and seal everything with it again
    #[command(after_help = "\
The broker may go on running; it seals with the new key at once, and what is there is sealed again beside it, a few rows
at a time. What is interrupted loses nothing: run it again. Batches of the event log keep their key until they are too old
to be kept, and a key that nothing is sealed with any more goes at the next start of the broker.

With --master the data keys stay and another master key is wrapped around them; for that the broker must be stopped, for a
moment. The old key file stays beside the new one, because backups that were made before open with it alone.

  securemq key rotate
  securemq key rotate --master")]
    Rotate {
        /// Put another master key, or passphrase, in the place of the present one
        #[arg(long)]
        master: bool,
        #[command(flatten)]
        source: PassphraseSource,
    },
    /// List the keys, and how much each of them opens
    List,
}

/// What `--json` says about a key.
#[derive(Serialize)]
struct ShownKey {
    key: u32,
    seals: bool,
    rows: u64,
    log_batches: u64,
}

/// How long a running broker is waited for, and how often it is asked about.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The broker may have sealed a few rows with the old key just before it took up the new one; a part that it was writing
/// then is found by the next look.
const LOOKS: u32 = 5;

impl KeyCommand {
    /// Does it.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        match self.action {
            KeyAction::Rotate { master: false, .. } => rotate(context).await,
            KeyAction::Rotate { master: true, source } => rotate_master(context, &source).await,
            KeyAction::List => list(context).await,
        }
    }
}

async fn rotate(context: &Context) -> Result<(), CliError> {
    let database = existing_database(context).await?;
    let (key, generation) = database.begin_rotation().await?;
    wait_for_broker(context, &database, key, generation).await?;
    let output = &context.output;
    let mut said = 0;
    let mut sum = Rotation::default();
    for _ in 0..LOOKS {
        let before = sum.rows;
        let part = database
            .seal_again(|rows| {
                if before + rows >= said + 100_000 {
                    said = before + rows;
                    output.note(format_args!("{said} rows are sealed again"));
                }
            })
            .await?;
        sum.rows += part.rows;
        sum.damaged = part.damaged;
        if part.rows == 0 {
            break;
        }
    }
    // A running broker lets go of old keys when it starts.
    let dropped = match FolderLock::take(context.data_dir()).await {
        Ok(_lock) => database.drop_unused_keys().await?,
        Err(_) => Vec::new(),
    };
    record(&database, "key rotate", format!("key {key}, {} rows", sum.rows)).await?;
    if output.format() == Format::Text {
        output.line(format_args!("key {key} seals from now on; {} rows were sealed again with it", sum.rows))?;
        for key in dropped {
            output.line(format_args!("key {key} is gone: nothing was sealed with it any more"))?;
        }
    }
    if sum.damaged > 0 {
        output.warning(format_args!(
            "{} rows do not open and keep their key; restart the broker to mend it",
            sum.damaged
        ));
    }
    list_keys(context, &database.key_uses().await?)?;
    Ok(database.close().await?)
}

/// Until the broker seals with the new key, nothing is sealed again: it would have to be done twice.
async fn wait_for_broker(context: &Context, database: &Database, key: u32, generation: u64) -> Result<(), CliError> {
    let begin = Instant::now();
    while database.generation_in_force().await? < generation && FolderLock::is_taken(context.data_dir()) {
        if begin.elapsed() > PATIENCE {
            return Err(CliError::failed(
                format_args!("the running broker has not taken up key {key} within {} s", PATIENCE.as_secs()),
                "look into its output, and run this again: what is sealed opens with the old key and the new one",
            ));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

async fn rotate_master(context: &Context, source: &PassphraseSource) -> Result<(), CliError> {
    let folder = context.data_dir();
    let lock = FolderLock::take(folder).await.map_err(|error| {
        CliError::failed(error, "stop the broker for this moment; it would not open what is sealed later")
    })?;
    let database = existing_database(context).await?;
    let old = master_key(context).await?;
    let output = &context.output;
    if is_handed_over() {
        let new = new_key_of_environment()?;
        database.rotate_master(&old, &new).await?;
        output.line("the master key is the new one; from now on hand that over, and keep a copy elsewhere")?;
    } else {
        let settings = &context.config.key;
        let (new, text) = match settings {
            KeySettings::PassphraseFile(_) => {
                let passphrase = source.new_passphrase()?;
                let text = Zeroizing::new(format!("{}\n", passphrase.expose_secret()));
                (MasterKey::from_passphrase(&passphrase, Salt::generate()?)?, text)
            }
            KeySettings::Made | KeySettings::File(_) => {
                let new = MasterKey::generate()?;
                let text = new.text();
                (new, text)
            }
        };
        let file = file_of(settings, folder);
        let staged = NewKeyFile::write(&file, text.as_bytes())?;
        // If this fails the file beside stays: the database may go by it all the same, and the next command finds out.
        database.rotate_master(&old, &new).await?;
        let kept = staged.put_in_force()?;
        output.line(format_args!("{} is new - keep a copy elsewhere", file.display()))?;
        output.line(format_args!(
            "{} is the old one: backups that were made with it open with it alone; remove it when you need none of them",
            kept.display()
        ))?;
    }
    drop(lock);
    record(&database, "key rotate", String::from("master key")).await?;
    Ok(database.close().await?)
}

async fn list(context: &Context) -> Result<(), CliError> {
    let database = existing_database(context).await?;
    list_keys(context, &database.key_uses().await?)?;
    Ok(database.close().await?)
}

fn list_keys(context: &Context, uses: &[KeyUse]) -> Result<(), CliError> {
    let latest = uses.last().map(|of_key| of_key.id);
    let output = &context.output;
    if output.format() == Format::Json {
        let keys: Vec<_> = uses
            .iter()
            .map(|of_key| ShownKey {
                key: of_key.id,
                seals: Some(of_key.id) == latest,
                rows: of_key.rows,
                log_batches: of_key.log_batches,
            })
            .collect();
        return output.json(&keys);
    }
    for of_key in uses {
        let seals = if Some(of_key.id) == latest { ", seals what is written" } else { "" };
        let KeyUse { id, rows, log_batches } = of_key;
        output.line(format_args!("key {id}: opens {rows} rows and {log_batches} batches of the log{seals}"))?;
    }
    Ok(())
}
