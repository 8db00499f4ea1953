//! Keys that programs use the administration with: never more than their owner may, for a while, and stored as a MAC.

use super::database::{Database, count};
use super::error::{RecordError, StoreError};
use super::keys::Keyring;
use super::record::{Decoder, Encoder};
use super::seal::{BlindIndex, Place, RowKey};
use super::wall_clock::UnixMillis;
use crate::broker::UserName;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{SqliteConnection, query, query_as, query_scalar};

/// A key of a program, without what opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its number, as listed and removed by.
    pub id: i64,
    /// As whom it acts.
    pub owner: UserName,
    /// What it is for, in its owner's words.
    pub name: String,
    /// What it may be used for.
    pub scopes: ApiScopes,
    /// When it was made.
    pub created: UnixMillis,
    /// From when on it opens nothing.
    pub expires: UnixMillis,
}

/// What a key may be used for, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApiScopes {
    /// To look.
    pub read: bool,
    /// To publish messages.
    pub publish: bool,
    /// To change what its owner may change.
    pub manage: bool,
}

/// The keys that there are.
#[derive(Debug, Default)]
pub struct ApiKeys {
    /// Those that can be read.
    pub keys: Vec<ApiKey>,
    /// The numbers of those that cannot, and why. They open nothing.
    pub damaged: Vec<(i64, StoreError)>,
}

impl Database {
    /// Keeps a new key; its number is in the answer. The owner must exist.
    pub async fn add_api_key(&self, key: ApiKey, secret: &SecretString) -> Result<ApiKey, StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let owner = super::names::NameTable::Users.find(connection, self.keys(), key.owner.as_str()).await?;
        owner.ok_or_else(|| StoreError::UserUnknown(key.owner.clone()))?;
        let owner_index = owner_index(self.keys(), &key.owner);
        let known: i64 = query_scalar("SELECT count(*) FROM api_keys WHERE owner_index = ?")
            .bind(owner_index.as_bytes())
            .fetch_one(&mut *connection)
            .await?;
        if usize::try_from(known).unwrap_or(usize::MAX) >= MOST_PER_OWNER {
            return Err(StoreError::TooMany { most: MOST_PER_OWNER, what: "keys of this user" });
        }
        let id = count(connection, LAST_API_KEY).await?;
        let key = ApiKey { id, ..key };
        query("INSERT INTO api_keys (id, key_index, owner_index, sealed) VALUES (?, ?, ?, ?)")
            .bind(id)
            .bind(key_index(self.keys(), secret).as_bytes())
            .bind(owner_index.as_bytes())
            .bind(self.keys().seal(&place(id), &encode(&key))?)
            .execute(&mut *connection)
            .await?;
        change.commit().await?;
        Ok(key)
    }

    /// The key that this opens with; whether it has expired is for the caller to see.
    pub async fn find_api_key(&self, secret: &SecretString) -> Result<Option<ApiKey>, StoreError> {
        let row: Option<(i64, Vec<u8>, Vec<u8>)> =
            query_as("SELECT id, owner_index, sealed FROM api_keys WHERE key_index = ?")
                .bind(key_index(self.keys(), secret).as_bytes())
                .fetch_optional(&mut *self.reader().await?)
                .await?;
        row.map(|row| open(self.keys(), row)).transpose()
    }

    /// All keys, by number. One that was damaged hides no other.
    pub async fn api_keys(&self) -> Result<ApiKeys, StoreError> {
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = query_as("SELECT id, owner_index, sealed FROM api_keys ORDER BY id")
            .fetch_all(&mut *self.reader().await?)
            .await?;
        let mut found = ApiKeys::default();
        for row in rows {
            let id = row.0;
            match open(self.keys(), row) {
                Ok(key) => found.keys.push(key),
                Err(problem) => found.damaged.push((id, problem)),
            }
        }
        Ok(found)
    }

    /// Removes a key and says what it was; nothing if it was damaged, which is no reason to keep it.
    pub async fn remove_api_key(&self, id: i64) -> Result<Option<ApiKey>, StoreError> {
        let mut change = self.change().await?;
        let row: Option<(i64, Vec<u8>, Vec<u8>)> =
            query_as("DELETE FROM api_keys WHERE id = ? RETURNING id, owner_index, sealed")
                .bind(id)
                .fetch_optional(&mut *change.connection())
                .await?;
        let key = open(self.keys(), row.ok_or(StoreError::ApiKeyUnknown(id))?);
        change.commit().await?;
        Ok(key.ok())
    }
}

/// Removes all keys of a user, within a change: whoever comes later with its name does not inherit them.
pub(super) async fn remove_keys_of(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    owner: &UserName,
) -> Result<(), StoreError> {
    query("DELETE FROM api_keys WHERE owner_index = ?")
        .bind(owner_index(keys, owner).as_bytes())
        .execute(connection)
        .await?;
    Ok(())
}

fn key_index(keys: &Keyring, secret: &SecretString) -> BlindIndex {
    keys.index("api keys", secret.expose_secret())
}

fn owner_index(keys: &Keyring, owner: &UserName) -> BlindIndex {
    keys.index("owners of api keys", owner.as_str())
}

fn open(keys: &Keyring, (id, owner, sealed): (i64, Vec<u8>, Vec<u8>)) -> Result<ApiKey, StoreError> {
    let opened = keys.open(&place(id), &sealed)?;
    let key = decode(id, &opened).and_then(|key| {
        let agrees = owner_index(keys, &key.owner).as_bytes() == owner;
        if agrees { Ok(key) } else { Err(RecordError::Disagrees) }
    });
    key.map_err(|source| StoreError::Unreadable { table: TABLE, row: place(id).row.label(), source })
}

fn place(id: i64) -> Place<'static> {
    Place { table: TABLE, column: "sealed", row: RowKey::Number(id) }
}

fn encode(key: &ApiKey) -> Vec<u8> {
    let mut encoder = Encoder::new(VERSION);
    encoder.string(key.owner.as_str());
    encoder.string(&key.name);
    let ApiScopes { read, publish, manage } = key.scopes;
    [read, publish, manage].into_iter().for_each(|is| encoder.flag(is));
    encoder.number(key.created.as_millis());
    encoder.number(key.expires.as_millis());
    encoder.finish()
}

fn decode(id: i64, bytes: &[u8]) -> Result<ApiKey, RecordError> {
    let mut decoder = Decoder::new(bytes, VERSION)?;
    let key = ApiKey {
        id,
        owner: decoder.user_name()?,
        name: decoder.string()?.to_owned(),
        scopes: ApiScopes { read: decoder.flag()?, publish: decoder.flag()?, manage: decoder.flag()? },
        created: UnixMillis::from_millis(decoder.number()?),
        expires: UnixMillis::from_millis(decoder.number()?),
    };
    decoder.finish()?;
    Ok(key)
}

/// One for each script of a person, and some to spare.
const MOST_PER_OWNER: usize = 20;

const TABLE: &str = "api_keys";
const VERSION: u8 = 1;
pub(super) const LAST_API_KEY: &str = "last_api_key";
