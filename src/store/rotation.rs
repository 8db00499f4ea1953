//! A new data key: from then on it seals whatever is written, and what is there is sealed with it again, a few rows at a
//! time beside a running broker. A crash leaves rows under both keys, and both open.
//!
//! Batches of events keep their key, because each is chained to the sealed bytes before it; they go with age. A key that
//! nothing is sealed with any more goes when no broker runs, for only then nothing is on its way with it.

use super::database::{Database, GENERATION, count};
use super::error::StoreError;
use super::keys::{DataKey, Keyring, MasterKey};
use super::logs::seal_marks_again;
use super::seal::{KeyId, key_of};
use super::tables::{SEALED_TABLES, SealedRow, SealedTable};
use super::wrapping::{rewrap, unwrap_keys};
use crate::broker::Durability;
use sqlx::{AssertSqlSafe, SqliteConnection, query, query_as, query_scalar};

/// What was sealed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rotation {
    /// How many rows.
    pub rows: u64,
    /// Rows that do not open and stay as they are, until the store is salvaged.
    pub damaged: u64,
}

/// What a data key is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUse {
    /// Its number. The highest seals.
    pub id: u32,
    /// How many rows it opens, those of the log left out.
    pub rows: u64,
    /// How many batches of the log it opens.
    pub log_batches: u64,
}

impl Database {
    /// Makes a data key and seals with it from now on, as every process does that opens the store or reads it. Returns its
    /// number, and the generation of the directory that a running broker goes by once it has taken the key up.
    pub async fn begin_rotation(&self) -> Result<(u32, u64), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let unwrapped = unwrap_keys(connection, self.path(), self.wrapping()).await?;
        if unwrapped.keys.len() >= MOST_KEYS {
            return Err(StoreError::TooManyKeys);
        }
        if !unwrapped.is_lasting_stored {
            unwrapped.store_lasting(connection, self.wrapping()).await?;
        }
        let key = DataKey::after(unwrapped.keys.last().map_or(KeyId(0), |key| key.id))?;
        query("INSERT INTO data_keys (id, wrapped) VALUES (?, ?)")
            .bind(i64::from(key.id.0))
            .bind(key.wrap(self.wrapping())?)
            .execute(&mut *connection)
            .await?;
        let generation = count(connection, GENERATION).await?.cast_unsigned();
        change.commit().await?;
        let id = key.id.0;
        self.keys().learn(&[key])?;
        Ok((id, generation))
    }

    /// Seals everything with the latest key that another one sealed, the log left out. `progress` is told after each part
    /// how many rows it was.
    pub async fn seal_again(&self, mut progress: impl FnMut(u64)) -> Result<Rotation, StoreError> {
        let mut rotation = Rotation::default();
        for table in SEALED_TABLES.iter().filter(|table| table.name != LOG) {
            let mut from = i64::MIN;
            while let Some(last) = self.seal_part_again(table, from, &mut rotation).await? {
                progress(rotation.rows);
                let Some(next) = last.checked_add(1) else { break };
                from = next;
            }
        }
        let mut change = self.change().await?;
        seal_marks_again(change.connection(), self.keys()).await?;
        change.commit().await?;
        Ok(rotation)
    }

    /// One transaction with a few rows, so that whoever writes meanwhile waits for milliseconds. They are looked for before
    /// it, because a look through a whole table may take longer. Returns the last of them.
    ///
    /// It need not survive a loss of power: the old key is there until nothing is sealed with it.
    async fn seal_part_again(
        &self,
        table: &SealedTable,
        from: i64,
        rotation: &mut Rotation,
    ) -> Result<Option<i64>, StoreError> {
        let mut reader = self.reader().await?;
        let latest = self.keys().latest().0.to_be_bytes().to_vec();
        let sql = format!(
            "SELECT rowid FROM {} NOT INDEXED WHERE rowid >= ? AND substr(sealed, 2, 4) <> ? ORDER BY rowid LIMIT ?",
            table.name
        );
        let found: Vec<i64> = query_scalar(AssertSqlSafe(sql))
            .bind(from)
            .bind(latest.as_slice())
            .bind(ROWS_AT_ONCE)
            .fetch_all(&mut *reader)
            .await?;
        drop(reader);
        let Some(last) = found.last().copied() else { return Ok(None) };
        let mut change = self.change_that_survives(Durability::Os).await?;
        let connection = change.connection();
        self.learn_keys(connection).await?;
        for rowid in found {
            let sql = AssertSqlSafe(table.select("WHERE rowid = ? AND substr(sealed, 2, 4) <> ?"));
            let row = query(sql).bind(rowid).bind(latest.as_slice()).fetch_optional(&mut *connection).await?;
            // Somebody has written it meanwhile, or taken it out.
            let Some(row) = row else { continue };
            match seal_row_again(table, self.keys(), &table.read(&row)?) {
                Some(sealed) => {
                    let sql = format!("UPDATE {} SET sealed = ? WHERE rowid = ?", table.name);
                    query(AssertSqlSafe(sql)).bind(sealed?).bind(rowid).execute(&mut *connection).await?;
                    rotation.rows += 1;
                }
                None => rotation.damaged += 1,
            }
        }
        change.commit().await?;
        Ok(Some(last))
    }

    /// Takes out the data keys that nothing is sealed with. Only while no broker runs on this store, because what one has
    /// sealed may be on its way. Returns their numbers.
    pub async fn drop_unused_keys(&self) -> Result<Vec<u32>, StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let mut dropped = Vec::new();
        for id in old_keys(connection, self.keys().latest()).await? {
            if !is_used(connection, id).await? {
                query("DELETE FROM data_keys WHERE id = ?").bind(i64::from(id.0)).execute(&mut *connection).await?;
                dropped.push(id.0);
            }
        }
        change.commit().await?;
        Ok(dropped)
    }

    /// The data keys, and what each is needed for.
    pub async fn key_uses(&self) -> Result<Vec<KeyUse>, StoreError> {
        let mut reader = self.reader().await?;
        let ids: Vec<i64> = query_scalar("SELECT id FROM data_keys ORDER BY id").fetch_all(&mut *reader).await?;
        let mut uses: Vec<_> = ids
            .into_iter()
            .filter_map(|id| Some(KeyUse { id: u32::try_from(id).ok()?, rows: 0, log_batches: 0 }))
            .collect();
        for table in SEALED_TABLES {
            let sql = format!("SELECT substr(sealed, 2, 4), count(*) FROM {} GROUP BY 1", table.name);
            let counts: Vec<(Vec<u8>, i64)> = query_as(AssertSqlSafe(sql)).fetch_all(&mut *reader).await?;
            for (id, rows) in counts {
                let id = <[u8; 4]>::try_from(id.as_slice()).map(u32::from_be_bytes).unwrap_or_default();
                let Some(of_key) = uses.iter_mut().find(|of_key| of_key.id == id) else { continue };
                let rows = u64::try_from(rows).unwrap_or_default();
                if table.name == LOG {
                    of_key.log_batches += rows;
                } else {
                    of_key.rows += rows;
                }
            }
        }
        Ok(uses)
    }

    /// Puts another master key in the place of the present one: the data keys stay, and so does every seal. No other
    /// process may have the store open for long, as a broker has.
    pub async fn rotate_master(&self, from: &MasterKey, to: &MasterKey) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        rewrap(change.connection(), self.path(), from, to).await?;
        change.commit().await
    }
}

/// `None` if the row does not open.
fn seal_row_again(table: &SealedTable, keys: &Keyring, row: &SealedRow) -> Option<Result<Vec<u8>, StoreError>> {
    let opened = table.open(keys, row).ok()?;
    Some(table.at(row, |place| keys.seal(&place, &opened)))
}

async fn old_keys(connection: &mut SqliteConnection, latest: KeyId) -> Result<Vec<KeyId>, StoreError> {
    let ids: Vec<i64> =
        query_scalar("SELECT id FROM data_keys WHERE id < ?").bind(i64::from(latest.0)).fetch_all(connection).await?;
    Ok(ids.into_iter().filter_map(|id| u32::try_from(id).ok().map(KeyId)).collect())
}

async fn is_used(connection: &mut SqliteConnection, id: KeyId) -> Result<bool, StoreError> {
    for table in SEALED_TABLES {
        let sql = format!("SELECT 1 FROM {} WHERE substr(sealed, 2, 4) = ? LIMIT 1", table.name);
        let found: Option<i64> =
            query_scalar(AssertSqlSafe(sql)).bind(id.0.to_be_bytes().to_vec()).fetch_optional(&mut *connection).await?;
        if found.is_some() {
            return Ok(true);
        }
    }
    let values: Vec<Vec<u8>> = query_scalar("SELECT value FROM meta").fetch_all(connection).await?;
    Ok(values.iter().any(|value| key_of(value) == Some(id)))
}

/// The table whose rows keep their key.
const LOG: &str = "events";
/// Of the largest rows, which are parts of queues, these are some megabytes.
const ROWS_AT_ONCE: i64 = 16;
/// Old keys go at every start of the broker once nothing needs them; so many are left only if something is wrong.
const MOST_KEYS: usize = 100;
