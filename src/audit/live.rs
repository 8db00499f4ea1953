//! Events as they happen, for those who watch; one who does not keep up loses some and is told how many.

use crate::store::StoredEvent;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Where events are shown to whoever watches.
#[derive(Debug, Clone)]
pub struct LiveFeed {
    sender: broadcast::Sender<Arc<StoredEvent>>,
}

impl LiveFeed {
    pub(super) fn new() -> Self {
        Self { sender: broadcast::Sender::new(KEPT) }
    }

    /// Begins to watch: what happens from now on.
    pub fn watch(&self) -> LiveEvents {
        LiveEvents { receiver: self.sender.subscribe() }
    }

    /// Shows an event; costs next to nothing while nobody watches.
    pub(super) fn show(&self, event: &StoredEvent) {
        if self.sender.receiver_count() > 0 {
            // It fails when the last one stopped watching just now.
            let _ = self.sender.send(Arc::new(event.clone()));
        }
    }
}

/// One who watches.
#[derive(Debug)]
pub struct LiveEvents {
    receiver: broadcast::Receiver<Arc<StoredEvent>>,
}

/// What one who watches is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveEvent {
    /// Something happened.
    Event(Arc<StoredEvent>),
    /// So many events went by unseen.
    Missed(u64),
}

impl LiveEvents {
    /// Waits for the next event; `None` when the broker has stopped.
    pub async fn next(&mut self) -> Option<LiveEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(LiveEvent::Event(event)),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(LiveEvent::Missed(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// So many events are kept for one who is slow: about half a megabyte.
const KEPT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{AuditEvent, EventKind, Who};
    use crate::store::UnixMillis;

    fn event(at: u64) -> StoredEvent {
        let event = AuditEvent { who: Who::default(), kind: EventKind::Stopped };
        StoredEvent { at: UnixMillis::from_millis(at), event }
    }

    #[tokio::test]
    async fn one_who_watches_sees_what_happens_from_then_on() {
        let feed = LiveFeed::new();
        feed.show(&event(1));
        let mut watcher = feed.watch();
        feed.show(&event(2));
        assert_eq!(watcher.next().await, Some(LiveEvent::Event(Arc::new(event(2)))));
        drop(feed);
        assert_eq!(watcher.next().await, None);
    }

    #[tokio::test]
    async fn one_who_is_too_slow_is_told_how_many_went_by() {
        let feed = LiveFeed::new();
        let mut watcher = feed.watch();
        for at in 0..KEPT as u64 + 5 {
            feed.show(&event(at));
        }
        assert_eq!(watcher.next().await, Some(LiveEvent::Missed(5)));
        assert_eq!(watcher.next().await, Some(LiveEvent::Event(Arc::new(event(5)))));
    }
}
