//! Second factors of logins: the secret that a user's app shares with the broker, and codes for when the app is lost.

use super::database::Database;
use super::error::{RecordError, StoreError};
use super::keys::Keyring;
use super::record::{Decoder, Encoder};
use super::seal::{BlindIndex, Place, RowKey};
use crate::broker::UserName;
use sqlx::{SqliteConnection, query, query_scalar};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What a user proves to have beside its password.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecondFactor {
    /// What the app and the broker make codes from.
    pub secret: [u8; 20],
    /// The step of the last code that was used; it and those before it are used up.
    pub used_step: u64,
    /// The SHA-256 of each recovery code that is left.
    pub recovery: Vec<[u8; 32]>,
}

impl Database {
    /// The second factor of a user, if it has one.
    pub async fn second_factor(&self, user: &UserName) -> Result<Option<SecondFactor>, StoreError> {
        read(&mut *self.reader().await?, self.keys(), user).await
    }

    /// Gives a user, who must exist, a second factor, in place of the one it had.
    pub async fn set_second_factor(&self, user: &UserName, factor: &SecondFactor) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let found = super::names::NameTable::Users.find(connection, self.keys(), user.as_str()).await?;
        found.ok_or_else(|| StoreError::UserUnknown(user.clone()))?;
        write(connection, self.keys(), user, factor).await?;
        change.commit().await
    }

    /// Uses a code up, in one change, so that none is taken twice, by whichever processes. `prove` says whether the code
    /// is right, and changes what is left; the answer is what it said, or nothing for a user without a second factor.
    pub async fn use_second_factor(
        &self,
        user: &UserName,
        prove: impl FnOnce(&mut SecondFactor) -> bool,
    ) -> Result<Option<bool>, StoreError> {
        let mut change = self.change().await?;
        let connection = change.connection();
        let Some(mut factor) = read(connection, self.keys(), user).await? else { return Ok(None) };
        if !prove(&mut factor) {
            return Ok(Some(false));
        }
        write(connection, self.keys(), user, &factor).await?;
        change.commit().await?;
        Ok(Some(true))
    }

    /// Takes a user's second factor away. Whether it had one.
    pub async fn remove_second_factor(&self, user: &UserName) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let removed = remove(change.connection(), self.keys(), user).await?;
        change.commit().await?;
        Ok(removed)
    }
}

async fn read(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    user: &UserName,
) -> Result<Option<SecondFactor>, StoreError> {
    let index = user_index(keys, user);
    let sealed: Option<Vec<u8>> = query_scalar("SELECT sealed FROM second_factors WHERE user_index = ?")
        .bind(index.as_bytes())
        .fetch_optional(connection)
        .await?;
    let Some(sealed) = sealed else { return Ok(None) };
    let place = place(&index);
    let opened = keys.open(&place, &sealed)?;
    let factor = decode(&opened);
    Ok(Some(factor.map_err(|source| StoreError::Unreadable { table: TABLE, row: place.row.label(), source })?))
}

async fn write(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    user: &UserName,
    factor: &SecondFactor,
) -> Result<(), StoreError> {
    let index = user_index(keys, user);
    query("INSERT OR REPLACE INTO second_factors (user_index, sealed) VALUES (?, ?)")
        .bind(index.as_bytes())
        .bind(keys.seal(&place(&index), &encode(factor))?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes a user's second factor away, within a change. Whether it had one.
pub(super) async fn remove(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    user: &UserName,
) -> Result<bool, StoreError> {
    let removed = query("DELETE FROM second_factors WHERE user_index = ?")
        .bind(user_index(keys, user).as_bytes())
        .execute(connection)
        .await?;
    Ok(removed.rows_affected() > 0)
}

fn user_index(keys: &Keyring, user: &UserName) -> BlindIndex {
    keys.index("second factors", user.as_str())
}

fn place(index: &BlindIndex) -> Place<'_> {
    Place { table: TABLE, column: "sealed", row: RowKey::Index(index) }
}

fn encode(factor: &SecondFactor) -> Zeroizing<Vec<u8>> {
    let mut encoder = Encoder::new(VERSION);
    encoder.raw(&factor.secret);
    encoder.number(factor.used_step);
    encoder.number(u64::try_from(factor.recovery.len()).unwrap_or(u64::MAX));
    factor.recovery.iter().for_each(|hash| encoder.raw(hash));
    Zeroizing::new(encoder.finish())
}

fn decode(bytes: &[u8]) -> Result<SecondFactor, RecordError> {
    let mut decoder = Decoder::new(bytes, VERSION)?;
    let (secret, used_step, length) = (decoder.raw()?, decoder.number()?, decoder.number()?);
    let recovery = (0..length).map(|_| decoder.raw()).collect::<Result<_, _>>()?;
    decoder.finish()?;
    Ok(SecondFactor { secret, used_step, recovery })
}

const TABLE: &str = "second_factors";
const VERSION: u8 = 1;
