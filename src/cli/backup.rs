//! `securemq backup`: everything in one sealed file, and whether such a file is good.

use super::administration::{existing_database, record};
use super::context::Context;
use super::database::{existing_key, master_key};
use super::error::CliError;
use super::output::Format;
use super::passphrase::PassphraseSource;
use crate::audit::time;
use crate::auth::TlsFolder;
use crate::store::{Backup, BackupFile, BackupReport, Existing, MasterKey, Protection, Salt, StoreError};
use clap::{Args, ValueHint};
use serde::Serialize;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Write everything to one sealed file, or check such a file
#[derive(Debug, Args)]
#[command(after_help = "\
The broker may go on running: the file holds everything as it is at one moment, the certificates in tls/ included.
The master key that opens the database opens the backup, too; it is not in the file, so keep a copy elsewhere. With
--passphrase the backup can be restored on another machine without it.

  securemq backup /backup/monday.smqb
  securemq backup /backup/move.smqb --passphrase
  securemq backup --verify /backup/monday.smqb")]
pub struct BackupCommand {
    /// The file; one that exists is not replaced
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Only check the file: its structure, every seal, the chain of the event log
    #[arg(long)]
    verify: bool,
    /// Seal it with a passphrase, which is asked for, instead of the master key
    #[arg(long)]
    passphrase: bool,
    #[command(flatten)]
    source: PassphraseSource,
    /// Replace a file that exists
    #[arg(long, conflicts_with = "verify")]
    force: bool,
}

/// What `--json` says about a backup.
#[derive(Serialize)]
struct Shown<'a> {
    file: String,
    created: String,
    version: &'a str,
    schema: i64,
    opened_by: &'static str,
    bytes: u64,
    files: u64,
    rows: std::collections::BTreeMap<&'static str, u64>,
    problems: &'a [String],
}

impl BackupCommand {
    /// Writes the file, or checks it.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        if self.verify { self.verify(context).await } else { self.write(context).await }
    }

    async fn write(self, context: &Context) -> Result<(), CliError> {
        let existing = if self.force { Existing::Replace } else { Existing::Refuse };
        // Before a passphrase is typed in vain.
        if self.file.exists() && existing == Existing::Refuse {
            return Err(CliError::failed(
                format_args!("{} exists already and is left as it is", self.file.display()),
                "choose another name, or replace it with --force",
            ));
        }
        let database = existing_database(context).await?;
        let passphrase = match self.passphrase || self.source.is_given() {
            true => Some(MasterKey::from_passphrase(&self.source.new_passphrase()?, Salt::generate()?)?),
            false => None,
        };
        let files = files_of(&TlsFolder::of(context.data_dir()))?;
        let key = master_key(context).await?;
        let report = Backup::write(&database, &files, &key, passphrase.as_ref(), &self.file, existing).await?;
        record(&database, "backup", self.file.display().to_string()).await?;
        database.close().await?;
        show(context, &self.file, &report, &[])?;
        context.output.line(match report.protection {
            Protection::MasterKey => "it opens with the master key, which is not in it: keep a copy of that elsewhere",
            Protection::Passphrase => "it opens with the passphrase, on any machine",
        })
    }

    async fn verify(self, context: &Context) -> Result<(), CliError> {
        let backup = Backup::open(&self.file).await?;
        let key = key_of(context, &backup, &self.source, &self.file)?;
        let check = backup.check(&key).await?;
        show(context, &self.file, &check.report, &check.problems)?;
        if check.problems.is_empty() {
            return context.output.line("everything in it opens, and nothing is missing");
        }
        Err(CliError::failed("the backup is damaged or was altered", "restore another backup")
            .with_details(&check.problems))
    }
}

/// The key that opens a backup.
pub fn key_of(
    context: &Context,
    backup: &Backup,
    source: &PassphraseSource,
    file: &Path,
) -> Result<MasterKey, CliError> {
    match (backup.protection(), backup.salt()) {
        (Protection::Passphrase, Some(salt)) => Ok(MasterKey::from_passphrase(&source.passphrase(file)?, salt)?),
        (Protection::Passphrase, None) => Err(StoreError::BackupDamaged { path: file.to_owned() }.into()),
        (Protection::MasterKey, salt) => existing_key(&context.config.key, context.data_dir(), salt),
    }
}

/// What is in a backup, in words or as JSON.
pub fn show(context: &Context, file: &Path, report: &BackupReport, problems: &[String]) -> Result<(), CliError> {
    let bytes = fs::metadata(file).map(|about| about.len()).unwrap_or_default();
    let opened_by = match report.protection {
        Protection::MasterKey => "master key",
        Protection::Passphrase => "passphrase",
    };
    let output = &context.output;
    if output.format() == Format::Json {
        return output.json(&Shown {
            file: file.display().to_string(),
            created: time(report.created),
            version: &report.version,
            schema: report.schema,
            opened_by,
            bytes,
            files: report.files,
            rows: report.tables.iter().map(|count| (count.table, count.rows)).collect(),
            problems,
        });
    }
    let rows: Vec<_> = report.tables.iter().map(|count| format!("{} {}", count.table, count.rows)).collect();
    output.line(format_args!("{}: {bytes} bytes, written {}", file.display(), time(report.created)))?;
    output.line(format_args!("rows: {}, files {}", rows.join(", "), report.files))
}

/// Everything in the folder of the certificates.
fn files_of(tls: &TlsFolder) -> Result<Vec<BackupFile>, CliError> {
    let mut files = Vec::new();
    for (folder, prefix) in [(tls.path().to_owned(), "tls"), (tls.clients(), "tls/clients")] {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.is_file());
        paths.sort();
        for path in paths {
            if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                files.push(file_at(&path, format!("{prefix}/{name}"))?);
            }
        }
    }
    if files.len() > MOST_FILES {
        return Err(CliError::failed(
            format_args!("{} holds more than {MOST_FILES} files", tls.path().display()),
            "move certificates that nobody uses any more elsewhere",
        ));
    }
    Ok(files)
}

fn file_at(path: &Path, name: String) -> Result<BackupFile, CliError> {
    let mut contents = Zeroizing::new(Vec::new());
    let read = fs::File::open(path).and_then(|file| {
        let mode = file.metadata()?.mode();
        file.take(LONGEST_FILE).read_to_end(&mut contents)?;
        Ok(mode)
    });
    match read {
        Ok(_) if u64::try_from(contents.len()) == Ok(LONGEST_FILE) => Err(CliError::failed(
            format_args!("{} is no certificate: it is longer than {LONGEST_FILE} bytes", path.display()),
            "move it elsewhere",
        )),
        Ok(mode) => Ok(BackupFile { name, mode, contents }),
        Err(error) => Err(CliError::failed(
            format_args!("cannot read {}: {error}", path.display()),
            "run it as the user that the broker runs as",
        )),
    }
}

/// The moment of a backup as it is shown.
pub fn moment(report: &BackupReport) -> String {
    time(report.created)
}

/// A school has hundreds of clients with certificates, two files each.
const MOST_FILES: usize = 20_000;
/// Certificates and keys have some thousand bytes.
const LONGEST_FILE: u64 = 1024 * 1024;
