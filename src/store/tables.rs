//! Every table and where the seals in it stand: what a backup checks, a salvage copies and a new key seals again.

use super::error::{SealError, StoreError};
use super::keys::Keyring;
use super::seal::{BlindIndex, Place, RowKey};
use super::{classes, retained, roles, rules, users};
use aws_lc_rs::hmac;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, query_scalar};
use zeroize::Zeroizing;

/// A table with a sealed value in each row, in its column `sealed`.
#[derive(Debug)]
pub(super) struct SealedTable {
    pub(super) name: &'static str,
    /// The other columns.
    pub(super) columns: &'static [Column],
    /// Which of them the seal knows the row by.
    key: Key,
    /// The blind index that goes with what is sealed, where there is one: it stands in the first column of bytes.
    index: Option<IndexOf>,
}

/// Makes the blind index from what is sealed.
#[derive(Debug)]
struct IndexOf(fn(&Keyring, &[u8]) -> Option<BlindIndex>);

/// A column that is not sealed.
#[derive(Debug)]
pub(super) enum Column {
    Number(&'static str),
    Bytes(&'static str),
}

/// Places in the list of columns.
#[derive(Debug)]
enum Key {
    Number(usize),
    Pair([usize; 2]),
    Triple([usize; 3]),
    Index(usize),
}

/// A row as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SealedRow {
    pub(super) rowid: i64,
    /// The values of the columns, in their order.
    pub(super) values: Vec<Value>,
    pub(super) sealed: Vec<u8>,
}

/// A value that is not sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(i64),
    Bytes(Vec<u8>),
}

/// All tables with seals: the policy first, because it must be whole before anything else counts.
pub(super) const SEALED_TABLES: &[SealedTable] = &[
    SealedTable {
        name: "roles",
        columns: &[Column::Number("id"), Column::Bytes("name_index")],
        key: Key::Number(0),
        index: Some(IndexOf(roles::index_of)),
    },
    SealedTable {
        name: "users",
        columns: &[Column::Number("id"), Column::Bytes("name_index")],
        key: Key::Number(0),
        index: Some(IndexOf(users::index_of)),
    },
    SealedTable {
        name: "rules",
        columns: &[Column::Number("id"), Column::Bytes("subject_index")],
        key: Key::Number(0),
        index: Some(IndexOf(rules::index_of)),
    },
    SealedTable {
        name: "classes",
        columns: &[Column::Number("id"), Column::Bytes("name_index")],
        key: Key::Number(0),
        index: Some(IndexOf(classes::index_of)),
    },
    SealedTable {
        name: "api_keys",
        columns: &[Column::Number("id"), Column::Bytes("key_index"), Column::Bytes("owner_index")],
        key: Key::Number(0),
        index: None,
    },
    SealedTable { name: "second_factors", columns: &[Column::Bytes("user_index")], key: Key::Index(0), index: None },
    SealedTable {
        name: "retained",
        columns: &[Column::Bytes("topic_index"), Column::Bytes("version")],
        key: Key::Index(0),
        index: Some(IndexOf(retained::index_of)),
    },
    SealedTable {
        name: "sessions",
        columns: &[Column::Number("id"), Column::Number("run"), Column::Number("frame")],
        key: Key::Triple([0, 1, 2]),
        index: None,
    },
    SealedTable {
        name: "journal",
        columns: &[Column::Number("seq"), Column::Number("run"), Column::Number("shard"), Column::Number("frame")],
        key: Key::Triple([1, 2, 3]),
        index: None,
    },
    SealedTable {
        name: "queues",
        columns: &[Column::Number("session"), Column::Number("chunk")],
        key: Key::Pair([0, 1]),
        index: None,
    },
    SealedTable {
        name: "events",
        columns: &[Column::Number("seq"), Column::Number("count"), Column::Bytes("chain")],
        key: Key::Number(0),
        index: None,
    },
];

#[cfg(test)]
/// The tables without a column `sealed`: keys, numbers, and what sqlx says about the schema.
pub(super) const OTHER_TABLES: &[&str] = &["meta", "counters", "data_keys", "_sqlx_migrations"];

impl SealedTable {
    /// The names of all columns, the sealed one last.
    pub(super) fn column_names(&self) -> String {
        let names = self.columns.iter().map(Column::name).chain(["sealed"]);
        names.collect::<Vec<_>>().join(", ")
    }

    /// Reads rows in the order of the file and through no index, which may be damaged on its own.
    pub(super) fn select(&self, condition: &str) -> String {
        format!("SELECT rowid, {} FROM {} NOT INDEXED {condition}", self.column_names(), self.name)
    }

    /// A row of such a reading. In a damaged file a column may hold anything.
    pub(super) fn read(&self, row: &SqliteRow) -> Result<SealedRow, StoreError> {
        let mut values = Vec::with_capacity(self.columns.len());
        for (place, column) in self.columns.iter().enumerate() {
            values.push(match column {
                Column::Number(_) => Value::Number(row.try_get(place + 1)?),
                Column::Bytes(_) => Value::Bytes(row.try_get(place + 1)?),
            });
        }
        Ok(SealedRow { rowid: row.try_get(0)?, values, sealed: row.try_get(self.columns.len() + 1)? })
    }

    /// Opens the seal of a row.
    pub(super) fn open(&self, keys: &Keyring, row: &SealedRow) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.at(row, |place| keys.open(&place, &row.sealed))
    }

    /// Gives a row the blind index that goes with what is sealed in it.
    pub(super) fn set_index(&self, keys: &Keyring, row: &mut SealedRow, opened: &[u8]) {
        let Some(index) = self.index.as_ref().and_then(|index| index.0(keys, opened)) else { return };
        if let Some(Value::Bytes(bytes)) = row.values.iter_mut().find(|value| matches!(value, Value::Bytes(_))) {
            *bytes = index.as_bytes().to_vec();
        }
    }

    /// Calls with the place of a row.
    pub(super) fn at<T>(&self, row: &SealedRow, work: impl FnOnce(Place<'_>) -> T) -> T {
        let number = |place: usize| match row.values.get(place) {
            Some(Value::Number(number)) => *number,
            Some(Value::Bytes(_)) | None => 0,
        };
        let index;
        let key = match self.key {
            Key::Number(place) => RowKey::Number(number(place)),
            Key::Pair(places) => RowKey::Pair(places.map(number)),
            Key::Triple(places) => RowKey::Triple(places.map(number)),
            Key::Index(place) => {
                index = BlindIndex::of_column(match row.values.get(place) {
                    Some(Value::Bytes(bytes)) => bytes,
                    Some(Value::Number(_)) | None => &[],
                });
                RowKey::Index(&index)
            }
        };
        work(Place { table: self.name, column: "sealed", row: key })
    }

    /// Whether a database has this table: one of an earlier schema may not.
    pub(super) async fn is_in(&self, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
        let found: Option<i64> = query_scalar("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")
            .bind(self.name)
            .fetch_optional(connection)
            .await?;
        Ok(found.is_some())
    }
}

impl Column {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Number(name) | Self::Bytes(name) => name,
        }
    }
}

impl SealedRow {
    /// Feeds everything that the row says into a MAC, each part with its length.
    pub(super) fn feed(&self, mac: &mut hmac::Context) {
        for value in &self.values {
            match value {
                Value::Number(number) => mac.update(&number.to_be_bytes()),
                Value::Bytes(bytes) => feed_bytes(mac, bytes),
            }
        }
        feed_bytes(mac, &self.sealed);
    }
}

fn feed_bytes(mac: &mut hmac::Context, bytes: &[u8]) {
    mac.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    mac.update(bytes);
}
