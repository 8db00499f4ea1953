//! What earlier runs of the broker left: the durable sessions, sorted by the shards that own them now.

use super::error::ServerError;
use crate::broker::{ClockReading, DurableId, FrameNumber, Receiver, Record, Timestamp, shard_of_partition};
use crate::store::{Database, JournalRow, SessionRow};
use std::collections::HashMap;
use std::sync::Arc;

/// What one shard has to bring back.
#[derive(Debug, Default)]
pub struct Past {
    /// Sessions as their checkpoints have them.
    pub checkpoints: Vec<Vec<Record>>,
    /// Changes after that, in order.
    pub changes: Vec<Record>,
}

/// Reads everything that earlier runs left.
struct Sorter {
    pasts: Vec<Past>,
    /// The frame that each session's checkpoint has seen.
    covered: HashMap<DurableId, (u64, FrameNumber)>,
    last_change: Option<Timestamp>,
    /// What could not be read, in words.
    damaged: Vec<String>,
}

/// Moments are stored by the clock of the broker, which goes on from run to run: no reading of it moves them.
const AS_STORED: ClockReading = ClockReading { now: Timestamp::from_millis(0), wall_ms: 0 };

/// The past of each of `shards` shards, and when the last change of it was stored. What cannot be read is said and left
/// out.
pub async fn load_past(database: &Database, shards: u16) -> Result<(Vec<Past>, Option<Timestamp>), ServerError> {
    let pasts = (0..shards).map(|_| Past::default()).collect();
    let mut sorter = Sorter { pasts, covered: HashMap::new(), last_change: None, damaged: Vec::new() };
    let mut damaged = database.load_sessions(|row| sorter.checkpoint(row)).await?;
    damaged.extend(database.load_journal(|row| sorter.journal(row)).await?);
    let unread = damaged.iter().map(ToString::to_string);
    for problem in unread.chain(std::mem::take(&mut sorter.damaged)) {
        tracing::error!(%problem, "a part of the sessions cannot be read and is left out");
    }
    Ok((sorter.pasts, sorter.last_change))
}

impl Sorter {
    fn checkpoint(&mut self, row: SessionRow) {
        self.covered.insert(row.id, (row.run, row.frame));
        self.note_time(&row.state);
        match Record::decode_all(row.state, AS_STORED) {
            Ok(records) => {
                if let Some(past) = self.past_of(row.id) {
                    past.checkpoints.push(records);
                }
            }
            Err(problem) => self.damaged.push(format!("checkpoint of session {}: {problem}", row.id.0)),
        }
    }

    fn journal(&mut self, row: JournalRow) {
        self.note_time(&row.records);
        match Record::decode_all(row.records, AS_STORED) {
            Ok(records) => records.into_iter().for_each(|record| self.change((row.run, row.frame), record)),
            Err(problem) => self.damaged.push(format!("frame {} of run {}: {problem}", row.frame.0, row.run)),
        }
    }

    /// Gives a change to the shards of those it is for, unless their checkpoints have it.
    fn change(&mut self, frame: (u64, FrameNumber), record: Record) {
        let Some(session) = record.session() else {
            return self.message(frame, record);
        };
        if self.is_new(session, frame)
            && let Some(past) = self.past_of(session)
        {
            past.changes.push(record);
        }
    }

    fn message(&mut self, frame: (u64, FrameNumber), record: Record) {
        let Record::Queued { message, receivers, once } = record else { return };
        let mut by_shard: Vec<Vec<Receiver>> = self.pasts.iter().map(|_| Vec::new()).collect();
        for receiver in receivers {
            if self.is_new(receiver.session, frame)
                && let Some(receivers) = by_shard.get_mut(self.shard_of(receiver.session))
            {
                receivers.push(receiver);
            }
        }
        for (past, receivers) in self.pasts.iter_mut().zip(by_shard).filter(|(_, receivers)| !receivers.is_empty()) {
            past.changes.push(Record::Queued { message: Arc::clone(&message), receivers, once });
        }
    }

    fn is_new(&self, session: DurableId, frame: (u64, FrameNumber)) -> bool {
        self.covered.get(&session).is_none_or(|covered| *covered < frame)
    }

    fn shard_of(&self, session: DurableId) -> usize {
        let shards = u16::try_from(self.pasts.len()).unwrap_or(u16::MAX);
        usize::from(shard_of_partition(session.partition(), shards).0)
    }

    fn past_of(&mut self, session: DurableId) -> Option<&mut Past> {
        let shard = self.shard_of(session);
        self.pasts.get_mut(shard)
    }

    fn note_time(&mut self, records: &bytes::Bytes) {
        if let Ok(written) = Record::written_at(records.clone(), AS_STORED) {
            self.last_change = self.last_change.max(Some(written));
        }
    }
}
