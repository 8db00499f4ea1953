//! The journal: what the shards decided, one sealed row for each frame, until checkpoints cover it.

use super::database::{Database, count};
use super::error::{RecordError, RowLabel, StoreError};
use super::keys::Keyring;
use super::numbers::list;
use super::seal::{Place, RowKey};
use crate::broker::FrameNumber;
use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::{QueryBuilder, Sqlite, query, query_as, query_scalar};
use std::collections::HashMap;

/// The records of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// In which run of the broker it was written.
    pub run: u64,
    /// By which of its shards.
    pub shard: u16,
    /// As which of the frames of that shard.
    pub frame: FrameNumber,
    /// What the frame said.
    pub records: Bytes,
}

/// Which frame a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameKey {
    pub(super) run: u64,
    pub(super) shard: u16,
    pub(super) frame: FrameNumber,
}

impl Database {
    /// Begins a run of the broker: a number greater than that of every run before.
    pub async fn begin_run(&self) -> Result<u64, StoreError> {
        let mut change = self.change().await?;
        let counted = count(change.connection(), RUN).await?;
        // Rows outlast a counter that was turned back; a frame of theirs must not be written again.
        let used: Option<i64> =
            query_scalar("SELECT max(run) FROM journal").fetch_one(&mut *change.connection()).await?;
        let run = match used {
            Some(used) if used >= counted => used.checked_add(1).ok_or_else(no_more_runs)?,
            _ => counted,
        };
        query("UPDATE counters SET value = ? WHERE name = ?")
            .bind(run)
            .bind(RUN)
            .execute(&mut *change.connection())
            .await?;
        change.commit().await?;
        Ok(run.cast_unsigned())
    }

    /// Hands over what the journal holds, in the order in which it was stored; some rows at a time are in memory.
    ///
    /// Returns what is wrong with rows that were left out: a row that does not open, or one that is out of order.
    pub async fn load_journal(&self, mut each: impl FnMut(JournalRow)) -> Result<Vec<StoreError>, StoreError> {
        let mut damaged = Vec::new();
        let mut order = Order::default();
        let mut reader = self.reader().await?;
        let mut rows = query_as("SELECT run, shard, frame, sealed FROM journal ORDER BY seq").fetch(&mut *reader);
        while let Some(row) = rows.try_next().await? {
            match open(self.keys(), row).and_then(|row| order.admit(row)) {
                Ok(row) => each(row),
                Err(error) => damaged.push(error),
            }
        }
        Ok(damaged)
    }
}

/// The order of the rows is not sealed, but what is sealed in them tells it: runs follow each other, and so do the frames of
/// a shard.
#[derive(Default)]
struct Order {
    run: u64,
    last: HashMap<u16, FrameNumber>,
}

impl Order {
    fn admit(&mut self, row: JournalRow) -> Result<JournalRow, StoreError> {
        if row.run > self.run {
            *self = Self { run: row.run, last: HashMap::new() };
        }
        let follows = self.last.get(&row.shard).is_none_or(|last| *last < row.frame);
        if row.run < self.run || !follows {
            let row = FrameKey { run: row.run, shard: row.shard, frame: row.frame }.row().label();
            return Err(StoreError::Unreadable { table: TABLE, row, source: RecordError::Disagrees });
        }
        self.last.insert(row.shard, row.frame);
        Ok(row)
    }
}

/// Adds rows at the end of the journal.
pub(super) fn append(
    statements: &mut QueryBuilder<Sqlite>,
    keys: &Keyring,
    rows: &[(FrameKey, &[u8])],
) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let sealed: Vec<_> = rows
            .iter()
            .map(|(key, records)| Ok((key.numbers(), keys.seal(&place(key.row()), records)?)))
            .collect::<Result<_, StoreError>>()?;
        statements.push("INSERT INTO journal (run, shard, frame, sealed) ");
        statements.push_values(sealed, |mut row, ([run, shard, frame], sealed)| {
            row.push_bind(run).push_bind(shard).push_bind(frame).push_bind(sealed);
        });
        statements.push("; ");
    }
    Ok(())
}

/// Removes the rows of shards of one run, each below a frame.
pub(super) fn cut(statements: &mut QueryBuilder<Sqlite>, run: u64, cuts: &[(u16, FrameNumber)]) {
    if let Some(cuts) = list(cuts.iter().map(|(shard, before)| [u64::from(*shard), before.0])) {
        statements.push("DELETE FROM journal WHERE seq IN (SELECT journal.seq FROM json_each(");
        statements.push_bind(cuts);
        statements.push(") AS cut CROSS JOIN journal WHERE journal.run = ");
        statements.push_bind(run.cast_signed());
        statements.push(" AND journal.shard = cut.value ->> 0 AND journal.frame < cut.value ->> 1); ");
    }
}

/// Removes the rows of all runs before one.
pub(super) fn cut_past(statements: &mut QueryBuilder<Sqlite>, run: u64) {
    statements.push("DELETE FROM journal WHERE run < ");
    statements.push_bind(run.cast_signed());
    statements.push("; ");
}

fn open(keys: &Keyring, (run, shard, frame, sealed): (i64, i64, i64, Vec<u8>)) -> Result<JournalRow, StoreError> {
    let row = RowKey::Triple([run, shard, frame]);
    let mut opened = keys.open(&place(row), &sealed)?;
    let shard = u16::try_from(shard).map_err(|_| StoreError::Unreadable {
        table: TABLE,
        row: row.label(),
        source: RecordError::OutOfRange,
    })?;
    let records = Bytes::from(std::mem::take(&mut *opened));
    Ok(JournalRow { run: run.cast_unsigned(), shard, frame: FrameNumber(frame.cast_unsigned()), records })
}

impl FrameKey {
    fn numbers(self) -> [i64; 3] {
        [self.run.cast_signed(), i64::from(self.shard), self.frame.0.cast_signed()]
    }

    fn row(self) -> RowKey<'static> {
        RowKey::Triple(self.numbers())
    }
}

fn place(row: RowKey<'static>) -> Place<'static> {
    Place { table: TABLE, column: "sealed", row }
}

fn no_more_runs() -> StoreError {
    StoreError::Unreadable { table: "counters", row: RowLabel::Name(RUN), source: RecordError::OutOfRange }
}

const TABLE: &str = "journal";
pub(super) const RUN: &str = "run";
/// SQLite takes 32,766 values in one statement, and a row has four.
const ROWS_PER_STATEMENT: usize = 4000;
