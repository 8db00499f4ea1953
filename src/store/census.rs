//! All rows of a database: counted, every seal tried, and one MAC over everything.

use super::error::StoreError;
use super::keys::Keyring;
use super::tables::{SEALED_TABLES, SealedTable};
use aws_lc_rs::hmac;
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, SqliteConnection, query, query_as};

/// How many rows a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableCount {
    /// The table.
    pub table: &'static str,
    /// All its rows.
    pub rows: u64,
    /// Those of them that do not open.
    pub damaged: u64,
}

/// What a database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Census {
    /// The tables that there are.
    pub(super) tables: Vec<TableCount>,
    /// Over every row of every table; without the keys nobody makes the one of other rows.
    pub(super) digest: [u8; Census::DIGEST_LEN],
}

impl Census {
    pub(super) const DIGEST_LEN: usize = 32;

    /// Reads everything, within whatever transaction the connection is in.
    pub(super) async fn take(connection: &mut SqliteConnection, keys: &Keyring) -> Result<Self, StoreError> {
        let mut mac = hmac::Context::with_key(keys.chain());
        mac.update(b"securemq census 1");
        let mut tables = Vec::with_capacity(SEALED_TABLES.len());
        for table in SEALED_TABLES {
            if table.is_in(connection).await? {
                tables.push(count(connection, keys, table, &mut mac).await?);
            }
        }
        let names: Vec<(String, Vec<u8>)> =
            query_as("SELECT name, value FROM meta ORDER BY name").fetch_all(&mut *connection).await?;
        let numbers: Vec<(String, i64)> =
            query_as("SELECT name, value FROM counters ORDER BY name").fetch_all(&mut *connection).await?;
        let keys: Vec<(i64, Vec<u8>)> =
            query_as("SELECT id, wrapped FROM data_keys ORDER BY id").fetch_all(&mut *connection).await?;
        for part in names.iter().flat_map(|(name, value)| [name.as_bytes(), value]) {
            feed(&mut mac, part);
        }
        for (name, value) in &numbers {
            feed(&mut mac, name.as_bytes());
            mac.update(&value.to_be_bytes());
        }
        for (id, wrapped) in &keys {
            mac.update(&id.to_be_bytes());
            feed(&mut mac, wrapped);
        }
        let mut digest = [0; Self::DIGEST_LEN];
        for (to, from) in digest.iter_mut().zip(mac.sign().as_ref()) {
            *to = *from;
        }
        Ok(Self { tables, digest })
    }
}

async fn count(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    table: &SealedTable,
    mac: &mut hmac::Context,
) -> Result<TableCount, StoreError> {
    let mut count = TableCount { table: table.name, rows: 0, damaged: 0 };
    feed(mac, table.name.as_bytes());
    let sql = AssertSqlSafe(table.select("ORDER BY rowid"));
    let mut rows = query(sql).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let row = table.read(&row)?;
        count.rows += 1;
        if table.open(keys, &row).is_err() {
            count.damaged += 1;
        }
        row.feed(mac);
    }
    mac.update(&count.rows.to_be_bytes());
    Ok(count)
}

fn feed(mac: &mut hmac::Context, bytes: &[u8]) {
    mac.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    mac.update(bytes);
}
