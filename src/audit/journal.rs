//! The journal: takes events from everywhere without ever making anybody wait, and writes them in batches.
//!
//! If more comes than can be kept, it says how many events are missing, at the place where they are missing.

use super::live::LiveFeed;
use crate::broker::{Action, AuditEvent, EventKind, Who};
use crate::store::{Batch, Database, Retention, StoreOp, StoredEvent, UnixMillis, WriterHandle};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How much is recorded and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalSettings {
    /// So many events about messages are recorded per second; of further ones only the number is.
    pub max_events_per_second: u32,
    /// How long events are kept.
    pub keep_days: u32,
    /// How much of the database they take, in MiB.
    pub max_size_mb: u32,
}

/// Records events. Cloning is cheap.
#[derive(Clone)]
pub struct JournalHandle {
    sender: mpsc::Sender<StoredEvent>,
    shared: Arc<Shared>,
}

struct Shared {
    publish_budget: u32,
    /// The second that `published` counts in.
    second: AtomicU64,
    published: AtomicU32,
    /// What is left for refused connections: their number, and the second that it was counted in.
    refusals: Mutex<(u64, u32)>,
    left_out: AtomicU64,
    /// Wakes the journal when the first event is left out, or a batch comes back, in case that no other event follows.
    missing: Notify,
    /// Batches that the store refused, by their numbers.
    returned: Mutex<BTreeMap<u64, Arc<Vec<StoredEvent>>>>,
}

impl JournalHandle {
    /// Counts events about messages that whoever makes them left out, because more came in a second than are kept.
    pub fn leave_out(&self, count: u64) {
        self.shared.leave_out(count);
    }

    /// Records an event at the present moment. Never waits.
    pub fn record(&self, event: AuditEvent) {
        let at = UnixMillis::now();
        if event.kind.action() == Action::Publish && !self.shared.affords_publish(at) {
            return self.shared.leave_out(1);
        }
        if matches!(event.kind, EventKind::ConnectRefused { .. }) && !self.shared.affords_refusal(at) {
            return self.shared.leave_out(1);
        }
        if self.sender.try_send(StoredEvent { at, event: event.cut() }).is_err() {
            self.shared.leave_out(1);
        }
    }
}

impl Shared {
    /// Whether this second's events about messages are not used up. Two threads at the turn of a second may count a few
    /// events wrongly; a bound need not be exact.
    fn affords_publish(&self, at: UnixMillis) -> bool {
        let second = at.as_millis() / 1000;
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.published.store(0, Ordering::Relaxed);
        }
        if self.published.load(Ordering::Relaxed) >= self.publish_budget {
            return false;
        }
        self.published.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Strangers can make refusals at no cost, so they may not fill the log and push out what else is in it.
    fn affords_refusal(&self, at: UnixMillis) -> bool {
        let second = at.as_millis() / 1000;
        let (counted, left) = &mut *self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let more = u32::try_from(second.saturating_sub(*counted)).unwrap_or(u32::MAX);
        *left = left.saturating_add(more.saturating_mul(REFUSALS_PER_SECOND)).min(REFUSALS_AT_ONCE);
        *counted = second;
        let is_left = *left > 0;
        *left = left.saturating_sub(1);
        is_left
    }

    fn leave_out(&self, count: u64) {
        if self.left_out.fetch_add(count, Ordering::Relaxed) == 0 {
            self.missing.notify_one();
        }
    }

    fn take_back(&self, number: u64, events: Arc<Vec<StoredEvent>>) {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).insert(number, events);
        self.missing.notify_one();
    }
}

/// The tasks that write events and forget old ones.
pub struct Journal {
    handle: JournalHandle,
    live: LiveFeed,
    stop: CancellationToken,
    task: JoinHandle<()>,
    pruning: JoinHandle<()>,
}

impl Journal {
    /// Starts the journal on the current runtime.
    pub fn start(database: Database, writer: WriterHandle, settings: JournalSettings) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_EVENTS);
        let shared = Arc::new(Shared {
            publish_budget: settings.max_events_per_second,
            second: AtomicU64::new(0),
            published: AtomicU32::new(0),
            refusals: Mutex::new((0, REFUSALS_AT_ONCE)),
            left_out: AtomicU64::new(0),
            missing: Notify::new(),
            returned: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let live = LiveFeed::new();
        let under_way = Arc::new(Semaphore::new(BATCHES_UNDER_WAY));
        let work = Work {
            receiver,
            writer,
            shared: shared.clone(),
            live: live.clone(),
            under_way,
            batch: Vec::new(),
            waiting: VecDeque::new(),
            next_number: 0,
            retry_at: None,
        };
        Self {
            handle: JournalHandle { sender, shared },
            live,
            task: tokio::spawn(work.run(stop.clone())),
            pruning: tokio::spawn(prune(database, settings, stop.clone())),
            stop,
        }
    }

    /// Where events are recorded.
    pub fn handle(&self) -> JournalHandle {
        self.handle.clone()
    }

    /// Where events can be watched as they happen.
    pub fn live(&self) -> LiveFeed {
        self.live.clone()
    }

    /// Stores what was recorded, then ends. To be called before the writer is closed.
    pub async fn close(self) {
        self.stop.cancel();
        for task in [self.task, self.pruning] {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the journal ended early");
            }
        }
    }
}

struct Work {
    receiver: mpsc::Receiver<StoredEvent>,
    writer: WriterHandle,
    shared: Arc<Shared>,
    live: LiveFeed,
    /// Batches that the writer has. When it is slow the journal waits here, its channel fills, and events are left out:
    /// so events never crowd out what clients wait for.
    under_way: Arc<Semaphore>,
    batch: Vec<StoredEvent>,
    /// Batches to be handed to the writer, oldest first: more than one only while the store refuses them.
    waiting: VecDeque<Arc<Vec<StoredEvent>>>,
    next_number: u64,
    /// When the store is tried again after it refused something.
    retry_at: Option<Instant>,
}

impl Work {
    async fn run(mut self, stop: CancellationToken) {
        while self.collect(&stop).await {
            self.gather();
            self.write().await;
        }
        self.gather();
        // Whatever it said before, the store is asked once more.
        self.retry_at = self.retry_at.map(|_| Instant::now());
        self.write().await;
        self.settle().await;
        let lost: usize = self.waiting.iter().map(|events| events.len()).sum();
        if lost > 0 {
            self.shared.leave_out(u64::try_from(lost).unwrap_or(u64::MAX));
            tracing::error!(lost, "events could not be stored before the end and are lost");
        }
    }

    /// Fills the batch: until it is large enough, or its first event has waited long enough. `false` at the end.
    async fn collect(&mut self, stop: &CancellationToken) -> bool {
        let mut deadline = None;
        while self.batch.len() < BATCH_LEN {
            let shown = self.batch.len();
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.receiver.is_closed() => {
                    self.receiver.close();
                    continue;
                }
                received = self.receiver.recv_many(&mut self.batch, BATCH_LEN - shown) => {
                    if received == 0 {
                        return false;
                    }
                }
                () = self.shared.missing.notified(), if deadline.is_none() => {}
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return true,
                () = sleep_until(self.retry_at.unwrap_or_else(Instant::now)), if self.retry_at.is_some() => return true,
            }
            for event in self.batch.iter().skip(shown) {
                self.live.show(event);
            }
            deadline = deadline.or_else(|| Some(Instant::now() + BATCH_TIME));
            if self.batch.len() < BATCH_LEN && !self.receiver.is_closed() {
                // Nobody who records an event has to wake this task while it gathers: a wake-up costs the thread that
                // routes messages as much as ten of them.
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(GATHERING) => {}
                }
            }
        }
        true
    }

    /// Puts the batch to those that wait. While the store refuses what it is given, only so many do.
    fn gather(&mut self) {
        if self.waiting.len() >= BATCHES_KEPT {
            self.shared.leave_out(u64::try_from(self.batch.len()).unwrap_or(u64::MAX));
            self.batch.clear();
            return;
        }
        let left_out = self.shared.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            let event = AuditEvent { who: Who::default(), kind: EventKind::LeftOut { count: left_out } };
            let event = StoredEvent { at: UnixMillis::now(), event };
            self.live.show(&event);
            self.batch.push(event);
        }
        if !self.batch.is_empty() {
            self.waiting.push_back(Arc::new(std::mem::take(&mut self.batch)));
        }
    }

    /// Hands what waits to the writer, unless it is too early to try again.
    async fn write(&mut self) {
        self.take_back();
        while self.retry_at.is_none_or(|at| at <= Instant::now()) {
            let Some(events) = self.waiting.pop_front() else { return self.be_at_rest() };
            // The semaphore is never closed.
            let Ok(permit) = self.under_way.clone().acquire_owned().await else { return };
            let (shared, number, kept) = (self.shared.clone(), self.next_number, Arc::clone(&events));
            self.next_number += 1;
            let done = Box::new(move |result: Result<(), _>| {
                if result.is_err() {
                    shared.take_back(number, kept);
                }
                drop(permit);
            });
            let durability = self.writer.usual_durability();
            self.writer.submit(Batch { ops: vec![StoreOp::Events(events)], durability, done });
            if self.retry_at.is_some() {
                // One batch is enough to find out.
                self.retry_at = None;
                self.settle().await;
            }
        }
    }

    /// Nothing waits. What was left out meanwhile is to be said even if nothing else happens.
    fn be_at_rest(&mut self) {
        self.retry_at = None;
        if self.shared.left_out.load(Ordering::Relaxed) > 0 {
            self.shared.missing.notify_one();
        }
    }

    /// Waits until the store has dealt with everything that it was given.
    async fn settle(&mut self) {
        let all = u32::try_from(BATCHES_UNDER_WAY).unwrap_or(u32::MAX);
        let _ = self.under_way.clone().acquire_many_owned(all).await;
        self.take_back();
    }

    /// What the store refused goes before everything else, when the store is tried again.
    fn take_back(&mut self) {
        let returned = std::mem::take(&mut *self.shared.returned.lock().unwrap_or_else(PoisonError::into_inner));
        if !returned.is_empty() {
            self.retry_at = Some(Instant::now() + RETRY);
        }
        returned.into_values().rev().for_each(|events| self.waiting.push_front(events));
    }
}

/// Forgets what is too old or too much, now and then.
async fn prune(database: Database, settings: JournalSettings, stop: CancellationToken) {
    let (start, begin) = (UnixMillis::now(), Instant::now());
    loop {
        let age = Duration::from_secs(u64::from(settings.keep_days) * SECONDS_PER_DAY);
        let total_bytes = u64::from(settings.max_size_mb) * 1024 * 1024;
        // A wall clock that is set to a wrong year while the broker runs makes nothing old.
        let now = UnixMillis::now().min(start.after(begin.elapsed()));
        let keep = Retention { oldest: now.before(age), total_bytes };
        match database.prune_events(keep).await {
            Ok(0) => {}
            Ok(batches) => tracing::debug!(batches, "old events were removed"),
            Err(error) => tracing::warn!(%error, "old events could not be removed"),
        }
        tokio::select! {
            () = tokio::time::sleep(PRUNE_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// So many refused connections are recorded at once, as when a fleet comes back with a wrong password, and so many per
/// second after that: two a second of the longest are 300 MB a day, less than the log keeps.
const REFUSALS_AT_ONCE: u32 = 2_000;
const REFUSALS_PER_SECOND: u32 = 2;
/// So many events wait for the journal: some megabytes, and half a second of the heaviest load.
const WAITING_EVENTS: usize = 16 * 1024;
/// A batch of so many is written at once.
const BATCH_LEN: usize = 1000;
/// A smaller one when its first event is this old.
const BATCH_TIME: Duration = Duration::from_millis(200);
/// Events are taken at this distance at least.
const GATHERING: Duration = Duration::from_millis(20);
/// So many batches are with the writer.
const BATCHES_UNDER_WAY: usize = 4;
/// So many are kept while the store refuses them: as many events again as wait for the journal.
const BATCHES_KEPT: usize = 16;
/// When a store that refused is tried again.
const RETRY: Duration = Duration::from_secs(1);
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
const PRUNE_EVERY: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::LiveEvent;
    use crate::broker::Reason;
    use crate::protocol::{QoS, Text};
    use crate::store::{Choice, MasterKey, Writer};

    const SETTINGS: JournalSettings =
        JournalSettings { max_events_per_second: 1_000_000, keep_days: 1, max_size_mb: 100 };

    struct World {
        _folder: tempfile::TempDir,
        database: Database,
        writer: Writer,
        journal: Journal,
    }

    impl World {
        async fn new(settings: JournalSettings) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = Database::create(folder.path(), &MasterKey::generate().unwrap()).await.unwrap();
            let writer = Writer::start(database.clone());
            let journal = Journal::start(database.clone(), writer.handle(), settings);
            Self { _folder: folder, database, writer, journal }
        }

        async fn kinds(&self) -> Vec<EventKind> {
            let page = self.database.events_before(None, usize::MAX, |_| Choice::Take).await.unwrap();
            page.events.into_iter().rev().map(|stored| stored.event.kind).collect()
        }

        /// Ends the journal and hands back what was stored.
        async fn close(self) -> Vec<EventKind> {
            let Self { _folder: folder, database, writer, journal } = self;
            journal.close().await;
            writer.close().await;
            let page = database.events_before(None, usize::MAX, |_| Choice::Take).await.unwrap();
            drop(folder);
            page.events.into_iter().rev().map(|stored| stored.event.kind).collect()
        }
    }

    fn notice(text: &str) -> EventKind {
        EventKind::Notice { text: text.into() }
    }

    fn published(topic: &str) -> EventKind {
        let topic = Text::try_from(topic).unwrap();
        EventKind::Published { topic, size: 1, qos: QoS::AtMostOnce, retain: false, delivered: 1, durability: None }
    }

    fn event(kind: EventKind) -> AuditEvent {
        AuditEvent { who: Who::default(), kind }
    }

    #[tokio::test]
    async fn what_was_recorded_is_stored_in_order_before_the_end() {
        let world = World::new(SETTINGS).await;
        let handle = world.journal.handle();
        let kinds: Vec<_> = (0..2500).map(|number| notice(&number.to_string())).collect();
        kinds.iter().for_each(|kind| handle.record(event(kind.clone())));
        assert_eq!(world.close().await, kinds);
    }

    #[tokio::test]
    async fn few_events_are_stored_soon_without_waiting_for_more() {
        let world = World::new(SETTINGS).await;
        world.journal.handle().record(event(notice("one")));
        let started = Instant::now();
        while world.kinds().await.is_empty() {
            assert!(started.elapsed() < Duration::from_secs(20), "the event was never stored");
            tokio::task::yield_now().await;
        }
        assert_eq!(world.close().await, [notice("one")]);
    }

    /// The log is not a stranger's to fill.
    #[tokio::test]
    async fn of_many_refused_connections_the_first_are_kept_and_the_number_of_the_others() {
        let world = World::new(SETTINGS).await;
        let handle = world.journal.handle();
        let long = "x".repeat(60_000);
        for _ in 0..6_000 {
            let kind = EventKind::ConnectRefused { reason: Reason::LoginThrottled, detail: Some(long.clone()) };
            handle.record(event(kind));
        }
        handle.record(event(notice("about something else")));
        let kinds = world.close().await;
        let (mut kept, mut left_out) = (0, 0);
        for kind in &kinds {
            match kind {
                EventKind::ConnectRefused { detail, .. } => {
                    kept += 1;
                    assert!(detail.as_ref().is_some_and(|detail| detail.len() < 600));
                }
                EventKind::LeftOut { count } => left_out += count,
                _ => {}
            }
        }
        // A slow machine takes some seconds for them.
        assert!((2_000..2_200).contains(&kept) && kept + left_out == 6_000, "{kept} and {left_out}");
        assert!(kinds.contains(&notice("about something else")));
    }

    #[tokio::test]
    async fn beyond_the_budget_only_the_number_of_publishes_is_kept() {
        let world = World::new(JournalSettings { max_events_per_second: 10, ..SETTINGS }).await;
        let handle = world.journal.handle();
        for _ in 0..1000 {
            handle.record(event(published("t")));
        }
        handle.record(event(notice("not about messages")));
        let kinds = world.close().await;
        let kept = kinds.iter().filter(|kind| **kind == published("t")).count();
        // The second may turn while they are recorded.
        assert!((10..=20).contains(&kept), "{kept}");
        assert!(kinds.contains(&notice("not about messages")));
        assert_eq!(left_out(&kinds), 1000 - kept as u64);
    }

    #[tokio::test]
    async fn a_full_journal_counts_what_it_leaves_out_and_blocks_nobody() {
        let world = World::new(SETTINGS).await;
        let handle = world.journal.handle();
        let recorded = WAITING_EVENTS as u64 + 500;
        // Nothing else runs meanwhile on this thread, so the channel fills.
        for _ in 0..recorded {
            handle.record(event(notice("x")));
        }
        let kinds = world.close().await;
        let kept = kinds.iter().filter(|kind| **kind == notice("x")).count() as u64;
        assert_eq!((kept, left_out(&kinds)), (WAITING_EVENTS as u64, 500));
    }

    #[tokio::test]
    async fn what_the_store_refuses_to_the_end_is_counted() {
        for count in [1, BATCH_LEN as u64 * 30] {
            let World { _folder: folder, database, writer, journal } = World::new(SETTINGS).await;
            writer.close().await;
            let handle = journal.handle();
            for _ in 0..count {
                handle.record(event(notice("lost")));
                // Lets the journal keep up, so that it is its own bound that is met.
                tokio::task::yield_now().await;
            }
            let shared = handle.shared.clone();
            journal.close().await;
            let told = shared.left_out.load(Ordering::Relaxed);
            // Batches that were given up may have said themselves that something was left out.
            assert!((count..=count + BATCHES_KEPT as u64).contains(&told), "{told} of {count}");
            drop((folder, database));
        }
    }

    #[tokio::test]
    async fn after_the_end_recording_is_harmless() {
        let world = World::new(SETTINGS).await;
        let handle = world.journal.handle();
        world.close().await;
        handle.record(event(notice("late")));
    }

    #[tokio::test]
    async fn one_who_watches_sees_events_as_they_happen() {
        let world = World::new(SETTINGS).await;
        let mut watcher = world.journal.live().watch();
        world.journal.handle().record(event(notice("seen")));
        match watcher.next().await {
            Some(LiveEvent::Event(seen)) => assert_eq!(seen.event.kind, notice("seen")),
            other => panic!("{other:?}"),
        }
        world.close().await;
    }

    #[tokio::test]
    async fn old_events_are_forgotten_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path(), &MasterKey::generate().unwrap()).await.unwrap();
        let old = StoredEvent { at: UnixMillis::from_millis(1000), event: event(notice("old")) };
        database.append_events(&[old]).await.unwrap();
        let writer = Writer::start(database.clone());
        let journal = Journal::start(database.clone(), writer.handle(), SETTINGS);
        let world = World { _folder: folder, database, writer, journal };
        assert_eq!(world.close().await, []);
    }

    fn left_out(kinds: &[EventKind]) -> u64 {
        let count = |kind: &EventKind| if let EventKind::LeftOut { count } = kind { *count } else { 0 };
        kinds.iter().map(count).sum()
    }
}
