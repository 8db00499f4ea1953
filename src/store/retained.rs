//! Retained messages: one sealed row per topic, found by a blind index of the topic.

use super::database::Database;
use super::error::{RecordError, StoreError};
use super::keys::Keyring;
use super::record::{Decoder, Encoder};
use super::seal::{BlindIndex, Place, RowKey};
use super::wall_clock::UnixMillis;
use crate::broker::{Durability, Message, MessageProperties, Origin, RetainedVersion};
use crate::protocol::{QoS, TopicName};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, query_as};
use std::sync::Arc;

/// A retained message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainedRecord {
    /// Which one it is.
    pub version: RetainedVersion,
    /// When it becomes worthless, by the wall clock: a running broker's clock begins anew with the process.
    pub expires: Option<UnixMillis>,
    /// The message. Its `expires_at` is not stored, and `None` when it is loaded.
    pub message: Message,
}

/// What a start finds.
#[derive(Debug, Default)]
pub struct LoadedRetained {
    /// The messages.
    pub records: Vec<RetainedRecord>,
    /// The rows that could not be read. They are left where they are, until a new message for their topic replaces them.
    pub damaged: Vec<StoreError>,
}

impl Database {
    /// All retained messages. A damaged one is reported and keeps the broker from nothing.
    pub async fn load_retained(&self) -> Result<LoadedRetained, StoreError> {
        let mut all = LoadedRetained::default();
        let mut from = RetainedPlace::default();
        loop {
            let page = self.load_retained_page(&mut from).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.records.extend(page.records);
            all.damaged.extend(page.damaged);
        }
    }

    /// Some more of the retained messages; nothing at the end.
    pub async fn load_retained_page(&self, from: &mut RetainedPlace) -> Result<LoadedRetained, StoreError> {
        let rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = query_as(
            "SELECT topic_index, version, sealed FROM retained WHERE topic_index > ? AND version >= ? \
             ORDER BY topic_index LIMIT ?",
        )
        .bind(from.after.as_slice())
        .bind(version_bytes(from.version).to_vec())
        .bind(ROWS_AT_ONCE)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut page = LoadedRetained::default();
        for row in rows {
            match open(self.keys(), &row) {
                Ok(record) => page.records.push(record),
                Err(error) => page.damaged.push(error),
            }
            from.after = row.0;
        }
        Ok(page)
    }
}

/// Where the reading of the retained messages goes on.
#[derive(Debug, Default)]
pub struct RetainedPlace {
    after: Vec<u8>,
    version: RetainedVersion,
}

impl RetainedPlace {
    /// Only those of this version or a later one.
    pub fn from_version(version: RetainedVersion) -> Self {
        Self { after: Vec::new(), version }
    }
}

impl LoadedRetained {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.damaged.is_empty()
    }
}

/// The row of a topic, if there is one and what is in it is not worthless by now.
pub(super) async fn is_retained(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    index: &BlindIndex,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let row: Option<(Vec<u8>, Vec<u8>, Vec<u8>)> =
        query_as("SELECT topic_index, version, sealed FROM retained WHERE topic_index = ?")
            .bind(index.as_bytes().to_vec())
            .fetch_optional(connection)
            .await?;
    // What is damaged is nothing that anybody gets.
    let kept = row.and_then(|row| open(keys, &row).ok());
    Ok(kept.is_some_and(|record| record.expires.is_none_or(|end| end > now)))
}

/// One change of a topic's retained message.
pub(super) enum RetainedChange<'a> {
    Put(&'a RetainedRecord),
    Remove,
}

/// Where a topic's row is.
pub(super) fn topic_index(keys: &Keyring, topic: &TopicName) -> BlindIndex {
    keys.index(TABLE, topic.as_str())
}

/// Puts and removes rows where the version is greater than the one that is there: two statements, whatever their number.
pub(super) fn write(
    statements: &mut QueryBuilder<Sqlite>,
    keys: &Keyring,
    changes: &[(BlindIndex, RetainedVersion, RetainedChange<'_>)],
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    let mut removed = Vec::new();
    for (index, version, change) in changes {
        match change {
            RetainedChange::Put(record) => {
                rows.push((*index, *version, keys.seal(&place(index), &encode(record))?));
            }
            RetainedChange::Remove => removed.push((*index, *version)),
        }
    }
    for rows in rows.chunks_mut(ROWS_PER_STATEMENT) {
        statements.push("INSERT INTO retained (topic_index, version, sealed) ");
        statements.push_values(rows, |mut row, (index, version, sealed)| {
            row.push_bind(index.as_bytes().to_vec());
            row.push_bind(version_bytes(*version).to_vec());
            row.push_bind(std::mem::take(sealed));
        });
        statements.push(
            " ON CONFLICT (topic_index) DO UPDATE SET version = excluded.version, sealed = excluded.sealed \
             WHERE excluded.version > retained.version; ",
        );
    }
    for removed in removed.chunks(ROWS_PER_STATEMENT) {
        statements.push("WITH gone (topic_index, version) AS (");
        statements.push_values(removed, |mut row, (index, version)| {
            row.push_bind(index.as_bytes().to_vec());
            row.push_bind(version_bytes(*version).to_vec());
        });
        statements.push(
            ") DELETE FROM retained WHERE rowid IN (SELECT retained.rowid FROM gone CROSS JOIN retained \
             ON retained.topic_index = gone.topic_index WHERE retained.version <= gone.version); ",
        );
    }
    Ok(())
}

/// Bytes that compare as the versions do.
fn version_bytes(version: RetainedVersion) -> [u8; VERSION_LEN] {
    let mut bytes = [0; VERSION_LEN];
    let numbers = version.counter.to_be_bytes().into_iter().chain(version.shard.to_be_bytes());
    for (to, from) in bytes.iter_mut().zip(numbers) {
        *to = from;
    }
    bytes
}

fn open(keys: &Keyring, (column, version, sealed): &(Vec<u8>, Vec<u8>, Vec<u8>)) -> Result<RetainedRecord, StoreError> {
    let index = BlindIndex::of_column(column);
    let place = place(&index);
    let opened = keys.open(&place, sealed)?;
    let record = decode(&opened).and_then(|record| {
        let agrees = version_bytes(record.version).as_slice() == version.as_slice()
            && topic_index(keys, &record.message.topic).as_bytes() == column.as_slice();
        if agrees { Ok(record) } else { Err(RecordError::Disagrees) }
    });
    record.map_err(|source| StoreError::Unreadable { table: TABLE, row: place.row.label(), source })
}

/// The blind index that goes with what is sealed in a row.
pub(super) fn index_of(keys: &Keyring, opened: &[u8]) -> Option<BlindIndex> {
    decode(opened).ok().map(|record| topic_index(keys, &record.message.topic))
}

fn place(index: &BlindIndex) -> Place<'_> {
    Place { table: TABLE, column: "sealed", row: RowKey::Index(index) }
}

fn encode(record: &RetainedRecord) -> Vec<u8> {
    let message = &record.message;
    let properties = &message.properties;
    let mut encoder = Encoder::new(VERSION);
    encoder.number(record.version.counter);
    encoder.number(u64::from(record.version.shard));
    encoder.option(record.expires, |encoder, expires| encoder.number(expires.as_millis()));
    encoder.string(message.topic.as_str());
    encoder.byte(message.qos.bits());
    encoder.flag(message.retain);
    match &message.origin {
        Origin::Client(key) => {
            encoder.byte(ORIGIN_CLIENT);
            encoder.session_key(key);
        }
        Origin::System => encoder.byte(ORIGIN_SYSTEM),
    }
    encoder.option(properties.payload_is_utf8, Encoder::flag);
    encoder.option(properties.content_type.as_ref(), |encoder, text| encoder.string(text.as_str()));
    encoder.option(properties.response_topic.as_ref(), |encoder, text| encoder.string(text.as_str()));
    encoder.option(properties.correlation_data.as_ref(), |encoder, data| encoder.data(data));
    encoder.number(u64::try_from(properties.user_properties.len()).unwrap_or(u64::MAX));
    for (name, value) in &properties.user_properties {
        encoder.string(name.as_str());
        encoder.string(value.as_str());
    }
    encoder.data(&message.payload);
    encoder.finish()
}

fn decode(bytes: &[u8]) -> Result<RetainedRecord, RecordError> {
    let mut decoder = Decoder::new(bytes, VERSION)?;
    let version = RetainedVersion { counter: decoder.number()?, shard: decoder.narrow()? };
    let expires = decoder.option(Decoder::number)?.map(UnixMillis::from_millis);
    let topic = decoder.topic()?;
    let qos = decoder.byte()?;
    let qos = QoS::from_bits(qos).ok_or(RecordError::UnknownKind(u64::from(qos)))?;
    let retain = decoder.flag()?;
    let origin = match decoder.byte()? {
        ORIGIN_CLIENT => Origin::Client(Arc::new(decoder.session_key()?)),
        ORIGIN_SYSTEM => Origin::System,
        other => return Err(RecordError::UnknownKind(u64::from(other))),
    };
    let mut properties = MessageProperties {
        payload_is_utf8: decoder.option(Decoder::flag)?,
        content_type: decoder.option(Decoder::text)?,
        response_topic: decoder.option(Decoder::text)?,
        correlation_data: decoder.option(Decoder::bytes)?,
        user_properties: Vec::new(),
    };
    for _ in 0..decoder.number()? {
        properties.user_properties.push((decoder.text()?, decoder.text()?));
    }
    let payload = decoder.bytes()?;
    decoder.finish()?;
    let durability = Durability::Commit;
    let message =
        Message { topic, payload, qos, retain, expires_at: None, origin, durability, properties: properties.into() };
    Ok(RetainedRecord { version, expires, message })
}

const TABLE: &str = "retained";
const VERSION: u8 = 1;
const VERSION_LEN: usize = 10;
const ORIGIN_CLIENT: u8 = 0;
const ORIGIN_SYSTEM: u8 = 1;
/// So many rows are in memory twice while all are loaded.
const ROWS_AT_ONCE: i64 = 256;
/// SQLite takes 32,766 values in one statement, and a row has three.
const ROWS_PER_STATEMENT: usize = 4000;
