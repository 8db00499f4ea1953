//! A new database: its keys, the roles that every store has, and their rules.

use super::connection::options;
use super::copy::{demand_no_log, unfinished, with_suffix};
use super::database::{Database, GENERATION, GENERATION_IN_FORCE};
use super::error::StoreError;
use super::keys::{DataKey, Keyring, LastingKeys, MasterKey, StoreId};
use super::migrate::{apply, migrations};
use super::names::NameTable;
use super::private_file::{PrivateFile, create_private_folder, put_in_place, remove_if_there};
use super::roles::{LAST_ROLE, StoredRole, insert_role};
use super::rules::{LAST_RULE, NewRule, insert_rule};
use super::users::LAST_USER;
use super::wrapping::{KEY_CHECK, KEY_CHECK_TEXT, SALT, STORE_ID, key_check_place};
use crate::broker::{RoleName, RuleEffect, Subject, TopicPattern};
use sqlx::{ConnectOptions, Connection, SqliteConnection, query};
use std::path::Path;

impl Database {
    /// Makes the database of a data folder, and the folder if need be. An existing one is left as it is.
    ///
    /// It is made under another name and renamed when it is whole: a crash leaves no half-made database.
    pub async fn create(folder: &Path, key: &MasterKey) -> Result<Self, StoreError> {
        create_private_folder(folder)?;
        let path = Self::path_in(folder);
        if path.exists() {
            return Err(StoreError::AlreadyExists { path });
        }
        let unfinished = unfinished(&path);
        for suffix in ["", "-wal", "-shm"] {
            remove_if_there(&with_suffix(&unfinished, suffix))?;
        }
        // SQLite gives -wal and -shm the mode of the file beside them.
        PrivateFile::create(&unfinished, &[])?;
        let mut connection = options(&unfinished).connect().await?;
        apply(&mut connection, &unfinished, migrations()).await?;
        query("BEGIN IMMEDIATE").execute(&mut connection).await?;
        fill(&mut connection, key).await?;
        query("COMMIT").execute(&mut connection).await?;
        connection.close().await?;
        demand_no_log(&unfinished)?;
        put_in_place(&unfinished, &path)?;
        Self::open(folder, key).await
    }
}

/// What every new database holds.
pub(super) async fn fill(connection: &mut SqliteConnection, key: &MasterKey) -> Result<(), StoreError> {
    let store = StoreId::generate()?;
    let wrapping = key.wrapping_key(&store)?;
    let data_key = DataKey::first()?;
    query("INSERT INTO meta (name, value) VALUES (?, ?), (?, ?)")
        .bind(STORE_ID)
        .bind(store.0.as_slice())
        .bind(KEY_CHECK)
        .bind(wrapping.seal(&key_check_place(), KEY_CHECK_TEXT)?)
        .execute(&mut *connection)
        .await?;
    if let Some(salt) = key.salt() {
        query("INSERT INTO meta (name, value) VALUES (?, ?)")
            .bind(SALT)
            .bind(salt.as_bytes())
            .execute(&mut *connection)
            .await?;
    }
    query("INSERT INTO data_keys (id, wrapped) VALUES (?, ?)")
        .bind(i64::from(data_key.id.0))
        .bind(data_key.wrap(&wrapping)?)
        .execute(&mut *connection)
        .await?;
    query("INSERT INTO counters (name, value) VALUES (?, 1), (?, 0), (?, 0), (?, 0), (?, 0)")
        .bind(GENERATION)
        .bind(GENERATION_IN_FORCE)
        .bind(LAST_ROLE)
        .bind(LAST_USER)
        .bind(LAST_RULE)
        .execute(&mut *connection)
        .await?;
    let keys = Keyring::new(&LastingKeys::of(&data_key)?, &[data_key])?;
    add_built_in_roles(connection, &keys).await?;
    for (role, pattern, what) in BUILT_IN_RULES {
        insert_rule(connection, &keys, built_in_rule(role, pattern, *what)?).await?;
    }
    Ok(())
}

/// Adds the built-in roles that are not there.
pub(super) async fn add_built_in_roles(connection: &mut SqliteConnection, keys: &Keyring) -> Result<(), StoreError> {
    for name in RoleName::BUILT_IN {
        if NameTable::Roles.find(connection, keys, name).await?.is_none() {
            let name = RoleName::new(name)?;
            insert_role(connection, keys, &StoredRole { name, built_in: true }).await?;
        }
    }
    Ok(())
}

/// What a rule that every store has from the start allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allows {
    Both,
    Subscribe,
}

/// The teacher reads and writes everything of the school; students write where their own name is, and read the school's.
const BUILT_IN_RULES: &[(&str, &str, Allows)] = &[
    ("Admin", "#", Allows::Both),
    ("Admin", "$SYS/#", Allows::Subscribe),
    ("Teacher", "school/#", Allows::Both),
    ("Teacher", "students/#", Allows::Both),
    ("Student", "students/%u/#", Allows::Both),
    ("Student", "school/#", Allows::Subscribe),
];

fn built_in_rule(role: &str, pattern: &str, allows: Allows) -> Result<NewRule, StoreError> {
    Ok(NewRule {
        subject: Subject::Role(RoleName::new(role)?),
        pattern: TopicPattern::new(pattern)?,
        publish: allows == Allows::Both,
        subscribe: true,
        effect: RuleEffect::Allow,
    })
}
