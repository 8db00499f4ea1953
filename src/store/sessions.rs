//! Checkpoints: sessions as they were at the end of a frame, one sealed row each.

use super::database::Database;
use super::error::StoreError;
use super::keys::Keyring;
use super::numbers::list;
use super::seal::{Place, RowKey};
use crate::broker::{DurableId, FrameNumber};
use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::{QueryBuilder, Sqlite, query_as};

/// A session as it was at the end of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Which.
    pub id: DurableId,
    /// The run of that frame.
    pub run: u64,
    /// Its number, of the shard that owned the session in that run.
    pub frame: FrameNumber,
    /// The session.
    pub state: Bytes,
}

/// A session to be written.
pub(super) struct Checkpoint<'a> {
    pub(super) run: u64,
    pub(super) frame: FrameNumber,
    pub(super) state: &'a [u8],
}

impl Database {
    /// Hands over all checkpoints, by the numbers of their sessions; some rows at a time are in memory.
    ///
    /// Returns what is wrong with those that were left out: [`StoreError::SessionLost`] names the session.
    pub async fn load_sessions(&self, mut each: impl FnMut(SessionRow)) -> Result<Vec<StoreError>, StoreError> {
        let mut damaged = Vec::new();
        let mut reader = self.reader().await?;
        let mut rows = query_as("SELECT id, run, frame, sealed FROM sessions ORDER BY id").fetch(&mut *reader);
        while let Some(row) = rows.try_next().await? {
            match open(self.keys(), row) {
                Ok(row) => each(row),
                Err(error) => damaged.push(error),
            }
        }
        Ok(damaged)
    }
}

/// Puts checkpoints in the place of earlier ones.
pub(super) fn put<'a>(
    statements: &mut QueryBuilder<Sqlite>,
    keys: &Keyring,
    checkpoints: impl IntoIterator<Item = (DurableId, Checkpoint<'a>)>,
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for (id, checkpoint) in checkpoints {
        let numbers = [id.0.cast_signed(), checkpoint.run.cast_signed(), checkpoint.frame.0.cast_signed()];
        rows.push((numbers, keys.seal(&place(numbers), checkpoint.state)?));
    }
    for rows in rows.chunks_mut(ROWS_PER_STATEMENT) {
        statements.push("REPLACE INTO sessions (id, run, frame, sealed) ");
        statements.push_values(rows, |mut row, ([id, run, frame], sealed)| {
            row.push_bind(*id).push_bind(*run).push_bind(*frame).push_bind(std::mem::take(sealed));
        });
        statements.push("; ");
    }
    Ok(())
}

/// Removes checkpoints.
pub(super) fn remove(statements: &mut QueryBuilder<Sqlite>, ended: impl IntoIterator<Item = DurableId>) {
    if let Some(ids) = list(ended.into_iter().map(|id| [id.0])) {
        statements.push("DELETE FROM sessions WHERE id IN (SELECT value ->> 0 FROM json_each(");
        statements.push_bind(ids);
        statements.push(")); ");
    }
}

fn open(keys: &Keyring, (id, run, frame, sealed): (i64, i64, i64, Vec<u8>)) -> Result<SessionRow, StoreError> {
    let session = DurableId(id.cast_unsigned());
    let mut opened = keys
        .open(&place([id, run, frame]), &sealed)
        .map_err(|source| StoreError::SessionLost { id: session, source })?;
    let state = Bytes::from(std::mem::take(&mut *opened));
    Ok(SessionRow { id: session, run: run.cast_unsigned(), frame: FrameNumber(frame.cast_unsigned()), state })
}

/// The run and the frame are part of the place: they decide which rows of the journal the checkpoint covers.
fn place(numbers: [i64; 3]) -> Place<'static> {
    Place { table: "sessions", column: "sealed", row: RowKey::Triple(numbers) }
}

/// SQLite takes 32,766 values in one statement, and a row has four.
const ROWS_PER_STATEMENT: usize = 4000;
