//! Accounts: a name, a role, and what proves who it is.

use super::api_keys::remove_keys_of;
use super::classes::{Seat, leave_all_classes};
use super::database::{Database, GENERATION, count};
use super::error::{RecordError, StoreError};
use super::keys::Keyring;
use super::names::NameTable;
use super::record::{Decoder, Encoder};
use super::roles::demand_role;
use super::rules::remove_rules_of;
use super::seal::{BlindIndex, Place, RowKey};
use super::second_factors;
use super::wall_clock::UnixMillis;
use crate::broker::{RoleName, Subject, UserName};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{SqliteConnection, query, query_as};
use zeroize::Zeroizing;

/// An account.
#[derive(Debug, Clone)]
pub struct StoredUser {
    /// Its name.
    pub name: UserName,
    /// Its role.
    pub role: RoleName,
    /// Whether it may connect.
    pub enabled: bool,
    /// The hash of its password as a PHC string; without one, only a certificate lets it in.
    pub password: Option<SecretString>,
    /// The certificate it must use, if it is bound to one.
    pub certificate: Option<CertificateFingerprint>,
    /// When it was made.
    pub created: UnixMillis,
    /// When it was last changed.
    pub changed: UnixMillis,
}

/// The SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateFingerprint(pub [u8; 32]);

impl Database {
    /// All accounts, by name.
    pub async fn users(&self) -> Result<Vec<StoredUser>, StoreError> {
        all_users(&mut *self.reader().await?, self.keys()).await
    }

    /// The account of that name.
    pub async fn find_user(&self, name: &UserName) -> Result<Option<StoredUser>, StoreError> {
        let mut reader = self.reader().await?;
        Ok(find_user(&mut reader, self.keys(), name).await?.map(|(_, user)| user))
    }

    /// Adds an account; its role must exist, and its name must be free.
    pub async fn add_user(&self, user: &StoredUser) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        insert_user(change.connection(), self.keys(), user).await?;
        count(change.connection(), GENERATION).await?;
        change.commit().await
    }

    /// Gives an account another password hash, or none.
    pub async fn set_password(
        &self,
        name: &UserName,
        password: Option<SecretString>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.change_user(name, now, |user| user.password = password).await
    }

    /// Puts a hash of today's cost in place of the one that was just verified; if another is stored by now, that stays.
    /// What proves the user is the same as before, so `changed` stays too.
    pub async fn replace_password_hash(&self, name: &UserName, old: &str, new: &str) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let Some((id, mut user)) = find_user(connection, self.keys(), name).await? else { return Ok(()) };
        if user.password.as_ref().map(ExposeSecret::expose_secret) != Some(old) {
            return Ok(());
        }
        user.password = Some(new.into());
        self.update(connection, id, &user).await?;
        change.commit().await
    }

    /// Gives an account another role, which must exist. If that gives it another seat, it leaves its classes.
    pub async fn set_role(&self, name: &UserName, role: &RoleName, now: UnixMillis) -> Result<(), StoreError> {
        self.change_user(name, now, |user| user.role = role.clone()).await
    }

    /// Lets an account connect, or not.
    pub async fn set_enabled(&self, name: &UserName, access: Access, now: UnixMillis) -> Result<(), StoreError> {
        self.change_user(name, now, |user| user.enabled = access == Access::Enabled).await
    }

    /// Binds an account to a certificate, or to none.
    pub async fn set_certificate(
        &self,
        name: &UserName,
        certificate: Option<CertificateFingerprint>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.change_user(name, now, |user| user.certificate = certificate).await
    }

    /// Removes an account with its rules, its keys, its second factor and its place in classes.
    pub async fn remove_user(&self, name: &UserName) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let removed = query("DELETE FROM users WHERE name_index = ?")
            .bind(NameTable::Users.index(self.keys(), name.as_str()).as_bytes())
            .execute(&mut *connection)
            .await?;
        if removed.rows_affected() == 0 {
            return Err(StoreError::UserUnknown(name.clone()));
        }
        remove_rules_of(connection, self.keys(), &Subject::User(name.clone())).await?;
        remove_keys_of(connection, self.keys(), name).await?;
        second_factors::remove(connection, self.keys(), name).await?;
        leave_all_classes(connection, self.keys(), name).await?;
        count(connection, GENERATION).await?;
        change.commit().await
    }

    async fn change_user(
        &self,
        name: &UserName,
        now: UnixMillis,
        alter: impl FnOnce(&mut StoredUser),
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let found = find_user(connection, self.keys(), name).await?;
        let (id, mut user) = found.ok_or_else(|| StoreError::UserUnknown(name.clone()))?;
        let before = user.role.clone();
        alter(&mut user);
        user.changed = now;
        demand_role(connection, self.keys(), &user.role).await?;
        take_up_role(connection, self.keys(), &before, &user).await?;
        self.update(connection, id, &user).await?;
        change.commit().await
    }

    async fn update(&self, connection: &mut SqliteConnection, id: i64, user: &StoredUser) -> Result<(), StoreError> {
        write_user(connection, self.keys(), id, user).await?;
        count(connection, GENERATION).await?;
        Ok(())
    }
}

/// What goes with a role goes with a change of it: keys that were made for less must not be worth more, and whoever
/// learned in a class does not teach it. Nothing is more than an administrator, so the keys of one stay and are worth less.
pub(super) async fn take_up_role(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    before: &RoleName,
    user: &StoredUser,
) -> Result<(), StoreError> {
    if user.role == *before {
        return Ok(());
    }
    if before.as_str() != "Admin" {
        remove_keys_of(connection, keys, &user.name).await?;
    }
    if Seat::of(&user.role) != Seat::of(before) {
        leave_all_classes(connection, keys, &user.name).await?;
    }
    Ok(())
}

/// Whether an account may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may.
    Enabled,
    /// It may not.
    Disabled,
}

/// Adds an account, within a change; its role must exist, and its name must be free.
pub(super) async fn insert_user(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    user: &StoredUser,
) -> Result<(), StoreError> {
    demand_role(connection, keys, &user.role).await?;
    if NameTable::Users.find(connection, keys, user.name.as_str()).await?.is_some() {
        return Err(StoreError::UserExists(user.name.clone()));
    }
    let id = count(connection, LAST_USER).await?;
    query("INSERT INTO users (id, name_index, sealed) VALUES (?, ?, ?)")
        .bind(id)
        .bind(NameTable::Users.index(keys, user.name.as_str()).as_bytes())
        .bind(keys.seal(&place(id), &encode(user))?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes an account in the place of what its row says, within a change.
pub(super) async fn write_user(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    id: i64,
    user: &StoredUser,
) -> Result<(), StoreError> {
    query("UPDATE users SET sealed = ? WHERE id = ?")
        .bind(keys.seal(&place(id), &encode(user))?)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn all_users(
    connection: &mut SqliteConnection,
    keys: &Keyring,
) -> Result<Vec<StoredUser>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, Vec<u8>)> =
        query_as("SELECT id, name_index, sealed FROM users").fetch_all(connection).await?;
    let mut users = rows.into_iter().map(|row| open(keys, row)).collect::<Result<Vec<_>, _>>()?;
    users.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(users)
}

pub(super) async fn find_user(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    name: &UserName,
) -> Result<Option<(i64, StoredUser)>, StoreError> {
    let row: Option<(i64, Vec<u8>, Vec<u8>)> =
        query_as("SELECT id, name_index, sealed FROM users WHERE name_index = ?")
            .bind(NameTable::Users.index(keys, name.as_str()).as_bytes())
            .fetch_optional(connection)
            .await?;
    row.map(|row| Ok((row.0, open(keys, row)?))).transpose()
}

fn open(keys: &Keyring, (id, name_index, sealed): (i64, Vec<u8>, Vec<u8>)) -> Result<StoredUser, StoreError> {
    let opened = keys.open(&place(id), &sealed)?;
    let user = decode(&opened).and_then(|user| {
        let agrees = NameTable::Users.index(keys, user.name.as_str()).as_bytes() == name_index;
        if agrees { Ok(user) } else { Err(RecordError::Disagrees) }
    });
    user.map_err(|source| StoreError::Unreadable { table: TABLE, row: place(id).row.label(), source })
}

/// The blind index that goes with what is sealed in a row.
pub(super) fn index_of(keys: &Keyring, opened: &[u8]) -> Option<BlindIndex> {
    decode(opened).ok().map(|user| NameTable::Users.index(keys, user.name.as_str()))
}

fn place(id: i64) -> Place<'static> {
    Place { table: TABLE, column: "sealed", row: RowKey::Number(id) }
}

fn encode(user: &StoredUser) -> Zeroizing<Vec<u8>> {
    let mut encoder = Encoder::new(VERSION);
    encoder.string(user.name.as_str());
    encoder.string(user.role.as_str());
    encoder.flag(user.enabled);
    encoder.option(user.password.as_ref(), |encoder, hash| encoder.string(hash.expose_secret()));
    encoder.option(user.certificate, |encoder, fingerprint| encoder.raw(&fingerprint.0));
    encoder.number(user.created.as_millis());
    encoder.number(user.changed.as_millis());
    Zeroizing::new(encoder.finish())
}

fn decode(bytes: &[u8]) -> Result<StoredUser, RecordError> {
    let mut decoder = Decoder::new(bytes, VERSION)?;
    let user = StoredUser {
        name: decoder.user_name()?,
        role: decoder.role_name()?,
        enabled: decoder.flag()?,
        password: decoder.option(|decoder| decoder.string().map(SecretString::from))?,
        certificate: decoder.option(|decoder| decoder.raw().map(CertificateFingerprint))?,
        created: UnixMillis::from_millis(decoder.number()?),
        changed: UnixMillis::from_millis(decoder.number()?),
    };
    decoder.finish()?;
    Ok(user)
}

const TABLE: &str = "users";
const VERSION: u8 = 1;
pub(super) const LAST_USER: &str = "last_user";
