//! The log as it is written, for everybody who watches it at the pages: read from the store once, however many watch.
//!
//! The broker is not asked for anything, so nobody who watches can slow it down, and what commands and other processes
//! write is seen, too, with or without a broker. Nothing is read while nobody watches.

use crate::audit::json;
use crate::store::{Database, LogBatch, StoreError};
use serde_json::Value;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;

/// Some events that were written together, ready to be sent.
#[derive(Debug)]
pub struct Written {
    /// The batch, as it is stored.
    pub batch: LogBatch,
    /// Each of its events as JSON text, in order; made when the first one needs it.
    shown: Vec<OnceLock<String>>,
}

impl Written {
    /// Of this batch.
    pub fn new(batch: LogBatch) -> Self {
        Self { shown: batch.events.iter().map(|_| OnceLock::new()).collect(), batch }
    }

    /// The event at that place as JSON text, the same for everybody who watches; nothing if there is none.
    pub fn shown(&self, index: usize) -> &str {
        let (Some(shown), Some(event)) = (self.shown.get(index), self.batch.events.get(index)) else { return "null" };
        shown.get_or_init(|| {
            let mut event = json(event);
            if let Value::Object(object) = &mut event {
                object.insert("seq".into(), seq(self.batch.number, index).into());
            }
            event.to_string()
        })
    }
}

/// The number of an event: grows along the log, stays below what a page can count to, and says where to go on.
pub fn seq(batch: i64, index: usize) -> i64 {
    batch.saturating_mul(SEQ_STEP).saturating_add(i64::try_from(index).unwrap_or(SEQ_STEP - 2)).saturating_add(1)
}

/// The batch and the place in it behind the event of this number.
pub fn place_after(seq: i64) -> (i64, usize) {
    (seq.div_euclid(SEQ_STEP), usize::try_from(seq.rem_euclid(SEQ_STEP)).unwrap_or_default())
}

/// More than a batch ever holds.
const SEQ_STEP: i64 = 4096;

/// Reads the log while somebody watches.
pub struct Follower {
    database: Database,
    sender: broadcast::Sender<Arc<Written>>,
    is_reading: Arc<Mutex<bool>>,
}

impl Follower {
    /// Nobody watches yet.
    pub fn new(database: Database) -> Self {
        Self { database, sender: broadcast::Sender::new(KEPT), is_reading: Arc::default() }
    }

    /// Begins to watch: the batches that are written from now on, and the number of the last one before them.
    pub async fn watch(&self) -> Result<(i64, broadcast::Receiver<Arc<Written>>), StoreError> {
        let receiver = self.sender.subscribe();
        let last = self.database.last_batch().await?;
        let mut is_reading = self.is_reading.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_reading {
            *is_reading = true;
            let (database, sender) = (self.database.clone(), self.sender.clone());
            tokio::spawn(read(database, sender, last, Arc::clone(&self.is_reading)));
        }
        Ok((last, receiver))
    }
}

async fn read(
    database: Database,
    sender: broadcast::Sender<Arc<Written>>,
    mut last: i64,
    is_reading: Arc<Mutex<bool>>,
) {
    loop {
        tokio::time::sleep(EVERY).await;
        {
            // Under the lock, so that whoever begins to watch now either is counted or starts another reader.
            let mut is_reading = is_reading.lock().unwrap_or_else(PoisonError::into_inner);
            if sender.receiver_count() == 0 {
                *is_reading = false;
                return;
            }
        }
        match database.batches_after(last, AT_ONCE).await {
            Ok(batches) => {
                for batch in batches {
                    last = batch.number;
                    // It fails when the last one stopped watching just now.
                    let _ = sender.send(Arc::new(Written::new(batch)));
                }
            }
            Err(error) => tracing::warn!(%error, "the log could not be read for those who watch it"),
        }
    }
}

/// What somebody who watches waits for at most, and one indexed read of the store.
const EVERY: Duration = Duration::from_millis(100);
/// Batches read in one go: some thousands of events.
const AT_ONCE: i64 = 16;
/// Batches kept for one who is slow.
const KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_along_the_log_and_lead_back() {
        assert!(seq(7, 0) > seq(6, 999));
        assert!(seq(7, 1) > seq(7, 0));
        assert_eq!(place_after(seq(7, 3)), (7, 4));
        assert_eq!(place_after(0), (0, 0));
    }
}
