//! What earlier runs of the broker left: the durable sessions, for the shards that own them now.
//!
//! It is kept as it was stored, and each shard reads its own part of it, a frame at a time: read all at once it would be
//! several times as large in memory, which nobody gives back.

use super::error::ServerError;
use crate::broker::{ClockReading, DurableId, FrameNumber, Record, ShardId, Timestamp, shard_of_partition};
use crate::store::{Database, JournalRow, SessionRow};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// What one shard has to bring back.
#[derive(Debug)]
pub struct Past {
    shard: ShardId,
    shards: u16,
    stored: Arc<Stored>,
}

/// What all of them have to.
#[derive(Debug, Default)]
struct Stored {
    checkpoints: Vec<(DurableId, Bytes)>,
    /// Changes after that, in order, with the run and the frame they are of.
    frames: Vec<((u64, FrameNumber), Bytes)>,
    /// The frame that each session's checkpoint has seen.
    covered: HashMap<DurableId, (u64, FrameNumber)>,
    last_change: Option<Timestamp>,
}

/// Moments are stored by the clock of the broker, which goes on from run to run: no reading of it moves them.
const AS_STORED: ClockReading = ClockReading { now: Timestamp::from_millis(0), wall_ms: 0 };

/// The past of each of `shards` shards, and when the last change of it was stored. What cannot be read is said and left
/// out.
pub async fn load_past(database: &Database, shards: u16) -> Result<(Vec<Past>, Option<Timestamp>), ServerError> {
    let mut stored = Stored::default();
    let mut damaged = database.load_sessions(|row| stored.checkpoint(row)).await?;
    damaged.extend(database.load_journal(|row| stored.frame(row)).await?);
    damaged.iter().for_each(|problem| say_unreadable(problem));
    let (last_change, stored) = (stored.last_change, Arc::new(stored));
    let past = |shard| Past { shard: ShardId(shard), shards, stored: Arc::clone(&stored) };
    Ok(((0..shards).map(past).collect(), last_change))
}

fn say_unreadable(problem: &dyn std::fmt::Display) {
    tracing::error!(%problem, "a part of the sessions cannot be read and is left out");
}

impl Stored {
    fn checkpoint(&mut self, row: SessionRow) {
        self.covered.insert(row.id, (row.run, row.frame));
        self.note_time(&row.state);
        self.checkpoints.push((row.id, row.state));
    }

    fn frame(&mut self, row: JournalRow) {
        self.note_time(&row.records);
        self.frames.push(((row.run, row.frame), row.records));
    }

    fn note_time(&mut self, records: &Bytes) {
        if let Ok(written) = Record::written_at(records.clone(), AS_STORED) {
            self.last_change = self.last_change.max(Some(written));
        }
    }

    /// Whether the session's checkpoint does not have the changes of a frame.
    fn is_new(&self, session: DurableId, frame: (u64, FrameNumber)) -> bool {
        self.covered.get(&session).is_none_or(|covered| *covered < frame)
    }
}

impl Past {
    /// The sessions of this shard as their checkpoints have them.
    pub fn checkpoints(&self) -> impl Iterator<Item = Vec<Record>> {
        let own = self.stored.checkpoints.iter().filter(|(id, _)| self.owns(*id));
        own.filter_map(|(id, state)| match Record::decode_all(state.clone(), AS_STORED) {
            Ok(records) => Some(records),
            Err(problem) => {
                say_unreadable(&format_args!("checkpoint of session {}: {problem}", id.0));
                None
            }
        })
    }

    /// The changes of these sessions after that, in order.
    pub fn changes(&self) -> impl Iterator<Item = Record> {
        self.stored.frames.iter().flat_map(|(frame, records)| {
            let records = Record::decode_all(records.clone(), AS_STORED).unwrap_or_else(|problem| {
                // All shards read it; one says so.
                if self.shard == ShardId(0) {
                    say_unreadable(&format_args!("frame {} of run {}: {problem}", frame.1.0, frame.0));
                }
                Vec::new()
            });
            records.into_iter().filter_map(|record| self.own_part(*frame, record))
        })
    }

    /// What of a change is for sessions of this shard whose checkpoints do not have it.
    fn own_part(&self, frame: (u64, FrameNumber), record: Record) -> Option<Record> {
        let concerns = |session| self.owns(session) && self.stored.is_new(session, frame);
        if let Some(session) = record.session() {
            return concerns(session).then_some(record);
        }
        let Record::Queued { message, mut receivers, once } = record else { return None };
        receivers.retain(|receiver| concerns(receiver.session));
        (!receivers.is_empty()).then_some(Record::Queued { message, receivers, once })
    }

    fn owns(&self, session: DurableId) -> bool {
        shard_of_partition(session.partition(), self.shards) == self.shard
    }
}
