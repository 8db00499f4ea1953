//! `securemq export` and `securemq import`: accounts, rules and retained messages as lines of JSON.

use super::administration::{existing_database, record};
use super::context::Context;
use super::error::CliError;
use super::input::whole;
use super::output::Format;
use super::retained_line::RetainedLine;
use crate::auth::PasswordCost;
use crate::broker::{RoleName, Rule, RuleEffect, Subject, TopicPattern, UserName};
use crate::store::{
    Attempt, CertificateFingerprint, Database, Imported, NewRule, OnExisting, PrivateFile, RetainedRecord, StoredUser,
    UnixMillis,
};
use clap::{Args, ValueEnum, ValueHint};
use data_encoding::HEXLOWER_PERMISSIVE;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// What is exported or imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Accounts with their password hashes
    Users,
    /// Rules of access
    Rules,
    /// Retained messages
    Retained,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Rules => "rules",
            Self::Retained => "retained",
        }
    }
}

/// Write users, rules or retained messages as lines of JSON
#[derive(Debug, Args)]
#[command(after_help = "\
Users are written with the hashes of their passwords: keep the lines as secret as the passwords. Retained messages are
written as far as they are stored, with the seconds that they have left and who published them; a payload that is no text
is written in base64.

  securemq export users users.jsonl
  securemq export retained retained.jsonl
  securemq export rules | jq .topic")]
pub struct ExportCommand {
    /// What to write
    kind: Kind,
    /// A new file, of mode 0600, instead of standard output
    #[arg(value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
}

/// Read users, rules or retained messages from lines of JSON, all of them or none
#[derive(Debug, Args)]
#[command(after_help = "\
The lines are as `securemq export` writes them. Every line is tried; if one is wrong, nothing is imported. Clients get an
imported retained message when they subscribe; those that are subscribed get none of it. Retained messages are written a
thousand at a time: if that is interrupted, run it again with --replace.

  securemq import users users.jsonl --dry-run
  securemq import rules rules.jsonl --skip-existing
  securemq import retained retained.jsonl --replace")]
pub struct ImportCommand {
    /// What to read
    kind: Kind,
    /// The file; - is standard input
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Say what would come of it and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave those as they are that are there already
    #[arg(long)]
    skip_existing: bool,
    /// Put the imported ones in the place of those that are there already
    #[arg(long, conflicts_with = "skip_existing")]
    replace: bool,
}

/// An account on a line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserLine {
    name: String,
    role: String,
    #[serde(default = "yes")]
    enabled: bool,
    /// The hash as a PHC string.
    #[serde(default)]
    password: Option<String>,
    /// The SHA-256 of the certificate it must use, in hexadecimal.
    #[serde(default)]
    certificate: Option<String>,
    /// In milliseconds of Unix time.
    #[serde(default)]
    created: Option<u64>,
    #[serde(default)]
    changed: Option<u64>,
}

/// A rule on a line, without its number: an import gives it another.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    topic: String,
    publish: bool,
    subscribe: bool,
    effect: EffectLine,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EffectLine {
    Allow,
    Deny,
}

fn yes() -> bool {
    true
}

impl ExportCommand {
    /// Writes the lines.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let database = existing_database(context).await?;
        let mut lines = Zeroizing::new(String::new());
        let mut add = |line: serde_json::Result<String>| -> Result<(), CliError> {
            lines.push_str(
                &line.map_err(|error| CliError::failed(error, "this is a fault of securemq; please report it"))?,
            );
            lines.push('\n');
            Ok(())
        };
        match self.kind {
            Kind::Users => {
                let users = database.directory().await?.users;
                users.iter().try_for_each(|user| add(serde_json::to_string(&UserLine::of(user))))?;
            }
            Kind::Rules => {
                let rules = database.directory().await?.rules;
                rules.iter().try_for_each(|rule| add(serde_json::to_string(&RuleLine::of(rule))))?;
            }
            Kind::Retained => {
                let (mut records, now) = (all_retained(context, &database).await?, UnixMillis::now());
                records.sort_by(|one, other| one.message.topic.cmp(&other.message.topic));
                let mut lines = records.iter().filter_map(|record| RetainedLine::of(record, now));
                lines.try_for_each(|line| add(serde_json::to_string(&line)))?;
            }
        }
        let count = lines.lines().count();
        let kind = self.kind.name();
        record(&database, "export", format!("{count} {kind}")).await?;
        let Some(path) = self.file else { return context.output.text(&lines) };
        PrivateFile::create(&path, lines.as_bytes())?;
        context.output.line(format_args!("{count} {kind} in {}", path.display()))
    }
}

impl ImportCommand {
    /// Reads the lines and puts what they say into the database.
    pub async fn run(self, context: &Context) -> Result<(), CliError> {
        let database = existing_database(context).await?;
        let text = self.text()?;
        let on_existing = match (self.skip_existing, self.replace) {
            (true, _) => OnExisting::Skip,
            (false, true) => OnExisting::Replace,
            (false, false) => OnExisting::Refuse,
        };
        let attempt = if self.dry_run { Attempt::Preview } else { Attempt::Import };
        let imported = match self.kind {
            Kind::Users => {
                let now = UnixMillis::now();
                let users = parse(&text, |line: UserLine| line.user(now))?;
                database.import_users(&users, on_existing, attempt).await?
            }
            Kind::Rules => {
                let rules = parse(&text, RuleLine::rule)?;
                database.import_rules(rules, on_existing, attempt).await?
            }
            Kind::Retained => {
                let now = UnixMillis::now();
                let records = parse(&text, |line: RetainedLine| line.record(now))?;
                demand_room(context, &database, &records).await?;
                database.import_retained(records, on_existing, attempt).await?
            }
        };
        if !imported.problems.is_empty() {
            let problems: Vec<_> =
                imported.problems.iter().map(|(line, error)| format!("line {line}: {error}")).collect();
            return Err(refusal(&problems));
        }
        if attempt == Attempt::Import && imported.added + imported.replaced > 0 {
            let count = imported.added + imported.replaced;
            record(&database, "import", format!("{count} {}", self.kind.name())).await?;
        }
        self.say(context, &imported)
    }

    fn text(&self) -> Result<Zeroizing<String>, CliError> {
        let read = match self.file.to_str() {
            Some("-") => whole(std::io::stdin().lock(), MOST_BYTES),
            _ => File::open(&self.file).and_then(|file| whole(file, MOST_BYTES)),
        };
        let path = self.file.display();
        let bytes = read.map_err(|error| {
            CliError::failed(format_args!("cannot read {path}: {error}"), "name a file that `securemq export` wrote")
        })?;
        let text = String::from_utf8(bytes.to_vec());
        text.map(Zeroizing::new).map_err(|_| {
            CliError::failed(format_args!("{path} is not UTF-8 text"), "name a file that `securemq export` wrote")
        })
    }

    fn say(&self, context: &Context, imported: &Imported) -> Result<(), CliError> {
        let Imported { added, replaced, skipped, .. } = imported;
        if context.output.format() == Format::Json {
            let dry_run = self.dry_run;
            return context.output.json(&json!({
                "added": added, "replaced": replaced, "skipped": skipped, "dry_run": dry_run,
            }));
        }
        let would = if self.dry_run { "; nothing was changed, this was a dry run" } else { "" };
        let kind = self.kind.name();
        context
            .output
            .line(format_args!("{kind}: {added} added, {replaced} replaced, {skipped} left as they are{would}"))
    }
}

/// What is retained; what cannot be read is told.
async fn all_retained(context: &Context, database: &Database) -> Result<Vec<RetainedRecord>, CliError> {
    let loaded = database.load_retained().await?;
    for damaged in &loaded.damaged {
        context.output.warning(format_args!("a retained message is left out: {damaged}"));
    }
    Ok(loaded.records)
}

/// A broker has all retained messages in memory, so it must not get more than it was configured to hold.
async fn demand_room(
    context: &Context,
    database: &Database,
    records: &[(usize, RetainedRecord)],
) -> Result<(), CliError> {
    let there = all_retained(context, database).await?;
    let imported = records.iter().map(|(_, record)| record);
    let sizes: BTreeMap<_, _> =
        there.iter().chain(imported).map(|record| (&record.message.topic, record.message.size())).collect();
    let limits = &context.config.limits;
    let bytes = sizes.values().fold(0u64, |sum, size| sum.saturating_add(u64::try_from(*size).unwrap_or(u64::MAX)));
    if sizes.len() <= limits.max_retained_messages && bytes <= limits.max_retained_bytes {
        return Ok(());
    }
    Err(CliError::failed(
        format_args!("{} retained messages of {bytes} bytes would be more than the broker may hold", sizes.len()),
        "raise max_retained_messages and max_retained_bytes in its configuration, or import fewer",
    ))
}

/// Every line with something on it, and its number; or everything that is wrong.
fn parse<L: DeserializeOwned, T>(
    text: &str,
    take: impl Fn(L) -> Result<T, String>,
) -> Result<Vec<(usize, T)>, CliError> {
    let mut taken = Vec::new();
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line).map_err(|error| error.to_string()).and_then(&take) {
            Ok(item) => taken.push((number, item)),
            Err(problem) => problems.push(format!("line {number}: {problem}")),
        }
    }
    if problems.is_empty() { Ok(taken) } else { Err(refusal(&problems)) }
}

fn refusal(problems: &[String]) -> CliError {
    let shown = problems.iter().take(MOST_PROBLEMS);
    CliError::failed(
        format_args!("{} lines are wrong, and nothing was imported", problems.len()),
        "correct them, or leave those that are there already with --skip-existing or --replace",
    )
    .with_details(shown)
}

impl UserLine {
    fn of(user: &StoredUser) -> Self {
        Self {
            name: user.name.to_string(),
            role: user.role.to_string(),
            enabled: user.enabled,
            password: user.password.as_ref().map(|hash| hash.expose_secret().to_owned()),
            certificate: user.certificate.map(|fingerprint| HEXLOWER_PERMISSIVE.encode(&fingerprint.0)),
            created: Some(user.created.as_millis()),
            changed: Some(user.changed.as_millis()),
        }
    }

    fn user(self, now: UnixMillis) -> Result<StoredUser, String> {
        let name = UserName::new(&self.name).map_err(in_words)?;
        let role = RoleName::new(&self.role).map_err(in_words)?;
        if let Some(hash) = &self.password {
            PasswordCost::of(hash).map_err(|_| "the password is no argon2id hash as `securemq export` writes it")?;
        }
        let certificate = self.certificate.map(|text| {
            let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
            let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            bytes.map(CertificateFingerprint).ok_or("the certificate is no SHA-256 of 64 hexadecimal digits")
        });
        let moment = |millis: Option<u64>| millis.map_or(now, UnixMillis::from_millis);
        Ok(StoredUser {
            name,
            role,
            enabled: self.enabled,
            password: self.password.map(SecretString::from),
            certificate: certificate.transpose()?,
            created: moment(self.created),
            changed: moment(self.changed),
        })
    }
}

impl RuleLine {
    fn of(rule: &Rule) -> Self {
        let (user, role) = match &rule.subject {
            Subject::User(name) => (Some(name.to_string()), None),
            Subject::Role(name) => (None, Some(name.to_string())),
        };
        Self {
            user,
            role,
            topic: rule.pattern.as_str().to_owned(),
            publish: rule.publish,
            subscribe: rule.subscribe,
            effect: match rule.effect {
                RuleEffect::Allow => EffectLine::Allow,
                RuleEffect::Deny => EffectLine::Deny,
            },
        }
    }

    fn rule(self) -> Result<NewRule, String> {
        let subject = match (self.user, self.role) {
            (Some(name), None) => Subject::User(UserName::new(&name).map_err(in_words)?),
            (None, Some(name)) => Subject::Role(RoleName::new(&name).map_err(in_words)?),
            (Some(_), Some(_)) | (None, None) => return Err("a rule has either a user or a role".to_owned()),
        };
        if !self.publish && !self.subscribe {
            return Err("a rule speaks of publishing, of subscribing or of both".to_owned());
        }
        Ok(NewRule {
            subject,
            pattern: TopicPattern::new(&self.topic).map_err(in_words)?,
            publish: self.publish,
            subscribe: self.subscribe,
            effect: match self.effect {
                EffectLine::Allow => RuleEffect::Allow,
                EffectLine::Deny => RuleEffect::Deny,
            },
        })
    }
}

fn in_words(error: impl Display) -> String {
    error.to_string()
}

/// A hundred thousand users take 30 MB; retained messages take 256 MB of memory unless more is configured, and a third
/// more in base64.
const MOST_BYTES: usize = 1024 * 1024 * 1024;
/// More lines than that are not read.
const MOST_PROBLEMS: usize = 50;
