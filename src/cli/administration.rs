//! What the commands that administer users and rules share: the database that exists, and the record of what was done.

use super::context::Context;
use super::database;
use super::error::CliError;
use crate::broker::{Address, AuditEvent, EventKind, Rule, RuleEffect, Who};
use crate::protocol::Text;
use crate::server::FolderLock;
use crate::store::{Database, StoreError, StoredEvent, UnixMillis};
use std::time::{Duration, Instant};

/// The database of the data folder. Unlike `serve` these commands make none: a mistyped folder stays empty.
pub async fn existing_database(context: &Context) -> Result<Database, CliError> {
    let folder = context.data_dir();
    if !Database::exists_in(folder) {
        let path = Database::path_in(folder);
        return Err(StoreError::NoDatabase { path }.into());
    }
    Ok(database::open(context).await?.database)
}

/// How long a command waits for a running broker, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Puts what was done into the event log, with the account of the operating system that did it, and waits until a
/// broker that runs on this database goes by it: when the command returns, what it changed holds.
pub async fn record(database: &Database, action: &str, target: String) -> Result<(), CliError> {
    // No user of the broker has a slash in its name.
    let account = format!("uid/{}", rustix::process::getuid().as_raw());
    let who = Who { user: Text::try_from(account.as_str()).ok(), client_id: None, address: Some(Address::Local) };
    let kind = EventKind::Administered { action: action.to_owned(), target };
    let event = StoredEvent { at: UnixMillis::now(), event: AuditEvent { who, kind } };
    database.append_events(&[event]).await?;
    wait_until_in_force(database).await
}

async fn wait_until_in_force(database: &Database) -> Result<(), CliError> {
    let changed = database.generation().await?;
    let is_running = || database.path().parent().is_some_and(FolderLock::is_taken);
    let begin = Instant::now();
    while database.generation_in_force().await? < changed && is_running() {
        if begin.elapsed() > PATIENCE {
            return Err(CliError::failed(
                "this is stored, but the running broker does not go by it yet",
                "look at what the broker prints; restarting it puts every change into force",
            ));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// A rule in words: `rule 7: user sam may not subscribe to "school/exams/#"`.
pub fn rule_in_words(rule: &Rule) -> String {
    let deeds = match (rule.publish, rule.subscribe) {
        (true, true) => "publish and subscribe to",
        (true, false) => "publish to",
        (false, true) => "subscribe to",
        (false, false) => "do nothing with",
    };
    let may = match rule.effect {
        RuleEffect::Allow => "may",
        RuleEffect::Deny => "may not",
    };
    format!("rule {}: {} {may} {deeds} \"{}\"", rule.id, rule.subject, rule.pattern)
}
