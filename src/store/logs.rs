//! The log of events: sealed batches, each chained to the one before, so that none can be altered, moved or taken out of
//! the middle without being noticed.

use super::database::Database;
use super::error::{RecordError, RowLabel, StoreError};
use super::event_record::{StoredEvent, decode, encode};
use super::keys::Keyring;
use super::record::{Decoder, Encoder};
use super::seal::{Place, RowKey};
use super::wall_clock::UnixMillis;
use super::wrapping::{meta_place, meta_value};
use aws_lc_rs::hmac;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, query, query_as, query_scalar};

/// Where an event stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPosition {
    /// The number of its batch.
    pub batch: i64,
    /// Its place in the batch.
    pub index: usize,
}

/// What to do with an event while reading backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It belongs to the answer.
    Take,
    /// It does not.
    Skip,
    /// Nor does anything older.
    Stop,
    /// It does not, and that is enough for now: the page says where to go on.
    Pause,
}

/// Events that were written together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBatch {
    /// Grows by one with every batch.
    pub number: i64,
    /// In their order.
    pub events: Vec<StoredEvent>,
}

/// Some events, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// Where to go on; `None` when nothing older is left.
    pub next: Option<EventPosition>,
}

/// How much of the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Batches whose newest event is older than this go.
    pub oldest: UnixMillis,
    /// The oldest batches go while all together take more bytes.
    pub total_bytes: u64,
}

/// What `verify_chain` found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainReport {
    /// How many batches there are.
    pub batches: u64,
    /// How many events are in those that open.
    pub events: u64,
    /// What is wrong, at most [`ChainReport::MAX_BREAKS`] of it.
    pub breaks: Vec<ChainBreak>,
}

impl ChainReport {
    /// How many breaks are listed.
    pub const MAX_BREAKS: usize = 100;

    /// Whether the log is as it was written.
    pub fn is_whole(&self) -> bool {
        self.breaks.is_empty()
    }

    fn found(&mut self, problem: ChainBreak) {
        if self.breaks.len() < Self::MAX_BREAKS {
            self.breaks.push(problem);
        }
    }
}

/// One thing that is wrong with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainBreak {
    /// Batches are gone from the middle or the beginning.
    #[error("batches {first} to {last} are missing")]
    Missing {
        /// The first of them.
        first: i64,
        /// The last of them.
        last: i64,
    },
    /// A batch is not what was written.
    #[error("batch {0} was altered")]
    Altered(i64),
    /// The latest batches are gone.
    #[error("the log ends at batch {found}, but {expected} was written")]
    CutOff {
        /// The last batch that is there.
        found: i64,
        /// The last that was written.
        expected: i64,
    },
    /// The mark of the beginning or the end of the log does not open.
    #[error("the mark of the log's {0} was altered")]
    Mark(&'static str),
}

impl Database {
    /// Appends a batch. The broker's own events go through its writer; this is for commands beside it.
    pub async fn append_events(&self, events: &[StoredEvent]) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        append(change.connection(), self.keys(), &[events]).await?;
        change.commit().await
    }

    /// Reads backwards from `before`, or from the end, until `limit` events are taken or nothing older is left.
    pub async fn events_before(
        &self,
        before: Option<EventPosition>,
        limit: usize,
        mut choose: impl FnMut(&StoredEvent) -> Choice,
    ) -> Result<EventPage, StoreError> {
        let mut page = EventPage::default();
        let mut next = before.unwrap_or(EventPosition { batch: i64::MAX, index: 0 });
        loop {
            let newest = if next.index > 0 { next.batch } else { next.batch.saturating_sub(1) };
            let rows: Vec<(i64, i64, Vec<u8>)> =
                query_as("SELECT seq, count, sealed FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT ?")
                    .bind(newest)
                    .bind(BATCHES_AT_ONCE)
                    .fetch_all(&mut *self.reader().await?)
                    .await?;
            if rows.is_empty() {
                return Ok(page);
            }
            for row in rows {
                let batch = row.0;
                let mut events = open(self.keys(), &row)?;
                if batch == next.batch {
                    events.truncate(next.index);
                }
                for (index, event) in events.into_iter().enumerate().rev() {
                    if page.events.len() == limit {
                        page.next = Some(EventPosition { batch, index: index + 1 });
                        return Ok(page);
                    }
                    match choose(&event) {
                        Choice::Take => page.events.push(event),
                        Choice::Skip => {}
                        Choice::Stop => return Ok(page),
                        Choice::Pause => {
                            page.next = Some(EventPosition { batch, index });
                            return Ok(page);
                        }
                    }
                }
                next = EventPosition { batch, index: 0 };
            }
        }
    }

    /// The number of the latest batch; 0 before the first.
    pub async fn last_batch(&self) -> Result<i64, StoreError> {
        let last: Option<i64> =
            query_scalar("SELECT max(seq) FROM events").fetch_one(&mut *self.reader().await?).await?;
        Ok(last.unwrap_or_default())
    }

    /// Hands over the events of the batches after `batch`, the oldest first, and says which batch was the last: what
    /// following the log asks for again and again.
    pub async fn events_after(&self, batch: i64, mut each: impl FnMut(StoredEvent)) -> Result<i64, StoreError> {
        let mut last = batch;
        loop {
            let rows: Vec<(i64, i64, Vec<u8>)> =
                query_as("SELECT seq, count, sealed FROM events WHERE seq > ? ORDER BY seq LIMIT ?")
                    .bind(last)
                    .bind(BATCHES_AT_ONCE)
                    .fetch_all(&mut *self.reader().await?)
                    .await?;
            if rows.is_empty() {
                return Ok(last);
            }
            for row in rows {
                last = row.0;
                open(self.keys(), &row)?.into_iter().for_each(&mut each);
            }
        }
    }

    /// At most so many batches after `batch`, the oldest first.
    pub async fn batches_after(&self, batch: i64, limit: i64) -> Result<Vec<LogBatch>, StoreError> {
        let rows: Vec<(i64, i64, Vec<u8>)> =
            query_as("SELECT seq, count, sealed FROM events WHERE seq > ? ORDER BY seq LIMIT ?")
                .bind(batch)
                .bind(limit)
                .fetch_all(&mut *self.reader().await?)
                .await?;
        rows.iter().map(|row| Ok(LogBatch { number: row.0, events: open(self.keys(), row)? })).collect()
    }

    /// Removes the oldest batches that are beyond what is kept, and says how many. The chain goes on from a mark.
    pub async fn prune_events(&self, keep: Retention) -> Result<u64, StoreError> {
        let Some(last) = self.last_to_prune(keep).await? else { return Ok(0) };
        let mut change = self.change().await?;
        let connection = change.connection();
        let chain: Option<Vec<u8>> =
            query_scalar("SELECT chain FROM events WHERE seq = ?").bind(last).fetch_optional(&mut *connection).await?;
        // Another process was faster.
        let Some(chain) = chain else { return Ok(0) };
        let removed = query("DELETE FROM events WHERE seq <= ?").bind(last).execute(&mut *connection).await?;
        let mark = Mark { seq: last, chain: Chain::of_column(&chain) };
        write_mark(connection, self.keys(), ANCHOR, mark).await?;
        change.commit().await?;
        // A store that is never at rest gets smaller here alone.
        self.shrink().await?;
        Ok(removed.rows_affected())
    }

    /// Checks that every batch is as it was written and that none is missing.
    pub async fn verify_chain(&self) -> Result<ChainReport, StoreError> {
        use sqlx::Connection;
        let mut reader = self.reader().await?;
        let mut snapshot = reader.begin().await?;
        let report = verify_chain(&mut snapshot, self.keys()).await?;
        snapshot.commit().await?;
        Ok(report)
    }

    /// The last of the oldest batches that are beyond what is kept.
    async fn last_to_prune(&self, keep: Retention) -> Result<Option<i64>, StoreError> {
        let mut reader = self.reader().await?;
        let total: Option<i64> = query_scalar("SELECT sum(length(sealed)) FROM events").fetch_one(&mut *reader).await?;
        let mut total = u64::try_from(total.unwrap_or_default()).unwrap_or_default();
        let mut last = None;
        loop {
            let rows: Vec<(i64, i64, Vec<u8>)> =
                query_as("SELECT seq, count, sealed FROM events WHERE seq > ? ORDER BY seq LIMIT ?")
                    .bind(last.unwrap_or(i64::MIN))
                    .bind(BATCHES_AT_ONCE)
                    .fetch_all(&mut *reader)
                    .await?;
            if rows.is_empty() {
                return Ok(last);
            }
            for row in rows {
                // A batch that does not open has no age: it goes when the bytes are needed.
                let newest = open(self.keys(), &row).ok().and_then(|events| events.iter().map(|event| event.at).max());
                if total <= keep.total_bytes && newest.is_none_or(|newest| newest >= keep.oldest) {
                    return Ok(last);
                }
                total = total.saturating_sub(u64::try_from(row.2.len()).unwrap_or(u64::MAX));
                last = Some(row.0);
            }
        }
    }
}

/// Checks the log, within whatever transaction the connection is in.
pub(super) async fn verify_chain(connection: &mut SqliteConnection, keys: &Keyring) -> Result<ChainReport, StoreError> {
    let mut report = ChainReport::default();
    let anchor = match read_mark(connection, keys, ANCHOR).await {
        Ok(anchor) => anchor.unwrap_or_default(),
        Err(StoreError::Sealed(_) | StoreError::Unreadable { .. }) => {
            report.found(ChainBreak::Mark("beginning"));
            Mark::default()
        }
        Err(error) => return Err(error),
    };
    let mut previous = anchor;
    loop {
        let rows: Vec<(i64, i64, Vec<u8>, Vec<u8>)> =
            query_as("SELECT seq, count, sealed, chain FROM events WHERE seq > ? ORDER BY seq LIMIT ?")
                .bind(previous.seq)
                .bind(BATCHES_AT_ONCE)
                .fetch_all(&mut *connection)
                .await?;
        if rows.is_empty() {
            break;
        }
        for (seq, count, sealed, chain) in rows {
            previous = verify_batch(keys, &mut report, previous, &(seq, count, sealed), &chain);
        }
    }
    match read_mark(connection, keys, HEAD).await {
        Ok(head) => {
            let expected = head.unwrap_or_default().seq;
            if expected != previous.seq {
                report.found(ChainBreak::CutOff { found: previous.seq, expected });
            }
        }
        Err(StoreError::Sealed(_) | StoreError::Unreadable { .. }) => report.found(ChainBreak::Mark("end")),
        Err(error) => return Err(error),
    }
    Ok(report)
}

fn verify_batch(
    keys: &Keyring,
    report: &mut ChainReport,
    previous: Mark,
    row: &(i64, i64, Vec<u8>),
    chain: &[u8],
) -> Mark {
    report.batches += 1;
    let seq = row.0;
    let chain = Chain::of_column(chain);
    let expected = previous.seq.saturating_add(1);
    let gap = seq != expected;
    if gap {
        report.found(ChainBreak::Missing { first: expected, last: seq.saturating_sub(1) });
    }
    // What a batch after a gap follows is gone, so only its seal speaks for it.
    let follows = gap || Chain::next(keys, previous.chain, seq, row.1, &row.2) == chain;
    match open(keys, row) {
        Ok(events) if follows => report.events += u64::try_from(events.len()).unwrap_or_default(),
        Ok(_) | Err(_) => report.found(ChainBreak::Altered(seq)),
    }
    Mark { seq, chain }
}

/// Appends batches, one row each, in one statement. Empty ones are left out.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    batches: &[&[StoredEvent]],
) -> Result<(), StoreError> {
    let mut last = last_mark(connection, keys).await?;
    let mut rows = Vec::with_capacity(batches.len());
    for events in batches.iter().flat_map(|events| events.chunks(EVENTS_PER_BATCH)) {
        let seq = last.seq.saturating_add(1);
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let sealed = keys.seal(&place(seq), &encode(events))?;
        last = Mark { seq, chain: Chain::next(keys, last.chain, seq, count, &sealed) };
        rows.push((seq, count, sealed, last.chain));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO events (seq, count, sealed, chain) ");
    insert.push_values(rows, |mut row, (seq, count, sealed, chain)| {
        row.push_bind(seq).push_bind(count).push_bind(sealed).push_bind(chain.0.to_vec());
    });
    insert.build().persistent(false).execute(&mut *connection).await?;
    write_mark(connection, keys, HEAD, last).await
}

/// What the next batch follows. Taken from the rows, so that a damaged mark stops no log; but no number is given twice.
async fn last_mark(connection: &mut SqliteConnection, keys: &Keyring) -> Result<Mark, StoreError> {
    let row: Option<(i64, Vec<u8>)> =
        query_as("SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1").fetch_optional(&mut *connection).await?;
    let mut readable = async |name| match read_mark(connection, keys, name).await {
        Err(StoreError::Sealed(_) | StoreError::Unreadable { .. }) => Ok(None),
        mark => mark,
    };
    let last = match row {
        Some((seq, chain)) => Mark { seq, chain: Chain::of_column(&chain) },
        None => readable(ANCHOR).await?.unwrap_or_default(),
    };
    let written = readable(HEAD).await?.unwrap_or_default().seq;
    Ok(Mark { seq: last.seq.max(written), ..last })
}

/// Takes out the marks that do not open. Without them the log goes on from its last batch.
pub(super) async fn mend_marks(connection: &mut SqliteConnection, keys: &Keyring) -> Result<(), StoreError> {
    for name in [ANCHOR, HEAD] {
        if read_mark(connection, keys, name).await.is_err() {
            query("DELETE FROM meta WHERE name = ?").bind(name).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Seals the marks again with the latest key, within a change.
pub(super) async fn seal_marks_again(connection: &mut SqliteConnection, keys: &Keyring) -> Result<(), StoreError> {
    for name in [ANCHOR, HEAD] {
        if let Some(mark) = read_mark(connection, keys, name).await? {
            write_mark(connection, keys, name, mark).await?;
        }
    }
    Ok(())
}

fn open(keys: &Keyring, (seq, count, sealed): &(i64, i64, Vec<u8>)) -> Result<Vec<StoredEvent>, StoreError> {
    let opened = keys.open(&place(*seq), sealed)?;
    let events = decode(&opened).and_then(|events| {
        let agrees = i64::try_from(events.len()) == Ok(*count);
        if agrees { Ok(events) } else { Err(RecordError::Disagrees) }
    });
    events.map_err(|source| StoreError::Unreadable { table: TABLE, row: RowLabel::Number(*seq), source })
}

fn place(seq: i64) -> Place<'static> {
    Place { table: TABLE, column: "sealed", row: RowKey::Number(seq) }
}

/// The MAC of a row and of all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Chain([u8; Chain::LEN]);

impl Chain {
    const LEN: usize = 32;

    fn next(keys: &Keyring, previous: Self, seq: i64, count: i64, sealed: &[u8]) -> Self {
        let mut context = hmac::Context::with_key(keys.chain());
        context.update(&previous.0);
        context.update(&seq.to_be_bytes());
        context.update(&count.to_be_bytes());
        context.update(sealed);
        Self::of_column(context.sign().as_ref())
    }

    /// A column of another length is no MAC and equals none.
    fn of_column(bytes: &[u8]) -> Self {
        Self(bytes.try_into().unwrap_or_default())
    }
}

/// A point of the chain: the end of the log, or what was pruned before its beginning.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    seq: i64,
    chain: Chain,
}

async fn read_mark(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    name: &'static str,
) -> Result<Option<Mark>, StoreError> {
    let Some(sealed) = meta_value(connection, name).await? else { return Ok(None) };
    let opened = keys.open(&meta_place(name), &sealed)?;
    let decode = |bytes| {
        let mut decoder = Decoder::new(bytes, VERSION)?;
        let mark = Mark { seq: decoder.signed()?, chain: Chain(decoder.raw()?) };
        decoder.finish()?;
        Ok(mark)
    };
    let unreadable = |source| StoreError::Unreadable { table: "meta", row: RowLabel::Name(name), source };
    decode(&opened).map(Some).map_err(unreadable)
}

async fn write_mark(
    connection: &mut SqliteConnection,
    keys: &Keyring,
    name: &'static str,
    mark: Mark,
) -> Result<(), StoreError> {
    let mut encoder = Encoder::new(VERSION);
    encoder.signed(mark.seq);
    encoder.raw(&mark.chain.0);
    query("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
        .bind(name)
        .bind(keys.seal(&meta_place(name), &encoder.finish())?)
        .execute(connection)
        .await?;
    Ok(())
}

const TABLE: &str = "events";
const VERSION: u8 = 1;
const HEAD: &str = "event_head";
const ANCHOR: &str = "event_anchor";
/// So many batches are in memory while the log is read: some megabytes at most.
const BATCHES_AT_ONCE: i64 = 32;
/// A page of the log opens one batch at least, so batches stay small enough to open at once.
const EVENTS_PER_BATCH: usize = 1000;
