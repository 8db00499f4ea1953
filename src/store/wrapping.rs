//! The data keys in a database, wrapped under the master key; and how another master key takes its place.

use super::error::{RecordError, RowLabel, StoreError};
use super::keys::{DataKey, Keyring, MasterKey, Salt, StoreId};
use super::seal::{KeyId, Place, RowKey};
use sqlx::{SqliteConnection, query, query_as, query_scalar};
use std::path::Path;

/// The keys that the master key gives to a database.
pub(super) async fn load_keys(
    connection: &mut SqliteConnection,
    path: &Path,
    key: &MasterKey,
) -> Result<Keyring, StoreError> {
    let keys = unwrap_keys(connection, path, key).await?;
    let (first, later) = keys.split_first().ok_or_else(no_data_key)?;
    Keyring::new(first, later)
}

/// Unwraps the data keys. A check value tells a wrong master key from an altered row.
async fn unwrap_keys(
    connection: &mut SqliteConnection,
    path: &Path,
    key: &MasterKey,
) -> Result<Vec<DataKey>, StoreError> {
    let store = store_id(connection).await?;
    let missing = || StoreError::Missing { table: META, row: RowLabel::Name(KEY_CHECK) };
    let check = meta_value(connection, KEY_CHECK).await?.ok_or_else(missing)?;
    let wrapping = key.wrapping_key(&store)?;
    if wrapping.open(&key_check_place(), &check).is_err() {
        return Err(StoreError::WrongKey { path: path.to_owned() });
    }
    let rows: Vec<(i64, Vec<u8>)> =
        query_as("SELECT id, wrapped FROM data_keys ORDER BY id").fetch_all(&mut *connection).await?;
    let mut keys = Vec::with_capacity(rows.len());
    for (id, wrapped) in rows {
        let unknown = |_| Place { table: "data_keys", column: "wrapped", row: RowKey::Number(id) }.error();
        let id = u32::try_from(id).map(KeyId).map_err(unknown)?;
        keys.push(DataKey::unwrap(id, &wrapped, &wrapping)?);
    }
    Ok(keys)
}

/// Puts another master key in the place of the present one, within a change: the data keys stay, and so does every seal.
pub(super) async fn rewrap(
    connection: &mut SqliteConnection,
    path: &Path,
    from: &MasterKey,
    to: &MasterKey,
) -> Result<(), StoreError> {
    let keys = unwrap_keys(connection, path, from).await?;
    let wrapping = to.wrapping_key(&store_id(connection).await?)?;
    query("UPDATE meta SET value = ? WHERE name = ?")
        .bind(wrapping.seal(&key_check_place(), KEY_CHECK_TEXT)?)
        .bind(KEY_CHECK)
        .execute(&mut *connection)
        .await?;
    query("DELETE FROM meta WHERE name = ?").bind(SALT).execute(&mut *connection).await?;
    if let Some(salt) = to.salt() {
        query("INSERT INTO meta (name, value) VALUES (?, ?)")
            .bind(SALT)
            .bind(salt.as_bytes())
            .execute(&mut *connection)
            .await?;
    }
    for key in keys {
        query("UPDATE data_keys SET wrapped = ? WHERE id = ?")
            .bind(key.wrap(&wrapping)?)
            .bind(i64::from(key.id.0))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The salt that the master key was made with, if a passphrase made it.
pub(super) async fn salt_of(connection: &mut SqliteConnection) -> Result<Option<Salt>, StoreError> {
    Ok(meta::<{ Salt::LEN }>(connection, SALT).await?.map(Salt::new))
}

async fn store_id(connection: &mut SqliteConnection) -> Result<StoreId, StoreError> {
    let missing = || StoreError::Missing { table: META, row: RowLabel::Name(STORE_ID) };
    meta(connection, STORE_ID).await?.map(StoreId).ok_or_else(missing)
}

/// The value of a row of table meta.
pub(super) async fn meta_value(
    connection: &mut SqliteConnection,
    name: &'static str,
) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(query_scalar("SELECT value FROM meta WHERE name = ?").bind(name).fetch_optional(connection).await?)
}

async fn meta<const N: usize>(
    connection: &mut SqliteConnection,
    name: &'static str,
) -> Result<Option<[u8; N]>, StoreError> {
    let Some(value) = meta_value(connection, name).await? else { return Ok(None) };
    let bytes = <[u8; N]>::try_from(value.as_slice()).map_err(|_| StoreError::Unreadable {
        table: META,
        row: RowLabel::Name(name),
        source: RecordError::CutOff,
    })?;
    Ok(Some(bytes))
}

/// Where a sealed value of table meta stands.
pub(super) fn meta_place(name: &'static str) -> Place<'static> {
    Place { table: META, column: "value", row: RowKey::Name(name) }
}

/// Where the value stands that only the right master key opens.
pub(super) fn key_check_place() -> Place<'static> {
    meta_place(KEY_CHECK)
}

fn no_data_key() -> StoreError {
    StoreError::Missing { table: "data_keys", row: RowLabel::Number(1) }
}

/// What the check value says.
pub(super) const KEY_CHECK_TEXT: &[u8] = b"securemq";
const META: &str = "meta";
pub(super) const STORE_ID: &str = "store_id";
pub(super) const KEY_CHECK: &str = "key_check";
pub(super) const SALT: &str = "salt";
