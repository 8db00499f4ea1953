//! What `serve` does about a damaged database: it salvages what verifies, says what was lost, and starts.

use super::context::Context;
use super::database::master_key;
use super::error::CliError;
use crate::broker::{AuditEvent, EventKind, Subject, Who};
use crate::server::FolderLock;
use crate::store::{Damage, Database, Salvage, StoreError, StoredEvent, UnixMillis};

/// What is to become of a database that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDamage {
    /// What verifies is salvaged.
    Salvage,
    /// Nothing is started or changed.
    Refuse,
}

/// Looks for damage before the database is opened, and mends it. Returns what the event log is to say.
pub async fn mend(context: &Context, on_damage: OnDamage) -> Result<Vec<String>, CliError> {
    let folder = context.data_dir();
    if !Database::exists_in(folder) {
        return Ok(Vec::new());
    }
    // Whoever has the folder has looked at its database before.
    Database::demand_known_schema(folder).await?;
    let _lock = FolderLock::take(folder).await?;
    let key = master_key(context).await?;
    let damage = Database::examine(folder, &key).await?;
    if damage.is_none() {
        return Ok(Vec::new());
    }
    if on_damage == OnDamage::Refuse {
        return Err(refusal(&damage));
    }
    let mut notices = Vec::new();
    if damage.lost_log_pages > 0 && damage.problems.is_empty() {
        let aside = Database::set_log_aside(folder)?;
        Database::begin_log_anew(folder).await?;
        notices.push(format!("{}; the damaged log is {}", log_in_words(&damage), aside.display()));
    } else {
        notices.extend(damage.problems.iter().map(|problem| found(problem)));
        if damage.lost_log_pages > 0 {
            notices.push(log_in_words(&damage));
        }
        notices.extend(in_words(&Database::salvage(folder, &key).await?));
    }
    notices.iter().for_each(|notice| context.output.warning(notice));
    Ok(notices)
}

/// Salvages a database in which damage was found when it was read. Returns what the event log is to say.
pub async fn salvage(context: &Context, error: &StoreError) -> Result<Vec<String>, CliError> {
    let _lock = FolderLock::take(context.data_dir()).await?;
    let mut notices = vec![found(&error.to_string())];
    notices.extend(in_words(&Database::salvage(context.data_dir(), &master_key(context).await?).await?));
    notices.iter().for_each(|notice| context.output.warning(notice));
    Ok(notices)
}

/// What was found, without the remedy, which is at work already.
fn found(problem: &str) -> String {
    format!("the database is damaged: {}", problem.split("; ").next().unwrap_or(problem))
}

/// Puts it into the event log.
pub async fn record_damage(database: &Database, notices: Vec<String>) -> Result<(), CliError> {
    let at = UnixMillis::now();
    let event = |text| AuditEvent { who: Who::default(), kind: EventKind::Notice { text } };
    let events: Vec<_> = notices.into_iter().map(|text| StoredEvent { at, event: event(text) }).collect();
    Ok(database.append_events(&events).await?)
}

fn refusal(damage: &Damage) -> CliError {
    let log = (damage.lost_log_pages > 0).then(|| log_in_words(damage));
    CliError::failed(
        "the database is damaged, and --strict forbids to salvage it; nothing was changed",
        "restore a backup with `securemq restore FILE --force`, or start without --strict to keep what verifies",
    )
    .with_details(damage.problems.iter().cloned().chain(log))
}

fn log_in_words(damage: &Damage) -> String {
    let pages = damage.lost_log_pages;
    format!("the log of the database is damaged: the latest changes are lost, {pages} pages of them")
}

fn in_words(salvage: &Salvage) -> Vec<String> {
    let mut lines: Vec<String> =
        salvage.tables.iter().filter(|table| !table.is_whole()).map(|table| format!("salvaged {table}")).collect();
    if lines.is_empty() {
        lines.push("everything in it was salvaged".to_owned());
    }
    if !salvage.denied.is_empty() {
        let whom: Vec<_> = salvage.denied.iter().take(MOST_NAMED).map(subject_in_words).collect();
        let more = if salvage.denied.len() > whom.len() { " and others" } else { "" };
        lines.push(format!(
            "rules were lost, perhaps denials, so everything is denied to {}{more}: look at `securemq acl list`, add what \
             is missing, and remove these denials",
            whom.join(", ")
        ));
    }
    lines.extend(salvage.aside.iter().map(|path| format!("the damaged files are set aside: {}", path.display())));
    lines
}

fn subject_in_words(subject: &Subject) -> String {
    match subject {
        Subject::User(name) => format!("user {name}"),
        Subject::Role(name) => format!("role {name}"),
    }
}

/// A school has thousands of users.
const MOST_NAMED: usize = 20;
