//! The parts of queues that are not in memory: one sealed row each, read back by their numbers while the broker serves.

use super::database::Database;
use super::error::StoreError;
use super::keys::Keyring;
use super::numbers::list;
use super::seal::{Place, RowKey};
use crate::broker::{ChunkId, DurableId};
use bytes::Bytes;
use sqlx::{QueryBuilder, Sqlite, query_as, query_scalar};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Which parts of the queue of a session there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRange {
    /// Whose queue.
    pub session: DurableId,
    /// The first part.
    pub first: u64,
    /// The last part.
    pub last: u64,
    /// What is missing in between; the file was damaged.
    pub missing: Vec<RangeInclusive<u64>>,
}

impl Database {
    /// Which parts there are, by session.
    pub async fn chunk_ranges(&self) -> Result<Vec<ChunkRange>, StoreError> {
        // Consecutive parts have the same distance from their row number, so each group is a piece without gaps.
        let pieces: Vec<(i64, i64, i64)> = query_as(
            "SELECT session, min(chunk) AS first, max(chunk) FROM (SELECT session, chunk, \
             chunk - row_number() OVER (PARTITION BY session ORDER BY chunk) AS piece FROM queues) \
             GROUP BY session, piece ORDER BY session, first",
        )
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut ranges: Vec<ChunkRange> = Vec::new();
        for (session, first, last) in pieces {
            let session = DurableId(session.cast_unsigned());
            let (first, last) = (first.cast_unsigned(), last.cast_unsigned());
            match ranges.last_mut().filter(|range| range.session == session) {
                Some(range) => {
                    range.missing.push(range.last.saturating_add(1)..=first.saturating_sub(1));
                    range.last = last;
                }
                None => ranges.push(ChunkRange { session, first, last, missing: Vec::new() }),
            }
        }
        Ok(ranges)
    }

    /// One part of a queue.
    pub async fn load_chunk(&self, id: ChunkId) -> Result<Bytes, StoreError> {
        let numbers = numbers(id);
        let sealed: Option<Vec<u8>> = query_scalar("SELECT sealed FROM queues WHERE session = ? AND chunk = ?")
            .bind(numbers[0])
            .bind(numbers[1])
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        let place = place(numbers);
        let missing = || StoreError::Missing { table: TABLE, row: place.row.label() };
        let mut opened = self.keys().open(&place, &sealed.ok_or_else(missing)?)?;
        Ok(Bytes::from(std::mem::take(&mut *opened)))
    }
}

/// Puts parts of queues.
pub(super) fn put<'a>(
    statements: &mut QueryBuilder<Sqlite>,
    keys: &Keyring,
    chunks: impl IntoIterator<Item = (ChunkId, &'a [u8])>,
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for (id, content) in chunks {
        let numbers = numbers(id);
        rows.push((numbers, keys.seal(&place(numbers), content)?));
    }
    for rows in rows.chunks_mut(ROWS_PER_STATEMENT) {
        statements.push("REPLACE INTO queues (session, chunk, sealed) ");
        statements.push_values(rows, |mut row, ([session, chunk], sealed)| {
            row.push_bind(*session).push_bind(*chunk).push_bind(std::mem::take(sealed));
        });
        statements.push("; ");
    }
    Ok(())
}

/// Removes parts of queues, consecutive ones by their range.
pub(super) fn remove(statements: &mut QueryBuilder<Sqlite>, dropped: &BTreeSet<ChunkId>) {
    let mut ranges: Vec<[u64; 3]> = Vec::new();
    for id in dropped {
        match ranges.last_mut() {
            Some([session, _, last]) if *session == id.session.0 && last.checked_add(1) == Some(id.number) => {
                *last = id.number;
            }
            _ => ranges.push([id.session.0, id.number, id.number]),
        }
    }
    if let Some(ranges) = list(ranges) {
        statements.push("DELETE FROM queues WHERE rowid IN (SELECT queues.rowid FROM json_each(");
        statements.push_bind(ranges);
        statements.push(
            ") AS gone CROSS JOIN queues WHERE queues.session = gone.value ->> 0 \
             AND queues.chunk BETWEEN gone.value ->> 1 AND gone.value ->> 2); ",
        );
    }
}

/// Removes the queues of sessions that ended.
pub(super) fn remove_all(statements: &mut QueryBuilder<Sqlite>, ended: impl IntoIterator<Item = DurableId>) {
    if let Some(ids) = list(ended.into_iter().map(|id| [id.0])) {
        statements.push("DELETE FROM queues WHERE session IN (SELECT value ->> 0 FROM json_each(");
        statements.push_bind(ids);
        statements.push(")); ");
    }
}

fn numbers(id: ChunkId) -> [i64; 2] {
    [id.session.0.cast_signed(), id.number.cast_signed()]
}

fn place(numbers: [i64; 2]) -> Place<'static> {
    Place { table: TABLE, column: "sealed", row: RowKey::Pair(numbers) }
}

const TABLE: &str = "queues";
/// SQLite takes 32,766 values in one statement, and a row has three.
const ROWS_PER_STATEMENT: usize = 4000;
