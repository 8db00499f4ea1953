//! Many retained messages at once, while the broker runs or not.
//!
//! The version of a retained message says which of two is the later one, in the memory of a running broker and on disk.
//! So an import has to count above a broker that it does not ask: the upper bits of a counter are the number of the
//! import, the lower ones count the messages that were retained after it, of which there are fewer than 2⁴⁰.

use super::connection::rest_of_change;
use super::database::{Database, GENERATION, count};
use super::error::StoreError;
use super::import::{Attempt, Imported, OnExisting, Outcome};
use super::retained::{RetainedChange, RetainedPlace, RetainedRecord, is_retained, topic_index, write};
use super::seal::BlindIndex;
use super::wall_clock::UnixMillis;
use crate::broker::RetainedVersion;
use sqlx::{SqliteConnection, query_scalar};
use std::collections::{BTreeMap, BTreeSet};

impl Database {
    /// Imports retained messages, each with the number of its line; their versions are given to them here.
    ///
    /// Every line is tried first. What is then written goes in several changes, so that a running broker need not wait for
    /// all of it: an import that is interrupted has done a part, and may be done again.
    pub async fn import_retained(
        &self,
        records: Vec<(usize, RetainedRecord)>,
        on_existing: OnExisting,
        attempt: Attempt,
    ) -> Result<Imported, StoreError> {
        let mut tried = self.try_retained(&records, on_existing).await?;
        if attempt == Attempt::Preview || !tried.problems.is_empty() {
            return Ok(tried);
        }
        (tried.added, tried.replaced, tried.skipped) = (0, 0, 0);
        let greatest = self.greatest_import().await?;
        let mut records = records.into_iter().map(|(_, record)| record).peekable();
        while records.peek().is_some() {
            let batch: Vec<_> = records.by_ref().take(ROWS_PER_CHANGE).collect();
            self.import_batch(batch, on_existing, greatest, &mut tried).await?;
        }
        if tried.added + tried.replaced > 0 {
            let mut change = self.change().await?;
            count(change.connection(), GENERATION).await?;
            change.commit().await?;
        }
        Ok(tried)
    }

    /// The number of the last import; none is 0.
    pub async fn last_retained_import(&self) -> Result<u64, StoreError> {
        let value: Option<i64> = query_scalar("SELECT value FROM counters WHERE name = ?")
            .bind(IMPORTS)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        Ok(value.unwrap_or_default().cast_unsigned())
    }

    async fn try_retained(
        &self,
        records: &[(usize, RetainedRecord)],
        on_existing: OnExisting,
    ) -> Result<Imported, StoreError> {
        let (mut tried, now) = (Imported::default(), UnixMillis::now());
        let mut seen = BTreeSet::new();
        for (line, record) in records {
            let index = topic_index(self.keys(), &record.message.topic);
            let is_there =
                !seen.insert(index) || is_retained(&mut *self.reader().await?, self.keys(), &index, now).await?;
            let outcome = match (is_there, on_existing) {
                (true, OnExisting::Refuse) => Err(StoreError::RetainedExists(record.message.topic.clone())),
                (_, OnExisting::Refuse | OnExisting::Skip | OnExisting::Replace) => Ok(outcome(is_there, on_existing)),
            };
            tried.note(*line, outcome);
        }
        Ok(tried)
    }

    /// What was published since it was tried stays, unless all is to be replaced.
    async fn import_batch(
        &self,
        batch: Vec<RetainedRecord>,
        on_existing: OnExisting,
        greatest: i64,
        imported: &mut Imported,
    ) -> Result<(), StoreError> {
        let (keys, now) = (self.keys(), UnixMillis::now());
        let mut change = self.change().await?;
        let version = next_version(change.connection(), greatest).await?;
        // Of several messages of a topic the last one is written if all are to be replaced, else the first one.
        let mut rows: BTreeMap<BlindIndex, RetainedRecord> = BTreeMap::new();
        for mut record in batch {
            record.version = version;
            let index = topic_index(keys, &record.message.topic);
            let is_there = rows.contains_key(&index) || is_retained(change.connection(), keys, &index, now).await?;
            let outcome = outcome(is_there, on_existing);
            if matches!(outcome, Outcome::Added | Outcome::Replaced) {
                rows.insert(index, record);
            }
            imported.note(0, Ok(outcome));
        }
        let changes: Vec<_> =
            rows.iter().map(|(index, record)| (*index, version, RetainedChange::Put(record))).collect();
        let mut statements = rest_of_change();
        write(&mut statements, keys, &changes)?;
        change.finish(statements).await
    }

    /// The greatest number of an import among the rows: a database that was salvaged may have lost the one that it counted.
    async fn greatest_import(&self) -> Result<i64, StoreError> {
        let greatest: Option<Vec<u8>> =
            query_scalar("SELECT max(version) FROM retained").fetch_one(&mut *self.reader().await?).await?;
        let counter = greatest.and_then(|version| version.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)));
        Ok((counter.unwrap_or_default() >> AFTER_AN_IMPORT).cast_signed())
    }
}

impl RetainedPlace {
    /// Only those that came with a later import than this, or after that.
    pub fn after_import(number: u64) -> Self {
        Self::from_version(version_of(number.saturating_add(1)))
    }
}

fn outcome(is_there: bool, on_existing: OnExisting) -> Outcome {
    match (is_there, on_existing) {
        (false, _) => Outcome::Added,
        (true, OnExisting::Replace) => Outcome::Replaced,
        (true, OnExisting::Refuse | OnExisting::Skip) => Outcome::Skipped,
    }
}

async fn next_version(connection: &mut SqliteConnection, greatest: i64) -> Result<RetainedVersion, StoreError> {
    let number: i64 = query_scalar(
        "INSERT INTO counters (name, value) VALUES (?, ? + 1) \
         ON CONFLICT (name) DO UPDATE SET value = max(value + 1, excluded.value) RETURNING value",
    )
    .bind(IMPORTS)
    .bind(greatest)
    .fetch_one(connection)
    .await?;
    Ok(version_of(number.cast_unsigned()))
}

/// No message that was retained before has a greater one.
fn version_of(import: u64) -> RetainedVersion {
    RetainedVersion { counter: import << AFTER_AN_IMPORT, shard: 0 }
}

/// Bits for the messages that are retained after an import: at a million in a second they last for twelve days without
/// another import or a restart of the count, and nobody retains a million in a second.
const AFTER_AN_IMPORT: u32 = 40;
const IMPORTS: &str = "retained_imports";
/// A change of so many rows holds the running broker up for some hundredths of a second.
const ROWS_PER_CHANGE: usize = 1000;
