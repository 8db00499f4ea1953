//! The data keys in a database, wrapped under the master key; and how another master key takes its place.

use super::error::{RecordError, RowLabel, StoreError};
use super::keys::{DataKey, Keyring, LastingKeys, MasterKey, Salt, StoreId};
use super::seal::{KeyId, Place, RowKey, SealKey};
use sqlx::{SqliteConnection, query, query_as, query_scalar};
use std::path::Path;

/// What a database holds, out of its wrapping.
pub(super) struct Unwrapped {
    /// In ascending order of their id; one at least.
    pub(super) keys: Vec<DataKey>,
    pub(super) lasting: LastingKeys,
    /// Whether the lasting keys are stored on their own, so that the first data key may go.
    pub(super) is_lasting_stored: bool,
}

/// The keys that the master key gives to a database.
pub(super) async fn load_keys(
    connection: &mut SqliteConnection,
    path: &Path,
    key: &MasterKey,
) -> Result<Keyring, StoreError> {
    let wrapping = key.wrapping_key(&store_id(connection).await?)?;
    unwrap_keys(connection, path, &wrapping).await?.keyring()
}

/// The key that wraps the keys of this database.
pub(super) async fn wrapping_key(connection: &mut SqliteConnection, key: &MasterKey) -> Result<SealKey, StoreError> {
    key.wrapping_key(&store_id(connection).await?)
}

/// Unwraps the keys. A check value tells a wrong master key from an altered row.
pub(super) async fn unwrap_keys(
    connection: &mut SqliteConnection,
    path: &Path,
    wrapping: &SealKey,
) -> Result<Unwrapped, StoreError> {
    let missing = || StoreError::Missing { table: META, row: RowLabel::Name(KEY_CHECK) };
    let check = meta_value(connection, KEY_CHECK).await?.ok_or_else(missing)?;
    if wrapping.open(&key_check_place(), &check).is_err() {
        return Err(StoreError::WrongKey { path: path.to_owned() });
    }
    let rows: Vec<(i64, Vec<u8>)> =
        query_as("SELECT id, wrapped FROM data_keys ORDER BY id").fetch_all(&mut *connection).await?;
    let mut keys = Vec::with_capacity(rows.len());
    for (id, wrapped) in rows {
        let unknown = |_| Place { table: "data_keys", column: "wrapped", row: RowKey::Number(id) }.error();
        let id = u32::try_from(id).map(KeyId).map_err(unknown)?;
        keys.push(DataKey::unwrap(id, &wrapped, wrapping)?);
    }
    let first = keys.first().ok_or_else(no_data_key)?;
    let mut stored = async |name| -> Result<_, StoreError> {
        let Some(wrapped) = meta_value(connection, name).await? else { return Ok(None) };
        Ok(Some(LastingKeys::unwrap(&meta_place(name), &wrapped, wrapping)?))
    };
    let lasting = stored(INDEX_KEY).await?.zip(stored(CHAIN_KEY).await?);
    let is_lasting_stored = lasting.is_some();
    let lasting = match lasting {
        Some((index, chain)) => LastingKeys { index, chain },
        None => LastingKeys::of(first)?,
    };
    Ok(Unwrapped { keys, lasting, is_lasting_stored })
}

impl Unwrapped {
    pub(super) fn keyring(&self) -> Result<Keyring, StoreError> {
        Keyring::new(&self.lasting, &self.keys)
    }

    /// Stores the lasting keys on their own, within a change.
    pub(super) async fn store_lasting(
        &self,
        connection: &mut SqliteConnection,
        wrapping: &SealKey,
    ) -> Result<(), StoreError> {
        for (name, key) in [(INDEX_KEY, &self.lasting.index), (CHAIN_KEY, &self.lasting.chain)] {
            query("REPLACE INTO meta (name, value) VALUES (?, ?)")
                .bind(name)
                .bind(wrapping.seal(&meta_place(name), key.as_slice())?)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

/// Puts another master key in the place of the present one, within a change: the data keys stay, and so does every seal.
pub(super) async fn rewrap(
    connection: &mut SqliteConnection,
    path: &Path,
    from: &MasterKey,
    to: &MasterKey,
) -> Result<(), StoreError> {
    let store = store_id(connection).await?;
    let unwrapped = unwrap_keys(connection, path, &from.wrapping_key(&store)?).await?;
    let wrapping = to.wrapping_key(&store)?;
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
    if unwrapped.is_lasting_stored {
        unwrapped.store_lasting(connection, &wrapping).await?;
    }
    for key in unwrapped.keys {
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
const INDEX_KEY: &str = "index_key";
const CHAIN_KEY: &str = "chain_key";
