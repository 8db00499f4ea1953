//! What the commands that administer users and rules share: the database that exists, and the record of what was done.

use super::context::Context;
use super::database;
use super::error::CliError;
use crate::broker::{Address, AuditEvent, EventKind, Rule, RuleEffect, Who};
use crate::protocol::Text;
use crate::store::{Database, StoreError, StoredEvent, UnixMillis};

/// The database of the data folder. Unlike `serve` these commands make none: a mistyped folder stays empty.
pub async fn existing_database(context: &Context) -> Result<Database, CliError> {
    let folder = context.data_dir();
    if !Database::exists_in(folder) {
        let path = Database::path_in(folder);
        return Err(StoreError::NoDatabase { path }.into());
    }
    Ok(database::open(context).await?.database)
}

/// Puts what was done into the event log, with the account of the operating system that did it.
pub async fn record(database: &Database, action: &str, target: String) -> Result<(), CliError> {
    // No user of the broker has a slash in its name.
    let account = format!("uid/{}", rustix::process::getuid().as_raw());
    let who = Who { user: Text::try_from(account.as_str()).ok(), client_id: None, address: Some(Address::Local) };
    let kind = EventKind::Administered { action: action.to_owned(), target };
    let event = StoredEvent { at: UnixMillis::now(), event: AuditEvent { who, kind } };
    Ok(database.append_events(&[event]).await?)
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
