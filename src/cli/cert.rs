//! `securemq cert`: the built-in certificate authority, the broker's certificate and those of its clients.

use super::administration::{existing_database, record};
use super::context::Context;
use super::error::CliError;
use super::output::Format;
use crate::audit::time;
use crate::auth::{Authority, CertificateSummary, Issued, Made, Prepared, Purpose, TlsFolder, prepare};
use crate::broker::UserName;
use crate::store::{Database, UnixMillis};
use clap::{ArgGroup, Args, Subcommand, ValueHint};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Make and list certificates: the authority's, the broker's and those of clients
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct CertCommand {
    #[command(subcommand)]
    action: CertAction,
}

#[derive(Debug, Subcommand)]
enum CertAction {
    /// Make the authority and the broker's certificate, where they are missing
    ///
    /// `serve` does the same when it starts. Nothing that exists is overwritten; a certificate of the broker that ends
    /// within 30 days is renewed.
    Init,
    /// Issue a certificate for the broker or for a user
    #[command(after_help = "\
A key that exists is kept and gets a new certificate. To replace a key, remove its file first.

  securemq cert issue --server broker.example.com 192.0.2.7
  securemq cert issue --user lamp-7 --days 90 --out ./lamp-7")]
    #[command(group(ArgGroup::new("whom").required(true).args(["server", "user"])))]
    Issue(IssueFlags),
    /// List all certificates in the data folder, with the days they have left
    List,
}

#[derive(Debug, Args)]
struct IssueFlags {
    /// For the broker: names and addresses under which clients reach it, besides those the machine has
    #[arg(long, value_name = "NAME", num_args = 1..)]
    server: Vec<String>,
    /// For a user, who can then log in without a password where a listener takes certificates
    #[arg(long, value_name = "NAME", value_parser = UserName::new)]
    user: Option<UserName>,
    /// Folder for the user's certificate and key [default: tls/clients in the data folder]
    #[arg(long, value_name = "DIR", conflicts_with = "server", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// How long the user's certificate is valid, 1 to 3652
    #[arg(long, value_name = "N", conflicts_with = "server", default_value_t = USER_DAYS)]
    days: u32,
}

/// A year: devices in a school change as often.
const USER_DAYS: u32 = 365;

impl CertCommand {
    /// Does what was asked for.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let folder = TlsFolder::of(context.data_dir());
        match self.action {
            CertAction::Init => init(context, &folder).await,
            CertAction::Issue(IssueFlags { user: Some(user), out, days, server: _ }) => {
                issue_for_user(context, &folder, &user, days, out).await
            }
            CertAction::Issue(IssueFlags { user: None, server, out: _, days: _ }) => {
                issue_for_server(context, &folder, &server).await
            }
            CertAction::List => list(context, &folder),
        }
    }
}

/// What `init` found and made, for programs.
#[derive(Serialize)]
struct InitResult<'a> {
    ca: &'static str,
    ca_certificate: &'a Path,
    ca_fingerprint: String,
    server: &'static str,
    server_certificate: &'a Path,
    server_days_left: i64,
}

async fn init(context: &Context, folder: &TlsFolder) -> Result<(), CliError> {
    let prepared = prepare(folder, SystemTime::now())?;
    let Prepared { ca, ca_fingerprint, server, server_days_left } = prepared;
    if ca != Made::Found || server != Made::Found {
        record_if_possible(context, "cert init", in_words(ca, server)).await?;
    }
    let (ca_path, server_path) = (folder.ca_certificate(), folder.server_certificate());
    if context.output.format() == Format::Json {
        return context.output.json(&InitResult {
            ca: state(ca),
            ca_certificate: &ca_path,
            ca_fingerprint: ca_fingerprint.to_string(),
            server: state(server),
            server_certificate: &server_path,
            server_days_left,
        });
    }
    context.output.line(format_args!("authority {}: {}", state(ca), ca_path.display()))?;
    context.output.line(format_args!("  SHA-256 {ca_fingerprint}"))?;
    context.output.line(format_args!("server certificate {}: {}", state(server), server_path.display()))?;
    context.output.line(format_args!("  {server_days_left} days left"))
}

fn in_words(ca: Made, server: Made) -> String {
    format!("authority {}, server certificate {}", state(ca), state(server))
}

fn state(made: Made) -> &'static str {
    match made {
        Made::Found => "found",
        Made::Created => "created",
        Made::Renewed => "renewed",
    }
}

async fn issue_for_user(
    context: &Context,
    folder: &TlsFolder,
    user: &UserName,
    days: u32,
    out: Option<PathBuf>,
) -> Result<(), CliError> {
    let database = existing_database(context).await?;
    let account = database.find_user(user).await?.ok_or_else(|| {
        CliError::not_found(
            format_args!("there is no user {user}, and a certificate for nobody lets nobody in"),
            format_args!("add it first: securemq user add {user} --role ROLE --no-password"),
        )
    })?;
    let into = out.unwrap_or_else(|| folder.clients());
    let issued = Authority::open(folder)?.issue_client(user, days, &into, SystemTime::now())?;
    record(&database, "cert issue", format!("user {user}, SHA-256 {}", issued.fingerprint)).await?;
    if !account.enabled {
        context.output.warning(format_args!("the user {user} is disabled; securemq user enable {user}"));
    }
    if account.certificate.is_some_and(|bound| bound.0 != *issued.fingerprint.as_bytes()) {
        context.output.warning(format_args!("the user {user} is bound to another certificate and cannot use this one"));
    }
    tell(context, &issued, format_args!("certificate of user {user}"))
}

async fn issue_for_server(context: &Context, folder: &TlsFolder, names: &[String]) -> Result<(), CliError> {
    let issued = Authority::open(folder)?.issue_server(names, SystemTime::now())?;
    record_if_possible(context, "cert issue", format!("server {}, SHA-256 {}", names.join(" "), issued.fingerprint))
        .await?;
    tell(context, &issued, format_args!("server certificate"))?;
    context.output.note("a running broker serves it after SIGHUP");
    Ok(())
}

/// What was issued, for programs.
#[derive(Serialize)]
struct IssuedResult<'a> {
    certificate: &'a Path,
    key: &'a Path,
    key_is_new: bool,
    fingerprint: String,
    days_left: i64,
}

fn tell(context: &Context, issued: &Issued, what: std::fmt::Arguments<'_>) -> Result<(), CliError> {
    let Issued { certificate, key, key_made, fingerprint, days_left } = issued;
    let key_is_new = *key_made != Made::Found;
    if context.output.format() == Format::Json {
        let fingerprint = fingerprint.to_string();
        return context.output.json(&IssuedResult { certificate, key, key_is_new, fingerprint, days_left: *days_left });
    }
    context.output.line(format_args!("{what}: {}, {days_left} days left", certificate.display()))?;
    context.output.line(format_args!("  SHA-256 {fingerprint}"))?;
    let kept = if key_is_new { "" } else { " (kept)" };
    context.output.line(format_args!("key: {}{kept}", key.display()))
}

/// A certificate of `cert list --json`.
#[derive(Serialize)]
struct Row<'a> {
    purpose: &'static str,
    name: &'a str,
    alternatives: &'a [String],
    days_left: i64,
    expires: String,
    fingerprint: String,
    file: &'a Path,
}

impl<'a> Row<'a> {
    fn new(summary: &'a CertificateSummary) -> Self {
        let millis = u64::try_from(summary.not_after).unwrap_or_default().saturating_mul(1000);
        Self {
            purpose: match summary.purpose {
                Purpose::Authority => "authority",
                Purpose::Server => "server",
                Purpose::Client => "client",
            },
            name: &summary.name,
            alternatives: &summary.alternatives,
            days_left: summary.days_left,
            expires: time(UnixMillis::from_millis(millis)),
            fingerprint: summary.fingerprint.to_string(),
            file: &summary.path,
        }
    }
}

fn list(context: &Context, folder: &TlsFolder) -> Result<(), CliError> {
    let certificates = CertificateSummary::list(folder, SystemTime::now())?;
    if certificates.is_empty() {
        context.output.note("there are none yet; `securemq cert init` makes the first");
    }
    let rows: Vec<Row<'_>> = certificates.iter().map(Row::new).collect();
    context.output.listing(&["for", "name", "days left", "file", "SHA-256"], &rows, |row| {
        let days_left = if row.days_left < 0 { "ended".to_owned() } else { row.days_left.to_string() };
        let file = row.file.display().to_string();
        vec![row.purpose.to_owned(), row.name.to_owned(), days_left, file, row.fingerprint.clone()]
    })
}

/// Certificates of the broker can be made before there is a database to record it in.
async fn record_if_possible(context: &Context, action: &str, target: String) -> Result<(), CliError> {
    if !Database::exists_in(context.data_dir()) {
        return Ok(());
    }
    record(&existing_database(context).await?, action, target).await
}
