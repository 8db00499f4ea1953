//! What the commands that administer users and rules share: the database that exists, and the record of what was done.

use super::context::Context;
use super::database;
use super::error::CliError;
use crate::admin::record_change;
use crate::broker::{Address, Who};
use crate::protocol::Text;
use crate::store::{Database, StoreError};

/// The database of the data folder. Unlike `serve` these commands make none: a mistyped folder stays empty.
pub async fn existing_database(context: &Context) -> Result<Database, CliError> {
    let folder = context.data_dir();
    if !Database::exists_in(folder) {
        let path = Database::path_in(folder);
        return Err(StoreError::NoDatabase { path }.into());
    }
    Ok(database::open(context).await?.database)
}

/// Puts what was done into the event log, with the account of the operating system that did it, and waits until a
/// broker that runs on this database goes by it: when the command returns, what it changed holds.
pub async fn record(database: &Database, action: &str, target: String) -> Result<(), CliError> {
    // No user of the broker has a slash in its name.
    let account = format!("uid/{}", rustix::process::getuid().as_raw());
    let who = Who { user: Text::try_from(account.as_str()).ok(), client_id: None, address: Some(Address::Local) };
    Ok(record_change(database, who, action, target).await?)
}
