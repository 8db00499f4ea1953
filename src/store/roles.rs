//! Roles: names that users have and rules speak of.

use super::database::{Database, GENERATION, count};
use super::error::{RecordError, StoreError};
use super::keys::Keyring;
use super::names::NameTable;
use super::record::{Decoder, Encoder};
use super::seal::{BlindIndex, Place, RowKey};
use crate::broker::RoleName;
use sqlx::{SqliteConnection, query, query_as};

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRole {
    /// Its name.
    pub name: RoleName,
    /// Whether every store has it from the start.
    pub built_in: bool,
}

impl Database {
    /// All roles, by name.
    pub async fn roles(&self) -> Result<Vec<StoredRole>, StoreError> {
        all_roles(&mut *self.reader().await?, self.keys()).await
    }

    /// Adds a role of that name.
    pub async fn add_role(&self, name: &RoleName) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        if NameTable::Roles.find(connection, self.keys(), name.as_str()).await?.is_some() {
            return Err(StoreError::RoleExists(name.clone()));
        }
        insert_role(connection, self.keys(), &StoredRole { name: name.clone(), built_in: false }).await?;
        count(connection, GENERATION).await?;
        change.commit().await
    }

    /// Whether there is a role of that name.
    pub async fn role_exists(&self, name: &RoleName) -> Result<bool, StoreError> {
        let mut reader = self.reader().await?;
        Ok(NameTable::Roles.find(&mut reader, self.keys(), name.as_str()).await?.is_some())
    }
}

pub(super) async fn all_roles(
    connection: &mut SqliteConnection,
    keys: &Keyring,
) -> Result<Vec<StoredRole>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, Vec<u8>)> =
        query_as("SELECT id, name_index, sealed FROM roles").fetch_all(connection).await?;
    let mut roles = Vec::with_capacity(rows.len());
    for (id, name_index, sealed) in rows {
        let opened = keys.open(&place(id), &sealed)?;
        let role = decode(&opened).and_then(|role| {
            let agrees = NameTable::Roles.index(keys, role.name.as_str()).as_bytes() == name_index;
            if agrees { Ok(role) } else { Err(RecordError::Disagrees) }
        });
        roles.push(role.map_err(|source| StoreError::Unreadable {
            table: TABLE,
            row: place(id).row.label(),
            source,
        })?);
    }
    roles.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(roles)
}

pub(super) async fn insert_role(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    role: &StoredRole,
) -> Result<(), StoreError> {
    let id = count(connection, LAST_ROLE).await?;
    let sealed = keys.seal(&place(id), &encode(role))?;
    query("INSERT INTO roles (id, name_index, sealed) VALUES (?, ?, ?)")
        .bind(id)
        .bind(NameTable::Roles.index(keys, role.name.as_str()).as_bytes())
        .bind(sealed)
        .execute(connection)
        .await?;
    Ok(())
}

/// Refuses a role that is not there, and says which are.
pub(super) async fn demand_role(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    name: &RoleName,
) -> Result<(), StoreError> {
    if NameTable::Roles.find(connection, keys, name.as_str()).await?.is_some() {
        return Ok(());
    }
    let known = all_roles(connection, keys).await?.into_iter().map(|role| role.name).collect();
    Err(StoreError::RoleUnknown { name: name.clone(), known })
}

/// The blind index that goes with what is sealed in a row.
pub(super) fn index_of(keys: &Keyring, opened: &[u8]) -> Option<BlindIndex> {
    decode(opened).ok().map(|role| NameTable::Roles.index(keys, role.name.as_str()))
}

fn place(id: i64) -> Place<'static> {
    Place { table: TABLE, column: "sealed", row: RowKey::Number(id) }
}

fn encode(role: &StoredRole) -> Vec<u8> {
    let mut encoder = Encoder::new(VERSION);
    encoder.string(role.name.as_str());
    encoder.flag(role.built_in);
    encoder.finish()
}

fn decode(bytes: &[u8]) -> Result<StoredRole, RecordError> {
    let mut decoder = Decoder::new(bytes, VERSION)?;
    let role = StoredRole { name: decoder.role_name()?, built_in: decoder.flag()? };
    decoder.finish()?;
    Ok(role)
}

const TABLE: &str = "roles";
const VERSION: u8 = 1;
pub(super) const LAST_ROLE: &str = "last_role";
